//! What a client is told of a fault of the engine.
//!
//! INVARIANT: no message holds a value of a row, a path, or a word of the engine's own. Texts of the engine are never passed on
//! from where rows are computed ([`Phase::Running`]); from planning, only after `wording` has found nothing of the engine in them.

mod position;
mod wording;

use arrow::error::ArrowError;
use datafusion::common::{Column, SchemaError};
use datafusion::error::DataFusionError;
use uuid::Uuid;

use crate::error::{ClientMessage, ErrorNames, SqlState, chain};
use crate::{catalog, enforcement, ports};

/// When an error arose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// No row had been read, so that what the engine says is about the statement.
    Planning,
    /// Rows were computed: what the engine says may hold values of theirs.
    Running,
}

/// The message for an error of the engine while it plans `sql`. The caller passes it on through [`told`], which logs the cause.
pub(crate) fn client_message(error: &DataFusionError, sql: &str) -> ClientMessage {
    in_phase(Phase::Planning, error, sql)
}

/// The same for an error that arose then.
pub(super) fn in_phase(phase: Phase, error: &DataFusionError, sql: &str) -> ClientMessage {
    if let Some(message) = if phase == Phase::Running { without_words(error) } else { None } {
        return message;
    }
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => in_phase(phase, inner, sql),
        DataFusionError::Shared(inner) => in_phase(phase, inner, sql),
        DataFusionError::Collection(errors) => errors.first().map_or_else(internal, |first| in_phase(phase, first, sql)),
        DataFusionError::External(inner) => known(phase, inner.as_ref(), sql).unwrap_or_else(internal),
        DataFusionError::ArrowError(inner, _) => of_arrow(phase, inner, sql),
        DataFusionError::SQL(inner, _) => syntax(&inner.to_string(), sql),
        DataFusionError::SchemaError(inner, _) => of_schema(inner, sql),
        DataFusionError::Plan(text) => planning(text, sql),
        DataFusionError::NotImplemented(text) => match wording::missing_type(text) {
            Some(name) => missing_type(name, sql),
            None => unsupported(text),
        },
        DataFusionError::Execution(text) => execution(text),
        DataFusionError::ResourcesExhausted(_) => {
            ClientMessage::new(SqlState::OUT_OF_MEMORY, "out of memory").with_detail("The statement needs more memory than it is allowed.")
        }
        DataFusionError::ParquetError(_) | DataFusionError::ObjectStore(_) | DataFusionError::IoError(_) => source_failed(),
        DataFusionError::Configuration(_) => ClientMessage::new(SqlState::INVALID_PARAMETER_VALUE, "invalid value for parameter"),
        // The engine takes a pattern of the client's that does not compile for a fault of its own.
        DataFusionError::Internal(text) if text.contains("egular expression did not compile") => {
            ClientMessage::new(SqlState::INVALID_REGULAR_EXPRESSION, "invalid regular expression")
        }
        DataFusionError::Internal(text) if text.contains("Cannot run range queries") => {
            ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, "a window in the order of values of this type is not supported")
        }
        DataFusionError::Internal(text) if text.contains("failed to match any signature") => {
            wording::missing_function(wording::between(text, "Function '", "'").unwrap_or("of these types"), None)
        }
        DataFusionError::Internal(text) if wording::between(text, "Failed to coerce types ", " in BETWEEN").is_some() => {
            wording::incomparable(text).unwrap_or_else(|| unsupported(text))
        }
        DataFusionError::Internal(_) | DataFusionError::ExecutionJoin(_) | DataFusionError::Substrait(_) | DataFusionError::Ffi(_) => {
            internal()
        }
    }
}

