//! Functions that take a value of the system apart: options, the name of an object.

use std::sync::Arc;

use crate::catalog::PgType;
use crate::catalog::facts::SessionFacts;
use crate::catalog::functions::identified;
use crate::catalog::relations;

use super::bind::{Binder, Bound, Typed, unsupported};
use super::call::BoundSet;
use super::datum::{Datum, Family, Ty};
use super::tree::{Node, Produce, SetCall};

/// A call of a function of this file; `None` if it is none.
pub(super) fn bind(binder: &mut Binder, name: &str, args: &[Typed]) -> Bound<Option<BoundSet>> {
    match (name, args.len()) {
        ("pg_options_to_table", 1) => {
            let items = list_argument(binder, args, PgType::TEXT_ARRAY)?;
            rows_of(name, items, Arc::new(|args| Ok(elements(args).iter().map(option).collect())))
        }
        ("pg_identify_object", 3) => {
            let mut nodes = Vec::with_capacity(3);
            for typed in args {
                nodes.push(binder.coerce(typed.clone(), &PgType::INT8.into())?);
            }
            let facts = Arc::clone(&binder.facts);
            let columns = ["type", "schema", "name", "identity"].map(|name| (name.to_owned(), PgType::TEXT.into())).to_vec();
            let call = SetCall { args: nodes, produce: Arc::new(move |args| Ok(vec![identity(&facts, args)])), width: 4 };
            Ok(Some(BoundSet { call, columns, scalar: false }))
        }
        _ => Ok(None),
    }
}

fn elements(args: &[Datum]) -> &[Datum] {
    args.first().map_or(&[], Datum::items)
}

/// Functions whose rows come from their arguments, though they have a relation's columns.
pub(super) fn takes_arguments(name: &str) -> bool {
    matches!(name, "aclexplode" | "pg_options_to_table")
}

/// The one argument, an array; a constant becomes one of this type.
fn list_argument(binder: &mut Binder, args: &[Typed], ty: PgType) -> Bound<Node> {
    match args {
        [list] if list.unknown => binder.coerce(list.clone(), &ty.into()),
        [list] if list.ty.family() == Family::List => Ok(list.node.clone()),
        _ => unsupported("an argument that is no array"),
    }
}

/// A call that answers the columns of a table function of `pg_catalog`.
fn rows_of(name: &str, argument: Node, produce: Produce) -> Bound<Option<BoundSet>> {
    let Some(relation) = relations::find("pg_catalog", &format!("{name}()")) else { return Ok(None) };
    let columns: Vec<(String, Ty)> = relation.columns.iter().map(|column| (column.name.to_owned(), column.pg_type.into())).collect();
    let call = SetCall { args: vec![argument], produce, width: columns.len() };
    Ok(Some(BoundSet { call, columns, scalar: false }))
}

/// `name=value`; without a sign there is no value.
fn option(item: &Datum) -> Vec<Datum> {
    match item.as_text().split_once('=') {
        Some((name, value)) => vec![name.into(), value.into()],
        None => vec![item.clone(), Datum::Null],
    }
}

/// What an object is called; of one that does not exist, nothing.
fn identity(facts: &Arc<SessionFacts>, args: &[Datum]) -> Vec<Datum> {
    let number = |at: usize| args.get(at).and_then(Datum::as_int);
    let oid = |at: usize| number(at).and_then(|number| u32::try_from(number).ok());
    let address = oid(0).zip(oid(1)).zip(number(2)).map(|((class, object), column)| (class, object, column));
    match address.and_then(|address| identified(facts, address)) {
        Some(found) => vec![found.kind.into(), found.schema.into(), found.name.into(), found.identity.into()],
        None => vec![Datum::Null; 4],
    }
}
