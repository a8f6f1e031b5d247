//! Events for Python: to see what a source publishes, and to test it.

#![allow(clippy::doc_markdown)] // these are Python docstrings, in Google style

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::bridge::event_encode::{encode_event, EventOptions};
use crate::error::Result;
use crate::kafka::py::RecordBlock;

/// The events that a source with `value_format: event` publishes for the records of `block`, as JSON.
///
/// Args:
///     block: Records of Kafka.
///     include_headers: Whether they tell the headers.
///     include_key: Whether they tell the key.
#[pyfunction]
#[pyo3(signature = (block, *, include_headers = true, include_key = true))]
pub fn encode_events<'py>(
    py: Python<'py>,
    block: &RecordBlock,
    include_headers: bool,
    include_key: bool,
) -> PyResult<Bound<'py, PyList>> {
    let options = EventOptions { include_headers, include_key };
    let block = &block.0;
    let (out, ends) = py.detach(|| -> Result<_> {
        let mut out = Vec::new();
        let mut ends: Vec<usize> = Vec::with_capacity(block.records.len());
        for record in block.records.iter() {
            encode_event(block, record, options, None, None, &mut out)?;
            ends.push(out.len());
        }
        Ok((out, ends))
    })?;
    let mut start = 0;
    PyList::new(
        py,
        ends.into_iter().map(|end| PyBytes::new(py, &out[std::mem::replace(&mut start, end)..end])),
    )
}
