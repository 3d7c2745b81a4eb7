//! Functions that answer rows.

use std::sync::Arc;

use datafusion::error::DataFusionError;

use crate::catalog::PgType;
use crate::catalog::acl;
use crate::catalog::content::always_empty;
use crate::catalog::functions::client;
use crate::catalog::relations;
use crate::error::{ClientMessage, SqlState};

use super::bind::{Binder, Bound, Typed, unsupported};
use super::builtins;
use super::call::BoundSet;
use super::datum::{Datum, Family, List, Ty};
use super::operators;
use super::taken_apart;
use super::tree::{Produce, SetCall};

/// The most rows that one call answers.
const ROWS_MAX: usize = 1_000_000;

fn one(values: impl IntoIterator<Item = Datum>) -> Vec<Vec<Datum>> {
    values.into_iter().map(|value| vec![value]).collect()
}

/// A call of a function that answers rows; `None` if it is none.
pub(super) fn bind(binder: &mut Binder, name: &str, args: &[Typed]) -> Bound<Option<BoundSet>> {
    let text: Ty = PgType::TEXT.into();
    let scalar = |name: &str, nodes, produce: Produce, ty: Ty| {
        let call = SetCall { args: nodes, produce, width: 1 };
        Ok(Some(BoundSet { call, columns: vec![(name.to_owned(), ty)], scalar: true }))
    };
    match (name, args.len()) {
        ("unnest", 1) => {
            let Some(array) = args.first() else { return Ok(None) };
            let array = if array.unknown { binder.cast(array.clone(), &PgType::TEXT_ARRAY.into())? } else { array.clone() };
            let Some(element) = array.ty.element() else { return unsupported("unnest of what is no array") };
            if let Some(fields) = element.fields.clone() {
                let produce: Produce = Arc::new(|args| {
                    let rows = args.first().map_or(&[][..], Datum::items).iter();
                    Ok(rows.map(|row| if let Datum::Row(fields) = row { fields.to_vec() } else { Vec::new() }).collect())
                });
                let call = SetCall { args: vec![array.node], produce, width: fields.len() };
                return Ok(Some(BoundSet { call, columns: fields.to_vec(), scalar: false }));
            }
            let produce: Produce = Arc::new(|args| Ok(one(args.first().map_or(&[][..], Datum::items).to_vec())));
            scalar("unnest", vec![array.node], produce, element)
        }
        ("generate_series", 2 | 3) => {
            if args.iter().any(|typed| !typed.unknown && typed.ty.family() != Family::Int) {
                return unsupported("a series of what is no integer");
            }
            let (nodes, ty) = binder.in_shared(args)?;
            let ty = if ty.family() == Family::Int { ty } else { PgType::INT4.into() };
            scalar("generate_series", nodes, Arc::new(series), ty)
        }
        ("generate_subscripts", 2 | 3) => {
            let nodes = args.iter().map(|typed| typed.node.clone()).collect();
            scalar("generate_subscripts", nodes, Arc::new(subscripts), PgType::INT4.into())
        }
        ("_pg_expandarray", 1) => {
            let Some(array) = args.first() else { return Ok(None) };
            let Some(element) = array.ty.element() else { return unsupported("this array") };
            let produce: Produce = Arc::new(|args| {
                let items = args.first().map_or(&[][..], Datum::items).iter();
                Ok((1i64..).zip(items).map(|(number, item)| vec![item.clone(), number.into()]).collect())
            });
            let columns = vec![("x".to_owned(), element), ("n".to_owned(), PgType::INT4.into())];
            Ok(Some(BoundSet { call: SetCall { args: vec![array.node.clone()], produce, width: 2 }, columns, scalar: false }))
        }
        ("regexp_split_to_table" | "string_to_table", 2) => {
            let mut nodes = Vec::with_capacity(2);
            for typed in args {
                nodes.push(binder.coerce(typed.clone(), &text)?);
            }
            let regular = name.starts_with("regexp");
            let produce: Produce = Arc::new(move |args| {
                let [Datum::Text(text), Datum::Text(separator)] = args else { return Ok(Vec::new()) };
                if !regular {
                    return Ok(one(builtins::split(text, separator)));
                }
                Ok(one(operators::regex(separator, false)?.split(text).map(Datum::from)))
            });
            scalar(name, nodes, produce, text)
        }
        ("pg_partition_ancestors", 1) => {
            let nodes = args.iter().map(|typed| typed.node.clone()).collect();
            scalar("relid", nodes, Arc::new(|args| Ok(one(args.first().cloned()))), PgType::REGCLASS.into())
        }
        ("aclexplode", 1) => Ok(Some(grants(binder, args))),
        ("pg_listening_channels", 0) => scalar(name, Vec::new(), Arc::new(|_| Ok(Vec::new())), text),
        _ => match taken_apart::bind(binder, name, args)? {
            Some(set) => Ok(Some(set)),
            None => empty(binder, name, args),
        },
    }
}

