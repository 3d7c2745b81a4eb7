//! The Rego interpreter: compiles a bundle once and answers rules from a clone of it. Only this file and its folder name `regorus`.
//!
//! INVARIANT: interpreted, never run as bytecode: the bytecode machine was seen to answer `true` after a type error.
//! INVARIANT: an evaluation that fails, panics or overruns its time is an [`EvaluationError`], never a value.

mod bodies;
mod coverage;
mod json;
mod query;
mod reads;
mod references;
mod translate;
mod value;

pub(super) use bodies::Body;
pub(super) use coverage::Lines;
pub(super) use json::{from_json, to_json};

use std::cell::Cell;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use regorus::unstable::{Expr, Rule, RuleHead};
use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, LimitError, Value};

use super::file::{BundleFault, BundleFile};
use super::reads::Reads;
use super::residual::ir::Program;

pub(super) use value::{Builtin, Value as RegoValue, arithmetic, combine, compare, is_inexact, number, parse_number, rounded};

/// `numbers.range` allocates before the clock is looked at; a longer one is an error.
const RANGE_ITEMS_MAX: i64 = 100_000;

/// What the interpreter says of a path that is no rule's.
const NO_RULE: &str = "not a valid rule path";

/// The clock is looked at every so many steps of the interpreter.
const STEPS_BETWEEN_CLOCK_READS: u32 = 64;

/// A rule of a bundle and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RuleSite {
    /// The package, without `data.`.
    pub(super) package: String,
    /// The rule's first name: `columnMasks` for `columnMasks contains …`.
    pub(super) name: String,
    /// File.
    pub(super) file: String,
    /// Line, from 1.
    pub(super) line: usize,
    /// Whether it puts an element into a set of that name.
    pub(super) is_set: bool,
}

/// Why a rule has no value that can be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum EvaluationError {
    /// It ran for too long.
    #[error("the evaluation ran past its time limit")]
    Late,
    /// It failed; `site` is `file:line:column` if known. The interpreter's own text may hold values and is kept for `policy test`.
    #[error("the evaluation failed{}", site.as_deref().map(|site| format!(" at {site}")).unwrap_or_default())]
    Failed {
        /// Where.
        site: Option<String>,
        /// The interpreter's words.
        text: String,
    },
}

/// A compiled bundle. Cloning is cheap.
#[derive(Clone)]
pub(super) struct Rego {
    engine: Arc<Engine>,
}

impl std::fmt::Debug for Rego {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rego").finish_non_exhaustive()
    }
}

