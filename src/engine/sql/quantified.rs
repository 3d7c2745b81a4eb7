//! Comparisons with the rows of a subquery or the elements of an array: IN, ANY, ALL; and bounds in either order.
//!
//! The planner joins with the subquery of an IN that is a condition. Anywhere else the subquery becomes the array of its values, of
//! which ANY and ALL answer the same, NULL included.

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, Expr, Function, FunctionArguments, GroupByExpr, Ident, ObjectName, OrderByKind, Query, SelectItem, SetExpr,
    TableAlias, TableAliasColumnDef, TableFactor, UnaryOperator, Value, Visit, VisitMut, Visitor, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

use std::borrow::Cow;
use std::ops::ControlFlow;

use crate::engine::semantics::{self, ANY};

use super::spelling::{call, literal, number, string};

/// What stands for the expression where it is a condition; `None` leaves it.
pub(super) fn condition(expr: &Expr) -> Option<Expr> {
    match expr {
        Expr::AnyOp { left, compare_op, right, .. } => {
            let respelled = of_rows(left, compare_op, right, true).or_else(|| each(left, compare_op, right, true));
            respelled.or_else(|| among(left, compare_op, right, true))
        }
        Expr::AllOp { left, compare_op, right } => {
            let respelled = of_rows(left, compare_op, right, false).or_else(|| each(left, compare_op, right, false));
            respelled.or_else(|| among(left, compare_op, right, false))
        }
        Expr::InSubquery { expr, subquery, negated } => row_within(expr, subquery, *negated),
        Expr::Exists { subquery, negated } => of_one_group(subquery, *negated),
        Expr::IsDistinctFrom(left, right) => distinct(left, right, true),
        Expr::IsNotDistinctFrom(left, right) => distinct(left, right, false),
        Expr::Between { expr, negated, low, high } => symmetric(expr, *negated, low, high),
        Expr::Like { negated, any: true, expr, pattern, escape_char: None } if repeatable(expr) => {
            liked(pattern, |pattern| Expr::Like { negated: *negated, any: false, expr: expr.clone(), pattern, escape_char: None })
        }
        Expr::ILike { negated, any: true, expr, pattern, escape_char: None } if repeatable(expr) => {
            liked(pattern, |pattern| Expr::ILike { negated: *negated, any: false, expr: expr.clone(), pattern, escape_char: None })
        }
        _ => None,
    }
}

/// ANY and ALL within one of them: the planner writes its sides several times.
const NESTED_MAX: usize = 4;

/// Whether it is an ANY or ALL around too many others.
pub(super) fn too_deep(expr: &Expr) -> bool {
    struct Counter(usize);
    impl Visitor for Counter {
        type Break = ();

        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            self.0 += usize::from(matches!(expr, Expr::AnyOp { .. } | Expr::AllOp { .. }));
            if self.0 > NESTED_MAX { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }
    if !matches!(expr, Expr::AnyOp { .. } | Expr::AllOp { .. }) {
        return false;
    }
    let mut counter = Counter(0);
    let _ = Visit::visit(expr, &mut counter);
    counter.0 > NESTED_MAX
}

/// What stands for an IN that is a value.
fn valued(expr: &Expr) -> Option<Expr> {
    let (left, subquery, any) = match expr {
        Expr::InSubquery { expr, subquery, negated } if !matches!(expr.as_ref(), Expr::Tuple(_)) => (expr, subquery, !negated),
        Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. } => match right.as_ref() {
            Expr::Subquery(subquery) => (left, subquery, true),
            _ => return None,
        },
        Expr::AllOp { left, compare_op: BinaryOperator::NotEq, right } => match right.as_ref() {
            Expr::Subquery(subquery) => (left, subquery, false),
            _ => return None,
        },
        _ => return None,
    };
    let (left, right) = (left.clone(), Box::new(array(subquery)));
    // The planner's `= ANY` of an array forgets that a NULL in it may be the value.
    let none = Expr::AllOp { left, compare_op: BinaryOperator::NotEq, right };
    Some(if any { Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(Expr::Nested(Box::new(none))) } } else { none })
}

