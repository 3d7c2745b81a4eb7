//! What contracts declare beside what was read: inputs that nobody declared, inputs that nobody reads, fields that are not named, and
//! promises that an input cannot keep.
//!
//! A product is judged by what was read in its name, and only once something was: nothing is said of one that nobody stands for. What several
//! versions of a contract declare counts together. The view `mesh.lineage_gaps` says the same in SQL.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::product::{InputPort, Product, Status};

/// A product that was read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Upstream {
    /// Its domain.
    pub domain: String,
    /// Its name.
    pub product: String,
    /// Its version.
    pub version: String,
}

/// How a product was read in the name of another.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reads {
    /// The fields, each with the result's columns that were made from it.
    pub fields: BTreeMap<String, BTreeSet<String>>,
    /// Who read.
    pub principals: BTreeSet<String>,
    /// How many statements.
    pub statements: u64,
    /// When first and when last.
    pub between: Option<(DateTime<Utc>, DateTime<Utc>)>,
}

impl Reads {
    /// Adds one statement.
    pub fn add(&mut self, principal: &str, at: DateTime<Utc>) {
        self.principals.insert(principal.to_owned());
        self.statements += 1;
        self.between = Some(self.between.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
    }
}

/// What was read in whose name (`domain/product`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed(pub BTreeMap<String, BTreeMap<Upstream, Reads>>);

/// What differs between a contract and what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GapKind {
    /// A product was read that no `inputPorts` names.
    UndeclaredRead,
    /// A field was read that its input port, which names fields, does not name.
    UndeclaredField,
    /// An input that was not read.
    DeadInput,
    /// An input promises less freshness than the product that is made from it.
    LooserFreshness,
}

impl GapKind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UndeclaredRead => "undeclared_read",
            Self::UndeclaredField => "undeclared_field",
            Self::DeadInput => "dead_input",
            Self::LooserFreshness => "looser_freshness",
        }
    }
}

/// A difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineageGap {
    /// The product that is made (`domain/product`).
    pub product: String,
    /// What differs.
    pub kind: GapKind,
    /// The input (`domain/product`).
    pub input: String,
    /// The field, if it is about one.
    pub field: Option<String>,
    /// What was read, if anything was.
    pub reads: Option<Reads>,
    /// Seconds that the product promises, and that the input does.
    pub freshness: Option<(u64, Option<u64>)>,
}

/// Every difference, sorted by product, kind, input and field.
pub fn gaps(products: &[Arc<Product>], observed: &Observed) -> Vec<LineageGap> {
    let mut all = Vec::new();
    for (reader, reads) in &observed.0 {
        let declared: Vec<&InputPort> =
            live(products).filter(|product| name_of(product) == *reader).flat_map(|product| &product.input_ports).collect();
        for (upstream, reads) in reads {
            judge_reads(reader, upstream, reads, &declared, &mut all);
        }
    }
    for product in live(products) {
        let name = name_of(product);
        for input in &product.input_ports {
            let gap = |kind, freshness| LineageGap {
                product: name.clone(),
                kind,
                input: format!("{}/{}", input.domain, input.product),
                field: None,
                reads: None,
                freshness,
            };
            if observed.0.get(&name).is_some_and(|reads| !reads.keys().any(|upstream| is(input, upstream))) {
                all.push(gap(GapKind::DeadInput, None));
            }
            let given = input.of(products).and_then(|upstream| upstream.freshness_seconds());
            if let Some(promised) = product.freshness_seconds()
                && given.is_none_or(|given| given > promised)
            {
                all.push(gap(GapKind::LooserFreshness, Some((promised, given))));
            }
        }
    }
    let key = |gap: &LineageGap| (gap.product.clone(), gap.kind, gap.input.clone(), gap.field.clone());
    all.sort_by_key(key);
    all.dedup_by_key(|gap| key(gap));
    all
}

/// What was read of one product, beside what is declared of it.
fn judge_reads(reader: &str, upstream: &Upstream, reads: &Reads, declared: &[&InputPort], all: &mut Vec<LineageGap>) {
    let inputs: Vec<&&InputPort> = declared.iter().filter(|input| is(input, upstream)).collect();
    let gap = |kind, field| LineageGap {
        product: reader.to_owned(),
        kind,
        input: format!("{}/{}", upstream.domain, upstream.product),
        field,
        reads: Some(reads.clone()),
        freshness: None,
    };
    if inputs.is_empty() {
        all.push(gap(GapKind::UndeclaredRead, None));
    } else if inputs.iter().all(|input| !input.fields.is_empty()) {
        let named = |field: &&String| inputs.iter().any(|input| input.fields.iter().any(|named| named.as_str() == field.as_str()));
        all.extend(reads.fields.keys().filter(|field| !named(field)).map(|field| gap(GapKind::UndeclaredField, Some(field.clone()))));
    }
}

