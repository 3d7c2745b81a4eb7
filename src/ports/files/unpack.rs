//! Bytes of a file as they were before it was compressed.

use async_compression::tokio::bufread::{BzDecoder, GzipDecoder, XzDecoder, ZstdDecoder};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectMeta;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncReadExt};
use tokio_util::io::{ReaderStream, StreamReader};

use super::super::error::{Error, Place};
use super::Rooted;
use crate::product::Compression;

/// Bytes that are unpacked at once.
const CHUNK_BYTES: usize = 64 << 10;

/// The bytes of a file from start to end, unpacked as the contract says, or else as its name ends.
pub(in super::super) fn unpacked(
    at: &Place,
    rooted: &Rooted,
    file: &ObjectMeta,
    compression: Compression,
) -> BoxStream<'static, Result<Bytes, Error>> {
    let raw = rooted.read(at, file);
    let name = file.location.filename().unwrap_or_default().to_ascii_lowercase();
    let kind = if compression == Compression::None { of_name(&name) } else { compression };
    if kind == Compression::None {
        return raw;
    }
    let packed = StreamReader::new(raw.map_err(std::io::Error::other));
    let reader = decoder(kind, packed);
    let at = at.clone();
    ReaderStream::with_capacity(reader, CHUNK_BYTES).map_err(move |error| fault(&at, error)).boxed()
}

/// Bytes as they were before they were packed as a whole; not many more than `bytes_max`, however many there are.
pub(in super::super) async fn unpack_whole(kind: Compression, packed: &[u8], bytes_max: u64) -> std::io::Result<Vec<u8>> {
    let mut unpacked = Vec::new();
    decoder(kind, packed).take(bytes_max.saturating_add(1)).read_to_end(&mut unpacked).await?;
    Ok(unpacked)
}

/// A file of several members, as parallel compressors and concatenation make them, is read to its end.
fn decoder<'a>(kind: Compression, packed: impl AsyncBufRead + Send + Unpin + 'a) -> Box<dyn AsyncRead + Send + Unpin + 'a> {
    match kind {
        Compression::None => Box::new(packed),
        Compression::Gzip => {
            let mut decoder = GzipDecoder::new(packed);
            decoder.multiple_members(true);
            Box::new(decoder)
        }
        Compression::Zstd => {
            let mut decoder = ZstdDecoder::new(packed);
            decoder.multiple_members(true);
            Box::new(decoder)
        }
        Compression::Bzip2 => {
            let mut decoder = BzDecoder::new(packed);
            decoder.multiple_members(true);
            Box::new(decoder)
        }
        Compression::Xz => {
            let mut decoder = XzDecoder::new(packed);
            decoder.multiple_members(true);
            Box::new(decoder)
        }
    }
}

fn of_name(name: &str) -> Compression {
    let endings = [(".gz", Compression::Gzip), (".zst", Compression::Zstd), (".bz2", Compression::Bzip2), (".xz", Compression::Xz)];
    endings.into_iter().find(|(ending, _)| name.ends_with(ending)).map_or(Compression::None, |(_, kind)| kind)
}

/// What the store reported goes through the decoder as it was.
fn fault(at: &Place, error: std::io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(of_store) => of_store,
        Err(source) => Error::Damaged { at: at.clone(), source: Box::new(source) },
    }
}
