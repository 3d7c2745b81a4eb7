//! Forms that the parser reads and PostgreSQL refuses, whatever the types: joins without a condition, frames that end before they begin, windows
//! and queries of WITH by the wrong name, rows of an array that differ in length.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Array, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, JoinConstraint,
    JoinOperator, Query, Select, SetExpr, Spanned, Statement, TableFactor, UnaryOperator, Value, ValueWithSpan, Visit, Visitor,
    WindowFrame, WindowFrameBound, WindowType,
};
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};

use crate::catalog::folded;
use crate::error::{ClientMessage, SqlState};

use super::grammar::syntax_error;
use super::lexer::Piece;
use super::spelling::last;

type Flow = ControlFlow<Box<ClientMessage>>;

/// Refuses a statement of such a form.
pub(super) fn check(statement: &Statement, piece: &Piece, tokens: &[TokenWithSpan]) -> Result<(), ClientMessage> {
    match statement.visit(&mut Malformed { piece, tokens }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(refusal) => Err(*refusal),
    }
}

struct Malformed<'a> {
    piece: &'a Piece,
    tokens: &'a [TokenWithSpan],
}

impl Malformed<'_> {
    fn refuse(&self, sqlstate: SqlState, text: impl Into<String>, place: Option<Location>) -> Flow {
        let mut message = ClientMessage::new(sqlstate, text);
        message.position = place.filter(|place| place.line > 0).and_then(|place| self.piece.position(place));
        ControlFlow::Break(Box::new(message))
    }

    fn behind(&self, place: Location) -> impl Iterator<Item = &TokenWithSpan> {
        self.tokens.iter().filter(move |token| token.span.start >= place)
    }

    /// A join that is neither CROSS nor NATURAL has a condition.
    fn conditional(&self, operator: &JoinOperator, relation: &TableFactor) -> Flow {
        let bare = matches!(
            operator,
            JoinOperator::Join(JoinConstraint::None)
                | JoinOperator::Inner(JoinConstraint::None)
                | JoinOperator::Left(JoinConstraint::None)
                | JoinOperator::LeftOuter(JoinConstraint::None)
                | JoinOperator::Right(JoinConstraint::None)
                | JoinOperator::RightOuter(JoinConstraint::None)
                | JoinOperator::FullOuter(JoinConstraint::None)
        );
        if !bare {
            return ControlFlow::Continue(());
        }
        let next =
            self.behind(relation.span().end).find(|token| token.token != Token::RParen || matches!(relation, TableFactor::Table { .. }));
        ControlFlow::Break(Box::new(syntax_error(self.piece, next)))
    }

    fn windows(&self, select: &Select) -> Flow {
        let known: Vec<String> = select.named_window.iter().map(|window| folded(&window.0)).collect();
        struct Named<'a> {
            known: &'a [String],
            depth: usize,
        }
        impl Visitor for Named<'_> {
            type Break = (String, Location);

            fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<Self::Break> {
                self.depth += 1;
                ControlFlow::Continue(())
            }

            fn post_visit_query(&mut self, _: &Query) -> ControlFlow<Self::Break> {
                self.depth = self.depth.saturating_sub(1);
                ControlFlow::Continue(())
            }

            fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Self::Break> {
                let Expr::Function(call) = expr else { return ControlFlow::Continue(()) };
                let name = match &call.over {
                    Some(WindowType::NamedWindow(name)) => name,
                    Some(WindowType::WindowSpec(window)) => match &window.window_name {
                        Some(name) => name,
                        None => return ControlFlow::Continue(()),
                    },
                    None => return ControlFlow::Continue(()),
                };
                if self.depth > 0 || self.known.contains(&folded(name)) {
                    return ControlFlow::Continue(());
                }
                ControlFlow::Break((folded(name), name.span.start))
            }
        }
        match select.projection.visit(&mut Named { known: &known, depth: 0 }) {
            ControlFlow::Break((name, place)) => {
                self.refuse(SqlState::UNDEFINED_OBJECT, format!("window \"{name}\" does not exist"), Some(place))
            }
            ControlFlow::Continue(()) => ControlFlow::Continue(()),
        }
    }

    fn call(&self, call: &Function) -> Flow {
        let FunctionArguments::List(list) = &call.args else { return ControlFlow::Continue(()) };
        let star = matches!(list.args.as_slice(), [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)]);
        if star && matches!(list.duplicate_treatment, Some(DuplicateTreatment::Distinct)) {
            let star = self.behind(call.name.span().end).find(|token| token.token == Token::Mul);
            return ControlFlow::Break(Box::new(syntax_error(self.piece, star)));
        }
        let Some(over) = &call.over else { return ControlFlow::Continue(()) };
        let counted = match last(&call.name).as_str() {
            "ntile" => constant(list, 0).map(|count| (count, SqlState::INVALID_ARGUMENT_FOR_NTILE, "ntile")),
            "nth_value" => constant(list, 1).map(|count| (count, SqlState::INVALID_ARGUMENT_FOR_NTH_VALUE, "nth_value")),
            _ => None,
        };
        if let Some((_, sqlstate, name)) = counted.filter(|(count, ..)| *count <= 0) {
            return self.refuse(sqlstate, format!("argument of {name} must be greater than zero"), None);
        }
        match over {
            WindowType::WindowSpec(window) => match &window.window_frame {
                Some(frame) => self.frame(frame, call.name.span().end),
                None => ControlFlow::Continue(()),
            },
            WindowType::NamedWindow(_) => ControlFlow::Continue(()),
        }
    }

    /// A frame ends where it begins, or behind it.
    fn frame(&self, frame: &WindowFrame, from: Location) -> Flow {
        use WindowFrameBound::{CurrentRow, Following, Preceding};
        let refuse = |text: &str, end: bool| self.refuse(SqlState::WINDOWING_ERROR, text, self.bound(from, end));
        match (&frame.start_bound, &frame.end_bound) {
            (Following(None), _) => refuse("frame start cannot be UNBOUNDED FOLLOWING", false),
            (_, Some(Preceding(None))) => refuse("frame end cannot be UNBOUNDED PRECEDING", true),
            (Following(Some(_)), None) => refuse("frame starting from following row cannot end with current row", false),
            (CurrentRow, Some(Preceding(Some(_)))) => refuse("frame starting from current row cannot have preceding rows", true),
            (Following(Some(_)), Some(Preceding(Some(_)) | CurrentRow)) => {
                refuse("frame starting from following row cannot have preceding rows", true)
            }
            _ => ControlFlow::Continue(()),
        }
    }

    /// Where a bound of the first frame behind a place stands.
    fn bound(&self, from: Location, end: bool) -> Option<Location> {
        let word = |token: &TokenWithSpan, wanted: &[&str]| match &token.token {
            Token::Word(found) => wanted.iter().any(|word| found.value.eq_ignore_ascii_case(word)),
            _ => false,
        };
        let mut rest = self.behind(from).skip_while(|token| !word(token, &["rows", "range", "groups"])).skip(1).peekable();
        if rest.peek().is_some_and(|token| word(token, &["between"])) {
            rest.next();
        }
        let mut rest = rest.skip_while(|token| end && !word(token, &["and"]));
        if end {
            rest.next();
        }
        rest.next().map(|token| token.span.start)
    }

    /// The rows of an array that is written with its rows have one length.
    fn even(&self, array: &Array) -> Flow {
        let length = |element: &Expr| match element {
            Expr::Array(inner) => Some(inner.elem.len()),
            _ => None,
        };
        let Some(first) = array.elem.first().and_then(length) else { return ControlFlow::Continue(()) };
        if array.elem.iter().filter_map(length).any(|other| other != first) {
            let text = "multidimensional arrays must have array expressions with matching dimensions";
            return self.refuse(SqlState::ARRAY_SUBSCRIPT_ERROR, text, None);
        }
        ControlFlow::Continue(())
    }
}

