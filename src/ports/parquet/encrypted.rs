//! Parquet files that are encrypted: read with the keys that a contract refers to, and otherwise told from damaged ones and refused.
//!
//! INVARIANT: of files that a contract has keys for, one that is not encrypted is an error: nothing shows that it comes from who has the keys.
//! Keys are in no text.

use std::path::Path;
use std::sync::Arc;

use datafusion::common::config::{ColumnDecryptionProperties, ConfigFileDecryptionProperties};
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::error::Result;
use datafusion::parquet::encryption::decrypt::FileDecryptionProperties;
use datafusion::parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use futures::FutureExt;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use crate::ports::error::{Error, Place};
use crate::ports::reference::follow;
use crate::product::{CredentialsRef, FileKeys};

/// The last bytes of a file whose footer is encrypted.
const MARK: &[u8] = b"PARE";
/// Hexadecimal digits of a key of AES-128 and AES-256.
const KEY_DIGITS: [usize; 2] = [32, 64];

/// What opens a port's files.
pub(in crate::ports) struct Keys {
    options: ConfigFileDecryptionProperties,
    properties: Arc<FileDecryptionProperties>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(…)")
    }
}

impl Keys {
    /// Follows a contract's references.
    pub(in crate::ports) fn resolve(at: &Place, keys: &FileKeys, root: Option<&Path>) -> Result<Self, Error> {
        let fail = |reason| Error::Credentials { at: at.clone(), reason };
        let key = |reference: &CredentialsRef| {
            let text = follow(reference, root).map_err(fail)?;
            let text = text.trim();
            let valid = KEY_DIGITS.contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_hexdigit());
            if valid { Ok(text.to_owned()) } else { Err(fail("a key is not 32 or 64 hexadecimal digits")) }
        };
        let mut options = ConfigFileDecryptionProperties { footer_key_as_hex: key(&keys.footer)?, ..Default::default() };
        for (column, reference) in &keys.columns {
            let column_key_as_hex = key(reference)?;
            options.column_decryption_properties.insert(column.clone(), ColumnDecryptionProperties { column_key_as_hex });
        }
        let properties = FileDecryptionProperties::try_from(options.clone()).map_err(|_| fail("the keys cannot be used"))?;
        Ok(Self { options, properties: Arc::new(properties) })
    }

    /// As the engine's reader takes them.
    pub(super) fn options(&self) -> ConfigFileDecryptionProperties {
        self.options.clone()
    }

    /// As the reader of footers takes them.
    pub(super) fn properties(&self) -> Arc<FileDecryptionProperties> {
        Arc::clone(&self.properties)
    }
}

/// The error of an encrypted file that cannot be looked at.
pub(super) fn refused(at: &Place, keys: Option<&Keys>) -> Error {
    match keys {
        None => Error::NotSupported { at: at.clone(), what: "an encrypted Parquet file without keys".to_owned() },
        Some(_) => Error::Credentials { at: at.clone(), reason: "the keys do not open its files" },
    }
}

/// Refuses a file with encrypted columns, whether they are asked for or not, if there are no keys; if there are, one that is not encrypted.
pub(super) async fn check(
    at: &Place,
    store: &dyn ObjectStore,
    file: &ObjectMeta,
    metadata: &ParquetMetaData,
    keys: Option<&Keys>,
) -> Result<()> {
    let encrypted = has_columns(metadata);
    if keys.is_none() && encrypted {
        return Err(refused(at, None).into());
    }
    if keys.is_some() && !encrypted && !has_mark(store, file).await {
        let cause = "it is not encrypted, and its contract has keys";
        return Err(Error::Damaged { at: at.clone(), source: cause.into() }.into());
    }
    Ok(())
}

/// Whether a file cannot be looked at because its footer or a column of it is encrypted. A footer that is not is signed, and tells which
/// columns are; what the indexes of their pages are cannot be read.
pub(super) async fn is_why(store: &dyn ObjectStore, file: &ObjectMeta) -> bool {
    if has_mark(store, file).await {
        return true;
    }
    let metadata = DFParquetMetadata::new(store, file).with_page_index_policy(Some(PageIndexPolicy::Skip));
    // The decoder is known to panic on some damaged files.
    let read = std::panic::AssertUnwindSafe(metadata.fetch_metadata()).catch_unwind().await;
    read.is_ok_and(|read| read.is_ok_and(|metadata| has_columns(&metadata)))
}

async fn has_mark(store: &dyn ObjectStore, file: &ObjectMeta) -> bool {
    let Some(start) = u64::try_from(MARK.len()).ok().and_then(|length| file.size.checked_sub(length)) else { return false };
    store.get_range(&file.location, start..file.size).await.is_ok_and(|bytes| bytes == MARK)
}

fn has_columns(metadata: &ParquetMetaData) -> bool {
    let mut columns = metadata.row_groups().iter().flat_map(|group| group.columns());
    columns.any(|column| column.crypto_metadata().is_some())
}
