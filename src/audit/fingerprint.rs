//! The fingerprint of an SQL text: equal for texts that differ only in literals, comments and white space.
//!
//! Literals are left out before hashing, so that a fingerprint cannot be used to try out the values of a statement.

use sha2::{Digest, Sha256};

use super::record::hex;

/// SHA-256, in hex, of the text in lower case without comments, with `?` for each literal and one space for each gap.
pub fn fingerprint(sql: &str) -> String {
    hex(&Sha256::digest(normalize(sql).as_bytes()))
}

fn normalize(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let (token, length) = token(rest, first, out.chars().next_back());
        match token {
            Token::Gap => {
                if !out.is_empty() && !out.ends_with(' ') {
                    out.push(' ');
                }
            }
            Token::Literal => out.push('?'),
            Token::Quoted => out.push_str(rest.get(..length).unwrap_or_default()),
            Token::Char => out.extend(first.to_lowercase()),
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    out.truncate(out.trim_end_matches([' ', ';']).len());
    out
}

enum Token {
    Gap,
    Literal,
    Quoted,
    Char,
}

/// What `rest` begins with, and its length in bytes.
fn token(rest: &str, first: char, before: Option<char>) -> (Token, usize) {
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$');
    match first {
        c if c.is_whitespace() => (Token::Gap, c.len_utf8()),
        '-' if rest.starts_with("--") => (Token::Gap, rest.find('\n').unwrap_or(rest.len())),
        '/' if rest.starts_with("/*") => (Token::Gap, block_comment(rest)),
        '\'' => (Token::Literal, quoted(rest, '\'', false)),
        'e' | 'E' if !in_word && rest.get(1..2) == Some("'") => (Token::Literal, 1 + quoted(rest.get(1..).unwrap_or_default(), '\'', true)),
        '"' => (Token::Quoted, quoted(rest, '"', false)),
        '$' if !in_word => match dollar_quoted(rest) {
            Some(length) => (Token::Literal, length),
            None => (Token::Char, 1),
        },
        c if c.is_ascii_digit() && !in_word => {
            (Token::Literal, rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '_').unwrap_or(rest.len()))
        }
        c => (Token::Char, c.len_utf8()),
    }
}

/// Length of a text in quotes; a doubled quote stands for itself, a backslash escapes if `escapes`. Ends with the text if unfinished.
fn quoted(rest: &str, quote: char, escapes: bool) -> usize {
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if escapes && c == '\\' {
            chars.next();
        } else if c == quote {
            match chars.peek() {
                Some((_, next)) if *next == quote => {
                    chars.next();
                }
                _ => return at + c.len_utf8(),
            }
        }
    }
    rest.len()
}

/// Length of `$tag$…$tag$`; `None` if it is no such text (a parameter).
fn dollar_quoted(rest: &str) -> Option<usize> {
    let tag_end = rest.get(1..)?.find('$')? + 2;
    let tag = rest.get(..tag_end)?;
    let name = tag.trim_matches('$');
    if name.chars().next().is_some_and(|c| c.is_ascii_digit()) || !name.chars().all(|c| c.is_alphanumeric() || c == '_') {
        return None;
    }
    Some(rest.get(tag_end..)?.find(tag).map_or(rest.len(), |at| tag_end + at + tag.len()))
}

/// Length of a comment that may hold others.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0_u32;
    let bytes = rest.as_bytes();
    let mut at = 0;
    while let Some(pair) = bytes.get(at..at + 2) {
        match pair {
            b"/*" => {
                depth += 1;
                at += 2;
            }
            b"*/" => {
                depth = depth.saturating_sub(1);
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_comments_and_gaps_do_not_count() {
        let plain = fingerprint("SELECT a FROM t WHERE b = 'x' AND c > 10");
        assert_eq!(plain, fingerprint("select  a /* why /* oh */ why */ from t\nwhere b = E'it\\'s' and c > 3.5e7; -- end"));
        assert_eq!(plain, fingerprint("SELECT a FROM t WHERE b = $q$ ' $q$ AND c > 1"));
    }

    #[test]
    fn names_parameters_and_quoted_names_count() {
        assert_ne!(fingerprint("SELECT a1 FROM t"), fingerprint("SELECT a2 FROM t"));
        assert_ne!(fingerprint("SELECT \"A\" FROM t"), fingerprint("SELECT \"a\" FROM t"));
        assert_eq!(normalize("SELECT $1, a$b, 'o''k', é"), "select $1, a$b, ?, é");
    }

    #[test]
    fn unfinished_texts_end() {
        assert_eq!(normalize("SELECT 'abc"), "select ?");
        assert_eq!(normalize("SELECT /* abc"), "select");
        assert_eq!(normalize("SELECT $a$ abc"), "select ?");
        assert_eq!(normalize("SELECT $"), "select $");
    }
}
