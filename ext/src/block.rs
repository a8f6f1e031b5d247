//! `RecordBlock`: a block of records as Python sees it.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::record::Block;

/// Records of one partition, kept in native memory.
#[pyclass(frozen, module = "rivven_kafka._native")]
pub struct RecordBlock(pub Block);

#[pymethods]
impl RecordBlock {
    /// Topic the records were read from.
    #[getter]
    fn topic(&self) -> &str {
        &self.0.topic
    }

    /// Partition the records were read from.
    #[getter]
    fn partition(&self) -> i32 {
        self.0.partition
    }

    /// Where the next read starts.
    #[getter]
    fn next_offset(&self) -> i64 {
        self.0.next_offset
    }

    fn __len__(&self) -> usize {
        self.0.records.len()
    }

    /// The keys, None where null.
    fn keys<'py>(&self, py: Python<'py>) -> Vec<Option<Bound<'py, PyBytes>>> {
        self.0.records.iter().map(|record| self.0.key(record).map(|key| PyBytes::new(py, key))).collect()
    }

    /// The values, None where null.
    fn values<'py>(&self, py: Python<'py>) -> Vec<Option<Bound<'py, PyBytes>>> {
        self.0
            .records
            .iter()
            .map(|record| self.0.value(record).map(|value| PyBytes::new(py, value)))
            .collect()
    }

    /// The offsets.
    fn offsets(&self) -> Vec<i64> {
        self.0.records.iter().map(|record| record.offset).collect()
    }
}
