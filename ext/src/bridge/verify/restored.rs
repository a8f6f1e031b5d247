//! The Kafka record that an event tells.

use std::borrow::Cow;

use crate::bridge::event_decode::{decode_event, Event, Header, Notes};
use crate::bridge::event_encode::lossy;
use crate::bridge::event_position::{event_position, parse, parse_id, EventPosition};
use crate::bridge::transform::scan::string_text;
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

impl<'a> Restored<'a> {
    /// Restores the record of an event that stands at `position`.
    pub fn new(
        key: Option<&'a [u8]>,
        value: &'a [u8],
        position: &EventPosition<'_>,
        with_headers: bool,
    ) -> Result<Self> {
        Ok(Self::of_event(decode_event(value)?, key, position, with_headers))
    }

    fn of_event(
        event: Event<'a>,
        key: Option<&'a [u8]>,
        position: &EventPosition<'_>,
        with_headers: bool,
    ) -> Self {
        let flaw = flaw(&event, key, position);
        Self {
            offset: position.offset,
            timestamp: event.timestamp,
            timestamp_type: match event.notes.timestamp_type {
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
        let topic_id = event.notes.topic_id.and_then(|id| parse_id(id.as_bytes()));
        let position = EventPosition { topic_id, topic, partition, offset };
        let restored = Restored::of_event(event, key, &position, with_headers);
        Found::Event(position, restored)
    }
}

/// The fields that say once more what is known already.
fn flaw(event: &Event<'_>, key: Option<&[u8]>, position: &EventPosition<'_>) -> Option<&'static str> {
    let Notes { partition, offset, key: text, .. } = event.notes;
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
