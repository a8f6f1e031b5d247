//! What a source does with a record, without sending it.

use std::sync::Arc;

use crate::record::{Block, Record};
use crate::rivven::publish_frame::PublishFrame;
use crate::rivven::publisher::{Encoded, ValueEncoder, LARGEST_REQUEST};

/// What the source does with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is published.
    Published,
    /// A filter or `on_tombstone` leaves it out.
    LeftOut,
    /// It cannot be converted, or is too large for Rivven.
    Bad,
}

/// Decides as the publisher of a source would.
pub struct Judge {
    encoder: Arc<dyn ValueEncoder>,
    /// Name of the Rivven topic, which takes its place in every request.
    destination: String,
}

impl Judge {
    /// For what a source publishes to the Rivven topic `destination`.
    pub fn new(encoder: Arc<dyn ValueEncoder>, destination: String) -> Self {
        Self { encoder, destination }
    }

    /// What the publisher would do; `value` is then what it would publish. `frame` is for its memory.
    pub fn fate(
        &self,
        block: &Block,
        record: &Record,
        frame: &mut PublishFrame,
        value: &mut Vec<u8>,
    ) -> Fate {
        frame.reset(&self.destination, block.partition.unsigned_abs());
        let mut encoded = Encoded::Value;
        let pushed = frame.push(block.key(record), |out| {
            let start = out.len();
            encoded = self.encoder.encode(block, record, None, &self.destination, out)?;
            value.clear();
            value.extend_from_slice(&out[start..]);
            Ok(())
        });
        match (pushed, encoded) {
            (Err(_), _) => Fate::Bad,
            (Ok(()), Encoded::Value) if frame.body_len() > LARGEST_REQUEST => Fate::Bad,
            (Ok(()), Encoded::Value) => Fate::Published,
            (Ok(()), _) => Fate::LeftOut,
        }
    }
}
