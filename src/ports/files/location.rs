//! The text of a location as a root folder and a pattern below it.
//!
//! A location is a file, a folder (all files of the port's extension below it) or a glob whose wildcards stand in the last segments:
//! `*` and `?` within a segment, `**` for any number of segments. Names that start with `.` or `_` are skipped unless the location
//! itself spells them.

use std::path::{Path, PathBuf};

use super::super::error::{Error, Place};

/// Where files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct FileLocation {
    /// The folder that everything is relative to.
    pub(super) root: PathBuf,
    /// The segments below the root; wildcards only here.
    pub(super) pattern: Vec<String>,
    /// Whether the pattern has wildcards.
    pub(super) glob: bool,
}

impl FileLocation {
    /// Reads a location; a relative one is below the data root.
    pub(in super::super) fn parse(at: &Place, text: &str, data_root: &Path) -> Result<Self, Error> {
        let path = match text.split_once("://") {
            Some(("file", path)) if path.starts_with('/') => PathBuf::from(path),
            Some(("file", _)) => return Err(invalid(at, "a file URL needs an absolute path")),
            Some((scheme, _)) => return Err(Error::NotSupported { at: at.clone(), what: format!("a location of scheme \"{scheme}\"") }),
            None if text.is_empty() => return Err(invalid(at, "it is empty")),
            None => data_root.join(text),
        };
        let mut segments = Vec::new();
        for component in path.components() {
            match component {
                std::path::Component::Normal(name) => {
                    segments.push(name.to_str().ok_or_else(|| invalid(at, "it is not UTF-8"))?.to_owned())
                }
                std::path::Component::ParentDir => return Err(invalid(at, "it goes up with \"..\"")),
                _ => {}
            }
        }
        let wild = segments.iter().position(|segment| is_wild(segment));
        let fixed = wild.unwrap_or(segments.len().saturating_sub(1));
        let pattern = segments.split_off(fixed);
        let mut root = if path.is_absolute() { PathBuf::from("/") } else { PathBuf::new() };
        root.extend(&segments);
        Ok(Self { root, pattern, glob: wild.is_some() })
    }

    /// Whether a file, by its segments below the root, belongs to the port.
    pub(super) fn matches(&self, segments: &[&str], has_extension: bool) -> bool {
        let pattern: Vec<&str> = self.pattern.iter().map(String::as_str).collect();
        if matches(&pattern, segments) {
            return !self.glob || !segments.last().is_some_and(|name| is_hidden(name));
        }
        // The pattern names a folder: everything of the extension below it.
        has_extension
            && (1..segments.len()).any(|depth| {
                let (folder, below) = segments.split_at(depth);
                matches(&pattern, folder) && !below.iter().any(|name| is_hidden(name))
            })
    }
}

fn invalid(at: &Place, reason: &'static str) -> Error {
    Error::Location { at: at.clone(), reason }
}

fn is_wild(segment: &str) -> bool {
    segment.contains(['*', '?'])
}

fn is_hidden(name: &str) -> bool {
    name.starts_with(['.', '_'])
}

fn matches(pattern: &[&str], segments: &[&str]) -> bool {
    match (pattern.split_first(), segments.split_first()) {
        (None, None) => true,
        (Some((&"**", rest)), None) => matches(rest, segments),
        (Some((&"**", rest)), Some((name, below))) => matches(rest, segments) || (!is_hidden(name) && matches(pattern, below)),
        (Some((head, rest)), Some((name, below))) => {
            let shown = !is_wild(head) || !is_hidden(name);
            shown && matches_segment(head.as_bytes(), name.as_bytes()) && matches(rest, below)
        }
        (None, Some(_)) | (Some(_), None) => false,
    }
}

fn matches_segment(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => (0..=name.len()).any(|skip| name.get(skip..).is_some_and(|tail| matches_segment(rest, tail))),
        (Some((b'?', rest)), Some((_, tail))) => matches_segment(rest, tail),
        (Some((head, rest)), Some((first, tail))) => head == first && matches_segment(rest, tail),
        (None, Some(_)) | (Some(_), None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::place;
    use super::*;

    fn location(text: &str) -> FileLocation {
        FileLocation::parse(&place(), text, Path::new("/data")).unwrap()
    }

    #[test]
    fn a_relative_location_is_below_the_data_root() {
        assert_eq!(location("a/b.csv").root, Path::new("/data/a"));
        assert_eq!(location("file:///x/y/*.csv").root, Path::new("/x/y"));
    }

    #[test]
    fn a_glob_matches_names_but_not_hidden_ones() {
        let glob = location("a/*.csv");
        assert!(glob.matches(&["x.csv"], true));
        assert!(!glob.matches(&[".x.csv"], true));
        assert!(!glob.matches(&["x.tsv"], false));
        assert!(!glob.matches(&["sub", "x.csv"], true));
        assert!(location("a/**/*.csv").matches(&["sub", "x.csv"], true));
    }

    #[test]
    fn a_folder_holds_all_files_of_the_extension() {
        let folder = location("a/daily/");
        assert!(folder.matches(&["daily", "2026", "11", "x.parquet"], true));
        assert!(!folder.matches(&["daily", "_SUCCESS"], false));
        assert!(!folder.matches(&["daily", "_tmp", "x.parquet"], true));
    }

    #[test]
    fn other_schemes_and_parent_folders_are_refused() {
        assert!(matches!(FileLocation::parse(&place(), "s3://b/k", Path::new("/")), Err(Error::NotSupported { .. })));
        assert!(matches!(FileLocation::parse(&place(), "../x", Path::new("/d")), Err(Error::Location { .. })));
    }
}
