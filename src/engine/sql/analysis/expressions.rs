//! The types of expressions, one form after the other: `transformExpr`.

use datafusion::sql::sqlparser::ast::{
    AccessExpr, Array, CaseWhen, CastKind, DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Query as Tree, Spanned,
    Subscript, TrimWhereField, UnaryOperator, Value, ValueWithSpan,
};
use datafusion::sql::sqlparser::tokenizer::Location;

use crate::catalog::{PgType, resolution};
use crate::error::SqlState;

use super::spots::trim_function;
use super::types::{constant, folded, foreign, named, number};
use super::{Analyst, Result, Typed};
use crate::engine::sql::outer_aggregates;
use crate::engine::sql::parameters::number_of;

const BOOL: u32 = PgType::BOOL.oid;
const TEXT: u32 = PgType::TEXT.oid;
const INT4: u32 = PgType::INT4.oid;

impl Analyst<'_> {
    /// The type of an expression.
    pub(super) fn expr(&mut self, expr: &Expr) -> Result<Typed> {
        let place = self.spots.start(expr);
        let typed = self.form(expr, place)?;
        Ok(typed.at(place))
    }

    fn form(&mut self, expr: &Expr, place: Location) -> Result<Typed> {
        match expr {
            Expr::Nested(inner) => self.expr(inner),
            Expr::Value(value) => self.value(value),
            Expr::Identifier(name) => {
                let (name, place) = (folded(name), name.span.start);
                if self.scopes.hides(&name) {
                    return self.refuse(SqlState::UNDEFINED_COLUMN, format!("column \"{name}\" does not exist"), place);
                }
                Ok(Typed::of(self.scopes.column(&name)))
            }
            Expr::CompoundIdentifier(names) => Ok(Typed::of(self.path(names))),
            Expr::BinaryOp { .. } => self.binary(expr),
            Expr::UnaryOp { op, expr } => self.unary(*op, expr, place),
            Expr::Function(call) => self.call(call),
            Expr::Cast { kind, expr, data_type, .. } => {
                let place = if *kind == CastKind::DoubleColon { self.spots.behind(expr, &["::"]) } else { place };
                self.cast(expr, data_type, place)
            }
            Expr::TypedString(typed) => {
                let value = constant(&typed.value.value, place);
                self.becomes(&value, named(&typed.data_type))?;
                Ok(Typed::of(named(&typed.data_type)))
            }
            Expr::Interval(interval) => {
                self.expr(&interval.value)?;
                Ok(Typed::of(PgType::INTERVAL.oid))
            }
            Expr::Case { operand, conditions, else_result, .. } => self.case(operand.as_deref(), conditions, else_result.as_deref()),
            Expr::Array(array) => self.array(array, None),
            Expr::Collate { expr, .. } => {
                let value = self.expr(expr)?;
                let of = resolution::element(value.oid).unwrap_or(value.oid);
                if !matches!(of, resolution::OPEN | resolution::UNKNOWN) && resolution::category(of) != 'S' {
                    let text = format!("collations are not supported by type {}", resolution::shown(value.oid));
                    return self.refuse(SqlState::DATATYPE_MISMATCH, text, self.spots.behind(expr, &["collate"]));
                }
                self.settled(&value)
            }
            Expr::Tuple(parts) => {
                for part in parts {
                    self.expr(part)?;
                }
                Ok(Typed::open())
            }
            Expr::CompoundFieldAccess { root, access_chain } => self.accessed(root, access_chain),
            Expr::Exists { subquery, .. } => {
                self.query(subquery, true)?;
                Ok(Typed::of(BOOL))
            }
            Expr::Subquery(subquery) => self.scalar(subquery),
            Expr::IsNull(inner) | Expr::IsNotNull(inner) => {
                self.expr(inner)?;
                Ok(Typed::of(BOOL))
            }
            expr => self.predicate(expr, place),
        }
    }

    /// Forms that answer a truth.
    fn predicate(&mut self, expr: &Expr, place: Location) -> Result<Typed> {
        match expr {
            Expr::IsTrue(inner) => self.tested(inner, "IS TRUE"),
            Expr::IsNotTrue(inner) => self.tested(inner, "IS NOT TRUE"),
            Expr::IsFalse(inner) => self.tested(inner, "IS FALSE"),
            Expr::IsNotFalse(inner) => self.tested(inner, "IS NOT FALSE"),
            Expr::IsUnknown(inner) => self.tested(inner, "IS UNKNOWN"),
            Expr::IsNotUnknown(inner) => self.tested(inner, "IS NOT UNKNOWN"),
            Expr::IsDistinctFrom(left, right) | Expr::IsNotDistinctFrom(left, right) => self.distinct(left, right),
            Expr::InList { expr, list, negated } => self.among(expr, list, *negated),
            Expr::InSubquery { expr, subquery, negated } => self.in_query(expr, subquery, *negated),
            Expr::Between { expr, low, high, negated } => self.between(expr, low, high, *negated),
            Expr::Like { expr, pattern, negated, escape_char, any: false } => {
                self.like(expr, pattern, escape_char.as_ref(), ["~~", "!~~"], *negated, "like")
            }
            Expr::ILike { expr, pattern, negated, escape_char, any: false } => {
                self.like(expr, pattern, escape_char.as_ref(), ["~~*", "!~~*"], *negated, "ilike")
            }
            Expr::SimilarTo { expr, pattern, negated, .. } => self.like(expr, pattern, None, ["~", "!~"], *negated, "similar"),
            Expr::AnyOp { left, compare_op, right, .. } | Expr::AllOp { left, compare_op, right } => {
                self.quantified(left, compare_op, right)
            }
            expr => self.special(expr, place),
        }
    }

    /// Functions with a grammar of their own.
    fn special(&mut self, expr: &Expr, place: Location) -> Result<Typed> {
        match expr {
            Expr::Extract { expr, .. } => {
                let value = self.expr(expr)?;
                let field = Typed { place, ..Typed::of(resolution::UNKNOWN) };
                self.resolved("extract", "pg_catalog.extract", &[field, value], place)
            }
            Expr::AtTimeZone { timestamp, time_zone } => {
                let (value, zone) = (self.expr(timestamp)?, self.expr(time_zone)?);
                let place = self.spots.behind(timestamp, &["at"]);
                self.resolved("timezone", "pg_catalog.timezone", &[zone, value], place)
            }
            Expr::Position { expr, r#in } => {
                let (what, within) = (self.expr(expr)?, self.expr(r#in)?);
                self.resolved("position", "pg_catalog.position", &[within, what], place)
            }
            Expr::Substring { expr, substring_from, substring_for, special, shorthand } => {
                let mut values = vec![self.expr(expr)?];
                match substring_from {
                    Some(from) => values.push(self.expr(from)?),
                    None if substring_for.is_some() => values.push(Typed::of(INT4)),
                    None => {}
                }
                if let Some(count) = substring_for {
                    values.push(self.expr(count)?);
                }
                let name = if *shorthand { "substr" } else { "substring" };
                let shown = if *special { name.to_owned() } else { format!("pg_catalog.{name}") };
                self.resolved(name, &shown, &values, place)
            }
            Expr::Overlay { expr, overlay_what, overlay_from, overlay_for } => {
                let mut values = vec![self.expr(expr)?, self.expr(overlay_what)?, self.expr(overlay_from)?];
                if let Some(count) = overlay_for {
                    values.push(self.expr(count)?);
                }
                self.resolved("overlay", "pg_catalog.overlay", &values, place)
            }
            Expr::Trim { trim_where, trim_what, expr, trim_characters } => {
                let parts = trim_what.as_deref().into_iter().chain(trim_characters.iter().flatten());
                let parts: Vec<&Expr> = std::iter::once(expr.as_ref()).chain(parts).collect();
                self.trim(trim_where.as_ref(), &parts, place)
            }
            Expr::Ceil { expr, .. } => {
                let value = self.expr(expr)?;
                self.resolved("ceil", "ceil", &[value], place)
            }
            Expr::Floor { expr, .. } => {
                let value = self.expr(expr)?;
                self.resolved("floor", "floor", &[value], place)
            }
            _ => {
                self.leave_all(expr);
                Ok(Typed::open())
            }
        }
    }

    fn trim(&mut self, side: Option<&TrimWhereField>, parts: &[&Expr], place: Location) -> Result<Typed> {
        let values = parts.iter().map(|part| self.expr(part)).collect::<Result<Vec<_>>>()?;
        let name = trim_function(side);
        self.resolved(name, &format!("pg_catalog.{name}"), &values, place)
    }

    pub(super) fn value(&mut self, value: &ValueWithSpan) -> Result<Typed> {
        match &value.value {
            Value::Placeholder(id) => match number_of(id) {
                Some(number) => self.parameter(number, value.span.start),
                None => Ok(Typed::open()),
            },
            other => Ok(constant(other, value.span.start)),
        }
    }

    /// `table.column`, with or without a schema.
    fn path(&self, names: &[Ident]) -> u32 {
        match names {
            [.., relation, column] => self.scopes.qualified(&folded(relation), &folded(column)),
            _ => resolution::OPEN,
        }
    }

    fn unary(&mut self, op: UnaryOperator, operand: &Expr, place: Location) -> Result<Typed> {
        if op == UnaryOperator::Not {
            self.truth(operand, "NOT")?;
            return Ok(Typed::of(BOOL));
        }
        if let (UnaryOperator::Minus, Expr::Value(ValueWithSpan { value: Value::Number(digits, _), .. })) = (op, operand) {
            return Ok(Typed::of(number(&format!("-{digits}"))));
        }
        let value = self.expr(operand)?;
        let name = match op {
            UnaryOperator::Minus => "-",
            UnaryOperator::Plus => "+",
            UnaryOperator::BitwiseNot => "~",
            UnaryOperator::PGAbs => "@",
            UnaryOperator::PGSquareRoot => "|/",
            UnaryOperator::PGCubeRoot => "||/",
            _ => {
                self.leave(&value);
                return Ok(Typed::open());
            }
        };
        self.one_sided(name, &value, place)
    }

    fn cast(&mut self, inner: &Expr, data_type: &DataType, place: Location) -> Result<Typed> {
        if let Some(name) = foreign(data_type) {
            let written = self.spots.behind(inner, &[name]);
            return self.refuse(SqlState::UNDEFINED_OBJECT, format!("type \"{name}\" does not exist"), written);
        }
        let target = named(data_type);
        let bare = bare(inner);
        if let (Expr::Array(array), Some(element)) = (bare, resolution::element(target)) {
            self.array(array, Some(element))?;
            return Ok(Typed::of(target));
        }
        let value = self.expr(inner)?;
        if !resolution::castable(value.oid, target) {
            let text = format!("cannot cast type {} to {}", resolution::shown(value.oid), resolution::shown(target));
            return self.refuse(SqlState::CANNOT_COERCE, text, place);
        }
        self.becomes(&value, target)?;
        Ok(Typed::of(target))
    }

    fn tested(&mut self, inner: &Expr, construct: &str) -> Result<Typed> {
        self.truth(inner, construct)?;
        Ok(Typed::of(BOOL))
    }

    fn case(&mut self, operand: Option<&Expr>, conditions: &[CaseWhen], otherwise: Option<&Expr>) -> Result<Typed> {
        let tested = match operand {
            Some(operand) => {
                let value = self.expr(operand)?;
                Some(self.settled(&value)?)
            }
            None => None,
        };
        let mut results = Vec::new();
        for branch in conditions {
            match &tested {
                Some(value) => {
                    let other = self.expr(&branch.condition)?;
                    let place = self.spots.when(self.spots.start(&branch.condition));
                    self.two_sided("=", value, &other, place)?;
                }
                None => self.truth(&branch.condition, "CASE/WHEN")?,
            }
            results.push(&branch.result);
        }
        let mut values = Vec::new();
        for result in &results {
            values.push(self.expr(result)?);
        }
        // PostgreSQL looks at the type of ELSE first; there is always one.
        values.insert(
            0,
            match otherwise {
                Some(otherwise) => self.expr(otherwise)?,
                None => Typed { null: true, ..Typed::of(resolution::UNKNOWN) },
            },
        );
        self.together("CASE", &values)
    }

    /// The type that values have together; each of them becomes it.
    pub(super) fn together(&mut self, construct: &str, values: &[Typed]) -> Result<Typed> {
        let types: Vec<u32> = values.iter().map(|value| value.oid).collect();
        let common = match resolution::common(&types) {
            Ok(common) => common,
            Err(unmatched) => {
                let (one, other) = (resolution::shown(unmatched.one), resolution::shown(unmatched.other));
                let place = values.get(unmatched.at).map_or(super::NOWHERE, |value| value.place);
                return self.refuse(SqlState::DATATYPE_MISMATCH, format!("{construct} types {one} and {other} cannot be matched"), place);
            }
        };
        for value in values {
            self.becomes(value, common)?;
        }
        Ok(Typed::of(common))
    }

    fn array(&mut self, array: &Array, wanted: Option<u32>) -> Result<Typed> {
        let mut values = Vec::new();
        for element in &array.elem {
            values.push(match bare(element) {
                Expr::Array(inner) => self.array(inner, wanted)?.at(self.spots.start(element)),
                element => self.expr(element)?,
            });
        }
        if let Some(wanted) = wanted {
            for value in &values {
                self.becomes(value, wanted)?;
            }
            return Ok(Typed::of(resolution::array(wanted).unwrap_or(resolution::OPEN)));
        }
        if values.is_empty() {
            return Ok(Typed::open());
        }
        let common = self.together("ARRAY", &values)?.oid;
        let of_arrays = resolution::element(common).map(|_| common);
        Ok(Typed::of(of_arrays.or_else(|| resolution::array(common)).unwrap_or(resolution::OPEN)))
    }

    fn accessed(&mut self, root: &Expr, chain: &[AccessExpr]) -> Result<Typed> {
        let value = self.expr(root)?;
        let mut oid = value.oid;
        for access in chain {
            let AccessExpr::Subscript(subscript) = access else {
                self.leave(&value);
                return Ok(Typed::open());
            };
            if !matches!(oid, resolution::OPEN) && oid != PgType::JSONB.oid && resolution::element(oid).is_none() {
                let shown = resolution::shown(oid);
                let text = format!("cannot subscript type {shown} because it does not support subscripting");
                return self.refuse(SqlState::DATATYPE_MISMATCH, text, self.spots.start(root));
            }
            oid = self.subscribed(oid, subscript)?;
        }
        Ok(Typed::of(oid))
    }

    fn subscribed(&mut self, oid: u32, subscript: &Subscript) -> Result<u32> {
        let json = oid == PgType::JSONB.oid;
        let bounds: Vec<&Expr> = match subscript {
            Subscript::Index { index } => vec![index],
            Subscript::Slice { lower_bound, upper_bound, stride } => [lower_bound, upper_bound, stride].into_iter().flatten().collect(),
        };
        for bound in bounds {
            let value = self.expr(bound)?;
            let place = if json { TEXT } else { INT4 };
            match (json && !value.is_unknown()) || resolution::assignable(value.oid, place) {
                true => self.becomes(&value, place)?,
                false => return self.refuse(SqlState::DATATYPE_MISMATCH, "array subscript must have type integer", value.place),
            }
        }
        Ok(match subscript {
            Subscript::Slice { .. } => oid,
            // An array of several dimensions has its own type for its rows' elements, too.
            Subscript::Index { .. } if json => oid,
            Subscript::Index { .. } => resolution::element(oid).unwrap_or(resolution::OPEN),
        })
    }

    /// The value of a subquery.
    pub(super) fn scalar(&mut self, subquery: &Tree) -> Result<Typed> {
        if let Some(value) = outer_aggregates::value(subquery) {
            let value = self.expr(value)?;
            return self.settled(&value);
        }
        let columns = self.query(subquery, true)?;
        Ok(match columns.as_deref() {
            Some([(_, only)]) => Typed::of(only.oid),
            _ => Typed::open(),
        })
    }

    /// Parameters anywhere within what is not understood.
    fn leave_all(&mut self, expr: &Expr) {
        use datafusion::sql::sqlparser::ast::{Visit, Visitor};
        use std::ops::ControlFlow;
        struct Parameters(Vec<usize>);
        impl Visitor for Parameters {
            type Break = ();

            fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
                if let Expr::Value(ValueWithSpan { value: Value::Placeholder(id), .. }) = expr {
                    self.0.extend(number_of(id));
                }
                ControlFlow::Continue(())
            }
        }
        let mut found = Parameters(Vec::new());
        let _ = expr.visit(&mut found);
        self.seen.extend(found.0.iter().copied());
        self.left_open.extend(found.0);
    }

    /// Where the first token of an expression stands.
    pub(super) fn place_of(&self, expr: &Expr) -> Location {
        expr.span().start
    }
}

/// The values of a row that is written as one.
pub(super) fn entries(expr: &Expr) -> Option<Vec<&Expr>> {
    match bare(expr) {
        Expr::Tuple(parts) => Some(parts.iter().collect()),
        Expr::Function(call) if call.name.to_string().eq_ignore_ascii_case("row") => match &call.args {
            FunctionArguments::List(list) => list
                .args
                .iter()
                .map(|argument| match argument {
                    FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => Some(value),
                    _ => None,
                })
                .collect(),
            _ => None,
        },
        _ => None,
    }
}

/// An expression without the parentheses around it.
pub(super) fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(inner) => bare(inner),
        expr => expr,
    }
}
