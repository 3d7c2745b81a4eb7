//! `meshgate policy replay`: the audited questions of the past, judged by a candidate bundle.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::audit::{self, PastDecision};
use crate::config::Config;
use crate::locator::Snapshot;
use crate::policy::{AccessRequest, Change, Condition, Decision, DecisionPoint, Masking, Outcome, Sight};
use crate::product::{PortName, Product};
use crate::server::load;
use crate::server::sources::Source;

use super::{Code, Format};

/// What `policy replay` is asked for.
#[derive(Debug, Clone, Default)]
pub struct ReplayOptions {
    /// The candidate: a folder or an archive.
    pub bundle: PathBuf,
    /// Only decisions from then on.
    pub since: Option<DateTime<Utc>>,
    /// Only decisions before then.
    pub until: Option<DateTime<Utc>>,
    /// How to write.
    pub format: Format,
}

/// `meshgate policy replay`: who gains or loses what. 0: nobody gains; 1: somebody may.
pub fn policy_replay(config: &Config, options: &ReplayOptions, out: &mut dyn Write) -> Code {
    let snapshot = Arc::new(load::catalog(config)?);
    let erased = Arc::new(Source::of_erasures(config)?.erasures()?);
    let present = Source::of_policies(config)?.bundle()?;
    let present = load::world(config, Arc::clone(&snapshot), Arc::new(present), Arc::clone(&erased))?;
    let candidate = load::world(config, Arc::clone(&snapshot), Arc::new(load::bundle(&options.bundle)?), erased)?;
    let (decisions, unreadable, verification) = audit::history(&config.audit.folder)?;
    if let Some(fault) = verification.faults.first() {
        anyhow::bail!("the audit log does not hold, see `meshgate audit verify`: {fault}");
    }
    let mut replay = Replay {
        judges: Judges { snapshot, present: present.policy, candidate: candidate.policy },
        groups: BTreeMap::new(),
        judged: 0,
        unjudged: unreadable,
    };
    for past in &decisions {
        let asked = options.since.is_none_or(|since| past.at >= since) && options.until.is_none_or(|until| past.at < until);
        if asked {
            replay.judge(past);
        }
    }
    match options.format {
        Format::Text => replay.write_text(out)?,
        Format::Json => writeln!(out, "{:#}", replay.to_json())?,
    }
    Ok(u8::from(replay.widens()))
}

/// The two sides, over the catalog and the erasures of now.
struct Judges {
    snapshot: Arc<Snapshot>,
    present: Arc<DecisionPoint>,
    candidate: Arc<DecisionPoint>,
}

/// Who asked for what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Asker {
    principal: String,
    product: String,
    port: String,
}

/// How often a change shows, and when last.
struct Seen {
    decisions: u64,
    columns: Vec<String>,
    last: DateTime<Utc>,
}

struct Replay {
    judges: Judges,
    groups: BTreeMap<Asker, BTreeMap<Change, Seen>>,
    judged: u64,
    unjudged: u64,
}

impl Judges {
    /// What was let see, and what would be; `None` if the question cannot be asked again.
    fn judge(&self, past: &PastDecision) -> Option<(Sight, Sight, Decision)> {
        let product = self.product(past)?;
        let port = PortName::parse(&past.port).ok()?;
        let request = AccessRequest::recorded(&past.input, &product, port)?;
        let after = self.candidate.decide(&request);
        Some((self.before(past, &request), Sight::of(&after), after))
    }

    fn product(&self, past: &PastDecision) -> Option<Arc<Product>> {
        let products = self.snapshot.products();
        products.into_iter().find(|product| {
            let reference = &product.reference;
            reference.domain.as_str() == past.domain
                && reference.name.as_str() == past.product
                && reference.version.to_string() == past.version
        })
    }

    /// What the record says was let see. The log holds no literals: they are taken from the bundle of now if it is the one that decided
    /// and decides the same, or if they are the contract's and not a bundle's.
    fn before(&self, past: &PastDecision, request: &AccessRequest) -> Sight {
        if past.outcome != "allow" {
            return Sight::None;
        }
        let recorded = recorded(past, request);
        let again = self.present.decide(request);
        let alike = |key: &str| enforced(&again.result, key) == enforced(&past.result, key);
        if !["row_filter", "exclusion", "masks"].into_iter().all(alike) {
            return recorded;
        }
        if past.bundle_revision() == self.present.bundle_revision() {
            return Sight::of(&again);
        }
        let of_contract = match &again.outcome {
            Outcome::Allow(obligations) => {
                obligations.row_conditions().iter().all(|(rule, _)| rule.is_some_and(|rule| rule.rule.starts_with("contract.")))
            }
            Outcome::Deny(_) => false,
        };
        match (recorded, Sight::of(&again)) {
            (Sight::Some { masks, exclusion, .. }, Sight::Some { conditions, .. }) if of_contract => {
                Sight::Some { masks, conditions, exclusion }
            }
            (recorded, _) => recorded,
        }
    }
}

