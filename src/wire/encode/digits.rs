//! Decimal digits, two at a time.

/// The two digits of every number below 100.
const PAIRS: [[u8; 2]; 100] = pairs();

const fn pairs() -> [[u8; 2]; 100] {
    let mut pairs = [[b'0'; 2]; 100];
    let mut number = 0;
    while number < 100 {
        #[expect(clippy::indexing_slicing, reason = "evaluated when it is compiled")]
        {
            pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        }
        number += 1;
    }
    pairs
}

/// The two digits of a number; of one that has more, the last two.
pub(super) fn pair(number: u64) -> [u8; 2] {
    usize::try_from(number % 100).ok().and_then(|number| PAIRS.get(number)).copied().unwrap_or_default()
}

/// How many digits a number has.
pub(super) fn count(number: u64) -> usize {
    usize::try_from(number.checked_ilog10().unwrap_or(0)).unwrap_or(0) + 1
}

/// Fills a place with the last digits of a number, and zeros before them.
pub(super) fn fill(mut number: u64, place: &mut [u8]) {
    let mut pairs = place.rchunks_exact_mut(2);
    for two in &mut pairs {
        two.copy_from_slice(&pair(number));
        number /= 100;
    }
    if let [one] = pairs.into_remainder() {
        *one = pair(number)[1];
    }
}

/// Appends a number with at least so many digits.
pub(super) fn put_padded(number: u64, digits_min: usize, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + count(number).max(digits_min), b'0');
    if let Some(place) = out.get_mut(start..) {
        fill(number, place);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn digits_are_those_of_the_number(number in any::<u64>(), shift in 0u32..64, width in 1usize..24) {
            let number = number >> shift;
            let mut out = b"x".to_vec();
            put_padded(number, 1, &mut out);
            put_padded(number, width, &mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), format!("x{number}{number:0width$}"));
        }
    }
}
