//! Message sets of the formats before record batches: magic 0 and 1.
//!
//! Message => crc u32, magic i8, attributes i8, timestamp i64 (magic 1 only), key, value (i32 length, -1 for
//! null, and bytes). A compressed message holds a whole message set as its value; with magic 1 the offsets
//! inside count from the first message of the set, and the outer offset is that of the last one (protocol
//! guide, "Old Message Format"; relative offsets: KIP-31; timestamps: KIP-32). The checksum is CRC-32, not
//! CRC-32C.

use bytes::Bytes;

use super::batch::{Fault, Gather};
use super::compression::{decompress, decompress_lz4_magic_0, Codec};
use super::header::{corrupt, i32_at, i64_at, LOG_OVERHEAD};
use crate::error::{Error, Kind, Result};
use crate::record::{Record, Span, TimestampType};

const MAGIC: usize = LOG_OVERHEAD + 4;
const ATTRIBUTES: usize = MAGIC + 1;
const LOG_APPEND_TIME: u8 = 0x08;
const CODEC_MASK: u8 = 0x07;

/// The messages of one entry that have not been read yet, decompressed.
#[derive(Debug)]
pub(super) struct MessageSet {
    bytes: Bytes,
    shared: bool,
    pos: usize,
    end: usize,
    left: usize,
    magic: u8,
    check_crc: bool,
    /// What to add to the offsets that the messages carry.
    base_offset: i64,
    last_offset: i64,
    previous: i64,
    append_time: Option<i64>,
}

impl MessageSet {
    /// Opens the entry at `start..end` of `data`, decompressing at most `limit` bytes.
    pub fn open(data: &Bytes, start: usize, end: usize, check_crc: bool, limit: usize) -> Result<Self> {
        let outer = Message::read(&data[..end], start).map_err(corrupt)?;
        if check_crc {
            outer.check_crc(&data[..end]).map_err(corrupt)?;
        }
        if outer.offset < 0 || outer.offset == i64::MAX {
            return Err(corrupt(format!("a message has the offset {}", outer.offset)));
        }
        let mut set = Self {
            bytes: data.clone(),
            shared: true,
            pos: start,
            end,
            left: 1,
            magic: outer.magic,
            // The outer checksum has just been compared.
            check_crc: false,
            base_offset: 0,
            last_offset: outer.offset,
            previous: -1,
            append_time: outer.append_time(),
        };
        let codec = Codec::from_attributes(i16::from(outer.attributes))?;
        if codec == Codec::None {
            return Ok(set);
        }
        let packed = &data[..end];
        let packed = outer
            .value
            .range()
            .map(|range| &packed[range])
            .ok_or_else(|| corrupt("a compressed message has no value"))?;
        set.bytes = Bytes::from(match (codec, outer.magic) {
            // KIP-110: only magic 2 may be compressed with zstd.
            (Codec::Zstd, _) => {
                return Err(Error::new(
                    Kind::UnsupportedCodec,
                    "an old message claims to be compressed with zstd",
                ))
            }
            (Codec::Lz4, 0) => decompress_lz4_magic_0(packed, limit)?,
            _ => decompress(codec, packed, limit)?,
        });
        set.shared = false;
        set.pos = 0;
        set.end = set.bytes.len();
        set.check_crc = check_crc;
        set.survey()?;
        Ok(set)
    }

    /// Counts the inner messages and finds the base of their offsets, which needs the last of them.
    fn survey(&mut self) -> Result<()> {
        let (mut pos, mut count, mut last) = (0, 0, None);
        while pos < self.end {
            let message = Message::read(&self.bytes[..self.end], pos).map_err(corrupt)?;
            if message.magic != self.magic {
                return Err(corrupt("a message within a compressed one is of another format version"));
            }
            if message.attributes & CODEC_MASK != 0 {
                return Err(corrupt("a message within a compressed one is compressed itself"));
            }
            pos = message.end;
            count += 1;
            last = Some(message.offset);
        }
        let last = last.ok_or_else(|| corrupt("a compressed message holds no messages"))?;
        if self.magic == 1 && (0..=self.last_offset).contains(&last) {
            self.base_offset = self.last_offset - last;
        }
        self.left = count;
        Ok(())
    }

    /// The buffer that the spans refer to, and whether it is the one the entry was opened in.
    pub fn buffer(&self) -> (&Bytes, bool) {
        (&self.bytes, self.shared)
    }

