//! Column masks as array kernels.
//!
//! INVARIANT: a mask keeps the column's type, and what it cannot be computed for is refused before a row is read, never shown raw. No
//! kernel can fail on a value: what has no masked value is NULL. Masks run after the rows have been filtered and below everything of the user.
//!
//! A constant mask reads no column at all. A text that a file has once for many rows is masked once, and so are equal texts of a stream where
//! masking one costs more than looking it up.

mod ascii;
mod computed;
mod constant;
mod date;
mod hash;
mod kept;
mod memo;
mod number;
mod places;
mod seen;
mod text;
mod types;
mod written;

#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, StringViewArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{ArrowDictionaryKeyType, DataType as ArrowType, Schema};
use datafusion::arrow::downcast_dictionary_array;
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};

use crate::policy::{Mask, MaskKeys};
use crate::ports::Coarsening;

use computed::Computed;
use date::Period;
use hash::Hash;

pub(super) use memo::Memo;

pub(super) use types::{Reader, contract_type, plain};

/// Rows of a usual batch: constants are kept in this length and cut.
const ROWS_USUAL: usize = 8_192;

/// A mask that is known to serve its column's type.
#[derive(Clone)]
pub(super) struct ColumnMask {
    /// The columns of the table that it is computed from.
    reads: Vec<usize>,
    kernel: Kernel,
}

#[derive(Clone)]
enum Kernel {
    Constant { value: ScalarValue, cached: Arc<OnceLock<ArrayRef>> },
    Text(text::TextMask),
    Truncate(Period),
    Bucket(number::Width),
    Hash(Hash),
    Computed(Arc<Computed>),
}

impl std::fmt::Debug for ColumnMask {
    /// Neither constants nor secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ColumnMask").field("reads", &self.reads).finish_non_exhaustive()
    }
}

impl ColumnMask {
    /// The mask of the column at `index`; `None` if it cannot serve the column's type or its secret is not there.
    pub(super) fn new(mask: &Mask, index: usize, schema: &Schema, keys: &MaskKeys) -> Option<Self> {
        let field = schema.fields().get(index)?;
        if let Mask::Null = mask {
            return Some(Self::constant(ScalarValue::try_from(field.data_type()).ok()?));
        }
        let data_type = types::contract_type(field)?;
        mask.check(&data_type).ok()?;
        let kernel = match mask {
            Mask::Null => return None,
            Mask::Redact => return Some(Self::constant(constant::redacted(&data_type, field)?)),
            Mask::Fixed(None) => return Some(Self::constant(constant::fixed(&data_type, field)?)),
            Mask::Fixed(Some(value)) => return Some(Self::constant(constant::scalar(value.to_value(&data_type)?, field)?)),
            Mask::ShowFirst4 => Kernel::Text(text::TextMask::ShowFirst4),
            Mask::ShowLast4 => Kernel::Text(text::TextMask::ShowLast4),
            Mask::MaskAlphanum => Kernel::Text(text::TextMask::MaskAlphanum),
            Mask::EmailDomain => Kernel::Text(text::TextMask::EmailDomain(types::characters_max(&data_type))),
            Mask::TruncateToYear => Kernel::Truncate(Period::Year),
            Mask::TruncateToMonth => Kernel::Truncate(Period::Month),
            Mask::Bucket(width) => Kernel::Bucket(number::Width::new(*width, &data_type)?),
            Mask::Sha256Global => Kernel::Hash(Hash::plain()),
            Mask::HmacSha256(key) => Kernel::Hash(Hash::keyed(keys.secret(key)?, &data_type)),
            Mask::Expression(expression) => {
                let (reads, computed) = Computed::new(Arc::clone(expression), &data_type, field, schema)?;
                return Some(Self { reads, kernel: Kernel::Computed(Arc::new(computed)) });
            }
        };
        Some(Self { reads: vec![index], kernel })
    }

    fn constant(value: ScalarValue) -> Self {
        Self { reads: Vec::new(), kernel: Kernel::Constant { value, cached: Arc::default() } }
    }