impl Rego {
    /// Compiles the files; every file that does not parse is a fault of its own.
    pub(super) fn compile(files: &[BundleFile], time_limit: Duration) -> Result<(Self, Vec<RuleSite>), Vec<BundleFault>> {
        let mut engine = Engine::new();
        replace_functions(&mut engine).map_err(|text| vec![BundleFault { file: String::new(), line: 0, message: text }])?;
        let interval = NonZeroU32::new(STEPS_BETWEEN_CLOCK_READS).unwrap_or(NonZeroU32::MIN);
        engine.set_execution_timer_config(ExecutionTimerConfig { limit: time_limit, check_interval: interval });
        let mut faults = Vec::new();
        let mut packages = BTreeMap::new();
        for file in files {
            match engine.add_policy(file.path.clone(), file.text.clone()) {
                Ok(package) => {
                    packages.insert(file.path.as_str(), package);
                }
                Err(error) => faults.push(fault(&file.path, &error)),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let sites = rule_sites(&mut engine, &packages);
        prepare(&mut engine)?;
        Ok((Self { engine: Arc::new(engine) }, sites))
    }

    /// The same bundle with a further file and further data, merged at the root.
    pub(super) fn extended(&self, file: Option<BundleFile>, data: &serde_json::Value) -> Result<Self, Vec<BundleFault>> {
        let mut engine = Engine::clone(&self.engine);
        if let Some(file) = file {
            engine.add_policy(file.path.clone(), file.text).map_err(|error| vec![fault(&file.path, &error)])?;
        }
        engine.add_data(Value::from(data.clone())).map_err(|error| vec![fault("data.json", &error)])?;
        prepare(&mut engine)?;
        Ok(Self { engine: Arc::new(engine) })
    }

    /// What the rules read of a question's circumstances.
    pub(super) fn reads(&self) -> Reads {
        let mut engine = Engine::clone(&self.engine);
        reads::reads(engine.get_modules())
    }

    /// The value of a rule (`package.rule`) for that input; `None` if it is undefined.
    pub(super) fn ask(&self, rule: &str, input: Option<&serde_json::Value>) -> Result<Option<serde_json::Value>, EvaluationError> {
        match self.session(input.map(from_json), None).ask(rule)? {
            None => Ok(None),
            Some(value) => to_json(&value).map(Some),
        }
    }

    /// Answers for one input, at one time; the system's clock if none is given.
    pub(super) fn session(&self, input: Option<Value>, now_ns: Option<i64>) -> Session {
        let mut engine = Engine::clone(&self.engine);
        if let Some(input) = &input {
            engine.set_input(input.clone());
        }
        Session { engine, input: input.unwrap_or(Value::Undefined), now_ns, looked_at_clock: false, known: BTreeMap::new() }
    }

    /// The documents under `data` that are no rules.
    pub(super) fn data(&self) -> Value {
        self.engine.get_data()
    }

    /// The rules that a record can reach, translated for evaluation with records unknown.
    pub(super) fn program(&self) -> Result<Program, Vec<BundleFault>> {
        let mut engine = Engine::clone(&self.engine);
        translate::program(engine.get_modules())
    }
}

/// The interpreter with one input. Every rule that is asked is evaluated anew.
pub(super) struct Session {
    engine: Engine,
    input: Value,
    now_ns: Option<i64>,
    looked_at_clock: bool,
    known: BTreeMap<String, Value>,
}

impl Session {
    /// Keeps values of rules that were asked already, by `package.rule`.
    pub(super) fn learn(&mut self, values: Vec<(String, Value)>) {
        self.known.extend(values);
    }

    /// The same with another input, at the same time; nothing is known of it yet.
    pub(super) fn with_input(&self, input: &Value) -> Self {
        let mut engine = Engine::clone(&self.engine);
        engine.set_input(input.clone());
        Self { engine, input: input.clone(), now_ns: self.now_ns, looked_at_clock: false, known: BTreeMap::new() }
    }

    /// The value of a rule that need not be asked twice.
    pub(super) fn recall(&mut self, rule: &str) -> Result<Option<Value>, EvaluationError> {
        match self.known.get(rule) {
            Some(value) => Ok(Some(value.clone())),
            None => match self.ask(rule) {
                // The parts of an object with written keys are rules each, and the object is none.
                Err(EvaluationError::Failed { text, .. }) if text.contains(NO_RULE) => self.document(rule),
                answer => answer,
            },
        }
    }

    /// The value of a path under `data` that is made up of rules.
    fn document(&mut self, path: &str) -> Result<Option<Value>, EvaluationError> {
        let query = format!("data.{path}");
        let answer = self.evaluate(|engine| engine.eval_query(query, false))?;
        let value = answer.result.into_iter().next().and_then(|row| row.expressions.into_iter().next()).map(|found| found.value);
        Ok(value.filter(|value| *value != Value::Undefined))
    }

    /// The input.
    pub(super) fn input(&self) -> &Value {
        &self.input
    }

    /// A function of the language on known values.
    pub(super) fn call(&self, builtin: &Builtin, args: &[Value]) -> Result<Value, String> {
        call(builtin, args, self.now_ns)
    }

    /// The time that rules are told, if it is not the system's.
    pub(super) fn now_ns(&self) -> Option<i64> {
        self.now_ns
    }

    /// Whether a rule that was asked has looked at the clock.
    pub(super) fn looked_at_clock(&self) -> bool {
        self.looked_at_clock
    }

    /// The value of a rule (`package.rule`); `None` if it is undefined.
    pub(super) fn ask(&mut self, rule: &str) -> Result<Option<Value>, EvaluationError> {
        let path = format!("data.{rule}");
        let value = self.evaluate(|engine| engine.eval_rule(path))?;
        Ok((value != Value::Undefined).then_some(value))
    }

    /// Evaluates by the session's clock; a panic is a failure.
    fn evaluate<T>(&mut self, evaluate: impl FnOnce(&mut Engine) -> anyhow::Result<T>) -> Result<T, EvaluationError> {
        let before = (CLOCK.replace(self.now_ns), LOOKED_AT.replace(false));
        let answer = catch_unwind(AssertUnwindSafe(|| evaluate(&mut self.engine)));
        self.looked_at_clock |= LOOKED_AT.replace(before.1);
        CLOCK.set(before.0);
        match answer {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(evaluation_error(&error)),
            Err(_panic) => Err(EvaluationError::Failed { site: None, text: "the interpreter panicked".to_owned() }),
        }
    }
}

/// A function of the language on known values, by that clock.
pub(super) fn call(builtin: &Builtin, args: &[Value], now_ns: Option<i64>) -> Result<Value, String> {
    let before = CLOCK.replace(now_ns);
    let value = catch_unwind(AssertUnwindSafe(|| builtin.call(args)));
    CLOCK.set(before);
    value.unwrap_or_else(|_panic| Err(format!("{} panicked", builtin.name())))
}

thread_local! {
    /// The clock of the statement whose rules this thread evaluates.
    static CLOCK: Cell<Option<i64>> = const { Cell::new(None) };
    /// Whether a rule has asked for it.
    static LOOKED_AT: Cell<bool> = const { Cell::new(false) };
}

/// The time that rules are told: the statement's, or the system's where there is no statement.
fn clock_ns() -> i64 {
    LOOKED_AT.set(true);
    CLOCK.get().or_else(|| chrono::Utc::now().timestamp_nanos_opt()).unwrap_or(i64::MAX)
}

/// `numbers.range`, without its appetite.
fn bounded_range(arguments: &[Value]) -> anyhow::Result<Value> {
    let [from, to] = arguments else { anyhow::bail!("numbers.range takes two arguments") };
    let (from, to) = (from.as_i64()?, to.as_i64()?);
    if from.abs_diff(to) >= RANGE_ITEMS_MAX.unsigned_abs() {
        anyhow::bail!("numbers.range is limited to {RANGE_ITEMS_MAX} items");
    }
    let items: Vec<Value> = if from <= to { (from..=to).map(Value::from).collect() } else { (to..=from).rev().map(Value::from).collect() };
    Ok(Value::from(items))
}

/// Replaces the built-in functions that could allocate without bound in one step, and the clock.
fn replace_functions(engine: &mut Engine) -> Result<(), String> {
    let bounded = |arguments: Vec<Value>| bounded_range(&arguments);
    let refused = |_arguments: Vec<Value>| anyhow::bail!("numbers.range_step is not available");
    let clock = |_arguments: Vec<Value>| Ok(Value::from(clock_ns()));
    engine.add_extension("numbers.range".to_owned(), 2, Box::new(bounded)).map_err(|error| error.to_string())?;
    engine.add_extension("numbers.range_step".to_owned(), 3, Box::new(refused)).map_err(|error| error.to_string())?;
    engine.add_extension("time.now_ns".to_owned(), 0, Box::new(clock)).map_err(|error| error.to_string())
}

/// Makes the interpreter analyse its modules now, so that a fault shows at load and each decision starts from a prepared engine.
fn prepare(engine: &mut Engine) -> Result<(), Vec<BundleFault>> {
    match engine.eval_rule("data.meshgate_prepare.nothing".to_owned()) {
        Err(error) if !error.to_string().contains(NO_RULE) => Err(vec![fault("", &error)]),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn rule_sites(engine: &mut Engine, packages: &BTreeMap<&str, String>) -> Vec<RuleSite> {
    let mut sites = Vec::new();
    for module in engine.get_modules().iter() {
        let file = module.package.span.source.get_path().clone();
        let package = packages.get(file.as_str()).map(|package| package.trim_start_matches("data.").to_owned()).unwrap_or_default();
        for rule in &module.policy {
            sites.push(rule_site(rule, &package, &file));
        }
    }
    sites
}

fn rule_site(rule: &Rule, package: &str, file: &str) -> RuleSite {
    let head = match rule {
        Rule::Spec { head: RuleHead::Compr { refr, .. } | RuleHead::Set { refr, .. } | RuleHead::Func { refr, .. }, .. }
        | Rule::Default { refr, .. } => refr,
    };
    let span = head.span();
    let name: String = span.text().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    let line = usize::try_from(span.line).unwrap_or_default();
    let is_set = matches!(rule, Rule::Spec { head: RuleHead::Set { refr, .. }, .. } if matches!(refr.as_ref(), Expr::Var { .. }));
    RuleSite { package: package.to_owned(), name, file: file.to_owned(), line, is_set }
}

fn evaluation_error(error: &anyhow::Error) -> EvaluationError {
    let late = error.chain().any(|cause| matches!(cause.downcast_ref::<LimitError>(), Some(LimitError::TimeLimitExceeded { .. })));
    if late {
        return EvaluationError::Late;
    }
    let text = format!("{error:#}");
    let site = position(&text).map(|(file, line, column)| format!("{file}:{line}:{column}"));
    EvaluationError::Failed { site, text }
}

/// A fault of the interpreter's; its message names the place in a line of its own.
fn fault(file: &str, error: &anyhow::Error) -> BundleFault {
    let text = format!("{error:#}");
    let message = text.rsplit_once("error: ").map_or(text.as_str(), |(_, message)| message).trim().to_owned();
    match position(&text) {
        Some((file, line, _)) => BundleFault { file: file.to_owned(), line, message },
        None => BundleFault { file: file.to_owned(), line: 0, message },
    }
}

/// Reads `--> file:line:column` out of a message.
fn position(text: &str) -> Option<(&str, usize, usize)> {
    let (_, place) = text.split_once("--> ")?;
    let place = place.lines().next()?;
    let (place, column) = place.rsplit_once(':')?;
    let (file, line) = place.rsplit_once(':')?;
    Some((file, line.parse().ok()?, column.parse().ok()?))
}
