//! `domains.yaml`: which domain owns which products.

use std::collections::{BTreeMap, HashMap};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::document::{self, Fault, Faults, SourceMap};
use crate::product::spec::CompatibilitySpec;
use crate::product::validate::{DomainDefaults, parse_domain_name, parse_product_name};

use super::files::Files;
use super::snapshot::Domain;

/// The map of the domains.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DomainsSpec {
    /// Each domain by its name, which is its folder's name and the schema's in SQL.
    pub domains: BTreeMap<String, DomainSpec>,
}

/// One domain.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DomainSpec {
    /// The team that owns it.
    pub owner_team: String,
    /// Whom to call.
    pub oncall_pagerduty: Option<String>,
    /// Products made from the domain's own systems.
    #[serde(default)]
    pub source_products: Vec<String>,
    /// Products made for uses.
    #[serde(default)]
    pub consumer_products: Vec<String>,
    /// What the domain's contracts need not repeat.
    #[serde(default)]
    pub defaults: DefaultsSpec,
}

/// `defaults` of a domain.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DefaultsSpec {
    /// Days that records of restricted products may be read.
    #[schemars(range(min = 1, max = 36500))]
    pub retention_days: Option<u32>,
    /// The compatibility promise.
    pub compatibility: Option<CompatibilitySpec>,
    /// IANA name of the time zone of SLA texts; UTC if not given.
    pub timezone: Option<String>,
}

/// The valid map.
pub(super) struct DomainMap {
    /// The file, as faults name it.
    pub(super) file: String,
    pub(super) domains: BTreeMap<String, DomainEntry>,
}

/// One domain of the map.
pub(super) struct DomainEntry {
    pub(super) domain: Domain,
    pub(super) defaults: DomainDefaults,
    /// Names of its products.
    pub(super) products: Vec<String>,
}

/// Reads the map.
pub(super) fn parse(files: &Files) -> Result<DomainMap, Vec<Fault>> {
    // A missing map is a fault of the folder, reported there.
    let Some((file, text)) = &files.domains else { return Err(Vec::new()) };
    let domains = document::Reader::<DomainsSpec>::new().check(file, text, |spec, places| entries(file, spec, &places))?;
    Ok(DomainMap { file: file.clone(), domains })
}

fn entries(file: &str, spec: DomainsSpec, places: &SourceMap) -> Result<BTreeMap<String, DomainEntry>, Vec<Fault>> {
    let mut faults = Faults::new(file, places);
    let mut domains = BTreeMap::new();
    let mut schemas: HashMap<String, String> = HashMap::new();
    let mut owners: HashMap<String, String> = HashMap::new();
    for (name, spec) in spec.domains {
        let at = format!("/domains/{}", name.replace('~', "~0").replace('/', "~1"));
        let Ok(parsed) = parse_domain_name(&name).map_err(|message| faults.add(&at, message)) else { continue };
        if let Some(other) = schemas.insert(parsed.to_sql(), name.clone()) {
            faults.add_with_hint(&at, format!("the domains \"{other}\" and \"{name}\" are one name in SQL"), "Rename one.");
        }
        check(&spec, &at, &mut faults);
        let products = products(&name, &spec, &at, &mut owners, &mut faults);
        let domain = Domain {
            schema: parsed.to_sql(),
            name: parsed,
            owner_team: spec.owner_team,
            oncall: spec.oncall_pagerduty,
            retention_days: spec.defaults.retention_days,
        };
        let defaults = DomainDefaults {
            retention_days: spec.defaults.retention_days,
            compatibility: spec.defaults.compatibility.map(|promise| promise.as_str().to_owned()),
            timezone: spec.defaults.timezone,
        };
        domains.insert(name, DomainEntry { domain, defaults, products });
    }
    faults.into_result(Some(domains))
}

fn check(spec: &DomainSpec, at: &str, faults: &mut Faults<'_>) {
    if spec.owner_team.trim().is_empty() {
        faults.add(&format!("{at}/owner_team"), "\"owner_team\" must name a team");
    }
    if spec.defaults.timezone.as_deref().is_some_and(|name| name.parse::<chrono_tz::Tz>().is_err()) {
        faults.add_with_hint(&format!("{at}/defaults/timezone"), "\"timezone\" is no time zone", "Write an IANA name: UTC, Europe/Berlin.");
    }
}

/// The names of a domain's products; `owners` remembers whose each is, over all domains.
fn products(domain: &str, spec: &DomainSpec, at: &str, owners: &mut HashMap<String, String>, faults: &mut Faults<'_>) -> Vec<String> {
    let mut names = Vec::new();
    for (key, list) in [("source_products", &spec.source_products), ("consumer_products", &spec.consumer_products)] {
        for (index, name) in list.iter().enumerate() {
            let at = format!("{at}/{key}/{index}");
            if let Err(message) = parse_product_name(name) {
                faults.add(&at, message);
            }
            if let Some(other) = owners.insert(name.clone(), domain.to_owned()) {
                let message = if other == domain {
                    format!("the product \"{name}\" is listed twice in the domain \"{domain}\"")
                } else {
                    format!("the product \"{name}\" is listed in two domains, \"{other}\" and \"{domain}\"")
                };
                faults.add_with_hint(&at, message, "A product has one owner; keep it once.");
            }
            names.push(name.clone());
        }
    }
    names
}

/// The JSON Schema of `domains.yaml`, for editors.
pub fn schema() -> serde_json::Value {
    document::schema_of::<DomainsSpec>()
}
