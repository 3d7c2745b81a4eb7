//! From the written contract to a [`Product`]: what the texts mean, and which of them fit together.
//!
//! INVARIANT: a contract that protects less than it seems to (erasure without a subject, retention without a date, a PII
//! field that does not exist) never becomes a product. Every fault is reported, each with its line and a way to mend it.

mod fields;
mod governance;
mod location;
mod ports;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::document::{Fault, Faults, Reader, SourceMap};

use super::spec::{ContractSpec, MetadataSpec, ProductSpec, SeveritySpec, StatusSpec};
use super::{Deprecation, DomainName, FieldName, InputPort, NameError, Product, ProductName, ProductRef, QualityCheck, Status, Version};

/// What a contract leaves to its domain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DomainDefaults {
    /// Days that records of restricted products may be read.
    pub retention_days: Option<u32>,
    /// The compatibility promise.
    pub compatibility: Option<String>,
    /// IANA name.
    pub timezone: Option<String>,
}

/// A promise nobody changed: readers of any version keep working.
const COMPATIBILITY_DEFAULT: &str = "FULL_TRANSITIVE";

/// Schemas of the gateway itself and of PostgreSQL.
const SCHEMAS_RESERVED: [&str; 2] = ["information_schema", "mesh"];

/// Reads a contract and checks what it means, as `check` says; mostly that is [`validate`].
///
/// # Errors
/// Every fault of syntax, structure and meaning.
pub fn read<U>(
    reader: &Reader<ContractSpec>,
    file: &str,
    text: &str,
    check: impl FnOnce(ContractSpec, SourceMap) -> Result<U, Vec<Fault>>,
) -> Result<U, Vec<Fault>> {
    reader.check(file, text, check).map_err(|faults| {
        let kind = Reader::<ContractSpec>::value(file, text).ok().and_then(|value| Some(value.get("kind")?.as_str()? == "DataContract"));
        if kind == Some(true) {
            let fault = Fault::new(file, (1, 1), "a contract of kind DataContract (ODCS) is not read yet");
            return vec![fault.with_hint("Write it as kind DataProduct, apiVersion data-mesh/v1.")];
        }
        faults
    })
}

/// Reads and validates one contract.
///
/// # Errors
/// Every fault of syntax, structure and meaning.
pub fn parse(file: &str, text: &str, defaults: &DomainDefaults) -> Result<Product, Vec<Fault>> {
    read(&Reader::new(), file, text, |spec, map| validate(file, &spec, &map, defaults))
}

/// Checks what a contract means.
///
/// # Errors
/// Every fault.
pub fn validate(file: &str, contract: &ContractSpec, map: &SourceMap, defaults: &DomainDefaults) -> Result<Product, Vec<Fault>> {
    let mut faults = Faults::new(file, map);
    let reference = reference(&contract.metadata, &mut faults);
    let status = status(&contract.metadata, &mut faults);
    let spec = &contract.spec;
    let schema = spec.schema.as_deref().map(|fields| fields::schema(fields, &mut faults));
    let (output_ports, default_port) = ports::output_ports(&spec.output_ports, schema.is_some(), &mut faults);
    let governance = governance::governance(&spec.governance, schema.as_ref(), defaults, &mut faults);
    let input_ports = input_ports(spec, &mut faults);
    let quality_checks = quality_checks(spec, &mut faults);
    if contract.metadata.owner.trim().is_empty() {
        faults.add("/metadata/owner", "\"owner\" must name a team");
    }
    let product = reference.map(|reference| Product {
        id: contract.metadata.id.clone().unwrap_or_else(|| format!("urn:dp:{}:{}", reference.domain, reference.name)),
        owner: contract.metadata.owner.trim().to_owned(),
        description: spec.description.as_deref().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()),
        tags: contract.metadata.tags.clone(),
        status,
        deprecation: deprecation(&contract.metadata),
        output_ports,
        default_port,
        input_ports,
        quality_checks,
        schema: schema.map(|schema| Arc::from(schema.fields)),
        governance,
        timezone: defaults.timezone.clone().unwrap_or_else(|| "UTC".to_owned()),
        reference,
    });
    faults.into_result(product)
}

/// Reads a semantic version; `2` and `2.1` are short for `2.0.0` and `2.1.0`.
pub fn parse_version(text: &str) -> Option<Version> {
    let mut parts = [0u32; 3];
    let mut words = text.trim().split('.');
    for part in &mut parts {
        let Some(word) = words.next() else { break };
        if word.is_empty() || !word.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *part = word.parse().ok()?;
    }
    let [major, minor, patch] = parts;
    words.next().is_none().then_some(Version { major, minor, patch })
}

/// Checks a domain's name: it becomes a schema.
///
/// # Errors
/// Why it is none.
pub fn parse_domain_name(text: &str) -> Result<DomainName, String> {
    let name = DomainName::parse(text).map_err(|error| error.to_string())?;
    let schema = name.to_sql();
    if SCHEMAS_RESERVED.contains(&schema.as_str()) || schema.starts_with("pg_") {
        return Err(format!("the domain name \"{text}\" is reserved"));
    }
    path_safe(text).map(|()| name)
}

