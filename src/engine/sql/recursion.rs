//! Recursive queries of WITH: the forms that PostgreSQL refuses, each with the place of the reference.
//!
//! The engine would run most of them, and some without an end.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Cte, Expr, Ident, JoinConstraint, JoinOperator, LimitClause, Query, Select, SetExpr, SetOperator, Spanned, Statement, TableFactor,
    TableWithJoins, Visit, Visitor, With,
};
use datafusion::sql::sqlparser::tokenizer::Location;

use crate::catalog::folded;
use crate::error::{ClientMessage, SqlState};

use super::lexer::Piece;
use super::spelling::Flow;
use super::{misplaced, using};

/// Refuses recursive queries that PostgreSQL refuses.
pub(super) fn check(statement: &Statement, piece: &Piece) -> Result<(), ClientMessage> {
    match statement.visit(&mut Recursive { piece }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(refusal) => Err(*refusal),
    }
}

struct Recursive<'a> {
    piece: &'a Piece,
}

impl Visitor for Recursive<'_> {
    type Break = Box<ClientMessage>;

    fn pre_visit_query(&mut self, query: &Query) -> Flow {
        let Some(With { recursive: true, cte_tables, .. }) = &query.with else { return ControlFlow::Continue(()) };
        cte_tables.iter().filter(|cte| names(cte.query.as_ref(), &folded(&cte.alias.name)).is_some()).try_for_each(|cte| self.formed(cte))
    }
}

/// Where a reference stands that may not be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    /// Where it may.
    Term,
    FirstTerm,
    OuterJoin,
    Intersect,
    Except,
}

impl Within {
    fn words(self) -> Option<&'static str> {
        match self {
            Self::Term => None,
            Self::FirstTerm => Some("its non-recursive term"),
            Self::OuterJoin => Some("an outer join"),
            Self::Intersect => Some("INTERSECT"),
            Self::Except => Some("EXCEPT"),
        }
    }
}

impl Recursive<'_> {
    fn refuse(&self, sqlstate: SqlState, text: String, place: Location) -> Flow {
        let mut message = ClientMessage::new(sqlstate, text);
        message.position = if place.line > 0 { self.piece.position(place) } else { None };
        ControlFlow::Break(Box::new(message))
    }

    fn formed(&self, cte: &Cte) -> Flow {
        let (query, name) = (cte.query.as_ref(), folded(&cte.alias.name));
        let SetExpr::SetOperation { op: SetOperator::Union, left, right, .. } = query.body.as_ref() else {
            let text = format!("recursive query \"{name}\" does not have the form non-recursive-term UNION [ALL] recursive-term");
            return self.refuse(SqlState::INVALID_RECURSION, text, cte.alias.name.span.start);
        };
        let mut references = References { around: self, name: &name, found: 0 };
        references.body(left, Within::FirstTerm)?;
        references.body(right, Within::Term)?;
        let clause = match &query.limit_clause {
            _ if query.order_by.is_some() => "ORDER BY",
            Some(LimitClause::LimitOffset { limit: None, offset: Some(_), .. }) if query.fetch.is_none() => "OFFSET",
            None if query.fetch.is_none() => return ControlFlow::Continue(()),
            _ => "LIMIT",
        };
        let text = format!("{clause} in a recursive query is not implemented");
        self.refuse(SqlState::FEATURE_NOT_SUPPORTED, text, Location { line: 0, column: 0 })
    }
}

/// The place at which a table of this name is read.
fn names(node: &impl Visit, name: &str) -> Option<Location> {
    struct Finder<'a>(&'a str);
    impl Visitor for Finder<'_> {
        type Break = Location;

        fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Location> {
            match read(factor) {
                Some(ident) if folded(ident) == self.0 => ControlFlow::Break(factor.span().start),
                _ => ControlFlow::Continue(()),
            }
        }
    }
    match node.visit(&mut Finder(name)) {
        ControlFlow::Break(place) => Some(place),
        ControlFlow::Continue(()) => None,
    }
}

/// The name of a table without a schema.
fn read(factor: &TableFactor) -> Option<&Ident> {
    match factor {
        TableFactor::Table { name, args: None, .. } => match name.0.as_slice() {
            [part] => part.as_ident(),
            _ => None,
        },
        _ => None,
    }
}

/// The references of a recursive query to itself.
struct References<'a> {
    around: &'a Recursive<'a>,
    name: &'a str,
    found: usize,
}

