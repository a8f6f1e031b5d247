//! Rivven record -> Kafka record: key, value, headers and timestamp by the sink's options.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde::Deserializer as _;
use serde_json::value::RawValue;

use crate::bridge::event_decode::{decode_event, Event};
use crate::bridge::transform::Transforms;
use crate::bridge::via::{self, LoopProtection};
use crate::error::{Error, Kind, Result};
use crate::kafka::writer::{encode_header, encode_header_of};
use crate::record::{Block, Record};

/// What a Rivven value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueFormat {
    /// The bytes of the Kafka value.
    Raw,
    /// A source event, from which the record is restored.
    Event,
}

/// How Rivven records become Kafka records.
#[derive(Debug, Clone)]
pub struct OutgoingOptions {
    /// What the Rivven values are.
    pub format: ValueFormat,
    /// What is done to the values first.
    pub transforms: Transforms,
    /// Member of the JSON value that becomes the key; where it is missing, the Rivven key stays.
    pub key_field: Option<String>,
    /// Whether a value without that member cannot be delivered.
    pub key_field_required: bool,
    /// Whether to add the `rivven_*` headers.
    pub include_headers: bool,
    /// Headers added to every record, encoded.
    pub custom_headers: Vec<u8>,
    /// How many they are.
    pub custom_header_count: u32,
    /// What tells where records have been, and refuses those that come back; and the Kafka topic.
    pub protection: Option<(LoopProtection, String)>,
}

/// What becomes of a Rivven record.
#[derive(Debug)]
pub enum Fate<'a> {
    /// It is written.
    Write(Outgoing<'a>),
    /// A filter drops it.
    Filtered,
    /// It has been in the Kafka topic.
    Echo,
}

/// A Kafka record to be written; its headers are in the buffer given to `outgoing`.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    /// Key or null.
    pub key: Option<Cow<'a, [u8]>>,
    /// Whether there is a `key_field` and the value lacks it. Null values are not meant to have it.
    pub key_missing: bool,
    /// Value; null is a tombstone.
    pub value: Option<Cow<'a, [u8]>>,
    /// Number of encoded headers.
    pub header_count: u32,
}

/// The Kafka record for `record`, if it is to be written; writes its encoded headers to `headers`, which is cleared
/// first, and a transformed value to `edited`.
pub fn outgoing<'a>(
    block: &'a Block,
    record: &Record,
    options: &OutgoingOptions,
    headers: &mut Vec<u8>,
    edited: &'a mut Vec<u8>,
) -> Result<Fate<'a>> {
    headers.clear();
    let mut header_count = 0;
    let transforms = &options.transforms;
    let stored = block.value(record);
    let mut past = Cow::Borrowed("");
    if let Some((protection, topic)) = &options.protection {
        // First of all: transforms for the values of programs may not fit what was copied.
        if options.format == ValueFormat::Raw || !transforms.is_empty() {
            past = via::mark_of_event(stored.unwrap_or_default());
            if protection.is_echo(&past, topic) {
                return Ok(Fate::Echo);
            }
        }
    }
    let kept = match (options.format, stored) {
        _ if transforms.is_empty() => true,
        (ValueFormat::Raw, None) => !transforms.drop_empty_values(),
        (ValueFormat::Raw, Some(value)) => transform(edited, |out| transforms.apply(value, out))?,
        (ValueFormat::Event, value) => {
            transform(edited, |out| transforms.apply_to_restore(value.unwrap_or_default(), out))?
        }
    };
    if !kept {
        return Ok(Fate::Filtered);
    }
    let stored: Option<&'a [u8]> = if transforms.is_empty() { stored } else { stored.map(|_| &edited[..]) };
    let (event, value) = match options.format {
        ValueFormat::Raw => {
            headers.extend_from_slice(block.get(record, record.headers).unwrap_or_default());
            header_count += record.header_count;
            (None, stored.map(Cow::Borrowed))
        }
        ValueFormat::Event => {
            let mut event = decode_event(stored.unwrap_or_default()).map_err(|mut error| {
                if !transforms.is_empty() {
                    error.message.insert_str(0, "after its transforms: ");
                }
                error
            })?;
            if options.protection.is_some() {
                past = take_mark(&mut event);
            }
            for (name, value) in &event.headers {
                encode_header(headers, name, value.as_deref());
            }
            header_count += event.headers.len() as u32;
            let value = event.value.take();
            (Some(event), value)
        }
    };
    headers.extend_from_slice(&options.custom_headers);
    header_count += options.custom_header_count;
    if options.include_headers {
        header_count += write_rivven_headers(block, record, event.as_ref(), headers);
    }
    if let Some((protection, topic)) = &options.protection {
        let Some(via) = protection.extend(past, &block.topic, topic)? else { return Ok(Fate::Echo) };
        encode_header_of(headers, via::HEADER, &via.pieces());
        header_count += 1;
    }
    let (mut key, mut key_missing) = (None, false);
    if let (Some(field), Some(value)) = (options.key_field.as_deref(), value.as_deref()) {
        key = json_member(value, field).map(Cow::Owned);
        key_missing = key.is_none();
        if key_missing && options.key_field_required {
            let message = format!("the value has no field {field:?} for the key (key_field)");
            return Err(Error::new(Kind::EventFormat, message));
        }
    }
    let key = key.or_else(|| block.key(record).map(Cow::Borrowed));
    let timestamp = event.as_ref().and_then(|event| event.timestamp).unwrap_or(record.timestamp);
    Ok(Fate::Write(Outgoing { timestamp, key, key_missing, value, header_count }))
}

