//! The Rivven value of a Kafka record, by the source's options.

use std::borrow::Cow;

use crate::bridge::event_encode::{encode_event, EventOptions};
use crate::bridge::transform::Transforms;
use crate::bridge::via::{self, LoopProtection};
use crate::error::{Error, Kind, Result};
use crate::record::{Block, Record};
use crate::rivven::publisher::{Encoded, ValueEncoder};

/// What becomes of a null value, which Rivven cannot hold in raw format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnTombstone {
    /// It becomes an empty value.
    Empty,
    /// It is not published, and counted.
    Skip,
    /// The source stops before it.
    Fail,
}

impl OnTombstone {
    /// Reads the option.
    pub fn from_name(name: &str) -> Result<Self> {
        match name {
            "empty" => Ok(Self::Empty),
            "skip" => Ok(Self::Skip),
            "fail" => Ok(Self::Fail),
            other => {
                let message = format!("on_tombstone: got {other:?}, expected empty, skip or fail");
                Err(Error::new(Kind::Config, message))
            }
        }
    }
}

/// `value_format: event`.
#[derive(Debug, Clone)]
pub struct EventEncoder {
    /// What goes into an event.
    pub options: EventOptions,
    /// What tells where records have been, and refuses those that come back.
    pub protection: Option<LoopProtection>,
}

impl ValueEncoder for EventEncoder {
    fn encode(
        &self,
        block: &Block,
        record: &Record,
        topic_id: Option<&str>,
        destination: &str,
        out: &mut Vec<u8>,
    ) -> Result<Encoded> {
        let via = match &self.protection {
            None => None,
            Some(protection) => {
                let via = protection.extend(mark_of(block, record)?, &block.topic, destination)?;
                let Some(via) = via else { return Ok(Encoded::Echo) };
                Some(via)
            }
        };
        encode_event(block, record, self.options, topic_id, via.as_ref(), out)?;
        Ok(Encoded::Value)
    }
}

fn mark_of<'a>(block: &'a Block, record: &Record) -> Result<Cow<'a, str>> {
    let mut past = Cow::Borrowed("");
    for header in block.headers(record) {
        let (name, value) = header?;
        if let Some(more) = via::mark(name, value) {
            if past.is_empty() {
                past = Cow::Borrowed(more);
            } else {
                via::append(past.to_mut(), more);
            }
        }
    }
    Ok(past)
}

/// `value_format: event`, with transforms of the event.
#[derive(Debug, Clone)]
pub struct TransformedEventEncoder(pub EventEncoder, pub Transforms);

impl ValueEncoder for TransformedEventEncoder {
    fn encode(
        &self,
        block: &Block,
        record: &Record,
        topic_id: Option<&str>,
        destination: &str,
        out: &mut Vec<u8>,
    ) -> Result<Encoded> {
        let start = out.len();
        let encoded = self.0.encode(block, record, topic_id, destination, out)?;
        Ok(if encoded == Encoded::Echo || self.1.edit(out, start)? { encoded } else { Encoded::Filtered })
    }
}

/// `value_format: raw`.
#[derive(Debug, Clone, Copy)]
pub struct RawEncoder(pub OnTombstone);

impl ValueEncoder for RawEncoder {
    fn encode(
        &self,
        block: &Block,
        record: &Record,
        _topic_id: Option<&str>,
        _destination: &str,
        out: &mut Vec<u8>,
    ) -> Result<Encoded> {
        match (block.value(record), self.0) {
            (Some(value), _) => out.extend_from_slice(value),
            (None, OnTombstone::Empty) => {}
            (None, OnTombstone::Skip) => return Ok(Encoded::Skip),
            (None, OnTombstone::Fail) => {
                let message = "a null value (tombstone) cannot be stored in Rivven in raw format; \
                               set on_tombstone, or use value_format: event";
                return Err(Error::new(Kind::InvalidRequest, message));
            }
        }
        Ok(Encoded::Value)
    }
}

/// `value_format: raw`, with transforms of the value. A null value passes them, unless a filter drops it, and then
/// goes by `on_tombstone`.
#[derive(Debug, Clone)]
pub struct TransformedRawEncoder(pub RawEncoder, pub Transforms);

impl ValueEncoder for TransformedRawEncoder {
    fn encode(
        &self,
        block: &Block,
        record: &Record,
        topic_id: Option<&str>,
        destination: &str,
        out: &mut Vec<u8>,
    ) -> Result<Encoded> {
        let kept = match block.value(record) {
            None if self.1.drop_empty_values() => false,
            None => return self.0.encode(block, record, topic_id, destination, out),
            Some(value) => self.1.apply(value, out)?,
        };
        Ok(if kept { Encoded::Value } else { Encoded::Filtered })
    }
}
