//! Values as JSON.

use std::sync::Arc;

use crate::catalog::PgType;
use crate::catalog::facts::SessionFacts;

use super::datum::{Datum, Family, Ty};
use super::texts;

/// The JSON of a value.
pub(super) fn written(value: &Datum, ty: &Ty, facts: &Arc<SessionFacts>) -> String {
    match value {
        Datum::Null => "null".to_owned(),
        Datum::Bool(truth) => truth.to_string(),
        Datum::Int(number) if ty.family() == Family::Int => number.to_string(),
        Datum::Float(_) => texts::shown(value, ty, facts),
        Datum::Text(text) if matches!(ty.pg.oid, 114 | 3802) => text.to_string(),
        Datum::List(list) => {
            let element = ty.element().unwrap_or_else(|| PgType::TEXT.into());
            let items: Vec<String> = list.items.iter().map(|item| written(item, &element, facts)).collect();
            format!("[{}]", items.join(","))
        }
        Datum::Row(fields) => {
            let types = ty.fields.as_deref().unwrap_or_default();
            let entries = fields.iter().zip(types).map(|(field, (name, ty))| format!("{}:{}", quoted(name), written(field, ty, facts)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
        }
        Datum::Instant(_) => {
            let text = texts::shown(value, ty, facts).replacen(' ', "T", 1);
            quoted(&if ty.is(PgType::TIMESTAMPTZ) { format!("{text}:00") } else { text })
        }
        value => quoted(&texts::shown(value, ty, facts)),
    }
}

/// The JSON of a key.
pub(super) fn key(value: &Datum, ty: Option<&Ty>, facts: &Arc<SessionFacts>) -> String {
    let text = PgType::TEXT.into();
    quoted(&texts::shown(value, ty.unwrap_or(&text), facts))
}

/// A JSON string.
fn quoted(text: &str) -> String {
    serde_json::Value::String(text.to_owned()).to_string()
}
