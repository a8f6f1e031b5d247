//! Frames of the Rivven protocol, and its hot messages encoded and decoded by hand.
//!
//! A frame is a big-endian u32 length and a body; a body is a format byte (0 for postcard), a big-endian u32
//! correlation id and the postcard encoding of `Request` or `Response`. Source: `rivven-protocol` 0.0.22,
//! `lib.rs` and `messages.rs`. Everything cold goes through that crate; the hand-written parts are compared
//! with it, byte for byte, by the tests.

use std::sync::Arc;

use bytes::Bytes;
use rivven_protocol::{Request, Response, WireFormat, MAX_MESSAGES_PER_RESPONSE, WIRE_HEADER_SIZE};

use super::postcard::{unsigned_len, write_unsigned, Reader};
use crate::error::{Error, Kind, Result};
use crate::kafka::varint;
use crate::record::{Block, Record, Span, TimestampType};

/// Largest body in either direction (`MAX_MESSAGE_SIZE`, and the default of `--max-request-size`).
pub const MAX_BODY: usize = rivven_protocol::MAX_MESSAGE_SIZE;

/// Largest body of an answer without messages: what is made of it takes many times as much memory. The longest that
/// rivvend gives is a list of 10,000 names.
pub const MAX_COLD_BODY: usize = 3 << 20;

/// Bytes of the length that precedes a body.
pub const LENGTH_SIZE: usize = 4;

/// Where the correlation id stands in a frame: after the length and the format byte.
const ID_AT: usize = LENGTH_SIZE + 1;

/// Position of `Request::PublishBatch` in the enum, which is its number on the wire.
const PUBLISH_BATCH: u8 = 38;

/// Position of `Request::IdempotentPublishBatch`.
const IDEMPOTENT_PUBLISH_BATCH: u8 = 39;

/// Position of `Response::Messages` in the enum.
const MESSAGES: u8 = 4;

/// Position of `Response::Error` in the enum.
const ERROR: u8 = 18;

/// The smallest encoded `MessageData`: six fields of one byte.
const SMALLEST_MESSAGE: usize = 6;

/// Encodes a request as one frame, with a correlation id of zero until `set_id` is called.
pub fn request_frame(request: &Request) -> Result<Vec<u8>> {
    let body = request.to_wire(WireFormat::Postcard, 0).map_err(|error| {
        Error::new(Kind::InvalidRequest, format!("the request cannot be encoded: {error}"))
    })?;
    let mut frame = Vec::with_capacity(LENGTH_SIZE + body.len());
    frame.extend_from_slice(&(body.len() as u32).to_be_bytes());
    frame.extend_from_slice(&body);
    Ok(frame)
}

/// Writes the correlation id into a frame.
pub fn set_id(frame: &mut [u8], id: u32) {
    frame[ID_AT..ID_AT + 4].copy_from_slice(&id.to_be_bytes());
}

/// Correlation id of a response body.
pub fn response_id(body: &[u8]) -> Result<u32> {
    match body {
        [0, a, b, c, d, ..] => Ok(u32::from_be_bytes([*a, *b, *c, *d])),
        _ => Err(Error::new(Kind::Protocol, "the response is too short or not in postcard format")),
    }
}

/// Decodes any response but one with messages.
pub fn decode_response(body: &[u8]) -> Result<Response> {
    if body.len() > MAX_COLD_BODY {
        let text = format!("a response without messages has {} bytes, above {MAX_COLD_BODY}", body.len());
        return Err(Error::new(Kind::Protocol, text));
    }
    Response::from_wire(body)
        .map(|(response, _, _)| response)
        .map_err(|error| Error::new(Kind::Protocol, format!("the response cannot be decoded: {error}")))
}

/// Whether the body holds `Response::Messages`, which `decode_messages` reads without copying.
pub fn is_messages(body: &[u8]) -> bool {
    body.get(WIRE_HEADER_SIZE) == Some(&MESSAGES)
}

/// Whether the body holds `Response::Error`.
pub fn is_error(body: &[u8]) -> bool {
    body.get(WIRE_HEADER_SIZE) == Some(&ERROR)
}