/// Checks a product's name: it becomes a table, a file and a part of a reference.
///
/// # Errors
/// Why it is none.
pub fn parse_product_name(text: &str) -> Result<ProductName, String> {
    let name = ProductName::parse(text).map_err(|error| error.to_string())?;
    path_safe(text).map(|()| name)
}

/// `/` and `@` are the separators of references; a dot in front hides a file.
fn path_safe(text: &str) -> Result<(), String> {
    if text.chars().any(|c| matches!(c, '/' | '\\' | '@')) || text.starts_with('.') || text.trim() != text {
        return Err(format!("the name \"{text}\" has a \"/\", \"\\\" or \"@\", or starts with a dot or a space"));
    }
    Ok(())
}

fn reference(metadata: &MetadataSpec, faults: &mut Faults<'_>) -> Option<ProductRef> {
    let domain = parse_domain_name(&metadata.domain).map_err(|message| faults.add("/metadata/domain", message));
    let name = parse_product_name(&metadata.name).map_err(|message| faults.add("/metadata/name", message));
    let version = parse_version(&metadata.version);
    if version.is_none() {
        let hint = "Write major.minor.patch, for example \"2.1.0\".";
        faults.add_with_hint("/metadata/version", "\"version\" is no semantic version", hint);
    }
    Some(ProductRef { domain: domain.ok()?, name: name.ok()?, version: version? })
}

fn status(metadata: &MetadataSpec, faults: &mut Faults<'_>) -> Status {
    if let Some(deprecation) = &metadata.deprecation {
        for (key, date) in [("since", &deprecation.since), ("sunset", &deprecation.sunset)] {
            if date.as_deref().is_some_and(|date| chrono::NaiveDate::parse_from_str(date, "%Y-%m-%d").is_err()) {
                let message = format!("\"{key}\" is no date");
                faults.add_with_hint(&format!("/metadata/deprecation/{key}"), message, "Write it as \"2027-02-28\".");
            }
        }
    }
    match metadata.status {
        None if metadata.deprecation.is_some() => Status::Deprecated,
        None | Some(StatusSpec::Active) => Status::Active,
        Some(StatusSpec::Proposed) => Status::Proposed,
        Some(StatusSpec::Draft) => Status::Draft,
        Some(StatusSpec::Deprecated) => Status::Deprecated,
        Some(StatusSpec::Retired) => Status::Retired,
    }
}

fn deprecation(metadata: &MetadataSpec) -> Option<Deprecation> {
    metadata.deprecation.clone().map(|spec| Deprecation {
        since: spec.since,
        sunset: spec.sunset,
        replaced_by: spec.replaced_by,
        note: spec.note,
    })
}

fn input_ports(spec: &ProductSpec, faults: &mut Faults<'_>) -> Vec<InputPort> {
    let mut ports = Vec::new();
    for (index, port) in spec.input_ports.iter().enumerate() {
        let at = format!("/spec/inputPorts/{index}");
        let source = match port.source_product.split_once('/') {
            Some((domain, product)) => parse_domain_name(domain).and_then(|domain| Ok((domain, parse_product_name(product)?))),
            None => Err("\"sourceProduct\" must name a domain and a product, as domain/product".to_owned()),
        };
        let fields = names(&port.fields, &format!("{at}/fields"), faults);
        if port.version.as_deref().is_some_and(|version| parse_version(version.trim_start_matches('v')).is_none()) {
            faults.add_with_hint(&format!("{at}/version"), "\"version\" is no version", "Name the major version that is read: \"1\".");
        }
        match source {
            Ok((domain, product)) => ports.push(InputPort { domain, product, fields, version: port.version.clone() }),
            Err(message) => faults.add(&format!("{at}/sourceProduct"), message),
        }
    }
    ports
}

fn quality_checks(spec: &ProductSpec, faults: &mut Faults<'_>) -> Vec<QualityCheck> {
    for (index, check) in spec.quality_checks.iter().enumerate() {
        if check.rule.trim().is_empty() {
            faults.add(&format!("/spec/qualityChecks/{index}/rule"), "\"rule\" is empty");
        }
    }
    let checks = spec.quality_checks.iter();
    checks.map(|check| QualityCheck { rule: check.rule.clone(), blocking: check.severity == SeveritySpec::Error }).collect()
}

/// The valid ones of a list of field names; the others are faults.
fn names(texts: &[String], pointer: &str, faults: &mut Faults<'_>) -> Vec<FieldName> {
    let mut names: Vec<FieldName> = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        match FieldName::parse(text) {
            Ok(name) if names.contains(&name) => faults.add(&format!("{pointer}/{index}"), format!("the field \"{name}\" is listed twice")),
            Ok(name) => names.push(name),
            Err(error) => faults.add(&format!("{pointer}/{index}"), NameError::to_string(&error)),
        }
    }
    names
}
