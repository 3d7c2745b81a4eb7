//! Holds the house rules as code: who may name whom, where a dependency may be named, and how files look.
//!
//! The table is the one of `ARCHITECTURE.md`; a change of one is a change of both. Code inside `mod tests` and files of tests may
//! name what they like, for a test is allowed to build the world around what it tests.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use regex::Regex;

/// A module and the modules it may name.
const MODULES: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("telemetry", &[]),
    ("document", &["error"]),
    ("identity", &["error", "document"]),
    ("product", &["error", "document"]),
    ("config", &["error", "document"]),
    ("source", &[]),
    ("locator", &["error", "document", "product"]),
    ("policy", &["error", "identity", "product"]),
    ("ports", &["error", "product"]),
    ("enforcement", &["error", "identity", "product", "policy", "ports"]),
    ("lineage", &["error", "identity", "product", "ports"]),
    ("audit", &["error", "identity", "product", "policy"]),
    ("export", &["product", "locator", "lineage"]),
    ("catalog", &["error", "identity", "product", "locator", "ports", "enforcement", "lineage", "audit", "export"]),
    ("engine", &["error", "telemetry", "identity", "product", "locator", "policy", "ports", "enforcement", "lineage", "audit", "catalog"]),
    ("wire", &["error", "telemetry", "identity", "engine"]),
    (
        "server",
        &[
            "error",
            "telemetry",
            "document",
            "identity",
            "product",
            "config",
            "source",
            "locator",
            "policy",
            "ports",
            "enforcement",
            "lineage",
            "audit",
            "export",
            "catalog",
            "engine",
            "wire",
        ],
    ),
    ("main", &["server", "config", "telemetry"]),
];

/// A dependency and the beginnings of the paths, below `src`, that may name it.
const FENCES: &[(&str, &[&str])] = &[
    ("pgwire", &["wire/"]),
    ("regorus", &["policy/rego"]),
    ("tokio_postgres", &["ports/postgres"]),
    ("webpki_roots", &["ports/postgres"]),
    ("sqlparser", &["engine/sql", "catalog/system"]),
    ("object_store", &["ports/", "locator/"]),
    ("datafusion", &["ports/", "enforcement/", "lineage/", "catalog/", "engine/", "server/"]),
    ("clap", &["main.rs", "server/cli"]),
    ("saphyr_parser", &["document/"]),
    ("jsonschema", &["document/", "policy/schema"]),
    ("anyhow", &["main.rs", "server/", "policy/rego"]),
    ("tracing_subscriber", &["telemetry/"]),
    ("ring", &["audit/head", "identity/token", "ports/parquet/wrapped", "ports/postgres", "wire/tls"]),
    ("ureq", &["source/http"]),
    ("reqwest", &["ports/files/connect"]),
    ("async_compression", &["ports/files/unpack"]),
    ("snap", &["ports/avro/codec"]),
    ("num_bigint", &["engine/semantics/exact"]),
    ("regex_automata", &["engine/semantics/are/"]),
    ("tar", &["source/archive"]),
    ("flate2", &["source/archive", "audit/storage", "ports/avro/codec"]),
];

/// Names that say nothing about what they own.
const EMPTY_NAMES: &[&str] = &["util", "utils", "common", "helper", "helpers", "manager", "misc"];

const LINES_MAX: usize = 700;

/// A file of ours.
struct Source {
    /// Below `src`, or `tests/…`.
    path: String,
    text: String,
}

