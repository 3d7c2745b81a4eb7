//! What a contract promises of a port, as assertions: freshness, uptime, and the owner's quality rules.

use chrono::Timelike as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::product::sla::Freshness;
use crate::product::{OutputPort, Product};

use super::datahub::{Mesh, Proposal};
use super::urn::port_urn;

/// Characters of an assertion's id.
const ID_CHARS: usize = 32;

/// Every promise of one port.
pub(super) fn proposals(mesh: &Mesh<'_>, product: &Product, port: &OutputPort) -> Vec<Proposal> {
    let own = port_urn(product, port);
    let mut all = Vec::new();
    if let Some(text) = &port.sla.freshness
        && let Ok(promised) = Freshness::parse(text)
    {
        let info = info(mesh, "FRESHNESS", &format!("fresh: {text}"), ("freshnessAssertion", freshness(&own, product, &promised)));
        all.extend(assertion(&own, "freshness", info));
    }
    if let Some(text) = &port.sla.uptime {
        let custom = json!({"type": "Uptime", "entity": own, "logic": format!("uptime >= {text}")});
        all.extend(assertion(&own, "uptime", info(mesh, "CUSTOM", &format!("up: {text}"), ("customAssertion", custom))));
    }
    for check in &product.quality_checks {
        let custom = json!({"type": if check.blocking { "Quality" } else { "Quality (warning)" }, "entity": own, "logic": check.rule});
        all.extend(assertion(&own, &check.rule, info(mesh, "CUSTOM", &check.rule, ("customAssertion", custom))));
    }
    all
}

fn info(mesh: &Mesh<'_>, kind: &str, description: &str, (key, value): (&str, Value)) -> Value {
    json!({
        "type": kind,
        key: value,
        "source": {"type": "EXTERNAL", "created": mesh.stamp()},
        "lastUpdated": mesh.stamp(),
        "description": description,
    })
}

/// A load that is due each day is a schedule; everything else is an interval.
fn freshness(own: &str, product: &Product, promised: &Freshness) -> Value {
    let schedule = match &promised.after {
        Some(after) => {
            let timezone = after.timezone.as_deref().unwrap_or(&product.timezone);
            // It is looked at when the load is due, for a change since the time of day that the promise begins with.
            let minutes = (u64::from(after.time.num_seconds_from_midnight()) + promised.within_seconds).div_ceil(60) % (24 * 60);
            let cron = format!("{} {} * * *", minutes % 60, minutes / 60);
            let offset_ms = i64::try_from(promised.within_seconds.saturating_mul(1000)).unwrap_or(i64::MAX);
            json!({"type": "CRON", "cron": {"cron": cron, "timezone": timezone, "windowStartOffsetMs": offset_ms}})
        }
        None => {
            let (unit, multiple) = interval(promised.within_seconds);
            json!({"type": "FIXED_INTERVAL", "fixedInterval": {"unit": unit, "multiple": multiple}})
        }
    };
    json!({"type": "DATASET_CHANGE", "entity": own, "schedule": schedule})
}

fn interval(seconds: u64) -> (&'static str, u64) {
    let units = [("WEEK", 604_800), ("DAY", 86_400), ("HOUR", 3_600), ("MINUTE", 60)];
    let fits = units.into_iter().find(|(_, unit)| seconds.is_multiple_of(*unit));
    fits.map_or(("SECOND", seconds), |(name, unit)| (name, seconds / unit))
}

/// The same promise of the same port is the same assertion each time.
fn assertion(own: &str, what: &str, info: Value) -> [Proposal; 2] {
    use std::fmt::Write as _;
    let mut id = String::new();
    for byte in Sha256::digest(format!("{own}\n{what}").as_bytes()) {
        // Writing to a string cannot fail.
        let _infallible = write!(id, "{byte:02x}");
    }
    id.truncate(ID_CHARS);
    let urn = format!("urn:li:assertion:{id}");
    let platform = json!({"platform": "urn:li:dataPlatform:meshgate"});
    [Proposal::new("assertion", &urn, "assertionInfo", info), Proposal::new("assertion", &urn, "dataPlatformInstance", platform)]
}
