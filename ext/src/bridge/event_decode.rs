//! Rivven event JSON -> Kafka record: the inverse of `event_encode`.

use std::borrow::Cow;
use std::fmt;

use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::bridge::transform::scan::string_text;
use crate::bridge::via::is_mark;
use crate::error::{Error, Kind, Result};

/// A header: name, and value or null.
pub type Header<'a> = (Cow<'a, [u8]>, Option<Cow<'a, [u8]>>);

/// What an event says, with the Kafka record restored where it came from Kafka.
#[derive(Debug)]
pub struct Event<'a> {
    /// `event_type`, `record` for Kafka's.
    pub event_type: Cow<'a, str>,
    /// `stream`: the Kafka topic, for Kafka's.
    pub stream: Cow<'a, str>,
    /// `namespace`, `kafka` for Kafka's.
    pub namespace: Option<Cow<'a, str>>,
    /// `metadata.position`.
    pub position: Option<Cow<'a, str>>,
    /// `metadata.transaction_id`.
    pub transaction_id: Option<Cow<'a, str>>,
    /// The value; None is a tombstone.
    pub value: Option<Cow<'a, [u8]>>,
    /// The headers, in order.
    pub headers: Vec<Header<'a>>,
    /// Milliseconds since the epoch, if the event carries Kafka's timestamp.
    pub timestamp: Option<i64>,
    /// Where the record has been, if the event tells it.
    pub via: Option<Cow<'a, str>>,
}

/// Reads an event. Fails with `Kind::EventFormat` when `json` is not one.
pub fn decode_event(json: &[u8]) -> Result<Event<'_>> {
    let envelope: Envelope<'_> =
        serde_json::from_slice(json).map_err(|error| malformed(&error.to_string()))?;
    let metadata = envelope.metadata;
    let padding = metadata.kafka_value_padding.as_ref();
    let value = restore_value(envelope.data, metadata.kafka_value_encoding.as_deref(), padding)?;
    let headers = match metadata.kafka_header_list {
        Some(list) => list.into_iter().map(restore_header).collect::<Result<_>>()?,
        None => metadata.kafka_headers.unwrap_or_default().0,
    };
    Ok(Event {
        event_type: envelope.event_type,
        stream: envelope.stream,
        namespace: envelope.namespace,
        position: metadata.position,
        transaction_id: metadata.transaction_id,
        value,
        headers,
        timestamp: metadata.kafka_timestamp,
        via: metadata.kafka_via.and_then(|via| string_text(via.get().as_bytes())).filter(|via| is_mark(via)),
    })
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    event_type: Cow<'a, str>,
    #[serde(borrow)]
    stream: Cow<'a, str>,
    #[serde(default, borrow)]
    namespace: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(default, borrow)]
    metadata: Metadata<'a>,
}

#[derive(Default, Deserialize)]
struct Metadata<'a> {
    #[serde(default, borrow)]
    position: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    transaction_id: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    kafka_headers: Option<HeaderMap<'a>>,
    #[serde(default, borrow)]
    kafka_header_list: Option<Vec<(Text<'a>, Option<Text<'a>>)>>,
    #[serde(default)]
    kafka_timestamp: Option<i64>,
    // Of any type: what is no mark is left alone.
    #[serde(default, borrow)]
    kafka_via: Option<&'a RawValue>,
    #[serde(default, borrow)]
    kafka_value_encoding: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    kafka_value_padding: Option<(Cow<'a, str>, Cow<'a, str>)>,
}

/// Bytes as text where they are UTF-8, as `{"base64": ".."}` where not.
#[derive(Deserialize)]
#[serde(untagged)]
enum Text<'a> {
    Plain(#[serde(borrow)] Cow<'a, str>),
    Encoded { base64: String },
}

/// A JSON object of text in the order it was written.
#[derive(Debug, Default)]
struct HeaderMap<'a>(Vec<Header<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for HeaderMap<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = HeaderMap<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of header names to text or null")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> std::result::Result<Self::Value, M::Error> {
                let mut headers = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Option<String>>()? {
                    headers.push((
                        Cow::Owned(name.into_bytes()),
                        value.map(|value| Cow::Owned(value.into_bytes())),
                    ));
                }
                Ok(HeaderMap(headers))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

fn restore_header<'a>((name, value): (Text<'a>, Option<Text<'a>>)) -> Result<Header<'a>> {
    Ok((restore_text(name)?, value.map(restore_text).transpose()?))
}

fn restore_text(text: Text<'_>) -> Result<Cow<'_, [u8]>> {
    match text {
        Text::Plain(Cow::Borrowed(text)) => Ok(Cow::Borrowed(text.as_bytes())),
        Text::Plain(Cow::Owned(text)) => Ok(Cow::Owned(text.into_bytes())),
        Text::Encoded { base64 } => decode_base64(&base64),
    }
}

fn restore_value<'a>(
    data: &'a RawValue,
    encoding: Option<&str>,
    padding: Option<&(Cow<'a, str>, Cow<'a, str>)>,
) -> Result<Option<Cow<'a, [u8]>>> {
    let raw = data.get();
    match encoding {
        None if raw == "null" => Ok(None),
        None | Some("json") => Ok(Some(match padding {
            None => Cow::Borrowed(raw.as_bytes()),
            Some((lead, trail)) => Cow::Owned([lead.as_bytes(), raw.as_bytes(), trail.as_bytes()].concat()),
        })),
        Some("text") => match string(raw)? {
            Cow::Borrowed(text) => Ok(Some(Cow::Borrowed(text.as_bytes()))),
            Cow::Owned(text) => Ok(Some(Cow::Owned(text.into_bytes()))),
        },
        Some("base64") => Ok(Some(decode_base64(&string(raw)?)?)),
        Some(other) => Err(malformed(&format!(
            "kafka_value_encoding is {other:?}, expected \"json\", \"text\" or \"base64\""
        ))),
    }
}

