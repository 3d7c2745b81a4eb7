//! Dictionaries of files whose rows are looked up by key, unpacked.
//!
//! INVARIANT: a dictionary goes by the version of its file, so one of other bytes is never found. It holds what the file holds, and no more
//! bytes of all files together are kept than so many.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use datafusion::parquet::column::page::Page;

use crate::ports::files::FileVersion;

/// Bytes in each of two generations.
const BYTES_MAX: usize = 16 << 20;
/// A larger one is unpacked each time.
const DICTIONARY_BYTES_MAX: usize = 2 << 20;

/// Whose dictionary it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Name {
    pub(super) version: FileVersion,
    pub(super) group: usize,
    /// The leaf of the file's schema.
    pub(super) column: usize,
}

/// The dictionaries; one that has not been asked for during a generation goes.
#[derive(Debug, Default)]
pub(in crate::ports) struct Dictionaries {
    kept: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Name, Page>,
    old: HashMap<Name, Page>,
    /// Of the young.
    bytes: usize,
}

impl Dictionaries {
    pub(super) fn find(&self, name: &Name) -> Option<Page> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(page) = kept.young.get(name) {
            return Some(page.clone());
        }
        let (name, page) = kept.old.remove_entry(name)?;
        kept.keep(name, page.clone());
        Some(page)
    }

    pub(super) fn keep(&self, name: Name, page: &Page) {
        if page.buffer().len() <= DICTIONARY_BYTES_MAX {
            self.kept.lock().unwrap_or_else(PoisonError::into_inner).keep(name, page.clone());
        }
    }
}

impl Generations {
    fn keep(&mut self, name: Name, page: Page) {
        let bytes = page.buffer().len();
        if self.bytes.saturating_add(bytes) > BYTES_MAX {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        let before = self.young.insert(name, page).map_or(0, |before| before.buffer().len());
        self.bytes = self.bytes.saturating_add(bytes).saturating_sub(before);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use datafusion::parquet::basic::Encoding;

    use super::*;

    fn page(bytes: usize) -> Page {
        Page::DictionaryPage { buf: Bytes::from(vec![0; bytes]), num_values: 1, encoding: Encoding::PLAIN, is_sorted: false }
    }

    #[test]
    fn no_more_is_kept_than_so_much_and_what_is_asked_for_stays() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), "abc").unwrap();
        let version = FileVersion::of_now(&folder.path().join("a"));
        let name = |group| Name { version: version.clone(), group, column: 0 };
        let dictionaries = Dictionaries::default();
        dictionaries.keep(name(0), &page(1 << 20));
        for group in 1..100 {
            dictionaries.keep(name(group), &page(1 << 20));
            assert!(dictionaries.find(&name(0)).is_some());
            let kept = dictionaries.kept.lock().unwrap();
            let bytes = |pages: &HashMap<Name, Page>| pages.values().map(|page| page.buffer().len()).sum::<usize>();
            assert_eq!(bytes(&kept.young), kept.bytes);
            assert!(kept.bytes <= BYTES_MAX && bytes(&kept.old) <= BYTES_MAX);
        }
        assert!(dictionaries.find(&name(1)).is_none());
        dictionaries.keep(name(200), &page(DICTIONARY_BYTES_MAX + 1));
        assert!(dictionaries.find(&name(200)).is_none());
    }
}