/// A part of what was enforced, `null` if it is not known.
fn enforced<'a>(result: &'a Value, key: &str) -> &'a Value {
    result.get("enforced").and_then(|enforced| enforced.get(key)).unwrap_or(&Value::Null)
}

/// What the record alone says.
fn recorded(past: &PastDecision, request: &AccessRequest) -> Sight {
    let enforced = |key| enforced(&past.result, key);
    let asked = |column: &str| request.fields.iter().any(|field| field.name.as_str() == column);
    let masks = enforced("masks").as_object().into_iter().flatten().filter(|(column, _)| asked(column));
    let shape = enforced("row_filter").as_str().filter(|shape| *shape != "true");
    Sight::Some {
        masks: masks.map(|(column, mask)| (column.clone(), Masking::Named(mask.as_str().unwrap_or_default().to_owned()))).collect(),
        conditions: shape.map(|shape| Condition::Shape(shape.to_owned())).into_iter().collect(),
        exclusion: enforced("exclusion").as_str().map(str::to_owned),
    }
}

impl Replay {
    fn judge(&mut self, past: &PastDecision) {
        let Some((before, after, decision)) = self.judges.judge(past) else {
            self.unjudged += 1;
            return;
        };
        self.judged += 1;
        let asker = Asker {
            principal: past.input.pointer("/subject/user").and_then(Value::as_str).unwrap_or_default().to_owned(),
            product: format!("{}/{} {}", past.domain, past.product, past.version),
            port: past.port.clone(),
        };
        for change in before.changes(&after) {
            let seen = self.groups.entry(asker.clone()).or_default();
            let seen = seen.entry(change.clone()).or_insert_with(|| Seen { decisions: 0, columns: Vec::new(), last: past.at });
            seen.decisions += 1;
            seen.last = seen.last.max(past.at);
            if matches!(change, Change::Allowed | Change::Denied) {
                seen.columns.extend(decision.fields.iter().map(ToString::to_string));
                seen.columns.sort();
                seen.columns.dedup();
            }
        }
    }

    fn widens(&self) -> bool {
        self.groups.values().flat_map(BTreeMap::keys).any(Change::widens)
    }

    fn write_text(&self, out: &mut dyn Write) -> std::io::Result<()> {
        for (asker, changes) in &self.groups {
            writeln!(out, "{} on {}, port {}:", asker.principal, asker.product, asker.port)?;
            for (change, seen) in changes {
                let direction = if change.widens() { "gains" } else { "loses" };
                let columns = if seen.columns.is_empty() { String::new() } else { format!(": columns {}", seen.columns.join(", ")) };
                let last = seen.last.format("%Y-%m-%d %H:%M:%S");
                writeln!(out, "  {direction}  {change}{columns} ({} decisions, last {last})", seen.decisions)?;
            }
        }
        let revision = self.judges.candidate.bundle_revision();
        writeln!(out, "judged {} decisions by bundle {revision}, {} could not be judged", self.judged, self.unjudged)?;
        writeln!(out, "{}", if self.widens() { "access widens" } else { "access does not widen" })
    }

    fn to_json(&self) -> Value {
        let groups = self.groups.iter().map(|(asker, changes)| {
            let changes = changes.iter().map(|(change, seen)| {
                json!({
                    "change": change.kind(),
                    "widens": change.widens(),
                    "column": change.column(),
                    "columns": seen.columns,
                    "text": change.to_string(),
                    "decisions": seen.decisions,
                    "last": seen.last,
                })
            });
            json!({
                "principal": asker.principal,
                "product": asker.product,
                "port": asker.port,
                "changes": changes.collect::<Vec<Value>>(),
            })
        });
        json!({
            "bundle": self.judges.candidate.bundle_revision(),
            "judged": self.judged,
            "unjudged": self.unjudged,
            "widens": self.widens(),
            "groups": groups.collect::<Vec<Value>>(),
        })
    }
}