/// What is told of errors whose words are the planner's: of these, while rows are computed, the kind and no more.
fn without_words(error: &DataFusionError) -> Option<ClientMessage> {
    match error {
        DataFusionError::Plan(text) => Some(execution(text)),
        DataFusionError::NotImplemented(_) => Some(unsupported("")),
        DataFusionError::SQL(..) | DataFusionError::SchemaError(..) => Some(internal()),
        DataFusionError::Internal(text) if text.contains("failed to match any signature") || text.contains("Failed to coerce types") => {
            Some(internal())
        }
        _ => None,
    }
}

/// What a fault of ours reads like; `told` and `numbered` put its number to it.
const INTERNAL: &str = "internal error";

fn internal() -> ClientMessage {
    ClientMessage::new(SqlState::INTERNAL_ERROR, INTERNAL)
}

/// What the client of a statement is told. A fault of ours, or of a source, is logged with its cause; of ours, the client gets the number.
pub(super) fn told(message: ClientMessage, query_id: Uuid, cause: &dyn std::error::Error) -> ClientMessage {
    if matches!(message.sqlstate, SqlState::INTERNAL_ERROR | SqlState::FDW_ERROR) {
        tracing::warn!(%query_id, sqlstate = message.sqlstate.as_str(), cause = redacted(&chain(cause)), "statement failed");
    }
    if message.sqlstate == SqlState::INTERNAL_ERROR { with_number(query_id) } else { message }
}

/// As `told`, for what is not known to have a cause; what has its number already keeps it.
pub(super) fn numbered(message: ClientMessage, query_id: Uuid) -> ClientMessage {
    if message.sqlstate != SqlState::INTERNAL_ERROR || (message.message == INTERNAL && message.detail.is_some()) {
        return message;
    }
    tracing::warn!(%query_id, cause = redacted(&message.message), "statement failed");
    with_number(query_id)
}

fn with_number(query_id: Uuid) -> ClientMessage {
    internal().with_detail(format!("The error has the id {query_id}."))
}

/// A cause as the log may hold it: without what is quoted and without numbers, for either may be a value of a row.
fn redacted(text: &str) -> String {
    let mut shown = String::new();
    let mut quote = None;
    for letter in text.chars().take(1_000) {
        match quote {
            Some(open) if letter == open => {
                quote = None;
                shown.push(letter);
            }
            Some(_) => {}
            None if matches!(letter, '\'' | '"') => {
                quote = Some(letter);
                shown.push(letter);
                shown.push('…');
            }
            None if letter.is_ascii_digit() => {
                if !shown.ends_with('#') {
                    shown.push('#');
                }
            }
            None => shown.push(letter),
        }
    }
    shown
}

fn source_failed() -> ClientMessage {
    ClientMessage::new(SqlState::FDW_ERROR, "a data source could not be read")
}

/// A message of ours somewhere in the chain of causes.
fn known(phase: Phase, error: &(dyn std::error::Error + 'static), sql: &str) -> Option<ClientMessage> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(message) = error.downcast_ref::<ClientMessage>() {
            return Some(placed(message.clone(), sql));
        }
        if let Some(inner) = error.downcast_ref::<ports::Error>() {
            return Some(ClientMessage::from(inner));
        }
        if let Some(inner) = error.downcast_ref::<enforcement::Error>() {
            return Some(of_enforcement(inner, sql));
        }
        if let Some(inner) = error.downcast_ref::<DataFusionError>() {
            return Some(in_phase(phase, inner, sql));
        }
        if let Some(inner) = error.downcast_ref::<ArrowError>() {
            return Some(of_arrow(phase, inner, sql));
        }
        // The parser of patterns is not a dependency of ours, so its errors are known by their first words.
        if error.to_string().starts_with("regex parse error") {
            return Some(ClientMessage::new(SqlState::INVALID_REGULAR_EXPRESSION, "invalid regular expression"));
        }
        next = error.source();
    }
    None
}

