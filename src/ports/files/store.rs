//! Object stores by their root, and what lies in them.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::execution::cache::default_cache::DefaultCache;
use datafusion::execution::object_store::ObjectStoreUrl;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use super::super::PortOptions;
use super::super::error::{Error, Place};
use super::super::parquet::{Dictionaries, Footer};
use super::super::reference::follow;
use super::fault::of_store;
use super::identity::Secret;
use super::location::Root;
use super::pinned::Pinned;
use super::remote::{Making, Scheme, find};
use super::shared::SharedReads;
use super::version::{FileVersion, Versions};
use super::{FileLocation, StoreOptions};
use crate::product::CredentialsRef;

/// Parquet footers kept for one root.
const FOOTER_CACHE_BYTES: usize = 32 << 20;
/// Files of which it is kept what was seen in them, for one root.
const LOOKS_MAX: usize = 4096;
/// Stores that are kept open though nobody reads from them.
const STORES_MAX: usize = 256;
/// Files of one port; more are a mistake in the location.
const FILES_MAX: usize = 100_000;
/// Bytes of a local file that are asked for at once when it is read from start to end.
const CHUNK_BYTES: u64 = 1 << 20;
/// The same of a file over a network, where each request costs a journey.
const REMOTE_CHUNK_BYTES: u64 = 4 << 20;
/// Chunks that are under way at once.
const CHUNKS_AHEAD: usize = 2;

/// A store that sees one folder and what is below it.
#[derive(Debug)]
pub(in super::super) struct Rooted {
    /// The store.
    pub(in super::super) store: Arc<dyn ObjectStore>,
    /// Whether it is a folder of this machine.
    local: bool,
    /// Whether it can say which files there are.
    lists: bool,
    /// The name under which the engine finds the store.
    pub(in super::super) url: ObjectStoreUrl,
    /// Footers of its Parquet files, by the names that tell their versions. Paths are relative, so each root has its own.
    pub(in super::super) footers: Arc<FileMetadataCache>,
    /// What was seen in them.
    pub(in super::super) looks: Looks<Footer>,
    /// The folder of this machine, if it is one.
    folder: Option<Arc<LocalFileSystem>>,
    versions: Versions,
    /// Dictionaries of Parquet files; of all roots together.
    pub(in super::super) dictionaries: Arc<Dictionaries>,
    /// What several read at a time.
    pub(in super::super) reads: Arc<SharedReads>,
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
#[derive(Debug)]
pub(in super::super) struct Stores {
    options: PortOptions,
    roots: Mutex<HashMap<RootKey, Arc<Rooted>>>,
    opened: AtomicU64,
    dictionaries: Arc<Dictionaries>,
}

/// What makes two stores the same.
#[derive(Debug, Clone, PartialEq, Eq)]
enum RootKey {
    Folder(PathBuf),
    Store { scheme: Scheme, name: String, options: usize, secret: Option<Secret> },
}

impl std::hash::Hash for RootKey {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        match self {
            Self::Folder(path) => path.hash(state),
            // What the secret is makes a difference, but need not make another hash.
            Self::Store { scheme, name, options, .. } => (scheme, name, options).hash(state),
        }
    }
}

impl Stores {
    /// No store yet.
    pub(in super::super) fn new(options: &PortOptions) -> Self {
        Self { options: options.clone(), roots: Mutex::default(), opened: AtomicU64::new(0), dictionaries: Arc::default() }
    }

    /// The store of a location, as whom the reference leads to.
    pub(in super::super) fn open(
        &self,
        at: &Place,
        location: &FileLocation,
        credentials: Option<&CredentialsRef>,
    ) -> Result<Arc<Rooted>, Error> {
        let (key, options) = match &location.root {
            Root::Folder(path) => (RootKey::Folder(path.clone()), None),
            Root::Store { scheme, name } => {
                let (index, options) = find(at, &self.options.stores, location)?;
                let secret = credentials.map(|reference| self.secret(at, *scheme, reference)).transpose()?;
                (RootKey::Store { scheme: *scheme, name: name.clone(), options: index, secret }, Some(options))
            }
        };
        let mut roots = self.roots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rooted) = roots.get(&key) {
            return Ok(Arc::clone(rooted));
        }
        let rooted = Arc::new(self.make(at, &key, options)?);
        if roots.len() >= STORES_MAX {
            // Those under secrets that nobody uses any more are among them.
            roots.retain(|_, rooted| Arc::strong_count(rooted) > 1);
        }
        roots.insert(key, Arc::clone(&rooted));
        Ok(rooted)
    }

    fn secret(&self, at: &Place, scheme: Scheme, reference: &CredentialsRef) -> Result<Secret, Error> {
        let fail = |reason| Error::Credentials { at: at.clone(), reason };
        let text = follow(reference, self.options.credentials_root.as_deref()).map_err(fail)?;
        Secret::parse(scheme, &text).map_err(fail)
    }

    fn make(&self, at: &Place, key: &RootKey, options: Option<&StoreOptions>) -> Result<Rooted, Error> {
        let broken = |broken| Error::Internal { at: at.clone(), broken };
        let number = self.opened.fetch_add(1, Ordering::Relaxed);
        let url = ObjectStoreUrl::parse(format!("ports://root{number}")).map_err(|_| broken("the name of a store is no URL"))?;
        let (store, folder, lists) = match key {
            RootKey::Folder(root) => {
                let folder = local(at, root)?;
                (Arc::clone(&folder) as Arc<dyn ObjectStore>, Some(folder), true)
            }
            RootKey::Store { scheme, name, secret, .. } => {
                let options = options.ok_or_else(|| broken("a store has no options"))?;
                let making = Making { at, options, secret: secret.as_ref(), connect_timeout: self.options.connect_timeout };
                (making.client(*scheme, name)?, None, !scheme.is_web())
            }
        };
        let footers = Arc::new(DefaultCache::new(FOOTER_CACHE_BYTES));
        let versions = Versions::new(self.options.files_settle);
        Ok(Rooted {
            store,
            local: folder.is_some(),
            lists,
            url,
            footers,
            looks: Looks::default(),
            folder,
            versions,
            dictionaries: Arc::clone(&self.dictionaries),
            reads: Arc::default(),
        })
    }
}

