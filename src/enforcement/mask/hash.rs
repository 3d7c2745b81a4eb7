//! `sha-256-global` and `hmac-sha-256`: equal values stay equal, within and across products.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BinaryArray, LargeStringArray, StringViewArray};
use datafusion::arrow::datatypes::{DataType as ArrowType, Int32Type, Int64Type};
use datafusion::error::Result;
use sha2::block_api::compress256;

use crate::product::DataType;

use super::written::Written;
use super::wrong_type;

const DIGEST_BYTES: usize = 32;
const BLOCK_BYTES: usize = 64;
/// What is left of the last block for its length.
const LENGTH_BYTES: usize = 8;
/// Where SHA-256 begins (FIPS 180-4, 5.3.3).
const BEGINNING: [u32; 8] = [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

type Hashed = [u8; DIGEST_BYTES];

/// SHA-256 on its way: what it has come to, and the bytes that it has taken in, which are whole blocks.
#[derive(Clone, Copy)]
struct Begun {
    state: [u32; 8],
    bytes: usize,
}

/// A hash of values; what it looks like depends on the column's type.
#[derive(Clone)]
pub(super) struct Hash {
    inner: Begun,
    /// Of a keyed hash. The key itself is hashed once.
    outer: Option<Begun>,
    uuid: bool,
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hash")
    }
}

impl Begun {
    const ANEW: Self = Self { state: BEGINNING, bytes: 0 };

    /// With one block taken in.
    fn with(block: [u8; BLOCK_BYTES]) -> Self {
        let mut state = BEGINNING;
        compress256(&mut state, &[block]);
        Self { state, bytes: BLOCK_BYTES }
    }

    /// The hash of what has been taken in and of these bytes: a value is a block or two, so nothing is kept between calls.
    fn finish(mut self, bytes: &[u8]) -> Hashed {
        let (blocks, rest) = bytes.as_chunks::<BLOCK_BYTES>();
        if !blocks.is_empty() {
            compress256(&mut self.state, blocks);
        }
        // What is left, a bit, zeros, and the length in bits.
        let mut last = [[0; BLOCK_BYTES]; 2];
        let (to, after) = last.as_flattened_mut().split_at_mut(rest.len());
        to.copy_from_slice(rest);
        if let Some(bit) = after.first_mut() {
            *bit = 0x80;
        }
        let length = u64::try_from(self.bytes.saturating_add(bytes.len())).unwrap_or(0).wrapping_mul(8).to_be_bytes();
        let needed = if rest.len() < BLOCK_BYTES - LENGTH_BYTES { 1 } else { 2 };
        let last = last.get_mut(..needed).unwrap_or_default();
        if let Some(to) = last.last_mut().and_then(|block| block.last_chunk_mut()) {
            *to = length;
        }
        compress256(&mut self.state, last);
        let mut hashed = [0; DIGEST_BYTES];
        hashed.as_chunks_mut().0.iter_mut().zip(self.state).for_each(|(to, word)| *to = word.to_be_bytes());
        hashed
    }
}

impl Hash {
    /// `sha-256-global`
    pub(super) fn plain() -> Self {
        Self { inner: Begun::ANEW, outer: None, uuid: false }
    }

    /// `hmac-sha-256` (RFC 2104)
    pub(super) fn keyed(secret: &[u8], data_type: &DataType) -> Self {
        let hashed = Begun::ANEW.finish(secret);
        let secret = if secret.len() > BLOCK_BYTES { &hashed } else { secret };
        let padded = |pad: u8| {
            let mut block = [pad; BLOCK_BYTES];
            block.iter_mut().zip(secret).for_each(|(to, from)| *to ^= from);
            Begun::with(block)
        };
        Self { inner: padded(0x36), outer: Some(padded(0x5c)), uuid: *data_type == DataType::Uuid }
    }

    fn digest(&self, bytes: &[u8]) -> Hashed {
        let inner = self.inner.finish(bytes);
        match &self.outer {
            None => inner,
            Some(outer) => outer.finish(&inner),
        }
    }

    /// Texts become 64 hex digits; UUIDs become UUIDs of version 8.
    pub(super) fn apply_to_texts(&self, texts: &StringViewArray) -> Result<LargeStringArray> {
        if self.uuid {
            return Written::each(texts, |text, hashed| {
                // Two spellings of one id are one id.
                let id = uuid::Builder::from_custom_bytes(first(&self.digest(text.to_ascii_lowercase().as_bytes()))).into_uuid();
                hashed.extend_from_slice(id.hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()).as_bytes());
            });
        }
        let mut hashed = Written::with_capacity(texts.len(), texts.len().saturating_mul(DIGEST_BYTES * 2));
        for text in texts {
            if let Some(text) = text {
                hashed.bytes_mut().extend_from_slice(hex(&self.digest(text.as_bytes())).as_flattened());
            }
            hashed.end();
        }
        hashed.finish(texts)
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

fn hex(digest: &Hashed) -> [[u8; 2]; DIGEST_BYTES] {
    let digit = |nibble: u8| nibble + if nibble < 10 { b'0' } else { b'a' - 10 };
    digest.map(|byte| [digit(byte >> 4), digit(byte & 15)])
}

#[cfg(test)]
mod tests {
    use hmac::{Hmac, KeyInit, Mac};
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn a_value_of_any_length_is_hashed_as_the_standard_has_it() {
        let bytes: Vec<u8> = (0..300_u16).map(|number| number.to_le_bytes()[0]).collect();
        for length in 0..bytes.len() {
            let value = &bytes[..length];
            assert_eq!(Hash::plain().digest(value), <Hashed>::from(Sha256::digest(value)), "{length}");
            for secret in [value, b"short"] {
                let mut keyed = Hmac::<Sha256>::new_from_slice(secret).unwrap();
                keyed.update(value);
                assert_eq!(Hash::keyed(secret, &DataType::String).digest(value), <Hashed>::from(keyed.finalize().into_bytes()), "{length}");
            }
        }
    }

    proptest! {
        #[test]
        fn hex_is_written_as_others_write_it(digest in any::<Hashed>()) {
            let expected: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            prop_assert_eq!(hex(&digest).as_flattened().to_vec(), expected.into_bytes());
        }
    }
}
