//! Finds in the text of rules what of `input` they read and which functions they call.
//!
//! INVARIANT: what is not understood counts as reading everything. Every expression is visited, in heads, bodies, `with` and comprehensions.

use regorus::Value;
use regorus::unstable::{Expr, Literal, LiteralStmt, Module, NodeRef, Query, Rule, RuleAssign, RuleHead};

use super::super::reads::Reads;

/// What the rules of these modules read.
pub(super) fn reads(modules: &[NodeRef<Module>]) -> Reads {
    let mut reads = Reads::default();
    for module in modules {
        for import in &module.imports {
            reference(&import.refr, &mut reads);
        }
        for one in &module.policy {
            rule(one, &mut reads);
        }
    }
    reads
}

fn rule(rule: &Rule, reads: &mut Reads) {
    match rule {
        Rule::Default { refr, args, value, .. } => {
            head_reference(refr, reads);
            args.iter().for_each(|argument| expression(argument, reads));
            expression(value, reads);
        }
        Rule::Spec { head, bodies, .. } => {
            match head {
                RuleHead::Compr { refr, assign, .. } => {
                    head_reference(refr, reads);
                    assigned(assign.as_ref(), reads);
                }
                RuleHead::Set { refr, key, .. } => {
                    head_reference(refr, reads);
                    key.iter().for_each(|key| expression(key, reads));
                }
                RuleHead::Func { refr, args, assign, .. } => {
                    head_reference(refr, reads);
                    args.iter().for_each(|argument| expression(argument, reads));
                    assigned(assign.as_ref(), reads);
                }
            }
            for body in bodies {
                assigned(body.assign.as_ref(), reads);
                query(&body.query, reads);
            }
        }
    }
}

/// A rule's own name is no reading; the keys in it can be.
fn head_reference(expr: &Expr, reads: &mut Reads) {
    match expr {
        Expr::Var { .. } => {}
        Expr::RefDot { refr, .. } => head_reference(refr, reads),
        Expr::RefBrack { refr, index, .. } => {
            head_reference(refr, reads);
            expression(index, reads);
        }
        other => expression(other, reads),
    }
}

fn assigned(assign: Option<&RuleAssign>, reads: &mut Reads) {
    if let Some(assign) = assign {
        expression(&assign.value, reads);
    }
}

fn query(query: &Query, reads: &mut Reads) {
    query.stmts.iter().for_each(|statement| literal(statement, reads));
}

fn literal(statement: &LiteralStmt, reads: &mut Reads) {
    match &statement.literal {
        Literal::SomeVars { .. } => {}
        Literal::SomeIn { key, value, collection, .. } => {
            key.iter().for_each(|key| expression(key, reads));
            expression(value, reads);
            expression(collection, reads);
        }
        Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => expression(expr, reads),
        Literal::Every { domain, query: inner, .. } => {
            expression(domain, reads);
            query(inner, reads);
        }
    }
    for with in &statement.with_mods {
        expression(&with.refr, reads);
        expression(&with.r#as, reads);
    }
}

fn expression(expr: &Expr, reads: &mut Reads) {
    match expr {
        Expr::String { .. } | Expr::RawString { .. } | Expr::Number { .. } | Expr::Bool { .. } | Expr::Null { .. } => {}
        Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. } => reference(expr, reads),
        Expr::Array { items, .. } | Expr::Set { items, .. } => items.iter().for_each(|item| expression(item, reads)),
        Expr::Object { fields, .. } => {
            for (_, key, value) in fields {
                expression(key, reads);
                expression(value, reads);
            }
        }
        Expr::ArrayCompr { term, query: inner, .. } | Expr::SetCompr { term, query: inner, .. } => {
            expression(term, reads);
            query(inner, reads);
        }
        Expr::ObjectCompr { key, value, query: inner, .. } => {
            expression(key, reads);
            expression(value, reads);
            query(inner, reads);
        }
        Expr::Call { fcn, params, .. } => {
            reads.note_function(fcn.span().text());
            reference(fcn, reads);
            params.iter().for_each(|parameter| expression(parameter, reads));
        }
        Expr::UnaryExpr { expr, .. } => expression(expr, reads),
        Expr::BinExpr { lhs, rhs, .. }
        | Expr::BoolExpr { lhs, rhs, .. }
        | Expr::ArithExpr { lhs, rhs, .. }
        | Expr::AssignExpr { lhs, rhs, .. } => {
            expression(lhs, reads);
            expression(rhs, reads);
        }
        Expr::Membership { key, value, collection, .. } => {
            key.iter().for_each(|key| expression(key, reads));
            expression(value, reads);
            expression(collection, reads);
        }
    }
}

/// A variable with what is taken from it.
fn reference(expr: &Expr, reads: &mut Reads) {
    let mut path: Vec<Option<&str>> = Vec::new();
    let mut here = expr;
    loop {
        match here {
            Expr::RefDot { refr, field, .. } => {
                path.push(text(&field.1));
                here = refr;
            }
            Expr::RefBrack { refr, index, .. } => {
                match &**index {
                    Expr::String { value, .. } | Expr::RawString { value, .. } => path.push(text(value)),
                    other => {
                        path.push(None);
                        expression(other, reads);
                    }
                }
                here = refr;
            }
            Expr::Var { span, .. } => {
                if span.text() == "input" {
                    path.reverse();
                    reads.note_input(&path);
                }
                return;
            }
            other => return expression(other, reads),
        }
    }
}

fn text(value: &Value) -> Option<&str> {
    value.as_string().ok().map(|text| &**text)
}
