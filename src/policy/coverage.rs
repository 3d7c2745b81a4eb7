//! Which lines of a bundle its tests evaluate, as text and in the form of `opa test --coverage`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Map, Value, json};

use super::rego::Lines;

/// Lines by file. A line counts if something on it can be evaluated: a statement, or the value of a rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage(pub(super) BTreeMap<String, Lines>);

impl Coverage {
    /// Covered lines of all that count, in percent.
    pub fn percent(&self) -> f64 {
        let (covered, missed) = self.0.values().fold((0, 0), |(covered, missed), lines| {
            let (more, fewer) = counts(lines);
            (covered + more, missed + fewer)
        });
        percent(covered, missed)
    }

    /// The report of `opa test --coverage`.
    pub fn to_json(&self) -> Value {
        let mut files = Map::new();
        let (mut covered_lines, mut missed_lines) = (0, 0);
        for (file, lines) in &self.0 {
            let (covered, missed) = counts(lines);
            covered_lines += covered;
            missed_lines += missed;
            let report = json!({
                "covered": ranges_json(&lines.covered),
                "not_covered": ranges_json(&lines.missed),
                "covered_lines": covered,
                "not_covered_lines": missed,
                "coverage": percent(covered, missed),
            });
            files.insert(file.clone(), report);
        }
        json!({
            "files": files,
            "covered_lines": covered_lines,
            "not_covered_lines": missed_lines,
            "coverage": self.percent(),
        })
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (file, lines) in &self.0 {
            let (covered, missed) = counts(lines);
            write!(f, "{file}: {:.1} % ({covered} of {} lines)", percent(covered, missed), covered + missed)?;
            if missed > 0 {
                let missed: Vec<String> = ranges(&lines.missed).into_iter().map(range_text).collect();
                write!(f, ", not covered: {}", missed.join(", "))?;
            }
            writeln!(f)?;
        }
        writeln!(f, "COVERAGE: {:.1} %", self.percent())
    }
}

fn counts(lines: &Lines) -> (u32, u32) {
    let count = |lines: &BTreeSet<usize>| u32::try_from(lines.len()).unwrap_or(u32::MAX);
    (count(&lines.covered), count(&lines.missed))
}

/// Rounded down to a hundredth, so that 100 means all.
fn percent(covered: u32, missed: u32) -> f64 {
    let all = u64::from(covered) + u64::from(missed);
    let hundredths = (u64::from(covered) * 10_000).checked_div(all).unwrap_or(10_000);
    f64::from(u32::try_from(hundredths).unwrap_or(u32::MAX)) / 100.0
}

/// Lines that follow each other, from and to.
fn ranges(lines: &BTreeSet<usize>) -> Vec<(usize, usize)> {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for line in lines {
        match ranges.last_mut() {
            Some((_, end)) if *end + 1 == *line => *end = *line,
            _ => ranges.push((*line, *line)),
        }
    }
    ranges
}

fn range_text((start, end): (usize, usize)) -> String {
    if start == end { start.to_string() } else { format!("{start}-{end}") }
}

fn ranges_json(lines: &BTreeSet<usize>) -> Value {
    ranges(lines).into_iter().map(|(start, end)| json!({"start": {"row": start}, "end": {"row": end}})).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_and_shown_as_ranges() {
        let lines = Lines { covered: [3, 4, 5, 9].into(), missed: [7, 11, 12].into() };
        let coverage = Coverage([("a.rego".to_owned(), lines), ("b.rego".to_owned(), Lines::default())].into());
        assert_eq!(
            coverage.to_string(),
            "a.rego: 57.1 % (4 of 7 lines), not covered: 7, 11-12\nb.rego: 100.0 % (0 of 0 lines)\nCOVERAGE: 57.1 %\n"
        );
        let report = coverage.to_json();
        assert_eq!(report["files"]["a.rego"]["not_covered"][1], json!({"start": {"row": 11}, "end": {"row": 12}}));
        assert_eq!((&report["covered_lines"], &report["coverage"]), (&json!(4), &json!(57.14)));
    }
}
