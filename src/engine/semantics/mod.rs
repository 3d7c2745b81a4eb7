//! PostgreSQL's meaning of expressions, where the engine's own differs.
//!
//! `apply` runs before the engine coerces types, and puts functions of this module in the place of operators, casts and
//! literals. INVARIANT: what is put in gives PostgreSQL's answer or an error, never another answer; no error names a value.

mod accrued;
mod aggregates;
mod alike;
mod apart;
mod appended;
mod are;
mod arithmetic;
mod arrays;
mod beneath;
mod bits;
mod blanks;
mod bytes;
mod bytewise;
mod carried;
mod castable;
mod casts;
mod chosen;
mod correlated;
mod counts;
mod date_text;
mod degrees;
mod distinct_name;
mod exact;
mod excluded;
mod expression;
mod fields;
mod floats;
mod format;
mod frame_counts;
mod framed;
mod function;
mod growth;
mod guarded;
mod infinite;
mod joined_bytes;
mod json;
mod json_build;
mod json_edit;
mod json_path;
mod json_path_run;
mod lateral;
mod linear;
mod lists;
mod literals;
mod matching;
mod meanings;
mod membership;
mod moments;
mod nearest;
mod number_text;
mod numbers;
mod numeric;
mod octets;
mod ordered;
mod parse;
mod pieces;
mod regex_places;
mod regexes;
mod regrouped;
mod regs;
mod rounding;
mod rule;
mod scales;
mod series;
mod shift;
mod signatures;
mod single;
mod sleep;
mod slices;
mod sort_keys;
mod sorted;
mod sought;
mod spaced;
mod spans;
mod spread;
mod steps;
mod subquery;
mod template;
mod temporal;
mod text;
mod truncation;
mod truths;
mod typed;
mod typed_rows;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::logical_expr::ScalarUDF;

use super::TimeZone;
use super::styles::DateOrder;

pub(super) use apart::NAME as APART;
pub(super) use appended::beside as beside_list;
pub use carried::{Carried, RangeParts, range_parts};
pub(super) use casts::text_of;
pub(super) use date_text::normalized as moment_text;
pub(super) use excluded::MARKS as EXCLUDED;
pub(super) use frame_counts::{bound as counted_frames, standing_for as frame_count};
pub(super) use json_build::canonical;
pub(super) use literals::bound;
pub(super) use meanings::{Meaning, json_kind, json_member, list_of_text, matched, numeric_of, of_json, operator, timed};
pub(super) use nearest::{floats as nearest_floats, value as nearest};
pub(super) use numeric::{UNCONSTRAINED, UNCONSTRAINED_LIST};
pub(super) use octets::{found, overlaid, parted};
pub(super) use parse::{elements_of, interval_of};
pub(super) use rule::apply;
pub(super) use single::single;
pub(super) use sought::ANY;
pub(super) use typed::unbounded_text;

/// What expressions may know of their statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Facts {
    /// When the statement started.
    pub(super) now: DateTime<Utc>,
    /// The session's zone.
    pub(super) time_zone: TimeZone,
    /// Which field of `1/2/2026` is the month.
    pub(super) date_order: DateOrder,
    /// The session wants values of these kinds written otherwise than their texts are made here: dates, intervals, bytes.
    pub(super) styled: (bool, bool, bool),
    /// Digits of floating-point numbers beyond those that any has; 1 for all that tell a number apart.
    pub(super) float_digits: i32,
    /// System relations are read, whose types are not all PostgreSQL's.
    pub(super) lenient: bool,
}

#[cfg(test)]
impl Facts {
    /// Those of a session that has set nothing, at the beginning of 1970.
    pub(super) fn plain() -> Self {
        Self {
            now: DateTime::UNIX_EPOCH,
            time_zone: TimeZone::default(),
            date_order: DateOrder::default(),
            styled: (false, false, false),
            float_digits: 1,
            lenient: false,
        }
    }
}

/// The functions that are the same for all statements, and for views of our own.
pub(super) fn always() -> Vec<Arc<ScalarUDF>> {
    let mut functions = vec![sought::any_of_array(), sought::nullif(), counts::percentage().udf()];
    functions.extend(chosen::all());
    functions
}

/// The functions that queries call by name.
pub(super) fn functions(facts: Facts) -> Vec<Arc<ScalarUDF>> {
    let mut functions = temporal::all(facts);
    functions.extend(format::all(facts));
    functions.extend(series::all());
    functions.extend(bits::all());
    functions.extend(blanks::all());
    functions.extend(bytes::all());
    functions.extend(counts::all());
    functions.extend(numeric::all());
    functions.push(truncation::placeholder().udf());
    functions.extend(numbers::all());
    functions.extend(spans::all(facts));
    functions.extend(regexes::all());
    functions.extend(json::all());
    functions.extend(json_build::all(facts));
    functions.extend(json_edit::all());
    functions.extend(json_path_run::all());
    functions.extend(lists::all());
    functions.extend(ordered::all());
    functions.push(apart::mark().udf());
    functions.extend(appended::all());
    functions.extend(arrays::all());
    functions.extend(octets::all());
    functions.extend(degrees::all());
    functions.push(scales::min_scale());
    functions.extend(sleep::all());
    functions.push(slices::slices().udf());
    functions.push(steps::mark().udf());
    functions.push(text::letter_of().udf());
    functions.push(truncation::digits(facts).udf());
    functions.push(typed::one_byte().udf());
    functions.push(typed_rows::function());
    functions
}
