//! `spec.governance`: what protects the product must exist, and must be able to.

use crate::document::{Faults, closest};
use crate::product::mask::{ExpressionColumn, MaskFault};
use crate::product::spec::{ClassificationSpec, GovernanceSpec, PiiActionSpec};
use crate::product::{DataType, FieldName, Governance, Mask, PiiAction};

use super::fields::Schema;
use super::{COMPATIBILITY_DEFAULT, DomainDefaults, names};

const AT: &str = "/spec/governance";

/// The governance of a product; what is wrong is a fault.
pub(super) fn governance(spec: &GovernanceSpec, schema: Option<&Schema>, defaults: &DomainDefaults, faults: &mut Faults<'_>) -> Governance {
    let pii_fields = names(&spec.pii_fields, &format!("{AT}/pii_fields"), faults);
    for (index, text) in spec.pii_fields.iter().enumerate() {
        field_type(text, schema, &format!("{AT}/pii_fields/{index}"), "pii_fields", faults);
    }
    let retention_column = column(spec.retention_column.as_deref(), "retention_column", schema, faults, is_dated);
    let freshness_column = column(spec.freshness_column.as_deref(), "freshness_column", schema, faults, is_dated);
    let subject_column = column(spec.subject_column.as_deref(), "subject_column", schema, faults, names_subject)
        .or_else(|| if spec.gdpr_subject_to_erasure && spec.subject_column.is_none() { key_as_subject(schema) } else { None });
    if spec.gdpr_subject_to_erasure && subject_column.is_none() && spec.subject_column.is_none() {
        let hint = "Name the column that holds the person's id as \"subject_column\".";
        faults.add_with_hint(&format!("{AT}/gdpr_subject_to_erasure"), "erasure needs a column that names the person", hint);
    }
    if spec.retention_days.is_some() && spec.retention_column.is_none() {
        let hint = "Name the column that dates a record as \"retention_column\".";
        faults.add_with_hint(&format!("{AT}/retention_days"), "retention needs a column that dates a record", hint);
    }
    if spec.access_policy.as_deref().is_some_and(|policy| !names_policy(policy)) {
        faults.add_with_hint(&format!("{AT}/access_policy"), "\"access_policy\" names no policy", "Write opa://package/rule.");
    }
    let restricted = spec.data_classification == ClassificationSpec::Restricted;
    let inherited = if restricted && retention_column.is_some() { defaults.retention_days } else { None };
    Governance {
        pii_fields,
        data_classification: spec.data_classification.as_str().to_owned(),
        retention_days: spec.retention_days.or(inherited),
        retention_column,
        gdpr_subject_to_erasure: spec.gdpr_subject_to_erasure,
        subject_column,
        freshness_column,
        access_policy: spec.access_policy.clone(),
        pii_action: match spec.pii_action {
            PiiActionSpec::Deny => PiiAction::Deny,
            PiiActionSpec::Mask => PiiAction::Mask,
        },
        masks: masks(spec, schema, faults),
        compatibility: spec
            .compatibility
            .map(|promise| promise.as_str().to_owned())
            .or_else(|| defaults.compatibility.clone())
            .or_else(|| Some(COMPATIBILITY_DEFAULT.to_owned())),
    }
}

/// Whether the text names a policy: a package that could not be found for its form alone would deny every read.
fn names_policy(text: &str) -> bool {
    text.strip_prefix("opa://").is_some_and(|path| path.trim_matches('/').split('/').all(|segment| !segment.is_empty()))
}

/// A single primary key names the person if nothing else does.
fn key_as_subject(schema: Option<&Schema>) -> Option<FieldName> {
    let mut keys = schema?.fields.iter().filter(|field| field.primary_key);
    let key = keys.next().filter(|key| names_subject(&key.data_type).is_ok())?;
    keys.next().is_none().then(|| key.name.clone())
}

fn is_dated(data_type: &DataType) -> Result<(), &'static str> {
    if data_type.is_date_or_timestamp() { Ok(()) } else { Err("must be a date, timestamp or timestamptz") }
}

