//! A policy bundle: the governance team's Rego files and their data, all valid or not used.
//!
//! The packages that decide are [`ENTRY_PACKAGE`] for the whole mesh, and optionally one per product. Files named `*_test.rego` are
//! parsed with the others and take no part in a decision.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::entries;
use super::file::{BundleFault, BundleFile};
use super::manifest::Manifest;
use super::reads::Reads;
use super::rego::{Rego, RuleSite};
use super::residual::ir::Program;

/// The package that every read is asked of.
pub const ENTRY_PACKAGE: &str = "data_mesh.governance";

/// The longest that one evaluation may take.
pub(super) const TIME_LIMIT: Duration = Duration::from_secs(1);

/// The package of generated entry points.
pub(super) const ENTRIES: &str = "meshgate_entry";

/// Roots of `data` that the gateway fills in; a bundle may not.
pub(super) const RESERVED_DATA: [&str; 3] = ["pii_registry", "retention_policies", "erased_subjects"];

/// The rules that make up an answer.
pub(super) const ANSWER_RULES: [&str; 7] = ["allow", "columnMasks", "deny", "exemptions", "fieldGrants", "notices", "rowFilters"];

/// The rules that are asked first, before it is known which fields would be read as they are.
pub(super) const MASK_RULES: [&str; 2] = ["columnMasks", "fieldGrants"];

/// The rules that single records may have a part in.
const RECORD_RULES: [&str; 2] = ["allow", "deny"];

/// The rules that only the mesh-wide package may have: they widen what may be read.
const MESH_RULES: [&str; 3] = ["exemptions", "fieldGrants", "may_discover"];

/// A compiled bundle.
#[derive(Debug, Clone)]
pub struct Bundle {
    revision: String,
    digest: String,
    rego: Rego,
    reads: Reads,
    packages: BTreeMap<String, Package>,
    records: Program,
    require_product_packages: bool,
}

/// What a package declares, and the generated rules that ask it.
#[derive(Debug, Clone, Default)]
pub(super) struct Package {
    /// Its name.
    pub(super) name: String,
    /// The rules of an answer that it declares.
    pub(super) rules: BTreeSet<String>,
    /// Those of them that a record can reach: they are evaluated with the record unknown.
    pub(super) record_rules: BTreeSet<String>,
    /// Those of the others that the rules about records ask for.
    pub(super) grounds: BTreeSet<String>,
    /// Whether one of the others reads the clock, or asks for a rule that does.
    pub(super) reads_clock: bool,
    /// Whether its masks and grants hang on what will be masked: then they must be known before the rest is asked.
    pub(super) masks_first: bool,
    /// The rule that answers masks and grants.
    pub(super) masks_entry: String,
    /// The rule that answers the rest.
    pub(super) answer_entry: String,
    /// The rule that answers the rest and what the rules about records ask for, under the full names of those rules.
    pub(super) full_entry: String,
    /// The rule that answers everything.
    pub(super) whole_entry: String,
}

impl Package {
    /// Whether it declares that rule.
    pub(super) fn declares(&self, rule: &str) -> bool {
        self.rules.contains(rule)
    }

    /// Whether it declares that rule, and no record can reach it.
    pub(super) fn answers(&self, rule: &str) -> bool {
        self.rules.contains(rule) && !self.record_rules.contains(rule)
    }
}

impl Bundle {
    /// Compiles `*.rego` and `*.json`; other files are ignored. Every fault that can be told apart is reported.
    pub fn parse(files: Vec<BundleFile>) -> Result<Self, Vec<BundleFault>> {
        Self::parse_within(files, TIME_LIMIT)
    }

