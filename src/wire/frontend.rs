//! What a client sends, read by hand with bounds checked at each step.
//!
//! INVARIANT: no body, however broken, ends a task or allocates more than it is long: counts are checked against the bytes that are
//! left. Text that is not of the client's character set is refused (22021), never altered.

use std::borrow::Cow;

use bytes::{Buf, Bytes};

use crate::engine::{ClientEncoding, Format, Parameter};
use crate::error::{ClientMessage, SqlState};

use super::frame::Frame;

/// A message of a session.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request {
    Query(String),
    Parse {
        name: String,
        text: String,
        parameter_oids: Vec<u32>,
    },
    Bind(Bind),
    Describe(Named),
    Close(Named),
    Execute {
        portal: String,
        rows_max: i32,
    },
    Flush,
    Sync,
    Terminate,
    FunctionCall,
    /// CopyDone or CopyFail; what they would end does not run.
    StrayCopy,
}

/// What counts of a name.
const NAME_BYTES_MAX: usize = 63;

/// What Describe and Close name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Named {
    Statement(String),
    Portal(String),
}

/// The Bind message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bind {
    pub(super) portal: String,
    pub(super) statement: String,
    pub(super) parameters: Vec<Parameter>,
    pub(super) result_formats: Vec<Format>,
}

/// Reads a frame. The error leaves the stream of frames intact.
pub(super) fn read(frame: Frame, encoding: ClientEncoding) -> Result<Request, ClientMessage> {
    let kind = frame.kind;
    match kind {
        b'X' => return Ok(Request::Terminate),
        b'F' => return Ok(Request::FunctionCall),
        b'c' | b'f' => return Ok(Request::StrayCopy),
        _ => {}
    }
    let mut body = Cursor { bytes: frame.body.ok_or_else(too_long)?, encoding };
    let request = match kind {
        b'Q' => Request::Query(body.text()?),
        b'P' => Request::Parse { name: body.name()?, text: body.text()?, parameter_oids: body.oids()? },
        b'B' => Request::Bind(bind(&mut body)?),
        b'D' => Request::Describe(named(&mut body, "DESCRIBE")?),
        b'C' => Request::Close(named(&mut body, "CLOSE")?),
        b'E' => Request::Execute { portal: body.name()?, rows_max: body.int4()? },
        b'H' => Request::Flush,
        b'S' => Request::Sync,
        other => return Err(violation(format!("invalid frontend message type {other}"))),
    };
    body.end()?;
    Ok(request)
}

fn named(body: &mut Cursor, message: &str) -> Result<Named, ClientMessage> {
    match body.byte()? {
        b'S' => Ok(Named::Statement(body.name()?)),
        b'P' => Ok(Named::Portal(body.name()?)),
        other => Err(violation(format!("invalid {message} message subtype {other}"))),
    }
}

fn bind(body: &mut Cursor) -> Result<Bind, ClientMessage> {
    let portal = body.name()?;
    let statement = body.name()?;
    let formats = body.formats()?;
    let count = usize::from(body.count(4)?);
    if formats.len() > 1 && formats.len() != count {
        return Err(violation(format!("bind message has {} parameter formats but {count} parameters", formats.len())));
    }
    let mut parameters = Vec::with_capacity(count);
    for index in 0..count {
        let format = format_of(&formats, index);
        parameters.push(Parameter { format, value: body.value()? });
    }
    Ok(Bind { portal, statement, parameters, result_formats: body.formats()? })
}

/// The format of a parameter or column: none given is text, one given holds for all.
pub(super) fn format_of(formats: &[Format], index: usize) -> Format {
    match formats {
        [] => Format::Text,
        [all] => *all,
        each => each.get(index).copied().unwrap_or_default(),
    }
}

/// A fault of the protocol.
pub(super) fn violation(message: impl Into<String>) -> ClientMessage {
    ClientMessage::new(SqlState::PROTOCOL_VIOLATION, message)
}

/// Reads a body from its front.
pub(super) struct Cursor {
    bytes: Bytes,
    encoding: ClientEncoding,
}

impl Cursor {
    pub(super) fn new(bytes: Bytes) -> Self {
        Self { bytes, encoding: ClientEncoding::default() }
    }

    pub(super) fn byte(&mut self) -> Result<u8, ClientMessage> {
        self.bytes.try_get_u8().map_err(|_| violation("no data left in message"))
    }

    pub(super) fn int4(&mut self) -> Result<i32, ClientMessage> {
        self.bytes.try_get_i32().map_err(|_| short())
    }

    /// A text up to its NUL.
    pub(super) fn text(&mut self) -> Result<String, ClientMessage> {
        let end = self.bytes.iter().position(|byte| *byte == 0).ok_or_else(|| violation("invalid string in message"))?;
        let text = self.bytes.split_to(end);
        self.bytes.advance(1);
        self.encoding.decode(&text).map(Cow::into_owned)
    }

