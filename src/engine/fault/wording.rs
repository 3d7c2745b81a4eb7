//! PostgreSQL's words for what the engine says in its own.

use crate::catalog::PgType;
use crate::engine::semantics;
use crate::error::{ClientMessage, SqlState};

/// Words of the engine that no client should read.
const ENGINE: &[&str] = &[
    "datafusion",
    "arrow",
    "utf8",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint",
    "float32",
    "float64",
    "decimal128",
    "decimal256",
    "date32",
    "logicalplan",
    "logical plan",
    "physical",
    "scalarfunction",
    "columnarvalue",
    "backtrace",
    "schema error",
    "dfschema",
    "ast node",
    "sqltorel",
    "expr::",
    "bug",
    "field {",
    "list(",
    "struct(",
    "union",
    "subquery plan",
    "tableprovider",
    "relation::",
    "__",
    "unsupported value",
    "unsupported cast",
    "binary operator:",
    "interval expression",
    "valuewithspan",
    "singlequoted",
    "fieldmetadata",
    "metadata",
    "compound identifier",
    "monthdaynano",
    "nanosecond",
    "microsecond",
    "time64",
    "time32",
    "decimal scale",
    "select clause",
    "values list",
    "some(",
    "function array",
];

/// A planner's text that may be shown as it is: one line, without a word of the engine.
pub(super) fn presentable(text: &str) -> Option<String> {
    let line = text.lines().next()?.trim().trim_end_matches('.');
    let lower = line.to_lowercase();
    if line.is_empty() || line.len() > 300 || ENGINE.iter().any(|word| lower.contains(word)) {
        return None;
    }
    let mut letters = line.chars();
    let first = letters.next()?;
    let second_upper = letters.clone().next().is_some_and(char::is_uppercase);
    Some(if second_upper { line.to_owned() } else { first.to_lowercase().chain(letters).collect() })
}

/// The text between two marks.
pub(super) fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found)
}

/// Functions of PostgreSQL that are not done here.
const NOT_HERE: &[&str] = &[
    "to_tsvector",
    "to_tsquery",
    "trim_scale",
    "min_scale",
    "bit_count",
    "setseed",
    "xmlagg",
    "xmlelement",
    "array_fill",
    "convert_from",
    "convert_to",
    "normalize",
    "array_repeat",
    "array_resize",
];

/// No such function; `types` in the engine's names.
pub(super) fn missing_function(name: &str, types: Option<&str>) -> ClientMessage {
    if name == semantics::UNCONSTRAINED
        && let Some([found]) = types.and_then(list).as_deref()
    {
        return ClientMessage::new(SqlState::CANNOT_COERCE, format!("cannot cast type {found} to numeric"));
    }
    let name = name.strip_prefix("meshgate_").unwrap_or(name);
    let shown = match types.map(list) {
        Some(Some(types)) => format!("{name}({})", types.join(", ")),
        _ => name.to_owned(),
    };
    if NOT_HERE.contains(&name.to_lowercase().as_str()) {
        return ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, format!("function {name} is not supported"));
    }
    ClientMessage::new(SqlState::UNDEFINED_FUNCTION, format!("function {shown} does not exist"))
        .with_hint("No function matches the given name and argument types. You might need to add explicit type casts.")
}

/// Types separated by commas outside parentheses; `None` if one is unknown.
fn list(types: &str) -> Option<Vec<String>> {
    let mut depth = 0usize;
    let mut parts = vec![String::new()];
    for letter in types.chars() {
        match letter {
            '(' | '{' | '<' => depth += 1,
            ')' | '}' | '>' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if letter == ',' && depth == 0 {
            parts.push(String::new());
        } else {
            parts.last_mut()?.push(letter);
        }
    }
    parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty()).map(type_name).collect()
}

/// `… operation Int64 = Boolean`, `… expression Utf8 + Int64 to valid types`.
pub(super) fn operator(text: &str) -> Option<(ClientMessage, &str)> {
    let (_, rest) = text.split_once(" operation ").or_else(|| text.split_once(" expression "))?;
    let rest = rest.split(" to valid types").next()?;
    let operators = [
        "IS NOT DISTINCT FROM",
        "IS DISTINCT FROM",
        "NOT LIKE",
        "LIKE",
        "<=",
        ">=",
        "!=",
        "<>",
        "!~*",
        "!~",
        "~*",
        "||",
        "AND",
        "OR",
        "=",
        "<",
        ">",
        "~",
        "+",
        "-",
        "*",
        "/",
        "%",
        "&",
        "|",
        "^",
        "#",
    ];
    let (operator, (left, right)) = operators.iter().find_map(|operator| Some((operator, rest.split_once(&format!(" {operator} "))?)))?;
    let (left, right) = (type_name(left.trim())?, type_name(right.trim())?);
    let operator = if *operator == "!=" { "<>" } else { operator };
    if matches!(operator, "AND" | "OR") {
        let wrong = if left == "boolean" { right } else { left };
        let text = format!("argument of {operator} must be type boolean, not type {wrong}");
        return Some((ClientMessage::new(SqlState::DATATYPE_MISMATCH, text), operator));
    }
    let message = ClientMessage::new(SqlState::UNDEFINED_FUNCTION, format!("operator does not exist: {left} {operator} {right}"))
        .with_hint("No operator matches the given name and argument types. You might need to add explicit type casts.");
    Some((message, operator))
}

