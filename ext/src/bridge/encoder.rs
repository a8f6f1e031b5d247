//! The Rivven value of a Kafka record, by the source's options.

use crate::bridge::event_encode::{encode_event, EventOptions};
use crate::bridge::transform::Transforms;
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
#[derive(Debug, Clone, Copy)]
pub struct EventEncoder(pub EventOptions);

impl ValueEncoder for EventEncoder {
    fn encode(
        &self,
        block: &Block,
        record: &Record,
        topic_id: Option<&str>,
        out: &mut Vec<u8>,
    ) -> Result<Encoded> {
        encode_event(block, record, self.0, topic_id, out)?;
        Ok(Encoded::Value)
    }
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
        out: &mut Vec<u8>,
    ) -> Result<Encoded> {
        let start = out.len();
        self.0.encode(block, record, topic_id, out)?;
        Ok(if self.1.edit(out, start)? { Encoded::Value } else { Encoded::Filtered })
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
        out: &mut Vec<u8>,
    ) -> Result<Encoded> {
        let kept = match block.value(record) {
            None if self.1.drop_empty_values() => false,
            None => return self.0.encode(block, record, topic_id, out),
            Some(value) => self.1.apply(value, out)?,
        };
        Ok(if kept { Encoded::Value } else { Encoded::Filtered })
    }
}
