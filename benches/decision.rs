//! How long a decision takes, with a million erased people loaded.
//!
//! ```sh
//! cargo bench --bench decision -- policies catalogs
//! ```
//!
//! Decides about every product of a catalog, as a login without roles and as a steward, by the bundle of a folder, and prints medians: of
//! decisions that are made anew, each for a login that was not asked about before, and of those that come from the cache, each at a later
//! time than the one before.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use meshgate::identity::Principal;
use meshgate::locator;
use meshgate::policy::{AccessRequest, Bundle, BundleFile, DecisionPoint, FieldUse, Outcome, RequestContext, RequestedField, SubjectSet};
use meshgate::product::Product;

/// The same as the gateway's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ERASED: u32 = 1_000_000;
const DECISIONS: usize = 2_000;

fn bundle(folder: &Path) -> anyhow::Result<Bundle> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if matches!(path.extension().and_then(|extension| extension.to_str()), Some("rego" | "json")) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            files.push(BundleFile { path: name, text: std::fs::read_to_string(&path)? });
        }
    }
    Bundle::parse(files).map_err(|faults| anyhow::anyhow!("{faults:?}"))
}

fn request(product: &Arc<Product>, principal: &Arc<Principal>) -> Option<AccessRequest> {
    let personal = &product.governance.pii_fields;
    let fields = product.schema.as_deref().unwrap_or_default().iter().filter(|field| !personal.contains(&field.name));
    Some(AccessRequest {
        principal: Arc::clone(principal),
        purpose: None,
        product: Arc::clone(product),
        port: product.output_ports.get(product.default_port?)?.name.clone(),
        fields: fields.map(|field| RequestedField { name: field.name.clone(), uses: vec![FieldUse::Projected] }).collect(),
        context: RequestContext {
            query_id: "bench".to_owned(),
            now: chrono::Utc::now(),
            application_name: "bench".to_owned(),
            client_address: None,
        },
    })
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// The median of many decisions, in microseconds, and what they are. A login of its own makes each of them anew.
fn decisions(point: &DecisionPoint, request: &AccessRequest, anew: bool) -> (f64, &'static str) {
    let mut times = Vec::with_capacity(DECISIONS);
    let mut outcome = "";
    let mut request = request.clone();
    for _ in 0..DECISIONS {
        if anew {
            request.principal = Arc::new(Principal::clone(&request.principal));
        }
        request.context.now += chrono::TimeDelta::microseconds(7);
        let start = Instant::now();
        let decision = std::hint::black_box(point.decide(&request));
        times.push(start.elapsed());
        outcome = if matches!(decision.outcome, Outcome::Allow(_)) { "allow" } else { "deny" };
    }
    (median(times).as_secs_f64() * 1e6, outcome)
}

#[expect(clippy::print_stdout, reason = "a bench prints what it measures")]
fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let [policies, catalogs] = arguments.as_slice() else { bail!("usage: decision <folder of policies> <folder of catalogs>") };
    let snapshot = locator::load(Path::new(catalogs)).map_err(|faults| anyhow::anyhow!("{faults:?}"))?;
    let retention: BTreeMap<_, _> = snapshot.domains().filter_map(|domain| Some((domain.name.clone(), domain.retention_days?))).collect();
    let erased = Arc::new(SubjectSet::new((0..ERASED).map(|id| format!("{}", id * 7 + 3))));
    let bundle = Arc::new(bundle(Path::new(policies))?);
    let start = Instant::now();
    let point = DecisionPoint::new(bundle, &snapshot.products(), &retention, erased).map_err(|faults| anyhow::anyhow!("{faults:?}"))?;
    println!("bound and checked in {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
    for (who, is_data_steward) in [("no role", false), ("steward", true)] {
        let (roles, groups, attributes) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
        let principal = Arc::new(Principal { product: None, name: "bench".to_owned(), roles, groups, is_data_steward, attributes });
        for product in snapshot.products() {
            let Some(request) = request(&product, &principal) else { continue };
            let (anew, outcome) = decisions(&point, &request, true);
            let (cached, _) = decisions(&point, &request, false);
            println!("{who:8} {:40} {outcome:5} median anew {anew:6.1} µs, cached {cached:5.1} µs", product.reference.to_string());
        }
    }
    Ok(())
}
