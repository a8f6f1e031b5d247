//! From a Kafka record to the value of a Rivven record.

use crate::error::Result;
use crate::record::{Block, Record};

/// What an encoder made of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoded {
    /// The value was appended.
    Value,
    /// The record is not to be published; it counts as done.
    Skip,
    /// The same, because a filter dropped it.
    Filtered,
    /// The record has been in the destination; it counts as done.
    Echo,
}

/// Writes the Rivven value of a record. The Rivven key is the record's key. Runs on the lanes' threads, right
/// before the record is sent.
pub trait ValueEncoder: Send + Sync {
    /// Appends the value to `out`. After an error what was appended is discarded, and `on_bad` decides. With
    /// `topic_id`, the value tells the Kafka topic's id, where it has a place for it. `destination` is the Rivven
    /// topic.
    fn encode(
        &self,
        block: &Block,
        record: &Record,
        topic_id: Option<&str>,
        destination: &str,
        out: &mut Vec<u8>,
    ) -> Result<Encoded>;
}