    /// The columns of the table that it is computed from; none for a constant.
    pub(super) fn reads(&self) -> &[usize] {
        &self.reads
    }

    /// What it leaves of its column's values, if masking these again changes nothing: then a source may do it, too.
    pub(super) fn coarsening(&self) -> Option<Coarsening> {
        match &self.kernel {
            Kernel::Truncate(Period::Year) => Some(Coarsening::Year),
            Kernel::Truncate(Period::Month) => Some(Coarsening::Month),
            Kernel::Bucket(number::Width::Whole(width)) => i64::try_from(*width).ok().map(Coarsening::Multiple),
            Kernel::Bucket(number::Width::Float(_)) | Kernel::Constant { .. } | Kernel::Text(_) | Kernel::Hash(_) | Kernel::Computed(_) => {
                None
            }
        }
    }

    /// The masked column of so many rows; `inputs` are the columns of [`ColumnMask::reads`], and `memo` is of this mask and stream.
    pub(super) fn apply(&self, inputs: &[ArrayRef], rows: usize, memo: &mut Memo) -> Result<ArrayRef> {
        let input = || inputs.first().ok_or_else(wrong_type);
        match &self.kernel {
            Kernel::Constant { value, cached } => {
                if rows > ROWS_USUAL {
                    return value.to_array_of_size(rows);
                }
                let array = match cached.get() {
                    Some(array) => array,
                    None => {
                        let array = value.to_array_of_size(ROWS_USUAL)?;
                        cached.get_or_init(|| array)
                    }
                };
                Ok(array.slice(0, rows))
            }
            Kernel::Computed(computed) => computed.apply(inputs, rows, memo),
            _ => self.apply_to(input()?, memo),
        }
    }

    /// The masked column of one that may be in a dictionary.
    fn apply_to(&self, column: &ArrayRef, memo: &mut Memo) -> Result<ArrayRef> {
        if let ArrowType::Dictionary(..) = column.data_type() {
            return downcast_dictionary_array! {
                column => self.apply_to_dictionary(column),
                _ => Err(wrong_type()),
            };
        }
        match &self.kernel {
            Kernel::Text(mask) => of_texts(column, |texts| memo.masked_if_few(texts, |texts| like(column, &mask.apply(texts)?))),
            Kernel::Truncate(period) => date::truncate(column, *period),
            Kernel::Bucket(width) => number::bucket(column, *width),
            Kernel::Hash(hash) if column.data_type().is_string() => {
                of_texts(column, |texts| memo.masked(texts, false, |texts| like(column, &hash.apply_to_texts(texts)?)))
            }
            Kernel::Hash(hash) => hash.apply(column),
            Kernel::Constant { .. } | Kernel::Computed(_) => Err(wrong_type()),
        }
    }

    /// A value of a dictionary is masked once, however many rows have it.
    fn apply_to_dictionary<K: ArrowDictionaryKeyType>(&self, column: &DictionaryArray<K>) -> Result<ArrayRef> {
        let values = self.apply_to(column.values(), &mut Memo::default())?;
        Ok(Arc::new(column.with_values(values)))
    }
}

fn wrong_type() -> DataFusionError {
    super::Error::Internal { invariant: "a port delivers a masked column with the type of its schema" }.into()
}

/// Masks texts of any layout.
fn of_texts(column: &ArrayRef, mask: impl FnOnce(&StringViewArray) -> Result<ArrayRef>) -> Result<ArrayRef> {
    match column.as_string_view_opt() {
        Some(texts) => mask(texts),
        None => mask(cast(column, &ArrowType::Utf8View)?.as_string_view_opt().ok_or_else(wrong_type)?),
    }
}

/// Masked texts in the layout of the column.
fn like(column: &ArrayRef, masked: &dyn Array) -> Result<ArrayRef> {
    match (column.data_type(), masked.as_string_opt::<i64>()) {
        (ArrowType::Utf8View, Some(written)) => Ok(Arc::new(StringViewArray::from(written))),
        (data_type, _) => Ok(cast(masked, data_type)?),
    }
}
