//! The JSON of OpenLineage's events: one type for each object of the spec that is written, keys in its order; the outermost
//! stand in `lines`.

use std::collections::BTreeMap;

use serde::Serialize;

pub(super) const PRODUCER: &str = concat!("https://github.com/meshgate/meshgate/tree/v", env!("CARGO_PKG_VERSION"));
pub(super) const RUN_EVENT: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent";

/// A facet of that version and name.
macro_rules! facet {
    ($version:literal, $name:literal, $content:expr) => {
        $crate::lineage::events::Facet {
            producer: $crate::lineage::events::PRODUCER,
            schema_url: concat!("https://openlineage.io/spec/facets/", $version, "/", $name, ".json#/$defs/", $name),
            content: $content,
        }
    };
}
pub(super) use facet;

#[derive(Serialize)]
pub(super) struct Facet<T> {
    #[serde(rename = "_producer")]
    pub(super) producer: &'static str,
    #[serde(rename = "_schemaURL")]
    pub(super) schema_url: &'static str,
    #[serde(flatten)]
    pub(super) content: T,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RunJson<'a> {
    pub(super) run_id: String,
    pub(super) facets: RunFacets<'a>,
}

#[derive(Serialize)]
pub(super) struct RunFacets<'a> {
    pub(super) processing_engine: Facet<ProcessingEngine>,
    #[serde(rename = "errorMessage", skip_serializing_if = "Option::is_none")]
    pub(super) error_message: Option<Facet<Fault<'a>>>,
}

#[derive(Serialize)]
pub(super) struct ProcessingEngine {
    pub(super) version: &'static str,
    pub(super) name: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Fault<'a> {
    pub(super) message: &'a str,
    pub(super) programming_language: &'static str,
}

#[derive(Serialize)]
pub(super) struct Job<'a> {
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
    pub(super) facets: JobFacets<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct JobFacets<'a> {
    pub(super) job_type: Facet<JobType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sql: Option<Facet<Sql<'a>>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct JobType {
    pub(super) processing_type: &'static str,
    pub(super) integration: &'static str,
    pub(super) job_type: &'static str,
}

#[derive(Serialize)]
pub(super) struct Sql<'a> {
    pub(super) query: &'a str,
    pub(super) dialect: &'static str,
}

#[derive(Serialize)]
pub(super) struct InputDataset<'a> {
    pub(super) namespace: &'a str,
    pub(super) name: String,
    pub(super) facets: InputFacets<'a>,
}

#[derive(Serialize)]
pub(super) struct InputFacets<'a> {
    pub(super) schema: Facet<Schema<'a>>,
    pub(super) version: Facet<DatasetVersion>,
}

#[derive(Serialize)]
pub(super) struct Schema<'a> {
    pub(super) fields: Vec<SchemaField<'a>>,
}

#[derive(Serialize)]
pub(super) struct SchemaField<'a> {
    pub(super) name: &'a str,
    #[serde(rename = "type")]
    pub(super) data_type: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DatasetVersion {
    pub(super) dataset_version: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OutputDatasetFacets<'a> {
    pub(super) schema: Facet<Schema<'a>>,
    pub(super) column_lineage: Facet<ColumnLineage<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OutputFacets {
    pub(super) output_statistics: Facet<Counts>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Counts {
    pub(super) row_count: u64,
    pub(super) size: u64,
}

#[derive(Serialize)]
pub(super) struct ColumnLineage<'a> {
    pub(super) fields: BTreeMap<&'a str, InputFields<'a>>,
    pub(super) dataset: Vec<InputColumn<'a>>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InputFields<'a> {
    pub(super) input_fields: Vec<InputColumn<'a>>,
}

#[derive(Serialize)]
pub(super) struct InputColumn<'a> {
    pub(super) namespace: &'a str,
    pub(super) name: String,
    pub(super) field: &'a str,
    pub(super) transformations: Vec<How>,
}

#[derive(Serialize)]
pub(super) struct How {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) subtype: &'static str,
    pub(super) description: &'static str,
    pub(super) masking: bool,
}