/// Puts arrays in the place of the subqueries of INs in a select list.
pub(super) fn in_list(item: &mut SelectItem) {
    if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
        let _ = expr.visit(&mut Outermost { depth: 0, keys: false });
    }
}

/// The same for what a condition makes of the answer of an IN. The planner's join with its subquery answers true or not, so it serves where
/// NULL is as good as false: as the condition itself, or beneath AND and OR alone. A NOT IN serves as a part of the condition only.
pub(super) fn in_condition(condition: &mut Expr) {
    match condition {
        Expr::Nested(inner) => in_condition(inner),
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            in_condition(left);
            in_condition(right);
        }
        Expr::UnaryOp { op: UnaryOperator::Not, expr } if is_sought(unnested(expr)) => {}
        part if is_sought(part) => {}
        part => in_choice(part),
    }
}

/// Beneath OR.
fn in_choice(condition: &mut Expr) {
    match condition {
        Expr::Nested(inner) => in_choice(inner),
        Expr::BinaryOp { left, op: BinaryOperator::And | BinaryOperator::Or, right } => {
            in_choice(left);
            in_choice(right);
        }
        Expr::InSubquery { negated: false, .. } | Expr::AnyOp { compare_op: BinaryOperator::Eq, .. } => {}
        part => _ = VisitMut::visit(part, &mut Outermost { depth: 0, keys: false }),
    }
}

/// Whether it is an IN, or another comparison with the rows of a subquery.
fn is_sought(expr: &Expr) -> bool {
    matches!(expr, Expr::InSubquery { .. } | Expr::AnyOp { .. } | Expr::AllOp { .. })
}

fn unnested(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(inner) => unnested(inner),
        expr => expr,
    }
}

/// The same for the keys of ORDER BY, where EXISTS counts rows: the planner computes one only as a condition or in a select list.
pub(super) fn in_keys(query: &mut Query) {
    if let Some(OrderByKind::Expressions(keys)) = query.order_by.as_mut().map(|order| &mut order.kind) {
        for key in keys {
            let _ = VisitMut::visit(&mut key.expr, &mut Outermost { depth: 0, keys: true });
        }
    }
}

/// `(SELECT CASE WHEN … THEN 1 ELSE 0 END …) = 1` for an EXISTS over aggregates without groups, which make a row of no row, too: the planner's
/// join with the rows that fit would find none. Nothing is written twice, for each level of such queries would double.
fn of_one_group(subquery: &Query, negated: bool) -> Option<Expr> {
    let mut row = subquery.clone();
    if row.limit_clause.is_some() || row.fetch.is_some() {
        return None;
    }
    let SetExpr::Select(select) = row.body.as_mut() else { return None };
    let ungrouped = matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty()) && select.distinct.is_none();
    let many = |item: &SelectItem| super::scalars::windows_in(item) || super::tables::several_in(item);
    if !ungrouped || select.projection.iter().any(many) {
        return None;
    }
    let (condition, missing) = match select.having.take() {
        Some(having) => (having, "0"),
        // There is a row, whatever it holds.
        None if select.projection.iter().any(super::scalars::own_aggregates_in) => (there(&select.projection), "1"),
        None => return None,
    };
    let found = Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen { condition, result: number("1") }],
        else_result: Some(Box::new(number("0"))),
    };
    select.projection = vec![SelectItem::UnnamedExpr(found)];
    row.order_by = None;
    let op = if negated { BinaryOperator::NotEq } else { BinaryOperator::Eq };
    // Of no row, the planner knows some aggregates and not others.
    let answer = call("coalesce", vec![Expr::Subquery(Box::new(row)), number(missing)]);
    Some(Expr::Nested(Box::new(binary(answer, op, number("1")))))
}