/// `Failed to coerce types Boolean and Int64 in BETWEEN expression`: the operands of a comparison that there is not.
pub(super) fn incomparable(text: &str) -> Option<ClientMessage> {
    let (left, right) = between(text, "Failed to coerce types ", " in BETWEEN")?.split_once(" and ")?;
    operator(&format!(" operation {left} >= {right}")).map(|(message, _)| message)
}

/// The name of a type that the planner does not know.
pub(super) fn missing_type(text: &str) -> Option<&str> {
    let rest = text.lines().next()?.split_once("nsupported SQL type ")?.1.trim();
    let name = rest.split(['(', ' ']).next()?;
    (!name.is_empty() && name.chars().all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '.'))).then_some(name)
}

/// Clauses that do not fit together.
pub(super) fn misuse(text: &str) -> Option<ClientMessage> {
    let lower = text.to_lowercase();
    let has = |word: &str| lower.contains(word);
    let (state, message) = if has("grouping function is not in grouping columns") {
        (SqlState::GROUPING_ERROR, "arguments to GROUPING must be grouping expressions of the associated query level".to_owned())
    } else if has("substring without for/from") {
        (SqlState::UNDEFINED_FUNCTION, "function substring of one argument does not exist".to_owned())
    } else if has("aggregate functions are not allowed in the where") {
        (SqlState::GROUPING_ERROR, "aggregate functions are not allowed in WHERE".to_owned())
    } else if has("non-boolean predicate") {
        let found = text.rsplit_once("returning ").and_then(|(_, found)| type_name(found.trim()));
        let found = found.map(|found| format!(", not type {found}")).unwrap_or_default();
        (SqlState::DATATYPE_MISMATCH, format!("argument of WHERE must be type boolean{found}"))
    } else if has("different number of columns") || has("same number of columns") || has("unequal number of columns") {
        let set = ["EXCEPT", "INTERSECT"].into_iter().find(|set| text.starts_with(set)).unwrap_or("UNION");
        (SqlState::SYNTAX_ERROR, format!("each {set} query must have the same number of columns"))
    } else if has("incompatible inputs for union") {
        let types = between(text, "were of type ", ",").and_then(type_name);
        let types = types.zip(between(text, "incompatible type ", " on column").and_then(type_name));
        let types = types.map(|(left, right)| format!(" {left} and {right}")).unwrap_or_default();
        (SqlState::DATATYPE_MISMATCH, format!("UNION types{types} cannot be matched"))
    } else if let Some(place) =
        between(text, "out of bounds, specified: ", ",").filter(|place| place.bytes().all(|digit| digit.is_ascii_digit()))
    {
        (SqlState::INVALID_COLUMN_REFERENCE, format!("ORDER BY position {place} is not in select list"))
    } else if has("limit must be >= 0") {
        (SqlState::INVALID_ROW_COUNT_IN_LIMIT_CLAUSE, "LIMIT must not be negative".to_owned())
    } else if has("inconsistent data length across values list") {
        (SqlState::SYNTAX_ERROR, "VALUES lists must all be the same length".to_owned())
    } else if has("for select distinct, order by expressions") {
        (SqlState::INVALID_COLUMN_REFERENCE, "for SELECT DISTINCT, ORDER BY expressions must appear in select list".to_owned())
    } else if let Some(value) = between(&lower, "between 0.0 and 1.0 inclusive, ", " is invalid") {
        (SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("percentile value {value} is not between 0 and 1"))
    } else if has("distinct on expressions must match initial order by") {
        (SqlState::INVALID_COLUMN_REFERENCE, "SELECT DISTINCT ON expressions must match initial ORDER BY expressions".to_owned())
    } else if let Some((columns, names)) = aliases(text) {
        if names > columns {
            (SqlState::INVALID_COLUMN_REFERENCE, format!("table has {columns} columns available but {names} columns specified"))
        } else {
            (SqlState::FEATURE_NOT_SUPPORTED, "names for some of a table's columns are not supported; name them all".to_owned())
        }
    } else if let Some(name) = text.strip_prefix("Invalid qualifier ") {
        (SqlState::UNDEFINED_TABLE, format!("missing FROM-clause entry for table \"{}\"", name.trim()))
    } else if has("offset must be >=") {
        (SqlState::INVALID_ROW_COUNT_IN_RESULT_OFFSET_CLAUSE, "OFFSET must not be negative".to_owned())
    } else {
        return None;
    };
    Some(ClientMessage::new(state, message))
}

