//! Where a pattern matches, and how often: regexp_instr(), regexp_count().

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int32Array, StringArray};
use arrow::datatypes::DataType;

use crate::error::SqlState;

use super::function::{Function, Result, arg, fault};
use super::regexes::{Compiled, from_letter, whole};

fn takes(wanted: &'static [DataType], least: usize) -> impl Fn(&[DataType]) -> Option<Vec<DataType>> {
    move |types| (least..=wanted.len()).contains(&types.len()).then(|| wanted.iter().take(types.len()).cloned().collect())
}

/// The flags of a row; no flags if there is no such argument, `None` if they are NULL.
fn flags(args: &[ArrayRef], at: usize, row: usize) -> Result<Option<&str>> {
    if args.len() <= at {
        return Ok(Some(""));
    }
    let flags = arg::<StringArray>(args, at)?;
    Ok(flags.is_valid(row).then(|| flags.value(row)))
}

fn counted(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// `regexp_count(text, pattern [, start [, flags]])`.
pub(super) fn count() -> Function {
    const TYPES: [DataType; 4] = [DataType::Utf8, DataType::Utf8, DataType::Int64, DataType::Utf8];
    let computes = |args: &[ArrayRef], rows: usize| {
        let (texts, patterns) = (arg::<StringArray>(args, 0)?, arg::<StringArray>(args, 1)?);
        let mut compiled = Compiled::default();
        let mut one = |row: usize| {
            let (start, flags) = (whole(args, 2, row, 1, "start", 1)?, flags(args, 3, row)?);
            let (Some(start), Some(flags)) = (start, flags) else { return Ok(None) };
            if texts.is_null(row) || patterns.is_null(row) {
                return Ok(None);
            }
            let pattern = compiled.once(patterns.value(row), flags, "regexp_count")?;
            let mut count = 0_usize;
            for found in from_letter(pattern, texts.value(row), start) {
                found?;
                count += 1;
            }
            Ok(Some(counted(count)))
        };
        Ok(Arc::new((0..rows).map(&mut one).collect::<Result<Int32Array>>()?) as ArrayRef)
    };
    Function::new("regexp_count", takes(&TYPES, 2), |_| Some(DataType::Int32), computes)
}

/// `regexp_instr(text, pattern [, start [, n [, end [, flags [, subexpr]]]]])`: the letter at which a match begins, or the one behind it;
/// 0 if there is none.
pub(super) fn place() -> Function {
    const TYPES: [DataType; 7] =
        [DataType::Utf8, DataType::Utf8, DataType::Int64, DataType::Int64, DataType::Int64, DataType::Utf8, DataType::Int64];
    let computes = |args: &[ArrayRef], rows: usize| {
        let (texts, patterns) = (arg::<StringArray>(args, 0)?, arg::<StringArray>(args, 1)?);
        let mut compiled = Compiled::default();
        let mut one = |row: usize| {
            let (start, number) = (whole(args, 2, row, 1, "start", 1)?, whole(args, 3, row, 1, "n", 1)?);
            let (end, group) = (whole(args, 4, row, 0, "endoption", 0)?, whole(args, 6, row, 0, "subexpr", 0)?);
            let (Some(start), Some(number), Some(end), Some(group)) = (start, number, end, group) else { return Ok(None) };
            let Some(flags) = flags(args, 5, row)?.filter(|_| texts.is_valid(row) && patterns.is_valid(row)) else { return Ok(None) };
            if end > 1 {
                return Err(fault(SqlState::INVALID_PARAMETER_VALUE, "invalid value for parameter \"endoption\""));
            }
            let pattern = compiled.once(patterns.value(row), flags, "regexp_instr")?;
            let text = texts.value(row);
            let found = from_letter(pattern, text, start).nth(usize::try_from(number - 1).unwrap_or(usize::MAX)).transpose()?;
            let found = found.and_then(|found| found.range(usize::try_from(group).unwrap_or(usize::MAX)));
            let at = found.map(|found| if end == 1 { found.end } else { found.start });
            let letters = at.and_then(|at| text.get(..at)).map(|passed| passed.chars().count() + 1);
            Ok(Some(letters.map_or(0, counted)))
        };
        Ok(Arc::new((0..rows).map(&mut one).collect::<Result<Int32Array>>()?) as ArrayRef)
    };
    Function::new("regexp_instr", takes(&TYPES, 2), |_| Some(DataType::Int32), computes)
}
