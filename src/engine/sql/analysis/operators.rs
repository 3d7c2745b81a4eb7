//! Operators, and the forms that PostgreSQL makes of them: IN, BETWEEN, LIKE, ANY, comparisons of rows.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Query as Tree, ValueWithSpan};
use datafusion::sql::sqlparser::tokenizer::Location;

use crate::catalog::{PgType, resolution};
use crate::error::SqlState;

use super::expressions::{bare, entries};
use super::{Analyst, Result, Typed};

const BOOL: u32 = PgType::BOOL.oid;

const NO_OPERATOR: &str = "No operator matches the given name and argument types. You might need to add explicit type casts.";
const NO_BEST_OPERATOR: &str = "Could not choose a best candidate operator. You might need to add explicit type casts.";
const NO_UNARY: &str = "No operator matches the given name and argument type. You might need to add an explicit type cast.";

/// An operator as `pg_operator` names it; `None` of what is none.
fn name(op: &BinaryOperator) -> Option<String> {
    Some(match op {
        BinaryOperator::NotEq => "<>".to_owned(),
        BinaryOperator::PGCustomBinaryOperator(parts) => parts.last()?.clone(),
        BinaryOperator::Custom(name) => name.clone(),
        BinaryOperator::And | BinaryOperator::Or | BinaryOperator::Xor | BinaryOperator::Overlaps => return None,
        op => op.to_string(),
    })
    .filter(|name| name.chars().all(|letter| "+-*/<>=~!@#%^&|`?".contains(letter)))
}

