//! The decision point: asks the guard and the rules, and makes one [`Decision`] of what they say.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::identity::Principal;
use crate::product::{DomainName, FieldName, OutputPort, Product, ProductRef};

use super::answer::{Answer, AnswerFault, Answered, Masks, ask, ask_all, keep_residual, read_answer, read_masks, row_conditions};
use super::bundle::{Bundle, ENTRY_PACKAGE, Package, TIME_LIMIT};
use super::cache::Cache;
use super::condition::Condition;
use super::contract::{Column, Contract, ProductPackage};
use super::course::{ALWAYS, Course, Rows, Span, common};
use super::file::BundleFault;
use super::found::Found;
use super::guard::{Refusal, complete_masks, confirm, is_masked_at_a_guess, mark_feeding, public_message, require_keys};
use super::rego::{Rego, RegoValue, Session, from_json};
use super::residual::{Record, RecordQuestion, Residual};
use super::{
    AccessRequest, Decision, DecisionId, DenyReason, Exclusion, Mask, MaskKeys, Obligations, Outcome, Question, RowRule, SubjectSet, input,
    schema,
};

/// What a row filter's part is called that hides records past their retention.
const RETENTION_RULE: &str = "contract.retention";

/// The key of the record that names the rule by which the caller is spared that.
pub(super) const SPARED: &str = "retention_spared_by";

/// The rules asked first, and those asked when it is known what will be masked.
const FIRST: [&str; 2] = ["columnMasks", "fieldGrants"];
const SECOND: [&str; 5] = ["allow", "deny", "exemptions", "notices", "rowFilters"];
/// All of them.
const WHOLE: [&str; 7] = ["columnMasks", "fieldGrants", "allow", "deny", "exemptions", "notices", "rowFilters"];

/// A bundle over one catalog snapshot. Cheap to share; never changes.
#[derive(Debug)]
pub struct DecisionPoint {
    bundle: Arc<Bundle>,
    pub(super) rego: Rego,
    data: RegoValue,
    pub(super) contracts: HashMap<ProductRef, Contract>,
    mask_keys: MaskKeys,
    erased: Arc<SubjectSet>,
    /// The roles that see all of the gateway's own records.
    auditors: BTreeSet<String>,
    cache: Cache,
    found: Found,
    sampled: Sampled,
}

/// A question that was put to the rules.
struct Asked {
    session: Session,
    /// Which columns it had as masked.
    masked: fn(&AccessRequest, &Column) -> bool,
    /// What each package answered of masks.
    masks: Vec<Map<String, Value>>,
    /// What each package answered besides; empty if it was not asked.
    rest: Vec<Answered>,
}

/// How a decision came about, for the audit log, and for how long it holds.
#[derive(Debug, Default)]
struct Trace {
    /// What was asked; `None` if nothing was.
    question: Option<Question>,
    result: Map<String, Value>,
    rules: Vec<String>,
    fields: Vec<FieldName>,
    /// From when to when the rules would answer the same; `None` if that is not known.
    valid: Option<Span>,
    /// The rows that may be seen, at any time.
    rows: Option<Rows>,
    /// The rule that spares the caller the contract's period.
    spared: Option<RowRule>,
}

impl DecisionPoint {
    /// Binds a bundle to the products of a snapshot, the retention periods of its domains, and the erased people.
    pub fn new(
        bundle: Arc<Bundle>,
        products: &[Arc<Product>],
        domain_retention: &BTreeMap<DomainName, u32>,
        erased: Arc<SubjectSet>,
    ) -> Result<Self, Vec<BundleFault>> {
        let contracts: HashMap<ProductRef, Contract> =
            products.iter().map(|product| (product.reference.clone(), Contract::new(product, domain_retention))).collect();
        let catalog = input::catalog_data(contracts.values(), domain_retention);
        let rego = bundle.rego().extended(None, &catalog)?;
        let data = rego.data();
        let cache = Cache::new(bundle.reads());
        let (mask_keys, auditors, sampled) = (MaskKeys::default(), BTreeSet::new(), Sampled::default());
        let point = Self { bundle, rego, data, contracts, mask_keys, erased, auditors, cache, found: Found::default(), sampled };
        let sampled = proof::prove(&point, &catalog)?;
        Ok(Self { sampled, ..point })
    }