/// An operator or a function that does not exist, or a constant that is no value of its type, stands somewhere in the text.
fn placed(message: ClientMessage, sql: &str) -> ClientMessage {
    if message.position.is_some() {
        return message;
    }
    let text = message.message.clone();
    let read = matches!(
        message.sqlstate,
        SqlState::INVALID_TEXT_REPRESENTATION
            | SqlState::INVALID_DATETIME_FORMAT
            | SqlState::DATETIME_FIELD_OVERFLOW
            | SqlState::NUMERIC_VALUE_OUT_OF_RANGE
    );
    if read {
        let constant = text.split_once('"').and_then(|(_, rest)| rest.split_once('"')).map(|(constant, _)| constant);
        return at(message, constant.and_then(|constant| position::of_text(sql, constant)));
    }
    if message.sqlstate == SqlState::AMBIGUOUS_FUNCTION {
        let operator = text.strip_prefix("operator is not unique: unknown ").and_then(|rest| rest.split(' ').next());
        return at(message, operator.and_then(|operator| position::of_operator(sql, operator)));
    }
    if message.sqlstate != SqlState::UNDEFINED_FUNCTION {
        return message;
    }
    if let Some(types) = text.strip_prefix("operator does not exist: ") {
        let operator = types.split(' ').find(|word| word.chars().all(|letter| "+-*/<>=~!@#%^&|`?".contains(letter)));
        return at(message, operator.and_then(|operator| position::of_operator(sql, operator)));
    }
    let name = wording::between(&text, "function ", "(");
    at(message, name.and_then(|name| position::of_name(sql, None, name)))
}

/// What enforcement refused; a port's own error keeps its own code and words, and so does a column that the planner let pass.
fn of_enforcement(error: &enforcement::Error, sql: &str) -> ClientMessage {
    if let enforcement::Error::Plan(DataFusionError::SchemaError(inner, _)) = error {
        return of_schema(inner, sql);
    }
    if let enforcement::Error::Port { cause, .. } = error
        && let Some(inner) = ports::Error::find(cause.as_error())
    {
        return ClientMessage::from(inner);
    }
    ClientMessage::from(error)
}

fn of_arrow(phase: Phase, error: &ArrowError, sql: &str) -> ClientMessage {
    match error {
        ArrowError::DivideByZero => ClientMessage::new(SqlState::DIVISION_BY_ZERO, "division by zero"),
        ArrowError::ArithmeticOverflow(_) => out_of_range(),
        ArrowError::CastError(text) | ArrowError::ParseError(text) => wording::cast(text),
        ArrowError::ComputeError(text) | ArrowError::InvalidArgumentError(text) => execution(text),
        ArrowError::MemoryError(_) | ArrowError::OffsetOverflowError(_) => ClientMessage::new(SqlState::OUT_OF_MEMORY, "out of memory"),
        ArrowError::ExternalError(inner) => known(phase, inner.as_ref(), sql).unwrap_or_else(internal),
        ArrowError::CsvError(_)
        | ArrowError::JsonError(_)
        | ArrowError::ParquetError(_)
        | ArrowError::IoError(_, _)
        | ArrowError::IpcError(_) => source_failed(),
        ArrowError::NotYetImplemented(text) => unsupported(if phase == Phase::Planning { text } else { "" }),
        ArrowError::SchemaError(_)
        | ArrowError::AvroError(_)
        | ArrowError::CDataInterface(_)
        | ArrowError::DictionaryKeyOverflowError
        | ArrowError::RunEndIndexOverflowError => internal(),
    }
}

fn out_of_range() -> ClientMessage {
    ClientMessage::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range")
}