/// Decodes `Response::Messages` into a block that points into `body`; its next offset is the highest offset
/// plus one (a damaged log can end a reply on a lower one), or -1 if there are no records.
pub fn decode_messages(body: &Bytes, topic: &Arc<str>, partition: i32) -> Result<Block> {
    if !is_messages(body) {
        return Err(Error::new(Kind::Protocol, "the response holds no messages"));
    }
    let (records, headers, highest) = read_messages(body).ok_or_else(|| {
        Error::new(Kind::Protocol, "the messages of the response cannot be decoded")
            .at(topic, partition, None)
    })?;
    let side_bytes = headers.len();
    let chunks: Arc<[Bytes]> = if headers.is_empty() {
        Arc::from([body.clone()])
    } else {
        Arc::from([body.clone(), Bytes::from(headers)])
    };
    Ok(Block {
        topic: Arc::clone(topic),
        partition,
        leader_epoch: -1,
        next_offset: highest + 1,
        bytes: body.len() + side_bytes + size_of_val(records.as_slice()),
        chunks,
        records: records.into(),
    })
}

/// The records, the side chunk for those that have headers, and the highest offset.
fn read_messages(body: &[u8]) -> Option<(Vec<Record>, Vec<u8>, i64)> {
    let mut reader = Reader::new(body, WIRE_HEADER_SIZE + 1);
    let count = usize::try_from(reader.u64()?).ok()?;
    // The count is a claim: memory is only taken for records that can be there.
    if count > MAX_MESSAGES_PER_RESPONSE || count > reader.remaining() / SMALLEST_MESSAGE {
        return None;
    }
    let mut records = Vec::with_capacity(count);
    let mut side = Vec::new();
    let mut highest = -2;
    for _ in 0..count {
        let record = read_message(body, &mut reader, &mut side)?;
        highest = record.offset.max(highest);
        records.push(record);
    }
    Some((records, side, highest))
}

#[inline]
fn read_message(body: &[u8], reader: &mut Reader<'_>, side: &mut Vec<u8>) -> Option<Record> {
    // The broker cannot assign an offset beyond i64::MAX; one that claims so is not believed.
    let offset = i64::try_from(reader.u64()?).ok().filter(|offset| *offset < i64::MAX)?;
    reader.u32()?; // the partition, which the caller asked for
    let key = match reader.byte()? {
        0 => Span::NULL,
        1 => span(reader.bytes()?),
        _ => return None,
    };
    let mut record = Record {
        offset,
        timestamp: 0,
        chunk: 0,
        key,
        value: span(reader.bytes()?),
        headers: Span { start: 0, len: 0 },
        header_count: 0,
        timestamp_type: TimestampType::LogAppendTime,
    };
    record.timestamp = reader.i64()?;
    let headers = reader.u64()?;
    if headers > 0 {
        move_aside(body, reader, side, &mut record, headers)?;
    }
    Some(record)
}

/// Copies a record with headers into the side chunk, where they can stand in Kafka's encoding. All spans of a
/// record share one chunk, so key and value move along. No rivvend of today sends headers.
fn move_aside(
    body: &[u8],
    reader: &mut Reader<'_>,
    side: &mut Vec<u8>,
    record: &mut Record,
    headers: u64,
) -> Option<()> {
    // Two length bytes at least: a count beyond that is a lie.
    if headers > (reader.remaining() / 2) as u64 {
        return None;
    }
    for place in [&mut record.key, &mut record.value] {
        if place.len >= 0 {
            let start = side.len();
            side.extend_from_slice(&body[place.start as usize..][..place.len as usize]);
            place.start = start as u32;
        }
    }
    let start = side.len();
    for _ in 0..headers {
        let (name, name_len) = reader.bytes()?;
        std::str::from_utf8(&body[name..name + name_len]).ok()?;
        let (value, value_len) = reader.bytes()?;
        for (at, len) in [(name, name_len), (value, value_len)] {
            varint::write_i32(side, len as i32);
            side.extend_from_slice(&body[at..at + len]);
        }
    }
    record.headers = Span { start: start as u32, len: (side.len() - start) as i32 };
    record.header_count = headers as u32;
    record.chunk = 1;
    Some(())
}

