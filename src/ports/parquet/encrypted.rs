//! Parquet files that are encrypted: read with the keys that a contract refers to, and otherwise told from damaged ones and refused.
//!
//! INVARIANT: of files that a contract has keys for, one that is not encrypted is an error: nothing shows that it comes from who has the keys.
//! Keys are in no text.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::common::config::EncryptionFactoryOptions;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::parquet_encryption::EncryptionFactory;
use datafusion::parquet::encryption::decrypt::FileDecryptionProperties;
use datafusion::parquet::encryption::encrypt::FileEncryptionProperties;
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::column_crypto_metadata::ColumnCryptoMetaData;
use datafusion::parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use futures::FutureExt;
use object_store::path::Path as StorePath;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use super::wrapped::MasterKeys;
use crate::ports::error::{Error, Place};
use crate::ports::reference::follow;
use crate::product::{CredentialsRef, FileKeys};

/// The last bytes of a file whose footer is encrypted.
const MARK: &[u8] = b"PARE";
/// Hexadecimal digits of a key of AES-128 and AES-256.
const KEY_DIGITS: [usize; 2] = [32, 64];

/// Why a file, or a column of it, stays closed to the keys that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Closed {
    #[error("{}", UNNAMED)]
    Unnamed,
    #[error("{}", WRONG)]
    Wrong,
    #[error("{}", NOT_WRAPPED)]
    NotWrapped,
    #[error("a Parquet file whose keys lie outside of it")]
    Outside,
    #[error("a Parquet file with a key of neither 16 nor 32 bytes")]
    Length,
    #[error("a Parquet file encrypted with AES-GCM-CTR")]
    Counter,
}

const UNNAMED: &str = "its files are encrypted with a key that the contract does not name";
const WRONG: &str = "the keys do not open its files";
const NOT_WRAPPED: &str = "its files hold no wrapped key for a master key to open";

impl Closed {
    /// Why a file could not be opened, if its error tells.
    fn of(error: &DataFusionError) -> Option<Self> {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(error) = cause {
            if let Some(closed) = error.downcast_ref::<Self>() {
                return Some(*closed);
            }
            // The reader leaves nothing else undone where a footer is decrypted.
            if let Some(ParquetError::NYI(_)) = error.downcast_ref::<ParquetError>() {
                return Some(Self::Counter);
            }
            cause = error.source();
        }
        None
    }

    fn into_error(self, at: &Place) -> Error {
        let unfit = |reason| Error::Credentials { at: at.clone(), reason };
        match self {
            Self::Unnamed => unfit(UNNAMED),
            Self::Wrong => unfit(WRONG),
            Self::NotWrapped => unfit(NOT_WRAPPED),
            Self::Outside | Self::Length | Self::Counter => Error::NotSupported { at: at.clone(), what: self.to_string() },
        }
    }
}

/// What opens a port's files.
pub(in crate::ports) struct Keys(Arc<FileDecryptionProperties>);

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
            bytes(text.trim()).ok_or_else(|| fail("a key is not 32 or 64 hexadecimal digits"))
        };
        let each = |keys: &BTreeMap<String, CredentialsRef>| {
            keys.iter().map(|(name, reference)| Ok((name.clone(), key(reference)?))).collect::<Result<BTreeMap<_, _>, Error>>()
        };
        let properties = match keys {
            FileKeys::Direct { footer, columns } => {
                let builder = FileDecryptionProperties::builder(key(footer)?);
                each(columns)?.into_iter().fold(builder, |builder, (column, key)| builder.with_column_key(&column, key)).build()
            }
            FileKeys::Wrapping(keys) => {
                let keys = MasterKeys::new(each(keys)?).ok_or_else(|| fail("the keys cannot be used"))?;
                FileDecryptionProperties::with_key_retriever(Arc::new(keys)).build()
            }
        };
        properties.map(Self).map_err(|_| fail("the keys cannot be used"))
    }

    /// As the reader of footers takes them.
    pub(super) fn properties(&self) -> Arc<FileDecryptionProperties> {
        Arc::clone(&self.0)
    }
}

fn bytes(digits: &str) -> Option<Vec<u8>> {
    let valid = KEY_DIGITS.contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let byte = |at| digits.get(at..at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
    if valid { (0..digits.len()).step_by(2).map(byte).collect() } else { None }
}

/// As the engine's reader asks for them.
#[async_trait]
impl EncryptionFactory for Keys {
    async fn get_file_encryption_properties(
        &self,
        _: &EncryptionFactoryOptions,
        _: &SchemaRef,
        _: &StorePath,
    ) -> Result<Option<Arc<FileEncryptionProperties>>> {
        Err(DataFusionError::NotImplemented("a port is not written".to_owned()))
    }

    async fn get_file_decryption_properties(
        &self,
        _: &EncryptionFactoryOptions,
        _: &StorePath,
    ) -> Result<Option<Arc<FileDecryptionProperties>>> {
        Ok(Some(self.properties()))
    }
}

/// The error of an encrypted file that cannot be looked at.
pub(super) fn refused(at: &Place, keys: Option<&Keys>, error: &DataFusionError) -> Error {
    match (keys, Closed::of(error)) {
        (None, _) => unreadable(at),
        (Some(_), closed) => closed.unwrap_or(Closed::Wrong).into_error(at),
    }
}

fn unreadable(at: &Place) -> Error {
    Error::NotSupported { at: at.clone(), what: "an encrypted Parquet file without keys".to_owned() }
}

/// The columns that the keys do not open, and why. Others of the file may be read.
#[derive(Debug, Default)]
pub(super) struct ClosedColumns(BTreeMap<String, Closed>);

impl ClosedColumns {
    /// Those of a file.
    fn of(metadata: &ParquetMetaData, keys: &Keys) -> Self {
        let mut closed = BTreeMap::new();
        for column in metadata.row_groups().iter().flat_map(|group| group.columns()) {
            let Some(ColumnCryptoMetaData::ENCRYPTION_WITH_COLUMN_KEY(told)) = column.crypto_metadata() else { continue };
            let Err(error) = keys.0.column_key(&told.path_in_schema.join("."), told.key_metadata.as_deref()) else { continue };
            let why = Closed::of(&DataFusionError::ParquetError(Box::new(error))).unwrap_or(Closed::Unnamed);
            closed.extend(told.path_in_schema.first().map(|root| (root.clone(), why)));
        }
        Self(closed)
    }

    /// Refuses a column that is one of them.
    pub(super) fn check(&self, at: &Place, column: &str) -> Result<(), Error> {
        self.0.get(column).map_or(Ok(()), |closed| Err(closed.into_error(at)))
    }
}

/// Refuses a file with encrypted columns, whether they are asked for or not, if there are no keys; if there are, one that is not encrypted.
pub(super) async fn check(
    at: &Place,
    store: &dyn ObjectStore,
    file: &ObjectMeta,
    metadata: &ParquetMetaData,
    keys: Option<&Keys>,
) -> Result<ClosedColumns> {
    let encrypted = has_columns(metadata);
    let Some(keys) = keys else {
        return if encrypted { Err(unreadable(at).into()) } else { Ok(ClosedColumns::default()) };
    };
    if !encrypted && !has_mark(store, file).await {
        let cause = "it is not encrypted, and its contract has keys";
        return Err(Error::Damaged { at: at.clone(), source: cause.into() }.into());
    }
    Ok(ClosedColumns::of(metadata, keys))
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
