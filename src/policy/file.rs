//! The files of a bundle as they are read, and what can be wrong with them.

use std::fmt;

/// One file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleFile {
    /// Its path, for messages and the revision; relative to the bundle's folder.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// What is wrong with a bundle, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct BundleFault {
    /// The file; empty if it is the bundle's as a whole.
    pub file: String,
    /// The line, from 1; 0 if it is the file's as a whole.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for BundleFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.file.as_str(), self.line) {
            ("", _) => write!(f, "{}", self.message),
            (file, 0) => write!(f, "{file}: {}", self.message),
            (file, line) => write!(f, "{file}:{line}: {}", self.message),
        }
    }
}
