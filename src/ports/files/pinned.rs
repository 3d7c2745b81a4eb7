//! A store in which files are as they were when they were listed.
//!
//! INVARIANT: each answer is checked to be of the very version that was listed, by its tag; of another one there is an error and no byte.
//! Files go by a name that tells the version, so that nothing kept by name is ever taken for what it is not.

use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::path::Path as ObjectPath;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, OBJECT_STORE_COALESCE_DEFAULT, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, coalesce_ranges,
};

use super::shared::SharedReads;

/// Some files of a store, for reading.
#[derive(Debug)]
pub(in super::super) struct Pinned {
    store: Arc<dyn ObjectStore>,
    reads: Arc<SharedReads>,
    /// Whether files are opened, not asked for.
    local: bool,
    files: HashMap<ObjectPath, ObjectMeta>,
}

impl Pinned {
    /// Those files of the store in that version.
    pub(super) fn new(store: Arc<dyn ObjectStore>, reads: Arc<SharedReads>, local: bool, files: &[ObjectMeta]) -> Self {
        Self { store, reads, local, files: files.iter().map(|file| (name(file), file.clone())).collect() }
    }

    /// The file as it is known here.
    pub(in super::super) fn named(file: &ObjectMeta) -> ObjectMeta {
        ObjectMeta { location: name(file), ..file.clone() }
    }

    fn listed(&self, location: &ObjectPath) -> Result<Listed> {
        let missing = || Error::NotFound { path: location.to_string(), source: "it was not listed".into() };
        let file = self.files.get(location).ok_or_else(missing)?.clone();
        Ok(Listed { store: Arc::clone(&self.store), local: self.local, file })
    }
}

/// A file as it was listed.
#[derive(Debug, Clone)]
struct Listed {
    store: Arc<dyn ObjectStore>,
    local: bool,
    file: ObjectMeta,
}

impl Listed {
    async fn get(&self, options: GetOptions) -> Result<GetResult> {
        // A weak tag matches no condition; what comes back is compared in any case.
        let tag = self.file.e_tag.as_deref().filter(|tag| !is_weak(tag));
        let condition = tag.map(|tag| if self.local { tag.to_owned() } else { format!("\"{}\"", bare(tag)) });
        let got = self.store.get_opts(&self.file.location, GetOptions { if_match: condition, ..options }).await?;
        check(&self.file, &got.meta)?;
        Ok(got)
    }

    async fn ranges(self, ranges: Vec<Range<u64>>) -> Result<Vec<Bytes>> {
        if self.local {
            return self.read_local(ranges).await;
        }
        let part = |range: Range<u64>| async {
            let options = GetOptions { range: Some(range.into()), ..GetOptions::default() };
            self.get(options).await?.bytes().await
        };
        coalesce_ranges(&ranges, part, OBJECT_STORE_COALESCE_DEFAULT).await
    }

    /// All ranges out of one opened file, which is the listed one before and after.
    async fn read_local(self, ranges: Vec<Range<u64>>) -> Result<Vec<Bytes>> {
        let options = GetOptions { if_match: self.file.e_tag.clone(), ..GetOptions::default() };
        let opened = self.store.get_opts(&self.file.location, options).await?;
        check(&self.file, &opened.meta)?;
        let listed = self.file;
        let ranges = roomy(&ranges, listed.size).ok_or_else(|| changed(&listed, "it is shorter than its footer says"))?;
        let GetResultPayload::File(mut file, _) = opened.payload else { return Err(changed(&listed, "it is no file")) };
        let read = move || {
            let failed = |source: std::io::Error| match source.kind() {
                std::io::ErrorKind::UnexpectedEof => changed(&listed, "it became shorter"),
                _ => Error::Generic { store: "LocalFileSystem", source: Box::new(source) },
            };
            let before = file.metadata().and_then(|metadata| metadata.modified()).map_err(failed)?;
            let mut found = Vec::with_capacity(ranges.len());
            for (range, room) in ranges {
                found.push(read_range(&mut file, &range, room).map_err(failed)?);
            }
            let metadata = file.metadata().map_err(failed)?;
            if metadata.modified().map_err(failed)? != before || metadata.len() != listed.size {
                return Err(changed(&listed, "it was written to"));
            }
            Ok(found)
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => runtime.spawn_blocking(read).await.map_err(|source| Error::JoinError { source })?,
            Err(_) => read(),
        }
    }
}

/// Room for each range of a file of so many bytes: none for a range that is not in it. What a damaged footer asks for can be more than there is memory.
fn roomy(ranges: &[Range<u64>], size: u64) -> Option<Vec<(Range<u64>, Vec<u8>)>> {
    let room = |range: &Range<u64>| {
        let length = range.end.checked_sub(range.start).filter(|_| range.end <= size)?;
        Some((range.clone(), Vec::with_capacity(usize::try_from(length).ok()?)))
    };
    ranges.iter().map(room).collect()
}

fn read_range(file: &mut std::fs::File, range: &Range<u64>, mut bytes: Vec<u8>) -> std::io::Result<Bytes> {
    let length = range.end.saturating_sub(range.start);
    file.seek(SeekFrom::Start(range.start))?;
    file.take(length).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()) == Ok(length) { Ok(bytes.into()) } else { Err(std::io::ErrorKind::UnexpectedEof.into()) }
}

/// A name that no other version of any file has.
fn name(file: &ObjectMeta) -> ObjectPath {
    let tag = file.e_tag.as_deref().unwrap_or_default();
    [format!("{tag} {}", file.size).as_str(), file.location.as_ref()].into_iter().collect()
}

/// A tag without the quotes that some listings leave out.
fn bare(tag: &str) -> &str {
    tag.trim_matches('"')
}

