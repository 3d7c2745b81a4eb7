//! How much an aggregate holds after more rows.

use arrow::array::{Array, ArrayRef};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::physical_expr::expressions::Literal;

use crate::error::{ClientMessage, SqlState};

use super::weight;

/// Bytes of a value at most: PostgreSQL's own limit, which is below what offsets of 32 bits reach.
pub(super) const VALUE_BYTES_MAX: usize = (1 << 30) - 1;

/// What becomes of the rows of an aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Growth {
    /// A text of all, with so many bytes between them.
    Text(usize),
    /// A list of all.
    List,
    /// One of them.
    One,
}

/// The bytes of a text, or of bytes.
fn length(value: &ScalarValue) -> usize {
    match value {
        ScalarValue::Binary(Some(bytes)) => bytes.len(),
        text => text.try_as_str().flatten().map_or(0, str::len),
    }
}

impl Growth {
    /// That of the aggregate of this name.
    pub(super) fn of(name: &str, args: &AccumulatorArgs<'_>) -> Self {
        match name {
            "string_agg" => {
                let between = args.exprs.get(1).and_then(|between| between.downcast_ref::<Literal>());
                Self::Text(between.map_or(0, |between| length(between.value())))
            }
            "array_agg" => Self::List,
            _ => Self::One,
        }
    }

    /// What these rows add.
    pub(super) fn added(self, values: &[ArrayRef]) -> usize {
        let Some(values) = values.first() else { return 0 };
        match self {
            Self::Text(between) => weight::of(values).saturating_add(between.saturating_mul(values.len() - values.null_count())),
            Self::List => weight::of(values),
            Self::One => weight::of_longest(values),
        }
    }

    /// What is held after these rows, or why that is too much for one value.
    pub(super) fn after(self, held: usize, values: &[ArrayRef]) -> Result<usize> {
        let added = self.added(values);
        let after = if self == Self::One { held.max(added) } else { held.saturating_add(added) };
        if after > VALUE_BYTES_MAX { Err(self.too_long(held, added)) } else { Ok(after) }
    }

    /// What is held without these rows.
    pub(super) fn without(self, held: usize, values: &[ArrayRef]) -> usize {
        if self == Self::One { held } else { held.saturating_sub(self.added(values)) }
    }

    /// Refuses a value that is too long.
    pub(super) fn too_long(self, held: usize, added: usize) -> DataFusionError {
        let message = match self {
            Self::List => ClientMessage::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("array size exceeds the maximum allowed ({VALUE_BYTES_MAX} bytes)"),
            ),
            Self::Text(_) | Self::One => ClientMessage::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "out of memory")
                .with_detail(format!("Cannot enlarge string buffer containing {held} bytes by {added} more bytes.")),
        };
        DataFusionError::External(Box::new(message))
    }
}
