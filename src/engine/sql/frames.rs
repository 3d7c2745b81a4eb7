//! Windows: names that are there, frames that begin before they end.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, NamedWindowExpr, Select, Statement, UnaryOperator, Value, Visit, Visitor, WindowFrame, WindowFrameBound,
    WindowFrameUnits, WindowSpec, WindowType,
};

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::catalog::folded;
use crate::engine::semantics;
use crate::error::{ClientMessage, SqlState};

use super::lexer::Piece;

type Flow = ControlFlow<Box<ClientMessage>>;

/// Refuses windows that PostgreSQL refuses.
pub(super) fn check(statement: &Statement, piece: &Piece, tokens: &[TokenWithSpan]) -> Result<(), ClientMessage> {
    let mut windows = Windows { piece, tokens, named: Vec::new() };
    // Those of all SELECTs: one that another has is told apart by the planner.
    let _ = statement.visit(&mut Named(&mut windows.named));
    match statement.visit(&mut windows) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(refusal) => Err(*refusal),
    }
}

/// A window with a name: whether it has an order, and a frame.
type Known = (String, bool, bool);

struct Named<'a>(&'a mut Vec<Known>);

impl Visitor for Named<'_> {
    type Break = ();

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        for window in &select.named_window {
            let (ordered, framed) = match &window.1 {
                NamedWindowExpr::WindowSpec(spec) => (!spec.order_by.is_empty(), spec.window_frame.is_some()),
                NamedWindowExpr::NamedWindow(_) => (false, false),
            };
            self.0.push((folded(&window.0), ordered, framed));
        }
        ControlFlow::Continue(())
    }
}

struct Windows<'a> {
    piece: &'a Piece,
    tokens: &'a [TokenWithSpan],
    named: Vec<Known>,
}

fn refuse(sqlstate: SqlState, text: &str, position: Option<usize>) -> Flow {
    let mut message = ClientMessage::new(sqlstate, text);
    message.position = position;
    ControlFlow::Break(Box::new(message))
}

impl Windows<'_> {
    fn windowed(&self, function: &Function) -> Flow {
        match &function.over {
            Some(WindowType::NamedWindow(name)) => {
                if !self.named.iter().any(|(known, ..)| *known == folded(name)) {
                    let text = format!("window \"{}\" does not exist", folded(name));
                    return refuse(SqlState::UNDEFINED_OBJECT, &text, self.piece.position(name.span.start));
                }
                ControlFlow::Continue(())
            }
            Some(WindowType::WindowSpec(spec)) => self.specified(spec),
            None => ControlFlow::Continue(()),
        }
    }

    fn specified(&self, spec: &WindowSpec) -> Flow {
        if let Some(name) = &spec.window_name {
            let known: Vec<&Known> = self.named.iter().filter(|(known, ..)| *known == folded(name)).collect();
            if known.is_empty() {
                let (text, at) = (format!("window \"{}\" does not exist", folded(name)), self.piece.position(name.span.start));
                return refuse(SqlState::UNDEFINED_OBJECT, &text, at);
            }
            // What is added to it stands in the parentheses, which begin before its name.
            let open = self.tokens.iter().rfind(|token| token.token == Token::LParen && token.span.start < name.span.start);
            let (at, name) = (open.and_then(|open| self.piece.position(open.span.start)), folded(name));
            if spec.partition_by.iter().any(|key| !is_mark(key)) {
                return refuse(SqlState::WINDOWING_ERROR, &format!("cannot override PARTITION BY clause of window \"{name}\""), at);
            }
            if !spec.order_by.is_empty() && known.iter().all(|(_, ordered, _)| *ordered) {
                return refuse(SqlState::WINDOWING_ERROR, &format!("cannot override ORDER BY clause of window \"{name}\""), at);
            }
            if known.iter().all(|(_, _, framed)| *framed) {
                let text = format!("cannot copy window \"{name}\" because it has a frame clause");
                return refuse(SqlState::WINDOWING_ERROR, &text, at);
            }
        }
        match &spec.window_frame {
            Some(frame) => framed(frame, spec),
            None => ControlFlow::Continue(()),
        }
    }
}

/// Whether a key of a partition only tells what its frames leave out.
fn is_mark(key: &Expr) -> bool {
    let mark = |text: &str| semantics::EXCLUDED.iter().any(|(_, mark)| *mark == text);
    let key = if let Expr::Nested(inner) = key { inner } else { key };
    matches!(key, Expr::Value(value) if matches!(&value.value, Value::SingleQuotedString(text) if mark(text)))
}