/// `aclexplode(items)`: each privilege that they grant.
fn grants(binder: &Binder, args: &[Typed]) -> BoundSet {
    let facts = Arc::clone(&binder.facts);
    let produce: Produce = Arc::new(move |args| {
        let role = |name: &str| i64::from(facts.role(name).unwrap_or_default()).into();
        let items = args.first().map_or(&[][..], Datum::items).iter().filter_map(|item| acl::parse(item.as_text()));
        let rows = items.flat_map(|grant| {
            let (grantor, grantee): (Datum, Datum) = (role(&grant.grantor), role(&grant.grantee));
            let row = move |(privilege, on): (&str, bool)| vec![grantor.clone(), grantee.clone(), privilege.into(), Datum::Bool(on)];
            grant.privileges.into_iter().map(row)
        });
        Ok(rows.collect())
    });
    let columns = [("grantor", PgType::OID), ("grantee", PgType::OID), ("privilege_type", PgType::TEXT), ("is_grantable", PgType::BOOL)];
    let columns = columns.map(|(name, pg_type)| (name.to_owned(), pg_type.into())).to_vec();
    let call = SetCall { args: args.iter().map(|typed| typed.node.clone()).collect(), produce, width: columns.len() };
    BoundSet { call, columns, scalar: false }
}

/// Functions that have no row to answer here.
fn empty(binder: &mut Binder, name: &str, args: &[Typed]) -> Bound<Option<BoundSet>> {
    let Some(relation) = relations::find("pg_catalog", &format!("{name}()")).filter(|relation| always_empty(relation)) else {
        return Ok(None);
    };
    for typed in args {
        let _ = binder.settled(typed.clone())?;
    }
    let columns: Vec<(String, Ty)> = relation.columns.iter().map(|column| (column.name.to_owned(), column.pg_type.into())).collect();
    let width = columns.len();
    Ok(Some(BoundSet { call: SetCall { args: Vec::new(), produce: Arc::new(|_| Ok(Vec::new())), width }, columns, scalar: false }))
}

fn series(args: &[Datum]) -> Result<Vec<Vec<Datum>>, DataFusionError> {
    let [Datum::Int(start), Datum::Int(end), rest @ ..] = args else { return Ok(Vec::new()) };
    let step = match rest.first() {
        None => 1,
        Some(Datum::Int(0)) => {
            return Err(client(ClientMessage::new(SqlState::INVALID_PARAMETER_VALUE, "step size cannot equal zero")));
        }
        Some(Datum::Int(step)) => *step,
        Some(_) => return Ok(Vec::new()),
    };
    let mut rows = Vec::new();
    let mut number = *start;
    while (step > 0 && number <= *end) || (step < 0 && number >= *end) {
        if rows.len() >= ROWS_MAX {
            return Err(client(ClientMessage::new(SqlState::CONFIGURATION_LIMIT_EXCEEDED, "the series is too long")));
        }
        rows.push(vec![number.into()]);
        let Some(next) = number.checked_add(step) else { break };
        number = next;
    }
    Ok(rows)
}

fn subscripts(args: &[Datum]) -> Result<Vec<Vec<Datum>>, DataFusionError> {
    let [Datum::List(list), Datum::Int(1), rest @ ..] = args else { return Ok(Vec::new()) };
    let List { items, first } = list.as_ref();
    let mut numbers: Vec<Datum> = (*first..).zip(items).map(|(number, _)| number.into()).collect();
    if rest.first().is_some_and(Datum::is_true) {
        numbers.reverse();
    }
    Ok(one(numbers))
}
