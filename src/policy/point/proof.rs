//! The check at load: what is left of the rules is held against the interpreter, record by record, at the edges of each condition.
//!
//! INVARIANT: a bundle whose conditions, of the products and records that are sampled, would show a record that the interpreter hides, or hide
//! one that it shows without a reason of the residual's own, is refused. So is one of whose rules no product can make a filter.
//! The sample is the same on every machine: products in the order of their names, some principals, the edges of each condition, until so many
//! questions have been asked. How many products were left out is known ([`Sampled`]).

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::DateTime;
use serde_json::{Value, json};

use crate::identity::Principal;
use crate::policy::bundle::{Package, TIME_LIMIT};
use crate::policy::contract::{Column, Contract};
use crate::policy::input;
use crate::policy::rego::{Rego, RegoValue};
use crate::policy::residual::ir::Site;
use crate::policy::residual::{Record, RecordQuestion, Residual, Stop, edge_rows, is_visible, with_record};
use crate::policy::{AccessRequest, BundleFault, RequestContext, SubjectSet};

use super::DecisionPoint;

/// How many questions the rules are asked at most.
const QUESTIONS_MAX: usize = 3_000;

/// Rules of which a question takes so long that they take longer than this together are no rules to wait for: the erasure list waits, too.
const TIME_MAX: Duration = Duration::from_secs(20);

/// The records that one condition is checked with.
const ROWS_MAX: usize = 40;

/// How many of the erased people take part.
const ERASED_MAX: usize = 2;

/// An id that no list of erased people holds.
const NOBODY: &str = "meshgate-nobody";

/// The time that the check is made at, in nanoseconds since 1970: 2030-03-31 13:24:35.678901.
const NOW_NS: i64 = 1_901_193_875_678_901_000;

/// How far a condition that the clock moves is moved and checked again: a year and a bit.
const LATER_NS: i64 = 31_623_456_789_012_000;

/// How far the check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sampled {
    /// Products with rules about records.
    pub products: usize,
    /// Those of them that were not looked at, or not with every principal.
    pub left_out: usize,
}

/// What the check has found.
#[derive(Default)]
struct Findings {
    sampled: Sampled,
    mismatches: Vec<BundleFault>,
    untranslatable: BTreeMap<(usize, usize), String>,
    translated: usize,
    seen: BTreeSet<String>,
}

/// Checks the rules about records; `catalog` is what the catalog puts under `data`.
pub(super) fn prove(point: &DecisionPoint, catalog: &Value) -> Result<Sampled, Vec<BundleFault>> {
    let program = point.bundle.records();
    if program.groups.is_empty() {
        return Ok(Sampled::default());
    }
    // The interpreter tells 007 from 7; a column of numbers does not.
    let canonical = |id: &str| id.parse::<i64>().map_or_else(|_| id.to_owned(), |number| number.to_string());
    let ids: Vec<String> = point.erased.iter().take(ERASED_MAX).map(canonical).chain(["7".to_owned(), "c-7".to_owned()]).collect();
    let numbers = ids.iter().filter_map(|id| id.parse::<i64>().ok()).map(Value::from);
    let mut catalog = catalog.clone();
    if let Some(data) = catalog.as_object_mut() {
        // The interpreter tells 7 from "7"; the set of the erased does not.
        data.insert("erased_subjects".to_owned(), ids.iter().map(|id| json!(id)).chain(numbers).collect());
    }
    let check = Check {
        point,
        rego: point.bundle.rego().extended(None, &catalog)?,
        erased: Arc::new(SubjectSet::new(ids.clone())),
        ids: ids.into_iter().chain([NOBODY.to_owned()]).collect(),
        questions: Cell::new(0),
    };
    let findings = check.run();
    let sampled = findings.sampled;
    let mut faults = findings.mismatches;
    if findings.translated == 0 {
        faults.extend(findings.untranslatable.into_iter().map(|((file, line), message)| {
            let site = Site { file, line };
            let rule = program.rule_at(site).unwrap_or_default();
            let message = format!("rule {rule} depends on single records and cannot be made a filter for any product: {message}");
            BundleFault { file: program.file(site).to_owned(), line, message }
        }));
    }
    faults.dedup();
    if faults.is_empty() { Ok(sampled) } else { Err(faults) }
}

/// A principal who is nobody in particular.
pub(super) fn principal(roles: BTreeSet<String>, is_data_steward: bool) -> Arc<Principal> {
    let (groups, attributes) = (BTreeSet::new(), BTreeMap::new());
    Arc::new(Principal { product: None, name: "check".to_owned(), roles, groups, is_data_steward, attributes })
}

/// What such a principal may ask of any product: for rows, and for none of their fields.
pub(super) fn request(contract: &Contract, principal: &Arc<Principal>) -> Option<AccessRequest> {
    let port = contract.product.output_ports.first()?;
    Some(AccessRequest {
        principal: Arc::clone(principal),
        purpose: None,
        product: Arc::clone(&contract.product),
        port: port.name.clone(),
        fields: Vec::new(),
        context: RequestContext {
            query_id: "check".to_owned(),
            now: DateTime::from_timestamp_nanos(NOW_NS),
            application_name: "check".to_owned(),
            client_address: None,
        },
    })
}

struct Check<'a> {
    point: &'a DecisionPoint,
    rego: Rego,
    erased: Arc<SubjectSet>,
    ids: Vec<String>,
    /// How many questions have been asked.
    questions: Cell<usize>,
}

