//! The functions and operators of a name, as the rules look at them.

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::catalog::statics::{self, Routine};

/// An operator: its sides, of which one that has none is 0, and what it answers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sides {
    pub(super) left: u32,
    pub(super) right: u32,
    pub(super) returns: u32,
}

/// The builtin operators of that name.
pub(super) fn operators(name: &str) -> &'static [Sides] {
    static OPERATORS: OnceLock<HashMap<&'static str, Vec<Sides>>> = OnceLock::new();
    let operators = OPERATORS.get_or_init(|| {
        let mut found: HashMap<&'static str, Vec<Sides>> = HashMap::new();
        for line in statics::lines("pg_operator") {
            let cells: Vec<&'static str> = line.split('\t').collect();
            let number = |at: usize| cells.get(at).and_then(|cell| cell.parse::<u32>().ok()).unwrap_or(0);
            if let Some(name) = cells.get(1) {
                found.entry(name).or_default().push(Sides { left: number(7), right: number(8), returns: number(9) });
            }
        }
        found
    });
    operators.get(name).map_or(&[], Vec::as_slice)
}

/// The builtin functions of that name.
pub(super) fn functions(name: &str) -> &'static [&'static Routine] {
    static FUNCTIONS: OnceLock<HashMap<&'static str, Vec<&'static Routine>>> = OnceLock::new();
    let functions = FUNCTIONS.get_or_init(|| {
        let mut found: HashMap<&'static str, Vec<&'static Routine>> = HashMap::new();
        for routine in statics::routines().values() {
            found.entry(routine.name.as_str()).or_default().push(routine);
        }
        found
    });
    functions.get(name).map_or(&[], Vec::as_slice)
}