/// Faults while rows are computed: the text may hold values, so only the kind is told.
fn execution(text: &str) -> ClientMessage {
    let lower = text.to_lowercase();
    let has = |word: &str| lower.contains(word);
    if has("field position must not be zero") {
        ClientMessage::new(SqlState::INVALID_PARAMETER_VALUE, "field position must not be zero")
    } else if has("divide by zero") || has("division by zero") {
        ClientMessage::new(SqlState::DIVISION_BY_ZERO, "division by zero")
    } else if has("more than one row") {
        ClientMessage::new(SqlState::CARDINALITY_VIOLATION, "more than one row returned by a subquery used as an expression")
    } else if has("negative substring length") || has("negative count not allowed") {
        ClientMessage::new(SqlState::SUBSTRING_ERROR, "negative substring length not allowed")
    } else if has("square root of a negative") {
        ClientMessage::new(SqlState::INVALID_ARGUMENT_FOR_POWER_FUNCTION, "cannot take square root of a negative number")
    } else if has("overflow") || has("out of range") || has("too large") {
        out_of_range()
    } else if has("regex") || has("regular expression") {
        ClientMessage::new(SqlState::INVALID_REGULAR_EXPRESSION, "invalid regular expression")
    } else if has("cast") || has("parse") || has("parsing") || has("convert") {
        wording::cast(text)
    } else {
        ClientMessage::new(SqlState::DATA_EXCEPTION, "a value does not fit the expression it is used in")
    }
}

/// Types that PostgreSQL has, and of which there are no values here.
const NO_TYPES_HERE: [&str; 30] = [
    "money",
    "bit",
    "varbit",
    "time",
    "timetz",
    "inet",
    "cidr",
    "macaddr",
    "macaddr8",
    "point",
    "line",
    "lseg",
    "box",
    "path",
    "polygon",
    "circle",
    "int4range",
    "int8range",
    "numrange",
    "daterange",
    "tsrange",
    "tstzrange",
    "tsvector",
    "tsquery",
    "xml",
    "jsonpath",
    "regconfig",
    "pg_lsn",
    "txid_snapshot",
    "interval",
];

fn missing_type(name: &str, sql: &str) -> ClientMessage {
    let lower = name.to_lowercase();
    if NO_TYPES_HERE.contains(&lower.as_str()) {
        let message = ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, format!("type {lower} is not supported"));
        return at(message, position::of_name(sql, None, &lower));
    }
    let message = ClientMessage::new(SqlState::UNDEFINED_OBJECT, format!("type \"{name}\" does not exist"));
    at(message, position::of_name(sql, None, name))
}

fn unsupported(text: &str) -> ClientMessage {
    let message = wording::presentable(text).unwrap_or_else(|| "this form of statement is not supported".to_owned());
    ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, message)
}

fn of_schema(error: &SchemaError, sql: &str) -> ClientMessage {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => missing_column(field, valid_fields, sql),
        SchemaError::AmbiguousReference { field } => {
            let message = ClientMessage::new(SqlState::AMBIGUOUS_COLUMN, format!("column reference \"{}\" is ambiguous", field.name));
            at(message, position::of_name(sql, None, &field.name))
        }
        SchemaError::DuplicateQualifiedField { qualifier, .. } => {
            let name = qualifier.table();
            ClientMessage::new(SqlState::DUPLICATE_ALIAS, format!("table name \"{name}\" specified more than once"))
        }
        SchemaError::DuplicateUnqualifiedField { name } => {
            ClientMessage::new(SqlState::AMBIGUOUS_COLUMN, format!("column name \"{name}\" specified more than once"))
        }
    }
}

/// Names that PostgreSQL gives a meaning beside columns.
fn unsupported_column(name: &str, valid: &[Column]) -> Option<ClientMessage> {
    let system = matches!(name, "ctid" | "tableoid" | "xmin" | "xmax" | "cmin" | "cmax");
    let row = valid.iter().any(|column| column.relation.as_ref().is_some_and(|relation| relation.table() == name));
    let what = match (system, row) {
        (true, _) => format!("system column \"{name}\" is not supported"),
        (false, true) => format!("a whole row as a value (\"{name}\") is not supported"),
        (false, false) => return None,
    };
    Some(ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, what).with_hint("Name the columns that you need."))
}

