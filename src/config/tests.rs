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
    assert_eq!(config.policies.path(), Some(Path::new("/srv/mesh/../p")));
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
fn tls_is_required_of_other_machines_unless_it_is_said_otherwise() {
    let config = read_text(&format!("{LEAST}tls: {{certificate: c.pem, key: k.pem}}\n")).unwrap();
    assert_eq!(config.tls, Some(Tls { certificate: "/srv/mesh/c.pem".into(), key: "/srv/mesh/k.pem".into(), clients: None }));
    assert_eq!(config.plain, PlainClients::OnLoopback);
    for (required, plain) in [(true, PlainClients::Refused), (false, PlainClients::Allowed)] {
        let config = read_text(&format!("{LEAST}tls: {{certificate: c.pem, key: k.pem, required: {required}}}\n")).unwrap();
        assert_eq!((config.tls.is_some(), config.plain), (true, plain));
    }
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

#[test]
fn the_secrets_of_masks_are_references() {
    let keys = |text: &str| read_text(&format!("{LEAST}mask_keys: {text}\n")).map(|config| config.mask_keys);
    let read = keys("{default: \"env:MESH_MASK_KEY\", research: \"file:keys/research\"}").unwrap();
    assert_eq!(read["default"], Reference::Env("MESH_MASK_KEY".to_owned()));
    assert_eq!(read["research"], Reference::File("/srv/mesh/keys/research".into()));
    assert!(keys("{}").unwrap().is_empty());
    for text in ["{default: hush-hush-hush-hush}", "{default: \"env:\"}", "{\"a b\": \"env:K\"}"] {
        let faults = keys(text).unwrap_err();
        assert!(faults.len() == 1 && faults[0].line > 1 && !faults[0].to_string().contains("hush"), "{faults:?}");
    }
}

fn origin_of(policies: &str) -> Result<Origin, Vec<Fault>> {
    read_text(&format!("catalogs: c\npolicies: {policies}\nprincipals: p\naudit: {{folder: a}}\n")).map(|config| config.policies)
}

fn erasures_of(erasures: &str) -> Result<Origin, Vec<Fault>> {
    read_text(&format!("{LEAST}erasures: {erasures}\n")).map(|config| config.erasures.unwrap())
}

#[test]
fn policies_come_from_a_path_or_an_address() {
    assert_eq!(origin_of("bundle.tar.gz").unwrap(), Origin::Path("/srv/mesh/bundle.tar.gz".into()));
    assert_eq!(origin_of("file:///opt/bundle").unwrap(), Origin::Path("/opt/bundle".into()));
    assert_eq!(origin_of("{location: p}").unwrap(), Origin::Path("/srv/mesh/p".into()));
    let Origin::Remote(remote) = origin_of("https://policies.example.com/mesh.tar.gz").unwrap() else { panic!("no address") };
    assert_eq!((remote.poll_ms, remote.timeout_ms, remote.bytes_max), (5_000, 10_000, 32 << 20));
    assert_eq!(remote.kind, RemoteKind::Http { redirects_max: 0, token: None, authorities: None });
    let keys = "{location: \"https://h/b\", poll_ms: 100, redirects_max: 2, token: \"file:t\", authorities: ca.pem}";
    let Origin::Remote(remote) = origin_of(keys).unwrap() else { panic!("no address") };
    let (token, authorities) = (Some(Reference::File("/srv/mesh/t".into())), Some("/srv/mesh/ca.pem".into()));
    assert_eq!((remote.poll_ms, remote.kind), (100, RemoteKind::Http { redirects_max: 2, token, authorities }));
}

#[test]
fn objects_and_tables_need_credentials() {
    let s3 = "{location: \"s3://mesh/erased.csv\", credentials: \"env:KEY\", region: eu-west-1}";
    let Origin::Remote(remote) = erasures_of(s3).unwrap() else { panic!("no object") };
    let credentials = Reference::Env("KEY".to_owned());
    assert_eq!(remote.kind, RemoteKind::S3 { region: "eu-west-1".to_owned(), endpoint: None, credentials, authorities: None });
    let table = "{location: \"postgres://h:5432/d/s/t\", credentials: \"file:login\", column: person}";
    let Origin::Remote(remote) = erasures_of(table).unwrap() else { panic!("no table") };
    let credentials = Reference::File("/srv/mesh/login".into());
    let kind = RemoteKind::Postgres { column: "person".to_owned(), credentials, tls: TlsMode::Prefer, authorities: None };
    assert_eq!(remote.kind, kind);
    for location in ["s3://mesh/erased.csv", "postgres://h/d/s/t"] {
        assert!(erasures_of(location).unwrap_err()[0].message.contains("credentials"), "{location}");
    }
}

#[test]
fn a_location_that_cannot_be_meant_is_a_fault_on_its_line() {
    for policies in [
        "\" \"",
        "ftp://h/b",
        "https://",
        "https://user:pass@h/b",
        "{location: p, poll_ms: 1000}",
        "{location: \"https://h/b\", column: c}",
        "{location: \"https://h/b\", token: secret}",
        "{location: \"http://h/b\", token: \"env:T\"}",
        "{location: \"https://h/b\", poll_ms: 1}",
        "{location: \"https://h/b\", poll: 1000}",
        "{poll_ms: 1000}",
        "{location: \"postgres://h/d/s/t\", credentials: \"env:L\"}",
        "[p]",
    ] {
        assert_eq!(origin_of(policies).unwrap_err()[0].line, 2, "{policies}");
    }
    assert!(origin_of("{location: \"http://127.0.0.1:8080/b\", token: \"env:T\"}").is_ok());
}

#[test]
fn how_servers_are_spoken_to_has_defaults_and_bounds() {
    let postgres = read_text(LEAST).unwrap().postgres;
    assert_eq!((postgres.tls, postgres.authorities, postgres.connections), (TlsMode::Disable, None, 8));
    let text = format!("{LEAST}postgres: {{tls: verify-full, authorities: ca.pem, connections: 2, idle_timeout_ms: 1000}}\n");
    let postgres = read_text(&text).unwrap().postgres;
    assert_eq!((postgres.tls, postgres.connections, postgres.idle_timeout_ms), (TlsMode::VerifyFull, 2, 1000));
    assert_eq!(postgres.authorities.as_deref(), Some(Path::new("/srv/mesh/ca.pem")));
    for wrong in ["{connections: 0}", "{tls: maybe}", "{sslmode: require}", "{authorities: \"\"}"] {
        assert!(read_text(&format!("{LEAST}postgres: {wrong}\n")).is_err(), "{wrong}");
    }
}

#[test]
fn a_list_from_a_table_is_read_as_protected_as_it_says() {
    let erasures =
        |keys: &str| read_text(&format!("{LEAST}erasures: {{location: \"postgres://h/d/s/t\", credentials: \"env:LOGIN\"{keys}}}\n"));
    let tls = |keys: &str| match erasures(keys).unwrap().erasures {
        Some(Origin::Remote(remote)) => match remote.kind {
            RemoteKind::Postgres { tls, .. } => tls,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    assert_eq!(tls(""), TlsMode::Prefer);
    assert_eq!(tls(", tls: require"), TlsMode::Require);
    assert_eq!(tls(", authorities: ca.pem"), TlsMode::VerifyFull);
    assert!(erasures(", authorities: ca.pem, tls: require").is_err());
}

#[test]
fn without_a_certificate_only_this_machine_is_served_unless_it_is_said_otherwise() {
    assert_eq!(read_text(LEAST).unwrap().plain, PlainClients::OnLoopback);
    let open = read_text(&format!("{LEAST}tls: {{required: false}}\n")).unwrap();
    assert_eq!((open.tls, open.plain), (None, PlainClients::Allowed));
    for tls in ["{}", "{required: true}", "{certificate: c.pem}", "{key: k.pem}", "{key: k.pem, required: false}"] {
        assert_eq!(read_text(&format!("{LEAST}tls: {tls}\n")).unwrap_err()[0].line, 5, "{tls}");
    }
}

const TLS: &str = "tls:\n  certificate: c.pem\n  key: k.pem\n  client_certificates:\n    authorities: ca.pem\n";

#[test]
fn client_certificates_name_their_login_by_the_common_name_unless_it_is_said_otherwise() {
    let clients = |more: &str| read_text(&format!("{LEAST}{TLS}{more}")).map(|config| config.tls.unwrap().clients.unwrap());
    let least = clients("").unwrap();
    assert_eq!((least.required, least.alone, least.revocations.clone()), (false, false, None));
    assert_eq!(least.authorities, Path::new("/srv/mesh/ca.pem"));
    assert_eq!(least.users, [CertificateUserSpec::default()]);
    let more =
        clients("    revocations: crl.pem\n    alone: true\n    users:\n      - {from: email, name: \"*@example.com\", login: \"*\"}\n")
            .unwrap();
    assert_eq!(more.users[0].from, CertificateName::Email);
    assert!(clients("    users: []\n").unwrap().users.is_empty());
    for wrong in [
        "    users: []\n    alone: true\n",
        "    users: [{name: \"\"}]\n",
        "    users: [{name: \"*.*\"}]\n",
        "    users: [{name: ann, login: \"*\"}]\n",
        "    users: [{from: serial}]\n",
        "    depth: 1\n",
    ] {
        assert!(clients(wrong).is_err(), "{wrong}");
    }
}

const ISSUER: &str = "tokens:\n  issuers:\n    - issuer: https://login.example.com/mesh\n      audience: meshgate\n";

fn issuer(more: &str) -> Result<Issuer, Vec<Fault>> {
    read_text(&format!("{LEAST}{ISSUER}{more}")).map(|config| config.tokens.unwrap().issuers.remove(0))
}

#[test]
fn the_least_issuer_is_asked_for_its_keys_and_gives_no_roles() {
    let least = issuer("").unwrap();
    assert_eq!((least.keys, least.audiences), (KeysFrom::Discovery, vec!["meshgate".to_owned()]));
    assert_eq!(least.algorithms, [TokenAlgorithm::Rs256, TokenAlgorithm::Es256]);
    assert_eq!((least.claims.user, least.claims.roles.len(), least.grace.as_secs()), (vec!["sub".to_owned()], 0, 0));
}

#[test]
fn claims_are_named_as_they_are_or_by_a_pointer() {
    let claims =
        "      claims: {user: email, roles: [/realm_access/roles, \"https://example.com/roles\"], attributes: {region: /a~1b/c~0d}}\n";
    let claims = issuer(claims).unwrap().claims;
    assert_eq!(claims.roles, [vec!["realm_access".to_owned(), "roles".to_owned()], vec!["https://example.com/roles".to_owned()]]);
    assert_eq!(claims.attributes["region"], ["a/b", "c~d"]);
}

#[test]
fn keys_are_in_a_file_or_at_an_address() {
    let keys = |text: &str| issuer(&format!("      keys: {text}\n")).map(|issuer| issuer.keys);
    assert_eq!(keys("jwks.json").unwrap(), KeysFrom::File("/srv/mesh/jwks.json".into()));
    assert_eq!(keys("file:///etc/jwks.json").unwrap(), KeysFrom::File("/etc/jwks.json".into()));
    assert_eq!(keys("https://a.example/certs?x=1").unwrap(), KeysFrom::Address("https://a.example/certs?x=1".to_owned()));
    for wrong in ["\"\"", "ftp://a.example/x", "https://ann:secret@a.example/x", "https://"] {
        assert_eq!(keys(wrong).unwrap_err()[0].line, 9, "{wrong}");
    }
}

#[test]
fn tokens_that_anybody_could_make_or_that_are_for_nobody_are_faults() {
    for wrong in [
        "      algorithms: [none]\n",
        "      algorithms: [HS256]\n",
        "      algorithms: []\n",
        "      leeway_ms: 300001\n",
        "      claims: {user: \"\"}\n",
        "      claims: {roles: [/a//b]}\n",
        "      keys: jwks.json\n      authorities: ca.pem\n",
    ] {
        assert!(issuer(wrong).is_err(), "{wrong}");
    }
    for wrong in [
        "{issuers: []}",
        "{issuers: [{issuer: login, audience: a}]}",
        "{issuers: [{issuer: \"https://a\"}]}",
        "{issuers: [{issuer: \"https://a\", audience: []}]}",
        "{issuers: [{issuer: \"https://a?b\", audience: a}]}",
        "{issuers: [{issuer: \"https://a\", audience: a}, {issuer: \"https://a\", audience: b}]}",
    ] {
        assert!(read_text(&format!("{LEAST}tokens: {wrong}\n")).is_err(), "{wrong}");
    }
}

#[test]
fn stores_are_named_with_what_they_need_and_nothing_else() {
    let config = read_text(&format!(
        "{LEAST}stores:\n  - {{location: s3://mesh/shop/, endpoint: \"http://127.0.0.1:9000\", identity: instance, authorities: ca.pem}}\n"
    ));
    let store = &config.unwrap().stores[0];
    assert_eq!((store.location.as_str(), store.identity), ("s3://mesh/shop", StoreIdentity::Instance));
    assert_eq!(store.authorities.as_deref(), Some(Path::new("/srv/mesh/ca.pem")));
    assert!(read_text(LEAST).unwrap().stores.is_empty());
    for store in [
        "{location: ftp://mesh}",
        "{location: \"s3://\"}",
        "{location: \"s3://id:key@mesh\"}",
        "{location: az://mesh}",
        "{location: s3://mesh, account: a}",
        "{location: gs://mesh, identity: web-identity}",
        "{location: \"https://h\", endpoint: \"https://h\"}",
        "{location: s3://mesh, endpoint: 127.0.0.1}",
        "{location: s3://mesh}, {location: s3://mesh/}",
    ] {
        let faults = read_text(&format!("{LEAST}stores: [{store}]\n")).unwrap_err();
        assert_eq!((faults.len(), faults[0].line), (1, 5), "{store}: {faults:?}");
    }
}