    /// The same decision point with the secrets of keyed masks. Without its secret, a mask denies.
    #[must_use]
    pub fn with_mask_keys(self, mask_keys: MaskKeys) -> Self {
        Self { mask_keys, ..self }
    }

    /// The same decision point with the roles of auditors.
    #[must_use]
    pub fn with_auditors(self, roles: impl IntoIterator<Item = String>) -> Self {
        Self { auditors: roles.into_iter().collect(), ..self }
    }

    /// How far the rules about records were checked.
    pub fn sampled(&self) -> Sampled {
        self.sampled
    }

    /// The erased people.
    pub fn erased(&self) -> &SubjectSet {
        &self.erased
    }

    /// Whether the principal sees all of the gateway's own records.
    pub fn is_auditor(&self, principal: &Principal) -> bool {
        self.auditors.iter().any(|role| principal.has_role(role))
    }

    /// The fields whose contract demands a mask with a secret that is not there, and the secret's name.
    pub fn missing_mask_keys(&self) -> Vec<(ProductRef, FieldName, String)> {
        let masks = self
            .contracts
            .values()
            .flat_map(|contract| contract.product.governance.masks.iter().map(|(field, mask)| (&contract.product.reference, field, mask)));
        let missing = masks.filter_map(|(product, field, mask)| match mask {
            Mask::HmacSha256(key) if self.mask_keys.secret(key).is_none() => Some((product.clone(), field.clone(), key.clone())),
            _ => None,
        });
        let mut missing: Vec<_> = missing.collect();
        missing.sort_by_key(|(product, field, _)| (product.to_string(), field.to_string()));
        missing
    }

    /// The products whose contract names a package that the bundle does not have, and the package: only the mesh-wide rules apply to them,
    /// or, if the bundle demands the packages, nobody reads them.
    pub fn missing_packages(&self) -> Vec<(ProductRef, String)> {
        let named = self.contracts.values().filter_map(|contract| match &contract.package {
            ProductPackage::Named(package) => Some((contract.product.reference.clone(), package.clone())),
            ProductPackage::None | ProductPackage::Unreadable => None,
        });
        let mut missing: Vec<_> = named.filter(|(_, package)| !self.bundle.has_product_package(package)).collect();
        missing.sort_by_key(|(product, package)| (product.to_string(), package.clone()));
        missing
    }

    /// The revision of the bundle that decides.
    pub fn bundle_revision(&self) -> &str {
        self.bundle.revision()
    }

    /// Decides about one read. Never fails: whatever goes wrong is a deny. Each decision has an id of its own, also where the rules gave
    /// their answer before.
    pub fn decide(&self, request: &AccessRequest) -> Decision {
        if let Some(decision) = own::decide(self, request) {
            return decision;
        }
        if let Some(decision) = self.cache.find(request) {
            return decision;
        }
        let (decision, course) = self.decide_anew(request);
        if let Some(course) = course {
            self.cache.keep(request, &decision, course);
        }
        decision
    }

    /// A decision, and how it goes on if it holds for longer than this moment.
    fn decide_anew(&self, request: &AccessRequest) -> (Decision, Option<Course>) {
        let mut trace = Trace { valid: Some(ALWAYS), ..Trace::default() };
        trace.fields = request.fields.iter().map(|field| field.name.clone()).collect();
        let product = &request.product.reference;
        let judged = self.judge(request, &mut trace).unwrap_or_else(|refusal| {
            if let Refusal::Answer(fault) = &refusal {
                trace.result.insert("fault".to_owned(), json!(fault.to_string()));
            }
            Outcome::Deny(vec![refusal.reason(product)])
        });
        let outcome = match judged {
            Outcome::Deny(reasons) if reasons.is_empty() => {
                let message = format!("the policies do not allow reading data product \"{product}\"");
                Outcome::Deny(vec![DenyReason { rule: "guard.inconsistent".to_owned(), fields: Vec::new(), message }])
            }
            judged => judged,
        };
        record(&outcome, &mut trace);
        let question = trace.question.take().unwrap_or_else(|| Question::new(input::refused(request)));
        let rows = trace.rows.take();
        let course = trace.valid.map(|valid| Course::new(valid, rows, &self.erased));
        let decision = Decision {
            id: DecisionId(Uuid::now_v7()),
            product: product.clone(),
            port: request.port.clone(),
            fields: trace.fields.into(),
            outcome,
            bundle_revision: self.bundle.revision().into(),
            rules: trace.rules.into(),
            input: question,
            result: Arc::new(Value::Object(trace.result).into()),
        };
        (decision, course)
    }