/// What is true of each row of aggregates, and names what is in it once. A condition that holds whatever is counted would be computed ahead, and
/// the planner would take the row for a missing one.
fn there(items: &[SelectItem]) -> Expr {
    let counted = binary(call("count", vec![number("1")]), BinaryOperator::GtEq, number("0"));
    let made = items.iter().filter(|item| super::scalars::own_aggregates_in(item));
    let values = made.filter_map(|item| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(Expr::IsNull(Box::new(expr.clone()))),
        _ => None,
    });
    values.fold(counted, |known, value| binary(known, BinaryOperator::Or, value))
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}

/// `(SELECT count(1) …) > 0` for `EXISTS (SELECT …)`.
fn counted(expr: &Expr) -> Option<Expr> {
    let Expr::Exists { subquery, negated } = expr else { return None };
    let mut rows = subquery.as_ref().clone();
    let SetExpr::Select(select) = rows.body.as_mut() else { return None };
    // An aggregate has a row though there are none.
    if select.projection.iter().any(|item| super::scalars::aggregates_in(item) || super::tables::several_in(item)) {
        return None;
    }
    select.projection = vec![SelectItem::UnnamedExpr(call("count", vec![number("1")]))];
    rows.order_by = None;
    if rows.limit_clause.is_some() || rows.fetch.is_some() || !grouped_by_nothing(&rows) {
        return None;
    }
    let op = if *negated { BinaryOperator::Eq } else { BinaryOperator::Gt };
    Some(Expr::BinaryOp { left: Box::new(Expr::Subquery(Box::new(rows))), op, right: Box::new(number("0")) })
}

/// Visits what belongs to the select list itself, and not to subqueries in it.
struct Outermost {
    depth: usize,
    /// These are keys of ORDER BY.
    keys: bool,
}

impl VisitorMut for Outermost {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.depth == 0
            && let Some(value) = valued(expr).or_else(|| if self.keys { counted(expr) } else { None })
        {
            *expr = value;
        }
        ControlFlow::Continue(())
    }
}

/// `x op ANY (SELECT …)`, `x op ALL (SELECT …)`.
fn of_rows(left: &Expr, op: &BinaryOperator, right: &Expr, any: bool) -> Option<Expr> {
    let Expr::Subquery(query) = right else { return None };
    let (expr, subquery) = (Box::new(left.clone()), query.clone());
    Some(match (op, any) {
        (BinaryOperator::Eq, true) => Expr::InSubquery { expr, subquery, negated: false },
        (BinaryOperator::NotEq, false) => Expr::InSubquery { expr, subquery, negated: true },
        (op, true) => Expr::AnyOp { left: expr, compare_op: op.clone(), right: Box::new(array(query)), is_some: false },
        (op, false) => Expr::AllOp { left: expr, compare_op: op.clone(), right: Box::new(array(query)) },
    })
}

/// `x = ANY (array)`, and `x <> ALL (array)`, which is its opposite: a call that gets its meaning when the types are known.
fn among(left: &Expr, op: &BinaryOperator, array: &Expr, any: bool) -> Option<Expr> {
    let found = || call(ANY, vec![array.clone(), left.clone()]);
    match (op, any, array) {
        (_, _, Expr::Subquery(_)) => None,
        (BinaryOperator::Eq, true, _) => Some(found()),
        (BinaryOperator::NotEq, false, _) => {
            Some(Expr::Nested(Box::new(Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(found()) })))
        }
        _ => None,
    }
}

/// `ARRAY(SELECT …)`.
fn array(query: &Query) -> Expr {
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new("array")]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::Subquery(Box::new(plain(query))),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// `ARRAY(SELECT …)` of a query whose rows can be gathered in place.
pub(super) fn gathered(function: &mut Function) {
    if let FunctionArguments::Subquery(query) = &mut function.args
        && super::spelling::last(&function.name) == "array"
    {
        **query = plain(query);
    }
}

