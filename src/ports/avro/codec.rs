//! Blocks as they were before they were packed.

use std::io::Read;

use bytes::Bytes;

use super::container::{BLOCK_BYTES_MAX, damaged, too_large};
use crate::ports::error::{Error, Place};
use crate::ports::files::unpack_whole;
use crate::product::Compression;

/// How the blocks of a file are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    None,
    Deflate,
    Snappy,
    Stream(Compression),
}

impl Codec {
    /// The codec of a name in a header.
    pub(super) fn parse(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"null" | b"" => Self::None,
            b"deflate" => Self::Deflate,
            b"snappy" => Self::Snappy,
            b"zstandard" => Self::Stream(Compression::Zstd),
            b"bzip2" => Self::Stream(Compression::Bzip2),
            b"xz" => Self::Stream(Compression::Xz),
            _ => return None,
        })
    }

    /// The bytes of a block.
    pub(super) async fn unpack(self, at: &Place, packed: Bytes) -> Result<Bytes, Error> {
        let unpacked = match self {
            Self::None => return Ok(packed),
            Self::Deflate => deflated(at, &packed)?,
            Self::Snappy => snappy(at, &packed)?,
            Self::Stream(kind) => unpack_whole(kind, &packed, BLOCK_BYTES_MAX).await.map_err(|error| damaged(at, error))?,
        };
        match u64::try_from(unpacked.len()) {
            Ok(length) if length <= BLOCK_BYTES_MAX => Ok(unpacked.into()),
            _ => Err(too_large(at)),
        }
    }
}

fn deflated(at: &Place, packed: &[u8]) -> Result<Vec<u8>, Error> {
    let mut unpacked = Vec::new();
    let mut decoder = flate2::read::DeflateDecoder::new(packed);
    decoder.by_ref().take(BLOCK_BYTES_MAX + 1).read_to_end(&mut unpacked).map_err(|error| damaged(at, error))?;
    Ok(unpacked)
}

/// Snappy's own form, with a checksum of what was packed behind it.
fn snappy(at: &Place, packed: &[u8]) -> Result<Vec<u8>, Error> {
    let (packed, sum) = packed.split_last_chunk::<4>().ok_or_else(|| damaged(at, "a block has no checksum"))?;
    let length = snap::raw::decompress_len(packed).map_err(|error| damaged(at, error))?;
    // Snappy says how long it is before it is unpacked; it never packs better than to a twentieth.
    if length > packed.len().saturating_mul(32) {
        return Err(damaged(at, "a block is said to be longer than it can be"));
    }
    let unpacked = snap::raw::Decoder::new().decompress_vec(packed).map_err(|error| damaged(at, error))?;
    let mut crc = flate2::Crc::new();
    crc.update(&unpacked);
    if crc.sum() == u32::from_be_bytes(*sum) { Ok(unpacked) } else { Err(damaged(at, "a block does not have its checksum")) }
}