/// Contracts whose products are made.
fn live(products: &[Arc<Product>]) -> impl Iterator<Item = &Arc<Product>> {
    products.iter().filter(|product| !matches!(product.status, Status::Proposed | Status::Retired))
}

fn name_of(product: &Product) -> String {
    format!("{}/{}", product.reference.domain, product.reference.name)
}

fn is(input: &InputPort, upstream: &Upstream) -> bool {
    let major = || upstream.version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    input.domain.as_str() == upstream.domain
        && input.product.as_str() == upstream.product
        && input.major().is_none_or(|pinned| Some(pinned) == major())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::product::validate::{DomainDefaults, parse};

    fn product(name: &str, freshness: &str, inputs: &str) -> Arc<Product> {
        let text = format!(
            "apiVersion: data-mesh/v1\nkind: DataProduct\nmetadata: {{name: {name}, version: \"2.0.0\", owner: team, domain: d}}\nspec:\n  outputPorts:\n    - {{name: files, type: batch, format: parquet, location: x.parquet, sla: {{freshness: \"{freshness}\"}}}}\n  inputPorts: {inputs}\n"
        );
        Arc::new(parse("p.yaml", &text, &DomainDefaults::default()).unwrap())
    }

    fn observed(reads: &[(&str, &str, &[&str])]) -> Observed {
        let mut observed = Observed::default();
        for (name, version, fields) in reads {
            let upstream = Upstream { domain: "d".into(), product: (*name).into(), version: (*version).into() };
            let seen = observed.0.entry("d/made".into()).or_default().entry(upstream).or_default();
            seen.add("pipeline", DateTime::UNIX_EPOCH);
            seen.fields.extend(fields.iter().map(|field| ((*field).to_owned(), BTreeSet::new())));
        }
        observed
    }

    fn found(inputs: &str, freshness: &str, reads: &[(&str, &str, &[&str])]) -> Vec<String> {
        let products = [product("made", freshness, inputs), product("up", "< 1 hours", "[]"), product("other", "< 2 hours", "[]")];
        let shown = |gap: &LineageGap| {
            format!("{} {}{}", gap.kind.as_str(), gap.input, gap.field.iter().map(|f| format!(" {f}")).collect::<String>())
        };
        gaps(&products, &observed(reads)).iter().map(shown).collect()
    }

    #[test]
    fn what_is_read_as_declared_is_no_gap() {
        let inputs = "[{sourceProduct: d/up, fields: [a, b], version: \"2\"}]";
        assert_eq!(found(inputs, "< 1 hours", &[("up", "2.3.1", &["a"])]), Vec::<String>::new());
        assert_eq!(found("[{sourceProduct: d/up}]", "< 1 hours", &[("up", "2.0.0", &["z"])]), Vec::<String>::new());
    }

    #[test]
    fn each_difference_is_named() {
        let inputs = "[{sourceProduct: d/up, fields: [a]}]";
        assert_eq!(
            found(inputs, "< 1 hours", &[("up", "2.0.0", &["a", "c"]), ("other", "2.0.0", &["x"])]),
            ["undeclared_read d/other", "undeclared_field d/up c"]
        );
        assert_eq!(found(inputs, "< 1 hours", &[("other", "2.0.0", &[])]), ["undeclared_read d/other", "dead_input d/up"]);
        assert_eq!(found(inputs, "< 30 minutes", &[("up", "2.0.0", &["a"])]), ["looser_freshness d/up"]);
        let pinned = "[{sourceProduct: d/up, version: \"2\"}]";
        assert_eq!(found(pinned, "< 1 hours", &[("up", "1.9.0", &[])]), ["undeclared_read d/up", "dead_input d/up"]);
    }

    #[test]
    fn nothing_is_said_of_reads_where_nobody_stands_for_the_product() {
        assert_eq!(found("[{sourceProduct: d/up}]", "< 1 hours", &[]), Vec::<String>::new());
        assert_eq!(found("[{sourceProduct: d/other}]", "< 1 hours", &[]), ["looser_freshness d/other"]);
    }
}
