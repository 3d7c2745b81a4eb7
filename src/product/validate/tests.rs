//! What the validation of a contract promises.

use proptest::prelude::*;

use super::*;
use crate::product::{Compression, CredentialsRef, FileKeys, OnError, PiiAction, PortAccess, PortFormat, PortKind, ServerTls, TlsMode};

/// Every key that a contract may have.
const WHOLE: &str = r#"apiVersion: data-mesh/v1
kind: DataProduct
metadata:
  name: customer-360
  version: "2.1.0"
  owner: customer-platform
  domain: customer
  tags: [pii, tier-1]
  id: "urn:dp:customer:profile"
  status: deprecated
  deprecation: {since: "2026-11-01", sunset: "2027-02-01", replacedBy: "customer/customer-360@3", note: "Move on."}
spec:
  description: >
    Everything known
    of a customer.
  outputPorts:
    - {name: profile_stream, type: stream, format: avro, schema: "schema-registry://x", topic: t, sla: {freshness: "< 5 minutes", uptime: "99.9%"}}
    - name: snapshot
      type: batch
      format: parquet
      location: "s3://bucket/customer-360/v2/"
      partitioning: "year/month/day"
      sla: {freshness: "< 2 hours after midnight UTC", uptime: "99.5%"}
      credentials: {ref: "env:MESH_S3"}
    - name: live
      type: table
      format: postgres
      location: "postgres://pg-customer:5432/customer/public/customer_360"
      credentials: {ref: "file:customer_pg"}
      tls: {authorities: {ref: "file:customer_ca.pem"}}
      access: restricted
      default: true
    - name: export
      type: batch
      format: csv
      location: "file:///data/customer-360/*.csv"
      csv: {header: false, delimiter: "\t", quote: "'", null_value: "\\N", compression: gzip}
  inputPorts:
    - {sourceProduct: customer/customer-events-v1, fields: [customer_id, event_type], version: "1"}
  qualityChecks:
    - {rule: "customer_id IS NOT NULL"}
    - {rule: "completeness(email) >= 0.95", severity: warning}
  schema:
    - {name: customer_id, type: string, required: true, primaryKey: true, classification: internal, description: Who., physicalName: cust_id}
    - {name: full_name, type: varchar(80)}
    - {name: phone_hash, type: string}
    - {name: created_at, type: timestamp with time zone}
    - {name: updated_at, type: date}
  governance:
    pii_fields: [full_name, phone_hash]
    data_classification: restricted
    retention_days: 730
    gdpr_subject_to_erasure: true
    access_policy: "opa://customer-domain/customer-360-access"
    retention_column: created_at
    subject_column: customer_id
    freshness_column: updated_at
    pii_action: mask
    masks: {full_name: replace-with-null, phone_hash: sha-256-global}
    compatibility: FULL_TRANSITIVE
"#;

/// A small valid contract; `governance` is its last key.
const SMALL: &str = "apiVersion: data-mesh/v1
kind: DataProduct
metadata: {name: orders, version: 1.0.0, owner: sales, domain: sales}
spec:
  outputPorts:
    - {name: files, type: batch, format: parquet, location: orders/}
  schema:
    - {name: id, type: int64}
    - {name: who, type: string}
    - {name: made_at, type: timestamptz}
    - {name: total, type: float64}
  governance:
";

fn read_text(text: &str) -> Result<Product, Vec<Fault>> {
    parse("c.yaml", text, &DomainDefaults::default())
}

fn faults(text: &str) -> Vec<String> {
    read_text(text).unwrap_err().iter().map(ToString::to_string).collect()
}

/// The small contract with these lines of governance.
fn governed(lines: &[&str]) -> String {
    lines.iter().fold(SMALL.to_owned(), |text, line| format!("{text}    {line}\n"))
}

