//! The rows of system relations as values, and values as rows of a result.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray, StructArray, new_empty_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Fields, Float64Type, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;

use crate::catalog::facts::SessionFacts;
use crate::catalog::relations::Relation;
use crate::catalog::system::labels::numbered;
use crate::catalog::types::ORIGIN_KEY;
use crate::catalog::{PgType, TYPE_KEY, TYPMOD_KEY, content, statics};

use super::casts;
use super::datum::{Datum, Family, List, Ty, float};
use super::run::Row;
use super::texts;
use super::tree::Output;

/// The rows of a relation, to be looked up in by any column.
pub(super) struct Table {
    rows: Arc<Vec<Row>>,
    indexes: Vec<OnceCell<HashMap<Datum, Vec<usize>>>>,
}

/// The rows that are the same in every session, read once.
static FIXED: Mutex<BTreeMap<&'static str, Arc<Vec<Row>>>> = Mutex::new(BTreeMap::new());

impl Table {
    /// Reads a relation.
    pub(super) fn read(relation: &'static Relation, facts: &Arc<SessionFacts>) -> Result<Self, DataFusionError> {
        let indexes = relation.columns.iter().map(|_| OnceCell::new()).collect();
        let fixed = statics::is_fixed(relation);
        let known = FIXED.lock().unwrap_or_else(PoisonError::into_inner).get(relation.name).cloned();
        if let Some(rows) = known.filter(|_| fixed) {
            return Ok(Self { rows, indexes });
        }
        let rows = Arc::new(rows_of(&content::rows(relation, facts)?, relation)?);
        if fixed {
            FIXED.lock().unwrap_or_else(PoisonError::into_inner).insert(relation.name, Arc::clone(&rows));
        }
        Ok(Self { rows, indexes })
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Every row, or those whose column has a value.
    pub(super) fn rows<'a>(&'a self, equal: Option<(usize, &Datum)>) -> Box<dyn Iterator<Item = &'a Row> + 'a> {
        let Some((column, value)) = equal else { return Box::new(self.rows.iter()) };
        let Some(index) = self.indexes.get(column).filter(|_| !value.is_null()) else { return Box::new(std::iter::empty()) };
        let index = index.get_or_init(|| {
            let mut index: HashMap<Datum, Vec<usize>> = HashMap::new();
            for (at, row) in self.rows.iter().enumerate() {
                if let Some(value) = row.get(column).filter(|value| !value.is_null()) {
                    index.entry(value.clone()).or_default().push(at);
                }
            }
            index
        });
        Box::new(index.get(value).into_iter().flatten().filter_map(move |at| self.rows.get(*at)))
    }
}

fn rows_of(batch: &RecordBatch, relation: &Relation) -> Result<Vec<Row>, DataFusionError> {
    let columns: Vec<Vec<Datum>> = batch
        .columns()
        .iter()
        .zip(&relation.columns)
        .map(|(array, column)| values(array, &column.pg_type.into()))
        .collect::<Result<_, _>>()?;
    let mut columns: Vec<_> = columns.into_iter().map(Vec::into_iter).collect();
    Ok((0..batch.num_rows()).map(|_| columns.iter_mut().map(|column| column.next().unwrap_or(Datum::Null)).collect()).collect())
}

