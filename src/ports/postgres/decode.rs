//! PostgreSQL's binary forms as values. `None`: the bytes are no such value, or the value does not fit.

/// Days from 1970-01-01 to 2000-01-01, PostgreSQL's first day.
pub(super) const EPOCH_DAYS: i32 = 10_957;
/// The same in microseconds.
pub(super) const EPOCH_US: i64 = EPOCH_DAYS as i64 * 86_400_000_000;

/// A big-endian number.
pub(super) trait Number: Sized {
    /// Exactly these bytes.
    fn read(bytes: &[u8]) -> Option<Self>;
}

macro_rules! numbers {
    ($($type:ty),*) => {
        $(impl Number for $type {
            fn read(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(<$type>::from_be_bytes)
            }
        })*
    };
}
numbers!(i16, u16, i32, u32, i64, f32, f64);

/// Takes a number off the front.
pub(super) fn take<T: Number>(bytes: &mut &[u8]) -> Option<T> {
    let (head, rest) = bytes.split_at_checked(size_of::<T>())?;
    *bytes = rest;
    T::read(head)
}

/// `boolean`
pub(super) fn boolean(bytes: &[u8]) -> Option<bool> {
    match bytes {
        [0] => Some(false),
        [1] => Some(true),
        _ => None,
    }
}

/// `real`; every NaN is the same one, as in PostgreSQL.
pub(super) fn float4(bytes: &[u8]) -> Option<f32> {
    f32::read(bytes).map(|value| if value.is_nan() { f32::NAN } else { value })
}

/// `double precision`; every NaN is the same one, as in PostgreSQL.
pub(super) fn float8(bytes: &[u8]) -> Option<f64> {
    f64::read(bytes).map(|value| if value.is_nan() { f64::NAN } else { value })
}

/// `date` as days since 1970; infinity is no day.
pub(super) fn date(bytes: &[u8]) -> Option<i32> {
    i32::read(bytes).filter(|days| *days != i32::MAX && *days != i32::MIN)?.checked_add(EPOCH_DAYS)
}

/// `timestamp` and `timestamptz` as microseconds since 1970; infinity is no time.
pub(super) fn timestamp(bytes: &[u8]) -> Option<i64> {
    i64::read(bytes).filter(|micros| *micros != i64::MAX && *micros != i64::MIN)?.checked_add(EPOCH_US)
}

/// `time` as microseconds; 24:00 is no time of a day.
pub(super) fn time(bytes: &[u8]) -> Option<i64> {
    i64::read(bytes).filter(|micros| (0..86_400_000_000).contains(micros))
}

/// `interval` as months, days, nanoseconds.
pub(super) fn interval(mut bytes: &[u8]) -> Option<(i32, i32, i64)> {
    let micros: i64 = take(&mut bytes)?;
    let days: i32 = take(&mut bytes)?;
    let months: i32 = take(&mut bytes)?;
    bytes.is_empty().then_some((months, days, micros.checked_mul(1000)?))
}

/// `uuid` in its text form.
pub(super) fn uuid(bytes: &[u8]) -> Option<String> {
    uuid::Uuid::from_slice(bytes).ok().map(|uuid| uuid.hyphenated().to_string())
}

const NUMERIC_NEGATIVE: u16 = 0x4000;
const NUMERIC_POSITIVE: u16 = 0;

/// `numeric` as an integer scaled by `scale`, exactly; NaN, infinity and lost digits are no value.
pub(super) fn numeric(mut bytes: &[u8], precision: u8, scale: i8) -> Option<i128> {
    let count: u16 = take(&mut bytes)?;
    let weight: i16 = take(&mut bytes)?;
    let sign: u16 = take(&mut bytes)?;
    let _shown_scale: u16 = take(&mut bytes)?;
    if sign != NUMERIC_NEGATIVE && sign != NUMERIC_POSITIVE {
        return None;
    }
    let mut value: i128 = 0;
    for index in 0..count {
        let digit = i128::from(take::<u16>(&mut bytes).filter(|digit| *digit < 10_000)?);
        // The digit stands for digit × 10000^(weight − index).
        let power = (i32::from(weight) - i32::from(index)) * 4 + i32::from(scale);
        let scaled = match u32::try_from(power) {
            Ok(_) if digit == 0 => 0,
            Ok(power) => digit.checked_mul(10_i128.checked_pow(power)?)?,
            Err(_) => {
                let divisor = 10_i128.checked_pow(power.unsigned_abs().min(4))?;
                if power < -4 && digit != 0 || digit % divisor != 0 {
                    return None;
                }
                digit / divisor
            }
        };
        value = value.checked_add(scaled)?;
    }
    let limit = 10_i128.checked_pow(u32::from(precision))?;
    (bytes.is_empty() && value < limit).then_some(if sign == NUMERIC_NEGATIVE { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(digits: &[u16], weight: i16, sign: u16, scale: u16) -> Vec<u8> {
        let head = [u16::try_from(digits.len()).unwrap(), weight.cast_unsigned(), sign, scale];
        head.iter().chain(digits).flat_map(|word| word.to_be_bytes()).collect()
    }

    #[test]
    fn numerics_are_exact() {
        assert_eq!(numeric(&encode(&[1, 2345, 6700], 1, 0, 2), 12, 2), Some(1_234_567));
        assert_eq!(numeric(&encode(&[5000], -1, NUMERIC_NEGATIVE, 1), 12, 2), Some(-50));
        assert_eq!(numeric(&encode(&[], 0, 0, 0), 12, 2), Some(0));
        assert_eq!(numeric(&encode(&[3], 2, 0, 0), 12, 0), Some(300_000_000));
    }

    #[test]
    fn a_numeric_that_does_not_fit_is_no_value() {
        assert_eq!(numeric(&encode(&[1234], -1, 0, 4), 12, 2), None);
        assert_eq!(numeric(&encode(&[1], -2, 0, 8), 12, 2), None);
        assert_eq!(numeric(&encode(&[9999, 9999], 1, 0, 0), 7, 0), None);
        assert_eq!(numeric(&encode(&[1], 20, 0, 0), 38, 0), None);
        assert_eq!(numeric(&encode(&[], 0, 0xc000, 0), 12, 2), None);
    }

    #[test]
    fn infinity_is_no_time() {
        assert_eq!(date(&0_i32.to_be_bytes()), Some(EPOCH_DAYS));
        assert_eq!(date(&i32::MAX.to_be_bytes()), None);
        assert_eq!(timestamp(&i64::MIN.to_be_bytes()), None);
    }
}
