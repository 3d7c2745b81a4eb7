//! Casts to types that Arrow does not have: the reg* types, and arrays written as text.

use std::ops::ControlFlow;

use arrow::datatypes::DataType as ArrowType;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, Array, ArrayElemTypeDef, BinaryOperator, DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident,
    ObjectName, Query, SelectItem, SetExpr, Statement, Subscript, TimezoneInfo, VisitMut, VisitorMut,
};

use super::array_text::{self, Element};
use super::{call, last_part, literal, qualifier, string, type_planner};

/// Functions that carry casts to reg* types start so; with `_text` at the end they give the name back.
pub(super) const REG: &str = "meshgate_reg";

/// The Arrow type of a PostgreSQL type that the planner does not know by itself.
pub(super) fn plain_type(sql_type: &DataType) -> Option<ArrowType> {
    match sql_type {
        DataType::Regclass => Some(ArrowType::UInt32),
        DataType::JSON
        | DataType::JSONB
        | DataType::Uuid
        | DataType::Varchar(None)
        | DataType::CharVarying(None)
        | DataType::CharacterVarying(None)
        | DataType::Time(None, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz) => Some(ArrowType::Utf8),
        DataType::Custom(name, modifiers) if modifiers.is_empty() && is_builtin(name) => type_planner::arrow_type(&last_part(name)?),
        _ => None,
    }
}

fn is_builtin(name: &ObjectName) -> bool {
    name.0.len() == 1 || qualifier(name).is_some_and(|schema| schema == "pg_catalog" || schema == "information_schema")
}

/// Rewrites the casts of a statement over system relations, where reg* values are numbers that a result shows by name.
pub(super) fn rewrite(statement: &mut Statement) {
    let _ = VisitMut::visit(statement, &mut Casts { named: false });
    if let Statement::Query(query) = statement {
        show_names(query);
    }
}

/// Rewrites the casts of any other statement, where reg* values are names.
pub(super) fn rewrite_values(statement: &mut Statement) {
    let _ = VisitMut::visit(statement, &mut Casts { named: true });
}

struct Casts {
    named: bool,
}

impl VisitorMut for Casts {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        // Elements of a jsonb are looked up where its type is known.
        if self.named && matches!(expr, Expr::CompoundFieldAccess { root, .. } if is_jsonb(root)) {
            return ControlFlow::Continue(());
        }
        let as_name = if self.named { super::reg_names::rewritten(expr) } else { None };
        // What a constant is beside a value, is told where the value's type is known.
        let or_empty = if self.named { None } else { or_empty(expr) };
        if let Some(rewritten) = as_name.or(or_empty).or_else(|| rewritten(expr)) {
            *expr = rewritten;
        }
        ControlFlow::Continue(())
    }
}

/// `coalesce(array, '{}')`: which type the empty array has, the literal does not say.
fn or_empty(expr: &Expr) -> Option<Expr> {
    let Expr::Function(function) = expr else { return None };
    let FunctionArguments::List(list) = &function.args else { return None };
    match list.args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(array)), FunctionArg::Unnamed(FunctionArgExpr::Expr(other))]
            if last_part(&function.name).as_deref() == Some("coalesce") =>
        {
            (literal(other)? == "{}").then(|| call("meshgate_array", vec![array.clone()]))
        }
        _ => None,
    }
}

fn rewritten(expr: &mut Expr) -> Option<Expr> {
    match expr {
        Expr::Cast { expr: inner, data_type, .. } => {
            if let Some(kind) = reg_kind(data_type) {
                let inner = std::mem::replace(inner.as_mut(), super::null());
                return Some(call(&format!("{REG}{kind}"), vec![inner]));
            }
            if is_text(data_type) {
                return name_of(inner);
            }
            array_literal(inner, data_type)
        }
        Expr::AnyOp { right, .. } | Expr::AllOp { right, .. } => {
            let elements = array_text::elements(literal(right)?)?;
            **right = array_of(&elements, &|text| text);
            None
        }
        Expr::Function(function) if last_part(&function.name).as_deref() == Some("_pg_expandarray") => {
            function.name = ObjectName::from(vec![Ident::new("meshgate_expandarray")]);
            let pairs = std::mem::replace(expr, super::null());
            Some(call("unnest", vec![pairs]))
        }
        Expr::Function(function) if last_part(&function.name).is_some_and(|name| makes_rows(&name)) => {
            let array = std::mem::replace(expr, super::null());
            Some(call("unnest", vec![array]))
        }
        Expr::Function(function) if last_part(&function.name).as_deref() == Some("generate_subscripts") => {
            // An array is numbered from 1, so its subscripts are a series up to its bound.
            function.name = ObjectName::from(vec![Ident::new("array_upper")]);
            let bound = std::mem::replace(expr, super::null());
            let one = Expr::Value(super::SqlValue::Number("1".to_owned(), false).with_empty_span());
            Some(call("unnest", vec![call("generate_series", vec![one, bound])]))
        }
        Expr::CompoundFieldAccess { root, access_chain } => {
            if let Some((AccessExpr::Subscript(Subscript::Index { index }), fields)) = access_chain.split_last()
                && literal(index).is_none()
            {
                return subscript(root, fields, index);
            }
            let [AccessExpr::Dot(Expr::Identifier(field))] = access_chain.as_slice() else { return None };
            let field = string(&super::folded(field));
            Some(call("get_field", vec![std::mem::replace(root.as_mut(), super::null()), field]))
        }
        _ => None,
    }
}

