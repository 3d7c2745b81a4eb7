//! Masks of texts that keep something of their form.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, StringViewArray, StringViewBuilder};

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
    pub(super) fn apply(self, texts: &StringViewArray) -> ArrayRef {
        let mut masked = StringViewBuilder::with_capacity(texts.len());
        let mut text_masked = String::new();
        for text in texts {
            match text {
                None => masked.append_null(),
                Some(text) => {
                    text_masked.clear();
                    self.append(text, &mut text_masked);
                    masked.append_value(&text_masked);
                }
            }
        }
        Arc::new(masked.finish())
    }

    fn append(self, text: &str, masked: &mut String) {
        match self {
            Self::MaskAlphanum => masked.extend(text.chars().map(mask_character)),
            // A text that is no longer than what is shown would be shown whole: it is masked whole.
            Self::ShowFirst4 | Self::ShowLast4 if text.chars().nth(CHARACTERS_SHOWN).is_none() => {
                masked.extend(text.chars().map(mask_character));
            }
            Self::ShowFirst4 => {
                let mut characters = text.chars();
                masked.extend(characters.by_ref().take(CHARACTERS_SHOWN));
                masked.extend(characters.map(mask_character));
            }
            Self::ShowLast4 => {
                let shown = text.char_indices().rev().nth(CHARACTERS_SHOWN - 1).map_or(0, |(at, _)| at);
                let (hidden, shown) = text.split_at(shown);
                masked.extend(hidden.chars().map(mask_character));
                masked.push_str(shown);
            }
            Self::EmailDomain(limit) => match text.rsplit_once('@') {
                Some((_, domain)) if !domain.is_empty() => masked.push_str(domain),
                _ => masked.extend(NO_DOMAIN.chars().take(limit)),
            },
        }
    }
}

/// As the Iceberg read restrictions lay down for `mask-alphanum`.
fn mask_character(character: char) -> char {
    match character {
        '0'..='9' => 'n',
        '(' | ')' | ',' | '.' | '-' | '@' => character,
        _ => 'x',
    }
}
