//! Comments: what the contract says of a product and of its fields, in the place where clients look for it.

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::catalog::facts::{SessionFacts, Table};
use crate::catalog::{relations, statics};
use crate::product::{Field, Product, Status};

use super::Row;

/// OIDs of the catalogs that own what is described.
const CLASS_OF_TABLES: i64 = 1259;
const CLASS_OF_SCHEMAS: i64 = 2615;
const CLASS_OF_DATABASES: i64 = 1262;

pub(super) fn rows(relation: &str, facts: &SessionFacts) -> Option<Vec<Row>> {
    match relation {
        "pg_description" => Some(descriptions(facts)),
        "pg_shdescription" => Some(vec![vec![
            ("objoid", facts.database_oid().into()),
            ("classoid", CLASS_OF_DATABASES.into()),
            ("description", database_comment().into()),
        ]]),
        _ => None,
    }
}

fn descriptions(facts: &SessionFacts) -> Vec<Row> {
    let row = |object: u32, class: i64, column: i64, text: String| -> Row {
        vec![("objoid", object.into()), ("classoid", class.into()), ("objsubid", column.into()), ("description", text.into())]
    };
    let mut rows: Vec<Row> = statics::descriptions()
        .map(|(object, class, column, text)| {
            vec![("objoid", object.into()), ("classoid", class.into()), ("objsubid", column.into()), ("description", text.into())]
        })
        .collect();
    for schema in &facts.view().schemas {
        rows.extend(schema.comment.clone().map(|comment| row(schema.oid, CLASS_OF_SCHEMAS, 0, comment)));
    }
    for table in &facts.view().tables {
        rows.extend(table_comment(table).map(|comment| row(table.oid, CLASS_OF_TABLES, 0, comment)));
        for (number, field) in (1..).zip(table.fields()) {
            rows.extend(column_comment(&table.product, field).map(|comment| row(table.oid, CLASS_OF_TABLES, number, comment)));
        }
    }
    rows
}

/// The comment of the database.
pub(crate) fn database_comment() -> &'static str {
    "data products of the mesh, by domain"
}

/// The comment of a relation, a schema or the like by OID; `class` narrows it to one catalog's objects.
pub(crate) fn object_comment(facts: &SessionFacts, oid: u32, class: Option<&str>) -> Option<String> {
    if class.is_none_or(|class| class == "pg_class")
        && let Some(table) = facts.table(oid)
    {
        return table_comment(table);
    }
    if class.is_none_or(|class| class == "pg_namespace")
        && let Some(schema) = facts.view().schemas.iter().find(|schema| schema.oid == oid)
    {
        return schema.comment.clone();
    }
    builtin_comment(oid, class)
}

/// The comment of an object of PostgreSQL itself.
fn builtin_comment(oid: u32, class: Option<&str>) -> Option<String> {
    static COMMENTS: OnceLock<HashMap<(i64, i64), String>> = OnceLock::new();
    let comments = COMMENTS.get_or_init(|| {
        statics::descriptions().filter(|(_, _, column, _)| *column == 0).map(|(object, class, _, text)| ((object, class), text)).collect()
    });
    let object = i64::from(oid);
    match class {
        Some(class) => comments.get(&(object, i64::from(relations::find("pg_catalog", class)?.oid))).cloned(),
        None => comments.iter().find(|((found, _), _)| *found == object).map(|(_, text)| text.clone()),
    }
}

/// The comment of a column by its number.
pub(crate) fn column_comment_of(facts: &SessionFacts, oid: u32, number: i64) -> Option<String> {
    let table = facts.table(oid)?;
    let field = table.fields().get(usize::try_from(number).ok()?.checked_sub(1)?)?;
    column_comment(&table.product, field)
}

/// Description, owner, service levels, classification and life of a product, each in one part.
pub(crate) fn table_comment(table: &Table) -> Option<String> {
    let product = &table.product;
    let mut parts: Vec<String> = product.description.iter().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()).collect();
    parts.push(format!("version: {}", product.reference.version));
    if !product.owner.is_empty() {
        parts.push(format!("owner: {}", product.owner));
    }
    let port = product.output_ports.iter().find(|port| Some(port.name.as_str()) == table.port.as_deref());
    if let Some(sla) = port.or_else(|| product.default_output_port()).map(|port| &port.sla) {
        parts.extend(sla.freshness.as_ref().map(|text| format!("freshness: {text}")));
        parts.extend(sla.uptime.as_ref().map(|text| format!("uptime: {text}")));
    }
    if !product.governance.data_classification.is_empty() {
        parts.push(format!("classification: {}", product.governance.data_classification));
    }
    parts.extend(life(product));
    Some(parts.join("; "))
}

fn life(product: &Product) -> Option<String> {
    let status = match product.status {
        Status::Active if product.deprecation.is_none() => return None,
        Status::Proposed => "proposed, not queryable",
        Status::Draft => "draft",
        Status::Active | Status::Deprecated => "deprecated",
        Status::Retired => "retired, not queryable",
    };
    let Some(deprecation) = &product.deprecation else { return Some(status.to_owned()) };
    let mut text = status.to_owned();
    for (word, value) in [("since", &deprecation.since), ("until", &deprecation.sunset), ("use instead:", &deprecation.replaced_by)] {
        if let Some(value) = value {
            text.push_str(&format!(", {word} {value}"));
        }
    }
    if let Some(note) = &deprecation.note {
        text.push_str(&format!(" ({note})"));
    }
    Some(text)
}

fn column_comment(product: &Product, field: &Field) -> Option<String> {
    let mut parts: Vec<String> = field.description.iter().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()).collect();
    if product.governance.pii_fields.contains(&field.name) {
        parts.push("personal data".to_owned());
    }
    parts.extend(field.classification.as_ref().map(|text| format!("classification: {text}")));
    if let Some((_, mask)) = product.governance.masks.iter().find(|(name, _)| *name == field.name) {
        parts.push(format!("masked: {mask}"));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}
