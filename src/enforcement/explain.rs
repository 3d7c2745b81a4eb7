//! A plan as EXPLAIN shows it: what the user asked for, down to the barrier and not below, in PostgreSQL's words.
//!
//! INVARIANT: no literal of a policy, no id, no path and no number that hangs on hidden rows. The logical plan is shown, for the
//! physical one tells by its partitions how large a source is. An expression that has no form in SQL is left out, so no word of the
//! engine's own is shown.

use std::sync::LazyLock;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, JoinType, TableReference};
use datafusion::logical_expr::{Expr, Join, LogicalPlan, TableScan};
use datafusion::sql::unparser::Unparser;
use datafusion::sql::unparser::dialect::Dialect;
use regex::Regex;

use crate::policy::{Obligations, Outcome};

use super::absorption::TakenOver;
use super::table::GovernedTable;

/// An operator with what is below it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShownPlan {
    /// Its name, `Node Type` in PostgreSQL's documents.
    pub name: String,
    /// What follows the name in a line: `on customer.customer_360`.
    pub object: Option<String>,
    /// Its properties in order.
    pub properties: Vec<(&'static str, Shown)>,
    /// What it reads.
    pub below: Vec<ShownPlan>,
}

/// The value of a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// One text.
    Text(String),
    /// Several.
    Texts(Vec<String>),
}

/// A governed, optimized plan, of which the sources have taken over so much.
pub fn explain_above_barrier(plan: &LogicalPlan, taken_over: &[TakenOver]) -> ShownPlan {
    let mut shown = operator(plan, taken_over);
    let mut below: Vec<LogicalPlan> = plan.inputs().into_iter().cloned().collect();
    // Rendering cannot fail halfway: a subquery that cannot be walked is left out.
    let _ = plan.apply_subqueries(|subquery| {
        below.push(subquery.clone());
        Ok(TreeNodeRecursion::Continue)
    });
    shown.below.extend(below.iter().map(|below| explain_above_barrier(below, taken_over)));
    match shown {
        // What only renames or computes columns is no step of its own in PostgreSQL.
        ShownPlan { below, .. } if passes_through(plan) && below.len() == 1 => below.into_iter().next().unwrap_or_default(),
        shown => shown,
    }
}

fn passes_through(plan: &LogicalPlan) -> bool {
    matches!(plan, LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) | LogicalPlan::Subquery(_) | LogicalPlan::Repartition(_))
}

fn operator(plan: &LogicalPlan, taken_over: &[TakenOver]) -> ShownPlan {
    let mut properties = Vec::new();
    let name = match plan {
        LogicalPlan::TableScan(scan) => return scanned(scan, taken_over),
        LogicalPlan::Filter(filter) => {
            properties.extend(text("Filter", std::slice::from_ref(&filter.predicate)));
            "Filter"
        }
        LogicalPlan::Aggregate(aggregate) => {
            properties.extend(texts("Group Key", &aggregate.group_expr));
            "Aggregate"
        }
        LogicalPlan::Sort(sort) => {
            let keys: Vec<String> = sort.expr.iter().filter_map(|key| Some(sort_key(&sql(&key.expr)?, key.asc, key.nulls_first))).collect();
            properties.extend((keys.len() == sort.expr.len()).then_some(("Sort Key", Shown::Texts(keys))));
            "Sort"
        }
        LogicalPlan::Join(join) => return joined(join),
        LogicalPlan::Limit(_) => "Limit",
        LogicalPlan::Union(_) => "Append",
        LogicalPlan::Distinct(_) => "Unique",
        LogicalPlan::Window(_) => "WindowAgg",
        LogicalPlan::Values(_) => "Values Scan",
        LogicalPlan::RecursiveQuery(_) => "Recursive Union",
        LogicalPlan::Unnest(_) => "ProjectSet",
        _ => "Result",
    };
    ShownPlan { name: name.to_owned(), properties, ..ShownPlan::default() }
}

