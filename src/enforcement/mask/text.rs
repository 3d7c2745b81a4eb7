//! Masks of texts that keep something of their form.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, LargeStringArray, StringViewArray};
use datafusion::error::Result;

use super::ascii::{AsciiTexts, copy};
use super::written::{Written, bytes_of};

/// Characters that `show-first-4` and `show-last-4` show.
const CHARACTERS_SHOWN: usize = 4;
/// So many are set aside for each domain.
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
            let none: String = NO_DOMAIN.chars().take(limit).collect();
            return Ok(Arc::new(ascii_domains(texts, none.as_bytes()).unwrap_or_else(|| domains(texts, &none))));
        }
        Ok(match self.apply_to_ascii(texts) {
            Some(masked) => Arc::new(masked),
            None => Arc::new(self.apply_to_characters(texts)?),
        })
    }

    /// A character is a byte: all are masked in one go, and what is shown is put back. `None` if that is not so.
    fn apply_to_ascii(self, texts: &StringViewArray) -> Option<StringViewArray> {
        let mut raw = vec![0; bytes_of(texts)];
        let mut rest = raw.as_mut_slice();
        for text in texts.iter().flatten() {
            let (to, behind) = rest.split_at_mut_checked(text.len())?;
            copy(text.as_bytes(), to);
            rest = behind;
        }
        if !raw.is_ascii() {
            return None;
        }
        raw.iter_mut().for_each(|byte| *byte = mask_byte(*byte));
        let mut masked = AsciiTexts::over(raw, texts.len());
        for text in texts {
            match text {
                None => masked.push_null(),
                Some(text) => masked.push_next(text.len(), |to| self.show(text.as_bytes(), to)),
            }
        }
        masked.finish(texts.nulls())
    }

    /// Puts back what is shown of a text. One that is no longer than that would be shown whole: it stays masked whole.
    #[inline]
    fn show(self, text: &[u8], masked: &mut [u8]) {
        if text.len() <= CHARACTERS_SHOWN {
            return;
        }
        let shown = match self {
            Self::ShowFirst4 => (text.first_chunk::<CHARACTERS_SHOWN>(), masked.first_chunk_mut()),
            Self::ShowLast4 => (text.last_chunk(), masked.last_chunk_mut()),
            Self::MaskAlphanum | Self::EmailDomain(_) => return,
        };
        if let (Some(text), Some(masked)) = shown {
            *masked = *text;
        }
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

/// `None` if there is a domain that is not of ASCII.
fn ascii_domains(texts: &StringViewArray, none: &[u8]) -> Option<StringViewArray> {
    let mut domains = AsciiTexts::with_capacity(texts.len(), texts.len().saturating_mul(DOMAIN_BYTES));
    for text in texts {
        match text {
            None => domains.push_null(),
            Some(text) => domains.push(domain(text.as_bytes()).unwrap_or(none)),
        }
    }
    domains.finish(texts.nulls())
}

fn domains(texts: &StringViewArray, none: &str) -> StringViewArray {
    let domain = |text: &str| text.rsplit_once('@').map(|(_, domain)| domain.to_owned()).filter(|domain| !domain.is_empty());
    texts.iter().map(|text| text.map(|text| domain(text).unwrap_or_else(|| none.to_owned()))).collect()
}

/// What stands behind the last `@`, if something does.
#[inline]
fn domain(text: &[u8]) -> Option<&[u8]> {
    text.len().checked_sub(bytes_behind_at(text)?).and_then(|start| text.get(start..)).filter(|domain| !domain.is_empty())
}

/// How many bytes stand behind the last `@`. Eight bytes at a time, and the last sixteen without a loop: most domains end there.
#[inline]
fn bytes_behind_at(text: &[u8]) -> Option<usize> {
    let behind = |signs: u64| usize::try_from(signs.leading_zeros() / 8).unwrap_or(0);
    if let Some(last) = text.last_chunk::<16>() {
        let (before, last) = (at_signs(*last.first_chunk()?), at_signs(*last.last_chunk()?));
        if last != 0 {
            return Some(behind(last));
        }
        if before != 0 {
            return Some(8 + behind(before));
        }
    }
    text.iter().rev().position(|byte| *byte == b'@')
}

/// The highest bit of each byte that is `@`, the first byte lowest.
#[inline]
fn at_signs(word: [u8; 8]) -> u64 {
    /// The seven lower bits of each byte.
    const LOWER: u64 = u64::from_le_bytes([0x7f; 8]);
    // A byte that is the sign becomes zero, and of bytes that are zero the highest bit is set.
    let differing = u64::from_le_bytes(word) ^ u64::from_le_bytes([b'@'; 8]);
    !(((differing & LOWER) + LOWER) | differing | LOWER)
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
    use datafusion::arrow::array::AsArray;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_last_at_sign_is_found_wherever_it_stands(text in "[@A?a\u{1}\u{c0}é]{0,40}") {
            prop_assert_eq!(bytes_behind_at(text.as_bytes()), text.rfind('@').map(|at| text.len() - at - 1));
        }

        #[test]
        fn a_domain_is_what_stands_behind_it(
            texts in prop_oneof![
                prop::collection::vec(prop::option::of("[a-c@é.]{0,30}"), 0..40),
                prop::collection::vec(prop::option::of("[a-c@.]{0,10}@?[a-c.]{0,20}"), 0..40),
            ],
        ) {
            let column: StringViewArray = texts.iter().map(|text| text.as_deref()).collect();
            let found = TextMask::EmailDomain(usize::MAX).apply(&column).unwrap();
            for (found, text) in found.as_string_view().iter().zip(&texts) {
                let domain = |text: &String| match text.rsplit_once('@') {
                    Some((_, domain)) if !domain.is_empty() => domain.to_owned(),
                    _ => NO_DOMAIN.to_owned(),
                };
                prop_assert_eq!(found.map(str::to_owned), text.as_ref().map(domain));
            }
        }
    }
}
