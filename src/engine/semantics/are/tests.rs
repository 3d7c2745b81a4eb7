//! Expectations are those of PostgreSQL 15.

use super::*;

/// The first match, and its groups; a dash where there is none.
fn found(pattern: &str, text: &str) -> String {
    let pattern = Pattern::compile(pattern, Options::default()).unwrap();
    match pattern.at(text, 0).unwrap() {
        None => "none".to_owned(),
        Some(found) => (0..=pattern.groups).map(|group| found.text(group).unwrap_or("-")).collect::<Vec<_>>().join("|"),
    }
}

#[test]
fn the_longest_match_is_taken() {
    for (pattern, text, expected) in [
        ("foo|foobar", "foobar", "foobar"),
        ("a?(?:ab)?", "ab", "ab"),
        ("(a|ab)(c|bcd)(d*)", "abcd", "abcd|ab|c|d"),
        ("a*(ab)*", "aab", "aab|ab"),
        ("(a|ab)(bc|c)", "abc", "abc|ab|c"),
        ("(?:x|xy)(.*)", "xyz", "xyz|z"),
        ("(.*)(\\d+)(.*)", "abc01234xyz", "abc01234xyz|abc0123|4|xyz"),
        ("a?(?:ab)?(b*)", "abb", "abb|b"),
    ] {
        assert_eq!(found(pattern, text), expected, "{pattern}");
    }
}

#[test]
fn the_first_preference_is_that_of_the_whole() {
    for (pattern, text, expected) in [
        ("a*?", "aaa", ""),
        ("a+?a*", "aaa", "a"),
        ("Y*?([0-9]{1,3})", "XY1234Z", "Y1|1"),
        ("Y*([0-9]{1,3})", "XY1234Z", "Y123|123"),
        ("(.*?)(\\d+)(.*)", "abc01234xyz", "abc0|abc|0|"),
        ("(?:(.*?)(\\d+)(.*)){1,1}", "abc01234xyz", "abc01234xyz|abc|01234|xyz"),
        ("([a-z]+?)(\\d+)", "abc123", "abc1|abc|1"),
        ("(foo|foobar)+(ba.)*?(.*)", "foobarbaz", "foobarbaz|foobar|-|baz"),
        ("(a+?){2}(a*)", "aaa", "aa|a|"),
        ("(a+?){2,3}(a*)", "aaaa", "aaaa|a|"),
        ("(a{1,2}?)*", "aaaa", "aaaa|a"),
    ] {
        assert_eq!(found(pattern, text), expected, "{pattern}");
    }
}

#[test]
fn groups_are_those_of_the_last_time() {
    for (pattern, text, expected) in [
        ("(a)(b)?", "a", "a|a|-"),
        ("((a)|b)*", "ab", "ab|b|-"),
        ("((a)(b)?)+", "aba", "aba|a|a|-"),
        ("((a)(b)?){2}", "aba", "aba|a|a|-"),
        ("(?:(a)|(b))+(c)", "abcd", "abc|-|b|c"),
        ("(a*)*b", "aab", "aab|aa"),
        ("(a*)*", "x", "|"),
        ("(a)*", "x", "|-"),
        ("(a*)+", "x", "|"),
        ("((a)*)*", "x", "||-"),
        ("((a*)|b)*", "bb", "bb|b|-"),
        ("(a){0}a", "aa", "a|-"),
        ("(a|aa)*", "aaaa", "aaaa|aa"),
    ] {
        assert_eq!(found(pattern, text), expected, "{pattern}");
    }
}

