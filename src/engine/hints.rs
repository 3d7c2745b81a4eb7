//! What helps beside an error or a result: the name that was meant, the port to query instead, that a product is deprecated.
//!
//! INVARIANT: a product that the principal may not discover is in no hint; for it, the answer is that of a name that does not exist.

use std::sync::Arc;

use crate::catalog::{SessionFacts, quote_ident};
use crate::error::{ClientMessage, SqlState};
use crate::locator::{self, TableEntry};
use crate::product::{PortKind, Product, Status};

/// The same message, with a hint if it is about a table that does not exist.
pub(super) fn with_hint<'a>(mut message: ClientMessage, facts: impl FnOnce() -> &'a Arc<SessionFacts>) -> ClientMessage {
    if message.sqlstate != SqlState::UNDEFINED_TABLE || message.hint.is_some() {
        return message;
    }
    let facts = facts();
    let Some(table) = message.names.table.clone() else { return message };
    let schemas = match &message.names.schema {
        Some(schema) => vec![schema.clone()],
        None => facts.search_path(),
    };
    if let Some((product, port)) = schemas.iter().find_map(|schema| stream(facts, schema, &table)) {
        message.detail = Some(format!("Output port \"{port}\" of data product \"{}\" is a stream.", product.reference));
        message.hint = Some(instead(facts, &product));
        return message;
    }
    let schema = message.names.schema.as_deref().unwrap_or_default();
    let visible = |product: &Product| (facts.discover)(product);
    message.hint =
        locator::suggest(&facts.snapshot, schema, &table, visible).map(|name| format!("Perhaps you meant the table \"{name}\"."));
    message
}

/// The product and the port that a table's name means, if the port is a stream.
fn stream(facts: &SessionFacts, schema: &str, table: &str) -> Option<(Arc<Product>, String)> {
    let (stem, wanted) = table.rsplit_once("__")?;
    let entry = facts.snapshot.resolve(schema, stem).filter(|entry| (facts.discover)(&entry.located.product))?;
    let mut ports = entry.located.product.output_ports.iter();
    let port = ports.find(|port| port.kind == PortKind::Stream && port.name.to_sql() == wanted)?;
    Some((Arc::clone(&entry.located.product), port.name.to_string()))
}

/// Which table to query instead of a stream.
fn instead(facts: &SessionFacts, product: &Product) -> String {
    let answers =
        |entry: &&TableEntry| entry.listed && entry.located.port.is_some() && entry.located.product.reference == product.reference;
    match facts.snapshot.tables().find(answers) {
        Some(entry) => format!("Query {}.{} instead.", quote_ident(&entry.schema), quote_ident(&entry.table)),
        None => "The product has no output port that answers queries.".to_owned(),
    }
}

/// What whoever reads a deprecated product is told.
pub(super) fn deprecation(product: &Product) -> Option<String> {
    if product.status != Status::Deprecated && product.deprecation.is_none() {
        return None;
    }
    let mut text = format!("data product \"{}\" is deprecated", product.reference);
    if let Some(deprecation) = &product.deprecation {
        let said = |text: &mut String, word: &str, value: &Option<String>| {
            if let Some(value) = value {
                text.push_str(word);
                text.push_str(value);
            }
        };
        said(&mut text, " since ", &deprecation.since);
        said(&mut text, ", goes away after ", &deprecation.sunset);
        said(&mut text, "; use instead: ", &deprecation.replaced_by);
        said(&mut text, "; ", &deprecation.note);
    }
    Some(text)
}
