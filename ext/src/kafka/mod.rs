//! Kafka's bytes: record batches, compression, partitioning.

mod aborted;
mod batch;
pub mod compression;
mod header;
mod legacy;
pub mod murmur2;
pub mod produce;
pub mod py;
pub mod reader;
#[cfg(test)]
mod tests;
pub mod varint;
pub mod writer;