    /// Whether the principal may know at that time, for that purpose, that the product exists. A bundle without the rule `may_discover` shows
    /// everything to everyone who has logged in; with it, whatever is not exactly true hides the product.
    pub fn may_discover(&self, principal: &Arc<Principal>, product: &Product, purpose: Option<&str>, now: DateTime<Utc>) -> bool {
        if product.is_own() {
            return true;
        }
        let Some(contract) = self.contracts.get(&product.reference) else { return false };
        let Some(mesh) = self.bundle.mesh() else { return false };
        if !mesh.declares("may_discover") {
            return true;
        }
        self.found.of(principal, &product.reference, purpose, || {
            let input = input::discover(principal, purpose, contract);
            if !schema::is_request(&input) {
                return (false, true);
            }
            let mut session = self.rego.session(Some(from_json(&input)), now.timestamp_nanos_opt());
            let answer = session.ask(&format!("{ENTRY_PACKAGE}.may_discover"));
            // A rule that failed may have run out of time.
            let lasting = answer.is_ok() && !session.looked_at_clock() && self.bundle.reads().repeatable();
            (matches!(answer, Ok(Some(RegoValue::Bool(true)))), lasting)
        })
    }

    fn judge(&self, request: &AccessRequest, trace: &mut Trace) -> Result<Outcome, Refusal> {
        let reference = &request.product.reference;
        let contract = self.contracts.get(reference).ok_or(Refusal::UnknownProduct)?;
        if contract.product.governance != request.product.governance {
            return Err(Refusal::UnknownProduct);
        }
        let port = contract.product.output_port(&request.port).ok_or(Refusal::UnknownPort)?;
        let mut columns = contract.columns(request)?;
        trace.fields = columns.iter().filter(|column| column.requested).map(|column| column.name.clone()).collect();
        let now_ns = request.context.now.timestamp_nanos_opt().ok_or(Refusal::Clock)?;
        let packages = self.packages(contract)?;
        if packages.iter().any(|package| package.reads_clock) {
            trace.valid = None;
        }

        let mut asked = match self.ask_at_once(request, contract, &columns, &packages, now_ns, trace)? {
            Some(asked) => asked,
            None => self.ask_for_masks(request, contract, &columns, &packages, now_ns, trace)?,
        };
        let masks = masks(request, std::mem::take(&mut asked.masks), &columns, &packages, trace)?;
        mark_feeding(&mut columns, &masks)?;
        require_keys(&columns, &masks, &self.mask_keys)?;
        let is_masked = |column: &Column| masks.columns.contains_key(&column.name);
        let as_asked = |column: &Column| !column.feeds_mask && (!column.requested || is_masked(column) == (asked.masked)(request, column));
        // Where as much is masked as the question had it, it stays what it was.
        if !columns.iter().all(as_asked) {
            asked.session = self.question(request, contract, &columns, is_masked, now_ns, trace)?;
            asked.rest.clear();
        }
        let answers = self.answers(contract, &packages, &columns, asked, trace)?;

        let mut reasons = reasons(&answers, &columns, port, reference);
        confirm(&request.principal, port, reference, &columns, &masks, &mut reasons);
        if !reasons.is_empty() {
            return Ok(Outcome::Deny(reasons));
        }
        self.obligations(request, contract, &columns, masks, answers, trace).map(Outcome::Allow)
    }

