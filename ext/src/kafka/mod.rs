//! Kafka's bytes: record batches, compression, partitioning.

pub mod varint;