fn local(at: &Place, root: &Path) -> Result<Arc<LocalFileSystem>, Error> {
    match LocalFileSystem::new_with_prefix(root) {
        Ok(store) => Ok(Arc::new(store)),
        Err(error) => Err(Error::NoData { at: at.clone(), source: Some(Box::new(error)) }),
    }
}

impl Rooted {
    /// The path of a file of this machine.
    pub(in super::super) fn local_path(&self, file: &ObjectMeta) -> Option<PathBuf> {
        self.folder.as_ref()?.path_to_filesystem(&file.location).ok()
    }

    /// The version of a file, if it can have one; see [`FileVersion`].
    pub(in super::super) fn version(&self, file: &ObjectMeta) -> Option<FileVersion> {
        match &self.folder {
            Some(_) => self.versions.of(&self.local_path(file)?),
            // A server of files may make its tags from what others can set.
            None => self.lists.then(|| self.versions.stored(self.url.as_str(), file))?,
        }
    }

    /// The files of a location, by name; never none.
    pub(in super::super) async fn list(&self, at: &Place, location: &FileLocation, extensions: &[&str]) -> Result<Vec<ObjectMeta>, Error> {
        let found = self.list_matches(location, extensions).await;
        let mut files = found.map_err(|source| of_store(at, source))?;
        if files.is_empty() {
            return Err(Error::NoData { at: at.clone(), source: None });
        }
        if files.len() > FILES_MAX {
            return Err(Error::NotSupported { at: at.clone(), what: format!("a port of more than {FILES_MAX} files") });
        }
        // Without a tag nobody can tell whether two answers are of one version.
        if files.iter().any(|file| file.e_tag.is_none()) {
            return Err(Error::NotSupported { at: at.clone(), what: "a store that gives its files no ETag".to_owned() });
        }
        files.sort_by(|a, b| a.location.cmp(&b.location));
        Ok(files)
    }

    async fn list_matches(&self, location: &FileLocation, extensions: &[&str]) -> object_store::Result<Vec<ObjectMeta>> {
        let prefix = self.path(location.fixed())?;
        if !location.glob && !location.folder {
            match self.store.head(&prefix).await {
                Ok(meta) => return Ok(vec![meta]),
                Err(error @ object_store::Error::NotFound { .. }) if !self.lists => return Err(error),
                Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let listed = self.store.list(Some(&prefix).filter(|prefix| !prefix.as_ref().is_empty())).try_filter(|meta| {
            let parts: Vec<_> = meta.location.parts().collect();
            let segments: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
            let name = segments.last().map(|name| name.to_ascii_lowercase()).unwrap_or_default();
            futures::future::ready(location.matches(&segments, extensions.iter().any(|e| name.ends_with(e))))
        });
        listed.take(FILES_MAX + 1).try_collect().await
    }

    /// Names of files of this machine can hold what keys of stores have to escape; those of stores are taken as they are.
    fn path(&self, segments: &[String]) -> object_store::Result<ObjectPath> {
        if self.local { Ok(segments.iter().map(String::as_str).collect()) } else { Ok(ObjectPath::parse(segments.join("/"))?) }
    }

    /// These files in the version that they were listed in.
    pub(in super::super) fn pin(&self, files: &[ObjectMeta]) -> Arc<Pinned> {
        Arc::new(Pinned::new(Arc::clone(&self.store), Arc::clone(&self.reads), self.local, files))
    }

    /// The bytes of one file from start to end; an error if it changes meanwhile.
    pub(in super::super) fn read(&self, at: &Place, file: &ObjectMeta) -> BoxStream<'static, Result<Bytes, Error>> {
        let (store, at) = (self.pin(std::slice::from_ref(file)), at.clone());
        let (path, size) = (Pinned::named(file).location, file.size);
        let length = if self.local { CHUNK_BYTES } else { REMOTE_CHUNK_BYTES };
        let starts = (0..size.div_ceil(length)).map(move |chunk| chunk * length);
        let chunks = futures::stream::iter(starts).map(move |start| {
            let range: Range<u64> = start..size.min(start + length);
            let (store, path, at) = (Arc::clone(&store), path.clone(), at.clone());
            async move {
                let bytes = store.get_range(&path, range.clone()).await.map_err(|e| of_store(&at, e))?;
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