fn transform(edited: &mut Vec<u8>, apply: impl FnOnce(&mut Vec<u8>) -> Result<bool>) -> Result<bool> {
    edited.clear();
    apply(edited)
}

/// Takes the mark out of an event. A source without loop protection leaves it among the headers.
fn take_mark<'a>(event: &mut Event<'a>) -> Cow<'a, str> {
    let mut past = String::new();
    event.headers.retain(|(name, value)| match via::mark(name, value.as_deref()) {
        Some(more) => {
            via::append(&mut past, more);
            false
        }
        None => true,
    });
    let own = event.via.take().unwrap_or_default();
    if past.is_empty() {
        own
    } else if own.is_empty() {
        Cow::Owned(past)
    } else {
        Cow::Owned(format!("{past},{own}"))
    }
}

fn write_rivven_headers(block: &Block, record: &Record, event: Option<&Event<'_>>, out: &mut Vec<u8>) -> u32 {
    let mut count = 2;
    let (stream, event_type) =
        event.map_or((&*block.topic, "record"), |event| (&event.stream, &event.event_type));
    encode_header(out, b"rivven_stream", Some(stream.as_bytes()));
    encode_header(out, b"rivven_event_type", Some(event_type.as_bytes()));
    let mut optional = |name: &[u8], value: Option<&str>| {
        if let Some(value) = value {
            encode_header(out, name, Some(value.as_bytes()));
            count += 1;
        }
    };
    if let Some(event) = event {
        optional(b"rivven_namespace", event.namespace.as_deref());
        optional(b"rivven_position", event.position.as_deref());
        optional(b"rivven_transaction_id", event.transaction_id.as_deref());
    } else {
        count += 1;
        let (mut partition, mut offset) = (itoa::Buffer::new(), itoa::Buffer::new());
        let (partition, offset) = (partition.format(block.partition), offset.format(record.offset));
        let position = [&block.topic, ":", partition, ":", offset];
        encode_header_of(out, b"rivven_position", &position.map(str::as_bytes));
    }
    count
}

/// The member `field` of the JSON object `json` as key bytes: text without quotes, anything else as written.
/// None where `json` is not an object, lacks the member, or has null there. Of repeated members the last counts.
fn json_member(json: &[u8], field: &str) -> Option<Vec<u8>> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let raw = reader.deserialize_map(Member(field)).ok().flatten()?;
    match raw.get() {
        "null" => None,
        text if text.starts_with('"') => serde_json::from_str::<String>(text).ok().map(String::into_bytes),
        text => Some(text.as_bytes().to_vec()),
    }
}

struct Member<'f>(&'f str);

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> std::result::Result<Self::Value, M::Error> {
        let mut found = None;
        while let Some(matches) = map.next_key_seed(NameIs(self.0))? {
            if matches {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Compares a member name without keeping it.
struct NameIs<'f>(&'f str);

impl<'de> DeserializeSeed<'de> for NameIs<'_> {
    type Value = bool;

    fn deserialize<D: serde::Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> std::result::Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NameIs<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_str<E>(self, name: &str) -> std::result::Result<bool, E> {
        Ok(name == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::json_member;

    #[test]
    fn key_fields_are_taken_as_text() {
        let json = br#" {"id": 7, "name": "a\u00e9", "gone": null, "deep": {"id": [1, 2]}, "id": 1.50} "#;
        let get = |field| json_member(json, field).map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(get("id").as_deref(), Some("1.50"));
        assert_eq!(get("name").as_deref(), Some("aé"));
        assert_eq!(get("deep").as_deref(), Some(r#"{"id": [1, 2]}"#));
        assert_eq!((get("gone"), get("missing")), (None, None));
        for bad in [&b"[1]"[..], b"", b"{", b"7", b"\xff"] {
            assert_eq!(json_member(bad, "id"), None);
        }
    }
}
