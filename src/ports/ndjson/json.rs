//! The members of an object and the elements of an array, as the bytes they are written with.
//!
//! Only for texts that are known to be valid JSON: nothing is checked again here.

use std::borrow::Cow;

/// The members of an object, in their order.
pub(super) fn members(object: &[u8]) -> Option<Vec<(Cow<'_, str>, &[u8])>> {
    let mut rest = object.trim_ascii().strip_prefix(b"{")?.trim_ascii_start();
    let mut found = Vec::new();
    while !rest.starts_with(b"}") {
        let (key, tail) = split_value(rest)?;
        let tail = tail.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
        let (value, tail) = split_value(tail)?;
        found.push((text(key)?, value));
        let tail = tail.trim_ascii_start();
        rest = tail.strip_prefix(b",").unwrap_or(tail).trim_ascii_start();
    }
    Some(found)
}

/// The elements of an array, in their order.
pub(super) fn elements(array: &[u8]) -> Option<Vec<&[u8]>> {
    let mut rest = array.trim_ascii().strip_prefix(b"[")?.trim_ascii_start();
    let mut found = Vec::new();
    while !rest.starts_with(b"]") {
        let (value, tail) = split_value(rest)?;
        found.push(value);
        let tail = tail.trim_ascii_start();
        rest = tail.strip_prefix(b",").unwrap_or(tail).trim_ascii_start();
    }
    Some(found)
}

/// The text that a string stands for.
pub(super) fn text(string: &[u8]) -> Option<Cow<'_, str>> {
    let inner = string.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if inner.contains(&b'\\') {
        return serde_json::from_slice::<String>(string).ok().map(Cow::Owned);
    }
    std::str::from_utf8(inner).ok().map(Cow::Borrowed)
}

/// The first value, and what comes after it.
fn split_value(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = match bytes.first()? {
        b'"' => end_of_string(bytes)?,
        b'{' | b'[' => end_of_nested(bytes)?,
        _ => bytes.iter().position(|byte| matches!(byte, b',' | b'}' | b']' | b':') || byte.is_ascii_whitespace()).unwrap_or(bytes.len()),
    };
    bytes.split_at_checked(end).filter(|(value, _)| !value.is_empty())
}

fn end_of_string(bytes: &[u8]) -> Option<usize> {
    let mut escaped = false;
    let mut rest = bytes.iter().enumerate().skip(1);
    rest.find_map(|(index, byte)| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends.then_some(index + 1)
    })
}

fn end_of_nested(bytes: &[u8]) -> Option<usize> {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for (index, byte) in bytes.iter().enumerate() {
        if quoted {
            quoted = *byte != b'"' || escaped;
            escaped = *byte == b'\\' && !escaped;
            continue;
        }
        match byte {
            b'"' => quoted = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(index + 1);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_split_wherever_they_end() {
        let line = br#" { "a" : 1.5e3 , "b\u0041":"x\",}","c":{"d":["]",2]} ,"e":[ ],"f":null,"g":"\\"} "#;
        let found: Vec<(String, String)> =
            members(line).unwrap().into_iter().map(|(key, value)| (key.into_owned(), String::from_utf8(value.to_vec()).unwrap())).collect();
        let expected = [("a", "1.5e3"), ("bA", r#""x\",}""#), ("c", r#"{"d":["]",2]}"#), ("e", "[ ]"), ("f", "null"), ("g", r#""\\""#)];
        assert_eq!(found, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
        assert!(members(b"{}").unwrap().is_empty());
        assert_eq!(elements(b"[1, [2,3] ,\"a,b\"]").unwrap(), [b"1".as_slice(), b"[2,3]", b"\"a,b\""]);
    }

    proptest::proptest! {
        #[test]
        fn what_is_split_is_what_was_written(keys in proptest::collection::vec(".*", 0..6), values in proptest::collection::vec(".*", 6)) {
            let mut object = serde_json::Map::new();
            for (key, value) in keys.iter().zip(&values) {
                object.insert(key.clone(), serde_json::json!([value, {"k": value}, 1]));
            }
            let written = serde_json::to_vec(&object).unwrap();
            let back: serde_json::Map<String, serde_json::Value> = members(&written).unwrap().into_iter()
                .map(|(key, value)| (key.into_owned(), serde_json::from_slice(value).unwrap())).collect();
            proptest::prop_assert_eq!(back, object);
        }
    }
}