/// Whether a query neither groups its rows nor leaves doubles out.
fn grouped_by_nothing(query: &Query) -> bool {
    match query.body.as_ref() {
        SetExpr::Select(select) => {
            let keys = matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty());
            keys && select.distinct.is_none() && select.having.is_none()
        }
        _ => false,
    }
}

/// Whether the rows of a query can be gathered in place.
fn simple(query: &Query) -> bool {
    let simple = match query.body.as_ref() {
        SetExpr::Select(select) => {
            grouped_by_nothing(query)
                && !select.projection.iter().any(|item| {
                    !matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. })
                        || super::scalars::aggregates_in(item)
                        || super::tables::several_in(item)
                })
        }
        _ => false,
    };
    simple && query.limit_clause.is_none() && query.fetch.is_none() && query.with.is_none()
}

/// A query whose rows can be gathered in place; one with a limit, a set or groups becomes the table of another.
fn plain(query: &Query) -> Query {
    if simple(query) {
        return query.clone();
    }
    in_order(query).or_else(|| wrapped(query, "SELECT value FROM (SELECT 1) AS meshgate_rows(value)")).unwrap_or_else(|| query.clone())
}

/// The rows of an ordered query as a table with the keys of that order, by which they are gathered.
fn in_order(query: &Query) -> Option<Query> {
    let keys = match &query.order_by.as_ref()?.kind {
        OrderByKind::Expressions(keys) => keys,
        OrderByKind::All(_) => return None,
    };
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let [SelectItem::UnnamedExpr(value) | SelectItem::ExprWithAlias { expr: value, .. }] = select.projection.as_slice() else {
        return None;
    };
    if select.distinct.is_some() || super::tables::several_in(select.projection.first()?) {
        return None;
    }
    let name = |at: usize| Ident::new(format!("meshgate_key{at}"));
    let mut inner = query.clone();
    let SetExpr::Select(select) = inner.body.as_mut() else { return None };
    let alias = match select.projection.first() {
        Some(SelectItem::ExprWithAlias { alias, .. }) => Some(alias.value.clone()),
        _ => None,
    };
    for (at, key) in keys.iter().enumerate() {
        let own = key.expr.to_string();
        let expr = if own == "1" || alias.as_ref() == Some(&own) { value.clone() } else { key.expr.clone() };
        select.projection.push(SelectItem::ExprWithAlias { expr, alias: name(at) });
    }
    let mut outer = wrapped(&inner, "SELECT value FROM (SELECT 1) AS meshgate_rows ORDER BY value")?;
    let SetExpr::Select(select) = outer.body.as_mut() else { return None };
    if let TableFactor::Derived { alias: Some(TableAlias { columns, .. }), .. } = &mut select.from.first_mut()?.relation {
        let names = std::iter::once(Ident::new("value")).chain((0..keys.len()).map(name));
        *columns = names.map(|name| TableAliasColumnDef { name, data_type: None }).collect();
    }
    if let OrderByKind::Expressions(outer_keys) = &mut outer.order_by.as_mut()?.kind {
        *outer_keys = keys.clone();
        for (at, key) in outer_keys.iter_mut().enumerate() {
            key.expr = Expr::Identifier(name(at));
        }
    }
    Some(outer)
}

/// The query as the derived table of this text.
fn wrapped(query: &Query, text: &str) -> Option<Query> {
    let mut outer = Parser::new(&PostgreSqlDialect {}).try_with_sql(text).ok()?.parse_query().ok()?;
    let SetExpr::Select(select) = outer.body.as_mut() else { return None };
    let TableFactor::Derived { subquery, .. } = &mut select.from.first_mut()?.relation else { return None };
    **subquery = query.clone();
    Some(*outer)
}

