//! What the configuration file promises.

use super::*;

const LEAST: &str = "catalogs: c\npolicies: ../p\nprincipals: /etc/principals.yaml\naudit: {folder: audit}\n";

fn read_text(text: &str) -> Result<Config, Vec<Fault>> {
    parse(Path::new("/srv/mesh/meshgate.yaml"), text)
}

#[test]
fn the_least_file_is_this_machine_only_with_limits_and_no_tls() {
    let config = read_text(LEAST).unwrap();
    assert_eq!(config.listen, ["127.0.0.1:6432".parse().unwrap()]);
    assert_eq!((config.database.as_str(), config.notices, config.tls.is_none(), config.example), ("mesh", true, true, None));
    assert_eq!(config.limits, Limits::default());
    assert_eq!((config.audit.sql_text, config.lineage.namespace.as_str()), (SqlText::Full, "meshgate"));
}

#[test]
fn paths_begin_at_the_folder_of_the_file() {
    let config = read_text(LEAST).unwrap();
    assert_eq!(config.catalogs, Path::new("/srv/mesh/c"));
    assert_eq!(config.policies, Path::new("/srv/mesh/../p"));
    assert_eq!(config.principals, Path::new("/etc/principals.yaml"));
    assert_eq!(parse(Path::new("meshgate.yaml"), LEAST).unwrap().catalogs, Path::new("c"));
}

#[test]
fn addresses_are_one_or_a_list() {
    let listen = |text: &str| read_text(&format!("{LEAST}listen: {text}\n")).map(|config| config.listen.len());
    assert_eq!(listen("0.0.0.0:6432").unwrap(), 1);
    assert_eq!(listen("[\"127.0.0.1:6432\", \"[::1]:6432\"]").unwrap(), 2);
    assert_eq!(listen("[\"127.0.0.1:0\", \"127.0.0.1:0\"]").unwrap(), 2);
    for text in ["[]", "6432", "localhost", "\"localhost:6432\"", "[1]", "{a: b}", "[\"127.0.0.1:1\", \"127.0.0.1:1\"]"] {
        assert_eq!(listen(text).unwrap_err()[0].line, 5, "{text}");
    }
}

#[test]
fn five_faults_are_reported_at_once_with_their_lines() {
    let text = "catalog: c\npolicies: p\nprincipals: 3\nlisten: [x]\naudit: {folder: a, sql_text: ful}\nlimits:\n  connections: 0\n  statement_timeout: 3\n";
    let faults = read_text(text).unwrap_err();
    let lines: Vec<usize> = faults.iter().map(|fault| fault.line).collect();
    assert_eq!(lines, [1, 1, 3, 4, 5, 7, 8], "{faults:?}");
    let hints: Vec<&str> = faults.iter().filter_map(|fault| fault.hint.as_deref()).collect();
    assert!(hints.contains(&"Did you mean \"catalogs\"?") && hints.contains(&"Did you mean \"full\"?"), "{hints:?}");
    assert!(faults[6].message.contains("\"statement_timeout\""));
}

#[test]
fn meaning_is_checked_all_at_once_too() {
    let text = "catalogs: \" \"\npolicies: p\nprincipals: p\nlisten: [x]\ndatabase: \"\"\naudit: {folder: \"\"}\n";
    let lines: Vec<usize> = read_text(text).unwrap_err().iter().map(|fault| fault.line).collect();
    assert_eq!(lines, [1, 4, 5, 6]);
}

#[test]
fn tls_is_required_once_it_is_given() {
    let config = read_text(&format!("{LEAST}tls: {{certificate: c.pem, key: k.pem}}\n")).unwrap();
    assert_eq!(config.tls, Some(Tls { certificate: "/srv/mesh/c.pem".into(), key: "/srv/mesh/k.pem".into(), required: true }));
    let config = read_text(&format!("{LEAST}tls: {{certificate: c.pem, key: k.pem, required: false}}\n")).unwrap();
    assert!(!config.tls.unwrap().required);
}

#[test]
fn limits_are_read_at_their_edges_and_refused_past_them() {
    let limit = |text: &str| read_text(&format!("{LEAST}limits: {{{text}}}\n"));
    assert_eq!(limit("connections: 1").unwrap().limits.connections, 1);
    assert_eq!(limit("connections: 100000, rows_max: 7").unwrap().limits.rows_max, Some(7));
    for text in ["connections: 0", "connections: 100001", "connections: -1", "connections: 1.5", "rows_max: 0", "statement_timeout_ms: 5s"]
    {
        assert_eq!(limit(text).unwrap_err().len(), 1, "{text}");
    }
}

#[test]
fn the_example_is_marked() {
    assert_eq!(read_text(&format!("{LEAST}example: quickstart\n")).unwrap().example, Some(Example::Quickstart));
    assert!(read_text(&format!("{LEAST}example: other\n")).is_err());
}

#[test]
fn a_missing_file_is_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    let faults = load(folder.path().join("none.yaml")).unwrap_err();
    assert!(faults[0].message.contains("cannot be read"), "{faults:?}");
    assert!(load(folder.path()).is_err());
}

#[test]
fn a_file_is_loaded_with_its_paths() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("meshgate.yaml");
    fs::write(&path, LEAST).unwrap();
    assert_eq!(load(&path).unwrap().catalogs, folder.path().join("c"));
}
