//! The container of a file: its header, and blocks of records, each of which ends with the file's own mark.

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::ObjectMeta;

use super::codec::Codec;
use super::schema::Schema;
use crate::ports::error::{Cause, Error, Place};
use crate::ports::files::Rooted;

const MAGIC: &[u8] = b"Obj\x01";
const MARK_BYTES: u64 = 16;
/// A longer name or value of the header is taken for damage.
const HEADER_BYTES_MAX: u64 = 16 << 20;
/// The most bytes of a block, packed or not. Writers make blocks of some kilobytes.
pub(super) const BLOCK_BYTES_MAX: u64 = 256 << 20;

/// A file whose header was read.
pub(super) struct Container {
    pub(super) schema: Schema,
    input: Input,
    codec: Codec,
    mark: Bytes,
}

/// Some records.
pub(super) struct Block {
    pub(super) records: u64,
    pub(super) bytes: Bytes,
}

impl Container {
    /// Reads the header of a file.
    pub(super) async fn open(at: &Place, rooted: &Rooted, file: &ObjectMeta) -> Result<Self, Error> {
        let mut input = Input { at: at.clone(), bytes: rooted.read(at, file), chunk: Bytes::new(), left: file.size };
        if input.take(4).await? != MAGIC {
            return Err(damaged(at, "it does not begin as an Avro file does"));
        }
        let (mut schema, mut codec) = (None, Some(Codec::None));
        while let count @ 1.. = input.count().await? {
            for _ in 0..count {
                let (name, value) = (input.text().await?, input.text().await?);
                match name.as_ref() {
                    b"avro.schema" => schema = Schema::parse(&value),
                    b"avro.codec" => codec = Codec::parse(&value),
                    _ => {}
                }
            }
        }
        let mark = input.take(MARK_BYTES).await?;
        let schema = schema.ok_or_else(|| damaged(at, "it has no schema"))?;
        let codec = codec.ok_or_else(|| Error::NotSupported { at: at.clone(), what: "this codec of Avro".to_owned() })?;
        Ok(Self { schema, input, codec, mark })
    }

    /// The next block, unpacked; `None` at the end of the file.
    pub(super) async fn block(&mut self) -> Result<Option<Block>, Error> {
        if self.input.left == 0 {
            return Ok(None);
        }
        let at = self.input.at.clone();
        let negative = |_| damaged(&at, "a block has a negative length");
        let records = u64::try_from(self.input.long().await?).map_err(negative)?;
        let length = u64::try_from(self.input.long().await?).map_err(negative)?;
        if length <= self.input.left && length > BLOCK_BYTES_MAX {
            return Err(too_large(&at));
        }
        let packed = self.input.take(length).await?;
        if self.input.take(MARK_BYTES).await? != self.mark {
            return Err(damaged(&at, "a block does not end with the mark of the file"));
        }
        let bytes = self.codec.unpack(&at, packed).await?;
        // A record takes a byte or more, but one that has nothing to tell.
        if usize::try_from(records).map_or(true, |records| records > bytes.len()) {
            return Err(damaged(&at, "a block tells of more records than it has bytes"));
        }
        Ok(Some(Block { records, bytes }))
    }
}

pub(super) fn damaged(at: &Place, source: impl Into<Cause>) -> Error {
    Error::Damaged { at: at.clone(), source: source.into() }
}

pub(super) fn too_large(at: &Place) -> Error {
    Error::NotSupported { at: at.clone(), what: format!("a block of more than {} MiB in an Avro file", BLOCK_BYTES_MAX >> 20) }
}

/// The bytes of a file, from start to end.
struct Input {
    at: Place,
    bytes: BoxStream<'static, Result<Bytes, Error>>,
    chunk: Bytes,
    /// Bytes of the file that were not taken yet.
    left: u64,
}

impl Input {
    /// Exactly so many bytes.
    async fn take(&mut self, length: u64) -> Result<Bytes, Error> {
        let ended = || damaged(&self.at, "it ends early");
        self.left = self.left.checked_sub(length).ok_or_else(ended)?;
        let length = usize::try_from(length).map_err(|_| ended())?;
        if length <= self.chunk.len() {
            return Ok(self.chunk.split_to(length));
        }
        let mut taken = BytesMut::with_capacity(length);
        loop {
            let part = self.chunk.split_to(self.chunk.len().min(length - taken.len()));
            taken.extend_from_slice(&part);
            if taken.len() == length {
                return Ok(taken.freeze());
            }
            self.chunk = match self.bytes.next().await {
                Some(chunk) => chunk?,
                None => return Err(damaged(&self.at, "it ends early")),
            };
        }
    }

    async fn long(&mut self) -> Result<i64, Error> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1).await?.first().copied().unwrap_or_default();
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(unzigzag(value));
            }
        }
        Err(damaged(&self.at, "a number is too long"))
    }

    /// How many entries the next part of a map has; none at its end.
    async fn count(&mut self) -> Result<u64, Error> {
        let count = self.long().await?;
        if count < 0 {
            self.long().await?;
        }
        Ok(count.unsigned_abs())
    }

    async fn text(&mut self) -> Result<Bytes, Error> {
        let length = u64::try_from(self.long().await?).ok().filter(|length| *length <= HEADER_BYTES_MAX);
        let length = length.ok_or_else(|| damaged(&self.at, "its header has a text of no length"))?;
        self.take(length).await
    }
}

/// The number that is written with its sign last.
pub(super) fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}
