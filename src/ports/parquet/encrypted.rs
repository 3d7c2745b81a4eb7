//! Parquet files that are encrypted: they are told from damaged ones, and refused.

use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::error::Result;
use datafusion::parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use futures::FutureExt;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use crate::ports::error::{Error, Place};

/// The last bytes of a file whose footer is encrypted.
const MARK: &[u8] = b"PARE";

/// The error of an encrypted file.
pub(super) fn refused(at: &Place) -> Error {
    Error::NotSupported { at: at.clone(), what: "an encrypted Parquet file".to_owned() }
}

/// Refuses a file with encrypted columns, whether they are asked for or not.
pub(super) fn check(at: &Place, metadata: &ParquetMetaData) -> Result<()> {
    if has_columns(metadata) { Err(refused(at).into()) } else { Ok(()) }
}

/// Whether a file cannot be looked at because its footer or a column of it is encrypted. A footer that is not is signed, and tells which
/// columns are; what the indexes of their pages are cannot be read.
pub(super) async fn is_why(store: &dyn ObjectStore, file: &ObjectMeta) -> bool {
    let Some(start) = u64::try_from(MARK.len()).ok().and_then(|length| file.size.checked_sub(length)) else { return false };
    if store.get_range(&file.location, start..file.size).await.is_ok_and(|bytes| bytes == MARK) {
        return true;
    }
    let metadata = DFParquetMetadata::new(store, file).with_page_index_policy(Some(PageIndexPolicy::Skip));
    // The decoder is known to panic on some damaged files.
    let read = std::panic::AssertUnwindSafe(metadata.fetch_metadata()).catch_unwind().await;
    read.is_ok_and(|read| read.is_ok_and(|metadata| has_columns(&metadata)))
}

fn has_columns(metadata: &ParquetMetaData) -> bool {
    let mut columns = metadata.row_groups().iter().flat_map(|group| group.columns());
    columns.any(|column| column.crypto_metadata().is_some())
}
