//! `BatchBuilder`: encodes record batches, for tools, tests and the Python API.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::arguments::{encode_headers, raw};
use crate::kafka::compression::Codec;
use crate::kafka::writer::{BatchWriter, ProducerState, SealedBatch};

/// Builds a record batch of magic 2.
///
/// Args:
///     compression: none, gzip, snappy, lz4 or zstd.
#[pyclass(name = "BatchBuilder", module = "rivven_kafka._native")]
#[derive(Debug)]
pub struct PyBatchBuilder {
    writer: BatchWriter,
    headers: Vec<u8>,
}

#[pymethods]
impl PyBatchBuilder {
    #[new]
    #[pyo3(signature = (compression="none"))]
    fn new(compression: &str) -> PyResult<Self> {
        Ok(Self { writer: BatchWriter::new(Codec::from_name(compression)?), headers: Vec::new() })
    }

    /// Appends a record.
    ///
    /// Args:
    ///     timestamp: Milliseconds since the epoch.
    ///     key: Key bytes or None.
    ///     value: Value bytes or None.
    ///     headers: (name, value or None) in order; names may repeat.
    ///
    /// Raises:
    ///     RecordTooLargeError: The format's lengths cannot hold it.
    #[pyo3(signature = (timestamp, key, value, headers=None),
           text_signature = "($self, timestamp, key, value, headers=())")]
    fn append(
        &mut self,
        timestamp: i64,
        key: Option<Bound<'_, PyAny>>,
        value: Option<Bound<'_, PyAny>>,
        headers: Option<Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        self.headers.clear();
        let count = headers.map_or(Ok(0), |headers| encode_headers(&mut self.headers, &headers))?;
        let key = key.as_ref().map(raw).transpose()?;
        let value = value.as_ref().map(raw).transpose()?;
        self.writer.append(timestamp, key.as_deref(), value.as_deref(), count, &[&self.headers])?;
        Ok(())
    }

    fn __len__(&self) -> usize {
        self.writer.records()
    }

    /// Size of the batch before compression.
    #[getter]
    fn size_bytes(&self) -> usize {
        self.writer.len()
    }

    /// The batch so far, compressed; more may be appended and built again.
    ///
    /// Raises:
    ///     InvalidRequestError: The batch has no records.
    #[pyo3(signature = (producer_id=-1, epoch=-1, base_sequence=-1, transactional=false),
           text_signature = "($self, producer_id=-1, epoch=-1, base_sequence=-1, transactional=False)")]
    fn build<'py>(
        &self,
        py: Python<'py>,
        producer_id: i64,
        epoch: i16,
        base_sequence: i32,
        transactional: bool,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let writer = &self.writer;
        let sealed = py.detach(|| writer.clone().seal())?;
        sealed_bytes(py, &sealed, producer_id, epoch, base_sequence, transactional)
    }
}

/// `SealedBatch::to_bytes` for Python, written where Python keeps it.
pub fn sealed_bytes<'py>(
    py: Python<'py>,
    sealed: &SealedBatch,
    producer_id: i64,
    epoch: i16,
    base_sequence: i32,
    transactional: bool,
) -> PyResult<Bound<'py, PyBytes>> {
    PyBytes::new_with(py, sealed.len(), |out| {
        let producer = ProducerState { id: producer_id, epoch, base_sequence };
        py.detach(|| sealed.write_to(producer, transactional, out));
        Ok(())
    })
}
