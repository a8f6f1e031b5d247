//! Frames of the Rivven protocol, and its hot messages encoded and decoded by hand.
//!
//! A frame is a big-endian u32 length and a body; a body is a format byte (0 for postcard), a big-endian u32
//! correlation id and the postcard encoding of `Request` or `Response`. Source: `rivven-protocol` 0.0.22,
//! `lib.rs` and `messages.rs`. Everything cold goes through that crate; the hand-written parts are compared
//! with it, byte for byte, by the tests.

use std::sync::Arc;

use bytes::Bytes;
use rivven_protocol::{Request, Response, WireFormat, MAX_MESSAGES_PER_RESPONSE, WIRE_HEADER_SIZE};

use super::postcard::Reader;
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

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
