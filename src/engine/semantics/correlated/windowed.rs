//! Windows over the rows of a subquery, and the first rows of DISTINCT ON: each row around has windows and first rows of its own.

use datafusion::common::Column;
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::logical_plan::{DistinctOn, Window};
use datafusion::logical_expr::{Expr, ExprFunctionExt as _, LogicalPlanBuilder, lit, when};

use crate::error::{ClientMessage, SqlState};

use super::super::function::{Result, client};
use super::{Beside, Made};

/// What is told where windows would be those of all rows.
pub(super) fn refused() -> datafusion::error::DataFusionError {
    let message =
        ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, "this window over rows that a LATERAL subquery chooses is not supported");
    client(message.with_hint("Join the tables, and name the columns of the outer one in PARTITION BY."))
}

impl Beside {
    /// Rows that are not real stand in windows of their own.
    pub(super) fn windowed(&mut self, window: &Window) -> Result<Option<Made>> {
        let Some(made) = self.onto(&window.input)? else { return Ok(None) };
        let real = Expr::Column(made.real.clone());
        let (mut calls, mut own) = (Vec::new(), made.own.clone());
        for call in &window.window_expr {
            let Some(moved) = self.moved(call, window.input.schema(), &made.own)? else { return Ok(None) };
            let Expr::WindowFunction(mut call) = moved.unalias() else { return Ok(None) };
            for arg in call.params.args.iter_mut().filter(|arg| !matches!(arg, Expr::Column(_) | Expr::Literal(..))) {
                *arg = when(real.clone().is_not_null(), std::mem::take(arg)).end()?;
            }
            call.params.partition_by.splice(0..0, [self.row(), real.clone()]);
            let name = self.name();
            calls.push(Expr::WindowFunction(call).alias(&name));
            own.push(Column::from_name(name));
        }
        let plan = LogicalPlanBuilder::from(made.plan).window(calls)?.build()?;
        Ok(Some(Made { plan, own, ..made }))
    }

    /// `DISTINCT ON`: the first of the rows that have the same keys.
    pub(super) fn first_of_each(&mut self, first: &DistinctOn) -> Result<Option<Made>> {
        let Some(mut made) = self.onto(&first.input)? else { return Ok(None) };
        let schema = first.input.schema();
        let mut order = made.order.clone();
        let mut keys = vec![self.row(), Expr::Column(made.real.clone())];
        for key in &first.on_expr {
            let Some(key) = self.moved(key, schema, &made.own)? else { return Ok(None) };
            keys.push(when(Expr::Column(made.real.clone()).is_not_null(), key.unalias()).end()?);
        }
        if let Some(sorts) = &first.sort_expr {
            order.clear();
            for sort in sorts {
                let Some(expr) = self.moved(&sort.expr, schema, &made.own)? else { return Ok(None) };
                order.push(datafusion::logical_expr::expr::Sort { expr: expr.unalias(), ..sort.clone() });
            }
        }
        let place = self.name();
        let mut number = row_number().partition_by(keys);
        if !order.is_empty() {
            number = number.order_by(order);
        }
        made.plan = LogicalPlanBuilder::from(made.plan).window([number.build()?.alias(&place)])?.build()?;
        let only = Expr::Column(Column::from_name(place)).eq(lit(1_u64));
        let mut exprs = Vec::new();
        for expr in &first.select_expr {
            let Some(expr) = self.moved(expr, schema, &made.own)? else { return Ok(None) };
            exprs.push(expr);
        }
        made.plan = LogicalPlanBuilder::from(made.plan).filter(only)?.build()?;
        self.selected(made, exprs).map(Some)
    }
}
