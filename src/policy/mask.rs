//! The secrets of keyed masks.
//!
//! INVARIANT: a secret is in no plan, text, record or error; it leaves this type only to make a keyed hash.

use std::collections::BTreeMap;
use std::sync::Arc;

/// The secrets of `hmac-sha-256`, by name.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct MaskKeys(BTreeMap<String, Arc<[u8]>>);

impl MaskKeys {
    /// Secrets by their names.
    pub fn new(keys: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        Self(keys.into_iter().map(|(name, secret)| (name, Arc::from(secret))).collect())
    }

    /// The secret of that name.
    pub fn secret(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name).map(AsRef::as_ref)
    }
}

impl std::fmt::Debug for MaskKeys {
    /// The names only.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_printed() {
        let keys = MaskKeys::new([("default".to_owned(), b"hush-hush".to_vec())]);
        assert_eq!(keys.secret("default"), Some(&b"hush-hush"[..]));
        assert_eq!(keys.secret("other"), None);
        assert_eq!(format!("{keys:?}"), "{\"default\"}");
    }
}
