//! The principals file: who may log in, and what the policies know of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::document::{self, Fault, Faults, SourceMap};

use super::Principal;
use super::scram::{ITERATIONS_DEFAULT, ScramVerifier};

/// What to do instead of writing a password down.
const PASSWD_HINT: &str = "Run \"meshgate passwd\" and write what it prints as \"verifier\".";

/// PostgreSQL's limit of a name.
const NAME_BYTES_MAX: usize = 63;

/// The principals file.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrincipalsSpec {
    /// Who may log in.
    pub principals: Vec<PrincipalSpec>,
    /// Groups that stand for a data product.
    #[serde(default)]
    pub groups: Vec<GroupSpec>,
}

/// A group, of principals in the file or of tokens.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupSpec {
    /// The group's name.
    pub name: String,
    /// The data product in whose name its members read: domain/product.
    pub product: String,
}

/// One principal.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrincipalSpec {
    /// The login's name.
    pub name: String,
    /// What `meshgate passwd` prints: SCRAM-SHA-256$…; without it, there is no password to log in with.
    pub verifier: Option<String>,
    /// Whose tokens prove this login; without it, none do.
    pub issuer: Option<String>,
    /// Roles, as the policies name them.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Groups.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Whether the principal is a data steward.
    #[serde(default)]
    pub is_data_steward: bool,
    /// Further facts that rules may use.
    #[serde(default)]
    pub attributes: BTreeMap<String, serde_json::Value>,
    /// The data product in whose name the principal reads: domain/product.
    pub product: Option<String>,
}

impl std::fmt::Debug for PrincipalSpec {
    /// Without the verifier.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PrincipalSpec").field("name", &self.name).field("roles", &self.roles).finish_non_exhaustive()
    }
}

/// One login.
#[derive(Debug, Clone)]
pub struct Login {
    /// Who it is.
    pub principal: Arc<Principal>,
    /// What checks its password, if it has one.
    pub verifier: Option<ScramVerifier>,
    /// Whose tokens prove it, if any do.
    pub issuer: Option<String>,
}

/// Everyone who may log in.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    logins: HashMap<String, Login>,
    /// Groups and the products that they stand for, in the file's order.
    groups: Vec<(String, String)>,
    iterations: u32,
}

impl Directory {
    /// Reads a principals file.
    ///
    /// # Errors
    /// Every fault; none repeats a verifier or a password.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Fault>> {
        let reader = document::Reader::<PrincipalsSpec>::new();
        reader.check(file, text, |spec, map| Self::of_spec(file, spec, &map)).map_err(explain_passwords)
    }

    fn of_spec(file: &str, spec: PrincipalsSpec, map: &SourceMap) -> Result<Self, Vec<Fault>> {
        let mut faults = Faults::new(file, map);
        let groups = groups_for_products(spec.groups, &mut faults);
        let mut logins = HashMap::new();
        for (index, spec) in spec.principals.into_iter().enumerate() {
            let at = format!("/principals/{index}");
            check_name(&spec.name, &at, &mut faults);
            let verifier = check_verifier(&spec, &at, &mut faults);
            if logins.contains_key(&spec.name) {
                let message = format!("the principal \"{}\" is given twice", spec.name);
                faults.add_with_hint(&format!("{at}/name"), message, "Remove one of the two.");
            }
            let product = spec.product.and_then(|text| product_name(&text, &format!("{at}/product"), &mut faults));
            let mut principal = Principal {
                product,
                name: spec.name.clone(),
                roles: names(spec.roles, &at, "roles", &mut faults),
                groups: names(spec.groups, &at, "groups", &mut faults),
                is_data_steward: spec.is_data_steward,
                attributes: spec.attributes,
            };
            stand_for_product(&groups, &mut principal);
            logins.insert(spec.name, Login { principal: Arc::new(principal), verifier, issuer: spec.issuer });
        }
        let iterations = usual_iterations(&logins);
        faults.into_result(Some(Self { logins, groups, iterations }))
    }

    /// The login of that name, as written.
    pub fn find(&self, login: &str) -> Option<&Login> {
        self.logins.get(login)
    }

    /// Gives one who stands for no product by itself the product of its first group that does.
    pub fn stand_for_product(&self, principal: &mut Principal) {
        stand_for_product(&self.groups, principal);
    }

    /// Every login, in no order.
    pub fn logins(&self) -> impl Iterator<Item = &Login> {
        self.logins.values()
    }

    /// Rounds that most verifiers have: what an unknown login must seem to have.
    pub fn usual_iterations(&self) -> u32 {
        self.iterations.max(1)
    }
}

