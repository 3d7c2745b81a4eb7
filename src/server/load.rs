//! Reads what the gateway serves by: contracts, policies, the erasure list, principals. All valid, or not used.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::catalog::mesh;
use crate::config::Config;
use crate::document::Fault;
use crate::engine::World;
use crate::identity::Directory;
use crate::locator::{self, Snapshot};
use crate::policy::{Bundle, BundleFault, BundleFile, DecisionPoint, MANIFEST_PATH, MaskKeys, SubjectSet};
use crate::source::{ArchiveLimits, read_tar_gz};

use super::feed::secret;
use super::keys::Note;
use super::options;
use super::subjects;
use super::tokens::Issuers;

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
    fn of_documents(faults: &[Fault]) -> Self {
        Self(faults.iter().map(ToString::to_string).collect())
    }

    fn of_bundle(faults: &[BundleFault]) -> Self {
        Self(faults.iter().map(ToString::to_string).collect())
    }

    /// The same faults, of files that come from there.
    pub(super) fn of(self, source: &str) -> Self {
        Self(self.0.into_iter().map(|fault| format!("{source}: {fault}")).collect())
    }

    fn of_io(path: &Path, error: &io::Error) -> Self {
        Self(vec![format!("{}: {error}", path.display())])
    }
}

/// The contracts, beside the gateway's own relations.
pub fn catalog(config: &Config) -> Result<Snapshot, LoadFaults> {
    let snapshot = locator::load(&config.catalogs).map_err(|faults| LoadFaults::of_documents(&faults))?;
    let (schema, tables) = mesh::schema().map_err(|error| LoadFaults(vec![error.to_string()]))?;
    Ok(snapshot.with_own(schema, tables))
}

/// The principals.
pub fn principals(config: &Config) -> Result<Directory, LoadFaults> {
    let text = read_text(&config.principals)?;
    Directory::parse(&config.principals.display().to_string(), &text).map_err(|faults| LoadFaults::of_documents(&faults))
}

/// What logins are proved by beside passwords: certificates, and keys of tokens that lie in files.
pub fn proofs(config: &Config) -> Result<(), LoadFaults> {
    let mut faults = Vec::new();
    let mut note = |fault: anyhow::Error| faults.push(format!("{}: {fault:#}", config.file.display()));
    options::tls(config).map_err(&mut note).ok();
    if let Some(tokens) = &config.tokens {
        let nobody: Note = Arc::new(|_: Result<(), &str>| ());
        Issuers::open(tokens, &nobody).map_err(&mut note).ok();
    }
    if faults.is_empty() { Ok(()) } else { Err(LoadFaults(faults)) }
}

/// The longest archive that is read from disk.
const ARCHIVE_BYTES_MAX: u64 = 256 << 20;

/// The policy bundle: a folder, or an archive of one.
pub fn bundle(path: &Path) -> Result<Bundle, LoadFaults> {
    Bundle::parse(bundle_files(path)?).map_err(|faults| LoadFaults::of_bundle(&faults))
}

/// The policy bundle in an archive that was fetched.
pub fn bundle_of_archive(bytes: &[u8]) -> Result<Bundle, LoadFaults> {
    Bundle::parse(unpacked(bytes)?).map_err(|faults| LoadFaults::of_bundle(&faults))
}

/// The files of a bundle: Rego, JSON and the manifest, in any depth; other hidden ones are left out.
pub fn bundle_files(path: &Path) -> Result<Vec<BundleFile>, LoadFaults> {
    let of_io = |error: io::Error| LoadFaults::of_io(path, &error);
    let metadata = fs::metadata(path).map_err(of_io)?;
    if metadata.is_file() {
        if metadata.len() > ARCHIVE_BYTES_MAX {
            return Err(LoadFaults(vec![format!("{}: the file is longer than {ARCHIVE_BYTES_MAX} bytes", path.display())]));
        }
        let bytes = fs::read(path).map_err(of_io)?;
        return unpacked(&bytes).map_err(|faults| faults.of(&path.display().to_string()));
    }
    let mut paths = Vec::new();
    collect(path, &mut paths).map_err(of_io)?;
    let manifest = path.join(MANIFEST_PATH);
    if manifest.is_file() {
        paths.push(manifest);
    }
    paths.sort();
    let relative = |file: &Path| file.strip_prefix(path).unwrap_or(file).display().to_string();
    paths.into_iter().map(|file| Ok(BundleFile { text: read_text(&file)?, path: relative(&file) })).collect()
}

