//! The order of distinct rows: by the places of what they are sorted by, for the planner knows a computed column by its name alone.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, Ident, ObjectNamePart, OrderByKind, Query, SelectItem, SetExpr, visit_expressions_mut,
};

use crate::catalog::folded;
use crate::error::{ClientMessage, SqlState};

use super::spelling::{Flow, number};

/// Puts the place of a column where distinct rows are sorted by what it is computed from, and refuses to sort them by what is not in them.
pub(super) fn placed(query: &mut Query) -> Flow {
    let (SetExpr::Select(select), Some(OrderByKind::Expressions(keys))) =
        (query.body.as_ref(), query.order_by.as_mut().map(|order| &mut order.kind))
    else {
        return ControlFlow::Continue(());
    };
    if !matches!(select.distinct, Some(Distinct::Distinct)) {
        return ControlFlow::Continue(());
    }
    let of_one_table = select.from.iter().map(|from| 1 + from.joins.len()).sum::<usize>() <= 1;
    let mut columns = Vec::new();
    for item in &select.projection {
        match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => columns.push(compared(expr, of_one_table)),
            // Which columns these are, only the planner knows.
            _ => return ControlFlow::Continue(()),
        }
    }
    for key in keys.iter_mut().filter(|key| !matches!(key.expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Value(_))) {
        let wanted = compared(&key.expr, of_one_table);
        let Some(place) = columns.iter().position(|column| *column == wanted) else {
            let message = "for SELECT DISTINCT, ORDER BY expressions must appear in select list";
            return ControlFlow::Break(Box::new(ClientMessage::new(SqlState::INVALID_COLUMN_REFERENCE, message)));
        };
        key.expr = number(&place.saturating_add(1).to_string());
    }
    ControlFlow::Continue(())
}

/// An expression as it is compared with another one, its names folded. Among the columns of one table, that table's name says nothing.
fn compared(expr: &Expr, of_one_table: bool) -> Expr {
    let mut expr = expr.clone();
    while let Expr::Nested(inner) = expr {
        expr = *inner;
    }
    let plain = |name: &Ident| Ident::with_quote('"', folded(name));
    let _walked = visit_expressions_mut(&mut expr, |part| {
        match part {
            Expr::Identifier(name) => *name = plain(name),
            Expr::CompoundIdentifier(names) => match names.last().filter(|_| of_one_table).map(plain) {
                Some(last) => *part = Expr::Identifier(last),
                None => names.iter_mut().for_each(|name| *name = plain(name)),
            },
            Expr::Function(call) => {
                for name in call.name.0.iter_mut().filter_map(|name| match name {
                    ObjectNamePart::Identifier(name) => Some(name),
                    _ => None,
                }) {
                    *name = plain(name);
                }
            }
            _ => {}
        }
        ControlFlow::<()>::Continue(())
    });
    expr
}