    /// The mesh-wide package, and the product's own if the contract names one that the bundle has.
    pub(super) fn packages(&self, contract: &Contract) -> Result<Vec<&Package>, Refusal> {
        let mesh = self.bundle.mesh().ok_or(Refusal::Contract)?;
        let own = match &contract.package {
            ProductPackage::None => None,
            ProductPackage::Unreadable => return Err(Refusal::Contract),
            ProductPackage::Named(name) => match self.bundle.product_package(name) {
                None if self.bundle.requires_product_packages() => return Err(Refusal::NoProductPackage),
                found => found,
            },
        };
        Ok([mesh].into_iter().chain(own).collect())
    }

    /// Asks for masks and for the rest by one question, in which what the contract wants masked is masked; `None` if the masks have to be
    /// known first, or the rules have no answer to this question. What it says of masks holds whatever will be masked; the rest does if
    /// just that will be.
    fn ask_at_once(
        &self,
        request: &AccessRequest,
        contract: &Contract,
        columns: &[Column],
        packages: &[&Package],
        now_ns: i64,
        trace: &mut Trace,
    ) -> Result<Option<Asked>, Refusal> {
        let masked: fn(&AccessRequest, &Column) -> bool = |request, column| is_masked_at_a_guess(&request.principal, column);
        let reads_others = |column: &Column| column.mask.iter().flat_map(Mask::reads).any(|read| *read != column.name);
        if packages.iter().any(|package| package.masks_first)
            || columns.iter().any(|column| masked(request, column) && reads_others(column))
        {
            return Ok(None);
        }
        let mut session = self.question(request, contract, columns, |column| masked(request, column), now_ns, trace)?;
        let (mut masks, mut rest) = (Vec::new(), Vec::new());
        for package in packages {
            match ask(&mut session, package, &package.whole_entry, &WHOLE) {
                Ok(mut answered) => {
                    let (of_masks, others) = answered.rules.into_iter().partition(|(rule, _)| FIRST.contains(&rule.as_str()));
                    answered.rules = others;
                    masks.push(of_masks);
                    rest.push(answered);
                }
                Err(AnswerFault::Late) => return Err(Refusal::Answer(AnswerFault::Late)),
                Err(_) => return Ok(None),
            }
        }
        Ok(Some(Asked { session, masked, masks, rest }))
    }

    /// Asks for masks only, by a question in which nothing is masked.
    fn ask_for_masks(
        &self,
        request: &AccessRequest,
        contract: &Contract,
        columns: &[Column],
        packages: &[&Package],
        now_ns: i64,
        trace: &mut Trace,
    ) -> Result<Asked, Refusal> {
        let mut session = self.question(request, contract, columns, |_| false, now_ns, trace)?;
        let answers = packages.iter().map(|package| Ok(ask(&mut session, package, &package.masks_entry, &FIRST)?.rules));
        let masks = answers.collect::<Result<Vec<_>, AnswerFault>>().map_err(Refusal::Answer)?;
        Ok(Asked { session, masked: |_, _| false, masks, rest: Vec::new() })
    }

    /// The rules with the question before them, as far as it is known what will be masked.
    fn question(
        &self,
        request: &AccessRequest,
        contract: &Contract,
        columns: &[Column],
        masked: impl Fn(&Column) -> bool,
        now_ns: i64,
        trace: &mut Trace,
    ) -> Result<Session, Refusal> {
        let question = input::read(request, contract, columns, now_ns, masked);
        if !question.fits() {
            return Err(Refusal::Question);
        }
        let session = self.rego.session(Some(input::as_asked(&question, contract)), Some(now_ns));
        trace.question = Some(question);
        Ok(session)
    }

