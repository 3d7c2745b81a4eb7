//! Runs the `test_` rules of a bundle, as `opa test` does.
//!
//! A test passes if its value is exactly true; false, undefined, any other value and an error fail it. `todo_` rules are skipped.

use std::fmt;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::bundle::{parse_data, sort};
use super::file::{BundleFault, BundleFile};
use super::rego::{EvaluationError, Rego};

/// The longest that one test may take.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// All tests of a bundle, in the order of their packages and names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestReport {
    /// Why no test could run.
    pub faults: Vec<BundleFault>,
    /// One per rule.
    pub results: Vec<TestResult>,
}

/// One test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestResult {
    /// `package.rule`.
    pub name: String,
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// How long it took.
    pub duration: Duration,
    /// How it went.
    pub outcome: TestOutcome,
}

/// How a test went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TestOutcome {
    /// Exactly true.
    Passed,
    /// Not true.
    Failed,
    /// The evaluation failed, with the interpreter's words.
    Errored(String),
    /// A `todo_` rule.
    Skipped,
}

impl TestReport {
    /// Whether everything that ran has passed. A bundle without any test has not.
    pub fn passed(&self) -> bool {
        let run = |result: &&TestResult| result.outcome != TestOutcome::Skipped;
        self.faults.is_empty()
            && self.results.iter().any(|result| run(&result))
            && self.results.iter().filter(run).all(|result| result.outcome == TestOutcome::Passed)
    }

    fn count(&self, wanted: impl Fn(&TestOutcome) -> bool) -> usize {
        self.results.iter().filter(|result| wanted(&result.outcome)).count()
    }
}

impl fmt::Display for TestReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in &self.faults {
            writeln!(f, "{fault}")?;
        }
        for result in &self.results {
            let word = match &result.outcome {
                TestOutcome::Passed => "PASS",
                TestOutcome::Failed => "FAIL",
                TestOutcome::Errored(_) => "ERROR",
                TestOutcome::Skipped => "SKIPPED",
            };
            let micros = result.duration.as_micros();
            writeln!(f, "{}:{}: {}: {word} ({}.{:03} ms)", result.file, result.line, result.name, micros / 1_000, micros % 1_000)?;
            if let TestOutcome::Errored(text) = &result.outcome {
                writeln!(f, "  {}", text.trim().replace('\n', "\n  "))?;
            }
        }
        let run = self.count(|outcome| *outcome != TestOutcome::Skipped);
        writeln!(f, "PASS: {}/{run}", self.count(|outcome| *outcome == TestOutcome::Passed))?;
        for (word, count) in [
            ("FAIL", self.count(|outcome| *outcome == TestOutcome::Failed)),
            ("ERROR", self.count(|outcome| matches!(outcome, TestOutcome::Errored(_)))),
            ("SKIPPED", self.count(|outcome| *outcome == TestOutcome::Skipped)),
        ] {
            if count > 0 {
                writeln!(f, "{word}: {count}/{}", if word == "SKIPPED" { self.results.len() } else { run })?;
            }
        }
        Ok(())
    }
}

/// Runs the `test_` rules of these files, policies and tests together, over the data of theirs.
pub fn test(files: Vec<BundleFile>) -> TestReport {
    let (policies, tests, data) = sort(files);
    let everything: Vec<BundleFile> = policies.into_iter().chain(tests).collect();
    let compiled = parse_data(&data).and_then(|data| {
        let (rego, sites) = Rego::compile(&everything, TIME_LIMIT)?;
        Ok((rego.extended(None, &Value::Object(data))?, sites))
    });
    let (rego, mut sites) = match compiled {
        Ok(compiled) => compiled,
        Err(faults) => return TestReport { faults, results: Vec::new() },
    };
    sites.retain(|site| site.name.starts_with("test_") || site.name.starts_with("todo_"));
    sites.sort_by(|a, b| (&a.package, &a.name, a.line).cmp(&(&b.package, &b.name, b.line)));
    // A rule with several bodies is one test.
    sites.dedup_by(|a, b| a.package == b.package && a.name == b.name);
    let results = sites.into_iter().map(|site| {
        let name = format!("{}.{}", site.package, site.name);
        let start = Instant::now();
        let outcome = if site.name.starts_with("todo_") { TestOutcome::Skipped } else { run(&rego, &name) };
        TestResult { name, file: site.file, line: site.line, duration: start.elapsed(), outcome }
    });
    TestReport { faults: Vec::new(), results: results.collect() }
}

