//! The candidate that someone most likely meant.

/// Words longer than this are not compared: the comparison is quadratic.
const WORD_CHARS_MAX: usize = 64;

/// The candidate nearest to `word`, if it is near enough to be a slip: a third of the letters, at least one.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded: Vec<char> = fold(word);
    if folded.is_empty() || folded.len() > WORD_CHARS_MAX {
        return None;
    }
    let allowed = (folded.len() / 3).max(1);
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let other = fold(candidate);
            let far = other.len() > WORD_CHARS_MAX || other.len().abs_diff(folded.len()) > allowed;
            let distance = if far { usize::MAX } else { distance(&folded, &other) };
            (distance <= allowed).then_some((distance, candidate))
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// `pii_fields`, `piiFields` and `PII-fields` differ by convention only.
fn fold(word: &str) -> Vec<char> {
    word.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
}

/// Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut previous_a: Option<char> = None;
    for (row, &in_a) in a.iter().enumerate() {
        let mut current = Vec::with_capacity(last.len());
        current.push(row + 1);
        let mut previous_b: Option<char> = None;
        for (column, &in_b) in b.iter().enumerate() {
            let at = |line: &[usize], index: usize| line.get(index).copied().unwrap_or(usize::MAX / 2);
            let mut cost = at(&last, column) + usize::from(in_a != in_b);
            cost = cost.min(at(&last, column + 1) + 1).min(at(&current, column) + 1);
            if column > 0 && previous_a == Some(in_b) && previous_b == Some(in_a) {
                cost = cost.min(at(&before, column - 1) + 1);
            }
            current.push(cost);
            previous_b = Some(in_b);
        }
        previous_a = Some(in_a);
        before = std::mem::replace(&mut last, current);
    }
    last.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word() {
        let words = ["retention_days", "retention_column", "pii_fields"];
        assert_eq!(closest("retention_day", words), Some("retention_days"));
        assert_eq!(closest("piiFields", words), Some("pii_fields"));
        assert_eq!(closest("pii_feilds", words), Some("pii_fields"));
    }

    #[test]
    fn another_word_finds_nothing() {
        assert_eq!(closest("flavour", ["retention_days", "pii_fields"]), None);
        assert_eq!(closest("", ["a"]), None);
        assert_eq!(closest(&"x".repeat(10_000), ["a"]), None);
    }

    #[test]
    fn swapped_neighbours_are_one_slip() {
        assert_eq!(distance(&['a', 'b'], &['b', 'a']), 1);
        assert_eq!(distance(&['k', 'i', 't', 't', 'e', 'n'], &['s', 'i', 't', 't', 'i', 'n', 'g']), 3);
    }
}
