//! Kafka record -> Rivven event JSON.
//!
//! The fields and their order are those of the `SourceEvent` that upstream's Kafka source publishes
//! (`rivven-connect` 0.0.22), so its readers read ours. Upstream's form loses bytes (it parses and re-writes
//! JSON, replaces invalid UTF-8, collapses headers); what is needed to restore the record exactly stands in
//! further metadata fields, written only where upstream's form is not enough:
//!
//! * `kafka_value_encoding`: `text` (UTF-8 that is not JSON), `base64`, or `json` where the value is the JSON
//!   text `null`, which would otherwise read as a tombstone. Absent: `data` is the value verbatim, and
//!   `data: null` is a tombstone.
//! * `kafka_value_padding`: the white space before and after a JSON value.
//! * `kafka_header_list`: all headers as `[name, value]` pairs, where `kafka_headers` (a map of text) cannot
//!   hold them: repeated names, bytes that are not UTF-8. Bytes that are not UTF-8 stand as `{"base64": ".."}`.
//! * `kafka_topic_id`: where the source delivers exactly once, the id that Kafka gave the topic (KIP-516), in
//!   base64url as Kafka's tools print it. With the position it names one record, whatever other clusters have.
//! * `kafka_via`: with loop protection, the topics that the record has been in, see `via`; it takes the place of the
//!   header that says so in Kafka.
//! * `kafka_timestamp_type`: `log_append_time`, where the broker set the timestamp.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use base64::engine::general_purpose::STANDARD;
use base64::Engine;

use crate::bridge::json::{classify, Kind};
use crate::bridge::json_string::write_string;
use crate::bridge::via::{self, Via};
use crate::error::Result;
use crate::record::{Block, Record, TimestampType};

/// What goes into an event beside the value.
#[derive(Debug, Clone, Copy)]
pub struct EventOptions {
    /// `kafka_headers` (and with it the possibility to restore headers).
    pub include_headers: bool,
    /// `kafka_key` as text; the Rivven key carries the key's bytes in any case.
    pub include_key: bool,
}