fn run(rego: &Rego, name: &str) -> TestOutcome {
    match rego.ask(name, None) {
        Ok(Some(Value::Bool(true))) => TestOutcome::Passed,
        Ok(_) => TestOutcome::Failed,
        Err(EvaluationError::Failed { text, .. }) => TestOutcome::Errored(text),
        Err(EvaluationError::Late) => TestOutcome::Errored(EvaluationError::Late.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn file(path: &str, text: &str) -> BundleFile {
        BundleFile { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn the_shipped_rules_pass_their_tests() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let files = files.filter(|path| path.is_file()).map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            file(path.file_name().unwrap().to_str().unwrap(), &text)
        });
        let report = test(files.collect());
        assert!(report.passed(), "{report}");
        assert!(report.results.len() > 15, "{report}");
    }

    #[test]
    fn a_test_passes_only_if_it_is_exactly_true() {
        let rules = "package p\n\ntest_true := true\n\ntest_false := false\n\ntest_one := 1\n\ntest_undefined if input.x\n\n\
                     test_error if 1 / count([]) > 0\n\ntodo_test_later := false\n\nhelper := false\n";
        let report = test(vec![file("p_test.rego", rules)]);
        let outcomes: Vec<(&str, &str)> = report
            .results
            .iter()
            .map(|result| {
                let outcome = match result.outcome {
                    TestOutcome::Passed => "passed",
                    TestOutcome::Failed => "failed",
                    TestOutcome::Errored(_) => "errored",
                    TestOutcome::Skipped => "skipped",
                };
                (result.name.as_str(), outcome)
            })
            .collect();
        let expected = [
            ("p.test_error", "errored"),
            ("p.test_false", "failed"),
            ("p.test_one", "failed"),
            ("p.test_true", "passed"),
            ("p.test_undefined", "failed"),
            ("p.todo_test_later", "skipped"),
        ];
        assert_eq!(outcomes, expected);
        assert!(!report.passed());
        let text = report.to_string();
        assert!(text.contains("p_test.rego:3: p.test_true: PASS ("), "{text}");
        assert!(text.ends_with("PASS: 1/5\nFAIL: 3/5\nERROR: 1/5\nSKIPPED: 1/6\n"), "{text}");
    }

    #[test]
    fn a_range_is_bounded() {
        let rules = "package p\n\ntest_up if numbers.range(1, 3) == [1, 2, 3]\n\ntest_down if numbers.range(2, -1) == [2, 1, 0, -1]\n\n\
                     test_most if count(numbers.range(1, 100000)) == 100000\n\ntest_too_long if count(numbers.range(0, 100000)) > 0\n";
        let report = test(vec![file("p_test.rego", rules)]);
        let failed: Vec<&TestResult> = report.results.iter().filter(|result| result.outcome != TestOutcome::Passed).collect();
        assert_eq!(failed.len(), 1, "{report}");
        assert!(report.to_string().contains("numbers.range is limited to 100000 items"), "{report}");
    }

    #[test]
    fn nothing_tested_is_not_passed() {
        assert!(!test(vec![file("p.rego", "package p\n\nx := 1\n")]).passed());
        let broken = test(vec![file("p_test.rego", "package p\n\ntest_a if {\n")]);
        assert!(!broken.passed() && broken.to_string().starts_with("p_test.rego:"), "{broken}");
    }
}