    fn answers(
        &self,
        contract: &Contract,
        packages: &[&Package],
        columns: &[Column],
        asked: Asked,
        trace: &mut Trace,
    ) -> Result<Vec<Answer>, Refusal> {
        let mut answers = Vec::new();
        let (mut session, mut known) = (asked.session, asked.rest.into_iter());
        for package in packages {
            let answered = match known.next() {
                Some(answered) => answered,
                None => ask_all(&mut session, package, &SECOND).map_err(Refusal::Answer)?,
            };
            session.learn(answered.grounds);
            let mut answer = answered.rules;
            let mut conditions = Vec::new();
            if !package.record_rules.is_empty() {
                let residual = self.residual(contract, package, columns, &mut session)?;
                trace.hold_within(residual.valid);
                keep_residual(&mut answer, &residual);
                conditions = row_conditions(package, residual, self.bundle.records());
            }
            let read = read_answer(package, &answer, columns);
            trace.keep(package, answer);
            let mut answer = read.map_err(Refusal::Answer)?;
            for (rule, _) in &conditions {
                if !trace.rules.contains(&rule.rule) {
                    trace.rules.push(rule.rule.clone());
                }
            }
            answer.filters.append(&mut conditions);
            answers.push(answer);
        }
        Ok(answers)
    }

    /// What the package's rules leave for each record to fulfil.
    fn residual(&self, contract: &Contract, package: &Package, columns: &[Column], session: &mut Session) -> Result<Residual, Refusal> {
        let program = self.bundle.records();
        let governance = &contract.product.governance;
        let created = governance.retention_column.as_ref().map(|name| Contract::resolve(columns, name)).transpose()?;
        let subject = governance.subject_column.as_ref().map(|name| Contract::resolve(columns, name)).transpose()?;
        let record = Record { columns, created: created.as_ref(), subject: subject.as_ref() };
        let question = RecordQuestion { program, data: self.data.clone(), record, erased: &self.erased, limit: TIME_LIMIT };
        question.ask(&package.name, session).map_err(|stop| Refusal::Answer(AnswerFault::of_stop(stop, program)))
    }

    fn obligations(
        &self,
        request: &AccessRequest,
        contract: &Contract,
        columns: &[Column],
        masks: Masks,
        answers: Vec<Answer>,
        trace: &mut Trace,
    ) -> Result<Obligations, Refusal> {
        let retention_exempt = answers.iter().any(|answer| answer.retention_exempt);
        let erasure_exempt = answers.iter().any(|answer| answer.erasure_exempt);
        let mut notices: Vec<String> = Vec::new();
        let mut conditions: Vec<(RowRule, Condition)> = Vec::new();
        for answer in answers {
            conditions.extend(answer.filters);
            notices.extend(answer.notices);
        }
        if let Some(retention) = contract.retention.as_ref().filter(|_| !retention_exempt) {
            let column = Contract::resolve(columns, retention.column.as_ref().ok_or(Refusal::Contract)?)?;
            let age = TimeDelta::try_days(retention.days.into()).ok_or(Refusal::Contract)?;
            trace.spared = self.sparing_rule(request, contract, columns, &masks, (&column, age), trace);
            if trace.spared.is_none() {
                conditions.push((RowRule::named(RETENTION_RULE), Condition::Since(column, age)));
                trace.rules.push(RETENTION_RULE.to_owned());
            }
        }
        let governance = &contract.product.governance;
        let exclusion = match (governance.gdpr_subject_to_erasure && !erasure_exempt, &governance.subject_column) {
            (false, _) => None,
            (true, None) => return Err(Refusal::Contract),
            (true, Some(column)) => {
                trace.rules.push("contract.erasure".to_owned());
                Some(Exclusion { column: Contract::resolve(columns, column)?, subjects: Arc::clone(&self.erased) })
            }
        };
        let rows = Rows { conditions, exclusion };
        let now = rows.at(&self.erased, request.context.now).ok_or(Refusal::Contract)?;
        trace.rows = Some(rows);
        let (row_filter, exclusion) = (now.filter, now.exclusion);
        if columns.iter().any(|column| column.requested && masks.columns.contains_key(&column.name)) {
            notices.push("columns_masked".to_owned());
        }
        if !row_filter.is_true() || exclusion.is_some() {
            notices.push("rows_limited".to_owned());
        }
        notices.sort();
        notices.dedup();
        Ok(Obligations { row_filter, exclusion, masks: masks.columns, mask_keys: self.mask_keys.clone(), notices, row_rules: now.rules })
    }
}