impl Analyst<'_> {
    /// A chain of operators from its left end: it may be as deep as it is long.
    pub(super) fn binary(&mut self, expr: &Expr) -> Result<Typed> {
        let mut chain = Vec::new();
        let mut first = expr;
        while let Expr::BinaryOp { left, op, right } = first {
            chain.push((left.as_ref(), op, right.as_ref()));
            first = left;
        }
        let mut value = None;
        for (left, op, right) in chain.into_iter().rev() {
            value = Some(self.step(value, left, op, right)?);
        }
        Ok(value.unwrap_or_else(Typed::open))
    }

    /// One operator, whose left side may be known already.
    fn step(&mut self, known: Option<Typed>, left_expr: &Expr, op: &BinaryOperator, right: &Expr) -> Result<Typed> {
        if let BinaryOperator::And | BinaryOperator::Or = op {
            let construct = if *op == BinaryOperator::And { "AND" } else { "OR" };
            match known {
                Some(left) => self.assigned(left_expr, &left, BOOL, construct)?,
                None => self.truth(left_expr, construct)?,
            }
            self.truth(right, construct)?;
            return Ok(Typed::of(BOOL));
        }
        if let (Some(ones), Some(others)) = (entries(left_expr), entries(right)) {
            return self.rows(&ones, &others, op, left_expr, right);
        }
        let left = match known {
            Some(left) => left,
            None => self.expr(left_expr)?,
        };
        let value = self.expr(right)?;
        let Some(name) = name(op) else {
            self.leave(&left);
            self.leave(&value);
            return Ok(Typed::open());
        };
        let place = self.operator_place(left_expr, right, op, &name);
        self.two_sided(&name, &left, &value, place)
    }

    fn operator_place(&self, left: &Expr, right: &Expr, op: &BinaryOperator, name: &str) -> Location {
        let written = op.to_string();
        self.spots.between(left, self.place_of(right), &[name, written.as_str()])
    }

    fn rows(&mut self, ones: &[&Expr], others: &[&Expr], op: &BinaryOperator, left: &Expr, right: &Expr) -> Result<Typed> {
        let Some(name) = name(op) else {
            for part in ones.iter().chain(others) {
                let value = self.expr(part)?;
                self.leave(&value);
            }
            return Ok(Typed::of(BOOL));
        };
        let place = self.operator_place(left, right, op, &name);
        if ones.len() != others.len() {
            return self.refuse(SqlState::SYNTAX_ERROR, "unequal number of entries in row expressions", place);
        }
        for (one, other) in ones.iter().zip(others) {
            let (one, other) = (self.expr(one)?, self.expr(other)?);
            self.two_sided(&name, &one, &other, place)?;
        }
        Ok(Typed::of(BOOL))
    }

    /// What an operator between two values answers.
    pub(super) fn two_sided(&mut self, name: &str, left: &Typed, right: &Typed, place: Location) -> Result<Typed> {
        match resolution::operator(name, Some(left.oid), right.oid) {
            resolution::Operator::Found { left: one, right: other, returns } => {
                self.becomes(left, one)?;
                self.becomes(right, other)?;
                Ok(Typed::of(returns))
            }
            resolution::Operator::Open => {
                self.leave(left);
                self.leave(right);
                Ok(Typed::open())
            }
            found => {
                let (one, other) = (resolution::shown(left.oid), resolution::shown(right.oid));
                let (sqlstate, text, hint) = match found {
                    resolution::Operator::Ambiguous => {
                        (SqlState::AMBIGUOUS_FUNCTION, format!("operator is not unique: {one} {name} {other}"), NO_BEST_OPERATOR)
                    }
                    _ => (SqlState::UNDEFINED_FUNCTION, format!("operator does not exist: {one} {name} {other}"), NO_OPERATOR),
                };
                Err(Box::new(self.message(sqlstate, text, place).with_hint(hint)))
            }
        }
    }

    /// What an operator in front of a value answers.
    pub(super) fn one_sided(&mut self, name: &str, value: &Typed, place: Location) -> Result<Typed> {
        match resolution::operator(name, None, value.oid) {
            resolution::Operator::Found { right, returns, .. } => {
                self.becomes(value, right)?;
                Ok(Typed::of(returns))
            }
            resolution::Operator::Open => {
                self.leave(value);
                Ok(Typed::open())
            }
            found => {
                let shown = resolution::shown(value.oid);
                let (sqlstate, text, hint) = match found {
                    resolution::Operator::Ambiguous => {
                        (SqlState::AMBIGUOUS_FUNCTION, format!("operator is not unique: {name} {shown}"), NO_BEST_OPERATOR)
                    }
                    _ => (SqlState::UNDEFINED_FUNCTION, format!("operator does not exist: {name} {shown}"), NO_UNARY),
                };
                Err(Box::new(self.message(sqlstate, text, place).with_hint(hint)))
            }
        }
    }

    pub(super) fn distinct(&mut self, left: &Expr, right: &Expr) -> Result<Typed> {
        if entries(left).or(entries(right)).is_some() {
            self.expr(left)?;
            self.expr(right)?;
            return Ok(Typed::of(BOOL));
        }
        let (one, other) = (self.expr(left)?, self.expr(right)?);
        if one.null || other.null {
            return Ok(Typed::of(BOOL));
        }
        let place = self.spots.behind(left, &["is"]);
        self.two_sided("=", &one, &other, place)
    }

    /// `x IN (a, b)`: the values have one type together, or each is compared by itself.
    pub(super) fn among(&mut self, value: &Expr, list: &[Expr], negated: bool) -> Result<Typed> {
        let place = self.spots.behind(value, if negated { &["not"] } else { &["in"] });
        if let Some(ones) = entries(value) {
            for item in list {
                if let Some(others) = entries(item) {
                    if ones.len() != others.len() {
                        return self.refuse(SqlState::SYNTAX_ERROR, "unequal number of entries in row expressions", place);
                    }
                    for (one, other) in ones.iter().zip(others) {
                        let (one, other) = (self.expr(one)?, self.expr(other)?);
                        self.two_sided("=", &one, &other, place)?;
                    }
                } else {
                    self.expr(item)?;
                }
            }
            return Ok(Typed::of(BOOL));
        }
        let left = self.expr(value)?;
        let mut values = Vec::new();
        for item in list {
            values.push(self.expr(item)?);
        }
        // Columns are compared by themselves; of the rest an array is made, if it has a type.
        let constants: Vec<u32> = list.iter().zip(&values).filter(|(item, _)| !names_column(item)).map(|(_, value)| value.oid).collect();
        let together: Vec<u32> = std::iter::once(left.oid).chain(constants.iter().copied()).collect();
        let common = if constants.len() > 1 { resolution::common(&together).ok() } else { None };
        let name = if negated { "<>" } else { "=" };
        for (item, found) in list.iter().zip(&values) {
            match common.filter(|_| !names_column(item)) {
                Some(common) => {
                    self.becomes(found, common)?;
                    self.two_sided(name, &left, &Typed::of(common), place)?;
                }
                None => {
                    self.two_sided(name, &left, found, place)?;
                }
            }
        }
        Ok(Typed::of(BOOL))
    }

    pub(super) fn in_query(&mut self, value: &Expr, subquery: &Tree, negated: bool) -> Result<Typed> {
        let place = self.spots.behind(value, if negated { &["not"] } else { &["in"] });
        let ones = entries(value).unwrap_or_else(|| vec![value]);
        let ones = ones.into_iter().map(|one| self.expr(one)).collect::<Result<Vec<_>>>()?;
        let columns = self.query(subquery, true)?;
        match columns {
            Some(columns) if columns.len() == ones.len() => {
                for (one, (_, column)) in ones.iter().zip(&columns) {
                    self.two_sided("=", one, column, place)?;
                }
            }
            _ => ones.iter().for_each(|one| self.leave(one)),
        }
        Ok(Typed::of(BOOL))
    }

    pub(super) fn between(&mut self, value: &Expr, low: &Expr, high: &Expr, negated: bool) -> Result<Typed> {
        let place = self.spots.behind(value, if negated { &["not"] } else { &["between"] });
        let tuples = [value, low, high].iter().any(|expr| entries(expr).is_some());
        let (found, low, high) = (self.expr(value)?, self.expr(low)?, self.expr(high)?);
        if tuples {
            return Ok(Typed::of(BOOL));
        }
        let (first, second) = if negated { ("<", ">") } else { (">=", "<=") };
        self.two_sided(first, &found, &low, place)?;
        // What the first comparison has told of a parameter holds in the second.
        let found = match found.parameter {
            Some(number) => self.parameter(number, found.place)?,
            None => found,
        };
        self.two_sided(second, &found, &high, place)?;
        Ok(Typed::of(BOOL))
    }

    pub(super) fn like(
        &mut self,
        value: &Expr,
        pattern: &Expr,
        escape: Option<&ValueWithSpan>,
        names: [&str; 2],
        negated: bool,
        word: &str,
    ) -> Result<Typed> {
        let (left, mut right) = (self.expr(value)?, self.expr(pattern)?);
        let place = self.spots.behind(value, &[if negated { "not" } else { word }]);
        if word == "similar" {
            self.becomes(&right, PgType::TEXT.oid)?;
            right = Typed::of(PgType::TEXT.oid);
        }
        if let Some(escape) = escape {
            let escape = self.value(escape)?;
            right = self.resolved("like_escape", "pg_catalog.like_escape", &[right, escape], place)?;
        }
        let [plain, not] = names;
        self.two_sided(if negated { not } else { plain }, &left, &right, place)
    }

    /// `x = ANY (array)` and `x = ANY (subquery)`.
    pub(super) fn quantified(&mut self, left: &Expr, op: &BinaryOperator, right: &Expr) -> Result<Typed> {
        let one = self.expr(left)?;
        let Some(name) = name(op) else {
            let other = self.expr(right)?;
            self.leave(&one);
            self.leave(&other);
            return Ok(Typed::open());
        };
        let place = self.operator_place(left, right, op, &name);
        if let Expr::Subquery(subquery) = bare(right) {
            let other = self.scalar(subquery)?;
            self.two_sided(&name, &one, &other, place)?;
            return Ok(Typed::of(BOOL));
        }
        let array = self.expr(right)?;
        let element = match array.oid {
            resolution::UNKNOWN => resolution::UNKNOWN,
            resolution::OPEN => resolution::OPEN,
            oid => match resolution::element(oid) {
                Some(element) => element,
                None => {
                    let text = "op ANY/ALL (array) requires array on right side";
                    return self.refuse(SqlState::WRONG_OBJECT_TYPE, text, place);
                }
            },
        };
        match resolution::operator(&name, Some(one.oid), element) {
            resolution::Operator::Found { left: wanted, right: element, .. } => {
                self.becomes(&one, wanted)?;
                self.becomes(&array, resolution::array(element).unwrap_or(resolution::OPEN))?;
            }
            _ => {
                self.two_sided(&name, &one, &Typed::of(element), place)?;
                self.leave(&array);
            }
        }
        Ok(Typed::of(BOOL))
    }
}

/// Whether an item of a list reads a column of the query.
fn names_column(item: &Expr) -> bool {
    use datafusion::sql::sqlparser::ast::{Visit, Visitor};
    use std::ops::ControlFlow;
    struct Names;
    impl Visitor for Names {
        type Break = ();

        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            match expr {
                Expr::Identifier(_) | Expr::CompoundIdentifier(_) => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        }
    }
    item.visit(&mut Names).is_break()
}
