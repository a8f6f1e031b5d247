//! The two pieces of postcard that the hot paths need: unsigned varints and length-prefixed bytes.
//!
//! Source: the postcard wire format specification (<https://postcard.jamesmunns.com/wire-format>). Signed
//! numbers are zigzag encoded, exactly like Kafka's, so they are read by `kafka::varint`.

/// Appends an unsigned number; u32, u64 and usize share the encoding.
#[inline]
pub fn write_unsigned(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Bytes that `value` takes.
#[inline]
pub fn unsigned_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Reads postcard values from the front of a buffer; None means that the input ends early or is not valid.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    input: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    /// Reads `input` from byte `position` on.
    pub fn new(input: &'a [u8], position: usize) -> Self {
        Self { input, position }
    }

    /// Index of the next byte.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Bytes that are left.
    pub fn remaining(&self) -> usize {
        self.input.len().saturating_sub(self.position)
    }

    /// One byte.
    #[inline]
    pub fn byte(&mut self) -> Option<u8> {
        let byte = *self.input.get(self.position)?;
        self.position += 1;
        Some(byte)
    }

    /// A u64 or usize.
    #[inline]
    pub fn u64(&mut self) -> Option<u64> {
        self.unsigned(10, 1)
    }

    /// A u32.
    #[inline]
    pub fn u32(&mut self) -> Option<u32> {
        self.unsigned(5, 15).map(|value| value as u32)
    }

    /// At most `most` bytes, of which the last may not exceed `last` (the bits that are left in the type).
    #[inline]
    fn unsigned(&mut self, most: usize, last: u8) -> Option<u64> {
        let mut value = 0u64;
        for index in 0..most {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                return (index + 1 < most || byte <= last).then_some(value);
            }
        }
        None
    }

    /// An i64.
    #[inline]
    pub fn i64(&mut self) -> Option<i64> {
        let (value, used) = crate::kafka::varint::read_i64(self.input.get(self.position..)?)?;
        self.position += used;
        Some(value)
    }

    /// Length-prefixed bytes: (start, length), checked against the input.
    #[inline]
    pub fn bytes(&mut self) -> Option<(usize, usize)> {
        let len = usize::try_from(self.u64()?).ok()?;
        if len > self.remaining() {
            return None;
        }
        let start = self.position;
        self.position += len;
        Some((start, len))
    }
}
