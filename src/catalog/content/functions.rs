//! The rows of table functions: those of the views over them, and the words of the grammar.

use crate::catalog::facts::SessionFacts;

use super::{Row, server, time_zones};

const KEYWORDS: &str = include_str!("../keywords.tsv");

pub(super) fn rows(function: &str, facts: &SessionFacts) -> Option<Vec<Row>> {
    match function {
        "pg_get_keywords" => Some(keywords()),
        "pg_show_all_settings" => server::rows("pg_settings", facts),
        "pg_timezone_names" | "pg_timezone_abbrevs" => time_zones::rows(function, facts),
        _ => None,
    }
}

/// Whether a word is never a name, nor any other text, without quotes.
pub(in crate::catalog) fn is_reserved(word: &str) -> bool {
    let reserved = |line: &str| line.split('\t').nth(1) == Some("R");
    KEYWORDS.lines().any(|line| line.split('\t').next() == Some(word) && reserved(line))
}

/// PostgreSQL's words: a line of `keywords.tsv` is a word, its category, and whether it may stand as a label without AS.
fn keywords() -> Vec<Row> {
    KEYWORDS.lines().filter_map(keyword).collect()
}

fn keyword(line: &'static str) -> Option<Row> {
    let mut parts = line.split('\t');
    let (word, category, bare) = (parts.next()?, parts.next()?, parts.next()? == "t");
    let meaning = match category {
        "U" => "unreserved",
        "C" => "unreserved (cannot be function or type name)",
        "T" => "reserved (can be function or type name)",
        _ => "reserved",
    };
    Some(vec![
        ("word", word.into()),
        ("catcode", category.into()),
        ("barelabel", bare.into()),
        ("catdesc", meaning.into()),
        ("baredesc", if bare { "can be bare label" } else { "requires AS" }.into()),
    ])
}
