//! Aggregates.

use std::sync::Arc;

use crate::catalog::PgType;
use crate::catalog::facts::SessionFacts;

use super::bind::{Binder, Bound, Typed, unsupported};
use super::datum::{Datum, Family, Ty};
use super::tree::{Fold, Node};
use super::{json, operators};

type Made = (Vec<Node>, Fold, bool, Ty);

/// An aggregate over these arguments: the arguments as it takes them, what it does, whether it skips NULLs, its type.
pub(super) fn bind(binder: &mut Binder, name: &str, args: Vec<Typed>) -> Bound<Made> {
    let first = |rows: Vec<Vec<Datum>>| rows.into_iter().filter_map(|row| row.into_iter().next());
    let count: Fold = Arc::new(|rows| Ok(rows.len().into()));
    let mut settled = Vec::with_capacity(args.len());
    for typed in args {
        settled.push(binder.settled(typed)?);
    }
    let nodes: Vec<Node> = settled.iter().map(|typed| typed.node.clone()).collect();
    let types: Vec<Ty> = settled.iter().map(|typed| typed.ty.clone()).collect();
    Ok(match (name, types.as_slice()) {
        ("count", [] | [_]) => (nodes, count, true, PgType::INT8.into()),
        ("min" | "max", [ty]) => {
            let largest = name == "max";
            let fold: Fold = Arc::new(move |rows| {
                let values = first(rows);
                Ok(if largest { values.max() } else { values.min() }.into())
            });
            (nodes, fold, true, if ty.is(PgType::CHAR) || ty.is(PgType::NAME) { PgType::TEXT.into() } else { ty.clone() })
        }
        ("sum", [ty]) if ty.family() == Family::Int => {
            let fold: Fold = Arc::new(move |rows| {
                let mut sum = None;
                for value in first(rows) {
                    sum = Some(sum.unwrap_or(0i64).saturating_add(value.as_int().unwrap_or(0)));
                }
                Ok(sum.into())
            });
            (nodes, fold, true, if ty.is(PgType::INT8) { PgType::NUMERIC.into() } else { PgType::INT8.into() })
        }
        ("bool_and" | "every" | "bool_or", [ty]) if ty.family() == Family::Bool => {
            let any = name == "bool_or";
            let fold: Fold = Arc::new(move |rows| {
                let truths: Vec<bool> = first(rows).map(|value| value.is_true()).collect();
                let result = if any { truths.contains(&true) } else { !truths.contains(&false) };
                Ok((!truths.is_empty()).then_some(result).into())
            });
            (nodes, fold, true, PgType::BOOL.into())
        }
        ("array_agg", [ty]) if ty.family() != Family::List => {
            let fold: Fold = Arc::new(move |rows| {
                let items: Vec<Datum> = first(rows).collect();
                Ok(if items.is_empty() { Datum::Null } else { Datum::list(items) })
            });
            (nodes, fold, false, ty.array())
        }
        ("string_agg", [_, _]) => {
            let text: Ty = PgType::TEXT.into();
            let mut nodes = Vec::with_capacity(2);
            for typed in settled {
                if typed.ty.family() != Family::Text {
                    return unsupported("string_agg of what is no text");
                }
                nodes.push(binder.coerce(typed, &text)?);
            }
            (nodes, Arc::new(joined), false, text)
        }
        ("json_agg" | "jsonb_agg" | "json_object_agg" | "jsonb_object_agg", _) => documents(name, nodes, &types, &binder.facts)?,
        _ => return unsupported(format!("the aggregate {name}")),
    })
}

/// `string_agg`: each value but the first comes after its own separator; NULLs are left out.
fn joined(rows: Vec<Vec<Datum>>) -> super::tree::Outcome {
    let mut text: Option<String> = None;
    for row in rows {
        let [Datum::Text(value), separator] = row.as_slice() else { continue };
        match &mut text {
            Some(text) => {
                text.push_str(separator.as_text());
                text.push_str(value);
            }
            None => text = Some(value.to_string()),
        }
    }
    Ok(text.into())
}

fn documents(name: &str, nodes: Vec<Node>, types: &[Ty], facts: &Arc<SessionFacts>) -> Bound<Made> {
    let binary = name.starts_with("jsonb");
    let (types, facts) = (types.to_vec(), Arc::clone(facts));
    let ty = if binary { PgType::JSONB } else { PgType::JSON };
    let object = name.ends_with("object_agg");
    if types.len() != if object { 2 } else { 1 } {
        return unsupported(format!("the arguments of {name}"));
    }
    let fold: Fold = Arc::new(move |rows| {
        if rows.is_empty() {
            return Ok(Datum::Null);
        }
        let written = |row: &[Datum], at: usize| {
            let text = PgType::TEXT.into();
            json::written(row.get(at).unwrap_or(&Datum::Null), types.get(at).unwrap_or(&text), &facts)
        };
        Ok(if object {
            let entries = rows.iter().map(|row| {
                let key = row.first().map(|key| json::key(key, types.first(), &facts)).unwrap_or_default();
                format!("{key}: {}", written(row, 1))
            });
            let entries: Vec<String> = entries.collect();
            if binary { format!("{{{}}}", entries.join(", ")) } else { format!("{{ {} }}", entries.join(", ")) }.into()
        } else {
            let items: Vec<String> = rows.iter().map(|row| written(row, 0)).collect();
            format!("[{}]", items.join(", ")).into()
        })
    });
    Ok((nodes, fold, false, ty.into()))
}

/// The type that several arguments share.
pub(super) fn shared(all: &[Typed]) -> Bound<Ty> {
    operators::unify(all.iter())
}
