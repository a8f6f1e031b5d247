//! The Kafka record that an event tells.

use std::borrow::Cow;

use crate::bridge::event_decode::{decode_event, Event, Header};
use crate::bridge::event_encode::lossy;
use crate::bridge::event_position::{event_position, parse, parse_id, EventPosition};
use crate::bridge::transform::scan::{find, members, string_text};
use crate::error::Result;

/// A record as restored from an event.
#[derive(Debug)]
pub struct Restored<'a> {
    /// Offset in the Kafka partition.
    pub offset: i64,
    /// Milliseconds since the epoch, if the event tells it.
    pub timestamp: Option<i64>,
    /// 0 set by the producer, 1 by the broker, 2 something else.
    pub timestamp_type: u8,
    /// Key: that of the Rivven record.
    pub key: Option<&'a [u8]>,
    /// Value, None for a tombstone.
    pub value: Option<Cow<'a, [u8]>>,
    /// Headers in order; none where the source leaves them out.
    pub headers: Vec<Header<'a>>,
    /// What in the event contradicts the rest of it.
    pub flaw: Option<&'static str>,
}

/// What an event says of itself besides, which nothing is restored from: fields of `metadata` as JSON text of any
/// type, as other tools may write them otherwise, or twice; the last one counts.
#[derive(Debug, Clone, Copy, Default)]
pub struct Notes<'a> {
    /// `kafka_timestamp_type`: `"log_append_time"` where the broker set the timestamp.
    pub timestamp_type: Option<&'a str>,
    /// `kafka_topic_id`.
    pub topic_id: Option<&'a str>,
    /// `kafka_key`: the key as text, with what is not UTF-8 replaced.
    pub key: Option<&'a str>,
    /// `kafka_partition`.
    pub partition: Option<&'a str>,
    /// `kafka_offset`.
    pub offset: Option<&'a str>,
}

impl<'a> Notes<'a> {
    /// Those of an event.
    pub fn of(event: &'a [u8]) -> Self {
        let mut notes = Self::default();
        let Some(metadata) = find(event, ["metadata"].into_iter()) else { return notes };
        for member in members(metadata, 0) {
            let place = match &metadata[member.name.clone()] {
                b"\"kafka_timestamp_type\"" => &mut notes.timestamp_type,
                b"\"kafka_topic_id\"" => &mut notes.topic_id,
                b"\"kafka_key\"" => &mut notes.key,
                b"\"kafka_partition\"" => &mut notes.partition,
                b"\"kafka_offset\"" => &mut notes.offset,
                _ => continue,
            };
            *place = std::str::from_utf8(&metadata[member.value]).ok();
        }
        notes
    }
}

impl<'a> Restored<'a> {
    /// Restores the record of an event that stands at `position`.
    pub fn new(
        key: Option<&'a [u8]>,
        value: &'a [u8],
        position: &EventPosition<'_>,
        with_headers: bool,
    ) -> Result<Self> {
        Ok(Self::of_event(decode_event(value)?, &Notes::of(value), key, position, with_headers))
    }

    fn of_event(
        event: Event<'a>,
        notes: &Notes<'_>,
        key: Option<&'a [u8]>,
        position: &EventPosition<'_>,
        with_headers: bool,
    ) -> Self {
        let flaw = flaw(&event, notes, key, position);
        Self {
            offset: position.offset,
            timestamp: event.timestamp,
            timestamp_type: match notes.timestamp_type {
                None => 0,
                Some("\"log_append_time\"") => 1,
                Some(_) => 2,
            },
            key,
            value: event.value,
            headers: if with_headers { event.headers } else { Vec::new() },
            flaw,
        }
    }
}

/// What a Rivven record is, as an event of a source.
#[derive(Debug)]
pub enum Found<'a> {
    /// It tells no position.
    Foreign,
    /// It tells a position, and is no event.
    Malformed(EventPosition<'a>),
    /// It is an event.
    Event(EventPosition<'a>, Restored<'a>),
}

impl<'a> Found<'a> {
    /// Reads the value of a Rivven record.
    pub fn read(key: Option<&'a [u8]>, value: &'a [u8], with_headers: bool) -> Self {
        let Ok(event) = decode_event(value) else {
            return event_position(value).map_or(Found::Foreign, Found::Malformed);
        };
        let Some((topic, partition, offset)) = event.position.clone().and_then(parse) else {
            return Found::Foreign;
        };
        let notes = Notes::of(value);
        let topic_id = notes.topic_id.and_then(|id| parse_id(id.as_bytes()));
        let position = EventPosition { topic_id, topic, partition, offset };
        let restored = Restored::of_event(event, &notes, key, &position, with_headers);
        Found::Event(position, restored)
    }
}

/// The fields that say once more what is known already.
fn flaw(
    event: &Event<'_>,
    notes: &Notes<'_>,
    key: Option<&[u8]>,
    position: &EventPosition<'_>,
) -> Option<&'static str> {
    let Notes { partition, offset, key: text, .. } = *notes;
    let differs = |noted: Option<&str>, number: i64| {
        noted.is_some_and(|noted| noted != itoa::Buffer::new().format(number))
    };
    if event.event_type != "record" {
        Some("event_type")
    } else if event.stream != position.topic {
        Some("stream")
    } else if event.namespace.as_deref() != Some("kafka") {
        Some("namespace")
    } else if differs(partition, i64::from(position.partition)) {
        Some("metadata.kafka_partition")
    } else if differs(offset, position.offset) {
        Some("metadata.kafka_offset")
    } else if text.is_some_and(|text| string_text(text.as_bytes()) != key.map(lossy)) {
        Some("metadata.kafka_key")
    } else {
        None
    }
}
