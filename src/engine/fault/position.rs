//! Where in a statement a name stands: character offsets from 1, as the protocol counts them.

/// The offset of `1, Column: 8` in the text.
pub(super) fn of_place(sql: &str, place: &str) -> Option<usize> {
    let (line, column) = place.split_once(", Column: ")?;
    let line: usize = line.trim().parse().ok()?;
    let column: usize = column.trim().split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()?;
    if line == 0 || column == 0 {
        return None;
    }
    let before: usize = sql.split('\n').take(line - 1).map(|text| text.chars().count() + 1).sum();
    Some(before + column)
}

/// The offset of the first use of a name, outside literals and comments; with its qualifier if it is written there.
pub(super) fn of_name(sql: &str, qualifier: Option<&str>, name: &str) -> Option<usize> {
    let words = words(sql);
    let named = |word: &Word| word.text == name;
    if let Some(qualifier) = qualifier {
        let mut pairs = words.iter().zip(words.iter().skip(1));
        if let Some((first, _)) = pairs.find(|(first, second)| first.text == qualifier && second.dotted && named(second)) {
            return Some(first.offset);
        }
    }
    words.iter().find(|word| named(word)).map(|word| word.offset)
}

/// The offset of an operator of signs, if it is written exactly once outside literals and comments: else nobody knows which is meant.
pub(super) fn of_operator(sql: &str, operator: &str) -> Option<usize> {
    let letters: Vec<char> = sql.chars().collect();
    let is_sign = |letter: &char| "+-*/<>=~!@#%^&|`?".contains(*letter);
    let mut found = None;
    let mut index = 0;
    while let Some(letter) = letters.get(index) {
        let start = index;
        if matches!(letter, '\'' | '"') {
            index = closing(&letters, index + 1, *letter);
        } else if *letter == '-' && letters.get(index + 1) == Some(&'-') {
            index += letters.iter().skip(index).take_while(|letter| **letter != '\n').count();
        } else if is_sign(letter) {
            index += letters.iter().skip(index).take_while(|letter| is_sign(letter)).count();
            if letters.get(start..index).unwrap_or_default().iter().copied().eq(operator.chars()) && found.replace(start + 1).is_some() {
                return None;
            }
        } else {
            index += 1;
        }
    }
    found
}

/// The offset of the first constant of exactly this text, or of the array that has it as an element.
pub(super) fn of_text(sql: &str, text: &str) -> Option<usize> {
    let element = |inner: &str| inner.trim_start().starts_with('{') && inner.split(['{', '}', ',', '"']).any(|part| part.trim() == text);
    of_constant(sql, |inner| inner == text).or_else(|| of_constant(sql, element))
}

fn of_constant(sql: &str, wanted: impl Fn(&str) -> bool) -> Option<usize> {
    let letters: Vec<char> = sql.chars().collect();
    let mut index = 0;
    while let Some(letter) = letters.get(index) {
        let start = index;
        index += 1;
        if matches!(letter, '\'' | '"') {
            index = closing(&letters, index, *letter);
            let inner = letters.get(start + 1..index.saturating_sub(1)).unwrap_or_default();
            if *letter == '\'' && wanted(&inner.iter().collect::<String>()) {
                return Some(start + 1);
            }
        } else if *letter == '-' && letters.get(index) == Some(&'-') {
            index += letters.iter().skip(index).take_while(|letter| **letter != '\n').count();
        }
    }
    None
}

/// The offset of what follows a word that is written once.
pub(super) fn behind(sql: &str, word: &str) -> Option<usize> {
    let words = words(sql);
    let mut found = words.iter().filter(|known| known.text == word && !known.dotted);
    let (Some(only), None) = (found.next(), found.next()) else { return None };
    let end = only.offset - 1 + word.chars().count();
    let blanks = sql.chars().skip(end).take_while(|letter| letter.is_whitespace()).count();
    Some(end + blanks + 1)
}

/// An identifier of the text.
struct Word {
    text: String,
    offset: usize,
    /// Whether a dot stands before it.
    dotted: bool,
}

fn words(sql: &str) -> Vec<Word> {
    let letters: Vec<char> = sql.chars().collect();
    let at = |index: usize| letters.get(index).copied();
    let mut words = Vec::new();
    let mut index = 0;
    let mut dotted = false;
    while let Some(letter) = at(index) {
        let start = index;
        match letter {
            '\'' => {
                index = closing(&letters, index + 1, '\'');
                dotted = false;
            }
            '-' if at(index + 1) == Some('-') => {
                while at(index).is_some_and(|letter| letter != '\n') {
                    index += 1;
                }
            }
            '"' => {
                index = closing(&letters, index + 1, '"');
                let text = letters.get(start + 1..index.saturating_sub(1)).unwrap_or_default().iter().collect();
                words.push(Word { text, offset: start + 1, dotted });
                dotted = false;
            }
            letter if letter.is_alphabetic() || letter == '_' => {
                while at(index).is_some_and(|letter| letter.is_alphanumeric() || letter == '_' || letter == '$') {
                    index += 1;
                }
                let text: String = letters.get(start..index).unwrap_or_default().iter().collect();
                words.push(Word { text: text.to_lowercase(), offset: start + 1, dotted });
                dotted = false;
            }
            letter => {
                dotted = letter == '.' || (dotted && letter.is_whitespace());
                index += 1;
            }
        }
    }
    words
}

/// The index behind the closing quote; a doubled quote stays inside.
fn closing(letters: &[char], from: usize, quote: char) -> usize {
    let mut index = from;
    while let Some(letter) = letters.get(index) {
        index += 1;
        if *letter == quote {
            if letters.get(index) != Some(&quote) {
                return index;
            }
            index += 1;
        }
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_characters_over_lines() {
        assert_eq!(of_place("SELECT 'ä',\n  foo bar baz", "2, Column: 11"), Some(23));
        assert_eq!(of_place("x", "0, Column: 0"), None);
    }

    #[test]
    fn names_in_literals_and_comments_are_passed_over() {
        assert_eq!(of_name("SELECT 'email', -- email\n email FROM t", None, "email"), Some(27));
        assert_eq!(of_name("SELECT \"Email\" FROM t", None, "Email"), Some(8));
    }

    #[test]
    fn an_operator_has_a_place_only_if_it_is_written_once() {
        assert_eq!(of_operator("SELECT '+' -- +\n , true + true", "+"), Some(25));
        assert_eq!(of_operator("SELECT 1 + 1, true + true", "+"), None);
        assert_eq!(of_operator("SELECT a <= b", "="), None);
    }

    #[test]
    fn a_constant_has_the_place_of_its_quote() {
        assert_eq!(of_text("SELECT \"abc\", -- 'abc'\n 'abc'::int", "abc"), Some(25));
        assert_eq!(of_text("SELECT 'abcd'", "abc"), None);
        assert_eq!(of_text("SELECT '{1,x}'::int[]", "x"), Some(8));
    }

    #[test]
    fn a_clause_begins_behind_its_word() {
        assert_eq!(behind("SELECT 1 WHERE  1", "where"), Some(17));
        assert_eq!(behind("SELECT (SELECT 1 WHERE true) WHERE 1", "where"), None);
    }

    #[test]
    fn a_qualified_name_starts_at_its_qualifier() {
        assert_eq!(of_name("SELECT x, t.x FROM t", Some("t"), "x"), Some(11));
    }
}