/// `(a, b) IN (SELECT …)`: a row that is the same; NOT IN: no row that may be the same.
fn row_within(row: &Expr, subquery: &Query, negated: bool) -> Option<Expr> {
    let Expr::Tuple(values) = row else { return None };
    if !values.iter().all(repeatable) {
        return None;
    }
    let name = |at: usize| Ident::new(format!("meshgate_column{at}"));
    let mut outer = wrapped(subquery, "SELECT 1 FROM (SELECT 1) AS meshgate_rows WHERE true")?;
    let SetExpr::Select(select) = outer.body.as_mut() else { return None };
    if let TableFactor::Derived { alias: Some(TableAlias { columns, .. }), .. } = &mut select.from.first_mut()?.relation {
        *columns = (0..values.len()).map(|at| TableAliasColumnDef { name: name(at), data_type: None }).collect();
    }
    let binary = |left: Expr, op: BinaryOperator, right: Expr| Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) };
    let same = values.iter().enumerate().map(|(at, value)| {
        let column = || Expr::CompoundIdentifier(vec![Ident::new("meshgate_rows"), name(at)]);
        let same = binary(column(), BinaryOperator::Eq, Expr::Nested(Box::new(value.clone())));
        if !negated {
            return same;
        }
        let unknown = binary(Expr::IsNull(Box::new(column())), BinaryOperator::Or, Expr::IsNull(Box::new(value.clone())));
        Expr::Nested(Box::new(binary(same, BinaryOperator::Or, unknown)))
    });
    select.selection = same.reduce(|one, other| binary(one, BinaryOperator::And, other));
    Some(Expr::Exists { subquery: Box::new(outer), negated })
}

/// `x ~ ANY (ARRAY[…])`: operators that are not the planner's, one element at a time; and those by which it passes over NULLs.
fn each(left: &Expr, op: &BinaryOperator, right: &Expr, any: bool) -> Option<Expr> {
    use BinaryOperator as Op;
    let planned = match op {
        Op::Eq | Op::NotEq => literal(right).is_some() || !elements(right)?.iter().any(null),
        Op::Lt | Op::LtEq | Op::Gt | Op::GtEq => elements(right)?.len() > ELEMENTS_MAX,
        _ => false,
    };
    if planned || !repeatable(left) {
        return None;
    }
    let elements = elements(right)?;
    let parts = elements.iter().map(|element| Expr::BinaryOp {
        left: Box::new(left.clone()),
        op: op.clone(),
        right: Box::new(Expr::Nested(Box::new(element.clone()))),
    });
    joined(parts, any)
}

/// Elements of an array that are compared one by one.
const ELEMENTS_MAX: usize = 32;

fn null(element: &Expr) -> bool {
    matches!(element, Expr::Value(value) if value.value == Value::Null)
}

/// `x LIKE ANY (ARRAY[…])`.
fn liked(pattern: &Expr, like: impl Fn(Box<Expr>) -> Expr) -> Option<Expr> {
    joined(elements(pattern)?.iter().map(|element| like(Box::new(element.clone()))), true)
}

fn joined(parts: impl Iterator<Item = Expr>, any: bool) -> Option<Expr> {
    let op = if any { BinaryOperator::Or } else { BinaryOperator::And };
    let joined = parts.reduce(|one, other| Expr::BinaryOp { left: Box::new(one), op: op.clone(), right: Box::new(other) })?;
    Some(Expr::Nested(Box::new(joined)))
}

/// The elements of an array, of one in quotes, too.
fn elements(array: &Expr) -> Option<Cow<'_, [Expr]>> {
    if let Some(text) = literal(array) {
        let value = |element: Option<String>| element.map_or_else(|| Expr::Value(Value::Null.into()), |element| string(&element));
        return Some(semantics::elements_of(text)?.into_iter().map(value).collect::<Vec<_>>().into());
    }
    match array {
        Expr::Array(array) => Some(array.elem.as_slice().into()),
        Expr::Nested(inner) => elements(inner),
        Expr::Tuple(elements) => match elements.as_slice() {
            [one] => self::elements(one),
            _ => None,
        },
        _ => None,
    }
}