/// A text that is no value of a type. INVARIANT: the value itself stays out of the message.
pub(super) fn cast(text: &str) -> ClientMessage {
    let lower = text.to_lowercase();
    if lower.contains("overflow") || lower.contains("out of range") || lower.contains("too large") {
        return ClientMessage::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range");
    }
    // The type stands at the end, behind whatever the value holds.
    let target = text.rsplit_once("to value of ").map(|(_, rest)| rest.trim_end_matches(" type"));
    let target =
        target.or_else(|| text.rsplit_once(" to type ").map(|(_, rest)| rest)).or_else(|| text.rsplit_once(" to ").map(|(_, rest)| rest));
    if let Some(name) = target.and_then(|target| type_name(target.trim())) {
        if text.starts_with("Can't cast value") || text.starts_with("Cannot cast to") {
            return ClientMessage::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("{name} out of range"));
        }
        if misses_the_calendar(text) {
            return ClientMessage::new(SqlState::DATETIME_FIELD_OVERFLOW, "date/time field value out of range");
        }
        let date = name.starts_with("timestamp") || name.starts_with("time") || name == "date" || name == "interval";
        let state = if date { SqlState::INVALID_DATETIME_FORMAT } else { SqlState::INVALID_TEXT_REPRESENTATION };
        return ClientMessage::new(state, format!("invalid input syntax for type {name}"));
    }
    if lower.contains("interval") {
        return ClientMessage::new(SqlState::INVALID_DATETIME_FORMAT, "invalid input syntax for type interval");
    }
    if lower.starts_with("error parsing timestamp") || lower.contains("parsing timestamp") {
        return ClientMessage::new(SqlState::INVALID_DATETIME_FORMAT, "invalid input syntax for type timestamp");
    }
    ClientMessage::new(SqlState::INVALID_TEXT_REPRESENTATION, "invalid input syntax for the type of the cast")
}

/// Whether the text that was cast has the form of a date; then what is wrong is a month or a day that does not exist.
fn misses_the_calendar(text: &str) -> bool {
    if !text.contains("Date32") && !text.contains("Timestamp") {
        return false;
    }
    let value = between(text, "'", "'").unwrap_or_default();
    let fields: Vec<&str> = value.split([' ', 'T']).next().unwrap_or_default().split('-').collect();
    fields.len() == 3 && fields.iter().all(|field| !field.is_empty() && field.bytes().all(|byte| byte.is_ascii_digit()))
}

/// PostgreSQL's name of a type in the engine's spelling.
fn type_name(engine: &str) -> Option<String> {
    let word = engine.split(['(', ' ', '<']).next()?;
    let pg_type = match word {
        "Boolean" => PgType::BOOL,
        "Int8" | "UInt8" | "Int16" => PgType::INT2,
        "UInt16" | "Int32" => PgType::INT4,
        "Int64" | "UInt64" => PgType::INT8,
        "UInt32" => PgType::OID,
        "Float16" | "Float32" => PgType::FLOAT4,
        "Float64" => PgType::FLOAT8,
        "Decimal32" | "Decimal64" | "Decimal128" | "Decimal256" => PgType::NUMERIC,
        "Utf8" | "LargeUtf8" | "Utf8View" => PgType::TEXT,
        "Null" => PgType::UNKNOWN,
        "Date32" | "Date64" => PgType::DATE,
        "Time32" | "Time64" => PgType::TIME,
        "Timestamp" if engine.contains("None") || !engine.contains(',') => PgType::TIMESTAMP,
        "Timestamp" => PgType::TIMESTAMPTZ,
        "Interval" | "Duration" => PgType::INTERVAL,
        "Binary" | "LargeBinary" | "BinaryView" | "FixedSizeBinary" => PgType::BYTEA,
        "List" | "LargeList" | "FixedSizeList" => return Some("array".to_owned()),
        "Struct" => return Some("record".to_owned()),
        _ => return None,
    };
    pg_type.format()
}

/// The number of edits between two names, for hints.
pub(super) fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (number, letter) in (1..).zip(left.to_lowercase().chars()) {
        let mut next = vec![number];
        for ((other, diagonal), above) in right.iter().zip(&row).zip(row.iter().skip(1)) {
            let beside = next.last().copied().unwrap_or(number);
            next.push((diagonal + usize::from(*other != letter)).min(above + 1).min(beside + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}

/// `… contains 9 columns but only 2 names given …`
fn aliases(text: &str) -> Option<(usize, usize)> {
    let columns = between(text, "source table contains ", " columns").or_else(|| between(text, "Source table contains ", " columns"))?;
    let names = between(text, "but only ", " names given")?;
    Some((columns.parse().ok()?, names.parse().ok()?))
}