/// The one fault that some lines of governance make.
fn fault_of(lines: &[&str]) -> String {
    let mut all = faults(&governed(lines));
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

#[test]
fn every_key_arrives_in_the_product() {
    let product = read_text(WHOLE).unwrap();
    assert_eq!(product.reference.to_string(), "customer/customer-360");
    assert_eq!((product.reference.version, product.id.as_str()), (Version { major: 2, minor: 1, patch: 0 }, "urn:dp:customer:profile"));
    assert_eq!((product.status, product.description.as_deref()), (Status::Deprecated, Some("Everything known of a customer.")));
    assert_eq!(product.deprecation.as_ref().unwrap().replaced_by.as_deref(), Some("customer/customer-360@3"));
    assert_eq!(product.default_output_port().unwrap().name.as_str(), "live");
    let [stream, snapshot, live, export] = product.output_ports.as_slice() else { panic!() };
    assert_eq!((stream.kind, &stream.format, stream.location.as_str()), (PortKind::Stream, &PortFormat::Stream("avro".to_owned()), ""));
    assert_eq!(snapshot.credentials, Some(CredentialsRef::Env("MESH_S3".to_owned())));
    assert_eq!((live.access, live.kind), (PortAccess::Restricted, PortKind::Table));
    let PortFormat::Csv(dialect) = &export.format else { panic!() };
    assert_eq!((dialect.header, dialect.delimiter, dialect.quote), (false, b'\t', b'\''));
    assert_eq!((dialect.null_value.as_str(), dialect.compression), ("\\N", Compression::Gzip));
    assert_eq!(product.input_ports[0].fields.len(), 2);
    assert_eq!(product.quality_checks.iter().map(|check| check.blocking).collect::<Vec<_>>(), [true, false]);
    let schema = product.schema.as_deref().unwrap();
    assert_eq!(
        (schema[0].source_name(), schema[1].source_name(), schema[1].data_type.clone()),
        ("cust_id", "full_name", crate::product::DataType::Varchar(80))
    );
    let governance = &product.governance;
    assert_eq!((governance.retention_days, governance.pii_action, governance.pii_fields.len()), (Some(730), PiiAction::Mask, 2));
    assert_eq!(governance.masks[1].1, crate::product::Mask::Sha256Global);
    assert_eq!(governance.data_classification, "restricted");
}

#[test]
fn what_is_left_out_is_strict() {
    let product = read_text(&governed(&["pii_fields: []"])).unwrap();
    assert_eq!(product.governance.data_classification, "restricted");
    assert_eq!((product.governance.pii_action, product.status), (PiiAction::Deny, Status::Active));
    assert_eq!(product.governance.compatibility.as_deref(), Some("FULL_TRANSITIVE"));
    assert_eq!((product.id.as_str(), product.timezone.as_str(), product.default_port), ("urn:dp:sales:orders", "UTC", Some(0)));
}

#[test]
fn five_faults_are_reported_at_once_with_their_lines() {
    let text = WHOLE
        .replace("\"2.1.0\"", "\"two\"")
        .replace("uptime: \"99.5%\"", "uptime: \"always\"")
        .replace("env:MESH_S3", "hunter2")
        .replace("type: varchar(80)", "type: varchr(80)")
        .replace("pii_fields: [full_name, phone_hash]", "pii_fields: [full_nam, phone_hash]")
        .replace("pg-customer:5432", "u:hunter2@pg-customer:5432");
    let all = faults(&text);
    let lines: Vec<usize> = read_text(&text).unwrap_err().iter().map(|fault| fault.line).collect();
    assert_eq!(lines, [5, 23, 24, 28, 45, 50], "{all:#?}");
    assert!(all.iter().all(|fault| fault.starts_with("c.yaml:") && fault.ends_with(')')), "{all:#?}");
    assert!(!all.join("\n").contains("hunter2"), "{all:#?}");
}

#[test]
fn faults_of_structure_and_of_meaning_come_together() {
    let text = WHOLE
        .replace("version: \"2.1.0\"", "version: 2.1")
        .replace("  status: deprecated", "  statu: deprecated")
        .replace("type: table", "type: tabel")
        .replace("access: restricted", "access: [hunter2]")
        .replace("{name: phone_hash, type: string}", "{name: phone_hash}")
        .replace("    retention_column: created_at\n", "")
        .replace("pii_fields: [full_name,", "pii_fields: [fullname,")
        .replace("pg-customer:5432", "u:hunter2@pg-customer:5432");
    let all = faults(&text);
    let lines: Vec<usize> = read_text(&text).unwrap_err().iter().map(|fault| fault.line).collect();
    assert_eq!(lines, [5, 10, 26, 28, 31, 46, 50, 52], "{all:#?}");
    assert!(!all.join("\n").contains("hunter2"), "{all:#?}");
}

#[test]
fn an_unknown_key_names_the_known_one() {
    let text = WHOLE.replace("  outputPorts:", "  outputPort:");
    assert!(faults(&text).iter().any(|fault| fault.contains("16:3: unknown key \"outputPort\"") && fault.contains("\"outputPorts\"")));
    assert!(fault_of(&["retention_day: 3"]).contains("Did you mean \"retention_days\"?"));
}

#[test]
fn a_password_under_credentials_is_an_unknown_key_without_its_value() {
    let all = faults(&WHOLE.replace("{ref: \"env:MESH_S3\"}", "{ref: \"env:X\", password: hunter2}")).join("\n");
    assert!(all.contains("unknown key \"password\"") && !all.contains("hunter2"), "{all}");
}

#[test]
fn erasure_needs_a_subject() {
    assert!(fault_of(&["gdpr_subject_to_erasure: true"]).contains("c.yaml:13:5: erasure needs a column"));
    let named = read_text(&governed(&["gdpr_subject_to_erasure: true", "subject_column: who"])).unwrap();
    assert_eq!(named.governance.subject_column.unwrap().as_str(), "who");
}

#[test]
fn a_single_primary_key_is_the_subject_and_two_are_none() {
    let keyed = |text: &str| governed(&["gdpr_subject_to_erasure: true"]).replace("{name: id, type: int64}", text);
    let one = read_text(&keyed("{name: id, type: int64, primaryKey: true}")).unwrap();
    assert_eq!(one.governance.subject_column.unwrap().as_str(), "id");
    let two = keyed("{name: id, type: int64, primaryKey: true}\n    - {name: line, type: int32, primaryKey: true}");
    assert!(faults(&two)[0].contains("erasure needs"));
    assert!(faults(&keyed("{name: id, type: float64, primaryKey: true}"))[0].contains("erasure needs"));
}

#[test]
fn retention_needs_a_date() {
    assert!(fault_of(&["retention_days: 30"]).contains("retention needs a column"));
    assert!(fault_of(&["retention_days: 30", "retention_column: total"]).contains("must be a date"));
    assert!(fault_of(&["retention_days: 0", "retention_column: made_at"]).contains("at least 1"));
    assert!(read_text(&governed(&["retention_days: 30", "retention_column: made_at"])).is_ok());
}

#[test]
fn retention_comes_from_the_domain_for_restricted_products() {
    let defaults = DomainDefaults { retention_days: Some(90), ..DomainDefaults::default() };
    let days = |lines: &[&str]| parse("c", &governed(lines), &defaults).unwrap().governance.retention_days;
    assert_eq!(days(&["data_classification: restricted", "retention_column: made_at"]), Some(90));
    assert_eq!(days(&["data_classification: restricted", "retention_column: made_at", "retention_days: 3"]), Some(3));
    assert_eq!(days(&["data_classification: internal", "retention_column: made_at"]), None);
    assert_eq!(days(&["data_classification: restricted"]), None);
}

#[test]
fn named_columns_must_be_in_the_schema() {
    for line in ["pii_fields: [Who]", "subject_column: whom", "freshness_column: made", "retention_column: x", "masks: {ids: redact}"] {
        assert!(fault_of(&[line]).contains("is not in the schema"), "{line}");
    }
    assert!(fault_of(&["pii_fields: [Who]"]).contains("Did you mean \"who\"?"));
    let untyped = "apiVersion: data-mesh/v1\nkind: DataProduct\nmetadata: {name: a, version: 1.0.0, owner: o, domain: d}\nspec:\n  outputPorts: [{name: f, type: batch, format: parquet, location: x}]\n  governance: {pii_fields: [any], masks: {any: redact}}\n";
    assert!(read_text(untyped).is_ok());
}

#[test]
fn masks_must_be_known_and_serve_the_type() {
    assert!(fault_of(&["masks: {who: redacted}"]).contains("Did you mean \"redact\"?"));
    assert!(fault_of(&["masks: {who: truncate-to-year}"]).contains("cannot serve the field \"who\" of type string"));
    assert!(fault_of(&["masks: {id: show-last-4}"]).contains("cannot serve"));
    assert!(fault_of(&["masks: {total: sha-256-global}"]).contains("cannot serve"));
    assert!(read_text(&governed(&["masks: {made_at: truncate-to-month, who: show-last-4, id: redact, total: replace-with-null}"])).is_ok());
}

#[test]
fn redact_serves_what_has_a_constant() {
    let typed = |name: &str| {
        governed(&["masks: {total: redact}"]).replace("{name: total, type: float64}", &format!("{{name: total, type: {name}}}"))
    };
    for name in ["varchar(2)", "uuid", "json", "bytes", "time", "interval", "boolean", "timestamp"] {
        assert!(read_text(&typed(name)).is_ok(), "{name}");
    }
    assert!(faults(&typed("list<int64>"))[0].contains("cannot serve"));
}

#[test]
fn an_access_policy_names_a_package() {
    for reference in ["orders", "opa://", "opa:///", "opa://a//b", "https://a/b"] {
        assert!(fault_of(&[&format!("access_policy: \"{reference}\"")]).contains("names no policy"), "{reference}");
    }
    assert!(read_text(&governed(&["access_policy: \"opa://sales/orders-access\""])).is_ok());
}

#[test]
fn a_mask_has_parameters_or_is_an_expression() {
    let masks = |text: &str| read_text(&governed(&[&format!("masks: {{{text}}}")]));
    for text in [
        "id: {mask: bucket, width: 100}",
        "total: {mask: bucket, width: 0.5}",
        "who: {mask: mask-to-fixed-value, value: nobody}",
        "made_at: {mask: mask-to-fixed-value, value: 2000-01-01}",
        "who: {mask: hmac-sha-256, key: research}",
        "who: {expression: \"left(who, 1) || '***'\"}",
        "total: {expression: \"case when id > 10 then round(total) end\"}",
    ] {
        assert!(masks(text).is_ok(), "{text}: {:?}", masks(text));
    }
    let fault = |text: &str| fault_of(&[&format!("masks: {{{text}}}")]);
    assert!(fault("id: {mask: bucket}").contains("\"width\" of a bucket"));
    assert!(fault("id: {mask: bucket, width: 0.5}").contains("cannot serve the field \"id\" of type int64"));
    assert!(fault("id: {mask: mask-to-fixed-value, value: x}").contains("cannot serve"));
    assert!(faults(&governed(&["masks: {id: {mask: bucket, widht: 5}}"]))[1].contains("unknown key \"widht\""));
    let typed = fault("who: {expression: \"id + 1\"}");
    assert!(typed.starts_with("c.yaml:13:") && typed.contains("its value is whole number"), "{typed}");
    assert!(fault("who: {expression: \" (who) \"}").contains("is the field itself"));
    let unknown = fault("who: {expression: \"lower(whom)\"}");
    assert!(unknown.contains("there is no column \"whom\"") && unknown.contains("character 7"), "{unknown}");
}

#[test]
fn ports_are_checked() {
    let with = |port: &str| SMALL.replace("{name: files, type: batch, format: parquet, location: orders/}", port) + "    pii_fields: []\n";
    let one = |port: &str| faults(&with(port)).join("\n");
    assert!(one("{name: f, type: batch, format: parket, location: x}").contains("Did you mean \"parquet\"?"));
    assert!(one("{name: f, type: batch, format: postgres, location: \"postgres://h/d/s/t\"}").contains("type: table"));
    assert!(one("{name: f, type: batch, format: parquet}").contains("\"location\" is missing"));
    assert!(one("{name: f, type: bach, format: parquet, location: x}").contains("Did you mean \"batch\"?"));
    assert!(one("{name: f, type: batch, format: parquet, location: x, csv: {header: true}}").contains("another format"));
    assert!(one("{name: f, type: batch, format: csv, location: x, csv: {delimiter: \";;\"}}").contains("one ASCII character"));
    assert!(
        one("{name: f, type: batch, format: parquet, location: x, sla: {freshness: soon}}").contains("\"freshness\" is not understood")
    );
    assert!(one("{name: f, type: stream, format: avro, default: true}").contains("cannot be the default"));
    assert!(one("{name: f, type: batch, format: parquet, location: x, on_error: \"null\"}").contains("another format"));
    assert!(one("{name: f, type: batch, format: csv, location: x, on_error: nil}").contains("\"on_error\""));
    for (format, on_error) in [("csv", "null"), ("ndjson", "null"), ("csv", "fail")] {
        let product =
            read_text(&with(&format!("{{name: f, type: batch, format: {format}, location: x, on_error: \"{on_error}\"}}"))).unwrap();
        let port = &product.output_ports[0].format;
        assert_eq!((port.name(), port.on_error() == OnError::Null), (format, on_error == "null"));
        let lenient = product.schema.iter().flat_map(|fields| fields.iter()).filter(|field| product.reads_as_null(port, field)).count();
        assert_eq!(lenient > 0, on_error == "null");
        assert!(
            product.schema.iter().flat_map(|fields| fields.iter()).all(|field| !(field.primary_key && product.reads_as_null(port, field)))
        );
    }
    let two = "{name: f, type: batch, format: parquet, location: x, default: true}\n    - {name: F, type: batch, format: parquet, location: x, default: true}";
    let both = one(two);
    assert!(both.contains("two ports are marked") && both.contains("is the same name as \"f\""), "{both}");
    let stream = read_text(&with("{name: f, type: stream, format: avro}")).unwrap();
    assert_eq!(stream.default_port, None);
}

#[test]
fn csv_needs_a_schema() {
    let text = "apiVersion: data-mesh/v1\nkind: DataProduct\nmetadata: {name: a, version: 1.0.0, owner: o, domain: d}\nspec:\n  outputPorts: [{name: f, type: batch, format: csv, location: x}]\n";
    assert!(faults(text)[0].contains("a CSV port needs a typed contract"));
}

#[test]
fn fields_that_differ_in_case_only_are_one() {
    let text = SMALL.replace("{name: who, type: string}", "{name: ID, type: string}") + "    pii_fields: []\n";
    assert!(faults(&text)[0].contains("the field \"ID\" is the same name as \"id\""));
}

#[test]
fn names_that_would_not_work_are_refused() {
    for domain in ["pg_catalog", "mesh", "information_schema", "a/b", "..", "\"\""] {
        assert!(
            faults(&(SMALL.replace("domain: sales", &format!("domain: {domain}")) + "    pii_fields: []\n"))[0].contains(":3:"),
            "{domain}"
        );
    }
    for name in ["a/b", "a@2", ".hidden", "\"a\\\"b\""] {
        assert!(read_text(&(SMALL.replace("name: orders", &format!("name: {name}")) + "    pii_fields: []\n")).is_err(), "{name}");
    }
}

#[test]
fn versions_are_read() {
    assert_eq!(parse_version("2.1.0"), Some(Version { major: 2, minor: 1, patch: 0 }));
    assert_eq!(parse_version("2"), Some(Version { major: 2, minor: 0, patch: 0 }));
    for text in ["", "two", "1.2.3.4", "1.", "-1", "+1", "1.2.3-rc1", "99999999999"] {
        assert_eq!(parse_version(text), None, "{text}");
    }
}

#[test]
fn an_odcs_contract_is_told_apart() {
    let text = "apiVersion: v3.0.2\nkind: DataContract\nid: x\n";
    assert_eq!(faults(text).len(), 1);
    assert!(faults(text)[0].contains("ODCS"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Bytes of a valid contract replaced, removed and repeated: a product or faults with places in the file, never a panic.
    #[test]
    fn no_mutation_of_a_contract_panics(edits in prop::collection::vec((0usize..WHOLE.len(), 0u8..4, "[ -~\n\t\u{e9}]{0,3}"), 1..6)) {
        let mut text: Vec<char> = WHOLE.chars().collect();
        for (at, kind, insert) in edits {
            let at = at.min(text.len());
            let end = (at + insert.chars().count() + usize::from(kind)).min(text.len());
            match kind {
                0 => drop(text.splice(at..at, insert.chars())),
                1 => drop(text.splice(at..end, insert.chars())),
                2 => drop(text.drain(at..end)),
                _ => {
                    let copy: Vec<char> = text[at..(at + 40).min(text.len())].to_vec();
                    drop(text.splice(at..at, copy));
                }
            }
        }
        let text: String = text.into_iter().collect();
        let lines = text.lines().count() + 1;
        if let Err(faults) = read_text(&text) {
            prop_assert!(!faults.is_empty());
            for fault in faults {
                prop_assert!(fault.line >= 1 && fault.line <= lines + 1, "{fault}");
            }
        }
    }

    /// Any text at all.
    #[test]
    fn no_text_panics(text in "[\\PC\n\t]{0,200}") {
        let _ = read_text(&text);
    }

    /// Text made of YAML's own characters.
    #[test]
    fn no_soup_of_indicators_panics(text in "[-?:,\\[\\]{}#&*!|>'\"%@` \n\ta~0]{0,80}") {
        let _ = read_text(&text);
    }

    /// A location that is not accepted never shows in the fault.
    #[test]
    fn a_refused_location_is_never_repeated(secret in "[a-zA-Z0-9]{12}") {
        let text = WHOLE.replace("postgres://pg-customer:5432", &format!("postgres://u:{secret}@pg"));
        for fault in read_text(&text).unwrap_err() {
            prop_assert!(!fault.to_string().contains(&secret));
        }
    }
}

#[test]
fn what_protects_a_connection_is_read_and_checked() {
    let with = |port: &str| SMALL.replace("{name: files, type: batch, format: parquet, location: orders/}", port) + "    pii_fields: []\n";
    let table = |tls: &str| with(&format!("{{name: t, type: table, format: postgres, location: \"postgres://h/d/s/t\"{tls}}}"));
    let tls = |keys: &str| read_text(&table(keys)).unwrap().output_ports[0].tls.clone();
    assert_eq!(tls(""), ServerTls { mode: TlsMode::Prefer, authorities: None });
    assert_eq!(tls(", tls: {}").mode, TlsMode::VerifyFull);
    assert_eq!(tls(", tls: {mode: require}").mode, TlsMode::Require);
    let authorities = Some(CredentialsRef::File("ca.pem".to_owned()));
    assert_eq!(tls(", tls: {authorities: {ref: \"file:ca.pem\"}}"), ServerTls { mode: TlsMode::VerifyFull, authorities });
    let one = |text: &str| faults(text).join("\n");
    assert!(one(&table(", tls: {mode: require, authorities: {ref: \"file:ca.pem\"}}")).contains("means nothing"));
    assert!(one(&table(", tls: {authorities: {ref: \"ca.pem\"}}")).contains("no reference"));
    assert!(one(&table(", tls: {mode: allow}")).contains("verify-full"));
    assert!(one(&with("{name: f, type: batch, format: parquet, location: x, tls: {}}")).contains("without a server"));
}

#[test]
fn keys_of_files_are_references() {
    let with = |port: &str| SMALL.replace("{name: files, type: batch, format: parquet, location: orders/}", port) + "    pii_fields: []\n";
    let one = |text: &str| faults(text).join("\n");
    let file = |format: &str, keys: &str| with(&format!("{{name: f, type: batch, format: {format}, location: x, encryption: {{{keys}}}}}"));
    let keys = "footer_key: {ref: \"env:FOOTER\"}, column_keys: {card: {ref: \"file:card.key\"}}";
    let port = read_text(&file("parquet", keys)).unwrap().output_ports[0].clone();
    let columns = [("card".to_owned(), CredentialsRef::File("card.key".to_owned()))].into();
    assert_eq!(port.encryption, Some(FileKeys::Direct { footer: CredentialsRef::Env("FOOTER".to_owned()), columns }));
    let masters = "master_keys: {\"mesh/files\": {ref: \"env:MASTER\"}}";
    let port = read_text(&file("parquet", masters)).unwrap().output_ports[0].clone();
    let named = [("mesh/files".to_owned(), CredentialsRef::Env("MASTER".to_owned()))].into();
    assert_eq!(port.encryption, Some(FileKeys::Wrapping(named)));
    assert!(one(&file("parquet", &format!("{keys}, {masters}"))).contains("beside keys"));
    assert!(one(&file("parquet", &masters.replace("env:MASTER", "00112233445566778899aabbccddeeff"))).contains("no reference"));
    assert!(one(&file("parquet", "")).contains("footer_key"));
    assert!(one(&file("arrow", keys)).contains("another format"));
    assert!(one(&file("parquet", "footer_key: {ref: \"00112233445566778899aabbccddeeff\"}")).contains("no reference"));
    assert!(one(&file("parquet", "column_keys: {}")).contains("footer_key"));
}
