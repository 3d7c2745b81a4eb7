//! Object stores by their root, and what lies in them.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::execution::cache::default_cache::DefaultCache;
use datafusion::execution::object_store::ObjectStoreUrl;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt};

use super::super::error::{Error, Place};
use super::super::parquet::Footer;
use super::FileLocation;

/// Parquet footers kept for one root.
const FOOTER_CACHE_BYTES: usize = 32 << 20;
/// Files of which it is kept what was seen in them, for one root.
const LOOKS_MAX: usize = 4096;
/// Bytes asked for at once when a file is read from start to end.
const CHUNK_BYTES: u64 = 1 << 20;
/// Chunks that are under way at once.
const CHUNKS_AHEAD: usize = 2;

/// A store that sees one folder and what is below it.
#[derive(Debug)]
pub(in super::super) struct Rooted {
    /// The store.
    pub(in super::super) store: Arc<dyn ObjectStore>,
    /// The name under which the engine finds the store.
    pub(in super::super) url: ObjectStoreUrl,
    /// Footers of its Parquet files, valid as long as size and time of change are the same. Paths are relative, so each root has its own.
    pub(in super::super) footers: Arc<FileMetadataCache>,
    /// What was seen in them.
    pub(in super::super) looks: Looks<Footer>,
}

/// What was seen in files, valid for exactly the files that were looked at: of the same size, time of change and tag (of local files that
/// holds the inode).
#[derive(Debug)]
pub(in super::super) struct Looks<T> {
    seen: Mutex<HashMap<ObjectPath, (ObjectMeta, Arc<T>)>>,
}

impl<T> Default for Looks<T> {
    fn default() -> Self {
        Self { seen: Mutex::default() }
    }
}

impl<T> Looks<T> {
    /// What was seen in this file.
    pub(in super::super) fn find(&self, file: &ObjectMeta) -> Option<Arc<T>> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(&file.location).filter(|(known, _)| known == file).map(|(_, found)| Arc::clone(found))
    }

    /// Keeps what was seen in a file.
    pub(in super::super) fn keep(&self, file: ObjectMeta, found: Arc<T>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= LOOKS_MAX {
            seen.clear();
        }
        seen.insert(file.location.clone(), (file, found));
    }
}

/// All stores that were opened.
#[derive(Debug, Default)]
pub(in super::super) struct Stores {
    roots: Mutex<HashMap<PathBuf, Arc<Rooted>>>,
}

impl Stores {
    /// The store of a location.
    pub(in super::super) fn open(&self, at: &Place, location: &FileLocation) -> Result<Arc<Rooted>, Error> {
        let mut roots = self.roots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rooted) = roots.get(&location.root) {
            return Ok(Arc::clone(rooted));
        }
        let rooted = Arc::new(Rooted::local(at, &location.root, roots.len())?);
        roots.insert(location.root.clone(), Arc::clone(&rooted));
        Ok(rooted)
    }
}

impl Rooted {
    fn local(at: &Place, root: &Path, number: usize) -> Result<Self, Error> {
        let store = LocalFileSystem::new_with_prefix(root).map_err(|e| Error::NoData { at: at.clone(), source: Some(Box::new(e)) })?;
        let url = ObjectStoreUrl::parse(format!("ports://root{number}"))
            .map_err(|_| Error::Internal { at: at.clone(), broken: "the name of a store is no URL" })?;
        Ok(Self { store: Arc::new(store), url, footers: Arc::new(DefaultCache::new(FOOTER_CACHE_BYTES)), looks: Looks::default() })
    }

    /// The files of a location, by name; never none.
    pub(in super::super) async fn list(&self, at: &Place, location: &FileLocation, extensions: &[&str]) -> Result<Vec<ObjectMeta>, Error> {
        let found = self.list_matches(location, extensions).await;
        let mut files = found.map_err(|source| read_error(at, source))?;
        if files.is_empty() {
            return Err(Error::NoData { at: at.clone(), source: None });
        }
        files.sort_by(|a, b| a.location.cmp(&b.location));
        Ok(files)
    }

    async fn list_matches(&self, location: &FileLocation, extensions: &[&str]) -> object_store::Result<Vec<ObjectMeta>> {
        let prefix = (!location.glob).then(|| location.pattern.iter().map(String::as_str).collect::<ObjectPath>());
        if let Some(file) = &prefix {
            match self.store.head(file).await {
                Ok(meta) => return Ok(vec![meta]),
                Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let listed = self.store.list(prefix.as_ref()).try_filter(|meta| {
            let parts: Vec<_> = meta.location.parts().collect();
            let segments: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
            let name = segments.last().map(|name| name.to_ascii_lowercase()).unwrap_or_default();
            futures::future::ready(location.matches(&segments, extensions.iter().any(|e| name.ends_with(e))))
        });
        listed.try_collect().await
    }

    /// The bytes of one file from start to end; an error if it changes meanwhile.
    pub(in super::super) fn read(&self, at: &Place, file: &ObjectMeta) -> BoxStream<'static, Result<Bytes, Error>> {
        let (store, at) = (Arc::clone(&self.store), at.clone());
        let (path, tag, size) = (file.location.clone(), file.e_tag.clone(), file.size);
        let starts = (0..size.div_ceil(CHUNK_BYTES)).map(|chunk| chunk * CHUNK_BYTES);
        let chunks = futures::stream::iter(starts).map(move |start| {
            let range: Range<u64> = start..size.min(start + CHUNK_BYTES);
            let (store, path, at) = (Arc::clone(&store), path.clone(), at.clone());
            let options = GetOptions { range: Some(GetRange::Bounded(range.clone())), if_match: tag.clone(), ..GetOptions::default() };
            async move {
                let got = store.get_opts(&path, options).await.map_err(|e| read_error(&at, e))?;
                let bytes = got.bytes().await.map_err(|e| read_error(&at, e))?;
                if u64::try_from(bytes.len()).ok() == Some(range.end - range.start) {
                    Ok(bytes)
                } else {
                    Err(Error::Changed { at, source: "the file became shorter".into() })
                }
            }
        });
        chunks.buffered(CHUNKS_AHEAD).boxed()
    }
}

/// What a failing store means for a port.
fn read_error(at: &Place, error: object_store::Error) -> Error {
    let at = at.clone();
    match error {
        object_store::Error::NotFound { .. } => Error::NoData { at, source: Some(Box::new(error)) },
        object_store::Error::Precondition { .. } => Error::Changed { at, source: Box::new(error) },
        _ => Error::Unreadable { at, source: Box::new(error) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_holds_for_the_file_that_was_looked_at() {
        let file = ObjectMeta {
            location: ObjectPath::from("a.parquet"),
            last_modified: chrono::DateTime::UNIX_EPOCH,
            size: 7,
            e_tag: Some("1-0-7".to_owned()),
            version: None,
        };
        let looks = Looks::default();
        looks.keep(file.clone(), Arc::new(1));
        assert_eq!(looks.find(&file).as_deref(), Some(&1));
        // Another file in its place, of the same size and time.
        assert!(looks.find(&ObjectMeta { e_tag: Some("2-0-7".to_owned()), ..file.clone() }).is_none());
        assert!(looks.find(&ObjectMeta { size: 8, ..file.clone() }).is_none());
        assert!(looks.find(&ObjectMeta { last_modified: chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(1), ..file }).is_none());
    }
}
