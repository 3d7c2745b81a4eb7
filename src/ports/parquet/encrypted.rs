//! Parquet files that are encrypted: they are told from damaged ones, and refused.

use datafusion::error::Result;
use datafusion::parquet::file::metadata::ParquetMetaData;
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
    let mut columns = metadata.row_groups().iter().flat_map(|group| group.columns());
    if columns.any(|column| column.crypto_metadata().is_some()) { Err(refused(at).into()) } else { Ok(()) }
}

/// Whether a file that has no footer to read has an encrypted one.
pub(super) async fn is_footer(store: &dyn ObjectStore, file: &ObjectMeta) -> bool {
    let Some(start) = u64::try_from(MARK.len()).ok().and_then(|length| file.size.checked_sub(length)) else { return false };
    store.get_range(&file.location, start..file.size).await.is_ok_and(|bytes| bytes == MARK)
}
