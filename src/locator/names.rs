//! What products are called in SQL.
//!
//! INVARIANT: a name answers with one product only; two that would fold into one name are a fault.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::document::Fault;
use crate::product::{PortKind, PortName, Product, Status};

use super::Contract;
use super::snapshot::{Located, TableEntry};

/// Every name of every product.
pub(super) fn tables(contracts: &[Contract], faults: &mut Vec<Fault>) -> Vec<TableEntry> {
    let mut names = Names { entries: BTreeMap::new(), faults };
    for versions in by_name(contracts) {
        names.add_product(&versions);
    }
    for (stem, contract) in stems(contracts) {
        names.add_stem(&stem, contract);
    }
    names.entries.into_values().map(|(entry, _)| entry).collect()
}

/// The versions of each product, the one that answers its plain name first.
fn by_name(contracts: &[Contract]) -> Vec<Vec<&Contract>> {
    let mut groups: BTreeMap<(&str, &str), Vec<&Contract>> = BTreeMap::new();
    for contract in contracts {
        let reference = &contract.product.reference;
        groups.entry((reference.domain.as_str(), reference.name.as_str())).or_default().push(contract);
    }
    let mut groups: Vec<Vec<&Contract>> = groups.into_values().collect();
    for versions in &mut groups {
        versions.sort_by_key(|contract| std::cmp::Reverse((standing(contract.product.status), contract.product.reference.version)));
    }
    groups
}

/// A promised version answers before a draft, both before a deprecated one.
fn standing(status: Status) -> u8 {
    match status {
        Status::Active => 3,
        Status::Draft => 2,
        Status::Deprecated => 1,
        Status::Proposed | Status::Retired => 0,
    }
}

fn is_queryable(product: &Product) -> bool {
    !matches!(product.status, Status::Proposed | Status::Retired)
}

/// `shipment-events-v2` also answers to `shipment-events`: the contract with the highest such number.
fn stems(contracts: &[Contract]) -> Vec<(String, &Contract)> {
    let mut best: BTreeMap<(String, String), (u8, u32, &Contract)> = BTreeMap::new();
    for contract in contracts {
        let reference = &contract.product.reference;
        let Some((stem, number)) = split_version(reference.name.as_str()) else { continue };
        let rank = (standing(contract.product.status), number, contract);
        let key = (reference.domain.to_string(), stem.to_owned());
        let better = best.get(&key).is_none_or(|(standing, other, held)| {
            (*standing, *other, held.product.reference.version) < (rank.0, rank.1, reference.version)
        });
        if better {
            best.insert(key, rank);
        }
    }
    best.into_iter().map(|((_, stem), (_, _, contract))| (stem, contract)).collect()
}

fn split_version(name: &str) -> Option<(&str, u32)> {
    let (stem, number) = name.rsplit_once("-v").or_else(|| name.rsplit_once("_v"))?;
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    if digits && !stem.is_empty() { Some((stem, number.parse().ok()?)) } else { None }
}

struct Names<'c, 'f> {
    entries: BTreeMap<(String, String), (TableEntry, &'c Contract)>,
    faults: &'f mut Vec<Fault>,
}

impl<'c> Names<'c, '_> {
    fn add_product(&mut self, versions: &[&'c Contract]) {
        let Some(answering) = versions.first() else { return };
        let name = &answering.product.reference.name;
        let table = name.to_sql();
        self.add(answering, table.clone(), default_port(&answering.product), true);
        self.add(answering, name.to_string(), default_port(&answering.product), false);
        self.add_ports(answering, &table, true);
        for version in versions {
            let major = version.product.reference.version.major;
            let port = default_port(&version.product);
            for alias in [format!("{name}@{major}"), format!("{table}@{major}"), format!("{table}_v{major}")] {
                self.add(version, alias, port.clone(), false);
            }
            self.add_ports(version, &format!("{table}_v{major}"), false);
        }
    }

    /// A further port is a table of its own; the default one also answers to its full name. A stream is no table, but its name leads to
    /// it, so that a query can be told what to read instead.
    fn add_ports(&mut self, contract: &'c Contract, table: &str, listed: bool) {
        if !is_queryable(&contract.product) {
            return;
        }
        for (index, port) in contract.product.output_ports.iter().enumerate() {
            let is_table = port.kind != PortKind::Stream && contract.product.default_port != Some(index);
            self.add(contract, format!("{table}__{}", port.name.to_sql()), Some(port.name.clone()), listed && is_table);
        }
    }

    /// The stem gives way to every product that is really called so.
    fn add_stem(&mut self, stem: &str, contract: &'c Contract) {
        let schema = contract.product.reference.domain.to_sql();
        let folded: String = crate::product::ProductName::parse(stem).map(|name| name.to_sql()).unwrap_or_default();
        for alias in [folded, stem.to_owned()] {
            let free = !alias.is_empty() && !self.entries.contains_key(&(schema.clone(), alias.clone()));
            if free {
                self.add(contract, alias, default_port(&contract.product), false);
            }
        }
    }

    fn add(&mut self, contract: &'c Contract, table: String, port: Option<PortName>, listed: bool) {
        let product = &contract.product;
        let key = (product.reference.domain.to_sql(), table);
        if let Some((held, holder)) = self.entries.get_mut(&key) {
            // Two contracts of one major version are reported where places are checked.
            let (one, other) = (&holder.product.reference, &product.reference);
            if one != other && one.domain == other.domain && one.name == other.name && one.version.major == other.version.major {
                return;
            }
            let same = held.located.product.reference == product.reference && held.located.port == port;
            if same {
                held.listed |= listed;
                return;
            }
            let message = format!(
                "the products \"{}\" ({}) and \"{}\" ({}) would both be {}.{} in SQL",
                holder.product.reference.name,
                holder.product.reference.version,
                product.reference.name,
                product.reference.version,
                key.0,
                key.1
            );
            let fault = Fault::new(&contract.file, contract.map.position("/metadata/name"), message);
            let fault = fault.with_hint(format!("The other is {}; rename one of the two.", holder.file));
            if !self.faults.iter().any(|known| known.file == fault.file && known.line == fault.line && known.hint == fault.hint) {
                self.faults.push(fault);
            }
            return;
        }
        let entry =
            TableEntry { schema: key.0.clone(), table: key.1.clone(), located: Located { product: Arc::clone(product), port }, listed };
        self.entries.insert(key, (entry, contract));
    }
}

fn default_port(product: &Product) -> Option<PortName> {
    if is_queryable(product) { product.default_output_port().map(|port| port.name.clone()) } else { None }
}