/// The files of a bundle in an archive.
fn unpacked(bytes: &[u8]) -> Result<Vec<BundleFile>, LoadFaults> {
    let entries =
        read_tar_gz(bytes, ArchiveLimits::default(), |path| path == MANIFEST_PATH || (!is_hidden(path) && is_of_bundle(Path::new(path))));
    let entries = entries.map_err(|error| LoadFaults(vec![error.to_string()]))?;
    let mut faults = Vec::new();
    let mut files = Vec::new();
    for entry in entries {
        match String::from_utf8(entry.bytes) {
            Ok(text) => files.push(BundleFile { path: entry.path, text }),
            Err(_) => faults.push(format!("{}: the file is not UTF-8", entry.path)),
        }
    }
    if faults.is_empty() { Ok(files) } else { Err(LoadFaults(faults)) }
}

/// Whether a file belongs to a bundle. Data in YAML do not, and are listed so that the bundle can say so.
fn is_of_bundle(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    matches!((extension, stem), ("rego" | "json", _) | ("yaml" | "yml", "data"))
}

fn is_hidden(path: &str) -> bool {
    path.split('/').any(|part| part.starts_with('.'))
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
        } else if is_of_bundle(&path) {
            paths.push(path);
        }
    }
    Ok(())
}

/// The erased subjects in a file.
pub fn erasures(path: Option<&Path>) -> Result<SubjectSet, LoadFaults> {
    let Some(path) = path else { return Ok(SubjectSet::default()) };
    let bytes = fs::read(path).map_err(|error| LoadFaults::of_io(path, &error))?;
    erasures_of(&bytes).map_err(|fault| LoadFaults(vec![format!("{}: {fault}", path.display())]))
}

/// The erased subjects in a list.
pub fn erasures_of(bytes: &[u8]) -> Result<SubjectSet, &'static str> {
    subjects::read(bytes).map(SubjectSet::new)
}

/// The fewest bytes of a mask's secret.
const MASK_KEY_BYTES_MIN: usize = 16;

/// The secrets of keyed masks.
fn mask_keys(config: &Config) -> Result<MaskKeys, LoadFaults> {
    let (mut keys, mut faults) = (Vec::new(), Vec::new());
    for (name, reference) in &config.mask_keys {
        match secret(reference) {
            Ok(secret) if secret.len() >= MASK_KEY_BYTES_MIN => keys.push((name.clone(), secret.into_bytes())),
            Ok(_) => faults.push(format!("mask_keys.{name}: the secret is shorter than {MASK_KEY_BYTES_MIN} bytes")),
            Err(reason) => faults.push(format!("mask_keys.{name}: {reason}")),
        }
    }
    if faults.is_empty() { Ok(MaskKeys::new(keys)) } else { Err(LoadFaults(faults).of(&config.file.display().to_string())) }
}

/// The world that these parts make together.
pub fn world(config: &Config, snapshot: Arc<Snapshot>, bundle: Arc<Bundle>, erased: Arc<SubjectSet>) -> Result<World, LoadFaults> {
    let keys = mask_keys(config)?;
    let retention: BTreeMap<_, _> = snapshot.domains().filter_map(|domain| Some((domain.name.clone(), domain.retention_days?))).collect();
    let bundle_revision = bundle.revision().to_owned();
    let point = DecisionPoint::new(bundle, &snapshot.products(), &retention, erased).map_err(|faults| LoadFaults::of_bundle(&faults))?;
    let point = point.with_mask_keys(keys).with_auditors(config.audit.auditors.iter().cloned());
    let missing = point.missing_mask_keys();
    if !missing.is_empty() {
        let fault = |(product, field, key)| format!("the mask of the field \"{field}\" of {product} needs the key \"{key}\" of mask_keys");
        return Err(LoadFaults(missing.into_iter().map(fault).collect()).of(&config.file.display().to_string()));
    }
    Ok(World { snapshot, policy: Arc::new(point), bundle_revision })
}

fn read_text(path: &Path) -> Result<String, LoadFaults> {
    let length = fs::metadata(path).map_err(|error| LoadFaults::of_io(path, &error))?.len();
    if length > TEXT_BYTES_MAX {
        return Err(LoadFaults(vec![format!("{}: the file is longer than {TEXT_BYTES_MAX} bytes", path.display())]));
    }
    fs::read_to_string(path).map_err(|error| LoadFaults::of_io(path, &error))
}
