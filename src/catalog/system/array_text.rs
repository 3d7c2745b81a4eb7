//! Arrays as PostgreSQL writes them: `{a,"b c",NULL,{…}}`.

/// An element of an array's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Element {
    /// NULL
    Null,
    /// A value's text.
    Text(String),
    /// An array within the array.
    Nested(Vec<Element>),
}

/// Arrays within arrays.
const DEPTH_MAX: usize = 6;

/// The elements of an array; `None` if the text is none, or its inner arrays differ in length.
pub(super) fn elements(text: &str) -> Option<Vec<Element>> {
    let mut reader = Reader { rest: text.trim_matches(is_space).chars().peekable() };
    let elements = reader.array(1)?;
    (reader.rest.next().is_none() && even(&elements)).then_some(elements)
}

/// The white space that PostgreSQL passes over around elements.
fn is_space(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}')
}

/// Whether all inner arrays are of one length, and stand beside arrays only.
fn even(elements: &[Element]) -> bool {
    let lengths = elements.iter().map(|element| if let Element::Nested(inner) = element { Some(inner.len()) } else { None });
    let mut lengths = lengths.collect::<Vec<_>>();
    lengths.dedup();
    let inner = elements.iter().all(|element| if let Element::Nested(inner) = element { !inner.is_empty() && even(inner) } else { true });
    lengths.len() <= 1 && inner
}

struct Reader<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
}

impl Reader<'_> {
    fn blanks(&mut self) {
        while self.rest.next_if(|letter| is_space(*letter)).is_some() {}
    }

    /// From its opening brace to its closing one.
    fn array(&mut self, depth: usize) -> Option<Vec<Element>> {
        self.rest.next_if_eq(&'{').filter(|_| depth <= DEPTH_MAX)?;
        self.blanks();
        let mut elements = Vec::new();
        if self.rest.next_if_eq(&'}').is_some() {
            return Some(elements);
        }
        loop {
            self.blanks();
            elements.push(match self.rest.peek()? {
                '{' => Element::Nested(self.array(depth + 1)?),
                '"' => Element::Text(self.quoted()?),
                _ => self.bare()?,
            });
            self.blanks();
            match self.rest.next()? {
                ',' => {}
                '}' => return Some(elements),
                _ => return None,
            }
        }
    }

    fn quoted(&mut self) -> Option<String> {
        self.rest.next();
        let mut text = String::new();
        loop {
            match self.rest.next()? {
                '"' => return Some(text),
                '\\' => text.push(self.rest.next()?),
                letter => text.push(letter),
            }
        }
    }

    fn bare(&mut self) -> Option<Element> {
        let (mut text, mut escaped) = (String::new(), false);
        while let Some(letter) = self.rest.next_if(|letter| !matches!(letter, ',' | '{' | '}' | '"')) {
            if letter == '\\' {
                escaped = true;
                text.push(self.rest.next()?);
            } else {
                text.push(letter);
            }
        }
        text.truncate(text.trim_end_matches(is_space).len());
        if text.is_empty() {
            return None;
        }
        Some(if !escaped && text.eq_ignore_ascii_case("null") { Element::Null } else { Element::Text(text) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(given: &[&str]) -> Vec<Element> {
        given.iter().map(|text| Element::Text((*text).to_owned())).collect()
    }

    #[test]
    fn texts_are_split_at_commas_outside_quotes() {
        assert_eq!(elements("{r,\"a,b\",c\\,d}").unwrap(), texts(&["r", "a,b", "c,d"]));
        assert_eq!(elements(" { a b , c } ").unwrap(), texts(&["a b", "c"]));
        assert_eq!(elements("{}").unwrap(), Vec::new());
    }

    #[test]
    fn null_is_a_word_without_quotes() {
        assert_eq!(elements("{NULL,null}").unwrap(), [Element::Null, Element::Null]);
        assert_eq!(elements("{\"NULL\"}").unwrap(), texts(&["NULL"]));
    }

    #[test]
    fn arrays_within_arrays_are_of_one_length() {
        let nested = |given: &[&str]| Element::Nested(texts(given));
        assert_eq!(elements("{{1,2},{3,4}}").unwrap(), [nested(&["1", "2"]), nested(&["3", "4"])]);
        for bad in ["r", "{1,2", "{1,}", "{{1},{2,3}}", "{{1},2}", "{1}2", "{1\"2\"}"] {
            assert_eq!(elements(bad), None, "{bad}");
        }
    }
}
