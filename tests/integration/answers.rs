//! When two answers to one query are the same: exact, but for how a quotient is rounded.

use std::fmt::Write;

/// A row as text; `None` is NULL.
pub(crate) type Row = Vec<Option<String>>;

/// Digits behind the point of a decimal text, or `None` if it is none.
fn scale(text: &str) -> Option<usize> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = !whole.is_empty() && [whole, fraction].iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
    is_number.then_some(fraction.len())
}

fn without_trailing_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// Texts and exact numbers are equal in value; two numbers with four digits or more behind the point may differ by one unit of the last
/// digit of the shorter one, or by a billionth, for each engine rounds a quotient in its own way.
fn same_value(one: &str, two: &str) -> bool {
    let (Some(one_scale), Some(two_scale)) = (scale(one), scale(two)) else { return one == two };
    if without_trailing_zeros(one) == without_trailing_zeros(two) {
        return true;
    }
    let digits = one_scale.min(two_scale);
    if digits < 4 {
        return false;
    }
    let (a, b) = (one.parse::<f64>().unwrap(), two.parse::<f64>().unwrap());
    let unit = 10_f64.powi(-i32::try_from(digits).unwrap());
    (a - b).abs() <= (unit * 1.000_001).max(1e-9 * a.abs().max(b.abs()))
}

fn same_row(one: &Row, two: &Row) -> bool {
    one.len() == two.len()
        && one.iter().zip(two).all(|pair| match pair {
            (Some(a), Some(b)) => same_value(a, b),
            (None, None) => true,
            _ => false,
        })
}

/// What differs. `sorted_by` names the columns of an ORDER BY that leaves ties: only those are compared in order.
pub(crate) fn difference(ours: &[Row], theirs: &[Row], sorted_by: Option<&[usize]>) -> Option<String> {
    let mut faults = String::new();
    if ours.len() != theirs.len() {
        return Some(format!("{} rows instead of {}", ours.len(), theirs.len()));
    }
    let keys = |rows: &[Row], columns: &[usize]| -> Vec<Row> {
        rows.iter().map(|row| columns.iter().map(|column| row[*column].clone()).collect()).collect()
    };
    let mut compare = |what: &str, ours: &[Row], theirs: &[Row]| {
        if let Some((index, (one, two))) = ours.iter().zip(theirs).enumerate().find(|(_, (one, two))| !same_row(one, two)) {
            writeln!(faults, "{what} {}: {one:?} instead of {two:?}", index + 1).unwrap();
        }
    };
    match sorted_by {
        None => compare("row", ours, theirs),
        Some(columns) => {
            compare("order of row", &keys(ours, columns), &keys(theirs, columns));
            let (mut ours, mut theirs) = (ours.to_vec(), theirs.to_vec());
            ours.sort();
            theirs.sort();
            compare("sorted row", &ours, &theirs);
        }
    }
    (!faults.is_empty()).then_some(faults)
}

#[test]
fn only_rounding_may_differ() {
    for (one, two) in [("1.50", "1.5"), ("25.522005", "25.5220058532573370"), ("0.0412", "0.0411"), ("a", "a"), ("1995", "1995")] {
        assert!(same_value(one, two), "{one} {two}");
    }
    for (one, two) in [("1.50", "1.51"), ("25.5220", "25.5223"), ("3", "4"), ("a", "b"), ("1995", "1995.5"), ("1e3", "1000")] {
        assert!(!same_value(one, two), "{one} {two}");
    }
}

#[test]
fn rows_that_tie_may_be_swapped_and_no_others() {
    let row = |a: &str, b: &str| vec![Some(a.to_owned()), Some(b.to_owned())];
    let (one, two) = ([row("1", "x"), row("1", "y"), row("2", "z")], [row("1", "y"), row("1", "x"), row("2", "z")]);
    assert_eq!(difference(&one, &two, Some(&[0])), None);
    assert!(difference(&one, &two, None).is_some());
    let three = [row("2", "z"), row("1", "y"), row("1", "x")];
    assert!(difference(&one, &three, Some(&[0])).is_some());
}