/// The values of an array.
fn values(array: &ArrayRef, ty: &Ty) -> Result<Vec<Datum>, DataFusionError> {
    Ok(match array.data_type() {
        DataType::Boolean => array.as_boolean().iter().map(Datum::from).collect(),
        found if found.is_integer() => cast(array, &DataType::Int64)?.as_primitive::<Int64Type>().iter().map(Datum::from).collect(),
        DataType::Float32 | DataType::Float64 | DataType::Decimal128(..) => {
            let floats = cast(array, &DataType::Float64)?;
            floats.as_primitive::<Float64Type>().iter().map(|number| number.map_or(Datum::Null, Datum::Float)).collect()
        }
        DataType::Timestamp(..) => {
            let micros = cast(array, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
            micros.as_primitive::<TimestampMicrosecondType>().iter().map(|at| at.map_or(Datum::Null, Datum::Instant)).collect()
        }
        DataType::List(_) => {
            let element = ty.element().unwrap_or_else(|| PgType::TEXT.into());
            let first = i64::from(!matches!(ty.pg.oid, 22 | 30));
            let mut lists = Vec::with_capacity(array.len());
            for list in array.as_list::<i32>().iter() {
                lists.push(match list {
                    Some(items) => Datum::List(Arc::new(List { items: values(&items, &element)?, first })),
                    None => Datum::Null,
                });
            }
            lists
        }
        DataType::Interval(_) => {
            let of = |at| match ScalarValue::try_from_array(array, at) {
                Ok(ScalarValue::IntervalMonthDayNano(Some(span))) => Datum::Span(span.nanoseconds / 1000),
                _ => Datum::Null,
            };
            (0..array.len()).map(of).collect()
        }
        _ => cast(array, &DataType::Utf8)?.as_string::<i32>().iter().map(Datum::from).collect(),
    })
}

/// The value of a parameter. One of a reg* type comes by its name, and is a number here.
pub(super) fn parameter(value: &ScalarValue, ty: Option<PgType>, facts: &Arc<SessionFacts>) -> Result<Datum, DataFusionError> {
    let ty = ty.map_or_else(|| Ty::from(PgType::of_arrow_type(&value.data_type())), Ty::from);
    if let (Family::Named, Some(Some(name))) = (ty.family(), value.try_as_str()) {
        return casts::parsed(name, &ty, facts);
    }
    Ok(values(&value.to_array()?, &ty)?.into_iter().next().unwrap_or(Datum::Null))
}

/// The schema of a result.
pub(super) fn schema(columns: &[Output]) -> SchemaRef {
    let mut fields: Vec<Field> = Vec::with_capacity(columns.len());
    for (number, column) in columns.iter().enumerate() {
        let taken = fields.iter().any(|field| field.name() == &column.name);
        let name = if taken { numbered(&column.name, number) } else { column.name.clone() };
        let mut metadata = std::collections::HashMap::new();
        if let Some(typname) = column.ty.pg.typname() {
            metadata.insert(TYPE_KEY.to_owned(), typname);
        }
        if column.ty.pg.typmod >= 0 {
            metadata.insert(TYPMOD_KEY.to_owned(), column.ty.pg.typmod.to_string());
        }
        if let Some((relation, number)) = column.origin {
            metadata.insert(ORIGIN_KEY.to_owned(), format!("{relation}.{number}"));
        }
        fields.push(Field::new(name, arrow_type(&column.ty), true).with_metadata(metadata));
    }
    Arc::new(Schema::new(fields))
}

/// What a value is sent from. Objects are sent by name, so they are texts.
fn arrow_type(ty: &Ty) -> DataType {
    match ty.family() {
        Family::Bool => DataType::Boolean,
        Family::Int => match ty.pg.oid {
            21 => DataType::Int16,
            23 => DataType::Int32,
            _ => DataType::Int64,
        },
        Family::Oid => DataType::UInt32,
        Family::Float => match ty.pg.oid {
            700 => DataType::Float32,
            1700 => DataType::Utf8,
            _ => DataType::Float64,
        },
        Family::Instant => match ty.pg.oid {
            1082 => DataType::Date32,
            1114 => DataType::Timestamp(TimeUnit::Microsecond, None),
            _ => DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
        },
        Family::Row => DataType::Struct(fields(ty)),
        Family::List => match ty.element() {
            Some(element) if ty.pg.oid != PgType::ANYARRAY.oid => {
                DataType::List(Arc::new(Field::new_list_field(arrow_type(&element), true)))
            }
            _ => DataType::Utf8,
        },
        Family::Named | Family::Text | Family::Span => DataType::Utf8,
    }
}

/// The fields of a row.
fn fields(ty: &Ty) -> Fields {
    let types = ty.fields.as_deref().unwrap_or_default();
    let field = |(name, ty): &(String, Ty)| {
        let metadata = ty.pg.typname().map(|typname| (TYPE_KEY.to_owned(), typname));
        Field::new(name, arrow_type(ty), true).with_metadata(metadata.into_iter().collect())
    };
    types.iter().map(field).collect()
}

/// The rows of a result.
pub(super) fn batch(
    columns: &[Output],
    schema: &SchemaRef,
    rows: &[Row],
    facts: &Arc<SessionFacts>,
) -> Result<RecordBatch, DataFusionError> {
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(columns.len());
    for (at, (column, field)) in columns.iter().zip(schema.fields()).enumerate() {
        let cells = rows.iter().map(|row| scalar(row.get(at).unwrap_or(&Datum::Null), &column.ty, field.data_type(), facts));
        let cells = cells.collect::<Result<Vec<ScalarValue>, DataFusionError>>()?;
        arrays.push(if cells.is_empty() { new_empty_array(field.data_type()) } else { ScalarValue::iter_to_array(cells)? });
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options)?)
}

fn scalar(value: &Datum, ty: &Ty, data_type: &DataType, facts: &Arc<SessionFacts>) -> Result<ScalarValue, DataFusionError> {
    Ok(match (value, data_type) {
        (Datum::Null, data_type) => ScalarValue::try_new_null(data_type)?,
        (Datum::Row(cells), DataType::Struct(fields)) => {
            let types = ty.fields.as_deref().unwrap_or_default();
            let arrays =
                cells.iter().zip(types).zip(fields).map(|((cell, (_, ty)), field)| scalar(cell, ty, field.data_type(), facts)?.to_array());
            let arrays = arrays.collect::<Result<Vec<ArrayRef>, DataFusionError>>()?;
            ScalarValue::Struct(Arc::new(StructArray::try_new(fields.clone(), arrays, None)?))
        }
        (value, DataType::Utf8) => ScalarValue::Utf8(Some(texts::shown(value, ty, facts))),
        (Datum::Bool(truth), _) => ScalarValue::Boolean(Some(*truth)),
        (Datum::Int(number), DataType::Int64) => ScalarValue::Int64(Some(*number)),
        (Datum::Int(number), DataType::Float32 | DataType::Float64) => ScalarValue::Float64(Some(float(*number))).cast_to(data_type)?,
        (Datum::Int(number), data_type) => ScalarValue::Int64(Some(*number)).cast_to(data_type)?,
        (Datum::Float(number), data_type) => ScalarValue::Float64(Some(*number)).cast_to(data_type)?,
        (Datum::Instant(micros), DataType::Timestamp(_, zone)) => ScalarValue::TimestampMicrosecond(Some(*micros), zone.clone()),
        (Datum::Instant(micros), _) => ScalarValue::Date32(i32::try_from(micros.div_euclid(86_400_000_000)).ok()),
        (Datum::List(list), DataType::List(field)) => {
            let element = ty.element().unwrap_or_else(|| PgType::TEXT.into());
            let cells = list.items.iter().map(|item| scalar(item, &element, field.data_type(), facts));
            let cells = cells.collect::<Result<Vec<ScalarValue>, DataFusionError>>()?;
            crate::catalog::rows::list(cells, field.data_type()).map_or_else(|| ScalarValue::try_new_null(data_type), Ok)?
        }
        _ => ScalarValue::try_new_null(data_type)?,
    })
}