fn names_subject(data_type: &DataType) -> Result<(), &'static str> {
    let whole = matches!(data_type, DataType::Int16 | DataType::Int32 | DataType::Int64 | DataType::Uuid);
    if whole || data_type.is_text() { Ok(()) } else { Err("must be a text, a whole number or a uuid") }
}

fn column(
    text: Option<&str>,
    key: &str,
    schema: Option<&Schema>,
    faults: &mut Faults<'_>,
    serves: fn(&DataType) -> Result<(), &'static str>,
) -> Option<FieldName> {
    let at = format!("{AT}/{key}");
    let name = FieldName::parse(text?).map_err(|error| faults.add(&at, error.to_string())).ok()?;
    if let Some(Err(reason)) = field_type(name.as_str(), schema, &at, key, faults).map(serves) {
        faults.add(&at, format!("the field \"{name}\" of \"{key}\" {reason}"));
    }
    Some(name)
}

/// The type of a field that the governance names; a fault if there is a schema without it.
fn field_type<'s>(name: &str, schema: Option<&'s Schema>, at: &str, key: &str, faults: &mut Faults<'_>) -> Option<&'s DataType> {
    let schema = schema?;
    let found = schema.fields.iter().find(|field| field.name.as_str() == name);
    if found.is_none() && !schema.declared.iter().any(|declared| declared == name) {
        let near = closest(name, schema.declared.iter().map(String::as_str));
        let hint = near.map_or_else(|| "Add it to the schema or remove it here.".to_owned(), |near| format!("Did you mean \"{near}\"?"));
        faults.add_with_hint(at, format!("the field \"{name}\" of \"{key}\" is not in the schema"), hint);
    }
    found.map(|field| &field.data_type)
}

fn masks(spec: &GovernanceSpec, schema: Option<&Schema>, faults: &mut Faults<'_>) -> Vec<(FieldName, Mask)> {
    let columns: Vec<ExpressionColumn<'_>> = schema.map_or_else(Vec::new, |schema| {
        schema.fields.iter().map(|field| ExpressionColumn { name: &field.name, data_type: &field.data_type }).collect()
    });
    let mut masks = Vec::new();
    for (field, written) in &spec.masks {
        let at = format!("{AT}/masks/{}", field.replace('~', "~0").replace('/', "~1"));
        let Ok(name) = FieldName::parse(field).map_err(|error| faults.add(&at, error.to_string())) else { continue };
        if schema.is_none() && written.0.contains_key("expression") {
            let hint = "Name the columns and their types in \"schema\".";
            faults.add_with_hint(&at, format!("the mask of the field \"{field}\" is an expression over columns without types"), hint);
            continue;
        }
        let data_type = field_type(field, schema, &at, "masks", faults);
        let checked = Mask::read(&written.0, data_type, &columns).and_then(|mask| match data_type {
            Some(data_type) => mask.check(data_type).map(|()| mask),
            None => Ok(mask),
        });
        match checked {
            Ok(mask) if mask.shows(&name) => faults.add(&at, format!("the mask of the field \"{field}\" is the field itself")),
            Ok(mask) => masks.push((name, mask)),
            Err(fault) => add_mask_fault(field, &at, &fault, faults),
        }
    }
    masks
}

fn add_mask_fault(field: &str, at: &str, fault: &MaskFault, faults: &mut Faults<'_>) {
    match fault {
        MaskFault::Unknown { name } => {
            let near = closest(name, Mask::NAMES).map_or_else(String::new, |near| format!("Did you mean \"{near}\"? "));
            let hint = format!("{near}The masks are {}.", Mask::NAMES.join(", "));
            faults.add_with_hint(at, format!("the mask of the field \"{field}\" is not known"), hint);
        }
        MaskFault::Parameter(reason) => faults.add(at, format!("the mask of the field \"{field}\": {reason}")),
        MaskFault::Type { mask, data_type, serves } => {
            let message = format!("the mask {mask} cannot serve the field \"{field}\" of type {data_type}");
            faults.add_with_hint(at, message, format!("{serves}; replace-with-null serves every type."));
        }
        MaskFault::Expression(fault) => {
            let message = format!("the mask of the field \"{field}\": {}", fault.message);
            faults.add_with_hint(at, message, format!("Look at character {} of the expression.", fault.position));
        }
    }
}
