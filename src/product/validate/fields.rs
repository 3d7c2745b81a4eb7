//! `spec.schema`: the typed columns.

use std::collections::HashMap;

use crate::document::Faults;
use crate::product::spec::FieldSpec;
use crate::product::{DataType, Field, FieldName};

/// PostgreSQL's limit of a table.
const FIELDS_MAX: usize = 1_600;

/// The typed columns, and the names of those that were declared but are faulty: naming one is not a second fault.
#[derive(Default)]
pub(super) struct Schema {
    pub(super) fields: Vec<Field>,
    pub(super) declared: Vec<String>,
}

/// The fields that are valid, in order; the others are faults.
pub(super) fn schema(specs: &[FieldSpec], faults: &mut Faults<'_>) -> Schema {
    if specs.len() > FIELDS_MAX {
        faults.add("/spec/schema", format!("\"schema\" has more than {FIELDS_MAX} fields"));
        return Schema::default();
    }
    let mut seen: HashMap<String, &str> = HashMap::new();
    let mut fields = Vec::with_capacity(specs.len());
    for (index, spec) in specs.iter().enumerate() {
        let at = format!("/spec/schema/{index}");
        if let Some(other) = seen.insert(spec.name.to_lowercase(), &spec.name) {
            let message = format!("the field \"{}\" is the same name as \"{other}\"", spec.name);
            faults.add_with_hint(&format!("{at}/name"), message, "Names that differ only in case are one name in SQL; rename one.");
        }
        if spec.physical_name.as_deref() == Some("") {
            faults.add(&format!("{at}/physicalName"), "\"physicalName\" is empty");
        }
        let name = FieldName::parse(&spec.name).map_err(|error| faults.add(&format!("{at}/name"), error.to_string()));
        let data_type = DataType::parse(&spec.data_type).map_err(|error| {
            let message = format!("the type of the field \"{}\" is not understood: {error}", spec.name);
            faults.add_with_hint(&format!("{at}/type"), message, format!("The types are {}.", DataType::NAMES));
        });
        let (Ok(name), Ok(data_type)) = (name, data_type) else { continue };
        fields.push(Field {
            name,
            physical_name: spec.physical_name.clone(),
            data_type,
            // A primary key is never NULL.
            required: spec.required || spec.primary_key,
            primary_key: spec.primary_key,
            classification: spec.classification.clone(),
            description: spec.description.clone(),
        });
    }
    Schema { fields, declared: specs.iter().map(|spec| spec.name.clone()).collect() }
}