impl Check<'_> {
    /// Counts a question.
    fn count(&self) {
        self.questions.set(self.questions.get().saturating_add(1));
    }

    fn run(&self) -> Findings {
        let mut findings = Findings::default();
        let started = Instant::now();
        let mut contracts: Vec<&Contract> = self.point.contracts.values().collect();
        contracts.sort_by_key(|contract| contract.product.reference.to_string());
        let principals = self.principals();
        for contract in contracts {
            let Ok(packages) = self.point.packages(contract) else { continue };
            let packages: Vec<&Package> = packages.into_iter().filter(|package| !package.record_rules.is_empty()).collect();
            findings.sampled.products = findings.sampled.products.saturating_add(usize::from(!packages.is_empty()));
            let mut whole = true;
            for (package, principal) in packages.iter().flat_map(|package| principals.iter().map(move |principal| (package, principal))) {
                whole = self.questions.get() < QUESTIONS_MAX && started.elapsed() < TIME_MAX;
                if whole {
                    self.contract(contract, package, principal, &mut findings);
                }
            }
            findings.sampled.left_out = findings.sampled.left_out.saturating_add(usize::from(!whole));
        }
        findings
    }

    /// Nobody in particular, a steward, and whoever holds what the rules ask for.
    fn principals(&self) -> Vec<Arc<Principal>> {
        let texts = self.point.bundle.records().texts.clone();
        vec![
            principal(BTreeSet::new(), false),
            principal(BTreeSet::new(), true),
            principal(["pii_authorized".to_owned()].into(), false),
            principal(texts, false),
        ]
    }

    fn contract(&self, contract: &Contract, package: &Package, principal: &Arc<Principal>, findings: &mut Findings) {
        let Some(request) = request(contract, principal) else { return };
        let Ok(columns) = contract.columns(&request) else { return };
        let governance = &contract.product.governance;
        let resolve = |name: &Option<crate::product::FieldName>| name.as_ref().and_then(|name| Contract::resolve(&columns, name).ok());
        let (created, subject) = (resolve(&governance.retention_column), resolve(&governance.subject_column));
        let record = Record { columns: &columns, created: created.as_ref(), subject: subject.as_ref() };
        let input_at = |now_ns: i64| input::read(&request, contract, &columns, now_ns, |_| false).to_value();
        let program = self.point.bundle.records();
        let question = RecordQuestion { program, data: self.rego.data(), record, erased: &self.erased, limit: TIME_LIMIT };
        let mut session = self.rego.session(Some(RegoValue::from(input_at(NOW_NS))), Some(NOW_NS));
        self.count();
        match question.ask(&package.name, &mut session) {
            Ok(residual) => {
                findings.translated = findings.translated.saturating_add(1);
                if findings.seen.insert(format!("{:?} {:?}", package.name, residual.filter)) {
                    let later = NOW_NS.saturating_add(LATER_NS);
                    let moves = residual.filter.is_moving() && residual.valid.is_some_and(|(from, to)| (from..=to).contains(&later));
                    let differs = |now_ns: i64| self.rows(package, &columns, &record, &input_at(now_ns), &residual, now_ns);
                    if let Some(what) = differs(NOW_NS).or_else(|| if moves { differs(later) } else { None }) {
                        findings.mismatches.push(self.mismatch(package, &residual, what));
                    }
                }
            }
            Err(Stop::Untranslatable(site, message)) => {
                findings.untranslatable.insert((site.file, site.line), message);
            }
            // A failure is a denial of its own, with or without records.
            Err(Stop::Failed(..) | Stop::Interpreter(_) | Stop::Late) => {}
        }
    }

    /// Whether the filter lets through at that time what the interpreter would.
    fn rows(
        &self,
        package: &Package,
        columns: &[Column],
        record: &Record<'_>,
        input: &Value,
        residual: &Residual,
        now_ns: i64,
    ) -> Option<&'static str> {
        // What cannot be told at a time is decided anew by then.
        let filter = residual.filter.at(now_ns)?;
        let rows = edge_rows(columns, record, &filter, &self.ids, now_ns)?;
        rows.into_iter().take(ROWS_MAX).find_map(|row| {
            let expected = self.interpreted(package, &with_record(input, record, &row), now_ns);
            let found = is_visible(residual, &filter, &row);
            let differs = found != expected && (found || !residual.stricter);
            differs.then_some(if found { "shows" } else { "hides" })
        })
    }

    fn mismatch(&self, package: &Package, residual: &Residual, what: &str) -> BundleFault {
        let program = self.point.bundle.records();
        let site = residual.limits.first().map(|limit| limit.site).or_else(|| program.site_of(&format!("{}.allow", package.name)));
        let site = site.or_else(|| program.site_of(&format!("{}.deny", package.name))).unwrap_or_default();
        let message = format!("the filter of package {} {what} a record that the interpreter does not", package.name);
        BundleFault { file: program.file(site).to_owned(), line: site.line, message }
    }

    /// What the interpreter says of one record, as far as the rules about records go.
    fn interpreted(&self, package: &Package, input: &Value, now_ns: i64) -> bool {
        self.count();
        let mut session = self.rego.session(Some(RegoValue::from(input.clone())), Some(now_ns));
        let mut ask = |rule: &str| match package.record_rules.contains(rule) {
            true => session.ask(&format!("{}.{rule}", package.name)).map(Some),
            false => Ok(None),
        };
        let Ok(allow) = ask("allow") else { return false };
        let Ok(deny) = ask("deny") else { return false };
        let allowed = allow.is_none_or(|allow| allow == Some(RegoValue::from(true)));
        let denied = deny.flatten().is_some_and(|deny| deny.as_set().is_ok_and(|set| !set.is_empty()));
        allowed && !denied
    }
}