fn stand_for_product(groups: &[(String, String)], principal: &mut Principal) {
    if principal.product.is_none() {
        let standing = groups.iter().find(|(group, _)| principal.groups.contains(group));
        principal.product = standing.map(|(_, product)| product.clone());
    }
}

fn groups_for_products(specs: Vec<GroupSpec>, faults: &mut Faults<'_>) -> Vec<(String, String)> {
    let mut groups: Vec<(String, String)> = Vec::new();
    for (index, spec) in specs.into_iter().enumerate() {
        let at = format!("/groups/{index}");
        if groups.iter().any(|(name, _)| name == &spec.name) {
            faults.add(&format!("{at}/name"), format!("the group \"{}\" is given twice", spec.name));
        }
        if let Some(product) = product_name(&spec.product, &format!("{at}/product"), faults) {
            groups.push((spec.name, product));
        }
    }
    groups
}

fn product_name(text: &str, at: &str, faults: &mut Faults<'_>) -> Option<String> {
    let found = parse_product(text);
    if found.is_none() {
        faults.add_with_hint(at, "\"product\" names no data product", "Write domain/product, as in inputPorts of a contract.");
    }
    found
}

/// The name of a data product: `domain/product`, or with a dot as in SQL, where neither part has one.
pub(super) fn parse_product(text: &str) -> Option<String> {
    let separator = if text.contains('/') { '/' } else { '.' };
    let (domain, product) = text.split_once(separator)?;
    let sound = |part: &str| !part.is_empty() && part.trim() == part && !part.chars().any(|c| c.is_control() || c == '/' || c == '"');
    let unambiguous = separator == '/' || !product.contains('.');
    (sound(domain) && sound(product) && unambiguous).then(|| format!("{domain}/{product}"))
}

/// Whether a text can be the name of a login.
pub(super) fn is_name(name: &str) -> bool {
    !name.trim().is_empty() && name.len() <= NAME_BYTES_MAX && !name.chars().any(char::is_control)
}

fn check_name(name: &str, at: &str, faults: &mut Faults<'_>) {
    if !is_name(name) {
        faults.add(&format!("{at}/name"), "\"name\" must be 1 to 63 bytes without control characters");
    }
}

fn check_verifier(spec: &PrincipalSpec, at: &str, faults: &mut Faults<'_>) -> Option<ScramVerifier> {
    let at = format!("{at}/verifier");
    match ScramVerifier::parse(spec.verifier.as_deref()?) {
        Ok(verifier) if verifier.iterations() >= ITERATIONS_DEFAULT => Some(verifier),
        Ok(_) => {
            let message = format!("the verifier of \"{}\" has fewer than {ITERATIONS_DEFAULT} iterations", spec.name);
            faults.add_with_hint(&at, message, PASSWD_HINT);
            None
        }
        Err(_) => {
            let message = format!("the verifier of \"{}\" is no SCRAM-SHA-256 verifier; a password in plain text is never read", spec.name);
            faults.add_with_hint(&at, message, PASSWD_HINT);
            None
        }
    }
}

fn names(list: Vec<String>, at: &str, key: &str, faults: &mut Faults<'_>) -> BTreeSet<String> {
    for (index, name) in list.iter().enumerate() {
        // A role with a space around it looks like another role than it is.
        if name.is_empty() || name.trim() != name || name.chars().any(char::is_control) {
            faults.add(&format!("{at}/{key}/{index}"), format!("a name in \"{key}\" is empty or has space around it"));
        }
    }
    list.into_iter().collect()
}

fn usual_iterations(logins: &HashMap<String, Login>) -> u32 {
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    for verifier in logins.values().filter_map(|login| login.verifier.as_ref()) {
        *counts.entry(verifier.iterations()).or_default() += 1;
    }
    counts.into_iter().max_by_key(|(_, count)| *count).map_or(ITERATIONS_DEFAULT, |(iterations, _)| iterations)
}

