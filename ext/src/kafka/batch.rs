//! The records of one magic 2 batch, read from front to back.
//!
//! Record => length varint, attributes i8, timestampDelta varlong, offsetDelta varint, key, value (varint
//! length, -1 for null, and bytes), headers (varint count, then name and value each) (protocol guide,
//! "Record"; headers: KIP-82).

use bytes::Bytes;

use super::compression;
use super::header::{BatchHeader, BATCH_HEADER};
use super::varint;
use crate::error::Result;
use crate::record::{Record, Span, TimestampType};

/// What a decoder says is wrong; the reader adds the place. Small, so that the loop's results stay cheap.
pub(super) type Fault = &'static str;

/// Length, attributes, two deltas, key length, value length and header count, one byte each.
pub(super) const LEAST_RECORD: usize = 7;

/// Where a decoder puts records, and when it stops.
#[derive(Debug)]
pub(super) struct Gather<'a> {
    pub records: &'a mut Vec<Record>,
    /// Index of the decoder's buffer among the chunks of the block.
    pub chunk: u32,
    /// Records before this offset are dropped.
    pub from: i64,
    /// Stop when `records` has this many.
    pub max_records: usize,
    /// Stop when this many bytes have been read (the last record may exceed it).
    pub max_bytes: usize,
}

/// The records of a batch that have not been read yet, decompressed.
#[derive(Debug)]
pub(super) struct BatchRecords {
    bytes: Bytes,
    shared: bool,
    pos: usize,
    end: usize,
    left: usize,
    base_offset: i64,
    last_delta: i32,
    /// Offset delta of the last record read.
    previous: i32,
    base_timestamp: i64,
    append_time: Option<i64>,
}

impl BatchRecords {
    /// Opens the batch with `header` at `start..end` of `data`, decompressing at most `limit` bytes.
    pub fn open(header: &BatchHeader, data: &Bytes, start: usize, end: usize, limit: usize) -> Result<Self> {
        let codec = header.codec()?;
        let start = start + BATCH_HEADER;
        // An emptied batch that compaction kept for its offsets has no payload to decompress.
        let shared = codec == compression::Codec::None || start == end;
        let (bytes, pos, end) = if shared {
            (data.clone(), start, end)
        } else {
            let payload = Bytes::from(compression::decompress(codec, &data[start..end], limit)?);
            let end = payload.len();
            (payload, 0, end)
        };
        let left = header.count as usize;
        if left > (end - pos) / LEAST_RECORD {
            return Err(super::header::corrupt(format!(
                "the batch at offset {} claims {left} records in {} bytes",
                header.base_offset,
                end - pos
            )));
        }
        Ok(Self {
            bytes,
            shared,
            pos,
            end,
            left,
            base_offset: header.base_offset,
            last_delta: header.last_offset_delta,
            previous: -1,
            base_timestamp: header.base_timestamp,
            append_time: header.append_time(),
        })
    }

    /// The buffer that the spans refer to, and whether it is the one the batch was opened in.
    pub fn buffer(&self) -> (&Bytes, bool) {
        (&self.bytes, self.shared)
    }

    /// Records that have not been read.
    pub fn left(&self) -> usize {
        self.left
    }

    /// Bytes that have not been read.
    pub fn bytes_left(&self) -> usize {
        self.end - self.pos
    }

    /// Last offset of the batch, whether a record has it or not.
    pub fn last_offset(&self) -> i64 {
        self.base_offset + i64::from(self.last_delta)
    }

    /// Offset of the last record read.
    pub fn previous(&self) -> i64 {
        self.base_offset + i64::from(self.previous)
    }

