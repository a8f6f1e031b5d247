//! `BatchBuilder`: encodes record batches, for tools, tests and the Python API.

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyString};

use crate::kafka::compression::Codec;
use crate::kafka::writer::{encode_header, BatchWriter};

/// A header as Python gives it.
type Header<'py> = (Bound<'py, PyString>, Option<PyBackedBytes>);

/// Builds a record batch of magic 2.
///
/// Args:
///     compression: none, gzip, snappy, lz4 or zstd.
#[pyclass(name = "BatchBuilder", module = "rivven_kafka._native")]
#[derive(Debug)]
pub struct PyBatchBuilder(BatchWriter);

#[pymethods]
impl PyBatchBuilder {
    #[new]
    #[pyo3(signature = (compression="none"))]
    fn new(compression: &str) -> PyResult<Self> {
        Ok(Self(BatchWriter::new(Codec::from_name(compression)?)))
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
    #[pyo3(signature = (timestamp, key, value, headers=Vec::new()),
           text_signature = "($self, timestamp, key, value, headers=())")]
    fn append(
        &mut self,
        timestamp: i64,
        key: Option<PyBackedBytes>,
        value: Option<PyBackedBytes>,
        headers: Vec<Header<'_>>,
    ) -> PyResult<()> {
        let mut encoded = Vec::new();
        for (name, value) in &headers {
            encode_header(&mut encoded, &header_name(name)?, value.as_deref());
        }
        self.0.append(timestamp, key.as_deref(), value.as_deref(), headers.len() as u32, &[&encoded])?;
        Ok(())
    }

    fn __len__(&self) -> usize {
        self.0.records()
    }

    /// Size of the batch before compression.
    #[getter]
    fn size_bytes(&self) -> usize {
        self.0.len()
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
        let writer = &self.0;
        let batch = py.detach(|| {
            let sealed = writer.clone().seal()?;
            Ok::<_, crate::error::Error>(sealed.to_bytes(producer_id, epoch, base_sequence, transactional))
        })?;
        Ok(PyBytes::new(py, &batch))
    }
}

/// The bytes of a name; surrogates stand for bytes that are not UTF-8.
fn header_name(name: &Bound<'_, PyString>) -> PyResult<PyBackedBytes> {
    name.call_method1("encode", ("utf-8", "surrogateescape"))?.extract().map_err(Into::into)
}