/// The whole number that an argument is.
fn constant(list: &FunctionArgumentList, at: usize) -> Option<i64> {
    let FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)) = list.args.get(at)? else { return None };
    let digits = |expr: &Expr| match expr {
        Expr::Value(ValueWithSpan { value: Value::Number(digits, _), .. }) => digits.parse::<i64>().ok(),
        _ => None,
    };
    match argument {
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => digits(expr).map(|count| -count),
        argument => digits(argument),
    }
}

/// How many columns a SELECT has, if it says so.
fn width(body: &SetExpr) -> Option<usize> {
    use datafusion::sql::sqlparser::ast::SelectItem;
    match body {
        SetExpr::Select(select) => {
            let named = |item: &SelectItem| matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. });
            select.projection.iter().all(named).then_some(select.projection.len())
        }
        SetExpr::Query(query) => width(&query.body),
        SetExpr::SetOperation { left, .. } => width(left),
        SetExpr::Values(values) => values.rows.first().map(|row| row.content.len()),
        _ => None,
    }
}

impl Visitor for Malformed<'_> {
    type Break = Box<ClientMessage>;

    fn pre_visit_query(&mut self, query: &Query) -> Flow {
        let Some(with) = &query.with else { return ControlFlow::Continue(()) };
        let mut names: Vec<String> = Vec::new();
        for cte in &with.cte_tables {
            let (name, place) = (folded(&cte.alias.name), cte.alias.name.span.start);
            if names.contains(&name) {
                let text = format!("WITH query name \"{name}\" specified more than once");
                return self.refuse(SqlState::DUPLICATE_ALIAS, text, Some(place));
            }
            if let Some(columns) = width(&cte.query.body).filter(|columns| *columns < cte.alias.columns.len()) {
                let given = cte.alias.columns.len();
                let text = format!("WITH query \"{name}\" has {columns} columns available but {given} columns specified");
                return self.refuse(SqlState::INVALID_COLUMN_REFERENCE, text, Some(place));
            }
            names.push(name);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> Flow {
        for join in select.from.iter().flat_map(|from| &from.joins) {
            self.conditional(&join.join_operator, &join.relation)?;
        }
        self.windows(select)
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> Flow {
        match expr {
            Expr::Function(call) => self.call(call),
            Expr::Array(array) => self.even(array),
            _ => ControlFlow::Continue(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, TextLimits, parse};

    fn told(sql: &str) -> (String, Option<usize>, String) {
        let message = match parse(sql, &TextLimits::default()) {
            Err(message) => message,
            Ok(mut statements) => match statements.remove(0).kind {
                Kind::Refused(message) => message,
                _ => panic!("not refused: {sql}"),
            },
        };
        (message.sqlstate.as_str().to_owned(), message.position, message.message)
    }

    #[test]
    fn what_postgresql_does_not_read_is_refused() {
        for (sql, state, position, text) in [
            ("SELECT 1 FROM a JOIN b", "42601", Some(23), "syntax error at end of input"),
            ("SELECT 1 FROM a LEFT JOIN b c WHERE true", "42601", Some(31), "syntax error at or near \"WHERE\""),
            ("SELECT count(DISTINCT *) FROM a", "42601", Some(23), "syntax error at or near \"*\""),
            ("SELECT rank() OVER w FROM a", "42704", Some(20), "window \"w\" does not exist"),
            (
                "SELECT sum(1) OVER (ROWS BETWEEN 1 FOLLOWING AND 1 PRECEDING)",
                "42P20",
                Some(50),
                "frame starting from following row cannot have preceding rows",
            ),
            (
                "SELECT sum(1) OVER (ROWS BETWEEN UNBOUNDED FOLLOWING AND CURRENT ROW)",
                "42P20",
                Some(34),
                "frame start cannot be UNBOUNDED FOLLOWING",
            ),
            ("SELECT ntile(-1) OVER () FROM a", "22014", None, "argument of ntile must be greater than zero"),
            ("SELECT nth_value(1, 0) OVER ()", "22016", None, "argument of nth_value must be greater than zero"),
            ("SELECT array[[1, 2], [3]]", "2202E", None, "multidimensional arrays must have array expressions with matching dimensions"),
            ("WITH x AS (SELECT 1), x AS (SELECT 2) SELECT 1", "42712", Some(23), "WITH query name \"x\" specified more than once"),
            ("WITH x(a, b) AS (SELECT 1) SELECT 1", "42P10", Some(6), "WITH query \"x\" has 1 columns available but 2 columns specified"),
        ] {
            assert_eq!(told(sql), (state.to_owned(), position, text.to_owned()), "{sql}");
        }
    }

    #[test]
    fn what_it_reads_is_left() {
        for sql in [
            "SELECT 1 FROM a JOIN b ON true CROSS JOIN c NATURAL JOIN d JOIN e USING (x), LATERAL (SELECT 1) f",
            "SELECT sum(1) OVER w, rank() OVER (w ORDER BY a), array[[1, 2], [3, 4]] FROM a WINDOW w AS (PARTITION BY b)",
            "SELECT sum(1) OVER (ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING), ntile(4) OVER (), sum(1) OVER (ROWS UNBOUNDED PRECEDING)",
        ] {
            assert!(parse(sql, &TextLimits::default()).unwrap().iter().all(|statement| statement.query().is_some()), "{sql}");
        }
    }
}
