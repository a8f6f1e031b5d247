//! `BadRecord`: a record that was left out, as Python sees it.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::bad::Bad;
use crate::kafka::py::header_list;

/// A record that could not be converted, or is too large for the other side.
#[pyclass(frozen, module = "rivven_kafka._native")]
pub struct BadRecord(Bad);

impl From<Bad> for BadRecord {
    fn from(bad: Bad) -> Self {
        Self(bad)
    }
}

#[pymethods]
impl BadRecord {
    /// Topic the record was read from.
    #[getter]
    fn topic(&self) -> &str {
        &self.0.block.topic
    }

    /// Partition the record was read from.
    #[getter]
    fn partition(&self) -> i32 {
        self.0.block.partition
    }

    /// Offset of the record.
    #[getter]
    fn offset(&self) -> i64 {
        self.0.record().offset
    }

    /// Why it was left out.
    #[getter]
    fn reason(&self) -> &str {
        &self.0.reason
    }

    /// Why it was left out, in one of a few words: format, invalid, other, `too_large` or tombstone.
    #[getter]
    fn cause(&self) -> &'static str {
        self.0.cause()
    }

    /// Milliseconds since the epoch, -1 if the record has no timestamp.
    #[getter]
    fn timestamp(&self) -> i64 {
        self.0.record().timestamp
    }

    /// The key, None for null.
    #[getter]
    fn key<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.0.block.key(self.0.record()).map(|key| PyBytes::new(py, key))
    }

    /// The value, None for null.
    #[getter]
    fn value<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.0.block.value(self.0.record()).map(|value| PyBytes::new(py, value))
    }

    /// The headers in order, with duplicates, as (name, value or None).
    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        header_list(py, &self.0.block, self.0.record())
    }

    /// Acknowledges the record: the position of its partition may move over it. Of no effect when that is done
    /// already (as with `on_bad="skip"`), and harmless when the partition was given up.
    fn settle(&self) {
        self.0.settle();
    }

    fn __repr__(&self) -> String {
        format!("<BadRecord {}:{}:{}>", self.topic(), self.partition(), self.offset())
    }
}
