//! What contracts must hold together: each in its domain's map, each input a product that exists.

use std::collections::HashMap;

use crate::document::{Fault, closest};
use crate::product::{InputPort, Product};

use super::Contract;
use super::domains::DomainMap;
use super::snapshot::Gap;

/// Each contract stands in its domain's map, and each major version once.
pub(super) fn check_places(map: &DomainMap, contracts: &[Contract], faults: &mut Vec<Fault>) {
    let mut majors: HashMap<(&str, &str, u32), &str> = HashMap::new();
    for contract in contracts {
        let reference = &contract.product.reference;
        let (domain, name) = (reference.domain.as_str(), reference.name.as_str());
        let mut add = |pointer: &str, message: String, hint: String| {
            faults.push(Fault::new(&contract.file, contract.map.position(pointer), message).with_hint(hint));
        };
        match map.domains.get(domain) {
            None => {
                let near = closest(domain, map.domains.keys().map(String::as_str));
                let hint = near.map_or_else(|| "Add the domain to domains.yaml.".to_owned(), |near| format!("Did you mean \"{near}\"?"));
                add("/metadata/domain", format!("the domain \"{domain}\" is not in the map of the domains"), hint);
            }
            Some(entry) if !entry.products.iter().any(|listed| listed == name) => {
                let other = map.domains.iter().find(|(_, entry)| entry.products.iter().any(|listed| listed == name));
                let near = closest(name, entry.products.iter().map(String::as_str));
                let hint = match (other, near) {
                    (Some((other, _)), _) => format!("The map gives it to the domain \"{other}\"."),
                    (None, Some(near)) => format!("Did you mean \"{near}\"? Else add it to domains.yaml."),
                    (None, None) => "Add it to source_products or consumer_products in domains.yaml.".to_owned(),
                };
                add("/metadata/name", format!("the product \"{name}\" is not in the map of the domain \"{domain}\""), hint);
            }
            Some(_) => {}
        }
        if let Some(other) = majors.insert((domain, name, reference.version.major), &contract.file) {
            let message = format!("the product \"{name}\" has two contracts of major version {}", reference.version.major);
            add("/metadata/version", message, format!("The other is {other}; keep the newer one."));
        }
    }
}

/// Each input is a product of the map; what it cannot promise is a gap, not a fault.
pub(super) fn check_inputs(map: &DomainMap, contracts: &[Contract], faults: &mut Vec<Fault>) -> Vec<Gap> {
    let mut gaps = Vec::new();
    for contract in contracts {
        for (index, input) in contract.product.input_ports.iter().enumerate() {
            let at = contract.map.position(&format!("/spec/inputPorts/{index}/sourceProduct"));
            let mut gap = |message: String| {
                gaps.push(Gap { product: contract.product.reference.clone(), file: contract.file.clone(), line: at.0, message });
            };
            let (domain, name) = (input.domain.as_str(), input.product.as_str());
            let versions: Vec<&Product> = contracts
                .iter()
                .map(|other| other.product.as_ref())
                .filter(|other| other.reference.domain == input.domain && other.reference.name == input.product)
                .collect();
            let listed = map.domains.get(domain).is_some_and(|entry| entry.products.iter().any(|listed| listed == name));
            if versions.is_empty() && listed {
                gap(format!("the input \"{domain}/{name}\" has no contract yet, so nothing is promised of it"));
            } else if versions.is_empty() {
                faults.push(
                    Fault::new(&contract.file, at, format!("the input \"{domain}/{name}\" does not exist")).with_hint(existing(map, input)),
                );
            } else if let Some(upstream) = upstream(input, &versions) {
                compare(&contract.product, upstream, input, &mut gap);
            } else {
                let message = format!("the input \"{domain}/{name}\" has no such version");
                let majors: Vec<String> = versions.iter().map(|product| product.reference.version.major.to_string()).collect();
                faults.push(Fault::new(&contract.file, at, message).with_hint(format!("Its major versions are {}.", majors.join(", "))));
            }
        }
    }
    gaps
}

fn existing(map: &DomainMap, input: &InputPort) -> String {
    let wanted = format!("{}/{}", input.domain, input.product);
    let all: Vec<String> =
        map.domains.iter().flat_map(|(domain, entry)| entry.products.iter().map(move |name| format!("{domain}/{name}"))).collect();
    match closest(&wanted, all.iter().map(String::as_str)) {
        Some(near) => format!("Did you mean \"{near}\"?"),
        None => format!("It is not in {}.", map.file),
    }
}

fn upstream<'p>(input: &InputPort, versions: &[&'p Product]) -> Option<&'p Product> {
    let fitting = versions.iter().filter(|product| input.is(&product.reference));
    fitting.max_by_key(|product| product.reference.version).copied()
}

fn compare(product: &Product, upstream: &Product, input: &InputPort, gap: &mut impl FnMut(String)) {
    let name = format!("{}/{}", input.domain, input.product);
    for field in &input.fields {
        if upstream.schema.is_some() && upstream.field(field).is_none() {
            gap(format!("the field \"{field}\" is not in the schema of the input \"{name}\""));
        }
    }
    match (product.freshness_seconds(), upstream.freshness_seconds()) {
        (Some(promised), Some(given)) if given > promised => {
            gap(format!("the freshest port promises {promised} s, but the input \"{name}\" promises no better than {given} s"));
        }
        (Some(_), None) => gap(format!("the input \"{name}\" promises no freshness, but this product does")),
        _ => {}
    }
}