    /// The same with another limit on each evaluation.
    pub(super) fn parse_within(files: Vec<BundleFile>, time_limit: Duration) -> Result<Self, Vec<BundleFault>> {
        let digest = digest(&files);
        let manifest = Manifest::of(&files);
        let unread = files.iter().filter(|file| is_yaml_data(&file.path)).map(|file| BundleFault {
            file: file.path.clone(),
            line: 0,
            message: "data are read as JSON only; rules over these would see nothing".to_owned(),
        });
        let unread: Vec<BundleFault> = unread.collect();
        let (policies, tests, data) = sort(files);
        let everything: Vec<BundleFile> = policies.iter().chain(&tests).cloned().collect();
        let mut faults = Rego::compile(&everything, time_limit).err().unwrap_or_default();
        faults.extend(unread);
        let manifest = manifest.unwrap_or_else(|mut more| {
            faults.append(&mut more);
            Manifest::default()
        });
        let data = match parse_data(&data) {
            Ok(data) => data,
            Err(mut more) => {
                faults.append(&mut more);
                serde_json::Map::new()
            }
        };
        if !faults.is_empty() {
            return Err(faults);
        }
        let (rego, sites) = Rego::compile(&policies, time_limit)?;
        check_rules(&sites, &data)?;
        let strangers = manifest.strangers(&sites, &data);
        if !strangers.is_empty() {
            return Err(strangers);
        }
        let records = rego.program()?;
        check_records(&sites, &records)?;
        let packages = packages(&sites, &records);
        let reads = rego.reads();
        let require_product_packages = require_product_packages(&data)?;
        let text = entries::text(&packages, &records, &entries::always(&sites));
        let entries = BundleFile { path: "meshgate_entry.rego".to_owned(), text };
        let rego = rego.extended(Some(entries), &serde_json::Value::Object(data))?;
        let revision = manifest.revision.unwrap_or_else(|| digest.clone());
        Ok(Self { revision, digest, rego, reads, packages, records, require_product_packages })
    }

    /// What the bundle calls itself in its manifest; without that, its digest.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// Identifies the content: equal paths and texts, equal digests.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// What its rules read of a question's circumstances.
    pub(super) fn reads(&self) -> Reads {
        self.reads
    }

    /// The compiled rules.
    pub(super) fn rego(&self) -> &Rego {
        &self.rego
    }

    /// The rules that a record can reach.
    pub(super) fn records(&self) -> &Program {
        &self.records
    }

    /// The mesh-wide package.
    pub(super) fn mesh(&self) -> Option<&Package> {
        self.packages.get(ENTRY_PACKAGE)
    }

    /// The package that `opa://customer-domain/customer-360-access` names, as `customer_domain.customer_360_access`.
    pub(super) fn product_package(&self, package: &str) -> Option<&Package> {
        self.packages.get(package).filter(|package| package.name != ENTRY_PACKAGE)
    }

    /// Whether it has a package that a contract may name.
    pub fn has_product_package(&self, package: &str) -> bool {
        self.product_package(package).is_some()
    }

    /// Whether a contract may name a package only if the bundle has it (`data.meshgate.require_product_packages`).
    pub(super) fn requires_product_packages(&self) -> bool {
        self.require_product_packages
    }
}

/// The package of a product's `access_policy`; `None` if it is no `opa://` reference.
pub(super) fn package_of_policy(access_policy: &str) -> Option<String> {
    let path = access_policy.trim().strip_prefix("opa://")?.trim_matches('/');
    let segments: Vec<String> = path.split('/').map(package_segment).collect::<Option<_>>()?;
    Some(segments.join("."))
}

fn package_segment(segment: &str) -> Option<String> {
    let named: String = segment.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    match named.chars().next()? {
        first if first.is_ascii_digit() => Some(format!("_{named}")),
        _ => Some(named),
    }
}