fn joined(join: &Join) -> ShownPlan {
    let kind = match join.join_type {
        JoinType::Inner => "",
        JoinType::Left => " Left",
        JoinType::Right => " Right",
        JoinType::Full => " Full",
        JoinType::LeftSemi | JoinType::RightSemi | JoinType::LeftMark | JoinType::RightMark => " Semi",
        JoinType::LeftAnti | JoinType::RightAnti => " Anti",
    };
    let equal: Vec<Expr> = join.on.iter().map(|(left, right)| left.clone().eq(right.clone())).collect();
    let mut properties: Vec<(&'static str, Shown)> = text("Hash Cond", &equal).into_iter().collect();
    properties.extend(text("Join Filter", join.filter.as_slice()));
    let name = match (equal.is_empty(), kind) {
        (true, "") => "Nested Loop".to_owned(),
        (true, kind) => format!("Nested Loop{kind} Join"),
        (false, kind) => format!("Hash{kind} Join"),
    };
    ShownPlan { name, properties, ..ShownPlan::default() }
}

fn scanned(scan: &TableScan, taken_over: &[TakenOver]) -> ShownPlan {
    let columns: Vec<String> = scan.projected_schema.fields().iter().map(|field| field.name().clone()).collect();
    let schema = scan.table_name.schema().map(|schema| format!("{schema}.")).unwrap_or_default();
    let object = Some(format!("{schema}{}", scan.table_name.table()));
    let Some(table) = GovernedTable::of_scan(scan) else {
        return ShownPlan { name: "Seq Scan".to_owned(), object, ..ShownPlan::default() };
    };
    let mut properties =
        vec![("Data Product", Shown::Text(table.product().reference.to_string())), ("Output", Shown::Texts(columns.clone()))];
    properties.extend(text("Filter", &scan.filters));
    if let Some(Outcome::Allow(obligations)) = table.decision().map(|decision| &decision.outcome) {
        properties.extend(applied(obligations, &columns));
    }
    // Of several scans of one product it is not said which one it is of.
    let mut of_product = taken_over.iter().filter(|(product, _)| *product == table.product().reference);
    if let (Some((_, Some(what))), None) = (of_product.next(), of_product.next()) {
        properties.push(("Done by Source", Shown::Text((*what).to_owned())));
    }
    ShownPlan { name: "Governed Scan".to_owned(), object, properties, below: Vec::new() }
}

/// The kinds of what applies, never their content.
fn applied(obligations: &Obligations, columns: &[String]) -> Vec<(&'static str, Shown)> {
    let yes = |applies: bool| Shown::Text(if applies { "yes" } else { "no" }.to_owned());
    let masked: Vec<String> =
        columns.iter().filter(|name| obligations.masks.keys().any(|field| field.as_str() == *name)).cloned().collect();
    let mut properties = vec![("Row Filter", yes(!obligations.row_filter.is_true())), ("Exclusion", yes(obligations.exclusion.is_some()))];
    if !masked.is_empty() {
        properties.push(("Masked", Shown::Texts(masked)));
    }
    properties
}

/// Conditions that all hold.
fn text(property: &'static str, conditions: &[Expr]) -> Option<(&'static str, Shown)> {
    let all = conditions.iter().cloned().reduce(Expr::and)?;
    Some((property, Shown::Text(format!("({})", sql(&all)?))))
}

fn texts(property: &'static str, expressions: &[Expr]) -> Option<(&'static str, Shown)> {
    let texts = expressions.iter().map(sql).collect::<Option<Vec<_>>>()?;
    (!texts.is_empty()).then_some((property, Shown::Texts(texts)))
}

fn sort_key(expression: &str, ascending: bool, nulls_first: bool) -> String {
    // NULLs are larger than everything.
    let nulls = match (ascending, nulls_first) {
        (true, true) => " NULLS FIRST",
        (false, false) => " NULLS LAST",
        _ => "",
    };
    format!("{expression}{}{nulls}", if ascending { "" } else { " DESC" })
}

/// How identifiers are written: in quotes only where they need them.
struct Plain;

impl Dialect for Plain {
    fn identifier_quote_style(&self, identifier: &str) -> Option<char> {
        let plain = identifier.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
            && identifier.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_');
        // A computed column is shown as what it computes.
        (!plain && !identifier.contains('(')).then_some('"')
    }
}

/// The name of a computed column, in which the engine writes `Int64(1)` for 1.
fn computed_name(name: &str) -> String {
    static LITERAL: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"\b(?:Boolean|U?Int\d+|Float\d+|(?:Large)?Utf8(?:View)?|Date\d+|Decimal\d+)\(([^()]*)\)").ok());
    if !name.contains('(') {
        return name.to_owned();
    }
    LITERAL.as_ref().map_or_else(|| name.to_owned(), |literal| literal.replace_all(name, "$1").into_owned())
}

/// An expression in SQL; `None` if it has no such form.
fn sql(expression: &Expr) -> Option<String> {
    let near = expression.clone().transform(|node| {
        Ok(match node {
            Expr::Column(Column { relation, name, spans }) => {
                let relation = relation.map(|relation| TableReference::bare(relation.table()));
                Transformed::yes(Expr::Column(Column { relation, name: computed_name(&name), spans }))
            }
            Expr::Cast(cast) if matches!(cast.expr.as_ref(), Expr::Literal(..)) => Transformed::yes(*cast.expr),
            other => Transformed::no(other),
        })
    });
    let text = Unparser::new(&Plain).with_pretty(true).expr_to_sql(&near.ok()?.data).ok()?.to_string();
    // Functions and columns that stand for something of the engine's own begin so.
    (!text.contains("__") && !text.contains("meshgate_")).then_some(text)
}

impl ShownPlan {
    /// The lines of the text format. What is given as costs stands behind each operator's name.
    pub fn to_lines(&self, costs: &str) -> Vec<String> {
        let mut lines = Vec::new();
        self.push_lines(0, costs, &mut lines);
        lines
    }

    fn push_lines(&self, depth: usize, costs: &str, lines: &mut Vec<String>) {
        let (arrow, inner) = match depth {
            0 => (String::new(), "  ".to_owned()),
            depth => (format!("{}->  ", " ".repeat(6 * depth - 4)), " ".repeat(6 * depth + 2)),
        };
        let object = self.object.as_ref().map(|object| format!(" on {object}")).unwrap_or_default();
        lines.push(format!("{arrow}{}{object}{costs}", self.name));
        for (property, value) in &self.properties {
            let value = match value {
                Shown::Text(text) => text.clone(),
                Shown::Texts(texts) => texts.join(", "),
            };
            lines.push(format!("{inner}{property}: {value}"));
        }
        self.below.iter().for_each(|plan| plan.push_lines(depth.saturating_add(1), costs, lines));
    }
}