    /// Reads records until a limit of `gather` or the end of the batch. Those before a fault are kept.
    pub fn read(&mut self, gather: &mut Gather<'_>) -> Result<(), Fault> {
        let bytes = &self.bytes[..self.end];
        let stop_at = self.pos.saturating_add(gather.max_bytes);
        let timestamp_type = match self.append_time {
            Some(_) => TimestampType::LogAppendTime,
            None => TimestampType::CreateTime,
        };
        while self.left > 0 && gather.records.len() < gather.max_records && self.pos < stop_at {
            let (raw, end) = RawRecord::read(bytes, self.pos)?;
            if raw.offset_delta <= self.previous || raw.offset_delta > self.last_delta {
                return Err("a record is out of the order of its batch");
            }
            self.previous = raw.offset_delta;
            // No overflow: the header has been checked for its last offset.
            let offset = self.base_offset + i64::from(raw.offset_delta);
            self.pos = end;
            self.left -= 1;
            if offset >= gather.from {
                gather.records.push(Record {
                    offset,
                    // Wraps as Java's addition does, so that whatever a producer wrote comes back.
                    timestamp: self
                        .append_time
                        .unwrap_or_else(|| self.base_timestamp.wrapping_add(raw.timestamp_delta)),
                    chunk: gather.chunk,
                    key: raw.key,
                    value: raw.value,
                    headers: raw.headers,
                    header_count: raw.header_count,
                    timestamp_type,
                });
            }
        }
        if self.left == 0 && self.pos != self.end {
            return Err("bytes follow the last record of a batch");
        }
        Ok(())
    }
}

/// A record as it stands in the batch.
struct RawRecord {
    timestamp_delta: i64,
    offset_delta: i32,
    key: Span,
    value: Span,
    headers: Span,
    header_count: u32,
}

impl RawRecord {
    /// Reads the record at `start`; returns it with the position after it.
    #[inline]
    fn read(bytes: &[u8], start: usize) -> Result<(Self, usize), Fault> {
        let mut cursor = Cursor { bytes, pos: start };
        let length = cursor.int()?;
        let left = bytes.len() - cursor.pos;
        let length = usize::try_from(length).map_err(|_| "a record has a negative length")?;
        if length > left {
            return Err("a record is longer than its batch");
        }
        let end = cursor.pos + length;
        let mut cursor = Cursor { bytes: &bytes[..end], pos: cursor.pos };
        cursor.skip_attributes()?;
        let timestamp_delta = cursor.long()?;
        let offset_delta = cursor.int()?;
        let key = cursor.nullable()?;
        let value = cursor.nullable()?;
        let header_count =
            u32::try_from(cursor.int()?).map_err(|_| "a record has a negative header count")?;
        let headers = cursor.headers(header_count)?;
        if cursor.pos != end {
            return Err("a record is shorter than its length says");
        }
        Ok((Self { timestamp_delta, offset_delta, key, value, headers, header_count }, end))
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    pos: usize,
}

impl Cursor<'_> {
    #[inline]
    fn skip_attributes(&mut self) -> Result<(), Fault> {
        if self.pos >= self.bytes.len() {
            return Err("a record is cut short");
        }
        self.pos += 1;
        Ok(())
    }

    #[inline]
    fn int(&mut self) -> Result<i32, Fault> {
        let (value, used) = varint::read_i32(&self.bytes[self.pos..]).ok_or("a record holds a bad varint")?;
        self.pos += used;
        Ok(value)
    }

    #[inline]
    fn long(&mut self) -> Result<i64, Fault> {
        let (value, used) = varint::read_i64(&self.bytes[self.pos..]).ok_or("a record holds a bad varint")?;
        self.pos += used;
        Ok(value)
    }

    /// A byte string with its length before it, -1 for null.
    #[inline]
    fn nullable(&mut self) -> Result<Span, Fault> {
        let len = self.int()?;
        if len < 0 {
            return if len == -1 { Ok(Span::NULL) } else { Err("a key or value has a negative length") };
        }
        if len as usize > self.bytes.len() - self.pos {
            return Err("a key or value is longer than its record");
        }
        // The buffer is shorter than 4 GiB: the reader has checked it.
        let span = Span { start: self.pos as u32, len };
        self.pos += len as usize;
        Ok(span)
    }

    #[inline]
    fn headers(&mut self, count: u32) -> Result<Span, Fault> {
        let start = self.pos;
        for _ in 0..count {
            if self.nullable()?.len < 0 {
                return Err("a header has no name");
            }
            self.nullable()?;
        }
        // A record is shorter than 2 GiB, its length being an i32.
        Ok(Span { start: start as u32, len: (self.pos - start) as i32 })
    }
}
