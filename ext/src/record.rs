//! The one record type that everything native passes around: a block of records over shared buffers.
//!
//! A block never copies what it was decoded from: its records are ranges into one or more `Bytes` chunks (a
//! Kafka batch as fetched, a decompressed batch, a Rivven response). Headers stay in the encoding of the Kafka
//! record (zigzag varint lengths, -1 for null; KIP-82), whatever side the record came from.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::{Error, Kind, Result};
use crate::kafka::varint;

/// Where a byte string lies; `len` of -1 is null, which is not the same as empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// First byte, counted from the start of the record's chunk.
    pub start: u32,
    /// Bytes, or -1 for null.
    pub len: i32,
}

impl Span {
    /// The null byte string.
    pub const NULL: Span = Span { start: 0, len: -1 };

    /// The bytes within the chunk, or None for null.
    #[inline]
    pub fn range(self) -> Option<Range<usize>> {
        let start = self.start as usize;
        usize::try_from(self.len).ok().map(|len| start..start + len)
    }
}

/// How `Record::timestamp` came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampType {
    /// Set by the producer.
    CreateTime,
    /// Set by the broker at append.
    LogAppendTime,
}

/// One record of a block.
#[derive(Debug, Clone, Copy)]
pub struct Record {
    /// Offset in the partition it was read from.
    pub offset: i64,
    /// Milliseconds since the epoch, -1 if the format carries none.
    pub timestamp: i64,
    /// Index of the chunk that the spans refer to.
    pub chunk: u32,
    /// Key bytes.
    pub key: Span,
    /// Value bytes; null is a tombstone.
    pub value: Span,
    /// The encoded headers (without their count), one after the other.
    pub headers: Span,
    /// How many headers there are.
    pub header_count: u32,
    /// Create time or log append time.
    pub timestamp_type: TimestampType,
}

/// Records of one partition over shared buffers. Cheap to clone. They are in offset order, but for copies of earlier
/// records that a damaged Rivven log may hold.
#[derive(Debug, Clone)]
pub struct Block {
    /// Topic the records were read from.
    pub topic: Arc<str>,
    /// Partition the records were read from.
    pub partition: i32,
    /// Leader epoch of the last batch, -1 if unknown.
    pub leader_epoch: i32,
    /// Position after this block: where the next read starts. At least last offset + 1, more where
    /// compaction, control batches or aborted records end the batch.
    pub next_offset: i64,
    /// The buffers.
    pub chunks: Arc<[Bytes]>,
    /// The records. A vector behind a pointer, as moving it into an `Arc<[Record]>` would copy every record.
    pub records: Arc<Vec<Record>>,
    /// Bytes of memory that this block keeps alive (for budgets and metrics).
    pub bytes: usize,
}

impl Block {
    /// The bytes of `span` of `record`, or None for null.
    #[inline]
    pub fn get(&self, record: &Record, span: Span) -> Option<&[u8]> {
        span.range().map(|range| &self.chunks[record.chunk as usize][range])
    }

    /// Key of `record`.
    #[inline]
    pub fn key(&self, record: &Record) -> Option<&[u8]> {
        self.get(record, record.key)
    }

    /// Value of `record`.
    #[inline]
    pub fn value(&self, record: &Record) -> Option<&[u8]> {
        self.get(record, record.value)
    }

    /// Headers of `record` in order, as (name, value or null).
    pub fn headers<'a>(&'a self, record: &Record) -> Headers<'a> {
        Headers { rest: self.get(record, record.headers).unwrap_or(&[]), left: record.header_count }
    }

    /// The records `range` as a block of their own over the same buffers; the range is cut to what exists.
    ///
    /// Its `next_offset` is this block's only when it reaches this block's end, else its highest offset + 1.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Block {
        let stop = range.end.min(self.records.len());
        let start = range.start.min(stop);
        let records = &self.records[start..stop];
        let next_offset = if stop == self.records.len() {
            self.next_offset
        } else {
            let highest = records.iter().map(|record| record.offset).max();
            highest.map_or(self.records[stop].offset, |highest| highest + 1)
        };
        let payload: usize = records.iter().map(Self::payload_len).sum();
        Block {
            topic: Arc::clone(&self.topic),
            partition: self.partition,
            leader_epoch: self.leader_epoch,
            next_offset,
            chunks: Arc::clone(&self.chunks),
            bytes: payload + size_of_val(records),
            records: Arc::new(records.to_vec()),
        }
    }

    /// Payload bytes of `record`: key, value and headers.
    #[inline]
    pub fn payload_len(record: &Record) -> usize {
        (record.key.len.max(0) + record.value.len.max(0) + record.headers.len.max(0)) as usize
    }
}

/// Iterator over the encoded headers of a record. The decoder has checked them, so an error here is a bug of
/// the encoder's caller, reported rather than hidden.
#[derive(Debug, Clone)]
pub struct Headers<'a> {
    rest: &'a [u8],
    left: u32,
}

impl<'a> Headers<'a> {
    /// Reads headers that stand encoded in `bytes`.
    pub fn new(bytes: &'a [u8], count: u32) -> Self {
        Self { rest: bytes, left: count }
    }

    fn take(&mut self) -> Result<(&'a [u8], Option<&'a [u8]>)> {
        let name = self.bytes()?.ok_or_else(|| Error::new(Kind::CorruptRecord, "header name is null"))?;
        Ok((name, self.bytes()?))
    }

    fn bytes(&mut self) -> Result<Option<&'a [u8]>> {
        let (len, used) = varint::read_i32(self.rest)
            .ok_or_else(|| Error::new(Kind::CorruptRecord, "header length is not a varint"))?;
        self.rest = &self.rest[used..];
        if len < 0 {
            return Ok(None);
        }
        if len as usize > self.rest.len() {
            return Err(Error::new(Kind::CorruptRecord, "header is longer than its record"));
        }
        let (head, tail) = self.rest.split_at(len as usize);
        self.rest = tail;
        Ok(Some(head))
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = Result<(&'a [u8], Option<&'a [u8]>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let header = self.take();
        if header.is_err() {
            self.left = 0;
        }
        Some(header)
    }
}
