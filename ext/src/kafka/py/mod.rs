//! The Python faces of this module.

#![allow(clippy::doc_markdown)] // these are Python docstrings, in Google style

mod arguments;
mod block;
mod builder;
mod reader;
mod rows;

pub use block::{header_list, read_headers, RecordBlock};
pub use builder::{sealed_bytes, PyBatchBuilder};
pub use reader::PyBatchReader;
pub use rows::block_from_rows;

use std::num::NonZeroU32;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

/// Murmur2 of a key, as Kafka's Java client computes it.
#[pyfunction]
pub fn murmur2(key: PyBackedBytes) -> u32 {
    super::murmur2::murmur2(&key)
}

/// The partition that Kafka's default partitioner chooses for a key.
///
/// Raises:
///     ValueError: If there are no partitions.
#[pyfunction]
pub fn partition_for_key(key: PyBackedBytes, partitions: u32) -> PyResult<u32> {
    let partitions =
        NonZeroU32::new(partitions).ok_or_else(|| PyValueError::new_err("partitions must be at least 1"))?;
    Ok(super::murmur2::partition_for_key(&key, partitions))
}
