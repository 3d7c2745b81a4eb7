//! Which function, operator and common type PostgreSQL chooses for arguments of given types: the rules of its parser, over `pg_proc`,
//! `pg_operator` and `pg_cast`.
//!
//! Types are OIDs. [`UNKNOWN`] is a constant in quotes, NULL, or a parameter without a type; [`OPEN`] a type that nobody can tell. INVARIANT:
//! what is said of open types is that nothing is known.

mod choice;
mod coercion;
mod polymorphic;
mod routines;

pub use choice::{Argument, Choice, Operator, function, operator};
pub use coercion::{Unmatched, assignable, castable, coercible, common};

use std::collections::HashMap;
use std::sync::OnceLock;

use super::{PgType, statics};

/// The type of what has none yet.
pub const UNKNOWN: u32 = 705;

/// A type that nobody can tell.
pub const OPEN: u32 = 0;

/// What the rules ask of a type.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    pub(super) category: char,
    pub(super) preferred: bool,
    /// The type of its elements, if it is an array.
    pub(super) element: Option<u32>,
    /// The type of arrays of it.
    pub(super) array: Option<u32>,
}

fn types() -> &'static HashMap<u32, Facts> {
    static TYPES: OnceLock<HashMap<u32, Facts>> = OnceLock::new();
    TYPES.get_or_init(|| {
        let parse = |line: &str| {
            let cells: Vec<&str> = line.split('\t').collect();
            let number = |at: usize| cells.get(at)?.parse::<u32>().ok().filter(|oid| *oid != 0);
            let category = cells.get(7)?.chars().next()?;
            let preferred = *cells.get(8)? == "t";
            let element = if category == 'A' { number(13) } else { None };
            Some((number(0)?, Facts { category, preferred, element, array: number(14) }))
        };
        statics::lines("pg_type").filter_map(parse).collect()
    })
}

/// What is known of a builtin type.
pub(super) fn facts(oid: u32) -> Option<Facts> {
    types().get(&oid).copied()
}

/// The category of a type; `X` of what has none.
pub fn category(oid: u32) -> char {
    facts(oid).map_or('X', |facts| facts.category)
}

/// The type of an array's elements.
pub fn element(oid: u32) -> Option<u32> {
    facts(oid)?.element
}

/// The type of arrays of a type.
pub fn array(oid: u32) -> Option<u32> {
    facts(oid)?.array
}

/// A type's name as messages have it.
pub fn shown(oid: u32) -> String {
    let named = PgType::of_oid(oid).and_then(|known| known.with_typmod(-2).format());
    let of_array = || element(oid).map(|element| format!("{}[]", shown(element)));
    named.or_else(of_array).or_else(|| statics::type_name(oid).map(str::to_owned)).unwrap_or_else(|| "record".to_owned())
}

/// The type of this name, as a cast may spell it, without its modifier; `None` if PostgreSQL has none of that name.
pub fn named(name: &str) -> Option<u32> {
    let plain = name.strip_prefix("pg_catalog.").unwrap_or(name);
    if let Some(element) = plain.strip_suffix("[]") {
        let element = named(element)?;
        // Arrays of arrays are arrays.
        return if facts(element)?.element.is_some() { Some(element) } else { array(element) };
    }
    PgType::named(plain).map(|known| known.oid).or_else(|| statics::type_oid(plain.trim_matches('"')))
}
