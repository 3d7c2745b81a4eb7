//! Reads DER far enough to find the names and the signature's algorithm of a certificate.
//!
//! INVARIANT: every length is checked against the bytes that are there; what does not fit is nothing.

/// An element: its tag, its contents, and what follows it.
pub(super) fn any(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(*length), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            (digits.iter().try_fold(0usize, |length, digit| length.checked_mul(256)?.checked_add(usize::from(*digit)))?, rest)
        }
        _ => return None,
    };
    let (contents, rest) = rest.split_at_checked(length)?;
    Some((*tag, contents, rest))
}

/// The contents of the element of that tag that stands first, and what follows it.
pub fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    any(bytes).filter(|(found, ..)| *found == tag).map(|(_, contents, rest)| (contents, rest))
}

/// The elements that stand one after another, up to the end.
pub(super) fn elements(mut bytes: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let (tag, contents, rest) = any(bytes)?;
        all.push((tag, contents));
        bytes = rest;
    }
    Some(all)
}