    /// Messages that have not been read.
    pub fn left(&self) -> usize {
        self.left
    }

    /// Bytes that have not been read.
    pub fn bytes_left(&self) -> usize {
        self.end - self.pos
    }

    /// Offset of the last message.
    pub fn last_offset(&self) -> i64 {
        self.last_offset
    }

    /// Offset of the last message read.
    pub fn previous(&self) -> i64 {
        self.previous
    }

    /// Reads messages until a limit of `gather` or the end of the set. Those before a fault are kept.
    pub fn read(&mut self, gather: &mut Gather<'_>) -> Result<(), Fault> {
        let bytes = &self.bytes[..self.end];
        let stop_at = self.pos.saturating_add(gather.max_bytes);
        while self.left > 0 && gather.records.len() < gather.max_records && self.pos < stop_at {
            let message = Message::read(bytes, self.pos)?;
            if self.check_crc {
                message.check_crc(bytes)?;
            }
            let offset = self
                .base_offset
                .checked_add(message.offset)
                .ok_or("the offset of a message is out of range")?;
            if offset <= self.previous || offset > self.last_offset {
                return Err("a message is out of the order of its set");
            }
            self.previous = offset;
            self.pos = message.end;
            self.left -= 1;
            if offset >= gather.from {
                gather.records.push(Record {
                    offset,
                    timestamp: self.append_time.unwrap_or(message.timestamp),
                    chunk: gather.chunk,
                    key: message.key,
                    value: message.value,
                    headers: Span::NULL,
                    header_count: 0,
                    timestamp_type: match self.append_time {
                        Some(_) => TimestampType::LogAppendTime,
                        None => TimestampType::CreateTime,
                    },
                });
            }
        }
        Ok(())
    }
}

/// One message, without what it may hold inside.
struct Message {
    offset: i64,
    start: usize,
    end: usize,
    magic: u8,
    attributes: u8,
    /// -1 with magic 0, which has none.
    timestamp: i64,
    key: Span,
    value: Span,
}

impl Message {
    fn read(bytes: &[u8], start: usize) -> Result<Self, Fault> {
        const CUT: Fault = "a message is cut short";
        let entry = &bytes[start..];
        let offset = i64_at(entry, 0).ok_or(CUT)?;
        let size = i32_at(entry, 8).and_then(|size| usize::try_from(size).ok()).ok_or(CUT)?;
        let entry =
            entry.get(..size.saturating_add(LOG_OVERHEAD)).ok_or("a message is longer than its set")?;
        let magic = *entry.get(MAGIC).ok_or(CUT)?;
        let attributes = *entry.get(ATTRIBUTES).ok_or(CUT)?;
        let mut at = ATTRIBUTES + 1;
        let timestamp = match magic {
            0 => -1,
            1 => {
                at += 8;
                i64_at(entry, at - 8).ok_or(CUT)?
            }
            _ => return Err("a message is of an unknown format version"),
        };
        let (key, at) = nullable(entry, at, start)?;
        let (value, at) = nullable(entry, at, start)?;
        if at != entry.len() {
            return Err("a message is shorter than its length says");
        }
        Ok(Self { offset, start, end: start + entry.len(), magic, attributes, timestamp, key, value })
    }

    fn check_crc(&self, bytes: &[u8]) -> Result<(), Fault> {
        let stored = i32_at(bytes, self.start + LOG_OVERHEAD).map(|crc| crc as u32);
        let computed = crc32fast::hash(&bytes[self.start + MAGIC..self.end]);
        if stored == Some(computed) {
            Ok(())
        } else {
            Err("a message does not match its checksum")
        }
    }

    fn append_time(&self) -> Option<i64> {
        (self.magic == 1 && self.attributes & LOG_APPEND_TIME != 0).then_some(self.timestamp)
    }
}

/// The byte string at `at` of `entry`, which starts at `base` of its buffer, and the position after it.
fn nullable(entry: &[u8], at: usize, base: usize) -> Result<(Span, usize), Fault> {
    let len = i32_at(entry, at).ok_or("a message is cut short")?;
    let at = at + 4;
    if len < 0 {
        return if len == -1 { Ok((Span::NULL, at)) } else { Err("a key or value has a negative length") };
    }
    if len as usize > entry.len() - at {
        return Err("a key or value is longer than its message");
    }
    Ok((Span { start: (base + at) as u32, len }, at + len as usize))
}