fn is_weak(tag: &str) -> bool {
    tag.starts_with("W/")
}

fn check(listed: &ObjectMeta, found: &ObjectMeta) -> Result<()> {
    match (&listed.e_tag, &found.e_tag) {
        (Some(tag), Some(now)) if bare(tag) == bare(now) && listed.size == found.size => Ok(()),
        _ => Err(changed(listed, "it is another version")),
    }
}

fn changed(listed: &ObjectMeta, what: &'static str) -> Error {
    Error::Precondition { path: listed.location.to_string(), source: what.into() }
}

impl std::fmt::Display for Pinned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pinned({})", self.store)
    }
}

#[async_trait]
impl ObjectStore for Pinned {
    async fn get_opts(&self, location: &ObjectPath, options: GetOptions) -> Result<GetResult> {
        self.listed(location)?.get(options).await
    }

    async fn get_ranges(&self, location: &ObjectPath, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let read = self.listed(location)?.ranges(ranges.to_vec());
        self.reads.ranges(location.as_ref(), ranges, read, |broken| Error::JoinError { source: broken }).await
    }

    async fn put_opts(&self, _: &ObjectPath, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        Err(read_only("put"))
    }

    async fn put_multipart_opts(&self, _: &ObjectPath, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(read_only("put"))
    }

    fn delete_stream(&self, _: BoxStream<'static, Result<ObjectPath>>) -> BoxStream<'static, Result<ObjectPath>> {
        Box::pin(futures::stream::iter([Err(read_only("delete"))]))
    }

    fn list(&self, _: Option<&ObjectPath>) -> BoxStream<'static, Result<ObjectMeta>> {
        Box::pin(futures::stream::iter([Err(read_only("list"))]))
    }

    async fn list_with_delimiter(&self, _: Option<&ObjectPath>) -> Result<ListResult> {
        Err(read_only("list"))
    }

    async fn copy_opts(&self, _: &ObjectPath, _: &ObjectPath, _: CopyOptions) -> Result<()> {
        Err(read_only("copy"))
    }
}

fn read_only(operation: &str) -> Error {
    Error::NotImplemented { operation: operation.to_owned(), implementer: "Pinned".to_owned() }
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt as _;
    use object_store::local::LocalFileSystem;

    use super::*;

    async fn listed(folder: &std::path::Path, bytes: &[u8]) -> (Arc<dyn ObjectStore>, ObjectMeta) {
        std::fs::write(folder.join("a"), bytes).unwrap();
        let store: Arc<dyn ObjectStore> = Arc::new(LocalFileSystem::new_with_prefix(folder).unwrap());
        let file = store.head(&ObjectPath::from("a")).await.unwrap();
        (store, file)
    }

    #[tokio::test]
    async fn ranges_are_those_of_the_listed_file() {
        let folder = tempfile::tempdir().unwrap();
        let (store, file) = listed(folder.path(), b"0123456789").await;
        let pinned = Pinned::new(store, Arc::default(), true, std::slice::from_ref(&file));
        let named = Pinned::named(&file).location;
        assert_eq!(pinned.get_ranges(&named, &[7..9, 0..2]).await.unwrap(), ["78", "01"]);
        assert_eq!(pinned.get_range(&named, 3..5).await.unwrap(), "34");
        assert!(matches!(pinned.get_range(&file.location, 3..5).await, Err(Error::NotFound { .. })));
    }

    #[tokio::test]
    async fn another_file_in_its_place_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let (store, file) = listed(folder.path(), b"0123456789").await;
        let pinned = Pinned::new(store, Arc::default(), true, std::slice::from_ref(&file));
        let named = Pinned::named(&file).location;
        std::fs::write(folder.path().join("b"), b"abcdefghij").unwrap();
        std::fs::rename(folder.path().join("b"), folder.path().join("a")).unwrap();
        assert!(matches!(pinned.get_ranges(&named, &[7..9, 0..2]).await, Err(Error::Precondition { .. })));
        assert!(matches!(pinned.get_range(&named, 3..5).await, Err(Error::Precondition { .. })));
        std::fs::remove_file(folder.path().join("a")).unwrap();
        assert!(matches!(pinned.get_ranges(&named, &[7..9, 0..2]).await, Err(Error::NotFound { .. })));
    }

    #[tokio::test]
    async fn a_range_behind_the_end_is_an_error_and_takes_no_memory() {
        let folder = tempfile::tempdir().unwrap();
        let (store, file) = listed(folder.path(), b"0123456789").await;
        let pinned = Pinned::new(store, Arc::default(), true, std::slice::from_ref(&file));
        let named = Pinned::named(&file).location;
        assert_eq!(pinned.get_ranges(&named, &[5..10, 10..10]).await.unwrap(), ["56789", ""]);
        for end in [11, 1 << 50, u64::MAX] {
            assert!(matches!(pinned.get_ranges(&named, &[0..2, 5..end]).await, Err(Error::Precondition { .. })), "{end}");
        }
    }

    #[test]
    fn names_tell_versions_apart() {
        let file = ObjectMeta {
            location: ObjectPath::from("a/b.parquet"),
            last_modified: chrono::DateTime::UNIX_EPOCH,
            size: 7,
            e_tag: Some("\"x\"".to_owned()),
            version: None,
        };
        let other = ObjectMeta { e_tag: Some("\"y\"".to_owned()), ..file.clone() };
        assert_ne!(name(&file), name(&other));
        assert!(check(&file, &ObjectMeta { e_tag: Some("x".to_owned()), ..file.clone() }).is_ok());
        assert!(check(&file, &other).is_err() && check(&file, &ObjectMeta { e_tag: None, ..file.clone() }).is_err());
    }
}
