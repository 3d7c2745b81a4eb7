//! Columns that stand beside a `*` of the same name: `SELECT upper(city) AS city, * FROM t`, `SELECT id, t.* FROM t`; and aggregates that
//! differ in a cast alone: `SELECT max(x), max(x::text) FROM t`.
//!
//! The planner wants each name of a SELECT once, and only it knows what a `*` stands for. So a name that it found twice is numbered where it
//! is written, and the statement is planned again; the client is shown the name without the number.

use std::ops::ControlFlow;

use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use datafusion::sql::parser::Statement as Ast;
use datafusion::sql::sqlparser::ast::{Expr, Ident, Select, SelectItem, Value, VisitMut, VisitorMut};

use crate::catalog::folded;
use crate::catalog::system::numbered;
use crate::engine::semantics::APART;

use super::spelling::{call, last, literal, number};

/// The statement in which the name that was found twice is written once; `None` if it does not stand beside a `*`.
pub(in crate::engine) fn apart(ast: &Ast, error: &DataFusionError) -> Option<Ast> {
    let Ast::Statement(statement) = ast else { return None };
    let mut beside = Beside { name: doubled(error)?, found: false };
    let mut statement = statement.clone();
    let _ = statement.visit(&mut beside);
    if beside.found {
        return Some(Ast::Statement(statement));
    }
    let mut casts = Casts::default();
    let _ = statement.visit(&mut casts);
    casts.told.then_some(Ast::Statement(statement))
}

/// Tells casts within functions apart, for a call's name leaves casts out.
#[derive(Default)]
struct Casts {
    /// Functions around.
    depth: usize,
    known: Vec<String>,
    told: bool,
}

impl VisitorMut for Casts {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr {
            if last(&function.name) == APART {
                // They were told apart, and it did not help.
                self.told = false;
                return ControlFlow::Break(());
            }
            self.depth += 1;
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Function(_) => self.depth -= 1,
            Expr::Cast { expr: value, .. } if self.depth > 0 && literal(value).is_none() => {
                let text = expr.to_string();
                let place = self.known.iter().position(|known| *known == text).unwrap_or_else(|| {
                    self.known.push(text);
                    self.known.len() - 1
                });
                let cast = std::mem::replace(expr, Expr::Value(Value::Null.into()));
                *expr = call(APART, vec![number(&place.to_string()), cast]);
                self.told = true;
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// The name that was found twice.
fn doubled(error: &DataFusionError) -> Option<String> {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => doubled(inner),
        DataFusionError::Shared(inner) => doubled(inner),
        DataFusionError::Collection(errors) => errors.first().and_then(doubled),
        DataFusionError::SchemaError(inner, _) => match inner.as_ref() {
            SchemaError::AmbiguousReference { field } => Some(field.name.clone()),
            SchemaError::DuplicateQualifiedField { name, .. } | SchemaError::DuplicateUnqualifiedField { name } => Some(name.clone()),
            SchemaError::FieldNotFound { .. } => None,
        },
        DataFusionError::Plan(text) => {
            let (_, rest) = text.split_once("require unique expression names but the expression \"")?;
            let (path, _) = rest.split_once("\" at position")?;
            Some(path.rsplit('.').next().unwrap_or(path).to_owned())
        }
        _ => None,
    }
}

struct Beside {
    name: String,
    found: bool,
}

impl VisitorMut for Beside {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let spreads = |item: &SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
        if !select.projection.iter().any(spreads) {
            return ControlFlow::Continue(());
        }
        for (at, item) in select.projection.iter_mut().enumerate() {
            let named = match item {
                SelectItem::ExprWithAlias { alias, .. } => folded(alias) == self.name,
                SelectItem::UnnamedExpr(Expr::Identifier(ident)) => folded(ident) == self.name,
                SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => parts.last().is_some_and(|part| folded(part) == self.name),
                _ => false,
            };
            if let (true, SelectItem::ExprWithAlias { expr, .. } | SelectItem::UnnamedExpr(expr)) = (named, &*item) {
                let alias = Ident::with_quote('"', numbered(&self.name, at));
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
                self.found = true;
            }
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use datafusion::common::Column;
    use datafusion::sql::sqlparser::{dialect::PostgreSqlDialect, parser::Parser};

    use super::*;

    fn written(sql: &str, error: &DataFusionError) -> Option<String> {
        let statement = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap().remove(0);
        apart(&Ast::Statement(Box::new(statement)), error).map(|ast| ast.to_string())
    }

    #[test]
    fn casts_within_functions_are_told_apart() {
        let doubled = SchemaError::DuplicateUnqualifiedField { name: "max(t.x)".to_owned() };
        let error = DataFusionError::SchemaError(Box::new(doubled), Box::new(None));
        let sql = "SELECT max(x::TEXT), x::TEXT, max(x::DATE) FROM t HAVING max(x::TEXT) > ''";
        let one = format!("max({APART}(0, x::TEXT))");
        let expected = format!("SELECT {one}, x::TEXT, max({APART}(1, x::DATE)) FROM t HAVING {one} > ''");
        assert_eq!(written(sql, &error).unwrap(), expected);
        // Once is enough.
        assert_eq!(written(&expected, &error), None);
    }

    #[test]
    fn a_name_beside_a_star_is_numbered() {
        let field = Box::new(Column::from_name("city"));
        let ambiguous = DataFusionError::SchemaError(Box::new(SchemaError::AmbiguousReference { field }), Box::new(None));
        let numbered = |at: usize| numbered("city", at);
        let expected = format!("SELECT upper(city) AS \"{}\", city || 'x' AS a, * FROM t", numbered(0));
        assert_eq!(written("SELECT upper(city) AS City, city || 'x' AS a, * FROM t", &ambiguous).unwrap(), expected);
        let text =
            "Projections require unique expression names but the expression \"s.t.city\" at position 1 and \"s.t.city\" at position 2";
        let expected = format!("SELECT id, t.city AS \"{}\", t.* FROM t", numbered(1));
        assert_eq!(written("SELECT id, t.city, t.* FROM t", &DataFusionError::Plan(text.to_owned())).unwrap(), expected);
        // Without a star the name is the user's to tell apart.
        assert_eq!(written("SELECT city FROM t JOIN u ON true", &ambiguous), None);
        assert_eq!(written("SELECT id, * FROM t JOIN u ON true", &ambiguous), None);
    }
}
