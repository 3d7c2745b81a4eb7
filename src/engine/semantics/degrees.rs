//! Trigonometry in degrees, which is exact where PostgreSQL's is: `sind(30)` is a half.

use std::f64::consts::PI;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use arrow::datatypes::{DataType, Float64Type};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::ScalarUDF;

use crate::error::SqlState;

use super::function::{Function, Result, arg, fault};

/// The functions by name.
pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    vec![
        one("sind", |value| turned(value, sine)),
        one("cosd", |value| turned(value, cosine)),
        one("tand", |value| turned(value, tangent)),
        one("cotd", |value| turned(value, cotangent)),
        one("asind", |value| within(value, if value < 0.0 { -arc_sine(-value) } else { arc_sine(value) })),
        one("acosd", |value| within(value, if value < 0.0 { 90.0 + arc_sine(-value) } else { arc_cosine(value) })),
        one("atand", |value| Some(of_quarter(value.atan()))),
        two().udf(),
    ]
}

fn refused() -> DataFusionError {
    fault(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "input is out of range")
}

fn one(name: &'static str, compute: fn(f64) -> Option<f64>) -> Arc<ScalarUDF> {
    let computes = move |args: &[ArrayRef], _rows: usize| {
        let values = arg::<Float64Array>(args, 0)?.try_unary::<_, Float64Type, DataFusionError>(|value| {
            if value.is_nan() { Ok(value) } else { compute(value).ok_or_else(refused) }
        });
        Ok(Arc::new(values?) as ArrayRef)
    };
    let takes = |types: &[DataType]| (types.len() == 1).then(|| vec![DataType::Float64]);
    Function::new(name, takes, |_| Some(DataType::Float64), computes).udf()
}

fn two() -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| {
        let (ys, xs) = (arg::<Float64Array>(args, 0)?, arg::<Float64Array>(args, 1)?);
        let angles = ys.iter().zip(xs.iter()).map(|(y, x)| Some(of_quarter(y?.atan2(x?))));
        Ok(Arc::new(angles.collect::<Float64Array>()) as ArrayRef) as Result<ArrayRef>
    };
    let takes = |types: &[DataType]| (types.len() == 2).then(|| vec![DataType::Float64; 2]);
    Function::new("atan2d", takes, |_| Some(DataType::Float64), computes)
}

/// An angle in the first quarter of a circle, and which signs its sine and its cosine have.
struct Turned {
    degrees: f64,
    sine: f64,
    cosine: f64,
}

fn turned(value: f64, compute: fn(Turned) -> f64) -> Option<f64> {
    if value.is_infinite() {
        return None;
    }
    let (mut degrees, mut sine, mut cosine) = (value % 360.0, 1.0, 1.0);
    if degrees < 0.0 {
        (degrees, sine) = (-degrees, -sine);
    }
    if degrees > 180.0 {
        (degrees, sine) = (360.0 - degrees, -sine);
    }
    if degrees > 90.0 {
        (degrees, cosine) = (180.0 - degrees, -cosine);
    }
    Some(compute(Turned { degrees, sine, cosine }))
}

fn radians(degrees: f64) -> f64 {
    degrees * (PI / 180.0)
}

/// Up to 30 degrees.
fn small_sine(degrees: f64) -> f64 {
    radians(degrees).sin() / radians(30.0).sin() / 2.0
}

/// Up to 60 degrees.
fn small_cosine(degrees: f64) -> f64 {
    1.0 - (1.0 - radians(degrees).cos()) / (1.0 - radians(60.0).cos()) / 2.0
}

fn quarter_sine(degrees: f64) -> f64 {
    if degrees <= 30.0 { small_sine(degrees) } else { small_cosine(90.0 - degrees) }
}

fn quarter_cosine(degrees: f64) -> f64 {
    if degrees <= 60.0 { small_cosine(degrees) } else { small_sine(90.0 - degrees) }
}

fn sine(angle: Turned) -> f64 {
    angle.sine * quarter_sine(angle.degrees)
}

fn cosine(angle: Turned) -> f64 {
    angle.cosine * quarter_cosine(angle.degrees)
}

fn tangent(angle: Turned) -> f64 {
    let unit = quarter_sine(45.0) / quarter_cosine(45.0);
    // No negative zero.
    angle.sine * angle.cosine * (quarter_sine(angle.degrees) / quarter_cosine(angle.degrees) / unit) + 0.0
}

fn cotangent(angle: Turned) -> f64 {
    let unit = quarter_cosine(45.0) / quarter_sine(45.0);
    angle.sine * angle.cosine * (quarter_cosine(angle.degrees) / quarter_sine(angle.degrees) / unit) + 0.0
}

fn within(value: f64, result: f64) -> Option<f64> {
    (-1.0..=1.0).contains(&value).then_some(result)
}

fn arc_sine(value: f64) -> f64 {
    if value <= 0.5 { value.asin() / 0.5_f64.asin() * 30.0 } else { 90.0 - value.acos() / 0.5_f64.acos() * 60.0 }
}

fn arc_cosine(value: f64) -> f64 {
    if value <= 0.5 { 90.0 - value.asin() / 0.5_f64.asin() * 30.0 } else { value.acos() / 0.5_f64.acos() * 60.0 }
}

fn of_quarter(radians: f64) -> f64 {
    radians / 1.0_f64.atan() * 45.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_known_angles_are_exact() {
        let of = |value: f64, compute: fn(Turned) -> f64| turned(value, compute).unwrap();
        let near = |one: f64, other: f64| assert!((one - other).abs() < f64::EPSILON, "{one} {other}");
        near(of(30.0, sine), 0.5);
        near(of(150.0, sine), 0.5);
        near(of(-30.0, sine), -0.5);
        near(of(60.0, cosine), 0.5);
        near(of(120.0, cosine), -0.5);
        near(of(45.0, tangent), 1.0);
        near(of(135.0, cotangent), -1.0);
        near(arc_sine(0.5), 30.0);
        near(arc_cosine(0.5), 60.0);
        near(of_quarter(1.0_f64.atan()), 45.0);
        assert!(turned(f64::INFINITY, sine).is_none() && within(1.5, 0.0).is_none());
    }
}
