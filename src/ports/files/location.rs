//! The text of a location as a root and a pattern below it.
//!
//! A location is a file, a folder (all files of the port's extension below it) or a glob: `*` and `?` within a segment, `**` for any
//! number of segments. Names that start with `.` or `_` are skipped unless the location itself spells them. The root is a folder of
//! this machine, or an object store: then every segment is of the pattern.

use std::path::{Path, PathBuf};

use super::super::error::{Error, Place};
use super::remote::Scheme;

/// Where files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct FileLocation {
    /// What everything is relative to.
    pub(super) root: Root,
    /// The segments below the root; wildcards only here.
    pub(super) pattern: Vec<String>,
    /// Whether the pattern has wildcards.
    pub(super) glob: bool,
    /// Whether the text says that it is a folder, by a slash at its end.
    pub(super) folder: bool,
}

/// What files are below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Root {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A bucket, a container or a server.
    Store {
        /// How it is spoken to.
        scheme: Scheme,
        /// The name of the bucket or container; of a server `host` or `host:port`.
        name: String,
    },
}

impl FileLocation {
    /// Reads a location; a relative one is below the data root.
    pub(in super::super) fn parse(at: &Place, text: &str, data_root: &Path) -> Result<Self, Error> {
        let path = match text.split_once("://") {
            Some(("file", path)) if path.starts_with('/') => PathBuf::from(path),
            Some(("file", _)) => return Err(invalid(at, "a file URL needs an absolute path")),
            Some((scheme, rest)) => match Scheme::parse(scheme) {
                Some(scheme) => return Self::remote(at, scheme, rest),
                None => return Err(Error::NotSupported { at: at.clone(), what: format!("a location of scheme \"{scheme}\"") }),
            },
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
        if root.as_os_str().is_empty() {
            // The folder where the gateway runs: an empty path is none.
            root.push(".");
        }
        Ok(Self { root: Root::Folder(root), pattern, glob: wild.is_some(), folder: text.ends_with('/') })
    }

    fn remote(at: &Place, scheme: Scheme, rest: &str) -> Result<Self, Error> {
        let (name, path) = rest.split_once('/').unwrap_or((rest, ""));
        if name.is_empty() || name.contains(['@', '?', '#']) {
            return Err(invalid(at, "it names no bucket, container or server"));
        }
        let pattern: Vec<String> = path.split('/').filter(|segment| !segment.is_empty()).map(str::to_owned).collect();
        if pattern.iter().any(|segment| segment == "." || segment == "..") {
            return Err(invalid(at, "it goes up with \"..\""));
        }
        let (glob, folder) = (pattern.iter().any(|segment| is_wild(segment)), path.is_empty() || path.ends_with('/'));
        if scheme.is_web() && (glob || folder) {
            return Err(invalid(at, "a server over HTTP lists no files: it must name one"));
        }
        Ok(Self { root: Root::Store { scheme, name: name.to_owned() }, pattern, glob, folder })
    }

    /// The segments that every file begins with: those before the first wildcard.
    pub(super) fn fixed(&self) -> &[String] {
        let wild = self.pattern.iter().position(|segment| is_wild(segment));
        self.pattern.get(..wild.unwrap_or(self.pattern.len())).unwrap_or_default()
    }

    /// Whether a file, by its segments below the root, belongs to the port.
    pub(super) fn matches(&self, segments: &[&str], has_extension: bool) -> bool {
        let pattern: Vec<&str> = self.pattern.iter().map(String::as_str).collect();
        if !self.folder && matches(&pattern, segments) {
            return !self.glob || !segments.last().is_some_and(|name| is_hidden(name));
        }
        // The pattern names a folder: everything of the extension below it. A bucket is one, too.
        has_extension
            && (pattern.len().min(1)..segments.len()).any(|depth| {
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
        assert_eq!(location("a/b.csv").root, Root::Folder("/data/a".into()));
        assert_eq!(location("file:///x/y/*.csv").root, Root::Folder("/x/y".into()));
    }

    #[test]
    fn a_file_may_lie_in_the_folder_where_the_gateway_runs() {
        let root = |text: &str, data_root: &str| FileLocation::parse(&place(), text, Path::new(data_root)).unwrap().root;
        assert_eq!(root("b.csv", "."), Root::Folder(".".into()));
        assert_eq!(root("b.csv", ""), Root::Folder(".".into()));
        assert_eq!(root("a/b.csv", "."), Root::Folder("a".into()));
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
    fn a_store_is_a_root_and_all_below_it_the_pattern() {
        let folder = location("s3://mesh/a/daily/");
        assert_eq!(folder.root, Root::Store { scheme: Scheme::S3, name: "mesh".to_owned() });
        assert_eq!(folder.fixed(), ["a", "daily"]);
        assert!(folder.matches(&["a", "daily", "2026", "x.parquet"], true));
        assert!(!folder.matches(&["a", "daily2", "x.parquet"], true) && !folder.matches(&["a", "daily"], false));
        assert!(location("s3://mesh/").matches(&["x.parquet"], true) && !location("s3://mesh").matches(&["_tmp", "x.parquet"], true));
        let glob = location("gs://mesh/a/*/x?.parquet");
        assert_eq!(glob.fixed(), ["a"]);
        assert!(glob.matches(&["a", "b", "x1.parquet"], true) && !glob.matches(&["b", "b", "x1.parquet"], true));
        assert_eq!(location("https://data.example/a/b.csv").pattern, ["a", "b.csv"]);
    }

    #[test]
    fn other_schemes_and_parent_folders_are_refused() {
        let parse = |text: &str| FileLocation::parse(&place(), text, Path::new("/d"));
        assert!(matches!(parse("ftp://b/k"), Err(Error::NotSupported { .. })));
        for text in ["../x", "s3://b/../k", "s3:///k", "https://h/a/", "https://h/*.csv", "https://u:p@h/a.csv"] {
            assert!(matches!(parse(text), Err(Error::Location { .. })), "{text}");
        }
    }
}