/// `x[i]`, where a vector of the system counts from 0.
fn subscript(root: &Expr, fields: &[AccessExpr], index: &Expr) -> Option<Expr> {
    let field = |access: &AccessExpr| if let AccessExpr::Dot(Expr::Identifier(field)) = access { Some(field.clone()) } else { None };
    let fields = fields.iter().map(field).collect::<Option<Vec<Ident>>>()?;
    let (array, name) = match (root, fields.last()) {
        (Expr::Identifier(name), None) => (root.clone(), Some(super::folded(name))),
        (Expr::Identifier(table), Some(last)) => {
            let name = super::folded(last);
            (Expr::CompoundIdentifier(std::iter::once(table.clone()).chain(fields).collect()), Some(name))
        }
        (_, None) => (root.clone(), None),
        _ => return None,
    };
    let vectors = ["indkey", "indclass", "indcollation", "indoption", "proargtypes", "stxkeys", "tgattr", "partattrs", "partclass"];
    let number = |text: &str| Expr::Value(super::SqlValue::Number(text.to_owned(), false).with_empty_span());
    let index = Expr::Nested(Box::new(index.clone()));
    let from_one = match name {
        Some(name) if vectors.contains(&name.as_str()) => {
            Expr::BinaryOp { left: Box::new(index), op: BinaryOperator::Plus, right: Box::new(number("1")) }
        }
        _ => index,
    };
    let position = Expr::Cast {
        kind: datafusion::sql::sqlparser::ast::CastKind::Cast,
        expr: Box::new(from_one),
        data_type: DataType::BigInt(None),
        array: false,
        format: None,
    };
    Some(call("array_element", vec![array, position]))
}

/// System functions that answer several rows; here they answer an array of them.
fn makes_rows(name: &str) -> bool {
    matches!(name, "pg_partition_ancestors")
}

/// Whether a value is cast to jsonb.
fn is_jsonb(value: &Expr) -> bool {
    match value {
        Expr::Nested(inner) => is_jsonb(inner),
        Expr::Cast { data_type, .. } => matches!(data_type, DataType::JSONB),
        _ => false,
    }
}

/// What a reg* type numbers: `class`, `type`, `proc` and so on.
pub(super) fn reg_kind(data_type: &DataType) -> Option<&'static str> {
    let name = match data_type {
        DataType::Regclass => return Some("class"),
        DataType::Custom(name, _) if is_builtin(name) => last_part(name)?,
        _ => return None,
    };
    Some(match name.as_str() {
        "regclass" => "class",
        "regtype" => "type",
        "regproc" => "proc",
        "regprocedure" => "procedure",
        "regnamespace" => "namespace",
        "regrole" => "role",
        "regoper" => "oper",
        "regoperator" => "operator",
        "regcollation" => "collation",
        _ => return None,
    })
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Text | DataType::Varchar(_) | DataType::CharVarying(_) | DataType::CharacterVarying(_) => true,
        DataType::Custom(name, _) => {
            is_builtin(name) && last_part(name).is_some_and(|name| matches!(name.as_str(), "text" | "varchar" | "name"))
        }
        _ => false,
    }
}

/// The text of a reg* value is the object's name.
fn name_of(inner: &mut Expr) -> Option<Expr> {
    match inner {
        Expr::Nested(nested) => name_of(nested),
        Expr::Function(function) => {
            let name = last_part(&function.name)?;
            if !name.starts_with(REG) || name.ends_with("_text") {
                return None;
            }
            let inner = std::mem::replace(inner, super::null());
            Some(call(&format!("{name}_text"), vec![inner]))
        }
        _ => None,
    }
}

/// `'{a,b}'::text[]`.
fn array_literal(inner: &Expr, data_type: &DataType) -> Option<Expr> {
    let element = element_type(data_type)?;
    let elements = array_text::elements(literal(inner)?)?;
    if !elements.is_empty() {
        return Some(array_of(&elements, &|text| typed(text, element)));
    }
    if is_text(element) { Some(call("meshgate_no_texts", Vec::new())) } else { Some(typed(array_of(&[], &|text| text), data_type)) }
}

/// The type of the elements; PostgreSQL does not tell `int[]` and `int[][]` apart.
fn element_type(data_type: &DataType) -> Option<&DataType> {
    match data_type {
        DataType::Array(ArrayElemTypeDef::SquareBracket(element, _)) => Some(element_type(element).unwrap_or(element)),
        _ => None,
    }
}

fn typed(value: Expr, data_type: &DataType) -> Expr {
    Expr::Cast {
        kind: datafusion::sql::sqlparser::ast::CastKind::DoubleColon,
        expr: Box::new(value),
        data_type: data_type.clone(),
        array: false,
        format: None,
    }
}

/// `ARRAY[…]` of elements that are read by `read`.
fn array_of(elements: &[Element], read: &impl Fn(Expr) -> Expr) -> Expr {
    let one = |element: &Element| match element {
        Element::Null => read(super::null()),
        Element::Text(text) => read(string(text)),
        Element::Nested(inner) => array_of(inner, read),
    };
    Expr::Array(Array { elem: elements.iter().map(one).collect(), named: true })
}

/// A reg* value in the result is shown by name.
fn show_names(query: &mut Query) {
    show_in(&mut query.body);
}

fn show_in(body: &mut SetExpr) {
    match body {
        SetExpr::Select(select) => {
            for item in &mut select.projection {
                if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item
                    && let Some(shown) = name_of(expr)
                {
                    *expr = shown;
                }
            }
        }
        SetExpr::Query(query) => show_names(query),
        SetExpr::SetOperation { left, right, .. } => {
            show_in(left);
            show_in(right);
        }
        _ => {}
    }
}
