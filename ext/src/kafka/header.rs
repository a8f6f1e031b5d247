//! The fixed parts: where an entry of a fetch response ends, and the 61 bytes before the records of a batch.
//!
//! Source: protocol guide, "Record Batch"; the producer fields are KIP-98. An entry of any format version
//! starts with offset (i64), length of the rest (i32), four bytes, and the magic byte.

use bytes::BufMut;

use super::compression::Codec;
use crate::error::{Error, Kind, Result};

/// Offset and length.
pub(super) const LOG_OVERHEAD: usize = 12;
/// Bytes before the records of a magic 2 batch.
pub(super) const BATCH_HEADER: usize = 61;

const MAGIC_AT: usize = 16;
/// Crc, magic, attributes, key length, value length: the smallest entry of any format version.
const LEAST_ENTRY: i32 = 14;
const CRC_AT: usize = 17;
const CRC_FROM: usize = 21;

const LOG_APPEND_TIME: i16 = 0x08;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;

pub(super) fn corrupt(message: impl Into<String>) -> Error {
    Error::new(Kind::CorruptRecord, message)
}

pub(super) fn i16_at(bytes: &[u8], at: usize) -> Option<i16> {
    bytes.get(at..)?.first_chunk().map(|raw| i16::from_be_bytes(*raw))
}

pub(super) fn i32_at(bytes: &[u8], at: usize) -> Option<i32> {
    bytes.get(at..)?.first_chunk().map(|raw| i32::from_be_bytes(*raw))
}

pub(super) fn i64_at(bytes: &[u8], at: usize) -> Option<i64> {
    bytes.get(at..)?.first_chunk().map(|raw| i64::from_be_bytes(*raw))
}

/// Size and format version of the entry that starts `bytes`, or None when it is not there in full.
///
/// Decides in the order of Kafka's `ByteBufferLogInputStream`: an impossible length is corruption even where
/// the entry is cut, because no larger fetch would help.
pub(super) fn next_entry(bytes: &[u8]) -> Result<Option<(usize, u8)>> {
    let Some(length) = i32_at(bytes, 8) else { return Ok(None) };
    if length < LEAST_ENTRY {
        return Err(corrupt(format!("an entry of {length} bytes is shorter than any record")));
    }
    let Some(&magic) = bytes.get(MAGIC_AT) else { return Ok(None) };
    if magic > 2 {
        return Err(Error::new(
            Kind::UnsupportedCodec,
            format!("record format version {} is not known", magic as i8),
        ));
    }
    let size = LOG_OVERHEAD + length as usize;
    Ok((size <= bytes.len()).then_some((size, magic)))
}

/// The header of a magic 2 batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BatchHeader {
    pub base_offset: i64,
    pub leader_epoch: i32,
    pub attributes: i16,
    pub last_offset_delta: i32,
    pub base_timestamp: i64,
    pub max_timestamp: i64,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub count: i32,
}

impl BatchHeader {
    /// Reads and checks the header of `batch`, which is one whole entry.
    pub fn read(batch: &[u8], check_crc: bool) -> Result<Self> {
        let header = Self::fields(batch)
            .filter(|_| batch.len() >= BATCH_HEADER)
            .ok_or_else(|| corrupt("a record batch is shorter than its header"))?;
        if check_crc {
            let stored = i32_at(batch, CRC_AT).map(|crc| crc as u32);
            let computed = crc32c::crc32c(&batch[CRC_FROM..]);
            if stored != Some(computed) {
                return Err(corrupt(format!(
                    "the batch at offset {} does not match its checksum",
                    header.base_offset
                )));
            }
        }
        header.check()?;
        Ok(header)
    }

    fn fields(batch: &[u8]) -> Option<Self> {
        Some(Self {
            base_offset: i64_at(batch, 0)?,
            leader_epoch: i32_at(batch, 12)?,
            attributes: i16_at(batch, 21)?,
            last_offset_delta: i32_at(batch, 23)?,
            base_timestamp: i64_at(batch, 27)?,
            max_timestamp: i64_at(batch, 35)?,
            producer_id: i64_at(batch, 43)?,
            producer_epoch: i16_at(batch, 51)?,
            base_sequence: i32_at(batch, 53)?,
            count: i32_at(batch, 57)?,
        })
    }

    fn check(&self) -> Result<()> {
        if self.base_offset < 0 {
            return Err(corrupt(format!("a batch has the base offset {}", self.base_offset)));
        }
        // One less than the largest offset, so that "last offset + 1" exists.
        let last = self.base_offset.checked_add(i64::from(self.last_offset_delta));
        if self.last_offset_delta < 0 || last.is_none_or(|last| last == i64::MAX) {
            return Err(corrupt(format!(
                "the batch at offset {} has the last offset delta {}",
                self.base_offset, self.last_offset_delta
            )));
        }
        if self.count < 0 {
            return Err(corrupt(format!(
                "the batch at offset {} has {} records",
                self.base_offset, self.count
            )));
        }
        Ok(())
    }

    pub fn codec(&self) -> Result<Codec> {
        Codec::from_attributes(self.attributes)
    }

    pub fn last_offset(&self) -> i64 {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// The timestamp of all records, when the broker sets it.
    pub fn append_time(&self) -> Option<i64> {
        (self.attributes & LOG_APPEND_TIME != 0).then_some(self.max_timestamp)
    }

    /// The batch of this header and `payload`, with length and checksum.
    pub fn write(&self, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![0; BATCH_HEADER + payload.len()];
        self.write_to(payload, &mut out);
        out
    }

    /// The same into `out`, which is as long as the batch.
    pub fn write_to(&self, payload: &[u8], out: &mut [u8]) {
        let mut rest = &mut *out;
        rest.put_i64(self.base_offset);
        rest.put_i32((BATCH_HEADER - LOG_OVERHEAD + payload.len()) as i32);
        rest.put_i32(self.leader_epoch);
        rest.put_u8(2);
        rest.put_u32(0);
        rest.put_i16(self.attributes);
        rest.put_i32(self.last_offset_delta);
        rest.put_i64(self.base_timestamp);
        rest.put_i64(self.max_timestamp);
        rest.put_i64(self.producer_id);
        rest.put_i16(self.producer_epoch);
        rest.put_i32(self.base_sequence);
        rest.put_i32(self.count);
        rest.put_slice(payload);
        let crc = crc32c::crc32c(&out[CRC_FROM..]);
        out[CRC_AT..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
    }

    /// Attributes of a batch that a producer writes.
    pub fn producer_attributes(codec: Codec, transactional: bool) -> i16 {
        codec.id() | if transactional { TRANSACTIONAL } else { 0 }
    }
}
