//! OpenLineage run events (spec 2-0-2): a START and one of COMPLETE, FAIL and ABORT for each statement.
//!
//! Each port that is read is an input dataset; the result is an output dataset of its own, because column lineage has its place there.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use uuid::Uuid;

use super::events::{
    ColumnLineage, Counts, DatasetVersion, Facet, Fault, How, InputColumn, InputDataset, InputFacets, InputFields, Job, JobFacets, JobType,
    OutputDatasetFacets, OutputFacets, ProcessingEngine, RunFacets, RunJson, Schema, SchemaField, Sql, facet,
};
use super::model::{Input, Lineage, Source};

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

    /// The run that it is of.
    pub(super) fn run(&self) -> &Run {
        &self.run
    }

    /// When it happened.
    pub(super) fn time(&self) -> String {
        self.at.to_rfc3339_opts(SecondsFormat::Micros, true)
    }

    pub(super) fn event_type(&self) -> &'static str {
        match &self.ending {
            None => "START",
            Some(Ending::Complete { .. }) => "COMPLETE",
            Some(Ending::Fail { .. }) => "FAIL",
            Some(Ending::Abort) => "ABORT",
        }
    }

    pub(super) fn run_json(&self) -> RunJson<'_> {
        let error = match &self.ending {
            Some(Ending::Fail { message }) => Some(Fault { message, programming_language: "SQL" }),
            _ => None,
        };
        RunJson {
            run_id: self.run.id.to_string(),
            facets: RunFacets {
                processing_engine: facet!(
                    "1-1-1",
                    "ProcessingEngineRunFacet",
                    ProcessingEngine { version: env!("CARGO_PKG_VERSION"), name: "meshgate" }
                ),
                error_message: error.map(|error| facet!("1-0-1", "ErrorMessageRunFacet", error)),
            },
        }
    }

    pub(super) fn job(&self) -> Job<'_> {
        let sql = self.run.sql.as_deref().map(|query| Sql { query, dialect: "postgres" });
        Job {
            namespace: &self.run.namespace,
            name: &self.run.job,
            facets: JobFacets {
                job_type: facet!(
                    "2-0-4",
                    "JobTypeJobFacet",
                    JobType { processing_type: "BATCH", integration: "MESHGATE", job_type: "QUERY" }
                ),
                sql: sql.map(|sql| facet!("1-1-0", "SQLJobFacet", sql)),
            },
        }
    }

    /// What came out, if it is known.
    pub(super) fn output_facets(&self) -> Option<OutputFacets> {
        match &self.ending {
            Some(Ending::Complete { rows, bytes }) => Some(OutputFacets {
                output_statistics: facet!("1-0-2", "OutputStatisticsOutputDatasetFacet", Counts { row_count: *rows, size: *bytes }),
            }),
            _ => None,
        }
    }
}

/// The ports that are read.
pub(super) fn inputs<'a>(lineage: &'a Lineage, namespace: &'a str) -> Vec<InputDataset<'a>> {
    lineage.inputs.iter().map(|input| InputDataset { namespace, name: dataset_name(input), facets: input_facets(input) }).collect()
}

/// What the result is made of.
pub(super) fn output<'a>(lineage: &'a Lineage, namespace: &'a str) -> OutputDatasetFacets<'a> {
    // Labels may repeat; their sources are then told together.
    let mut fields: BTreeMap<&str, InputFields<'_>> = BTreeMap::new();
    for column in &lineage.columns {
        fields.entry(&column.name).or_default().input_fields.extend(sources(lineage, namespace, &column.sources));
    }
    let columns = ColumnLineage { fields, dataset: sources(lineage, namespace, &lineage.rows).collect() };
    OutputDatasetFacets {
        schema: schema(lineage.columns.iter().map(|column| (column.name.as_str(), column.data_type.as_str()))),
        column_lineage: facet!("1-2-0", "ColumnLineageDatasetFacet", columns),
    }
}

fn sources<'a>(lineage: &'a Lineage, namespace: &'a str, sources: &'a [Source]) -> impl Iterator<Item = InputColumn<'a>> {
    sources.iter().filter_map(move |source| {
        let input = lineage.inputs.get(source.input)?;
        let masking = input.fields.iter().any(|field| field.masked && field.name == source.field);
        let transformations =
            source.transformations.iter().map(|how| How { kind: how.kind(), subtype: how.subtype(), description: "", masking });
        let (name, transformations) = (dataset_name(input), transformations.collect());
        Some(InputColumn { namespace, name, field: &source.field, transformations })
    })
}

/// `<domain>/<product>/<port>`: each output port is a dataset.
fn dataset_name(input: &Input) -> String {
    format!("{}/{}", input.product, input.port)
}

fn input_facets(input: &Input) -> InputFacets<'_> {
    let version = DatasetVersion { dataset_version: input.product.version.to_string() };
    InputFacets {
        schema: schema(input.fields.iter().map(|field| (field.name.as_str(), field.data_type.as_str()))),
        version: facet!("1-0-1", "DatasetVersionDatasetFacet", version),
    }
}

fn schema<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> Facet<Schema<'a>> {
    facet!("1-2-0", "SchemaDatasetFacet", Schema { fields: fields.map(|(name, data_type)| SchemaField { name, data_type }).collect() })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::lineage::lines::Lines;
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

    fn json(event: &RunEvent) -> Value {
        serde_json::from_str(&Lines::default().line(event).unwrap()).unwrap()
    }

    #[test]
    fn the_end_names_columns_masks_and_counts() {
        let event = json(&RunEvent::end(run(), DateTime::UNIX_EPOCH, Ending::Complete { rows: 3, bytes: 9 }));
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
    fn what_was_written_of_one_plan_is_not_taken_for_another() {
        let (one, mut other) = (run(), Run::clone(&run()));
        let mut lineage = Lineage::clone(&other.lineage);
        lineage.columns.pop();
        lineage.inputs[0].fields[0].masked = false;
        (other.lineage, other.id) = (lineage.into(), Uuid::from_u128(8));
        let renamed = Run { namespace: "other".into(), ..other.clone() };
        let mut lines = Lines::default();
        for run in [&one, &Arc::new(other), &one, &Arc::new(renamed)] {
            for event in [
                RunEvent::start(Arc::clone(run), DateTime::UNIX_EPOCH),
                RunEvent::end(Arc::clone(run), DateTime::UNIX_EPOCH, Ending::Abort),
            ] {
                assert_eq!(lines.line(&event).unwrap(), Lines::default().line(&event).unwrap());
            }
        }
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
        let event = json(&RunEvent::end(run(), DateTime::UNIX_EPOCH, Ending::Fail { message: "no".into() }));
        let mut found = 0;
        for part in [&event["run"], &event["job"], &event["inputs"][0], &event["outputs"][0]] {
            facets(part, &mut found);
        }
        assert_eq!(found, 7);
        assert_eq!(event["run"]["facets"]["errorMessage"]["message"], "no");
    }
}
