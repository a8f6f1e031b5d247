//! The digest of a record: the first 16 bytes of SHA-256 over its position and contents.
//!
//! It is the same in every run and needs nothing but SHA-256, so that anybody can compute it from any client's
//! records; docs/verify.md tells how. All numbers are big-endian:
//!
//! * position, timestamp: i64; type of the timestamp: u8 (0 set by the producer, 1 by the broker)
//! * key, value: length as i32 (-1 for null), bytes
//! * headers: how many as u32, then name and value of each like key and value
//!
//! Digests of several records are added modulo 2^128: each is bound to its position, so that the sum does not
//! depend on the order in which they come, and differs when two records change places.

use sha2::{Digest, Sha256};

use super::restored::Restored;
use crate::error::Result;
use crate::record::{Block, Record, TimestampType};

/// Writes records in the form above and digests them; kept for its memory.
#[derive(Debug, Default)]
pub struct Digester {
    form: Vec<u8>,
}

impl Digester {
    /// The digest of a Kafka record.
    pub fn record(&mut self, block: &Block, record: &Record, with_headers: bool) -> Result<u128> {
        let by_broker = record.timestamp_type == TimestampType::LogAppendTime;
        self.start(record.offset, record.timestamp, u8::from(by_broker));
        self.bytes(block.key(record));
        self.bytes(block.value(record));
        self.count(if with_headers { record.header_count } else { 0 });
        if with_headers {
            for header in block.headers(record) {
                let (name, value) = header?;
                self.bytes(Some(name));
                self.bytes(value);
            }
        }
        Ok(self.finish())
    }

    /// The digest of the Kafka record that was restored from an event.
    pub fn restored(&mut self, restored: &Restored<'_>) -> u128 {
        // An event without a timestamp has none of Kafka's, whose least is -1.
        self.start(restored.offset, restored.timestamp.unwrap_or(i64::MIN), restored.timestamp_type);
        self.bytes(restored.key);
        self.bytes(restored.value.as_deref());
        self.count(restored.headers.len() as u32);
        for (name, value) in &restored.headers {
            self.bytes(Some(name));
            self.bytes(value.as_deref());
        }
        if let Some(flaw) = restored.flaw {
            // What no record of Kafka has.
            self.form.extend_from_slice(flaw.as_bytes());
        }
        self.finish()
    }

    /// The digest of what stands where an event should.
    pub fn malformed(&mut self, value: &[u8]) -> u128 {
        self.form.clear();
        self.form.extend_from_slice(b"malformed");
        self.form.extend_from_slice(value);
        self.finish()
    }

    /// The digest of a key and a value alone.
    pub fn pair(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) -> u128 {
        self.form.clear();
        self.bytes(key);
        self.bytes(value);
        self.finish()
    }

    fn start(&mut self, position: i64, timestamp: i64, timestamp_type: u8) {
        self.form.clear();
        self.form.extend_from_slice(&position.to_be_bytes());
        self.form.extend_from_slice(&timestamp.to_be_bytes());
        self.form.push(timestamp_type);
    }

    fn count(&mut self, count: u32) {
        self.form.extend_from_slice(&count.to_be_bytes());
    }

    fn bytes(&mut self, bytes: Option<&[u8]>) {
        self.form.extend_from_slice(&bytes.map_or(-1, |bytes| bytes.len() as i32).to_be_bytes());
        self.form.extend_from_slice(bytes.unwrap_or_default());
    }

    fn finish(&mut self) -> u128 {
        let digest = Sha256::digest(&self.form);
        digest[..16].iter().fold(0, |number, byte| number << 8 | u128::from(*byte))
    }
}

/// How a digest is written.
pub fn hex(digest: u128) -> String {
    format!("{digest:032x}")
}
