//! `sha-256-global` and `hmac-sha-256`: equal values stay equal, within and across products.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BinaryArray, StringViewArray, StringViewBuilder};
use datafusion::arrow::datatypes::{DataType as ArrowType, Int32Type, Int64Type};
use datafusion::error::Result;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::product::DataType;

use super::wrong_type;

const HEX: &[u8; 16] = b"0123456789abcdef";
const DIGEST_BYTES: usize = 32;

type Hashed = [u8; DIGEST_BYTES];

/// A hash of values; what it looks like depends on the column's type.
#[derive(Clone)]
pub(super) struct Hash {
    /// The keyed state: the key itself is hashed once.
    key: Option<Hmac<Sha256>>,
    uuid: bool,
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hash")
    }
}

impl Hash {
    /// `sha-256-global`
    pub(super) fn plain() -> Self {
        Self { key: None, uuid: false }
    }

    /// `hmac-sha-256`
    pub(super) fn keyed(secret: &[u8], data_type: &DataType) -> Option<Self> {
        let key = Hmac::<Sha256>::new_from_slice(secret).ok()?;
        Some(Self { key: Some(key), uuid: *data_type == DataType::Uuid })
    }

    fn digest(&self, bytes: &[u8]) -> Hashed {
        match &self.key {
            None => Sha256::digest(bytes).into(),
            Some(key) => {
                let mut keyed = key.clone();
                keyed.update(bytes);
                keyed.finalize().into_bytes().into()
            }
        }
    }

    /// Texts become 64 hex digits; UUIDs become UUIDs of version 8.
    pub(super) fn apply_to_texts(&self, texts: &StringViewArray) -> ArrayRef {
        let mut hashed = StringViewBuilder::with_capacity(texts.len());
        for text in texts {
            match text {
                None => hashed.append_null(),
                Some(text) if self.uuid => {
                    // Two spellings of one id are one id.
                    let mut id = [0; 16];
                    let digest = self.digest(text.to_ascii_lowercase().as_bytes());
                    id.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
                    hashed.append_value(uuid::Builder::from_custom_bytes(id).into_uuid().hyphenated().to_string());
                }
                Some(text) => append_hex(&mut hashed, &self.digest(text.as_bytes())),
            }
        }
        Arc::new(hashed.finish())
    }

    /// Numbers become the beginning of the hash as a number, bytes the hash.
    pub(super) fn apply(&self, column: &ArrayRef) -> Result<ArrayRef> {
        match column.data_type() {
            ArrowType::Int32 => {
                let numbers = column.as_primitive_opt::<Int32Type>().ok_or_else(wrong_type)?;
                Ok(Arc::new(numbers.unary::<_, Int32Type>(|number| i32::from_le_bytes(first(&self.digest(&number.to_le_bytes()))))))
            }
            ArrowType::Int64 => {
                let numbers = column.as_primitive_opt::<Int64Type>().ok_or_else(wrong_type)?;
                Ok(Arc::new(numbers.unary::<_, Int64Type>(|number| i64::from_le_bytes(first(&self.digest(&number.to_le_bytes()))))))
            }
            ArrowType::Binary => {
                let bytes = column.as_binary_opt::<i32>().ok_or_else(wrong_type)?;
                Ok(Arc::new(bytes.iter().map(|bytes| bytes.map(|bytes| self.digest(bytes))).collect::<BinaryArray>()))
            }
            _ => Err(wrong_type()),
        }
    }
}

/// The first bytes of a hash.
fn first<const N: usize>(digest: &Hashed) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.iter_mut().zip(digest).for_each(|(to, from)| *to = *from);
    bytes
}

fn append_hex(texts: &mut StringViewBuilder, digest: &Hashed) {
    let digit = |nibble: u8| HEX.get(usize::from(nibble & 15)).copied().unwrap_or(b'0');
    let mut hex = [0; DIGEST_BYTES * 2];
    for (pair, byte) in hex.chunks_exact_mut(2).zip(digest) {
        pair.copy_from_slice(&[digit(byte >> 4), digit(*byte)]);
    }
    // Hex digits are UTF-8.
    texts.append_value(std::str::from_utf8(&hex).unwrap_or_default());
}
