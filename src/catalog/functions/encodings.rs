//! The character sets that PostgreSQL 15 names, by number, by name, and by the most bytes that a character has.

use std::sync::Arc;

use arrow::datatypes::DataType::{Int32, Utf8};

use crate::catalog::facts::SessionFacts;
use crate::catalog::rows::Value;

use super::Kind::{Int, Text};
use super::{Function, int_of, text_of};

/// In the order of their numbers, from 0.
const ENCODINGS: [(&str, i64); 42] = [
    ("SQL_ASCII", 1),
    ("EUC_JP", 3),
    ("EUC_CN", 3),
    ("EUC_KR", 3),
    ("EUC_TW", 4),
    ("EUC_JIS_2004", 3),
    ("UTF8", 4),
    ("MULE_INTERNAL", 4),
    ("LATIN1", 1),
    ("LATIN2", 1),
    ("LATIN3", 1),
    ("LATIN4", 1),
    ("LATIN5", 1),
    ("LATIN6", 1),
    ("LATIN7", 1),
    ("LATIN8", 1),
    ("LATIN9", 1),
    ("LATIN10", 1),
    ("WIN1256", 1),
    ("WIN1258", 1),
    ("WIN866", 1),
    ("WIN874", 1),
    ("KOI8R", 1),
    ("WIN1251", 1),
    ("WIN1252", 1),
    ("ISO_8859_5", 1),
    ("ISO_8859_6", 1),
    ("ISO_8859_7", 1),
    ("ISO_8859_8", 1),
    ("WIN1250", 1),
    ("WIN1253", 1),
    ("WIN1254", 1),
    ("WIN1255", 1),
    ("WIN1257", 1),
    ("KOI8U", 1),
    ("SJIS", 2),
    ("BIG5", 2),
    ("GBK", 2),
    ("UHC", 2),
    ("GB18030", 4),
    ("JOHAB", 3),
    ("SHIFT_JIS_2004", 2),
];

/// Other names that PostgreSQL takes, in lower case letters and digits.
const ALIASES: [(&str, &str); 24] = [
    ("abc", "WIN1258"),
    ("alt", "WIN866"),
    ("iso88591", "LATIN1"),
    ("iso885910", "LATIN6"),
    ("iso885913", "LATIN7"),
    ("iso885914", "LATIN8"),
    ("iso885915", "LATIN9"),
    ("iso885916", "LATIN10"),
    ("iso88592", "LATIN2"),
    ("iso88593", "LATIN3"),
    ("iso88594", "LATIN4"),
    ("iso88599", "LATIN5"),
    ("koi8", "KOI8R"),
    ("mskanji", "SJIS"),
    ("shiftjis", "SJIS"),
    ("tcvn", "WIN1258"),
    ("tcvn5712", "WIN1258"),
    ("unicode", "UTF8"),
    ("vscii", "WIN1258"),
    ("win", "WIN1251"),
    ("win932", "SJIS"),
    ("win936", "GBK"),
    ("win949", "UHC"),
    ("win950", "BIG5"),
];

pub(super) fn all(_facts: &Arc<SessionFacts>) -> Vec<Function> {
    let name =
        Function::new("pg_encoding_to_char", &[Int], Utf8, |values| Ok(numbered(int_of(values, 0)).map_or("", |(name, _)| name).into()));
    let width =
        Function::new("pg_encoding_max_length", &[Int], Int32, |values| Ok(numbered(int_of(values, 0)).map(|(_, bytes)| *bytes).into()));
    let number = Function::new("pg_char_to_encoding", &[Text], Int32, |values| Ok(Value::Int(number(text_of(values, 0)))));
    vec![name.typed("name"), width, number]
}

fn numbered(number: Option<i64>) -> Option<&'static (&'static str, i64)> {
    ENCODINGS.get(usize::try_from(number?).ok()?)
}

/// The number of a name, of which only letters and digits count; -1 if there is none.
fn number(name: &str) -> i64 {
    let plain = |name: &str| name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    // `windows1252` and its kin are `win1252`.
    let wanted = plain(name).replacen("windows", "win", 1);
    let wanted = ALIASES.iter().find(|(alias, _)| *alias == wanted).map_or(wanted.clone(), |(_, name)| plain(name));
    (0..).zip(ENCODINGS).find(|(_, (name, _))| plain(name) == wanted).map_or(-1, |(number, _)| number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_by_its_letters_and_digits() {
        for (name, found) in
            [("UTF-8", 6), ("unicode", 6), ("latin-1", 8), ("ISO 8859-1", 8), ("Windows-1257", 33), ("nothing", -1), ("", -1)]
        {
            assert_eq!(number(name), found, "{name}");
        }
        assert_eq!(numbered(Some(41)).map(|(name, _)| *name), Some("SHIFT_JIS_2004"));
        assert_eq!(numbered(Some(-1)), None);
    }
}
