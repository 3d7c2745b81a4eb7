//! The files of a catalog: which are read, and the revision that identifies their content.
//!
//! INVARIANT: nothing outside the folder is read, nothing but regular files is opened, and no file is read past its limit.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::document::{Fault, TEXT_BYTES_MAX};

/// The domain map.
pub(super) const DOMAINS_FILE: &str = "domains.yaml";

/// Contracts that one catalog may hold.
const CONTRACTS_MAX: usize = 10_000;

/// Hex digits of a revision.
const REVISION_CHARS: usize = 16;

/// One contract's text.
pub(super) struct ContractFile {
    /// As faults name it.
    pub(super) name: String,
    /// `<folder>/<file>`, with `/` on every system.
    pub(super) relative: String,
    /// The domain's folder.
    pub(super) folder: String,
    /// The content.
    pub(super) text: String,
}

/// The texts of a catalog.
#[derive(Default)]
pub(super) struct Files {
    /// Name and text of the domain map.
    pub(super) domains: Option<(String, String)>,
    /// The contracts, sorted by path.
    pub(super) contracts: Vec<ContractFile>,
}

impl Files {
    /// Equal paths and texts, equal revisions.
    pub(super) fn revision(&self) -> String {
        let map = self.domains.iter().flat_map(|(_, text)| [DOMAINS_FILE, text.as_str()]);
        digest(map.chain(self.contracts.iter().flat_map(|file| [file.relative.as_str(), file.text.as_str()])))
    }
}

/// The beginning of a hash of texts in this order.
pub(super) fn digest<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        let text = text.as_ref();
        // The length in front keeps two neighbours from being read as one.
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    let hex: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    hex.chars().take(REVISION_CHARS).collect()
}

/// Reads every file that belongs to the catalog.
pub(super) fn read(folder: &Path) -> (Files, Vec<Fault>) {
    let mut walk = Walk { folder: folder.to_path_buf(), root: PathBuf::new(), files: Files::default(), faults: Vec::new() };
    match folder.canonicalize() {
        Ok(root) => walk.root = root,
        Err(error) => {
            let message = format!("the folder of the catalog cannot be read: {}", error.kind());
            return (walk.files, vec![Fault::of_file(folder.display().to_string(), message)]);
        }
    }
    for (name, path) in walk.entries(folder) {
        if path.is_dir() {
            for (file, path) in walk.entries(&path) {
                if is_yaml(&file) && !path.is_dir() {
                    walk.take_contract(&name, &file, &path);
                }
            }
        } else if name == DOMAINS_FILE {
            walk.files.domains = walk.text(&path).map(|text| (path.display().to_string(), text));
        } else if is_yaml(&name) {
            let fault = Fault::of_file(path.display().to_string(), "the file lies in no domain's folder");
            walk.faults.push(fault.with_hint("Contracts lie in <domain>/<product>.yaml, the map of the domains in domains.yaml."));
        }
    }
    let missing = walk.files.domains.is_none() && walk.faults.is_empty();
    if missing {
        let fault = Fault::of_file(folder.join(DOMAINS_FILE).display().to_string(), "the map of the domains is missing");
        walk.faults.push(fault.with_hint("Write domains: with each domain, its owner_team and its products."));
    }
    (walk.files, walk.faults)
}

fn is_yaml(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

struct Walk {
    folder: PathBuf,
    root: PathBuf,
    files: Files,
    faults: Vec<Fault>,
}

impl Walk {
    /// The entries of a folder by name, without hidden ones and those that lead out of the catalog.
    fn entries(&mut self, folder: &Path) -> Vec<(String, PathBuf)> {
        let listed = match fs::read_dir(folder) {
            Ok(listed) => listed,
            Err(error) => {
                self.fault(folder, format!("the folder cannot be read: {}", error.kind()));
                return Vec::new();
            }
        };
        let mut entries = Vec::new();
        for entry in listed.flatten() {
            let path = entry.path();
            match entry.file_name().into_string() {
                Ok(name) if name.starts_with('.') => {}
                Ok(name) => {
                    if self.stays_inside(&path) {
                        entries.push((name, path));
                    }
                }
                Err(_) => self.fault(&path, "the file's name is not UTF-8".to_owned()),
            }
        }
        entries.sort();
        entries
    }

    fn stays_inside(&mut self, path: &Path) -> bool {
        match path.canonicalize() {
            Ok(real) if real.starts_with(&self.root) => true,
            Ok(_) => {
                self.fault(path, "the link leads out of the catalog's folder".to_owned());
                false
            }
            Err(error) => {
                self.fault(path, format!("the file cannot be read: {}", error.kind()));
                false
            }
        }
    }

    fn take_contract(&mut self, folder: &str, file: &str, path: &Path) {
        if self.files.contracts.len() >= CONTRACTS_MAX {
            if self.files.contracts.len() == CONTRACTS_MAX && !self.faults.iter().any(|fault| fault.message.starts_with("more than")) {
                let folder = self.folder.clone();
                self.fault(&folder, format!("more than {CONTRACTS_MAX} contracts"));
            }
            return;
        }
        if let Some(text) = self.text(path) {
            let name = path.display().to_string();
            self.files.contracts.push(ContractFile { name, relative: format!("{folder}/{file}"), folder: folder.to_owned(), text });
        }
    }

    fn text(&mut self, path: &Path) -> Option<String> {
        match read_text(path) {
            Ok(text) => Some(text),
            Err(message) => {
                self.fault(path, message);
                None
            }
        }
    }

    fn fault(&mut self, path: &Path, message: String) {
        self.faults.push(Fault::of_file(path.display().to_string(), message));
    }
}

/// A regular file's text, if it is one, UTF-8 and no longer than a document may be.
fn read_text(path: &Path) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("the file cannot be read: {}", error.kind());
    // Opening a pipe would wait for a writer.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err("this is no regular file".to_owned());
    }
    let mut bytes = Vec::new();
    let limit = TEXT_BYTES_MAX as u64 + 1;
    fs::File::open(path).map_err(unreadable)?.take(limit).read_to_end(&mut bytes).map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|_| "the file is not UTF-8".to_owned())
}
