//! The tools beside `serve`: each reads, reports on the writer that it is given, and says whether all is well.

use std::io::{self, Write};
use std::sync::Arc;

use crate::config::{self, Config, Origin};
use crate::identity::scram::{ITERATIONS_DEFAULT, ITERATIONS_MAX};
use crate::identity::{self, ScramVerifier};
use crate::product::{OWN_SCHEMA, Product};
use crate::{locator, product};

use super::gaps;
use super::load::{self, LoadFaults};
use super::sources::Source;

pub use audit::{HeadsOf, audit_keygen, audit_verify};
pub use explain::{ExplainOptions, explain};
pub use export::{ExportOptions, export_datahub};
pub use lineage::{DiffOptions, lineage_diff};
pub use policy::{EvalOptions, Format, TestRun, policy_eval, policy_test};
pub use replay::{ReplayOptions, policy_replay};

mod audit;
mod explain;
mod export;
mod lineage;
mod policy;
mod replay;

/// What a tool found: whether all is well.
pub type Outcome = anyhow::Result<bool>;

/// What a tool found, as its exit code.
pub type Code = anyhow::Result<u8>;

/// `meshgate check`: everything that the configuration names, all faults at once.
pub fn check(config: &Config, out: &mut dyn Write) -> Outcome {
    let mut faults = Vec::new();
    let mut note = |found: LoadFaults| faults.extend(found.0);
    let snapshot = load::catalog(config).map_err(&mut note).ok();
    let bundle = Source::of_policies(config).and_then(|policies| policies.bundle()).map_err(&mut note).ok();
    let erased = match config.erasures.as_ref().and_then(Origin::path) {
        // The example's own list is written at its first start.
        Some(path) if config.example.is_some() && !path.exists() => load::erasures(None),
        _ => Source::of_erasures(config).and_then(|erasures| erasures.erasures()),
    };
    let erased = erased.map_err(&mut note).ok();
    let principals = load::principals(config).map_err(&mut note).ok();
    load::proofs(config).map_err(&mut note).ok();
    if let (Some(snapshot), Some(bundle), Some(erased)) = (snapshot, bundle, erased) {
        let (domains, products) = (snapshot.domains().filter(|domain| domain.schema != OWN_SCHEMA).count(), snapshot.products().len());
        for gap in snapshot.gaps() {
            writeln!(out, "{}:{}: gap: {}", gap.file, gap.line, gap.message)?;
        }
        for (login, product) in principals.iter().flat_map(|directory| standing_for_nothing(directory, &snapshot.products())) {
            writeln!(out, "{}: gap: \"{login}\" stands for \"{product}\", which has no contract", config.principals.display())?;
        }
        match load::world(config, snapshot.into(), bundle.into(), erased.into()) {
            Err(found) => faults.extend(found.0),
            Ok(world) => {
                for gap in gaps::gaps(&world) {
                    writeln!(out, "{}: gap: {gap}", config.file.display())?;
                }
                if faults.is_empty() {
                    writeln!(out, "ok: {products} products in {domains} domains")?;
                }
            }
        }
    }
    for fault in &faults {
        writeln!(out, "{fault}")?;
    }
    if !faults.is_empty() {
        writeln!(out, "{} fault(s)", faults.len())?;
    }
    Ok(faults.is_empty())
}

/// Logins that stand for a product that there is not, sorted.
fn standing_for_nothing(directory: &identity::Directory, products: &[Arc<Product>]) -> Vec<(String, String)> {
    let exists = |name: &str| products.iter().any(|product| format!("{}/{}", product.reference.domain, product.reference.name) == name);
    let principals = directory.logins().map(|login| &login.principal);
    let named = principals.filter_map(|principal| Some((principal.name.clone(), principal.product.clone()?)));
    let mut standing: Vec<(String, String)> = named.filter(|(_, product)| !exists(product)).collect();
    standing.sort();
    standing
}

/// `meshgate passwd`: a verifier for the principals' file.
pub fn passwd(password: &str, iterations: u32, out: &mut dyn Write) -> Outcome {
    anyhow::ensure!(
        (ITERATIONS_DEFAULT..=ITERATIONS_MAX).contains(&iterations),
        "a verifier has {ITERATIONS_DEFAULT} to {ITERATIONS_MAX} iterations"
    );
    let verifier = ScramVerifier::derive(password, &rand::random::<[u8; 16]>(), iterations);
    writeln!(out, "{}", verifier.to_text())?;
    Ok(true)
}

/// `meshgate schema`: the JSON Schema of a file that meshgate reads.
pub fn schema(of: &str, out: &mut dyn Write) -> Outcome {
    let schema = match of {
        "contract" => product::spec::schema(),
        "domains" => locator::schema(),
        "principals" => identity::schema(),
        "config" => config::schema(),
        "audit" => crate::audit::schema(),
        other => anyhow::bail!("there is no schema of \"{other}\"; there are contract, domains, principals, config and audit"),
    };
    let text = serde_json::to_string_pretty(&schema).map_err(io::Error::other)?;
    writeln!(out, "{text}")?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_is_one_that_the_principals_file_takes() {
        let mut out = Vec::new();
        for iterations in [0, ITERATIONS_DEFAULT - 1, ITERATIONS_MAX + 1] {
            assert!(passwd("secret", iterations, &mut out).is_err());
        }
        assert!(out.is_empty());
        assert!(passwd("secret", ITERATIONS_DEFAULT, &mut out).unwrap());
        let verifier = String::from_utf8(out).unwrap();
        let text = format!("principals: [{{name: ann, verifier: \"{}\"}}]", verifier.trim());
        assert!(
            identity::Directory::parse("principals.yaml", &text).unwrap().find("ann").unwrap().verifier.as_ref().unwrap().matches("secret")
        );
    }
}