/// A body is at most 10 MiB, so both numbers fit.
#[inline]
fn span((start, len): (usize, usize)) -> Span {
    Span { start: start as u32, len: len as i32 }
}

/// Memory that an empty batch keeps: a few large records must not pin 10 MiB in each of many connections.
const KEEP: usize = 1024 * 1024;

/// Who sends an idempotent batch, and as which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Producer {
    /// Producer id.
    pub id: u64,
    /// Which owner of the id; an older one is refused.
    pub epoch: u16,
    /// Sequence number of the first record.
    pub sequence: i32,
}

impl Producer {
    /// The most bytes that the three numbers take.
    const LONGEST: usize = 10 + 3 + 5;

    fn write(self, out: &mut Vec<u8>) {
        write_unsigned(out, self.id);
        write_unsigned(out, u64::from(self.epoch));
        varint::write_i32(out, self.sequence);
    }
}

/// One `PublishBatch` or `IdempotentPublishBatch` request under construction, in a buffer that is used again
/// and again.
///
/// What stands before the records has a length that is only known at the end (it contains their number), so
/// the records start after a gap, and the head is written into the end of that gap. The producer stands behind
/// the records and can change at any time.
#[derive(Debug)]
pub struct PublishFrame {
    buffer: Vec<u8>,
    /// Topic and partition, encoded.
    target: Vec<u8>,
    gap: usize,
    count: usize,
    /// Where each record begins, so that the last can be taken out again, and the first when they are stored.
    begins: Vec<usize>,
    /// Bytes of the last value.
    last_value: usize,
    /// First byte of the sealed frame.
    start: usize,
    /// Where the records of the sealed frame end.
    sealed: Option<usize>,
    /// Set for an idempotent batch.
    producer: Option<Producer>,
}

impl PublishFrame {
    /// An empty batch.
    pub fn new(topic: &str, partition: u32) -> Self {
        let mut frame = Self {
            buffer: Vec::new(),
            target: Vec::new(),
            gap: 0,
            count: 0,
            begins: Vec::new(),
            last_value: 0,
            start: 0,
            sealed: None,
            producer: None,
        };
        frame.reset(topic, partition);
        frame
    }

    /// Empties the batch, for `topic` and `partition`.
    pub fn reset(&mut self, topic: &str, partition: u32) {
        self.target.clear();
        write_unsigned(&mut self.target, topic.len() as u64);
        self.target.extend_from_slice(topic.as_bytes());
        self.target.push(1); // Some(partition)
        write_unsigned(&mut self.target, u64::from(partition));
        // Length, format, id, variant, target, and the longest count.
        self.gap = LENGTH_SIZE + WIRE_HEADER_SIZE + 1 + self.target.len() + 10;
        self.buffer.clear();
        self.buffer.shrink_to(KEEP);
        self.buffer.resize(self.gap, 0);
        self.begins.clear();
        self.count = 0;
        self.sealed = None;
        self.producer = None;
    }

    /// Empties the batch, for `topic` and `partition`, and makes it an idempotent one.
    pub fn reset_idempotent(&mut self, topic: &str, partition: u32, producer: Producer) {
        self.reset(topic, partition);
        self.producer = Some(producer);
    }

    /// Makes it an idempotent batch of `producer`, whatever it was; the records stay. A sealed batch is sealed
    /// again.
    pub fn set_producer(&mut self, producer: Producer) {
        self.producer = Some(producer);
        if self.sealed.is_some() {
            self.seal();
        }
    }

    /// Records in the batch.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Size of the request body if it were sent now; of an idempotent one, with the longest numbers that a
    /// producer can have, so that no later `set_producer` makes it larger.
    pub fn body_len(&self) -> usize {
        let records = self.sealed.unwrap_or(self.buffer.len()) - self.gap;
        self.head_len() + records + self.producer.map_or(0, |_| Producer::LONGEST) + 1
    }

    /// Bytes of the body before the records.
    fn head_len(&self) -> usize {
        WIRE_HEADER_SIZE + 1 + self.target.len() + unsigned_len(self.count as u64)
    }

