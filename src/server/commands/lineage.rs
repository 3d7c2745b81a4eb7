//! `meshgate lineage`: what contracts declare beside what was read.

use std::io::Write;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::audit::{During, Reader};
use crate::catalog::mesh;
use crate::config::Config;
use crate::lineage::{self, GapKind, LineageGap, Observed, Reads};
use crate::product::Product;
use crate::server::load;

use super::{Code, Format};

/// What `lineage diff` is asked for.
#[derive(Debug, Clone, Default)]
pub struct DiffOptions {
    /// Only what was read from then on.
    pub since: Option<DateTime<Utc>>,
    /// Only what was read before then.
    pub until: Option<DateTime<Utc>>,
    /// How to write.
    pub format: Format,
}

impl DiffOptions {
    fn during(&self) -> During {
        let always = During::default();
        let before = |until: DateTime<Utc>| until.checked_sub_signed(TimeDelta::microseconds(1)).unwrap_or(until);
        During { from: self.since.unwrap_or(always.from), to: self.until.map_or(always.to, before) }
    }
}

/// `meshgate lineage diff`: where contracts and reads differ. 0: nowhere; 1: somewhere.
pub fn lineage_diff(config: &Config, options: &DiffOptions, out: &mut dyn Write) -> Code {
    let products = load::catalog(config)?.products();
    let observed = observed(config, options.during())?;
    let gaps = lineage::gaps(&products, &observed);
    match options.format {
        Format::Text => write_text(&gaps, &products, &observed, out)?,
        Format::Json => {
            let gaps: Vec<Value> = gaps.iter().map(to_json).collect();
            let readers: Vec<&String> = observed.0.keys().collect();
            writeln!(out, "{:#}", json!({"gaps": gaps, "observed": readers}))?;
        }
    }
    Ok(u8::from(!gaps.is_empty()))
}

/// What the log says was read in whose name.
pub(super) fn observed(config: &Config, during: During) -> anyhow::Result<Observed> {
    if !config.audit.folder.exists() {
        anyhow::bail!("there is no audit log in {}", config.audit.folder.display());
    }
    Ok(mesh::observed(Reader::of_folder(&config.audit.folder).statements(during)?)?)
}

fn write_text(gaps: &[LineageGap], products: &[Arc<Product>], observed: &Observed, out: &mut dyn Write) -> std::io::Result<()> {
    let mut product = "";
    for gap in gaps {
        if gap.product != product {
            product = &gap.product;
            writeln!(out, "{product}:")?;
        }
        writeln!(out, "  {}", sentence(gap))?;
    }
    let unobserved = products.iter().filter(|product| {
        let name = format!("{}/{}", product.reference.domain, product.reference.name);
        !product.input_ports.is_empty() && !observed.0.contains_key(&name)
    });
    writeln!(out, "{} gap(s); {} product(s) with inputs in whose name nothing was read", gaps.len(), unobserved.count())
}

fn sentence(gap: &LineageGap) -> String {
    let input = &gap.input;
    match (gap.kind, &gap.reads, gap.freshness) {
        (GapKind::UndeclaredRead, Some(reads), _) => format!("reads {input}, which no input port names{}", by(reads)),
        (GapKind::UndeclaredField, Some(reads), _) => {
            let field = gap.field.as_deref().unwrap_or_default();
            format!("reads \"{field}\" of {input}, which its input port does not name{}", by(reads))
        }
        (GapKind::LooserFreshness, _, Some((promised, Some(given)))) => {
            format!("promises a freshness of {promised} s, but its input {input} promises {given} s")
        }
        (GapKind::LooserFreshness, _, Some((promised, None))) => {
            format!("promises a freshness of {promised} s, but its input {input} promises none")
        }
        _ => format!("does not read its input {input}"),
    }
}

fn by(reads: &Reads) -> String {
    let who: Vec<&str> = reads.principals.iter().map(String::as_str).collect();
    let last = reads.between.map(|(_, last)| format!(", last {}", time(last))).unwrap_or_default();
    format!(" ({}; {} statements{last})", who.join(", "), reads.statements)
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn to_json(gap: &LineageGap) -> Value {
    let reads = gap.reads.as_ref();
    json!({
        "product": gap.product,
        "gap": gap.kind.as_str(),
        "input": gap.input,
        "column": gap.field,
        "principals": reads.map(|reads| &reads.principals),
        "statements": reads.map_or(0, |reads| reads.statements),
        "first_read": reads.and_then(|reads| reads.between).map(|(first, _)| time(first)),
        "last_read": reads.and_then(|reads| reads.between).map(|(_, last)| time(last)),
        "promised_seconds": gap.freshness.map(|(promised, _)| promised),
        "given_seconds": gap.freshness.and_then(|(_, given)| given),
        "text": sentence(gap),
    })
}