/// A JSON string; borrowed where it holds no escape.
fn string(raw: &str) -> Result<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Borrowing<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str::<Borrowing<'_>>(raw)
        .map(|text| text.0)
        .map_err(|error| malformed(&format!("data is not the string that its encoding promises: {error}")))
}

fn decode_base64<'a>(text: &str) -> Result<Cow<'a, [u8]>> {
    STANDARD.decode(text).map(Cow::Owned).map_err(|error| malformed(&format!("bad base64: {error}")))
}

fn malformed(reason: &str) -> Error {
    Error::new(Kind::EventFormat, format!("not a Rivven source event: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::event_encode::{encode_event, EventOptions};
    use crate::kafka::varint;
    use crate::record::{Block, Record, Span, TimestampType};
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;
    use std::sync::Arc;

    type Parts = (Option<Vec<u8>>, Vec<(Vec<u8>, Option<Vec<u8>>)>);

    fn block((value, headers): &Parts) -> Block {
        let mut bytes = value.clone().unwrap_or_default();
        let start = bytes.len();
        for (name, value) in headers {
            varint::write_i32(&mut bytes, name.len() as i32);
            bytes.extend_from_slice(name);
            varint::write_i32(&mut bytes, value.as_ref().map_or(-1, |value| value.len() as i32));
            bytes.extend_from_slice(value.as_deref().unwrap_or_default());
        }
        let record = Record {
            offset: 7,
            timestamp: 1_700_000_000_123,
            chunk: 0,
            key: Span::NULL,
            value: value.as_ref().map_or(Span::NULL, |value| Span { start: 0, len: value.len() as i32 }),
            headers: Span { start: start as u32, len: (bytes.len() - start) as i32 },
            header_count: headers.len() as u32,
            timestamp_type: TimestampType::CreateTime,
        };
        Block {
            topic: Arc::from("orders"),
            partition: 3,
            leader_epoch: 0,
            next_offset: 8,
            bytes: bytes.len(),
            chunks: Arc::from([bytes::Bytes::from(bytes)]),
            records: Arc::new(vec![record]),
        }
    }

    fn encoded(parts: &Parts) -> Vec<u8> {
        let block = block(parts);
        let mut out = Vec::new();
        let options = EventOptions { include_headers: true, include_key: true };
        encode_event(&block, &block.records[0], options, None, None, &mut out).unwrap();
        out
    }

    fn assert_restored(parts: &Parts) {
        let json = encoded(parts);
        let generic: serde_json::Value = serde_json::from_slice(&json).expect("readable by any JSON reader");
        assert_eq!(generic["metadata"]["position"], "orders:3:7");
        let event = decode_event(&json).unwrap();
        assert_eq!(event.value.as_deref(), parts.0.as_deref(), "{}", String::from_utf8_lossy(&json));
        let headers: Vec<_> =
            event.headers.iter().map(|(n, v)| (n.to_vec(), v.as_ref().map(|v| v.to_vec()))).collect();
        assert_eq!(headers, parts.1);
        assert_eq!(event.timestamp, Some(1_700_000_000_123));
    }

    #[test]
    fn awkward_values_are_restored() {
        for value in [
            &b"null"[..],
            b" null",
            b"",
            b" ",
            b"{}",
            b" {}\n",
            b"\"text\"",
            b"text",
            b"1e400",
            b"9007199254740993",
            b"{\"a\":1,\"a\":2}",
            b"[1.50, 2.0]",
            b"\"\\ud800\"",
            b"\xff\x00",
            b"\"a\\u0000\"",
            b"a\x00b",
            b"\t1\t",
        ] {
            assert_restored(&(Some(value.to_vec()), vec![]));
        }
        assert_restored(&(None, vec![]));
        assert!(encoded(&(None, vec![])).windows(12).any(|window| window == b"\"data\":null,"));
    }

    #[test]
    fn events_of_other_sources_are_read() {
        let json = br#"{"event_type":"insert","stream":"users","namespace":null,"timestamp":"x","data":{"id": 1},"metadata":{"transaction_id":"9"}}"#;
        let event = decode_event(json).unwrap();
        assert_eq!(event.value.as_deref(), Some(&b"{\"id\": 1}"[..]));
        assert_eq!((event.namespace, event.transaction_id.as_deref()), (None, Some("9")));
        for bad in [&b"{}"[..], b"", b"[]", b"{\"event_type\":1}", b"\xff"] {
            assert_eq!(decode_event(bad).unwrap_err().kind, Kind::EventFormat);
        }
    }

    proptest! {
        #[test]
        fn any_record_is_restored(
            value in option::of(vec(any::<u8>(), 0..40)),
            headers in vec((vec(any::<u8>(), 0..4), option::of(vec(any::<u8>(), 0..4))), 0..5),
        ) {
            assert_restored(&(value, headers));
        }

        #[test]
        fn text_records_are_restored(
            value in "[ \\n\\[\\]{}\":,0-9a-e\\\\]{0,20}",
            headers in vec(("[ab]{0,2}".prop_map(String::into_bytes),
                            option::of("\\PC{0,3}".prop_map(String::into_bytes))), 0..5),
        ) {
            assert_restored(&(Some(value.into_bytes()), headers));
        }

        #[test]
        fn mutated_events_never_panic(position: usize, byte: u8) {
            let mut json = encoded(&(Some(b"{\"a\": [1]}".to_vec()), vec![(b"h".to_vec(), None), (b"h".to_vec(), Some(vec![255]))]));
            let position = position % json.len();
            json[position] = byte;
            let _ = decode_event(&json);
        }
    }
}
