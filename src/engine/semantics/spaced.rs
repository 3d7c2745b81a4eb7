//! generate_series() of moments and of numerics, as lists.
//!
//! INVARIANT: as for integers, no call makes more than [`series::ELEMENTS_MAX`] elements for one batch.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Decimal128Builder, ListBuilder, TimestampMicrosecondBuilder};
use arrow::datatypes::{DataType, Decimal128Type, Field, IntervalMonthDayNano, IntervalMonthDayNanoType, TimestampMicrosecondType};
use datafusion::common::DFSchema;
use datafusion::logical_expr::{Expr, ExprSchemable};

use crate::engine::TimeZone;
use crate::error::SqlState;

use super::Facts;
use super::function::{Function, Result, arg, fault, missing};
use super::{casts, numeric, series, temporal, truncation};

/// The type of the elements; `None` if these types make no series here.
pub(super) fn element(types: &[DataType]) -> Option<DataType> {
    let moment = |found: &DataType| temporal::micros_type(found).is_some();
    let text = |found: &DataType| found.is_string() || found.is_null();
    if let [first, second, step] = types
        && [first, second].into_iter().any(moment)
        && [first, second].into_iter().all(|found| moment(found) || text(found))
        && (matches!(step, DataType::Interval(_) | DataType::Duration(_)) || text(step))
    {
        let local = [first, second].into_iter().any(|found| matches!(found, DataType::Timestamp(_, None)));
        return Some(if local { temporal::timestamp() } else { temporal::instant() });
    }
    let digits = types.iter().map(|found| numeric::of(found).or(found.is_null().then_some((1, 0)))).collect::<Option<Vec<_>>>()?;
    let scale = digits.iter().map(|(_, scale)| *scale).max()?;
    matches!(types.len(), 2 | 3).then_some(DataType::Decimal128(38, scale))
}

/// The call over arguments of one type.
pub(super) fn called(args: &[Expr], schema: &DFSchema, facts: Facts) -> Result<Option<Expr>> {
    let types = args.iter().map(|arg| arg.get_type(schema)).collect::<Result<Vec<_>>>()?;
    if series::of_integers(&types) && types.iter().any(DataType::is_string) {
        let whole = series::element(&types);
        // A text that is no constant is none.
        if args.iter().zip(&types).any(|(arg, found)| found.is_string() && !casts::text_literal(arg)) {
            return Err(missing("generate_series", &types));
        }
        let args = args.iter().map(|arg| casts::literal_as(arg.clone(), &whole, facts)).collect();
        return Ok(Some(series::integers().call(args)));
    }
    let Some(element) = element(&types).filter(|_| !types.iter().all(|found| found.is_integer() || found.is_null())) else {
        return Ok(None);
    };
    if matches!(element, DataType::Decimal128(..)) {
        return Ok(Some(numbers(element).call(args.to_vec())));
    }
    let typed = args.iter().zip(&types).enumerate().map(|(at, (arg, found))| {
        let target = if at == 2 { temporal::interval() } else { element.clone() };
        casts::of_type(arg.clone(), found, &target, facts)
    });
    Ok(Some(moments(element.clone(), facts).call(typed.collect())))
}

fn zero() -> datafusion::error::DataFusionError {
    fault(SqlState::INVALID_PARAMETER_VALUE, "step size cannot equal zero")
}

fn list(element: &DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(element.clone(), true)))
}

/// From a moment to another; each is the one before it, and the step.
fn moments(element: DataType, facts: Facts) -> Function {
    let local = matches!(element, DataType::Timestamp(_, None));
    // Clocks that show no zone know no summer time.
    let clock = if local { Facts { time_zone: TimeZone::default(), ..facts } } else { facts };
    let (given, built) = (element.clone(), element.clone());
    let takes = {
        let element = element.clone();
        move |types: &[DataType]| (types.len() == 3).then(|| vec![element.clone(), element.clone(), temporal::interval()])
    };
    let computes = move |args: &[ArrayRef], _rows: usize| {
        let [starts, ends, steps] = args else { return Err(temporal::out_of_range()) };
        let (starts, ends) = (starts.as_primitive::<TimestampMicrosecondType>(), ends.as_primitive::<TimestampMicrosecondType>());
        let steps = steps.as_primitive::<IntervalMonthDayNanoType>();
        let values = TimestampMicrosecondBuilder::new().with_data_type(built.clone());
        let mut lists = ListBuilder::new(values).with_field(Field::new_list_field(built.clone(), true));
        let mut budget = series::ELEMENTS_MAX;
        for row in 0..starts.len() {
            if starts.is_valid(row) && ends.is_valid(row) && steps.is_valid(row) {
                let (step, end) = (steps.value(row), ends.value(row));
                let rises = direction(step)?;
                let mut next = starts.value(row);
                while if rises { next <= end } else { next >= end } {
                    budget = series::left(budget, 1)?;
                    lists.values().append_value(next);
                    next = truncation::one_moved(next, step, false, clock)?;
                }
            }
            lists.append(true);
        }
        Ok(Arc::new(lists.finish()) as ArrayRef)
    };
    Function::new("generate_series", takes, move |_| Some(list(&given)), computes).of_statement(facts).variant(1 + u64::from(local))
}

/// Whether a step leads forward.
fn direction(step: IntervalMonthDayNano) -> Result<bool> {
    let days = i128::from(step.months) * 30 + i128::from(step.days);
    let length = days * i128::from(temporal::DAY) * 1000 + i128::from(step.nanoseconds);
    if length == 0 { Err(zero()) } else { Ok(length > 0) }
}

fn numbers(element: DataType) -> Function {
    let (taken, given) = (element.clone(), element.clone());
    let scale = if let DataType::Decimal128(_, scale) = element { scale } else { 0 };
    let takes = move |types: &[DataType]| Some(vec![taken.clone(); types.len()]);
    let computes = move |args: &[ArrayRef], _rows: usize| {
        let (starts, ends) = (arg::<Decimal128Array>(args, 0)?, arg::<Decimal128Array>(args, 1)?);
        let steps = args.get(2).map(|steps| steps.as_primitive::<Decimal128Type>());
        let one = 10_i128.pow(u32::from(scale.unsigned_abs()));
        let values = Decimal128Builder::new().with_data_type(element.clone());
        let mut lists = ListBuilder::new(values).with_field(Field::new_list_field(element.clone(), true));
        let mut budget = series::ELEMENTS_MAX;
        for row in 0..starts.len() {
            let step = steps.map_or(Some(one), |steps| steps.is_valid(row).then(|| steps.value(row)));
            if let Some(step) = step.filter(|_| starts.is_valid(row) && ends.is_valid(row)) {
                if step == 0 {
                    return Err(zero());
                }
                let (mut next, end) = (starts.value(row), ends.value(row));
                while if step > 0 { next <= end } else { next >= end } {
                    budget = series::left(budget, 1)?;
                    lists.values().append_value(next);
                    next = next.saturating_add(step);
                }
            }
            lists.append(true);
        }
        Ok(Arc::new(lists.finish()) as ArrayRef)
    };
    Function::new("generate_series", takes, move |_| Some(list(&given)), computes).variant(100 + u64::from(scale.unsigned_abs()))
}