fn missing_column(field: &Column, valid: &[Column], sql: &str) -> ClientMessage {
    let name = &field.name;
    if let Some(message) = unsupported_column(name, valid) {
        return at(message, position::of_name(sql, None, name));
    }
    let table = field.relation.as_ref().map(|relation| relation.table().to_owned());
    let position = position::of_name(sql, table.as_deref(), name);
    let same = |column: &&Column| column.name != *name && catalog::system::client_label(&column.name) == name;
    if valid
        .iter()
        .any(|column| same(&column) && (table.is_none() || column.relation.as_ref().map(|relation| relation.table()) == table.as_deref()))
    {
        return at(ClientMessage::new(SqlState::AMBIGUOUS_COLUMN, format!("column reference \"{name}\" is ambiguous")), position);
    }
    let of_table = |column: &&Column| column.relation.as_ref().map(|relation| relation.table()) == table.as_deref();
    if let Some(table) = &table
        && !valid.iter().any(|column| of_table(&column))
    {
        let message = format!("missing FROM-clause entry for table \"{table}\"");
        return at(ClientMessage::new(SqlState::UNDEFINED_TABLE, message), position);
    }
    let shown = table.as_ref().map_or_else(|| format!("\"{name}\""), |table| format!("{table}.{name}"));
    let mut message = ClientMessage::new(SqlState::UNDEFINED_COLUMN, format!("column {shown} does not exist"));
    message.names = ErrorNames { column: Some(name.clone()), ..ErrorNames::default() };
    let near = valid.iter().filter(|column| !column.name.starts_with("__"));
    if let Some(near) =
        near.min_by_key(|column| wording::distance(&column.name, name)).filter(|near| wording::distance(&near.name, name) <= 2)
    {
        let relation = near.relation.as_ref().map(|relation| format!("{}.", relation.table())).unwrap_or_default();
        message = message.with_hint(format!("Perhaps you meant to reference the column \"{relation}{}\".", near.name));
    }
    at(message, position)
}

fn at(message: ClientMessage, position: Option<usize>) -> ClientMessage {
    match position {
        Some(position) => message.with_position(position),
        None => message,
    }
}

/// Faults of the parser: `… found: <token> at Line: 1, Column: 8`.
fn syntax(text: &str, sql: &str) -> ClientMessage {
    let (before, place) = text.rsplit_once(" at Line: ").map_or((text, None), |(before, place)| (before, Some(place)));
    if before.contains("recursion limit") {
        return ClientMessage::new(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded")
            .with_hint("Write the statement with fewer nested parts.");
    }
    let position = place.and_then(|place| position::of_place(sql, place));
    let message = if before.contains("Unterminated") {
        "unterminated quoted string".to_owned()
    } else {
        match before.rsplit_once("found: ").map(|(_, token)| token.trim()) {
            Some("EOF") => "syntax error at end of input".to_owned(),
            Some(token) if !token.is_empty() => format!("syntax error at or near \"{token}\""),
            _ => "syntax error".to_owned(),
        }
    };
    at(ClientMessage::new(SqlState::SYNTAX_ERROR, message), position)
}

fn planning(text: &str, sql: &str) -> ClientMessage {
    let first = text.lines().next().unwrap_or_default();
    if let Some(name) = wording::between(first, "table '", "' not found") {
        return missing_relation(name, sql);
    }
    if let Some(name) =
        wording::between(first, "Invalid function '", "'").or_else(|| wording::between(first, "table function '", "' not found"))
    {
        let message = if catalog::is_postgres_function(name) {
            ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, format!("function {name} is not supported"))
        } else {
            wording::missing_function(name, None)
        };
        return at(message, position::of_name(sql, None, name));
    }
    if let Some(call) = wording::between(text, "argument types '", "'") {
        let (name, types) = call.split_once('(').unwrap_or((call, ""));
        // A mean is planned as a sum and a count.
        let mean = name == "sum" && position::of_name(sql, None, "sum").is_none() && position::of_name(sql, None, "avg").is_some();
        let name = if mean { "avg" } else { name };
        return at(wording::missing_function(name, Some(types.trim_end_matches(')'))), position::of_name(sql, None, name));
    }
    if let Some(name) = wording::between(first, "call to '", "'").or_else(|| wording::between(first, "Function '", "'")) {
        return at(wording::missing_function(name, None), position::of_name(sql, None, name));
    }
    if first.contains("orrelated scalar subquery must be aggregated") {
        return ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, "a correlated subquery that is not an aggregate is not supported")
            .with_hint("Write it as a LEFT JOIN, or put an aggregate around its column.");
    }
    if text.contains("GROUP BY") {
        return grouping(text, sql);
    }
    if let Some((message, operator)) = wording::operator(first) {
        return at(message, position::of_operator(sql, operator));
    }
    if first.contains("Divide by zero") {
        return ClientMessage::new(SqlState::DIVISION_BY_ZERO, "division by zero");
    }
    if let Some(message) = wording::misuse(first) {
        let ordered = || wording::between(first, "ORDER BY expressions ", " must").and_then(|name| name.rsplit('.').next());
        let place = if message.message.starts_with("argument of WHERE") {
            position::behind(sql, "where")
        } else {
            ordered().and_then(|name| position::of_name(sql, None, name))
        };
        return at(message, place);
    }
    if let Some(name) = wording::missing_type(first) {
        return missing_type(name, sql);
    }
    if first.contains("more than one column") || first.contains("Too many columns") {
        return ClientMessage::new(SqlState::SYNTAX_ERROR, "subquery must return only one column");
    }
    match wording::presentable(text) {
        Some(message) => ClientMessage::new(SqlState::SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION, message),
        // What PostgreSQL would refuse has been found before; this is the planner's own limit.
        None => ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, "the statement cannot be planned as it is written"),
    }
}

