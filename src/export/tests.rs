//! What DataHub is told, of two contracts and what was read in the name of one.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::DateTime;
use serde_json::{Value, json};

use super::{Proposal, datahub, dataset_urn, field_urn};
use crate::lineage::{Observed, Reads, Upstream};
use crate::locator::{Domain, Located, Snapshot, TableEntry};
use crate::product::validate::{DomainDefaults, parse};
use crate::product::{DomainName, Product};

const UP: &str = "
apiVersion: data-mesh/v1
kind: DataProduct
metadata: {name: events, version: \"1.2.0\", owner: events-team, domain: shop, tags: [raw]}
spec:
  outputPorts:
    - {name: files, type: batch, format: parquet, location: secret/place.parquet, sla: {freshness: \"< 5 minutes\", uptime: \"99.9%\"}}
  schema:
    - {name: customer_id, type: int64, required: true, primaryKey: true, classification: internal}
    - {name: email, type: string, classification: restricted}
  governance: {pii_fields: [email], data_classification: restricted}
";

const MADE: &str = "
apiVersion: data-mesh/v1
kind: DataProduct
metadata:
  name: profiles
  version: \"2.0.0\"
  owner: profile-team
  domain: shop
  deprecation: {since: \"2026-01-01\", sunset: \"2026-12-31\", replacedBy: shop/events}
spec:
  outputPorts:
    - {name: daily, type: batch, format: csv, location: p.csv, sla: {freshness: \"< 2 hours after 06:30 Europe/Berlin\"}}
  inputPorts: [{sourceProduct: shop/events, fields: [customer_id], version: \"1\"}]
  qualityChecks: [{rule: \"id IS NOT NULL\"}]
  schema: [{name: id, type: int64}, {name: mails, type: \"list<string>\"}]
";

fn snapshot() -> Snapshot {
    let products: Vec<Arc<Product>> =
        [UP, MADE].iter().map(|text| Arc::new(parse("p.yaml", text, &DomainDefaults::default()).unwrap())).collect();
    let domain = Domain {
        name: DomainName::parse("shop").unwrap(),
        schema: "shop".into(),
        owner_team: "shop-team".into(),
        oncall: Some("shop-oncall".into()),
        retention_days: None,
    };
    let entry = |product: &Arc<Product>| TableEntry {
        schema: "shop".into(),
        table: product.reference.name.to_string(),
        located: Located { port: product.default_output_port().map(|port| port.name.clone()), product: Arc::clone(product) },
        listed: true,
    };
    Snapshot::new("r".into(), [domain], products.iter().map(entry).collect::<Vec<_>>())
}

fn observed() -> Observed {
    let mut reads = Reads::default();
    reads.add("pipeline", DateTime::UNIX_EPOCH);
    reads.fields.insert("customer_id".into(), BTreeSet::from(["id".to_owned()]));
    reads.fields.insert("email".into(), BTreeSet::from(["mails".to_owned(), "else".to_owned()]));
    let upstream = Upstream { domain: "shop".into(), product: "events".into(), version: "1.2.0".into() };
    Observed([("shop/profiles".to_owned(), [(upstream, reads)].into())].into())
}

fn all() -> Vec<Proposal> {
    datahub(&snapshot(), &observed(), DateTime::UNIX_EPOCH)
}

fn aspect<'a>(all: &'a [Proposal], urn: &str, aspect: &str) -> &'a Value {
    &all.iter().find(|proposal| proposal.urn == urn && proposal.aspect == aspect).unwrap_or_else(|| panic!("{aspect} of {urn}")).value
}

#[test]
fn a_dataset_tells_of_its_contract_and_not_of_its_place() {
    let (all, own) = (all(), dataset_urn("shop", "events", "files"));
    assert_eq!(aspect(&all, &own, "ownership")["owners"][0]["owner"], "urn:li:corpGroup:events-team");
    assert_eq!(aspect(&all, &own, "domains")["domains"][0], "urn:li:domain:shop");
    assert_eq!(aspect(&all, &own, "globalTags"), &json!({"tags": [{"tag": "urn:li:tag:raw"}, {"tag": "urn:li:tag:PII"}]}));
    let fields = &aspect(&all, &own, "schemaMetadata")["fields"];
    assert_eq!((&fields[0]["nullable"], &fields[0]["isPartOfKey"], fields[0].get("globalTags")), (&false.into(), &true.into(), None));
    assert_eq!(fields[1]["globalTags"]["tags"][0]["tag"], "urn:li:tag:PII");
    assert_eq!(fields[1]["glossaryTerms"]["terms"][0]["urn"], "urn:li:glossaryTerm:classification.restricted");
    assert!(all.iter().all(|proposal| !proposal.to_json().to_string().contains("secret/place")));
}

#[test]
fn lineage_is_what_is_declared_and_what_was_read() {
    let (all, own, up) = (all(), dataset_urn("shop", "profiles", "daily"), dataset_urn("shop", "events", "files"));
    let lineage = aspect(&all, &own, "upstreamLineage");
    assert_eq!(lineage["upstreams"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&lineage["upstreams"][0]["dataset"], &lineage["upstreams"][0]["properties"]["declared"]),
        (&up.clone().into(), &"true".into())
    );
    assert_eq!(lineage["upstreams"][0]["properties"]["observed_statements"], "1");
    let fine: Vec<(&Value, &Value, &Value)> = lineage["fineGrainedLineages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fine| (&fine["transformOperation"], &fine["upstreams"], &fine["downstreams"]))
        .collect();
    let (declared, observed) = (json!("declared"), json!("observed"));
    let both = json!([field_urn(&own, "id"), field_urn(&own, "mails")]);
    let (id, mails) = (json!([field_urn(&own, "id")]), json!([field_urn(&own, "mails")]));
    let (from_id, from_email) = (json!([field_urn(&up, "customer_id")]), json!([field_urn(&up, "email")]));
    assert_eq!(fine, [(&declared, &from_id, &both), (&observed, &from_id, &id), (&observed, &from_email, &mails)]);
    assert!(!all.iter().any(|proposal| proposal.urn == up && proposal.aspect == "upstreamLineage"));
}

#[test]
fn deprecation_and_promises_are_told() {
    let (all, own) = (all(), dataset_urn("shop", "profiles", "daily"));
    let deprecation = aspect(&all, &own, "deprecation");
    assert_eq!(deprecation["decommissionTime"], 1_798_675_200_000_i64);
    assert_eq!(deprecation["replacement"], dataset_urn("shop", "events", "files"));
    let assertions: Vec<&Value> =
        all.iter().filter(|proposal| proposal.aspect == "assertionInfo").map(|proposal| &proposal.value).collect();
    let kinds: Vec<&str> = assertions.iter().map(|info| info["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["FRESHNESS", "CUSTOM", "FRESHNESS", "CUSTOM"]);
    let schedules: Vec<&Value> =
        assertions.iter().filter_map(|info| info.get("freshnessAssertion")).map(|info| &info["schedule"]).collect();
    assert_eq!(schedules[0], &json!({"type": "FIXED_INTERVAL", "fixedInterval": {"unit": "MINUTE", "multiple": 5}}));
    let cron = json!({"cron": "30 8 * * *", "timezone": "Europe/Berlin", "windowStartOffsetMs": 7_200_000});
    assert_eq!(schedules[1], &json!({"type": "CRON", "cron": cron}));
}

#[test]
fn what_is_named_is_told_before_and_the_api_gets_the_aspect_as_text() {
    let all = all();
    for (proposal, number) in all.iter().zip(0..) {
        let names = proposal.value.to_string();
        for other in
            all.iter().skip(number + 1).filter(|other| matches!(other.entity_type, "tag" | "glossaryTerm" | "domain" | "corpGroup"))
        {
            assert!(!names.contains(&format!("\"{}\"", other.urn)), "{} is told after {}", other.urn, proposal.urn);
        }
    }
    let sent = all[0].to_rest();
    assert_eq!(sent["proposal"]["aspect"]["contentType"], "application/json");
    let value: Value = serde_json::from_str(sent["proposal"]["aspect"]["value"].as_str().unwrap()).unwrap();
    assert_eq!(value, all[0].value);
}
