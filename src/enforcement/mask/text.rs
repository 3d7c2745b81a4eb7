//! Masks of texts that keep something of their form.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, LargeStringArray, StringViewArray, StringViewBuilder};
use datafusion::error::Result;

use super::written::Written;

/// Characters that `show-first-4` and `show-last-4` show.
const CHARACTERS_SHOWN: usize = 4;
/// Bytes that are set aside for each domain.
const DOMAIN_BYTES: usize = 16;
/// In the place of a text that has no domain.
const NO_DOMAIN: &str = "***";

/// A mask that makes a text of a text.
#[derive(Debug, Clone, Copy)]
pub(super) enum TextMask {
    ShowFirst4,
    ShowLast4,
    MaskAlphanum,
    /// With the most characters that the column holds.
    EmailDomain(usize),
}

impl TextMask {
    /// NULL stays NULL.
    pub(super) fn apply(self, texts: &StringViewArray) -> Result<ArrayRef> {
        if let Self::EmailDomain(limit) = self {
            return Ok(Arc::new(domains(texts, limit)));
        }
        let raw = Written::of(texts);
        if !raw.bytes().is_ascii() {
            return Ok(Arc::new(self.apply_to_characters(texts)?));
        }
        // A character is a byte: all are masked in one go, and what is shown is put back.
        let mut masked: Vec<u8> = raw.bytes().iter().map(|byte| mask_byte(*byte)).collect();
        let mut show = |at: usize| {
            let shown = masked.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<CHARACTERS_SHOWN>());
            if let (Some(shown), Some(from)) = (shown, raw.bytes().get(at..).and_then(|rest| rest.first_chunk())) {
                *shown = *from;
            }
        };
        match self {
            Self::ShowFirst4 => raw.ranges().filter(shows).for_each(|(start, _)| show(start)),
            Self::ShowLast4 => raw.ranges().filter(shows).for_each(|(_, end)| show(end - CHARACTERS_SHOWN)),
            Self::MaskAlphanum | Self::EmailDomain(_) => {}
        }
        Ok(Arc::new(raw.with_bytes(masked).finish(texts)?))
    }

    fn apply_to_characters(self, texts: &StringViewArray) -> Result<LargeStringArray> {
        Written::each(texts, |text, masked| {
            // A text that is no longer than what is shown would be shown whole: it is masked whole.
            let (first, hidden, last) = match self {
                _ if text.chars().nth(CHARACTERS_SHOWN).is_none() => ("", text, ""),
                Self::ShowFirst4 => {
                    let (shown, hidden) = text.split_at(text.char_indices().nth(CHARACTERS_SHOWN).map_or(0, |(at, _)| at));
                    (shown, hidden, "")
                }
                Self::ShowLast4 => {
                    let (hidden, shown) = text.split_at(text.char_indices().rev().nth(CHARACTERS_SHOWN - 1).map_or(0, |(at, _)| at));
                    ("", hidden, shown)
                }
                Self::MaskAlphanum | Self::EmailDomain(_) => ("", text, ""),
            };
            masked.extend_from_slice(first.as_bytes());
            masked.extend(hidden.chars().map(|character| u8::try_from(character).map_or(b'x', mask_byte)));
            masked.extend_from_slice(last.as_bytes());
        })
    }
}

/// Whether a text is longer than what is shown of it.
fn shows((start, end): &(usize, usize)) -> bool {
    end - start > CHARACTERS_SHOWN
}

fn domains(texts: &StringViewArray, limit: usize) -> StringViewArray {
    let none: String = NO_DOMAIN.chars().take(limit).collect();
    let block = u32::try_from(texts.len().saturating_mul(DOMAIN_BYTES)).unwrap_or(u32::MAX).max(1);
    let mut domains = StringViewBuilder::with_capacity(texts.len()).with_fixed_block_size(block);
    for text in texts {
        match text {
            None => domains.append_null(),
            Some(text) => {
                let domain = last_at_sign(text.as_bytes()).and_then(|at| text.get(at + 1..));
                domains.append_value(domain.filter(|domain| !domain.is_empty()).unwrap_or(&none));
            }
        }
    }
    domains.finish()
}

/// Where the last `@` stands. Eight bytes at a time: the domain is most of an address.
fn last_at_sign(text: &[u8]) -> Option<usize> {
    /// The seven lower bits of each byte.
    const LOWER: u64 = u64::from_le_bytes([0x7f; 8]);
    let (rest, words) = text.as_rchunks::<8>();
    let mut end = text.len();
    for word in words.iter().rev() {
        // A byte that is the sign becomes zero, and of bytes that are zero the highest bit is set.
        let differing = u64::from_le_bytes(*word) ^ u64::from_le_bytes([b'@'; 8]);
        let found = !(((differing & LOWER) + LOWER) | differing | LOWER);
        if found != 0 {
            let behind = usize::try_from(found.leading_zeros() / 8).unwrap_or(0);
            return end.checked_sub(behind + 1);
        }
        end = end.saturating_sub(8);
    }
    rest.iter().rposition(|byte| *byte == b'@')
}

/// As the Iceberg read restrictions lay down for `mask-alphanum`. Without branches, so that many are masked at once.
fn mask_byte(byte: u8) -> u8 {
    let kept = (byte == b'(') | (byte == b')') | (byte == b',') | (byte == b'.') | (byte == b'-') | (byte == b'@');
    let digit = byte.wrapping_sub(b'0') < 10;
    let hidden = if digit { b'n' } else { b'x' };
    if kept { byte } else { hidden }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_last_at_sign_is_found_wherever_it_stands(text in "[@A?a\u{1}\u{c0}é]{0,40}") {
            prop_assert_eq!(last_at_sign(text.as_bytes()), text.rfind('@'));
        }

        #[test]
        fn a_domain_is_what_stands_behind_it(texts in prop::collection::vec(prop::option::of("[a-c@é.]{0,30}"), 0..40)) {
            let column: StringViewArray = texts.iter().map(|text| text.as_deref()).collect();
            let found = domains(&column, usize::MAX);
            for (found, text) in found.iter().zip(&texts) {
                let domain = |text: &String| match text.rsplit_once('@') {
                    Some((_, domain)) if !domain.is_empty() => domain.to_owned(),
                    _ => NO_DOMAIN.to_owned(),
                };
                prop_assert_eq!(found.map(str::to_owned), text.as_ref().map(domain));
            }
        }
    }
}
