//! Columns that the folders of a file tell: `region=eu/day=2026-11-21/` as Hive writes them, or `2026/11/21/`.
//!
//! The contract's `partitioning` names the levels, the last one next to the file. A level that is a column of the contract is read
//! from there and nowhere else. INVARIANT: a file whose folders do not tell all of these columns is an error, and files are
//! passed over only for filters that are not true of what the folders tell.

use std::sync::Arc;

use arrow::array::{Array, BooleanArray, RecordBatch};
use arrow::datatypes::Schema;
use datafusion::catalog::Session;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, Volatility};
use object_store::ObjectMeta;

use super::super::error::{Error, Place};
use super::super::schema::type_name;
use super::super::shape::{Column, Shape};
use super::super::texts::{Texts, read_column};
use super::table::Part;

/// What Hive writes for NULL.
const HIVE_NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// The levels of folders that are columns of the contract.
#[derive(Debug, Clone)]
pub(in super::super) struct Partitions {
    /// How many levels there are.
    levels: usize,
    /// Level, its name, and the column of the contract.
    columns: Vec<(usize, String, usize)>,
}

impl Partitions {
    /// The levels of a contract; `None` if none of them is a column.
    pub(in super::super) fn of_contract(text: Option<&str>, shape: Option<&Shape>) -> Option<Self> {
        let names: Vec<&str> = text?.split('/').map(str::trim).filter(|name| !name.is_empty()).collect();
        let columns = names.iter().enumerate().filter_map(|(level, name)| {
            let column = shape?.columns.iter().position(|column| column.source.eq_ignore_ascii_case(name))?;
            Some((level, (*name).to_owned(), column))
        });
        let columns: Vec<_> = columns.collect();
        (!columns.is_empty()).then_some(Self { levels: names.len(), columns })
    }

    /// The columns of the contract that folders tell.
    pub(in super::super) fn columns(&self) -> Vec<usize> {
        self.columns.iter().map(|(_, _, column)| *column).collect()
    }

    /// What the folders of a file tell.
    pub(super) fn values(&self, at: &Place, shape: &Shape, file: &ObjectMeta) -> Result<Vec<(usize, ScalarValue)>, Error> {
        let parts: Vec<_> = file.location.parts().collect();
        let folders = parts.get(..parts.len().saturating_sub(1)).unwrap_or_default();
        let first = folders.len().checked_sub(self.levels);
        let values = self.columns.iter().map(|(level, name, index)| {
            let broken = || Error::Internal { at: at.clone(), broken: "a partition is no column of the contract" };
            let column = shape.columns.get(*index).ok_or_else(broken)?;
            let folder = first.and_then(|first| folders.get(first + level)).ok_or_else(|| column.missing(at))?;
            let text = match folder.as_ref().split_once('=') {
                Some((key, value)) if key.eq_ignore_ascii_case(name) => value,
                Some(_) => return Err(column.missing(at)),
                None => folder.as_ref(),
            };
            Ok((*index, value(at, column, text)?))
        });
        values.collect()
    }
}

/// The text of a single row.
struct One(Option<Vec<u8>>);

impl Texts for One {
    fn rows(&self) -> usize {
        1
    }

    fn text(&self, _: usize) -> Option<&[u8]> {
        self.0.as_deref()
    }
}

fn value(at: &Place, column: &Column, text: &str) -> Result<ScalarValue, Error> {
    let unfit = || Error::Unfit { at: at.clone(), column: column.field.name().clone(), expected: type_name(&column.field) };
    let text = (text != HIVE_NULL).then(|| unescape(text).ok_or_else(unfit)).transpose()?;
    let one: &dyn Texts = &One(text);
    let array = read_column(one, &column.field, None).map_err(|_| unfit())?;
    ScalarValue::try_from_array(&array, 0).map_err(|_| unfit())
}

/// Undoes what Hive does to characters that a path cannot have.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first == b'%' {
            let (digits, tail) = tail.split_at_checked(2)?;
            let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = tail;
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    Some(bytes)
}

/// The files of which the filters may be true, by what their folders tell.
pub(super) fn keep(mut parts: Vec<Part>, shape: &Shape, session: &dyn Session, filters: &[Expr]) -> Result<Vec<Part>> {
    for filter in filters.iter().flat_map(split_conjunction) {
        let Some(told) = parts.first().map(|part| part.told.iter().map(|(index, _)| *index).collect::<Vec<_>>()) else { break };
        let Some(kept) = test(&parts, &told, shape, session, filter)? else { continue };
        let mut kept = kept.iter();
        parts.retain(|_| kept.next().flatten().unwrap_or(false));
    }
    Ok(parts)
}

/// Of which files the filter is true; `None` if folders do not tell.
fn test(parts: &[Part], told: &[usize], shape: &Shape, session: &dyn Session, filter: &Expr) -> Result<Option<BooleanArray>> {
    let bare = filter.clone().transform(|node| {
        Ok(match node {
            Expr::Column(column) => Transformed::yes(Expr::Column(datafusion::common::Column::new_unqualified(column.name))),
            other => Transformed::no(other),
        })
    })?;
    let fields: Vec<_> = told.iter().filter_map(|index| shape.columns.get(*index)).map(|column| Arc::clone(&column.field)).collect();
    let named = bare.data.column_refs().iter().all(|column| fields.iter().any(|field| *field.name() == column.name));
    let changing = bare.data.exists(|node| {
        Ok(matches!(node, Expr::ScalarFunction(function) if function.func.signature().volatility != Volatility::Immutable))
    })?;
    if !named || changing || bare.data.column_refs().is_empty() {
        return Ok(None);
    }
    let schema = Arc::new(Schema::new(fields));
    let Ok(predicate) = session.create_physical_expr(bare.data, &DFSchema::try_from(Arc::clone(&schema))?) else { return Ok(None) };
    let columns = told.iter().map(|index| {
        let values = parts.iter().filter_map(|part| part.told.iter().find(|(told, _)| told == index)).map(|(_, value)| value.clone());
        ScalarValue::iter_to_array(values)
    });
    let batch = RecordBatch::try_new(schema, columns.collect::<Result<Vec<_>>>()?)?;
    // One that fails here fails, or not, where it is tested row by row.
    let Ok(tested) = predicate.evaluate(&batch).and_then(|value| value.into_array(batch.num_rows())) else { return Ok(None) };
    let kept = tested.as_any().downcast_ref::<BooleanArray>().filter(|kept| kept.len() == parts.len());
    Ok(kept.cloned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hive_escapes_is_undone() {
        assert_eq!(unescape("a%3Ab%20c").unwrap(), b"a:b c");
        assert_eq!(unescape("a%3"), None);
        assert_eq!(unescape("a%+1"), None);
    }
}