/// Masks come first: a masked column is then no field that is read as it is.
fn masks(
    request: &AccessRequest,
    answers: Vec<Map<String, Value>>,
    columns: &[Column],
    packages: &[&Package],
    trace: &mut Trace,
) -> Result<Masks, Refusal> {
    let mut masks = Masks::default();
    for (package, answer) in packages.iter().zip(answers) {
        let read = read_masks(package, &answer, columns, &mut masks);
        trace.keep(package, answer);
        read.map_err(Refusal::Answer)?;
    }
    complete_masks(&request.principal, columns, &mut masks)?;
    Ok(masks)
}

impl Trace {
    /// The rules would answer the same within that time only; `None`: it is not known how long.
    fn hold_within(&mut self, valid: Option<Span>) {
        self.valid = self.valid.zip(valid).map(|(known, more)| common(known, more));
    }

    /// Keeps a package's own words: the mesh-wide ones at the top, as OPA's decision log has them, a product's under its package.
    fn keep(&mut self, package: &Package, answer: Map<String, Value>) {
        for (rule, value) in answer {
            let spoke = match &value {
                Value::Array(elements) => !elements.is_empty(),
                Value::Bool(allowed) => *allowed,
                _ => true,
            };
            let heard = spoke && rule != "deny";
            let of_mesh = package.name == ENTRY_PACKAGE;
            let name = if heard || !of_mesh { format!("{}.{rule}", package.name) } else { String::new() };
            if heard && !self.rules.contains(&name) {
                self.rules.push(name.clone());
            }
            self.result.insert(if of_mesh { rule } else { name }, value);
        }
    }
}

/// Every denial as a reason, each once.
fn reasons(answers: &[Answer], columns: &[Column], port: &OutputPort, product: &ProductRef) -> Vec<DenyReason> {
    let mut reasons: Vec<DenyReason> = Vec::new();
    for denial in answers.iter().flat_map(|answer| &answer.denials) {
        let message = public_message(&denial.rule, &denial.fields, columns, port, product);
        let reason = DenyReason { rule: denial.rule.clone(), fields: denial.fields.clone(), message };
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    reasons
}

/// A part of the row filter with the rule behind it and its place.
fn row_rule((rule, condition): (Option<&RowRule>, &super::Predicate)) -> Value {
    json!({ "rule": rule.map(|rule| &rule.rule), "place": rule.and_then(place), "condition": condition.to_string() })
}

/// Where a rule stands, as file and line.
fn place(rule: &RowRule) -> Option<String> {
    rule.place.as_ref().map(|place| format!("{}:{}", place.file, place.line))
}

/// Adds what will be enforced to the record, without a literal or an id.
fn record(outcome: &Outcome, trace: &mut Trace) {
    match outcome {
        Outcome::Allow(obligations) => {
            let mut enforced = json!({
                "row_filter": obligations.row_filter.to_string(),
                "row_rules": obligations.row_conditions().into_iter().map(row_rule).collect::<Vec<Value>>(),
                "exclusion": obligations.exclusion.as_ref().map(|exclusion| exclusion.column.as_str()),
                "masks": obligations.masks.iter().map(|(column, mask)| (column.to_string(), json!(mask))).collect::<Map<_, _>>(),
                "notices": obligations.notices,
            });
            if let (Some(rule), Some(enforced)) = (&trace.spared, enforced.as_object_mut()) {
                enforced.insert(SPARED.to_owned(), json!({ "rule": rule.rule, "place": place(rule) }));
            }
            trace.result.insert("enforced".to_owned(), enforced);
        }
        Outcome::Deny(reasons) => {
            trace.rules.extend(reasons.iter().map(|reason| reason.rule.clone()));
            trace.rules.dedup();
            let reasons: Vec<Value> = reasons.iter().map(|reason| json!({ "rule": reason.rule, "fields": reason.fields })).collect();
            trace.result.insert("denied".to_owned(), Value::Array(reasons));
        }
    }
}

mod own;
mod proof;
mod spared;

pub use proof::Sampled;

#[cfg(test)]
mod tests;
