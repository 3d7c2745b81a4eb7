//! `meshgate policy test` and `meshgate policy eval`.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use regex::Regex;
use serde_json::Value;

use crate::config::{self, Config};
use crate::policy::{self, BundleFile, CatalogFacts, ENTRY_PACKAGE, TestOptions};
use crate::server::load;

use super::Code;

/// How a tool writes what it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// What `policy test` is asked for.
#[derive(Debug, Clone, Default)]
pub struct TestRun {
    /// Folders, archives and files of a bundle.
    pub paths: Vec<PathBuf>,
    /// Only tests whose full name it matches.
    pub run: Option<String>,
    /// Whether to report which lines were evaluated.
    pub coverage: bool,
    /// The least coverage in percent; asks for it.
    pub threshold: Option<f64>,
    /// Whether skipped tests are as good as passed ones.
    pub exit_zero_on_skipped: bool,
    /// How to write.
    pub format: Format,
}

/// `meshgate policy test`: the bundle's own tests. 0: all passed; 2: not all, or too few lines covered; 1: nothing could be tested.
pub fn policy_test(run: &TestRun, out: &mut dyn Write) -> Code {
    let pattern = run.run.as_deref().map(Regex::new).transpose().context("--run is no regular expression")?;
    if let Some(threshold) = run.threshold {
        anyhow::ensure!((0.0..=100.0).contains(&threshold), "--threshold is a percentage from 0 to 100");
    }
    let options = TestOptions { run: pattern, coverage: run.coverage || run.threshold.is_some() };
    let report = policy::test(files(&run.paths)?, &options);
    if !report.faults.is_empty() {
        let faults: Vec<String> = report.faults.iter().map(ToString::to_string).collect();
        anyhow::bail!("the bundle has faults:\n{}", faults.join("\n"));
    }
    match (run.format, &report.coverage) {
        (Format::Text, None) => write!(out, "{report}")?,
        (Format::Text, Some(coverage)) => write!(out, "{report}{coverage}")?,
        (Format::Json, None) => writeln!(out, "{:#}", report.to_json())?,
        (Format::Json, Some(coverage)) => writeln!(out, "{:#}", coverage.to_json())?,
    }
    anyhow::ensure!(!report.results.is_empty(), "no tests were run");
    let uncovered = match (run.threshold, &report.coverage) {
        (Some(threshold), Some(coverage)) => coverage.percent() < threshold,
        _ => false,
    };
    let skipped = report.skipped() > 0 && !run.exit_zero_on_skipped;
    Ok(if report.failures() > 0 || skipped || uncovered { 2 } else { 0 })
}

/// What `policy eval` is asked for.
#[derive(Debug, Clone, Default)]
pub struct EvalOptions {
    /// A configuration; or the folder, the archive or a file of a bundle.
    pub of: PathBuf,
    /// A JSON file with the input; `-` is standard input.
    pub input: Option<PathBuf>,
    /// The query; without one, the mesh-wide package.
    pub query: Option<String>,
    /// Whether an undefined answer is a failure.
    pub fail: bool,
    /// How to write.
    pub format: Format,
}

/// `meshgate policy eval`: what a query answers. 0: it has an answer, or is undefined; 1: it is undefined and must not be; 2: it failed.
pub fn policy_eval(options: &EvalOptions, out: &mut dyn Write) -> Code {
    let (files, catalog) = match configuration(&options.of)? {
        Some(config) => {
            let path = config.policies.path().context("the configuration's policies lie elsewhere; fetch them and name the archive")?;
            (load::bundle_files(path)?, Some(catalog(&config)?))
        }
        None => (files(std::slice::from_ref(&options.of))?, None),
    };
    let input = options.input.as_deref().map(read_input).transpose()?;
    let whole = format!("data.{ENTRY_PACKAGE}");
    let query = options.query.as_deref().unwrap_or(&whole);
    let answer = policy::evaluate(files, catalog.as_ref(), query, input.as_ref())?;
    let rows = answer.get("result").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    match (options.format, rows) {
        (Format::Json, _) => writeln!(out, "{answer:#}")?,
        (Format::Text, []) => writeln!(out, "undefined")?,
        (Format::Text, rows) => {
            for value in rows.iter().flat_map(values) {
                writeln!(out, "{value:#}")?;
            }
        }
    }
    Ok(u8::from(rows.is_empty() && options.fail))
}

/// What one row of an answer says: the variables that it binds, else the values of its expressions.
fn values(row: &Value) -> Vec<&Value> {
    match &row["bindings"] {
        Value::Null => row["expressions"].as_array().into_iter().flatten().map(|expression| &expression["value"]).collect(),
        bindings => vec![bindings],
    }
}

/// The configuration, if that is what lies there.
fn configuration(path: &Path) -> anyhow::Result<Option<Config>> {
    let yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    if !yaml {
        return Ok(None);
    }
    let faults = |faults: Vec<crate::document::Fault>| {
        let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("the configuration has faults:\n{}", lines.join("\n"))
    };
    config::load(path).map(Some).map_err(faults)
}

fn catalog(config: &Config) -> anyhow::Result<CatalogFacts> {
    let snapshot = load::catalog(config)?;
    let retention = snapshot.domains().filter_map(|domain| Some((domain.name.clone(), domain.retention_days?))).collect();
    Ok(CatalogFacts { products: snapshot.products(), retention })
}

fn read_input(path: &Path) -> anyhow::Result<Value> {
    let text = if path == Path::new("-") {
        std::io::read_to_string(std::io::stdin()).context("standard input cannot be read")?
    } else {
        std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?
    };
    serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))
}

/// The files of a bundle that lies in one folder, or in several places; then each is named with its place.
fn files(paths: &[PathBuf]) -> anyhow::Result<Vec<BundleFile>> {
    let mut files = Vec::new();
    for path in paths {
        let alone = path.extension().is_some_and(|extension| extension == "rego" || extension == "json");
        if alone && !path.is_dir() {
            let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
            files.push(BundleFile { path: path.display().to_string(), text });
            continue;
        }
        let mut of_bundle = load::bundle_files(path)?;
        if paths.len() > 1 {
            for file in &mut of_bundle {
                file.path = path.join(&file.path).display().to_string();
            }
        }
        files.extend(of_bundle);
    }
    Ok(files)
}
