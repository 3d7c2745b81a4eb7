//! Which types a function takes: those that `pg_proc` says, and what PostgreSQL casts to them by itself.
//!
//! The engine makes a text of a number, or a numeric of a floating-point number, where PostgreSQL has no such function. Texts are not looked
//! at here: a constant may be of any type, and other types are texts to the engine, too.

use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, ExprSchemable};

use crate::catalog;
use crate::engine::PgType;

use super::Facts;
use super::function::{Result, missing};

/// `any`, `anyelement`, `anycompatible`.
const OF_ANYTHING: [u32; 3] = [2276, 2283, 5077];
/// `anynonarray`, `anycompatiblenonarray`.
const OF_NO_ARRAY: [u32; 2] = [2776, 5079];
/// `anyarray`, `anycompatiblearray`.
const OF_ARRAYS: [u32; 2] = [2277, 5078];

const NUMERIC: u32 = 1700;
const FLOATS: [u32; 2] = [700, 701];
const INTEGERS: [u32; 4] = [20, 21, 23, 26];
/// `regproc`, `regprocedure`, `regoper`, `regoperator`, `regclass`, `regtype`, `regnamespace`, `regrole`, which are made of numbers.
const OF_NUMBERS: [u32; 8] = [24, 2202, 2203, 2204, 2205, 2206, 4089, 4096];
const MOMENTS: [u32; 3] = [1082, 1114, 1184];
const TIMES: [u32; 2] = [1083, 1266];
const INTERVAL: u32 = 1186;

/// Operators whose functions here take more than PostgreSQL's of that name.
const OF_OPERATORS: [&str; 3] = ["json_object_field", "json_object_field_text", "strpos"];

/// Refuses a call that no function of the name takes.
pub(super) fn check(call: &ScalarFunction, schema: &DFSchema, facts: Facts) -> Result<()> {
    let name = match call.func.name() {
        "character_length" => "length",
        name => name,
    };
    let known = catalog::overloads(name);
    if facts.lenient || known.is_empty() || OF_OPERATORS.contains(&name) {
        return Ok(());
    }
    let types: Vec<DataType> = call.args.iter().map(|arg| of(arg, schema)).collect();
    let mut fitting = known.iter().filter(|signature| signature.counts(types.len())).peekable();
    if fitting.peek().is_none() {
        return Ok(());
    }
    let takes = |signature: &catalog::Signature| {
        types.iter().enumerate().all(|(at, found)| signature.parameter(at).is_none_or(|oid| accepts(oid, found)))
    };
    if fitting.any(takes) { Ok(()) } else { Err(missing(name, &types)) }
}

/// The type of an argument; NULL if nothing is known of it.
fn of(arg: &Expr, schema: &DFSchema) -> DataType {
    match arg {
        Expr::Placeholder(_) => DataType::Null,
        arg => arg.get_type(schema).unwrap_or(DataType::Null),
    }
}

/// Whether a parameter takes a value of the type.
fn accepts(oid: u32, found: &DataType) -> bool {
    let array = OF_ARRAYS.contains(&oid) || PgType::of_oid(oid).is_some_and(|known| known.element().is_some());
    match found {
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => array || OF_ANYTHING.contains(&oid),
        _ if OF_ANYTHING.contains(&oid) || OF_NO_ARRAY.contains(&oid) => true,
        found if found.is_integer() => oid == NUMERIC || INTEGERS.contains(&oid) || FLOATS.contains(&oid) || OF_NUMBERS.contains(&oid),
        DataType::Decimal128(..) | DataType::Decimal256(..) => oid == NUMERIC || FLOATS.contains(&oid),
        found if found.is_floating() => FLOATS.contains(&oid),
        DataType::Boolean => oid == PgType::BOOL.oid,
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => MOMENTS.contains(&oid),
        DataType::Time32(_) | DataType::Time64(_) => oid == INTERVAL || TIMES.contains(&oid),
        DataType::Interval(_) | DataType::Duration(_) => oid == INTERVAL,
        found if found.is_binary() => oid == PgType::BYTEA.oid,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_take_what_is_cast_to_them() {
        let text = PgType::TEXT.oid;
        for (oid, found, takes) in [
            (text, DataType::Int32, false),
            (text, DataType::Utf8, true),
            (text, DataType::Null, true),
            (NUMERIC, DataType::Int64, true),
            (NUMERIC, DataType::Float64, false),
            (2205, DataType::UInt32, true),
            (701, DataType::Decimal128(5, 2), true),
            (1114, DataType::Date32, true),
            (2283, DataType::Boolean, true),
            (2277, DataType::Int32, false),
        ] {
            assert_eq!(accepts(oid, &found), takes, "{oid} {found}");
        }
    }

    #[test]
    fn a_function_of_texts_takes_no_number() {
        let left = catalog::overloads("left");
        assert!(left.iter().any(|signature| signature.counts(2) && signature.parameter(1) == Some(23)));
        let concat = catalog::overloads("concat");
        assert!(concat.iter().any(|signature| signature.counts(7) && signature.parameter(6) == Some(2276)));
        let interval = catalog::overloads("make_interval");
        assert!(interval.iter().any(|signature| signature.counts(2) && !signature.counts(8)));
    }
}