impl Source {
    fn module(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// How many `super` lead from the file's own module to the crate.
    fn depth(&self) -> usize {
        let parts = self.path.split('/').count();
        if self.path.ends_with("/mod.rs") { parts - 1 } else { parts }
    }

    fn is_of_tests(&self) -> bool {
        self.path.split('/').any(|part| matches!(part, "tests" | "tests.rs" | "tidy.rs"))
    }

    /// The code that is shipped: no comments, no texts, no tests.
    fn shipped(&self) -> String {
        let code = strip_comments_and_texts(&self.text);
        let tests = Regex::new(r"#\[cfg\(test\)\]\s*(?:pub(?:\([a-z]+\))? )?mod [a-z_]+\s*\{").unwrap();
        tests.find(&code).map(|found| code[..found.start()].to_owned()).unwrap_or(code)
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn read(folder: &str, prefix: &str) -> Vec<Source> {
    let base = root().join(folder);
    let mut paths = Vec::new();
    walk(&base, &mut paths);
    paths.sort();
    let load = |path: &PathBuf| {
        let below = path.strip_prefix(&base).unwrap().to_string_lossy().replace('\\', "/");
        Source { path: format!("{prefix}{below}"), text: std::fs::read_to_string(path).unwrap() }
    };
    paths.iter().map(load).collect()
}

fn shipped_sources() -> Vec<Source> {
    let mut sources = read("src", "");
    sources.retain(|source| !source.is_of_tests() && source.path != "lib.rs");
    assert!(sources.len() > 10, "the sources were not found");
    sources
}

/// Where a text or comment that starts at `at` ends, or `None` if none starts there.
fn end_of_silent_part(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    let find = |start: usize, end: &[u8]| {
        let tail = rest.get(start..).unwrap_or_default();
        at + start + tail.windows(end.len()).position(|window| window == end).map_or(tail.len(), |position| position + end.len())
    };
    if rest.starts_with(b"//") {
        return Some(find(2, b"\n") - 1);
    }
    if rest.starts_with(b"/*") {
        return Some(find(2, b"*/"));
    }
    let starts_word = at == 0 || !(bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    if starts_word && (rest[0] == b'r' || rest.starts_with(b"br")) {
        let hashes_at = if rest[0] == b'b' { 2 } else { 1 };
        let hashes = rest[hashes_at..].iter().take_while(|byte| **byte == b'#').count();
        if rest.get(hashes_at + hashes) == Some(&b'"') {
            let end = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
            return Some(find(hashes_at + hashes + 1, &end));
        }
    }
    let quote = rest[0];
    let is_char = quote == b'\'' && (rest.get(1) == Some(&b'\\') || rest.get(2) == Some(&b'\''));
    if quote != b'"' && !is_char {
        return None;
    }
    let mut index = 1;
    while index < rest.len() && rest[index] != quote {
        index += if rest[index] == b'\\' { 2 } else { 1 };
    }
    Some((at + index + 1).min(bytes.len()))
}

fn strip_comments_and_texts(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut code, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        match end_of_silent_part(bytes, at) {
            Some(end) => {
                code.push(b' ');
                at = end.max(at + 1);
            }
            None => {
                code.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&code).into_owned()
}

/// The first names of a `{…}` group whose text starts behind the brace.
fn first_names_of_group(text: &str) -> Vec<String> {
    let (mut depth, mut names, mut item) = (0_usize, Vec::new(), String::new());
    for letter in text.chars() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(std::mem::take(&mut item)),
            _ if depth == 0 => item.push(letter),
            _ => {}
        }
    }
    names.push(item);
    names
        .iter()
        .filter_map(|item| item.trim().split("::").next().map(|name| name.trim().to_owned()))
        .filter(|name| !name.is_empty())
        .collect()
}

/// The modules of this crate that the code names, whatever the way.
fn modules_named(code: &str, depth: usize) -> BTreeSet<String> {
    let supers = vec![r"super\s*::\s*"; depth].concat();
    let path = Regex::new(&format!(r"\b(?:crate\s*::\s*|meshgate\s*::\s*|{supers})(\{{|[a-z_]+)")).unwrap();
    let mut names = BTreeSet::new();
    for found in path.captures_iter(code) {
        let name = found.get(1).unwrap();
        if name.as_str() == "{" {
            names.extend(first_names_of_group(&code[name.end()..]));
        } else {
            names.insert(name.as_str().to_owned());
        }
    }
    names.retain(|name| MODULES.iter().any(|(module, _)| module == name));
    names
}

/// Who names whom in the code as it stands, without the module itself.
fn edges() -> BTreeMap<String, BTreeSet<(String, String)>> {
    let mut edges: BTreeMap<String, BTreeSet<(String, String)>> = BTreeMap::new();
    for source in shipped_sources() {
        let module = source.module().to_owned();
        for named in modules_named(&source.shipped(), source.depth()) {
            if named != module {
                edges.entry(module.clone()).or_default().insert((named, source.path.clone()));
            }
        }
    }
    edges
}

/// A path of names that ends where it starts, if there is one.
fn circle(graph: &BTreeMap<&str, BTreeSet<&str>>) -> Option<Vec<String>> {
    fn visit<'a>(name: &'a str, graph: &BTreeMap<&'a str, BTreeSet<&'a str>>, trail: &mut Vec<&'a str>) -> Option<Vec<String>> {
        if let Some(start) = trail.iter().position(|visited| *visited == name) {
            return Some(trail[start..].iter().map(|name| (*name).to_owned()).collect());
        }
        trail.push(name);
        let found = graph.get(name).and_then(|next| next.iter().find_map(|next| visit(next, graph, trail)));
        trail.pop();
        found
    }
    graph.keys().find_map(|name| visit(name, graph, &mut Vec::new()))
}

#[test]
fn each_module_names_only_those_of_its_row() {
    let mut breaches = Vec::new();
    for (module, named) in edges() {
        let row = MODULES.iter().find(|(name, _)| *name == module).map(|(_, row)| *row);
        for (name, path) in named {
            match row {
                None => breaches.push(format!("src/{path}: `{module}` is not in the table")),
                Some(row) if !row.contains(&name.as_str()) => breaches.push(format!("src/{path}: `{module}` may not name `{name}`")),
                Some(_) => {}
            }
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn every_module_is_in_the_table() {
    let known: BTreeSet<&str> = MODULES.iter().map(|(name, _)| *name).collect();
    let unknown: BTreeSet<String> =
        shipped_sources().iter().map(|source| source.module().to_owned()).filter(|name| !known.contains(name.as_str())).collect();
    assert!(unknown.is_empty(), "not in the table: {unknown:?}");
}

#[test]
fn no_modules_name_each_other_in_a_circle() {
    let edges = edges();
    let graph = edges.iter().map(|(from, to)| (from.as_str(), to.iter().map(|(name, _)| name.as_str()).collect())).collect();
    assert_eq!(circle(&graph), None);
}

#[test]
fn the_table_itself_has_no_circle() {
    let graph = MODULES.iter().map(|(from, to)| (*from, to.iter().copied().collect())).collect();
    assert_eq!(circle(&graph), None);
}

#[test]
fn each_dependency_is_named_behind_its_fence() {
    let mut breaches = Vec::new();
    for (dependency, places) in FENCES {
        let named = Regex::new(&format!(r"\b{dependency}\s*(?:::|;)")).unwrap();
        for source in shipped_sources() {
            if named.is_match(&source.shipped()) && !places.iter().any(|place| source.path.starts_with(place)) {
                breaches.push(format!("src/{}: `{dependency}` may be named only in {places:?}", source.path));
            }
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn every_file_opens_with_what_it_owns_and_is_short() {
    let mut faults = Vec::new();
    for source in read("src", "src/").into_iter().chain(read("tests", "tests/")).chain(read("benches", "benches/")) {
        let (path, lines) = (&source.path, source.text.lines().count());
        if !source.text.starts_with("//! ") {
            faults.push(format!("{path}: the first line is no `//!` sentence"));
        }
        if lines > LINES_MAX {
            faults.push(format!("{path}: {lines} lines, at most {LINES_MAX}"));
        }
        let parts = path.split('/').map(|part| part.strip_suffix(".rs").unwrap_or(part));
        faults.extend(parts.filter(|part| EMPTY_NAMES.contains(part)).map(|part| format!("{path}: `{part}` does not say what it owns")));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn no_note_is_left_without_an_issue_and_no_test_is_switched_off() {
    let note = Regex::new(concat!(r"\b(?:TO", "DO|FIX", r"ME)\b")).unwrap();
    let numbered = Regex::new(r"#\d+").unwrap();
    let switched_off = Regex::new(r"#\[(?:ignore|should_panic)\b|#\[cfg\(any\(\)\)\]").unwrap();
    let loose = Regex::new(r"#\[serde\([^\]]*\b(?:untagged|flatten)\b").unwrap();
    let mut faults = Vec::new();
    for source in read("src", "src/").into_iter().chain(read("tests", "tests/")) {
        // What is only written hides nothing.
        let is_read = source.text.contains("Deserialize");
        for (number, line) in source.text.lines().enumerate() {
            let at = format!("{}:{}", source.path, number + 1);
            if note.is_match(line) && !numbered.is_match(line) {
                faults.push(format!("{at}: a note without an issue's number"));
            }
            if switched_off.is_match(line) && !source.path.ends_with("tidy.rs") {
                faults.push(format!("{at}: a test that does not run, or that hides why it fails"));
            }
            if is_read && loose.is_match(line) && !source.path.ends_with("tidy.rs") {
                faults.push(format!("{at}: untagged and flatten hide faults in what is read"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_way_to_name_a_module_is_seen() {
    let code = "use crate::{audit::Log, engine::{Reply, wire}}; fn f() { crate::ports::open(); super::super::policy::decide(); super::catalog::x() }";
    let named = modules_named(code, 2);
    assert_eq!(named.into_iter().collect::<Vec<_>>(), ["audit", "engine", "policy", "ports"]);
    assert_eq!(modules_named("use super::wire::Frame;", 1).into_iter().collect::<Vec<_>>(), ["wire"]);
}

#[test]
fn comments_texts_and_tests_name_nothing() {
    let text = "// crate::wire\nlet a = \"crate::engine \\\" crate::audit\"; let b = r#\"crate::policy\"#; let c: &'static str = '\"'; crate::ports::x\n\
                #[cfg(test)]\nmod tests {\n use crate::server;\n}";
    let source = Source { path: "catalog/x.rs".to_owned(), text: text.to_owned() };
    assert_eq!(modules_named(&source.shipped(), source.depth()).into_iter().collect::<Vec<_>>(), ["ports"]);
}

#[test]
fn a_circle_is_found() {
    let graph = BTreeMap::from([("a", BTreeSet::from(["b"])), ("b", BTreeSet::from(["c"])), ("c", BTreeSet::from(["b"]))]);
    assert_eq!(circle(&graph), Some(vec!["b".to_owned(), "c".to_owned()]));
}
