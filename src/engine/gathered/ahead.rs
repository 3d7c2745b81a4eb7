//! An aggregate over groups, or over all rows: it asks for memory before it takes a batch that makes it much longer.
//!
//! The engine's operators charge what an aggregate holds after each batch. So what is asked for here is given back when the batch is taken.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, BooleanArray};
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};

use super::growth::{Growth, VALUE_BYTES_MAX};

/// What a batch may add before anybody asks: the engine's own account comes soon enough.
const UNASKED_BYTES: usize = 1 << 20;
/// A text that grows is copied into twice its room.
const ROOM: usize = 2;

/// Where memory is asked for.
#[derive(Debug, Clone)]
pub(super) struct Ahead {
    pub(super) pool: Arc<dyn MemoryPool>,
    pub(super) growth: Growth,
}

impl Ahead {
    /// So much for as long as what is answered lives.
    fn ask(&self, bytes: usize) -> Result<Option<MemoryReservation>> {
        if bytes <= UNASKED_BYTES {
            return Ok(None);
        }
        let reservation = MemoryConsumer::new("aggregate").register(&self.pool);
        reservation.try_grow(bytes)?;
        Ok(Some(reservation))
    }
}

/// The accumulator of one value.
#[derive(Debug)]
pub(super) struct Plain {
    pub(super) inner: Box<dyn Accumulator>,
    pub(super) ahead: Ahead,
    held: usize,
}

impl Plain {
    pub(super) fn new(inner: Box<dyn Accumulator>, ahead: Ahead) -> Self {
        Self { inner, ahead, held: 0 }
    }

    fn ask(&mut self, values: &[ArrayRef]) -> Result<Option<MemoryReservation>> {
        let held = self.ahead.growth.after(self.held, values)?;
        let copied = if matches!(self.ahead.growth, Growth::Text(_)) { self.held } else { 0 };
        let asked = self.ahead.ask(held.saturating_sub(self.held).saturating_mul(ROOM).saturating_add(copied))?;
        self.held = held;
        Ok(asked)
    }
}

impl Accumulator for Plain {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let _asked = self.ask(values)?;
        self.inner.update_batch(values)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let _asked = self.ask(states)?;
        self.inner.merge_batch(states)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let _asked = self.ahead.ask(self.held.saturating_mul(ROOM))?;
        self.inner.evaluate()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let _asked = self.ahead.ask(self.held)?;
        self.inner.state()
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.inner.size()
    }
}

/// The accumulator of the values of all groups.
pub(super) struct Grouped {
    pub(super) inner: Box<dyn GroupsAccumulator>,
    pub(super) ahead: Ahead,
}

impl GroupsAccumulator for Grouped {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        let added = self.ahead.growth.added(&filtered(values, opt_filter)?);
        let _asked = self.ahead.ask(added.saturating_mul(ROOM))?;
        self.inner.update_batch(values, group_indices, opt_filter, total_num_groups)
    }

    fn merge_batch(&mut self, states: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        let _asked = self.ahead.ask(self.ahead.growth.added(states).saturating_mul(ROOM))?;
        self.inner.merge_batch(states, group_indices, total_num_groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let _asked = self.ahead.ask(self.inner.size())?;
        let made = self.inner.evaluate(emit_to)?;
        if made.data_type() == &DataType::LargeUtf8
            && let Some(longest) = made.as_string::<i64>().iter().flatten().map(str::len).max().filter(|bytes| *bytes > VALUE_BYTES_MAX)
        {
            return Err(self.ahead.growth.too_long(VALUE_BYTES_MAX, longest - VALUE_BYTES_MAX));
        }
        Ok(made)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let _asked = self.ahead.ask(self.inner.size())?;
        self.inner.state(emit_to)
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        self.inner.convert_to_state(values, opt_filter)
    }

    fn size(&self) -> usize {
        self.inner.size()
    }
}

/// The first column without the rows that a filter leaves out.
fn filtered(values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
    match (values.first(), filter) {
        (Some(first), Some(filter)) => Ok(vec![arrow::compute::filter(first, filter)?]),
        (first, _) => Ok(first.into_iter().cloned().collect()),
    }
}
