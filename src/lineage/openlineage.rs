//! OpenLineage run events (spec 2-0-2): a START and one of COMPLETE, FAIL and ABORT for each statement.
//!
//! Each port that is read is an input dataset; the result is an output dataset of its own, because column lineage has its place there.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::model::{Input, Lineage, Source};

const PRODUCER: &str = concat!("https://github.com/meshgate/meshgate/tree/v", env!("CARGO_PKG_VERSION"));
const RUN_EVENT: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent";
const FACETS: &str = "https://openlineage.io/spec/facets";

/// What both events of a statement say.
#[derive(Debug, Clone)]
pub struct Run {
    /// The run: the statement's id.
    pub id: Uuid,
    /// The namespace of jobs and datasets, `meshgate` unless configured.
    pub namespace: String,
    /// The job: equal for equal questions, for example the principal and the statement's fingerprint.
    pub job: String,
    /// The statement's text, unless it is kept out of records.
    pub sql: Option<String>,
    /// What is read and what the result is made of.
    pub lineage: Arc<Lineage>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Every row was handed over.
    Complete {
        /// Rows.
        rows: u64,
        /// Bytes.
        bytes: u64,
    },
    /// An error, or a denial, ended it.
    Fail {
        /// The message that the client was sent.
        message: String,
    },
    /// It was cancelled, or its connection went away.
    Abort,
}

/// An event, before it is written as JSON.
#[derive(Debug, Clone)]
pub struct RunEvent {
    run: Arc<Run>,
    at: DateTime<Utc>,
    ending: Option<Ending>,
}

impl RunEvent {
    /// The run starts.
    pub fn start(run: Arc<Run>, at: DateTime<Utc>) -> Self {
        Self { run, at, ending: None }
    }

    /// The run has ended.
    pub fn end(run: Arc<Run>, at: DateTime<Utc>, ending: Ending) -> Self {
        Self { run, at, ending: Some(ending) }
    }

    /// The event as the spec words it.
    pub fn to_json(&self) -> Value {
        let event_type = match &self.ending {
            None => "START",
            Some(Ending::Complete { .. }) => "COMPLETE",
            Some(Ending::Fail { .. }) => "FAIL",
            Some(Ending::Abort) => "ABORT",
        };
        let run = &self.run;
        let inputs: Vec<Value> = run.lineage.inputs.iter().map(|input| self.input(input)).collect();
        json!({
            "eventType": event_type,
            "eventTime": self.at.to_rfc3339_opts(SecondsFormat::Micros, true),
            "run": {"runId": run.id.to_string(), "facets": self.run_facets()},
            "job": {"namespace": run.namespace, "name": run.job, "facets": self.job_facets()},
            "inputs": inputs,
            "outputs": [self.output()],
            "producer": PRODUCER,
            "schemaURL": RUN_EVENT,
        })
    }

    fn run_facets(&self) -> Value {
        let engine = json!({"version": env!("CARGO_PKG_VERSION"), "name": "meshgate"});
        let mut facets = Map::new();
        facets.insert("processing_engine".to_owned(), facet("1-1-1", "ProcessingEngineRunFacet", engine));
        if let Some(Ending::Fail { message }) = &self.ending {
            let error = json!({"message": message, "programmingLanguage": "SQL"});
            facets.insert("errorMessage".to_owned(), facet("1-0-1", "ErrorMessageRunFacet", error));
        }
        Value::Object(facets)
    }

    fn job_facets(&self) -> Value {
        let job_type = json!({"processingType": "BATCH", "integration": "MESHGATE", "jobType": "QUERY"});
        let mut facets = Map::new();
        facets.insert("jobType".to_owned(), facet("2-0-4", "JobTypeJobFacet", job_type));
        if let Some(sql) = &self.run.sql {
            facets.insert("sql".to_owned(), facet("1-1-0", "SQLJobFacet", json!({"query": sql, "dialect": "postgres"})));
        }
        Value::Object(facets)
    }

    fn input(&self, input: &Input) -> Value {
        let fields: Vec<Value> = input.fields.iter().map(|field| json!({"name": field.name, "type": field.data_type})).collect();
        json!({
            "namespace": self.run.namespace,
            "name": dataset_name(input),
            "facets": {
                "schema": facet("1-2-0", "SchemaDatasetFacet", json!({"fields": fields})),
                "version": facet("1-0-1", "DatasetVersionDatasetFacet", json!({"datasetVersion": input.product.version.to_string()})),
            },
        })
    }

    fn output(&self) -> Value {
        let lineage = &self.run.lineage;
        let schema: Vec<Value> = lineage.columns.iter().map(|column| json!({"name": column.name, "type": column.data_type})).collect();
        // Labels may repeat; their sources are then told together.
        let mut fields: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for column in &lineage.columns {
            fields.entry(&column.name).or_default().extend(self.sources(&column.sources));
        }
        let fields: Map<String, Value> =
            fields.into_iter().map(|(name, sources)| (name.to_owned(), json!({"inputFields": sources}))).collect();
        let columns = json!({"fields": fields, "dataset": self.sources(&lineage.rows)});
        let mut output = json!({
            "namespace": self.run.namespace,
            "name": format!("query/{}", self.run.id),
            "facets": {
                "schema": facet("1-2-0", "SchemaDatasetFacet", json!({"fields": schema})),
                "columnLineage": facet("1-2-0", "ColumnLineageDatasetFacet", columns),
            },
        });
        if let (Some(Ending::Complete { rows, bytes }), Some(output)) = (&self.ending, output.as_object_mut()) {
            let counts = facet("1-0-2", "OutputStatisticsOutputDatasetFacet", json!({"rowCount": rows, "size": bytes}));
            output.insert("outputFacets".to_owned(), json!({"outputStatistics": counts}));
        }
        output
    }

