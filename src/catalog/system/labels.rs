//! The names of result columns: PostgreSQL's, and unique, as the planner wants them.
//!
//! A second column of the same name carries a mark that [`client_label`] takes off again.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, ArrayElemTypeDef, BinaryOperator, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Select,
    SelectItem, SelectItemQualifiedWildcardKind, Statement, TimezoneInfo, TrimWhereField, VisitMut, VisitorMut,
};

use super::scope::Scope;
use super::{folded, last_part};

/// Stands between a name and the number that makes it unique; no name of a client holds it.
const MARK: char = '\u{1}';

/// The name with what makes it unique among its SELECT's.
pub fn numbered(name: &str, number: usize) -> String {
    format!("{name}{MARK}{number}")
}

/// The name that the client is shown.
pub fn client_label(name: &str) -> &str {
    name.split(MARK).next().unwrap_or(name)
}

/// An identifier of exactly this name.
pub(super) fn ident(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

/// Names every column of every SELECT.
pub(super) fn rewrite(statement: &mut Statement) {
    let _ = VisitMut::visit(statement, &mut Labels);
}

struct Labels;

impl VisitorMut for Labels {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        if select.projection.len() > 1 {
            expand(select);
        }
        let mut used = BTreeSet::new();
        for item in &mut select.projection {
            name(item, &mut used);
        }
        ControlFlow::Continue(())
    }
}

fn name(item: &mut SelectItem, used: &mut BTreeSet<String>) {
    match item {
        SelectItem::UnnamedExpr(expr) => {
            let plain = matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
            // Columns of two relations may share a name; the planner tells them apart by the relation.
            let key = if plain { path(expr) } else { label(expr) };
            let label = label(expr);
            if !used.insert(key) {
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: unique(&label, used) };
            } else if !plain {
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: ident(&label) };
            }
        }
        SelectItem::ExprWithAlias { alias, .. } => {
            let label = folded(alias);
            if !used.insert(label.clone()) {
                *alias = unique(&label, used);
            }
        }
        _ => {}
    }
}

/// A column reference with its qualifier.
fn path(expr: &Expr) -> String {
    match expr {
        Expr::CompoundIdentifier(parts) => parts.iter().map(folded).collect::<Vec<_>>().join("."),
        _ => label(expr),
    }
}

fn unique(label: &str, used: &mut BTreeSet<String>) -> Ident {
    let mut number = 2;
    loop {
        let name = numbered(label, number);
        if used.insert(name.clone()) {
            return ident(&name);
        }
        number += 1;
    }
}

/// The name that PostgreSQL gives an expression without one: that of the outermost part that has one.
pub fn label(expr: &Expr) -> String {
    named(expr).map_or_else(unnamed, |name| name.text)
}

/// A name, and whether it is more than a stopgap: that of a type or of CASE gives way to another.
struct Name {
    text: String,
    strong: bool,
}

fn strong(text: impl Into<String>) -> Option<Name> {
    Some(Name { text: text.into(), strong: true })
}

/// PostgreSQL's `FigureColname`.
fn named(expr: &Expr) -> Option<Name> {
    let inner_or = |inner: Option<&Expr>, weak: String| match inner.and_then(named) {
        Some(name) if name.strong => Some(name),
        _ => Some(Name { text: weak, strong: false }),
    };
    match expr {
        Expr::Identifier(ident) => strong(folded(ident)),
        Expr::CompoundIdentifier(parts) => strong(parts.last().map(folded).unwrap_or_default()),
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => named(inner),
        Expr::CompoundFieldAccess { root, access_chain } => {
            let field = access_chain.iter().rev().find_map(|access| match access {
                AccessExpr::Dot(Expr::Identifier(field)) => Some(folded(field)),
                _ => None,
            });
            field.map_or_else(|| named(root), strong)
        }
        Expr::Function(function) => strong(function_label(function)),
        Expr::Cast { expr, data_type, .. } => inner_or(Some(expr), type_label(data_type)),
        Expr::TypedString(typed) => inner_or(None, type_label(&typed.data_type)),
        Expr::Interval(_) => inner_or(None, "interval".to_owned()),
        Expr::Case { else_result, .. } => inner_or(else_result.as_deref(), "case".to_owned()),
        Expr::AtTimeZone { .. } => strong("timezone"),
        Expr::Exists { negated: false, .. } => strong("exists"),
        Expr::Extract { .. } => strong("extract"),
        Expr::Ceil { .. } => strong("ceil"),
        Expr::Floor { .. } => strong("floor"),
        Expr::Position { .. } => strong("position"),
        Expr::Substring { shorthand, .. } => strong(if *shorthand { "substr" } else { "substring" }),
        Expr::BinaryOp { op: BinaryOperator::Overlaps, .. } => strong("overlaps"),
        Expr::Trim { trim_where, .. } => strong(match trim_where {
            Some(TrimWhereField::Leading) => "ltrim",
            Some(TrimWhereField::Trailing) => "rtrim",
            Some(TrimWhereField::Both) | None => "btrim",
        }),
        Expr::Overlay { .. } => strong("overlay"),
        Expr::Array(_) => strong("array"),
        Expr::Tuple(_) => strong("row"),
        Expr::Subquery(query) => query.body.as_select().and_then(|select| select.projection.first()).and_then(item_name),
        _ => None,
    }
}

