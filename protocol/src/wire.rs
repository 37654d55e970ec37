//! Reading and writing big-endian fields.

use bytes::{Buf, Bytes};
use serde::de::DeserializeOwned;

/// Why bytes are not a frame.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The frame ends before its fields do, or goes on after them.
    #[error("a frame of type {kind:#04x} can't be {len} bytes long")]
    Length {
        /// The frame's type byte.
        kind: u8,
        /// The length of the whole frame in bytes.
        len: usize,
    },
    /// The first byte names no frame that this side may receive.
    #[error("{0:#04x} is no frame type")]
    UnknownType(u8),
    /// No type byte.
    #[error("the frame is empty")]
    Empty,
    /// The frame is longer than the protocol allows.
    #[error("the frame has {len} bytes, the limit is {max}")]
    TooLarge {
        /// The announced or found length in bytes.
        len: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// A size outside of the limits.
    #[error(transparent)]
    Size(#[from] crate::InvalidSize),
    /// A JSON field that is not what it should be.
    #[error("bad JSON in a frame of type {kind:#04x}: {source}")]
    Json {
        /// The frame's type byte.
        kind: u8,
        /// What the JSON parser said.
        source: serde_json::Error,
    },
}

/// The fields of one frame, read in order.
pub(crate) struct Fields {
    kind: u8,
    len: usize,
    rest: Bytes,
}

impl Fields {
    /// Takes the type byte off `frame`.
    pub(crate) fn of(mut frame: Bytes) -> Result<Self, DecodeError> {
        let len = frame.len();
        if len == 0 {
            return Err(DecodeError::Empty);
        }
        let kind = frame.get_u8();
        Ok(Self { kind, len, rest: frame })
    }

    pub(crate) const fn kind(&self) -> u8 {
        self.kind
    }

    fn need(&self, n: usize) -> Result<(), DecodeError> {
        if self.rest.len() < n { Err(self.bad_length()) } else { Ok(()) }
    }

    const fn bad_length(&self) -> DecodeError {
        DecodeError::Length { kind: self.kind, len: self.len }
    }

    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.need(2)?;
        Ok(self.rest.get_u16())
    }

    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        self.need(8)?;
        Ok(self.rest.get_u64())
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        self.need(N)?;
        let mut out = [0; N];
        self.rest.copy_to_slice(&mut out);
        Ok(out)
    }

    pub(crate) fn size(&mut self) -> Result<crate::Size, DecodeError> {
        let (cols, rows) = (self.u16()?, self.u16()?);
        Ok(crate::Size::new(cols, rows)?)
    }

    pub(crate) fn json<T: DeserializeOwned>(&mut self) -> Result<T, DecodeError> {
        let rest = std::mem::take(&mut self.rest);
        serde_json::from_slice(&rest).map_err(|source| DecodeError::Json { kind: self.kind, source })
    }

    /// All that is left.
    pub(crate) fn bytes(self) -> Bytes {
        self.rest
    }

    /// Checks that nothing is left.
    pub(crate) fn end<T>(self, value: T) -> Result<T, DecodeError> {
        if self.rest.is_empty() { Ok(value) } else { Err(self.bad_length()) }
    }
}

/// Appends `value` as JSON. The protocol's own types always serialise: a failure
/// (it would be a bug in a `Serialize` impl) leaves an empty field, which decodes as bad JSON.
pub(crate) fn put_json<T: serde::Serialize>(out: &mut Vec<u8>, value: &T) {
    if let Ok(json) = serde_json::to_vec(value) {
        out.extend_from_slice(&json);
    }
}
