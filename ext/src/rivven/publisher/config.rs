//! What a publisher is told.

use std::sync::Arc;

use super::exact::Recognition;
use crate::bad::OnBad;
use crate::error::{Error, Kind, Result};
use crate::metrics::Histogram;
use crate::rivven::arguments::at_least_one;
use crate::rivven::link::LinkConfig;

/// Largest request body that is sent. rivvend takes 10,485,760 bytes, but a record that fills a request to the
/// last bytes does not fit into any response: it is stored and can never be read.
pub const LARGEST_REQUEST: usize = 10_480_000;

/// Records in one request: rivvend takes 10,000.
const MOST_RECORDS: usize = 10_000;

/// Which Rivven partition a record goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partitioning {
    /// The one with the number of the Kafka partition.
    Preserve,
    /// Kafka's default: murmur2 of the key; without a key, by the Kafka partition.
    Key,
}

/// Configuration of a publisher.
#[derive(Debug, Clone)]
pub struct PublisherConfig {
    /// Servers, timeouts, retries.
    pub link: LinkConfig,
    /// How a partition is chosen.
    pub partitioning: Partitioning,
    /// Most connections, for all routes together (rivvend allows 100 per client address).
    pub connections: usize,
    /// Most records in one request.
    pub max_batch_records: usize,
    /// A request is closed before it exceeds this; a larger record travels alone.
    pub max_request_bytes: usize,
    /// What becomes of records that cannot be encoded, or are too large.
    pub on_bad: OnBad,
    /// Whether to look, over each new connection, if the log still has what it had.
    pub check_log: bool,
    /// Exactly-once delivery: how records are recognised. None: at least once.
    pub recognition: Option<Recognition>,
    /// Takes how old records are when Rivven has stored them (ms).
    pub ages: Option<Arc<Histogram>>,
}

impl PublisherConfig {
    /// Checks the ranges.
    pub fn check(&self) -> Result<()> {
        for (name, value) in [
            ("connections", self.connections),
            ("max_batch_records", self.max_batch_records),
            ("max_request_bytes", self.max_request_bytes),
        ] {
            at_least_one(name, value as u64)?;
        }
        for (name, value, most) in [
            ("max_batch_records", self.max_batch_records, MOST_RECORDS),
            ("max_request_bytes", self.max_request_bytes, LARGEST_REQUEST),
        ] {
            if value > most {
                return Err(Error::new(Kind::Config, format!("{name} must be at most {most}")));
            }
        }
        Ok(())
    }
}