#[test]
fn escapes_and_brackets_are_postgresqls() {
    for (pattern, text) in [
        (r"\x41", "A"),
        (r"\u0041\U00000042", "AB"),
        (r"\101", "A"),
        (r"[\w-]", "-"),
        ("[a-]", "-"),
        ("[]a]]", "]]"),
        ("[[]", "["),
        ("[[.a.][=b=]]+", "ab"),
        ("[[:<:]]a[[:>:]]", "a"),
        (r"\mfoo\M", "foo"),
        ("a{x}", "a{x}"),
        ("a(?#comment)b", "ab"),
        ("(?x) a b # c", "ab"),
        ("***=a.c", "a.c"),
        ("(?i)ABC", "abc"),
        ("[a&&b~~]+", "&~"),
        ("a.c", "a\nc"),
        (r"(?n)\W", "\n"),
        (r"\d[[:alpha:]]", "1é"),
    ] {
        assert_eq!(found(pattern, text).split('|').next(), Some(text), "{pattern}");
    }
    for (pattern, text) in [("***=a.c", "abc"), ("(?n)[^a]", "\n"), ("(?n).", "\n"), (r"a\Z", "a\n"), ("[^a-]", "-"), (r"\d", "٣")] {
        assert_eq!(found(pattern, text), "none", "{pattern}");
    }
}

#[test]
fn faults_are_told_as_postgresql_tells_them() {
    for (pattern, expected) in [
        ("a**", "quantifier operand invalid"),
        ("*a", "quantifier operand invalid"),
        ("^*", "quantifier operand invalid"),
        ("a|*", "quantifier operand invalid"),
        ("(?>a)", "quantifier operand invalid"),
        ("***a", "quantifier operand invalid"),
        ("a{1", "braces {} not balanced"),
        ("a{1a}", "invalid repetition count(s)"),
        ("a{2,1}", "invalid repetition count(s)"),
        ("a{256}", "invalid repetition count(s)"),
        ("(a", "parentheses () not balanced"),
        ("a)", "parentheses () not balanced"),
        ("[a", "brackets [] not balanced"),
        ("[[:foo:]]", "invalid character class"),
        ("[[.ch.]]", "invalid collating element"),
        ("[b-a]", "invalid character range"),
        ("[a-c-e]", "invalid character range"),
        (r"\q", r"invalid escape \ sequence"),
        (r"a\", r"invalid escape \ sequence"),
        (r"(a)\2", "invalid backreference number"),
        ("(?z)a", "invalid embedded option"),
    ] {
        let error = Pattern::compile(pattern, Options::default()).err().unwrap().to_string();
        assert!(error.contains(&format!("invalid regular expression: {expected}")), "{pattern}: {error}");
    }
    for pattern in [r"(a)\1", "(?=a)", "(?<!a)b", "(a|ab){0,2}b"] {
        let error = Pattern::compile(pattern, Options::default()).err().unwrap().to_string();
        assert!(error.contains("not supported"), "{pattern}: {error}");
    }
}

#[test]
fn common_expressions_are_left_to_the_engine() {
    for (pattern, agrees) in [
        ("[^0-9]+", true),
        (r"(\d{4})-(\d\d)", true),
        (r"(\w+)=(\w+)", true),
        (r"^https?://(?:www\.)?([^/]+)/.*$", true),
        (r"^(https?://)?(www\.)?([^/]+).*$", true),
        ("(foo)|(bar)", true),
        ("foo|foobar", false),
        ("(.*)-(.*)", false),
        ("a.*?b", false),
        ("a?(ab)?", false),
        ("((a)|b)*", false),
        ("(a*|b)*", false),
    ] {
        assert_eq!(agreed::agrees(&parse(pattern, Options::default()).unwrap()), agrees, "{pattern}");
    }
}

#[test]
fn steps_come_to_an_end() {
    let pattern = Pattern { steps: Steps::leaving(100_000), ..Pattern::compile("(a|ab)(.*x)?", Options::default()).unwrap() };
    assert_eq!(pattern.every(&"a".repeat(100), 0).filter(Result::is_ok).count(), 100);
    let text = "a".repeat(1_000);
    let failed = pattern.every(&text, 0).find_map(std::result::Result::err).unwrap();
    assert!(failed.to_string().contains("too many steps"));
}