/// `x IS DISTINCT FROM '…'`, by `=`, beside which a constant in quotes gets its type.
fn distinct(left: &Expr, right: &Expr, negated: bool) -> Option<Expr> {
    if literal(left).is_none() && literal(right).is_none() {
        return None;
    }
    let side = |side: &Expr| Box::new(Expr::Nested(Box::new(side.clone())));
    let same = Expr::BinaryOp { left: side(left), op: BinaryOperator::Eq, right: side(right) };
    let same = Box::new(Expr::Nested(Box::new(same)));
    Some(Expr::Nested(Box::new(if negated { Expr::IsNotTrue(same) } else { Expr::IsTrue(same) })))
}

/// `x BETWEEN SYMMETRIC a AND b`: between them in one order or in the other.
fn symmetric(value: &Expr, negated: bool, low: &Expr, high: &Expr) -> Option<Expr> {
    let mut low = low.clone();
    let marked = unmarked(&mut low);
    (marked && [value, &low, high].into_iter().all(repeatable)).then(|| {
        let between = |low: &Expr, high: &Expr| Expr::Between {
            expr: Box::new(value.clone()),
            negated: false,
            low: Box::new(Expr::Nested(Box::new(low.clone()))),
            high: Box::new(Expr::Nested(Box::new(high.clone()))),
        };
        let either = Expr::BinaryOp { left: Box::new(between(&low, high)), op: BinaryOperator::Or, right: Box::new(between(high, &low)) };
        let either = Expr::Nested(Box::new(either));
        if negated { Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(either) } } else { either }
    })
}

/// Whether it may be written twice: what is itself written twice would grow with the power of its depth.
pub(super) fn repeatable(expr: &Expr) -> bool {
    struct Finder(bool);
    impl Visitor for Finder {
        type Break = ();

        fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            self.0 = true;
            ControlFlow::Break(())
        }

        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            let several = matches!(
                expr,
                Expr::AnyOp { .. }
                    | Expr::AllOp { .. }
                    | Expr::Tuple(_)
                    | Expr::Like { any: true, .. }
                    | Expr::ILike { any: true, .. }
                    | Expr::UnaryOp { op: UnaryOperator::PGPrefixFactorial, .. }
            );
            self.0 |= several;
            if several { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }
    let mut finder = Finder(false);
    let _ = expr.visit(&mut finder);
    !finder.0
}

/// Takes the mark of [`super::tokens`] from where the expression begins; whether it was there.
fn unmarked(expr: &mut Expr) -> bool {
    match expr {
        Expr::UnaryOp { op: UnaryOperator::PGPrefixFactorial, expr: inner } => {
            *expr = inner.as_ref().clone();
            true
        }
        Expr::BinaryOp { left: inner, .. }
        | Expr::Cast { expr: inner, .. }
        | Expr::AtTimeZone { timestamp: inner, .. }
        | Expr::Collate { expr: inner, .. }
        | Expr::CompoundFieldAccess { root: inner, .. } => unmarked(inner),
        _ => false,
    }
}

