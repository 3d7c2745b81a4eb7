//! Names → places: which product and which output port answer a name, in one consistent view.
//!
//! INVARIANT: a [`Snapshot`] is made of valid contracts only; one fault anywhere and there is none. What a single contract
//! must hold is checked by `product`; this module checks what several must hold together, and what they are called in SQL.

mod changes;
mod cross;
mod domains;
mod files;
mod fingerprint;
mod lowered;
mod names;
mod origin;
mod snapshot;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use crate::document::{Fault, Reader, SourceMap};
use crate::product::{Product, spec::ContractSpec, validate};

pub use changes::{Change, changes};
pub use domains::{DefaultsSpec, DomainSpec, DomainsSpec, schema};
pub use fingerprint::{Fingerprint, fingerprint};
pub use lowered::lowered;
pub use origin::Origin;
pub use snapshot::{Domain, Gap, Located, Snapshot, TableEntry};

/// A valid contract and where it was read.
struct Contract {
    /// The file, as faults name it.
    file: String,
    /// The same, relative to the catalog.
    relative: String,
    /// What tells its text from others.
    digest: String,
    map: SourceMap,
    product: Arc<Product>,
}

/// Reads `domains.yaml` and every `<domain>/<product>.yaml` of a folder.
///
/// # Errors
/// Every fault of every file.
pub fn load(folder: &Path) -> Result<Snapshot, Vec<Fault>> {
    let (files, mut faults) = files::read(folder);
    let map = match domains::parse(&files) {
        Ok(map) => Some(map),
        Err(of_map) => {
            faults.extend(of_map);
            None
        }
    };
    let contracts = read_contracts(&files, map.as_ref(), &mut faults);
    // Without a map every contract would look misplaced.
    let Some(map) = map else { return Err(sorted(faults)) };
    cross::check_places(&map, &contracts, &mut faults);
    let gaps = cross::check_inputs(&map, &contracts, &mut faults);
    let tables = names::tables(&contracts, &mut faults);
    if !faults.is_empty() {
        return Err(sorted(faults));
    }
    let domains = map.domains.into_values().map(|entry| entry.domain);
    let origins = contracts.iter().map(|contract| {
        let origin = Origin::new(&contract.relative, contract.digest.clone(), &contract.product, &contract.map);
        (contract.product.reference.clone(), origin)
    });
    Ok(Snapshot::new(files.revision(), domains, tables).with_gaps(gaps).with_origins(origins))
}

fn read_contracts(files: &files::Files, map: Option<&domains::DomainMap>, faults: &mut Vec<Fault>) -> Vec<Contract> {
    let reader = Reader::<ContractSpec>::new();
    let mut contracts = Vec::new();
    for file in &files.contracts {
        let valid = validate::read(&reader, &file.name, &file.text, |spec, places| {
            let defaults =
                map.and_then(|map| map.domains.get(&spec.metadata.domain)).map(|entry| entry.defaults.clone()).unwrap_or_default();
            let misplaced = (spec.metadata.domain != file.folder).then(|| {
                let message = format!("the contract of domain \"{}\" lies in the folder \"{}\"", spec.metadata.domain, file.folder);
                let hint = "Move the file into the folder of its domain.";
                Fault::new(&file.name, places.position("/metadata/domain"), message).with_hint(hint)
            });
            match (validate::validate(&file.name, &spec, &places, &defaults), misplaced) {
                (Ok(product), None) => Ok((product, places)),
                (Ok(_), Some(misplaced)) => Err(vec![misplaced]),
                (Err(faults), misplaced) => Err(faults.into_iter().chain(misplaced).collect()),
            }
        });
        match valid {
            Ok((product, map)) => contracts.push(Contract {
                file: file.name.clone(),
                relative: file.relative.clone(),
                digest: files::digest([&file.text]),
                map,
                product: Arc::new(product),
            }),
            Err(of_file) => faults.extend(of_file),
        }
    }
    contracts
}

fn sorted(mut faults: Vec<Fault>) -> Vec<Fault> {
    faults.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    faults
}

/// The table that someone most likely meant, as `schema.table`, among those that `visible` lets through.
///
/// INVARIANT: what the caller may not discover is never suggested; `visible` decides.
pub fn suggest(snapshot: &Snapshot, schema: &str, table: &str, visible: impl Fn(&Product) -> bool) -> Option<String> {
    let entries: Vec<&TableEntry> = snapshot.tables().filter(|entry| entry.listed && visible(&entry.located.product)).collect();
    let near = |in_schema: &str| {
        let tables = entries.iter().filter(|entry| entry.schema == in_schema).map(|entry| entry.table.as_str());
        crate::document::closest(table, tables).map(|table| format!("{in_schema}.{table}"))
    };
    near(schema)
        .or_else(|| crate::document::closest(schema, entries.iter().map(|entry| entry.schema.as_str())).and_then(near))
        .or_else(|| entries.iter().find(|entry| entry.table == table).map(|entry| format!("{}.{}", entry.schema, entry.table)))
}