/// The first 16 hex digits of a SHA-256 over paths and texts in the order of the paths.
fn digest(files: &[BundleFile]) -> String {
    let mut sorted: Vec<&BundleFile> = files.iter().collect();
    sorted.sort_by(|a, b| a.path.cmp(&b.path).then_with(|| a.text.cmp(&b.text)));
    let mut hasher = Sha256::new();
    for part in sorted.iter().flat_map(|file| [&file.path, &file.text]) {
        // The length keeps `("ab", "c")` and `("a", "bc")` apart.
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Policies, tests, data; each in the order of the paths.
pub(super) fn sort(mut files: Vec<BundleFile>) -> (Vec<BundleFile>, Vec<BundleFile>, Vec<BundleFile>) {
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let (data, files): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| file.path.ends_with(".json"));
    let files = files.into_iter().filter(|file| file.path.ends_with(".rego"));
    let (tests, policies) = files.partition(|file| file.path.ends_with("_test.rego"));
    // A JSON Schema lies beside the policies for their authors; only documents named data.json are data.
    let data = data.into_iter().filter(|file| file.path.rsplit(['/', '\\']).next() == Some("data.json")).collect();
    (policies, tests, data)
}

fn is_yaml_data(path: &str) -> bool {
    matches!(path.rsplit(['/', '\\']).next(), Some("data.yaml" | "data.yml"))
}

/// All data documents, each below the path of its folder; a value that two of them set is a fault.
pub(super) fn parse_data(files: &[BundleFile]) -> Result<serde_json::Map<String, serde_json::Value>, Vec<BundleFault>> {
    let mut merged = serde_json::Map::new();
    let mut faults = Vec::new();
    for file in files {
        let mut fault = |line: usize, message: String| faults.push(BundleFault { file: file.path.clone(), line, message });
        let document = match serde_json::from_str::<serde_json::Value>(&file.text) {
            Ok(serde_json::Value::Object(document)) => document,
            Ok(_) => {
                fault(1, "data must be an object".to_owned());
                continue;
            }
            Err(error) => {
                fault(error.line(), format!("not JSON: {error}"));
                continue;
            }
        };
        let folders: Vec<&str> = file.path.split(['/', '\\']).collect();
        let folders = folders.get(..folders.len().saturating_sub(1)).unwrap_or_default();
        let document = folders
            .iter()
            .rev()
            .fold(document, |inner, folder| serde_json::Map::from_iter([((*folder).to_owned(), serde_json::Value::Object(inner))]));
        for key in document.keys().filter(|key| RESERVED_DATA.contains(&key.as_str())) {
            fault(0, format!("\"{key}\" is filled in from the catalog; a bundle may not set it"));
        }
        for path in merge(&mut merged, document) {
            fault(0, format!("\"{path}\" is set by another data file as well"));
        }
    }
    if faults.is_empty() { Ok(merged) } else { Err(faults) }
}

/// Adds what is not there yet; answers the paths that were.
fn merge(into: &mut serde_json::Map<String, serde_json::Value>, from: serde_json::Map<String, serde_json::Value>) -> Vec<String> {
    let mut twice = Vec::new();
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(serde_json::Value::Object(there)), serde_json::Value::Object(more)) => {
                twice.extend(merge(there, more).into_iter().map(|path| format!("{key}/{path}")));
            }
            (Some(_), _) => twice.push(key),
            (None, value) => {
                into.insert(key, value);
            }
        }
    }
    twice
}

/// Whether a rule stands where the data have a value, or below one.
fn covered_by_data(site: &RuleSite, data: &serde_json::Map<String, serde_json::Value>) -> bool {
    let mut here = data;
    for segment in site.package.split('.') {
        match here.get(segment) {
            None => return false,
            Some(serde_json::Value::Object(inner)) => here = inner,
            Some(_) => return true,
        }
    }
    here.contains_key(&site.name)
}

