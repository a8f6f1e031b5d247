//! `BatchReader`: decodes the records of a fetch response.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use pyo3::buffer::PyBuffer;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use super::RecordBlock;
use crate::kafka::reader::{BatchReader, ReaderOptions};

/// Reads the records of one partition out of a fetch response, batch by batch.
///
/// Args:
///     topic: Topic the response is for.
///     partition: Partition the response is for.
///     data: The records field. `bytes` are used in place, other buffers are copied.
///     fetch_offset: Offset that was asked for; earlier records are dropped.
///     size: Bytes of `data` that are the field; all of them if None.
///     read_committed: Drop the records of aborted transactions.
///     check_crcs: Compare checksums.
///     max_batch_bytes: Most bytes that one batch may inflate to.
///     aborted: The response's aborted transactions as (producer id, first offset).
#[pyclass(frozen, name = "BatchReader", module = "rivven_kafka._native")]
#[derive(Debug)]
pub struct PyBatchReader(Mutex<BatchReader>);

#[pymethods]
impl PyBatchReader {
    #[new]
    #[pyo3(signature = (topic, partition, data, fetch_offset, *, size=None, read_committed=false, check_crcs=true,
                        max_batch_bytes=134_217_728, aborted=Vec::new()),
           text_signature = "(topic, partition, data, fetch_offset, *, size=None, read_committed=False, \
                             check_crcs=True, max_batch_bytes=134217728, aborted=())")]
    #[allow(clippy::too_many_arguments)] // keyword arguments in Python
    fn new(
        topic: &str,
        partition: i32,
        data: &Bound<'_, PyAny>,
        fetch_offset: i64,
        size: Option<usize>,
        read_committed: bool,
        check_crcs: bool,
        max_batch_bytes: usize,
        aborted: Vec<(i64, i64)>,
    ) -> PyResult<Self> {
        let options = ReaderOptions { read_committed, check_crcs, max_batch_bytes };
        let mut data = buffer(data)?;
        data.truncate(size.unwrap_or(usize::MAX));
        let reader = BatchReader::new(Arc::from(topic), partition, data, fetch_offset, options, aborted);
        Ok(Self(Mutex::new(reader)))
    }

    /// Position after what has been returned, or read so far if an error came.
    #[getter]
    fn next_offset(&self, py: Python<'_>) -> i64 {
        py.detach(|| self.0.lock().unwrap_or_else(PoisonError::into_inner).next_offset())
    }

    /// The next records: at most `max_records`, and no more once `max_bytes` encoded bytes have been read (but
    /// at least one record). None at the end. A block without records only moves the position.
    ///
    /// Raises:
    ///     CorruptRecordError: A checksum does not match, a length lies, or a record is cut short.
    ///     UnsupportedCodecError: The codec or the format version is not known.
    ///     DecompressionLimitError: A batch inflates beyond `max_batch_bytes`.
    fn next_block(
        &self,
        py: Python<'_>,
        max_records: usize,
        max_bytes: usize,
    ) -> PyResult<Option<RecordBlock>> {
        let block = py.detach(|| {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).next_block(max_records, max_bytes)
        })?;
        Ok(block.map(RecordBlock))
    }
}

fn buffer(data: &Bound<'_, PyAny>) -> PyResult<Bytes> {
    if let Ok(bytes) = data.cast::<PyBytes>() {
        return Ok(Bytes::from_owner(PyBackedBytes::from(bytes.clone())));
    }
    Ok(Bytes::from(PyBuffer::<u8>::get(data)?.to_vec(data.py())?))
}