/// Parameters that count rows of a frame become numbers that stand for them.
pub(super) fn counted(frame: Option<&mut WindowFrame>) {
    let Some(frame) = frame.filter(|frame| frame.units != WindowFrameUnits::Range) else { return };
    for bound in std::iter::once(&mut frame.start_bound).chain(&mut frame.end_bound) {
        if let WindowFrameBound::Preceding(Some(count)) | WindowFrameBound::Following(Some(count)) = bound
            && let Expr::Value(value) = count.as_mut()
            && let Value::Placeholder(name) = &value.value
            && let Some(number) = super::number_of(name).and_then(semantics::frame_count)
        {
            value.value = Value::Number(number.to_string(), false);
        }
    }
}

fn framed(frame: &WindowFrame, spec: &WindowSpec) -> Flow {
    use WindowFrameBound::{CurrentRow, Following, Preceding};
    let end = frame.end_bound.as_ref().unwrap_or(&CurrentRow);
    let wrong = |text: &str| refuse(SqlState::WINDOWING_ERROR, text, None);
    match (&frame.start_bound, end) {
        (Following(None), _) => return wrong("frame start cannot be UNBOUNDED FOLLOWING"),
        (_, Preceding(None)) => return wrong("frame end cannot be UNBOUNDED PRECEDING"),
        (CurrentRow, Preceding(Some(_))) => return wrong("frame starting from current row cannot have preceding rows"),
        (Following(Some(_)), Preceding(Some(_)) | CurrentRow) => {
            return wrong("frame starting from following row cannot have preceding rows");
        }
        _ => {}
    }
    let offset = |bound: &WindowFrameBound| match bound {
        Preceding(Some(offset)) | Following(Some(offset)) => Some(offset.as_ref().clone()),
        _ => None,
    };
    let (start, end) = (offset(&frame.start_bound), offset(end));
    match frame.units {
        WindowFrameUnits::Groups if spec.order_by.is_empty() => return wrong("GROUPS mode requires an ORDER BY clause"),
        WindowFrameUnits::Range if (start.is_some() || end.is_some()) && spec.order_by.len() != 1 => {
            return wrong("RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column");
        }
        _ => {}
    }
    for (which, offset) in [("starting", start), ("ending", end)] {
        if matches!(offset, Some(Expr::UnaryOp { op: UnaryOperator::Minus, .. })) {
            let text = match frame.units {
                WindowFrameUnits::Range => "invalid preceding or following size in window function".to_owned(),
                _ => format!("frame {which} offset must not be negative"),
            };
            return refuse(SqlState::INVALID_PRECEDING_OR_FOLLOWING_SIZE, &text, None);
        }
    }
    ControlFlow::Continue(())
}

impl Visitor for Windows<'_> {
    type Break = Box<ClientMessage>;

    fn pre_visit_expr(&mut self, expr: &Expr) -> Flow {
        match expr {
            Expr::Function(function) => self.windowed(function),
            _ => ControlFlow::Continue(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, TextLimits, parse};

    fn told(sql: &str) -> Option<(&'static str, Option<usize>)> {
        match parse(sql, &TextLimits::default()).unwrap().remove(0).kind {
            Kind::Refused(message) => Some((message.sqlstate.as_str(), message.position)),
            _ => None,
        }
    }

    #[test]
    fn frames_begin_before_they_end() {
        for frame in [
            "ROWS UNBOUNDED FOLLOWING",
            "ROWS BETWEEN CURRENT ROW AND 1 PRECEDING",
            "ROWS BETWEEN 1 FOLLOWING AND CURRENT ROW",
            "RANGE 1 PRECEDING",
            "GROUPS 1 PRECEDING",
        ] {
            assert_eq!(told(&format!("SELECT sum(a) OVER ({frame}) FROM t")), Some(("42P20", None)), "{frame}");
        }
        assert_eq!(told("SELECT sum(a) OVER (ORDER BY a ROWS -1 PRECEDING) FROM t"), Some(("22013", None)));
        assert_eq!(told("SELECT sum(a) OVER (ORDER BY a GROUPS BETWEEN 2 PRECEDING AND 1 PRECEDING) FROM t"), None);
    }

    #[test]
    fn windows_are_named_and_not_changed() {
        let windows = "WINDOW w AS (PARTITION BY b ORDER BY c), v AS (ORDER BY c ROWS 1 PRECEDING)";
        for (over, expected) in [
            ("x", Some(("42704", Some(20)))),
            ("(w PARTITION BY d)", Some(("42P20", Some(20)))),
            ("(w ORDER BY d)", Some(("42P20", Some(20)))),
            ("(v)", Some(("42P20", Some(20)))),
            ("(w ROWS 1 PRECEDING EXCLUDE TIES)", None),
            ("w", None),
        ] {
            assert_eq!(told(&format!("SELECT sum(a) OVER {over} FROM t {windows}")), expected, "{over}");
        }
    }
}