fn require_product_packages(data: &serde_json::Map<String, serde_json::Value>) -> Result<bool, Vec<BundleFault>> {
    let Some(settings) = data.get("meshgate") else { return Ok(false) };
    let fault = |message: &str| vec![BundleFault { file: "data.json".to_owned(), line: 0, message: message.to_owned() }];
    let settings = settings.as_object().ok_or_else(|| fault("\"meshgate\" must be an object"))?;
    if let Some(unknown) = settings.keys().find(|key| *key != "require_product_packages") {
        return Err(fault(&format!("\"meshgate\" has no setting \"{unknown}\"")));
    }
    match settings.get("require_product_packages") {
        None => Ok(false),
        Some(value) => value.as_bool().ok_or_else(|| fault("\"meshgate.require_product_packages\" must be true or false")),
    }
}

/// What the compiler cannot know: the entry point, reserved names, and misspelt rules, which would silently decide nothing.
fn check_rules(sites: &[RuleSite], data: &serde_json::Map<String, serde_json::Value>) -> Result<(), Vec<BundleFault>> {
    let mut faults = Vec::new();
    if !sites.iter().any(|site| site.package == ENTRY_PACKAGE && site.name == "allow") {
        let message = format!("the bundle has no entry point: no rule \"allow\" in package {ENTRY_PACKAGE}");
        faults.push(BundleFault { file: String::new(), line: 0, message });
    }
    for site in sites {
        let fault = |message: String| BundleFault { file: site.file.clone(), line: site.line, message };
        let root = site.package.split('.').next().unwrap_or_default();
        if root == ENTRIES || root == "meshgate" || RESERVED_DATA.contains(&root) {
            faults.push(fault(format!("package names that start with \"{root}\" are the gateway's own")));
        } else if covered_by_data(site, data) {
            faults.push(fault(format!("\"{}.{}\" is a package here and a key of a data file", site.package, site.name)));
        }
        if let Some(meant) = misspelt(&site.name) {
            faults.push(fault(format!("rule \"{}\" decides nothing; \"{meant}\" is meant?", site.name)));
        }
        if site.package != ENTRY_PACKAGE && MESH_RULES.contains(&site.name.as_str()) {
            faults.push(fault(format!("rule \"{}\" is for package {ENTRY_PACKAGE} only", site.name)));
        }
    }
    faults.dedup();
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// The rule that a name differs from only in case, underscores and a final `s`.
fn misspelt(name: &str) -> Option<&'static str> {
    let plain = |text: &str| text.replace('_', "").to_lowercase().trim_end_matches('s').to_owned();
    let written = plain(name);
    ANSWER_RULES.into_iter().chain(["may_discover"]).find(|rule| *rule != name && plain(rule) == written)
}

