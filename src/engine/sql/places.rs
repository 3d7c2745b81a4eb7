//! What the places of parameters in a text tell of their types, before anything is known of tables.
//!
//! A place tells a type by PostgreSQL's rules for constants without a type: the functions of that name and number of arguments that the
//! other arguments allow agree on one, or one of them takes a text, or the type that is preferred among numbers or moments.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use datafusion::sql::parser::Statement as Ast;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectName, TableFactor, UnaryOperator, Value, Visit,
    Visitor,
};

use crate::catalog::{self, PgType};

use super::parameters::number_of;

/// Numbers, from the narrowest; each is taken for those after it.
const NUMBERS: [PgType; 6] = [PgType::INT2, PgType::INT4, PgType::INT8, PgType::NUMERIC, PgType::FLOAT4, PgType::FLOAT8];
/// Forms of a call that make their arguments one type.
const UNIFYING: [&str; 4] = ["coalesce", "greatest", "least", "nullif"];
/// Dates and timestamps, from the narrowest.
const MOMENTS: [PgType; 3] = [PgType::DATE, PgType::TIMESTAMP, PgType::TIMESTAMPTZ];

/// The types of parameters: as declared, else as their places tell.
pub(in crate::engine) fn placed(ast: &Ast, declared: &[Option<PgType>]) -> Vec<Option<PgType>> {
    let mut types = declared.to_vec();
    let Ast::Statement(statement) = ast else { return types };
    let mut places = Places::default();
    let _ = Visit::visit(statement.as_ref(), &mut places);
    for (number, pg_type) in places.found {
        if types.len() < number {
            types.resize(number, None);
        }
        if let Some(place) = number.checked_sub(1).and_then(|at| types.get_mut(at)) {
            place.get_or_insert(pg_type);
        }
    }
    types
}

#[derive(Default)]
struct Places {
    found: BTreeMap<usize, PgType>,
}

impl Places {
    /// If that is a parameter, it is of this type.
    fn note(&mut self, expr: &Expr, pg_type: PgType) {
        if let Some(number) = parameter(expr) {
            self.found.entry(number).or_insert(pg_type);
        }
    }

    fn call(&mut self, name: &ObjectName, arguments: &[FunctionArg]) {
        let arguments: Option<Vec<&Expr>> = arguments
            .iter()
            .map(|argument| match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
                _ => None,
            })
            .collect();
        let Some(name) = name.0.last().and_then(|part| part.as_ident()) else { return };
        let Some(arguments) = arguments else { return };
        let name = name.value.to_lowercase();
        let name = name.strip_prefix("meshgate_").unwrap_or(&name);
        match (name, arguments.as_slice()) {
            // The list stands for what is sorted.
            ("percentile_cont" | "percentile_disc", [_, fraction, ..]) => self.note(fraction, PgType::FLOAT8),
            (name, arguments) => self.function(name, arguments),
        }
    }

    /// A call of a function by its name.
    fn function(&mut self, name: &str, arguments: &[&Expr]) {
        if !arguments.iter().any(|argument| parameter(argument).is_some()) {
            return;
        }
        if UNIFYING.contains(&name) {
            return self.unify(arguments);
        }
        let candidates = candidates(name, arguments);
        for (at, argument) in arguments.iter().enumerate() {
            if let Some(pg_type) = agreed(&candidates, at) {
                self.note(argument, pg_type);
            }
        }
    }
}

/// The functions of that name that the arguments allow best.
fn candidates(name: &str, arguments: &[&Expr]) -> Vec<&'static [u32]> {
    let known: Vec<Option<PgType>> = arguments.iter().map(|argument| known(argument)).collect();
    let mut candidates: Vec<&[u32]> = catalog::signatures(name, arguments.len()).filter(|takes| allows(takes, &known)).collect();
    let exact = |takes: &&[u32]| takes.iter().zip(&known).filter(|(takes, known)| known.is_some_and(|known| known.oid == **takes)).count();
    let most = candidates.iter().map(exact).max().unwrap_or(0);
    candidates.retain(|takes| exact(takes) == most);
    candidates
}

/// The types that a function of that name takes where its arguments are constants without a type. Where another argument tells nothing of
/// its own type, only what all functions of the name agree on.
pub(super) fn taken(name: &str, arguments: &[&Expr], constant: impl Fn(&Expr) -> bool) -> Vec<Option<PgType>> {
    let candidates = candidates(name, arguments);
    let open = arguments.iter().any(|argument| known(argument).is_none() && !constant(argument));
    let alike = |at: usize| {
        let mut wanted = candidates.iter().map(|takes| takes.get(at));
        wanted.next().is_some_and(|first| wanted.all(|other| other == first))
    };
    (0..arguments.len()).map(|at| agreed(&candidates, at).filter(|_| !open || alike(at))).collect()
}