impl References<'_> {
    fn misplaced(&self, within: &str, place: Location) -> Flow {
        let text = format!("recursive reference to query \"{}\" must not appear {within}", self.name);
        self.around.refuse(SqlState::INVALID_RECURSION, text, place)
    }

    fn query(&mut self, query: &Query, within: Within) -> Flow {
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            // From here on the name is another query's.
            if folded(&cte.alias.name) == self.name {
                return ControlFlow::Continue(());
            }
            self.query(&cte.query, within)?;
        }
        self.body(&query.body, within)
    }

    fn body(&mut self, body: &SetExpr, within: Within) -> Flow {
        match body {
            SetExpr::Select(select) => self.select(select, within),
            SetExpr::Query(query) => self.query(query, within),
            SetExpr::SetOperation { left, right, op, .. } => {
                let inside = |found: Within| if within == Within::Term { found } else { within };
                let (of_left, of_right) = match op {
                    SetOperator::Intersect => (inside(Within::Intersect), inside(Within::Intersect)),
                    SetOperator::Except | SetOperator::Minus => (within, inside(Within::Except)),
                    SetOperator::Union => (within, within),
                };
                self.body(left, of_left)?;
                self.body(right, of_right)
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn select(&mut self, select: &Select, within: Within) -> Flow {
        let before = self.found;
        for from in &select.from {
            self.from(from, within)?;
        }
        let own = self.found > before;
        let conditions = [&select.selection, &select.having];
        let subquery = names(&select.projection, self.name).or_else(|| conditions.into_iter().find_map(|part| names(part, self.name)));
        if let Some(place) = subquery {
            return self.misplaced("within a subquery", place);
        }
        let direct = |from: &TableWithJoins| {
            let mut factors = std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation));
            factors.any(|factor| read(factor).is_some_and(|ident| folded(ident) == self.name))
        };
        match misplaced::first_aggregate(&select.projection).or_else(|| misplaced::first_aggregate(&select.having)) {
            Some(place) if own && select.from.iter().any(direct) => {
                let text = "aggregate functions are not allowed in a recursive query's recursive term";
                self.around.refuse(SqlState::INVALID_RECURSION, text.to_owned(), place)
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn from(&mut self, from: &TableWithJoins, within: Within) -> Flow {
        let filled = |at: usize| {
            let own = at.checked_sub(1).and_then(|at| from.joins.get(at)).map(|join| &join.join_operator);
            let fills_own = matches!(own, Some(JoinOperator::Left(_) | JoinOperator::LeftOuter(_) | JoinOperator::FullOuter(_)));
            let fills_left = |operator: &JoinOperator| {
                matches!(operator, JoinOperator::Right(_) | JoinOperator::RightOuter(_) | JoinOperator::FullOuter(_))
            };
            fills_own || from.joins.iter().skip(at).any(|join| fills_left(&join.join_operator))
        };
        for (at, factor) in std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)).enumerate() {
            let within = if within == Within::Term && filled(at) { Within::OuterJoin } else { within };
            self.factor(factor, within)?;
        }
        for join in &from.joins {
            if let Some((JoinConstraint::On(condition), _)) = using::constraint(&join.join_operator)
                && let Some(place) = names(condition as &Expr, self.name)
            {
                return self.misplaced("within a subquery", place);
            }
        }
        ControlFlow::Continue(())
    }

    fn factor(&mut self, factor: &TableFactor, within: Within) -> Flow {
        match factor {
            TableFactor::Derived { subquery, .. } => self.query(subquery, within),
            TableFactor::NestedJoin { table_with_joins, .. } => self.from(table_with_joins, within),
            factor if read(factor).is_some_and(|ident| folded(ident) == self.name) => {
                let place = factor.span().start;
                if let Some(words) = within.words() {
                    return self.misplaced(&format!("within {words}"), place);
                }
                self.found += 1;
                if self.found > 1 {
                    return self.misplaced("more than once", place);
                }
                ControlFlow::Continue(())
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, TextLimits, parse};

    fn told(terms: &str) -> Option<(&'static str, String)> {
        let sql = format!("WITH RECURSIVE x(n) AS ({terms}) SELECT * FROM x");
        match parse(&sql, &TextLimits::default()).unwrap().remove(0).kind {
            Kind::Refused(message) => Some((message.sqlstate.as_str(), message.message)),
            _ => None,
        }
    }

    #[test]
    fn a_query_goes_on_from_its_own_rows_once() {
        let within = |place: &str| Some(("42P19", format!("recursive reference to query \"x\" must not appear {place}")));
        for (term, place) in [
            ("SELECT (SELECT * FROM x) FROM x", "within a subquery"),
            ("SELECT n FROM t WHERE n IN (SELECT n FROM x)", "within a subquery"),
            ("SELECT t.n FROM t LEFT JOIN x ON true", "within an outer join"),
            ("SELECT t.n FROM x RIGHT JOIN t ON true", "within an outer join"),
            ("SELECT t.n FROM (x JOIN u ON true) FULL JOIN t ON true", "within an outer join"),
            ("(SELECT 1 EXCEPT SELECT n FROM x)", "within EXCEPT"),
            ("(SELECT n FROM x INTERSECT SELECT 1)", "within INTERSECT"),
            ("SELECT a.n FROM x AS a, x AS b", "more than once"),
        ] {
            assert_eq!(told(&format!("SELECT 1 UNION ALL {term}")), within(place), "{term}");
        }
        assert_eq!(told("SELECT n FROM x UNION SELECT 1"), within("within its non-recursive term"));
        for fine in [
            "SELECT n + 1 FROM x WHERE n < 3",
            "SELECT x.n FROM x LEFT JOIN t ON x.n = t.n",
            "SELECT s.n FROM (SELECT * FROM x) AS s JOIN t ON true",
            "(SELECT n FROM x EXCEPT SELECT 1)",
            "SELECT y.n FROM (WITH x AS (SELECT 1) SELECT * FROM x) AS y",
        ] {
            assert_eq!(told(&format!("SELECT 1 UNION ALL {fine}")), None, "{fine}");
        }
    }

    #[test]
    fn a_query_has_the_form_of_a_recursion() {
        assert_eq!(told("SELECT n FROM x").map(|told| told.0), Some("42P19"));
        assert_eq!(told("SELECT 1 EXCEPT SELECT n FROM x").map(|told| told.0), Some("42P19"));
        assert_eq!(told("SELECT 1 UNION ALL SELECT count(*) FROM x").map(|told| told.0), Some("42P19"));
        assert_eq!(told("SELECT 1 UNION ALL SELECT n FROM x ORDER BY 1").map(|told| told.0), Some("0A000"));
        assert_eq!(told("SELECT 1 UNION ALL SELECT 2 ORDER BY 1"), None);
    }
}