/// Which rows may be seen can hang on a record; what is masked, granted or told cannot.
fn check_records(sites: &[RuleSite], records: &Program) -> Result<(), Vec<BundleFault>> {
    let answers = |site: &&RuleSite| ANSWER_RULES.contains(&site.name.as_str()) || site.name == "may_discover";
    let of_records = sites.iter().filter(answers).filter(|site| !RECORD_RULES.contains(&site.name.as_str()));
    let of_records = of_records.filter(|site| records.has(&format!("{}.{}", site.package, site.name)));
    let mut faults: Vec<BundleFault> = of_records
        .map(|site| {
            let message = format!("rule \"{}\" depends on single records; only \"allow\" and \"deny\" may", site.name);
            BundleFault { file: site.file.clone(), line: site.line, message }
        })
        .collect();
    faults.dedup();
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

fn packages(sites: &[RuleSite], records: &Program) -> BTreeMap<String, Package> {
    let mut packages: BTreeMap<String, Package> = BTreeMap::new();
    let answers = |site: &&RuleSite| ANSWER_RULES.contains(&site.name.as_str()) || site.name == "may_discover";
    for site in sites.iter().filter(answers).filter(|site| site.package.split('.').all(is_identifier)) {
        let package = packages.entry(site.package.clone()).or_default();
        package.name.clone_from(&site.package);
        package.rules.insert(site.name.clone());
        let path = format!("{}.{}", site.package, site.name);
        package.masks_first |= MASK_RULES.contains(&site.name.as_str()) && records.hangs_on_masks(&path);
        if records.has(&path) {
            package.record_rules.insert(site.name.clone());
        } else if site.name != "may_discover" {
            package.reads_clock |= records.is_clocked(&path);
            if records.grounds.contains(&path) {
                package.grounds.insert(site.name.clone());
            }
        }
    }
    for (index, package) in packages.values_mut().enumerate() {
        package.masks_entry = format!("{ENTRIES}.masks_{index}");
        package.answer_entry = format!("{ENTRIES}.answer_{index}");
        package.full_entry = format!("{ENTRIES}.full_{index}");
        package.whole_entry = format!("{ENTRIES}.whole_{index}");
    }
    packages
}

/// A package with a quoted component cannot be named by a contract.
pub(super) fn is_identifier(segment: &str) -> bool {
    segment.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && segment.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> BundleFile {
        BundleFile { path: path.to_owned(), text: text.to_owned() }
    }

    fn good() -> BundleFile {
        file("a.rego", "package data_mesh.governance\n\nallow := true\n")
    }

    fn faults(files: Vec<BundleFile>) -> Vec<String> {
        Bundle::parse(files).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_file_that_does_not_parse_is_reported_with_its_line() {
        let files = vec![
            good(),
            file("b.rego", "package x\n\nallow if {\n"),
            file("c_test.rego", "package y\n\ntest_a if { := }\n"),
            file("data.json", "{\n  \"a\": }"),
        ];
        let faults = Bundle::parse(files).unwrap_err();
        let places: Vec<(&str, usize)> = faults.iter().map(|fault| (fault.file.as_str(), fault.line)).collect();
        assert_eq!(places.len(), 3, "{faults:?}");
        assert_eq!(places[0].0, "b.rego");
        assert_eq!(places[1], ("c_test.rego", 3));
        assert_eq!(places[2], ("data.json", 2));
        assert!(places[0].1 >= 3);
    }

    #[test]
    fn a_rule_over_an_unknown_variable_is_a_fault_at_load() {
        let faults = Bundle::parse(vec![file("a.rego", "package data_mesh.governance\n\nallow if nowhere\n")]).unwrap_err();
        assert_eq!((faults[0].file.as_str(), faults[0].line), ("a.rego", 3), "{faults:?}");
    }

    #[test]
    fn a_bundle_without_the_entry_point_is_refused() {
        for files in [vec![], vec![file("a.rego", "package elsewhere\n\nallow := true\n")], vec![file("a_test.rego", &good().text)]] {
            assert!(faults(files)[0].contains("no entry point"));
        }
    }

    #[test]
    fn a_rule_that_is_almost_one_of_the_answer_is_refused() {
        for (written, meant) in
            [("row_filters", "rowFilters"), ("Deny", "deny"), ("exemption", "exemptions"), ("mayDiscover", "may_discover")]
        {
            let text = format!("package data_mesh.governance\n\nallow := true\n\n{written} contains \"x\"\n");
            let faults = faults(vec![file("a.rego", &text)]);
            assert_eq!(faults, [format!("a.rego:5: rule \"{written}\" decides nothing; \"{meant}\" is meant?")]);
        }
    }

    #[test]
    fn only_the_mesh_wide_package_widens() {
        let faults = faults(vec![good(), file("b.rego", "package own.rules\n\nexemptions contains \"erasure\"\n")]);
        assert_eq!(faults, ["b.rego:3: rule \"exemptions\" is for package data_mesh.governance only"]);
    }

    #[test]
    fn data_cannot_take_the_place_of_rules_or_of_the_catalog() {
        let over_rules = faults(vec![good(), file("data.json", "{\"data_mesh\": {\"governance\": {\"allow\": true}}}")]);
        assert!(over_rules[0].contains("is a package here"));
        assert!(faults(vec![good(), file("data.json", "{\"pii_registry\": {}}")])[0].contains("filled in from the catalog"));
        assert!(faults(vec![good(), file("b.rego", "package pii_registry\n\nx := 1\n")])[0].contains("the gateway's own"));
        assert!(faults(vec![good(), file("data.json", "{\"meshgate\": {\"require\": true}}")])[0].contains("no setting"));
    }

    #[test]
    fn the_revision_hangs_on_paths_and_texts_and_not_on_their_order() {
        let other = || file("b.rego", "package b\n\nx := 1\n");
        let revision = |files: Vec<BundleFile>| Bundle::parse(files).unwrap().revision().to_owned();
        let base = revision(vec![good(), other()]);
        assert_eq!(base.len(), 16);
        assert_eq!(base, revision(vec![other(), good()]));
        assert_ne!(base, revision(vec![good(), file("c.rego", &other().text)]));
        assert_ne!(base, revision(vec![good(), file("b.rego", "package b\n\nx := 2\n")]));
    }

    #[test]
    fn data_lie_below_the_path_of_their_folder_and_beside_rules() {
        let rules = "package data_mesh.governance\n\nallow if data.data_mesh.limits.max == 7\n\ndeny contains \"x\" if data.top != data.regions.eu.top\n";
        let files = vec![
            file("rules/a.rego", rules),
            file("data.json", "{\"top\": 1}"),
            file("regions/eu/data.json", "{\"top\": 1}"),
            file("regions/data.json", "{\"us\": {\"top\": 2}}"),
            file("data_mesh/limits/data.json", "{\"max\": 7}"),
        ];
        let bundle = Bundle::parse(files.clone()).unwrap();
        assert_eq!(bundle.rego().ask("data_mesh.governance.allow", None), Ok(Some(true.into())));
        assert_eq!(bundle.rego().ask("data_mesh.governance.deny", None), Ok(Some(serde_json::json!([]))));
        let twice = [files, vec![file("regions/us/data.json", "{\"top\": 3}")]].concat();
        assert_eq!(faults(twice), ["regions/us/data.json: \"regions/us/top\" is set by another data file as well"]);
        let over = faults(vec![good(), file("data_mesh/data.json", "{\"governance\": 3}")]);
        assert!(over[0].contains("is a package here"), "{over:?}");
        assert!(faults(vec![good(), file("retention_policies/data.json", "{\"a\": 3}")])[0].contains("filled in from the catalog"));
    }

    #[test]
    fn data_that_would_not_be_read_are_refused() {
        assert!(faults(vec![good(), file("a/data.yaml", "x: 1")])[0].starts_with("a/data.yaml: data are read as JSON only"));
    }

    #[test]
    fn a_bundle_has_the_revision_of_its_manifest_and_keeps_to_its_roots() {
        let manifest = |text: &str| file(".manifest", text);
        let bundle = Bundle::parse(vec![good(), manifest("{\"revision\": \"2026-11\", \"roots\": [\"data_mesh\"]}")]).unwrap();
        assert_eq!(bundle.revision(), "2026-11");
        assert_eq!(bundle.digest().len(), 16);
        let faults = faults(vec![good(), manifest("{\"roots\": [\"other\"]}")]);
        assert_eq!(faults, ["a.rego:3: package data_mesh.governance lies outside of the roots of the manifest"]);
        assert!(Bundle::parse(vec![good(), manifest("{")]).is_err());
    }

    #[test]
    fn a_policy_reference_is_a_package() {
        assert_eq!(package_of_policy("opa://customer-domain/customer-360-access").as_deref(), Some("customer_domain.customer_360_access"));
        assert_eq!(package_of_policy("opa://a/9-lives").as_deref(), Some("a._9_lives"));
        for reference in ["", "opa://", "opa://a//b", "https://a/b", "a.b"] {
            assert_eq!(package_of_policy(reference), None, "{reference}");
        }
    }
}
