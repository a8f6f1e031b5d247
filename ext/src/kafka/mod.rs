//! Kafka's bytes: record batches, compression, partitioning.

pub mod murmur2;
pub mod varint;