/// The planner names database and schema even where the client did not.
fn missing_relation(name: &str, sql: &str) -> ClientMessage {
    let parts: Vec<&str> = name.split('.').collect();
    let (schema, table) = match parts.as_slice() {
        [table] | ["public", table] | [_, "public", table] => (None, *table),
        // The schema that stands for the search path has a name that no client can write.
        [schema, table] | [_, schema, table] if schema.starts_with('\u{1}') => (None, *table),
        [_, schema, table] | [schema, table] => (Some(*schema), *table),
        _ => (None, name),
    };
    let shown = schema.map_or_else(|| table.to_owned(), |schema| format!("{schema}.{table}"));
    if matches!(schema, None | Some("pg_catalog")) && matches!(table, "pg_shadow" | "pg_authid" | "pg_statistic" | "pg_largeobject") {
        return ClientMessage::new(SqlState::INSUFFICIENT_PRIVILEGE, format!("permission denied for relation {table}"));
    }
    let mut message = ClientMessage::new(SqlState::UNDEFINED_TABLE, format!("relation \"{shown}\" does not exist"));
    message.names = ErrorNames { schema: schema.map(str::to_owned), table: Some(table.to_owned()), column: None };
    at(message, position::of_name(sql, schema, table))
}

fn grouping(text: &str, sql: &str) -> ClientMessage {
    let column = wording::between(text, "column \"", "\" must appear").map(|column| column.replace('"', ""));
    let Some(column) = column.filter(|column| column.chars().all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '.'))) else {
        return ClientMessage::new(
            SqlState::GROUPING_ERROR,
            "a column must appear in the GROUP BY clause or be used in an aggregate function",
        );
    };
    let (rest, name) = column.rsplit_once('.').map_or((None, column.as_str()), |(rest, name)| (Some(rest), name));
    let qualifier = rest.map(|rest| rest.rsplit('.').next().unwrap_or(rest));
    let message = format!("column \"{column}\" must appear in the GROUP BY clause or be used in an aggregate function");
    at(ClientMessage::new(SqlState::GROUPING_ERROR, message), position::of_name(sql, qualifier, name))
}

#[cfg(test)]
mod tests;