fn explain_passwords(mut faults: Vec<Fault>) -> Vec<Fault> {
    for fault in &mut faults {
        if fault.message.starts_with("unknown key \"password\"") {
            fault.hint = Some(PASSWD_HINT.to_owned());
        }
    }
    faults
}

/// The JSON Schema of a principals file, for editors.
pub fn schema() -> serde_json::Value {
    document::schema_of::<PrincipalsSpec>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verifier(iterations: u32) -> String {
        ScramVerifier::derive("analyst", b"0123456789abcdef", iterations).to_text()
    }

    #[test]
    fn principals_are_found_by_their_exact_name() {
        let text = format!(
            "principals:\n  - name: analyst\n    verifier: {}\n    roles: [reader]\n    groups: [g]\n    is_data_steward: true\n    attributes: {{region: eu, level: 3}}\n",
            verifier(4096)
        );
        let directory = Directory::parse("p.yaml", &text).unwrap();
        let login = directory.find("analyst").unwrap();
        assert!(
            login.verifier.as_ref().unwrap().matches("analyst") && login.principal.is_data_steward && login.principal.has_role("reader")
        );
        assert_eq!(login.principal.attributes.get("level"), Some(&serde_json::json!(3)));
        assert!(directory.find("Analyst").is_none() && directory.find("").is_none());
        assert_eq!(directory.usual_iterations(), 4096);
    }

    #[test]
    fn passwords_in_plain_text_are_faults_that_do_not_repeat_them() {
        let text = "principals:\n  - name: a\n    verifier: hunter2\n  - name: b\n    password: hunter2\n";
        let faults = Directory::parse("p.yaml", text).unwrap_err();
        let all = faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert!(all.contains("meshgate passwd") && !all.contains("hunter2"), "{all}");
        let faults = Directory::parse("p.yaml", "principals:\n  - name: a\n    verifier: hunter2\n").unwrap_err();
        assert_eq!((faults.len(), faults[0].line), (1, 3));
        assert!(!faults[0].to_string().contains("hunter2"));
    }

    #[test]
    fn a_login_without_a_password_has_no_verifier_and_counts_for_no_iterations() {
        let text = format!(
            "principals:\n  - {{name: machine, roles: [loader]}}\n  - {{name: ann, issuer: \"https://login.example\"}}\n  - {{name: bob, verifier: \"{}\"}}\n",
            verifier(5000)
        );
        let directory = Directory::parse("p.yaml", &text).unwrap();
        let [machine, ann] = ["machine", "ann"].map(|name| directory.find(name).unwrap());
        assert!(machine.verifier.is_none() && machine.issuer.is_none() && machine.principal.has_role("loader"));
        assert!(ann.verifier.is_none() && ann.issuer.as_deref() == Some("https://login.example"));
        assert_eq!(directory.usual_iterations(), 5000);
    }

    #[test]
    fn a_principal_stands_for_its_own_product_else_for_its_first_groups() {
        let text = "principals:\n  - {name: own, product: customer/customer-360, groups: [kpis]}\n  - {name: one, groups: [people, kpis, pipes]}\n  - {name: none, groups: [people]}\ngroups:\n  - {name: pipes, product: payments.revenue}\n  - {name: kpis, product: logistics/kpis}\n";
        let directory = Directory::parse("p.yaml", text).unwrap();
        let product = |name: &str| directory.find(name).unwrap().principal.product.clone();
        assert_eq!(product("own").as_deref(), Some("customer/customer-360"));
        assert_eq!((product("one").as_deref(), product("none")), (Some("payments/revenue"), None));
        let faults =
            Directory::parse("p.yaml", "principals: [{name: a, product: x}]\ngroups: [{name: g, product: a/b/c}, {name: h, product: a/}]");
        assert_eq!(faults.unwrap_err().len(), 3);
    }

    #[test]
    fn every_fault_is_reported_at_once() {
        let good = verifier(4096);
        let text = format!(
            "principals:\n  - name: a\n    verifier: {good}\n  - name: a\n    verifier: {good}\n  - name: \"\"\n    verifier: {}\n    roles: [\" x\"]\n",
            verifier(4095)
        );
        let lines: Vec<usize> = Directory::parse("p.yaml", &text).unwrap_err().iter().map(|fault| fault.line).collect();
        assert_eq!(lines, [4, 6, 7, 8]);
    }
}