impl Places {
    /// Values that become one type: parameters are of the type of the numbers beside them, if there is nothing but such.
    fn unify(&mut self, values: &[&Expr]) {
        let others: Vec<&&Expr> = values.iter().filter(|value| parameter(value).is_none()).collect();
        let types: Option<Vec<PgType>> = others.iter().map(|value| number(value)).collect();
        let widest = |types: Vec<PgType>| types.into_iter().max_by_key(|found| NUMBERS.iter().position(|number| number.oid == found.oid));
        if let Some(pg_type) = types.and_then(widest) {
            values.iter().for_each(|value| self.note(value, pg_type));
        }
    }
}

impl Visitor for Places {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table { name, args: Some(arguments), .. } => self.call(name, &arguments.args),
            TableFactor::Function { name, args, .. } => self.call(name, args),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Function(call) => {
                if let FunctionArguments::List(list) = &call.args {
                    self.call(&call.name, &list.args);
                }
            }
            Expr::UnaryOp { op: UnaryOperator::Not, expr } | Expr::IsTrue(expr) | Expr::IsFalse(expr) => self.note(expr, PgType::BOOL),
            Expr::BinaryOp { left, op: BinaryOperator::And | BinaryOperator::Or, right } => {
                self.note(left, PgType::BOOL);
                self.note(right, PgType::BOOL);
            }
            Expr::BinaryOp { left, op: BinaryOperator::PGExp, right } => self.function("power", &[left.as_ref(), right.as_ref()]),
            Expr::Ceil { expr, .. } => self.function("ceil", &[expr.as_ref()]),
            Expr::Floor { expr, .. } => self.function("floor", &[expr.as_ref()]),
            Expr::BinaryOp { left, op, right } if beside(op) => self.unify(&[left.as_ref(), right.as_ref()]),
            Expr::Between { expr, low, high, .. } => self.unify(&[expr.as_ref(), low.as_ref(), high.as_ref()]),
            Expr::InList { expr, list, .. } => self.unify(&std::iter::once(expr.as_ref()).chain(list).collect::<Vec<_>>()),
            Expr::AnyOp { left, right, .. } | Expr::AllOp { left, right, .. } => {
                if let Expr::Array(array) = right.as_ref() {
                    self.unify(&std::iter::once(left.as_ref()).chain(&array.elem).collect::<Vec<_>>());
                } else if let Some(element) = known(right).and_then(PgType::element) {
                    self.note(left, element);
                }
            }
            Expr::Case { operand, conditions, else_result, .. } => {
                if operand.is_none() {
                    conditions.iter().for_each(|branch| self.note(&branch.condition, PgType::BOOL));
                }
                self.unify(&conditions.iter().map(|branch| &branch.result).chain(else_result.as_deref()).collect::<Vec<_>>());
            }
            Expr::AtTimeZone { time_zone, .. } => self.note(time_zone, PgType::TEXT),
            Expr::Position { expr, r#in } => {
                self.note(expr, PgType::TEXT);
                self.note(r#in, PgType::TEXT);
            }
            Expr::Substring { expr, substring_from, substring_for, shorthand: true, .. } => {
                self.note(expr, PgType::TEXT);
                [substring_from, substring_for].into_iter().flatten().for_each(|place| self.note(place, PgType::INT4));
            }
            Expr::Trim { expr, .. } => self.note(expr, PgType::TEXT),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Whether an operator takes two numbers of one type.
fn beside(op: &BinaryOperator) -> bool {
    use BinaryOperator::{Divide, Eq, Gt, GtEq, Lt, LtEq, Minus, Modulo, Multiply, NotEq, Plus};
    matches!(op, Plus | Minus | Multiply | Divide | Modulo | Eq | NotEq | Lt | LtEq | Gt | GtEq)
}

/// The type of a number that is written in the text.
fn number(expr: &Expr) -> Option<PgType> {
    known(expr).filter(|_| matches!(expr, Expr::Value(value) if matches!(value.value, Value::Number(..))))
}

/// The number of a parameter.
fn parameter(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Placeholder(id) => number_of(id),
            _ => None,
        },
        Expr::Nested(inner) => parameter(inner),
        _ => None,
    }
}

/// The type of an argument that tells it by itself.
fn known(expr: &Expr) -> Option<PgType> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) if digits.parse::<i32>().is_ok() => Some(PgType::INT4),
            Value::Number(digits, _) if digits.parse::<i64>().is_ok() => Some(PgType::INT8),
            Value::Number(..) => Some(PgType::NUMERIC),
            Value::Boolean(_) => Some(PgType::BOOL),
            _ => None,
        },
        Expr::Cast { data_type, .. } => named(data_type),
        Expr::TypedString(typed) => named(&typed.data_type),
        Expr::Nested(inner) => known(inner),
        _ => None,
    }
}