    fn sources(&self, sources: &[Source]) -> Vec<Value> {
        sources.iter().filter_map(|source| self.source(source)).collect()
    }

    fn source(&self, source: &Source) -> Option<Value> {
        let input = self.run.lineage.inputs.get(source.input)?;
        let masked = input.fields.iter().any(|field| field.masked && field.name == source.field);
        let transformations: Vec<Value> = source
            .transformations
            .iter()
            .map(|how| json!({"type": how.kind(), "subtype": how.subtype(), "description": "", "masking": masked}))
            .collect();
        Some(json!({
            "namespace": self.run.namespace,
            "name": dataset_name(input),
            "field": source.field,
            "transformations": transformations,
        }))
    }
}

/// `<domain>/<product>/<port>`: each output port is a dataset.
fn dataset_name(input: &Input) -> String {
    format!("{}/{}", input.product, input.port)
}

fn facet(version: &str, name: &str, content: Value) -> Value {
    let mut facet = Map::new();
    facet.insert("_producer".to_owned(), PRODUCER.into());
    facet.insert("_schemaURL".to_owned(), format!("{FACETS}/{version}/{name}.json#/$defs/{name}").into());
    if let Value::Object(content) = content {
        facet.extend(content);
    }
    Value::Object(facet)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lineage::{FieldUse, InputField, OutputColumn, Transformation};
    use crate::product::{DomainName, PortName, ProductName, ProductRef, Version};

    fn run() -> Arc<Run> {
        let product = ProductRef {
            domain: DomainName::parse("customer").unwrap(),
            name: ProductName::parse("customer-360").unwrap(),
            version: Version { major: 2, minor: 1, patch: 0 },
        };
        let field = InputField { name: "email".into(), data_type: "Utf8View".into(), uses: vec![FieldUse::Projected], masked: false };
        let mut lineage = Lineage {
            inputs: vec![Input { product: product.clone(), port: PortName::parse("files").unwrap(), fields: vec![field] }],
            columns: ["e", "e"]
                .map(|name| OutputColumn {
                    name: name.into(),
                    data_type: "Utf8View".into(),
                    sources: vec![Source { input: 0, field: "email".into(), transformations: vec![Transformation::Identity] }],
                })
                .into(),
            rows: vec![Source { input: 0, field: "email".into(), transformations: vec![Transformation::Filter] }],
            complete: true,
        };
        lineage.mark_masked(&product, "email");
        Arc::new(Run { id: Uuid::from_u128(7), namespace: "meshgate".into(), job: "ana".into(), sql: None, lineage: lineage.into() })
    }

    #[test]
    fn the_end_names_columns_masks_and_counts() {
        let event = RunEvent::end(run(), DateTime::UNIX_EPOCH, Ending::Complete { rows: 3, bytes: 9 }).to_json();
        assert_eq!((&event["eventType"], &event["eventTime"]), (&"COMPLETE".into(), &"1970-01-01T00:00:00.000000Z".into()));
        assert_eq!(event["inputs"][0]["name"], "customer/customer-360/files");
        let output = &event["outputs"][0];
        assert_eq!(output["name"], "query/00000000-0000-0000-0000-000000000007");
        let sources = &output["facets"]["columnLineage"]["fields"]["e"]["inputFields"];
        assert_eq!(sources.as_array().unwrap().len(), 2);
        assert_eq!(sources[0]["transformations"][0]["subtype"], "IDENTITY");
        assert_eq!(sources[0]["transformations"][0]["masking"], true);
        assert_eq!(output["facets"]["columnLineage"]["dataset"][0]["transformations"][0]["type"], "INDIRECT");
        assert_eq!(output["outputFacets"]["outputStatistics"]["rowCount"], 3);
    }

    #[test]
    fn every_facet_names_its_producer_and_schema() {
        fn facets(value: &Value, found: &mut usize) {
            for (name, inner) in value.as_object().into_iter().flatten() {
                if name.to_lowercase().ends_with("facets") {
                    for facet in inner.as_object().unwrap().values() {
                        assert!(facet["_producer"].as_str().unwrap().starts_with("https://"));
                        assert!(facet["_schemaURL"].as_str().unwrap().starts_with("https://openlineage.io/spec/facets/"));
                        *found += 1;
                    }
                } else {
                    facets(inner, found);
                }
            }
        }
        let event = RunEvent::end(run(), DateTime::UNIX_EPOCH, Ending::Fail { message: "no".into() }).to_json();
        let mut found = 0;
        for part in [&event["run"], &event["job"], &event["inputs"][0], &event["outputs"][0]] {
            facets(part, &mut found);
        }
        assert_eq!(found, 7);
        assert_eq!(event["run"]["facets"]["errorMessage"]["message"], "no");
    }
}
