//! An aggregate over a window: what it gathers and each of its results is charged to the window's account before it is made.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::Accumulator;

use super::account::Account;
use super::growth::Growth;
use super::weight;

/// A result is there twice for a while: as a value, and in the column of all of them.
pub(super) const COPIES: usize = 2;

/// The accumulator.
#[derive(Debug)]
pub(super) struct Windowed {
    inner: Box<dyn Accumulator>,
    growth: Growth,
    /// One result is made for all rows of the partition.
    whole: bool,
    account: Option<Arc<Account>>,
    held: usize,
    rows: usize,
}

impl Windowed {
    pub(super) fn new(inner: Box<dyn Accumulator>, growth: Growth, whole: bool) -> Self {
        Self { inner, growth, whole, account: None, held: 0, rows: 0 }
    }

    fn account(&mut self) -> Result<Arc<Account>> {
        let account = self.account.take().map_or_else(Account::current, Ok)?;
        self.account = Some(Arc::clone(&account));
        Ok(account)
    }

    fn hold(&mut self, held: usize) -> Result<()> {
        let account = self.account()?;
        match held.checked_sub(self.held) {
            Some(more) => account.take(more)?,
            None => account.give_back(self.held - held),
        }
        self.held = held;
        Ok(())
    }
}

impl Accumulator for Windowed {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let held = self.growth.after(self.held, values)?;
        self.hold(held)?;
        self.rows = self.rows.saturating_add(values.first().map_or(0, |values| values.len()));
        self.inner.update_batch(values)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.inner.retract_batch(values)?;
        let held = self.growth.without(self.held, values);
        self.hold(held)
    }

    fn supports_retract_batch(&self) -> bool {
        self.inner.supports_retract_batch()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let account = self.account()?;
        let at_once = self.held.saturating_mul(COPIES);
        account.take(at_once)?;
        let made = self.inner.evaluate();
        account.give_back(at_once);
        let value = made?;
        let rows = if self.whole { self.rows.max(1) } else { 1 };
        let bytes = weight::of_one(&value).saturating_mul(COPIES).saturating_mul(rows);
        account.take(bytes)?;
        account.keep(bytes);
        Ok(value)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.inner.merge_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.inner.state()
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.inner.size()
    }
}

impl Drop for Windowed {
    fn drop(&mut self) {
        if let Some(account) = &self.account {
            account.give_back(self.held);
        }
    }
}

/// What results of these columns were charged.
pub(super) fn charged<'a>(columns: impl Iterator<Item = &'a ArrayRef>) -> usize {
    columns.filter(|column| weight::is_open(column.data_type())).map(|column| weight::of(column).saturating_mul(COPIES)).sum()
}