    /// The name of a statement or portal, of which so much counts as of any name.
    fn name(&mut self) -> Result<String, ClientMessage> {
        let mut name = self.text()?;
        name.truncate(name.floor_char_boundary(NAME_BYTES_MAX));
        Ok(name)
    }

    /// So many bytes.
    pub(super) fn take(&mut self, length: usize) -> Result<Bytes, ClientMessage> {
        if self.bytes.len() < length {
            return Err(short());
        }
        Ok(self.bytes.split_to(length))
    }

    /// A length and so many bytes; −1 is NULL.
    pub(super) fn value(&mut self) -> Result<Option<Bytes>, ClientMessage> {
        match self.int4()? {
            -1 => Ok(None),
            length => self.take(usize::try_from(length).map_err(|_| short())?).map(Some),
        }
    }

    /// A count of things that take at least so many bytes each.
    fn count(&mut self, bytes_min: usize) -> Result<u16, ClientMessage> {
        let count = self.bytes.try_get_u16().map_err(|_| short())?;
        if usize::from(count) * bytes_min > self.bytes.len() {
            return Err(short());
        }
        Ok(count)
    }

    fn oids(&mut self) -> Result<Vec<u32>, ClientMessage> {
        (0..self.count(4)?).map(|_| self.bytes.try_get_u32().map_err(|_| short())).collect()
    }

    fn formats(&mut self) -> Result<Vec<Format>, ClientMessage> {
        let format = |code: i16| match code {
            0 => Ok(Format::Text),
            1 => Ok(Format::Binary),
            other => Err(ClientMessage::new(SqlState::INVALID_PARAMETER_VALUE, format!("unsupported format code: {other}"))),
        };
        (0..self.count(2)?).map(|_| self.bytes.try_get_i16().map_err(|_| short()).and_then(format)).collect()
    }

    /// Nothing may be left.
    pub(super) fn end(&self) -> Result<(), ClientMessage> {
        if self.bytes.is_empty() { Ok(()) } else { Err(violation("invalid message format")) }
    }
}

fn too_long() -> ClientMessage {
    ClientMessage::new(SqlState::OUT_OF_MEMORY, "out of memory").with_detail("There is not enough for a message of this length.")
}

fn short() -> ClientMessage {
    violation("insufficient data left in message")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(kind: u8, body: &[u8]) -> Result<Request, ClientMessage> {
        read(Frame { kind, body: Some(Bytes::copy_from_slice(body)), held: None }, ClientEncoding::default())
    }

    #[test]
    fn a_bind_is_read() {
        let body = b"p\0s\0\0\x01\0\x01\0\x02\0\0\0\x01x\xff\xff\xff\xff\0\x02\0\0\0\x01";
        let Ok(Request::Bind(bind)) = frame(b'B', body) else { panic!("not read") };
        assert_eq!((bind.portal.as_str(), bind.statement.as_str()), ("p", "s"));
        assert_eq!(bind.parameters[0], Parameter { format: Format::Binary, value: Some(Bytes::from_static(b"x")) });
        assert_eq!(bind.parameters[1].value, None);
        assert_eq!(bind.result_formats, [Format::Text, Format::Binary]);
    }

    #[test]
    fn each_malformed_body_is_a_protocol_violation() {
        let table: [(u8, &[u8]); 12] = [
            (b'Q', b"no end"),
            (b'Q', b"a\0b\0"),
            (b'P', b"\0"),
            (b'P', b"\0\0\xff\xff"),
            (b'B', b"\0\0\0\x01"),
            (b'B', b"\0\0\0\0\xff\xff"),
            (b'B', b"\0\0\0\0\0\x01\x7f\xff\xff\xff\0\0"),
            (b'B', b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0"),
            (b'B', b"\0\0\0\x02\0\0\0\0\0\x01\xff\xff\xff\xff\0\0"),
            (b'E', b"\0\0\0"),
            (b'D', b"X\0"),
            (b'S', b"x"),
        ];
        for (kind, body) in table {
            assert_eq!(frame(kind, body).unwrap_err().sqlstate, SqlState::PROTOCOL_VIOLATION, "{body:?}");
        }
    }

    #[test]
    fn text_that_is_no_utf8_is_refused_with_its_bytes() {
        let error = frame(b'Q', b"select '\xff'\0").unwrap_err();
        assert_eq!(error.sqlstate, SqlState::CHARACTER_NOT_IN_REPERTOIRE);
        assert_eq!(error.message, "invalid byte sequence for encoding \"UTF8\": 0xff");
    }

    proptest! {
        #[test]
        fn no_body_panics(kind in proptest::sample::select(b"QPBDCEHSXFdcf".to_vec()), body in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = frame(kind, &body);
        }
    }
}