fn named(data_type: &DataType) -> Option<PgType> {
    PgType::named(&data_type.to_string().to_lowercase())
}

/// Whether a function takes these arguments, as far as their types are known.
fn allows(takes: &[u32], known: &[Option<PgType>]) -> bool {
    takes.iter().zip(known).all(|(takes, known)| match known {
        None => true,
        Some(known) => known.oid == *takes || widens(&NUMBERS, known.oid, *takes) || widens(&MOMENTS, known.oid, *takes),
    })
}

/// Whether a value of the one type is taken for one of the other.
fn widens(order: &[PgType], from: u32, to: u32) -> bool {
    let place = |oid: u32| order.iter().position(|found| found.oid == oid);
    place(from).zip(place(to)).is_some_and(|(from, to)| from < to)
}

/// The type that the candidates want of an argument.
fn agreed(candidates: &[&[u32]], at: usize) -> Option<PgType> {
    let mut wanted: Vec<u32> = candidates.iter().filter_map(|takes| takes.get(at).copied()).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let among = |order: &[PgType]| wanted.iter().all(|oid| order.iter().any(|known| known.oid == *oid));
    let chosen = match wanted.as_slice() {
        [one] => *one,
        many if many.contains(&PgType::TEXT.oid) => PgType::TEXT.oid,
        many if among(&NUMBERS) && many.contains(&PgType::FLOAT8.oid) => PgType::FLOAT8.oid,
        many if among(&MOMENTS) && many.contains(&PgType::TIMESTAMPTZ.oid) => PgType::TIMESTAMPTZ.oid,
        _ => return None,
    };
    let base = [PgType::BOOL, PgType::TEXT, PgType::INTERVAL, PgType::TIME, PgType::JSONB, PgType::JSON, PgType::BYTEA, PgType::TEXT_ARRAY];
    base.iter().chain(&NUMBERS).chain(&MOMENTS).find(|known| known.oid == chosen).copied()
}

#[cfg(test)]
mod tests {
    use datafusion::config::Dialect;
    use datafusion::execution::session_state::SessionStateBuilder;

    use super::*;

    fn types(sql: &str, declared: &[Option<PgType>]) -> Vec<Option<u32>> {
        let state = SessionStateBuilder::new().with_default_features().build();
        let ast = state.sql_to_statement(sql, &Dialect::PostgreSQL).unwrap();
        placed(&ast, declared).into_iter().map(|found| found.map(|found| found.oid)).collect()
    }

    #[test]
    fn a_function_tells_what_it_takes() {
        assert_eq!(types("SELECT substr(name, $1, $2), upper($3)", &[]), [Some(23), Some(23), Some(25)]);
        assert_eq!(types("SELECT date_trunc($1, ts), to_char(ts, $2), round($3)", &[]), [Some(25), Some(25), Some(701)]);
        assert_eq!(types("SELECT * FROM generate_series(1, $1)", &[]), [Some(23)]);
        assert_eq!(types("SELECT ceil($1), $2 ^ 2, floor($3 + 1.5)", &[]), [Some(701), Some(701), Some(1700)]);
        assert_eq!(types("SELECT mod($1, 3), power($2, 2), encode($3, 'hex')", &[]), [Some(23), Some(701), Some(17)]);
        assert_eq!(types("SELECT repeat($1, $2), no_such($3)", &[None]), [Some(25), Some(23)]);
        assert_eq!(types("SELECT coalesce($1, x), sum($2)", &[]), []);
    }

    #[test]
    fn a_number_tells_what_stands_beside_it() {
        assert_eq!(
            types("SELECT $1 + 1, $2 > 1.5, greatest($3, 5), $4 = ANY (ARRAY[1, 2]), $5 = ANY ($6::int[])", &[]),
            [Some(23), Some(1700), Some(23), Some(23), Some(23)]
        );
        assert_eq!(types("SELECT coalesce(k, $1, 1), $2 + k", &[]), []);
    }

    #[test]
    fn a_condition_is_a_truth_value() {
        assert_eq!(types("SELECT 1 WHERE NOT $1 AND $2", &[]), [Some(16), Some(16)]);
        assert_eq!(types("SELECT CASE WHEN $1 THEN $2 END", &[]), [Some(16)]);
        assert_eq!(types("SELECT CASE WHEN $1 THEN $2 ELSE 3 END", &[]), [Some(16), Some(23)]);
    }

    #[test]
    fn what_is_declared_stays() {
        assert_eq!(types("SELECT upper($1), left($2, $3)", &[Some(PgType::VARCHAR), None]), [Some(1043), Some(25), Some(23)]);
    }
}