/// `- x ^ y` is `(- x) ^ y`.
pub(super) fn signed_power(op: UnaryOperator, operand: &Expr) -> Option<Expr> {
    fn sign(power: &Expr, op: UnaryOperator) -> Option<Expr> {
        let Expr::BinaryOp { left, op: caret @ BinaryOperator::PGExp, right } = power else { return None };
        let left = sign(left, op).unwrap_or_else(|| Expr::Nested(Box::new(Expr::UnaryOp { op, expr: left.clone() })));
        Some(Expr::BinaryOp { left: Box::new(left), op: caret.clone(), right: right.clone() })
    }
    if matches!(op, UnaryOperator::Minus | UnaryOperator::Plus) { sign(operand, op) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(sql: &str) -> Option<String> {
        let expr = Parser::new(&PostgreSqlDialect {}).try_with_sql(sql).unwrap().parse_expr().unwrap();
        condition(&expr).map(|expr| expr.to_string())
    }

    #[test]
    fn subqueries_become_joins_or_arrays() {
        assert_eq!(spelled("x = ANY (SELECT y FROM t)").unwrap(), "x IN (SELECT y FROM t)");
        assert_eq!(spelled("x <> ALL (SELECT y FROM t)").unwrap(), "x NOT IN (SELECT y FROM t)");
        assert_eq!(spelled("x > ALL (SELECT y FROM t)").unwrap(), "x > ALL(array(SELECT y FROM t))");
        assert!(spelled("x > ALL (SELECT y FROM t LIMIT 3)").unwrap().contains("FROM (SELECT y FROM t LIMIT 3)"));
        assert_eq!(spelled("x = ANY (y)").unwrap(), "meshgate_any(y, x)");
        assert_eq!(spelled("x <> ALL (y)").unwrap(), "(NOT meshgate_any(y, x))");
        let nested = (0..6).fold("1".to_owned(), |inner, _| format!("(1 = ANY (ARRAY[({inner})]))::int"));
        let mut parser = Parser::new(&PostgreSqlDialect {}).try_with_sql(&nested).unwrap();
        let Expr::Cast { expr, .. } = parser.parse_expr().unwrap() else { panic!("no cast") };
        let Expr::Nested(expr) = *expr else { panic!("no parentheses") };
        assert!(too_deep(&expr) && !too_deep(&Expr::Nested(expr)));
    }

    #[test]
    fn rows_are_gathered_in_their_order() {
        let gathered = |sql: &str| {
            let query = Parser::new(&PostgreSqlDialect {}).try_with_sql(sql).unwrap().parse_query().unwrap();
            plain(&query).to_string()
        };
        assert_eq!(gathered("SELECT y FROM t ORDER BY z"), "SELECT y FROM t ORDER BY z");
        assert_eq!(
            gathered("SELECT y FROM t ORDER BY 1, z DESC LIMIT 3"),
            "SELECT value FROM (SELECT y, y AS meshgate_key0, z AS meshgate_key1 FROM t ORDER BY 1, z DESC LIMIT 3) \
             AS meshgate_rows (value, meshgate_key0, meshgate_key1) ORDER BY meshgate_key0, meshgate_key1 DESC"
        );
        assert!(gathered("SELECT generate_series(1, 3)").starts_with("SELECT value FROM (SELECT generate_series(1, 3)) AS"));
    }

    #[test]
    fn bounds_come_in_either_order() {
        assert_eq!(spelled("x BETWEEN !! a + 1 AND b").unwrap(), "(x BETWEEN (a + 1) AND (b) OR x BETWEEN (b) AND (a + 1))");
        assert_eq!(spelled("x BETWEEN a AND b"), None);
    }

    #[test]
    fn patterns_are_matched_one_by_one() {
        assert_eq!(spelled("x LIKE ANY (ARRAY['a', 'b'])").unwrap(), "(x LIKE 'a' OR x LIKE 'b')");
        assert_eq!(spelled("x ~ ALL (ARRAY['a', 'b'])").unwrap(), "(x ~ ('a') AND x ~ ('b'))");
    }

    #[test]
    fn a_sign_binds_closer_than_a_power() {
        let Expr::UnaryOp { op, expr } = Parser::new(&PostgreSqlDialect {}).try_with_sql("-2 ^ 3 ^ 2").unwrap().parse_expr().unwrap()
        else {
            panic!("no sign")
        };
        assert_eq!(signed_power(op, &expr).unwrap().to_string(), "(-2) ^ 3 ^ 2");
    }
}
