//! Runs the `test_` rules of a bundle, as `opa test` does.
//!
//! A test passes if its value is exactly true; false, undefined, any other value and an error fail it. `todo_` rules are skipped.

use std::time::{Duration, Instant};

use regex::Regex;
use serde_json::Value;

use super::bundle::{parse_data, sort};
use super::coverage::Coverage;
use super::file::BundleFile;
use super::rego::{EvaluationError, Rego};
use super::test_report::{TestOutcome, TestReport, TestResult};

/// The longest that one test may take.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// What is run, and what is found out beside.
#[derive(Debug, Clone, Default)]
pub struct TestOptions {
    /// Only tests whose full name (`data.package.rule`) it matches.
    pub run: Option<Regex>,
    /// Whether to find out which lines the tests evaluate.
    pub coverage: bool,
}

/// Runs the `test_` rules of these files, policies and tests together, over the data of theirs.
pub fn test(files: Vec<BundleFile>, options: &TestOptions) -> TestReport {
    let (policies, tests, data) = sort(files);
    let everything: Vec<BundleFile> = policies.into_iter().chain(tests).collect();
    let compiled = parse_data(&data).and_then(|data| {
        let (rego, sites) = Rego::compile(&everything, TIME_LIMIT)?;
        Ok((rego.extended(None, &Value::Object(data))?, sites))
    });
    let (rego, mut sites) = match compiled {
        Ok(compiled) => compiled,
        Err(faults) => return TestReport { faults, ..TestReport::default() },
    };
    sites.retain(|site| site.name.starts_with("test_") || site.name.starts_with("todo_"));
    sites.retain(|site| options.run.as_ref().is_none_or(|run| run.is_match(&format!("data.{}.{}", site.package, site.name))));
    sites.sort_by(|a, b| (&a.package, &a.name, a.line).cmp(&(&b.package, &b.name, b.line)));
    // A rule with several bodies is one test.
    sites.dedup_by(|a, b| a.package == b.package && a.name == b.name);
    let mut coverage = options.coverage.then(|| Coverage(rego.untouched()));
    let mut results = Vec::with_capacity(sites.len());
    for site in sites {
        let start = Instant::now();
        let name = format!("{}.{}", site.package, site.name);
        let outcome = if site.name.starts_with("todo_") { TestOutcome::Skipped } else { run(&rego, &name, coverage.as_mut()) };
        let (package, name) = (site.package, site.name);
        results.push(TestResult { package, name, file: site.file, line: site.line, duration: start.elapsed(), outcome });
    }
    TestReport { faults: Vec::new(), results, coverage }
}

fn run(rego: &Rego, name: &str, coverage: Option<&mut Coverage>) -> TestOutcome {
    let answer = match coverage {
        Some(coverage) => rego.ask_watched(name, &mut coverage.0),
        None => rego.ask(name, None),
    };
    match answer {
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
        let report = test(files.collect(), &TestOptions::default());
        assert!(report.passed(), "{report}");
        assert!(report.results.len() > 15, "{report}");
    }

    #[test]
    fn a_test_passes_only_if_it_is_exactly_true() {
        let rules = "package p\n\ntest_true := true\n\ntest_false := false\n\ntest_one := 1\n\ntest_undefined if input.x\n\n\
                     test_error if 1 / count([]) > 0\n\ntodo_test_later := false\n\nhelper := false\n";
        let report = test(vec![file("p_test.rego", rules)], &TestOptions::default());
        let outcomes: Vec<(String, &str)> = report
            .results
            .iter()
            .map(|result| {
                let outcome = match result.outcome {
                    TestOutcome::Passed => "passed",
                    TestOutcome::Failed => "failed",
                    TestOutcome::Errored(_) => "errored",
                    TestOutcome::Skipped => "skipped",
                };
                (format!("{}.{}", result.package, result.name), outcome)
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
        assert_eq!(outcomes, expected.map(|(name, outcome)| (name.to_owned(), outcome)));
        assert!(!report.passed());
        let text = report.to_string();
        assert!(text.contains("p_test.rego:3: p.test_true: PASS ("), "{text}");
        assert!(text.ends_with("PASS: 1/5\nFAIL: 3/5\nERROR: 1/5\nSKIPPED: 1/6\n"), "{text}");
    }

    #[test]
    fn a_range_is_bounded() {
        let rules = "package p\n\ntest_up if numbers.range(1, 3) == [1, 2, 3]\n\ntest_down if numbers.range(2, -1) == [2, 1, 0, -1]\n\n\
                     test_most if count(numbers.range(1, 100000)) == 100000\n\ntest_too_long if count(numbers.range(0, 100000)) > 0\n";
        let report = test(vec![file("p_test.rego", rules)], &TestOptions::default());
        let failed: Vec<&TestResult> = report.results.iter().filter(|result| result.outcome != TestOutcome::Passed).collect();
        assert_eq!(failed.len(), 1, "{report}");
        assert!(report.to_string().contains("numbers.range is limited to 100000 items"), "{report}");
    }

    #[test]
    fn nothing_tested_is_not_passed() {
        let all = TestOptions::default();
        assert!(!test(vec![file("p.rego", "package p\n\nx := 1\n")], &all).passed());
        let broken = test(vec![file("p_test.rego", "package p\n\ntest_a if {\n")], &all);
        assert!(!broken.passed() && broken.to_string().starts_with("p_test.rego:"), "{broken}");
    }

    const RULES: &str = "package p

allow if {
\tinput.a == 1
\tinput.b == 2
}

never if {
\tinput.c
}
";

    const RULES_TEST: &str = "package p_test

import data.p

test_allowed if p.allow with input as {\"a\": 1, \"b\": 2}

test_refused if not p.allow with input as {\"a\": 2}
";

    #[test]
    fn coverage_tells_which_lines_the_tests_evaluate() {
        let files = || vec![file("p.rego", RULES), file("q.rego", "package q\n\nx := 1\n"), file("p_test.rego", RULES_TEST)];
        let options = TestOptions { coverage: true, ..TestOptions::default() };
        let coverage = test(files(), &options).coverage.unwrap();
        // The interpreter evaluates a package as a whole, so `never` is covered, too.
        assert_eq!((&coverage.0["p.rego"].covered, &coverage.0["p.rego"].missed), (&[4, 5, 9].into(), &[].into()));
        assert_eq!(coverage.0["q.rego"].missed, [3].into());
        let refused = TestOptions { run: Some(Regex::new("refused$").unwrap()), coverage: true };
        let report = test(files(), &refused);
        assert_eq!(report.results.len(), 1);
        assert_eq!(report.coverage.unwrap().0["p.rego"].missed, [5].into());
    }

    #[test]
    fn results_have_the_form_of_opas() {
        let rules = "package p\n\ntest_true := true\n\ntest_false := false\n\ntodo_test_later := false\n";
        let results = test(vec![file("p_test.rego", rules)], &TestOptions::default()).to_json();
        assert_eq!(results[0]["fail"], true);
        assert_eq!(
            (&results[1]["name"], &results[1]["package"], &results[1]["fail"]),
            (&"test_true".into(), &"data.p".into(), &Value::Null)
        );
        assert_eq!((&results[2]["skip"], &results[2]["location"]["row"]), (&true.into(), &7.into()));
    }
}
