//! How the tests of a bundle went, as text and in the form of `opa test`.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::coverage::Coverage;
use super::file::BundleFault;

/// All tests of a bundle, in the order of their packages and names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TestReport {
    /// Why no test could run.
    pub faults: Vec<BundleFault>,
    /// One per rule.
    pub results: Vec<TestResult>,
    /// Which lines were evaluated, if that was asked for.
    pub coverage: Option<Coverage>,
}

/// One test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestResult {
    /// The package, without `data.`.
    pub package: String,
    /// The rule.
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
        self.ran() && self.failures() == 0
    }

    /// Whether the bundle is sound and any test ran.
    pub fn ran(&self) -> bool {
        self.faults.is_empty() && self.results.len() > self.skipped()
    }

    /// How many tests failed or ended in an error.
    pub fn failures(&self) -> usize {
        self.count(|outcome| matches!(outcome, TestOutcome::Failed | TestOutcome::Errored(_)))
    }

    /// How many were skipped.
    pub fn skipped(&self) -> usize {
        self.count(|outcome| *outcome == TestOutcome::Skipped)
    }

    fn count(&self, wanted: impl Fn(&TestOutcome) -> bool) -> usize {
        self.results.iter().filter(|result| wanted(&result.outcome)).count()
    }

    /// The results as `opa test --format json` writes them.
    pub fn to_json(&self) -> Value {
        self.results.iter().map(TestResult::to_json).collect()
    }
}

impl TestResult {
    fn to_json(&self) -> Value {
        let mut result = json!({
            "location": {"file": self.file, "row": self.line, "col": 1},
            "package": format!("data.{}", self.package),
            "name": self.name,
            "duration": u64::try_from(self.duration.as_nanos()).unwrap_or(u64::MAX),
        });
        let word = match &self.outcome {
            TestOutcome::Passed => None,
            TestOutcome::Failed => Some(("fail", json!(true))),
            TestOutcome::Errored(text) => Some(("error", json!({"message": text.trim()}))),
            TestOutcome::Skipped => Some(("skip", json!(true))),
        };
        if let (Some((key, value)), Some(object)) = (word, result.as_object_mut()) {
            object.insert(key.to_owned(), value);
        }
        result
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
            let name = format!("{}.{}", result.package, result.name);
            writeln!(f, "{}:{}: {name}: {word} ({}.{:03} ms)", result.file, result.line, micros / 1_000, micros % 1_000)?;
            if let TestOutcome::Errored(text) = &result.outcome {
                writeln!(f, "  {}", text.trim().replace('\n', "\n  "))?;
            }
        }
        let run = self.results.len() - self.skipped();
        writeln!(f, "PASS: {}/{run}", self.count(|outcome| *outcome == TestOutcome::Passed))?;
        for (word, count) in [
            ("FAIL", self.count(|outcome| *outcome == TestOutcome::Failed)),
            ("ERROR", self.count(|outcome| matches!(outcome, TestOutcome::Errored(_)))),
            ("SKIPPED", self.skipped()),
        ] {
            if count > 0 {
                writeln!(f, "{word}: {count}/{}", if word == "SKIPPED" { self.results.len() } else { run })?;
            }
        }
        Ok(())
    }
}