/// Appends the event of `record` to `out`; with `topic_id`, it tells the id of the Kafka topic, and with `via`, where
/// the record has been.
pub fn encode_event(
    block: &Block,
    record: &Record,
    options: EventOptions,
    topic_id: Option<&str>,
    via: Option<&Via<'_>>,
    out: &mut Vec<u8>,
) -> Result<()> {
    out.extend_from_slice(br#"{"event_type":"record","stream":"#);
    write_string(out, &block.topic);
    out.extend_from_slice(br#","namespace":"kafka","timestamp":""#);
    write_time(out, SystemTime::now());
    out.extend_from_slice(br#"","data":"#);
    let form = write_value(block.value(record), out);
    out.extend_from_slice(br#","metadata":{"position":"#);
    write_position(out, &block.topic, block.partition, record.offset);
    if let Some(id) = topic_id {
        out.extend_from_slice(br#","kafka_topic_id":"#);
        write_string(out, id);
    }
    if let Some(via) = via {
        out.extend_from_slice(br#","kafka_via":""#);
        via.pieces().iter().for_each(|piece| out.extend_from_slice(piece));
        out.push(b'"');
    }
    if options.include_headers && record.header_count > 0 {
        write_headers(block, record, via.is_some(), out)?;
    }
    out.extend_from_slice(br#","kafka_timestamp":"#);
    write_int(out, record.timestamp);
    if record.timestamp_type == TimestampType::LogAppendTime {
        out.extend_from_slice(br#","kafka_timestamp_type":"log_append_time""#);
    }
    out.extend_from_slice(br#","kafka_partition":"#);
    write_int(out, i64::from(block.partition));
    if options.include_key {
        if let Some(key) = block.key(record) {
            out.extend_from_slice(br#","kafka_key":"#);
            write_string(out, &lossy(key));
        }
    }
    out.extend_from_slice(br#","kafka_offset":"#);
    write_int(out, record.offset);
    form.write(out);
    out.extend_from_slice(b"}}");
    Ok(())
}

/// How the value was written, where that is not plain from `data`.
enum Form<'a> {
    Verbatim,
    Padded(&'a str, &'a str),
    Encoded(&'static str),
    NullText(&'a str, &'a str),
}

impl Form<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        let encoding = match self {
            Form::Encoded(name) => Some(*name),
            Form::NullText(..) => Some("json"),
            Form::Verbatim | Form::Padded(..) => None,
        };
        if let Some(name) = encoding {
            out.extend_from_slice(br#","kafka_value_encoding":""#);
            out.extend_from_slice(name.as_bytes());
            out.push(b'"');
        }
        if let Form::Padded(lead, trail) | Form::NullText(lead, trail) = self {
            if lead.len() + trail.len() > 0 {
                out.extend_from_slice(br#","kafka_value_padding":["#);
                write_string(out, lead);
                out.push(b',');
                write_string(out, trail);
                out.push(b']');
            }
        }
    }
}

fn write_value<'a>(value: Option<&'a [u8]>, out: &mut Vec<u8>) -> Form<'a> {
    let Some(value) = value else {
        out.extend_from_slice(b"null");
        return Form::Verbatim;
    };
    match classify(value) {
        Kind::Json { lead, body, trail } => {
            out.extend_from_slice(body.as_bytes());
            if body == "null" {
                Form::NullText(lead, trail)
            } else if lead.is_empty() && trail.is_empty() {
                Form::Verbatim
            } else {
                Form::Padded(lead, trail)
            }
        }
        Kind::Text(text) => {
            write_string(out, text);
            Form::Encoded("text")
        }
        Kind::Binary => {
            out.push(b'"');
            write_base64(out, value);
            out.push(b'"');
            Form::Encoded("base64")
        }
    }
}

/// Of so many headers each name is compared with those behind it; what that takes grows with their square.
const FEW_HEADERS: usize = 16;

/// Writes the headers; without marks, if they have been taken out.
fn write_headers(block: &Block, record: &Record, without_marks: bool, out: &mut Vec<u8>) -> Result<()> {
    let (one, several);
    let read = block.headers(record).filter(|header| {
        !without_marks || header.as_ref().map_or(true, |(name, value)| via::mark(name, *value).is_none())
    });
    let headers: &[_] = if record.header_count == 1 {
        one = { read }.next().transpose()?;
        one.as_slice()
    } else {
        several = read.collect::<Result<Vec<_>>>()?;
        &several
    };
    if headers.is_empty() {
        return Ok(());
    }
    let last_ones = if headers.len() > FEW_HEADERS { last_of_names(headers) } else { Vec::new() };
    let mut map_is_enough = true;
    out.extend_from_slice(br#","kafka_headers":{"#);
    for (index, (name, value)) in headers.iter().enumerate() {
        let comes_again = match last_ones.get(index) {
            Some(last) => !last,
            None => headers[index + 1..].iter().any(|(later, _)| later == name),
        };
        // A map keeps the last of several: what upstream's readers would see.
        if comes_again {
            map_is_enough = false;
            continue;
        }
        if out.last() != Some(&b'{') {
            out.push(b',');
        }
        map_is_enough &= write_lossy(out, name);
        out.push(b':');
        match value {
            Some(value) => map_is_enough &= write_lossy(out, value),
            None => out.extend_from_slice(b"null"),
        }
    }
    out.push(b'}');
    if map_is_enough {
        return Ok(());
    }
    out.extend_from_slice(br#","kafka_header_list":["#);
    for (index, (name, value)) in headers.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"[" } else { b",[" });
        write_text_or_base64(out, name);
        out.push(b',');
        match value {
            Some(value) => write_text_or_base64(out, value),
            None => out.extend_from_slice(b"null"),
        }
        out.push(b']');
    }
    out.push(b']');
    Ok(())
}

/// Whether each header is the last one of its name.
fn last_of_names(headers: &[(&[u8], Option<&[u8]>)]) -> Vec<bool> {
    let mut seen = HashSet::with_capacity(headers.len());
    let mut last: Vec<_> = headers.iter().rev().map(|(name, _)| seen.insert(*name)).collect();
    last.reverse();
    last
}

/// Writes what upstream makes of bytes; false if that is not all that they are.
fn write_lossy(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    let text = lossy(bytes);
    write_string(out, &text);
    matches!(text, Cow::Borrowed(_))
}

/// What upstream makes of bytes.
pub(super) fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    simdutf8::basic::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

fn write_text_or_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    if let Ok(text) = simdutf8::basic::from_utf8(bytes) {
        write_string(out, text);
    } else {
        out.extend_from_slice(br#"{"base64":""#);
        write_base64(out, bytes);
        out.extend_from_slice(br#""}"#);
    }
}

fn write_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written = STANDARD.encode_slice(bytes, &mut out[start..]).unwrap_or(0);
    out.truncate(start + written);
}

/// Appends `"topic:partition:offset"`, the position string of upstream.
pub fn write_position(out: &mut Vec<u8>, topic: &str, partition: i32, offset: i64) {
    write_string(out, topic);
    out.pop();
    out.push(b':');
    write_int(out, i64::from(partition));
    out.push(b':');
    write_int(out, offset);
    out.push(b'"');
}

fn write_int(out: &mut Vec<u8>, number: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn write_time(out: &mut Vec<u8>, time: SystemTime) {
    thread_local! {
        /// The last second, and how it is written.
        static SECOND: RefCell<(u64, String)> = const { RefCell::new((u64::MAX, String::new())) };
    }
    // A clock before 1970 is the one case that the formatter refuses.
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SECOND.with_borrow_mut(|(second, text)| {
        if *second != since.as_secs() {
            *second = since.as_secs();
            let whole = SystemTime::UNIX_EPOCH + Duration::from_secs(*second);
            *text = humantime::format_rfc3339_seconds(whole).to_string();
            text.pop(); // Z
        }
        out.extend_from_slice(text.as_bytes());
    });
    // The first digit only keeps the zeros.
    let nanos = 1_000_000_000 + since.subsec_nanos();
    let digits = out.len();
    out.extend_from_slice(itoa::Buffer::new().format(nanos).as_bytes());
    out[digits] = b'.';
    out.push(b'Z');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_like_humantime_does() {
        for (seconds, nanos) in
            [(0, 0), (1, 7), (1, 999_999_999), (951_782_400, 1_000), (1_795_707_630, 120_000_000)]
        {
            let time = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos);
            let mut out = Vec::new();
            write_time(&mut out, time);
            assert_eq!(String::from_utf8(out).unwrap(), humantime::format_rfc3339_nanos(time).to_string());
        }
        let mut out = Vec::new();
        write_time(&mut out, SystemTime::UNIX_EPOCH - Duration::from_secs(5));
        assert_eq!(out, b"1970-01-01T00:00:00.000000000Z");
    }
}
