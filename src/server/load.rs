//! Reads what the gateway serves by: contracts, policies, the erasure list, principals. All valid, or not used.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::Config;
use crate::document::Fault;
use crate::engine::World;
use crate::identity::Directory;
use crate::locator::{self, Snapshot};
use crate::policy::{Bundle, BundleFault, BundleFile, DecisionPoint, SubjectSet};

/// The longest file that is read as a policy or a list of principals.
const TEXT_BYTES_MAX: u64 = 16 << 20;

/// Everything that can be wrong with what was read, each with file and line.
#[derive(Debug, thiserror::Error)]
#[error("{}", list(.0))]
pub struct LoadFaults(pub Vec<String>);

fn list(faults: &[String]) -> String {
    faults.join("\n")
}

impl LoadFaults {
    fn of(faults: &[Fault]) -> Self {
        Self(faults.iter().map(ToString::to_string).collect())
    }

    fn of_bundle(faults: &[BundleFault]) -> Self {
        Self(faults.iter().map(ToString::to_string).collect())
    }

    fn of_io(path: &Path, error: &io::Error) -> Self {
        Self(vec![format!("{}: {error}", path.display())])
    }
}

/// The contracts.
pub fn catalog(config: &Config) -> Result<Snapshot, LoadFaults> {
    locator::load(&config.catalogs).map_err(|faults| LoadFaults::of(&faults))
}

/// The principals.
pub fn principals(config: &Config) -> Result<Directory, LoadFaults> {
    let text = read_text(&config.principals)?;
    Directory::parse(&config.principals.display().to_string(), &text).map_err(|faults| LoadFaults::of(&faults))
}

/// The policy bundle.
pub fn bundle(folder: &Path) -> Result<Bundle, LoadFaults> {
    Bundle::parse(bundle_files(folder)?).map_err(|faults| LoadFaults::of_bundle(&faults))
}

/// The files of a bundle: Rego and JSON, in any depth; hidden ones are left out.
pub fn bundle_files(folder: &Path) -> Result<Vec<BundleFile>, LoadFaults> {
    let mut paths = Vec::new();
    collect(folder, &mut paths).map_err(|error| LoadFaults::of_io(folder, &error))?;
    paths.sort();
    paths
        .into_iter()
        .map(|path| Ok(BundleFile { text: read_text(&path)?, path: path.strip_prefix(folder).unwrap_or(&path).display().to_string() }))
        .collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if entry.file_type()?.is_dir() {
            collect(&path, paths)?;
        } else if path.extension().is_some_and(|extension| extension == "rego" || extension == "json") {
            paths.push(path);
        }
    }
    Ok(())
}

/// The erased subjects: one id a line, or the first column of a CSV file; a first line `subject_id` is a header, `#` starts a comment.
pub fn erasures(path: Option<&Path>) -> Result<SubjectSet, LoadFaults> {
    let Some(path) = path else { return Ok(SubjectSet::default()) };
    let text = fs::read_to_string(path).map_err(|error| LoadFaults::of_io(path, &error))?;
    let ids = text.lines().enumerate().filter_map(|(at, line)| {
        let id = line.split(',').next().unwrap_or_default().trim().trim_matches('"').trim();
        let header = at == 0 && id.eq_ignore_ascii_case("subject_id");
        (!header && !id.is_empty() && !id.starts_with('#')).then(|| id.to_owned())
    });
    Ok(SubjectSet::new(ids))
}

/// The world that these parts make together.
pub fn world(snapshot: Arc<Snapshot>, bundle: Arc<Bundle>, erased: Arc<SubjectSet>) -> Result<World, LoadFaults> {
    let retention: BTreeMap<_, _> = snapshot.domains().filter_map(|domain| Some((domain.name.clone(), domain.retention_days?))).collect();
    let bundle_revision = bundle.revision().to_owned();
    let point = DecisionPoint::new(bundle, &snapshot.products(), &retention, erased).map_err(|faults| LoadFaults::of_bundle(&faults))?;
    Ok(World { snapshot, policy: Arc::new(point), bundle_revision })
}

fn read_text(path: &Path) -> Result<String, LoadFaults> {
    let length = fs::metadata(path).map_err(|error| LoadFaults::of_io(path, &error))?.len();
    if length > TEXT_BYTES_MAX {
        return Err(LoadFaults(vec![format!("{}: the file is longer than {TEXT_BYTES_MAX} bytes", path.display())]));
    }
    fs::read_to_string(path).map_err(|error| LoadFaults::of_io(path, &error))
}
