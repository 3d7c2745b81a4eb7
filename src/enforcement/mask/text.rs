//! Masks of texts that keep something of their form.

use datafusion::arrow::array::{LargeStringArray, StringViewArray};
use datafusion::error::Result;

use super::written::Written;

/// Characters that `show-first-4` and `show-last-4` show.
const CHARACTERS_SHOWN: usize = 4;
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
    pub(super) fn apply(self, texts: &StringViewArray) -> Result<LargeStringArray> {
        if let Self::EmailDomain(limit) = self {
            return domains(texts, limit);
        }
        let raw = Written::of(texts);
        if !raw.bytes().is_ascii() {
            return self.apply_to_characters(texts);
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
        raw.with_bytes(masked).finish(texts)
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

fn domains(texts: &StringViewArray, limit: usize) -> Result<LargeStringArray> {
    let none: String = NO_DOMAIN.chars().take(limit).collect();
    Written::each(texts, |text, masked| {
        let at = text.as_bytes().iter().rposition(|byte| *byte == b'@');
        let domain = at.and_then(|at| text.as_bytes().get(at + 1..)).filter(|domain| !domain.is_empty());
        masked.extend_from_slice(domain.unwrap_or(none.as_bytes()));
    })
}

/// As the Iceberg read restrictions lay down for `mask-alphanum`. Without branches, so that many are masked at once.
fn mask_byte(byte: u8) -> u8 {
    let kept = (byte == b'(') | (byte == b')') | (byte == b',') | (byte == b'.') | (byte == b'-') | (byte == b'@');
    let digit = byte.wrapping_sub(b'0') < 10;
    let hidden = if digit { b'n' } else { b'x' };
    if kept { byte } else { hidden }
}