fn unnamed() -> String {
    "?column?".to_owned()
}

fn item_name(item: &SelectItem) -> Option<Name> {
    match item {
        SelectItem::UnnamedExpr(expr) => named(expr),
        SelectItem::ExprWithAlias { alias, .. } => strong(client_label(&folded(alias))),
        _ => None,
    }
}

/// Our own functions stand for casts, and are named as those: by what is cast, else by the type.
fn function_label(function: &Function) -> String {
    let name = last_part(&function.name).unwrap_or_default();
    let Some(cast) = name.strip_prefix("meshgate_") else { return name };
    if !cast.starts_with("reg") {
        return "array".to_owned();
    }
    let argument = match &function.args {
        FunctionArguments::List(list) => match list.args.first() {
            Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))) => label(argument),
            _ => unnamed(),
        },
        _ => unnamed(),
    };
    if argument == "?column?" { cast.trim_end_matches("_text").to_owned() } else { argument }
}

/// The name that PostgreSQL keeps for a type however it was spelled.
fn type_label(data_type: &DataType) -> String {
    if let DataType::Array(ArrayElemTypeDef::SquareBracket(element, _) | ArrayElemTypeDef::AngleBracket(element)) = data_type {
        return type_label(element);
    }
    if let DataType::Interval { .. } = data_type {
        return "interval".to_owned();
    }
    if let DataType::Timestamp(_, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz) = data_type {
        return "timestamptz".to_owned();
    }
    let spelled = data_type.to_string().to_lowercase();
    let base = spelled.split('(').next().unwrap_or_default().trim();
    match base {
        "int" | "integer" | "int4" => "int4",
        "bigint" | "int8" => "int8",
        "smallint" | "int2" => "int2",
        "boolean" | "bool" => "bool",
        "real" | "float4" => "float4",
        "double precision" | "float8" | "double" | "float" => "float8",
        "decimal" | "dec" | "numeric" => "numeric",
        "character varying" | "varchar" => "varchar",
        "character" | "char" => "bpchar",
        "timestamp with time zone" | "timestamptz" => "timestamptz",
        "timestamp" | "timestamp without time zone" => "timestamp",
        "time" | "time without time zone" => "time",
        other => other.rsplit('.').next().unwrap_or(other).trim_matches('"'),
    }
    .to_owned()
}

/// Spells out `*` and `x.*` where other columns stand beside them, for the planner refuses a column that comes twice.
fn expand(select: &mut Select) {
    let scope = Scope::of(select);
    let projection = std::mem::take(&mut select.projection);
    for item in projection {
        match expanded(&item, &scope) {
            Some(columns) => select.projection.extend(columns),
            None => select.projection.push(item),
        }
    }
}

fn expanded(item: &SelectItem, scope: &Scope) -> Option<Vec<SelectItem>> {
    let aliases: Vec<String> = match item {
        SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => vec![last_part(name)?],
        SelectItem::Wildcard(_) => scope.relations.iter().map(|(alias, _)| alias.clone()).collect(),
        _ => return None,
    };
    let mut columns = Vec::new();
    for alias in aliases {
        let relation = scope.relation(&alias)?;
        columns.extend(
            relation
                .columns
                .iter()
                .map(|column| SelectItem::UnnamedExpr(Expr::CompoundIdentifier(vec![ident(&alias), ident(column.name)]))),
        );
    }
    Some(columns)
}