    /// Appends a record whose value is written by `value`; on an error the batch stays as it was.
    pub fn push(&mut self, key: Option<&[u8]>, value: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
        let begin = self.buffer.len();
        match key {
            None => self.buffer.push(0),
            Some(key) => {
                self.buffer.push(1);
                write_unsigned(&mut self.buffer, key.len() as u64);
                self.buffer.extend_from_slice(key);
            }
        }
        let at = self.buffer.len();
        // The length is not known before the value is written: most are as long as the one before.
        let room = unsigned_len(self.last_value as u64);
        self.buffer.resize(at + room, 0);
        if let Err(error) = value(&mut self.buffer) {
            self.buffer.truncate(begin);
            return Err(error);
        }
        let mut len = self.buffer.len() - at - room;
        let used = unsigned_len(len as u64);
        if used != room {
            self.buffer.resize(at + used.max(room) + len, 0);
            self.buffer.copy_within(at + room..at + room + len, at + used);
            self.buffer.truncate(at + used + len);
        }
        self.last_value = len;
        for (index, byte) in self.buffer[at..at + used].iter_mut().enumerate() {
            *byte = (len & 0x7f) as u8 | if index + 1 < used { 0x80 } else { 0 };
            len >>= 7;
        }
        self.begins.push(begin);
        self.count += 1;
        Ok(())
    }

    /// The value of the last `push`.
    pub fn last_value(&self) -> &[u8] {
        &self.buffer[self.buffer.len() - self.last_value..]
    }

    /// Key and value of each record.
    pub fn records(&self) -> impl Iterator<Item = (Option<&[u8]>, &[u8])> {
        self.begins.iter().filter_map(|begin| {
            let mut reader = Reader::new(&self.buffer, *begin);
            let key = match reader.byte()? {
                0 => None,
                _ => Some(reader.bytes()?),
            };
            let bytes = |(start, len): (usize, usize)| &self.buffer[start..start + len];
            Some((key.map(bytes), bytes(reader.bytes()?)))
        })
    }

    /// Takes the record of the last `push` out again.
    pub fn pop(&mut self) {
        if let Some(begin) = self.begins.pop() {
            self.buffer.truncate(begin);
            self.count -= 1;
        }
    }

    /// Takes the first `count` records out of a sealed batch, and seals it again.
    pub fn drop_front(&mut self, count: usize) {
        let end = self.sealed.unwrap_or(self.buffer.len());
        let next = self.begins.get(count).copied().unwrap_or(end);
        let dropped = next - self.gap;
        self.buffer.drain(self.gap..next);
        self.sealed = Some(end - dropped);
        self.begins.drain(..count.min(self.begins.len()));
        self.begins.iter_mut().for_each(|begin| *begin -= dropped);
        self.count = self.begins.len();
        self.seal();
    }

    /// Completes the request and returns the frame. Takes no more records then; may be sent again as `sealed`.
    pub fn seal(&mut self) -> &mut [u8] {
        let end = *self.sealed.get_or_insert(self.buffer.len());
        self.buffer.truncate(end);
        if let Some(producer) = self.producer {
            producer.write(&mut self.buffer);
        }
        self.buffer.push(0); // leader_epoch: None
        let head = self.head_len();
        self.start = self.gap - head - LENGTH_SIZE;
        let body = head + self.buffer.len() - self.gap;
        let mut out = Vec::with_capacity(LENGTH_SIZE + head);
        out.extend_from_slice(&(body as u32).to_be_bytes());
        out.extend_from_slice(&[0; WIRE_HEADER_SIZE]);
        out.push(if self.producer.is_some() { IDEMPOTENT_PUBLISH_BATCH } else { PUBLISH_BATCH });
        out.extend_from_slice(&self.target);
        write_unsigned(&mut out, self.count as u64);
        self.buffer[self.start..self.gap].copy_from_slice(&out);
        &mut self.buffer[self.start..]
    }

    /// The frame that `seal` completed.
    pub fn sealed(&mut self) -> &mut [u8] {
        &mut self.buffer[self.start..]
    }
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
