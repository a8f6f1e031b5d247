//! `RecordBlock`: a block of records as Python sees it.

use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

use crate::error::{Error, Kind};
use crate::record::{Block, Headers, Record, TimestampType};

/// Records of one partition, in offset order. The methods that return lists make one Python object per
/// record and field; the native pipelines do not need them.
#[pyclass(frozen, module = "rivven_kafka._native")]
#[derive(Debug)]
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

    /// Leader epoch of the last batch, -1 if unknown.
    #[getter]
    fn leader_epoch(&self) -> i32 {
        self.0.leader_epoch
    }

    /// Position after this block: where the next read starts.
    #[getter]
    fn next_offset(&self) -> i64 {
        self.0.next_offset
    }

    /// Bytes of memory that this block accounts for.
    #[getter]
    fn size_bytes(&self) -> usize {
        self.0.bytes
    }

    /// Offset of the first record, None if there is none.
    #[getter]
    fn first_offset(&self) -> Option<i64> {
        self.0.records.first().map(|record| record.offset)
    }

    /// Offset of the last record, None if there is none.
    #[getter]
    fn last_offset(&self) -> Option<i64> {
        self.0.records.last().map(|record| record.offset)
    }

    fn __len__(&self) -> usize {
        self.0.records.len()
    }

    fn __repr__(&self) -> String {
        let Block { topic, partition, next_offset, records, .. } = &self.0;
        format!("<RecordBlock {topic}:{partition} records={} next_offset={next_offset}>", records.len())
    }

    /// Offset of each record.
    fn offsets<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.0.records.iter().map(|record| record.offset))
    }

    /// Timestamp of each record in milliseconds since the epoch, -1 if the format has none.
    fn timestamps<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.0.records.iter().map(|record| record.timestamp))
    }

    /// Timestamp type of each record: 0 set by the producer, 1 set by the broker.
    fn timestamp_types<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.0.records.iter().map(timestamp_type))
    }

    /// Key of each record, None for null.
    fn keys<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.0.records.iter().map(|record| bytes(py, self.0.key(record))))
    }

    /// Value of each record, None for null.
    fn values<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.0.records.iter().map(|record| bytes(py, self.0.value(record))))
    }

    /// Headers of each record in order, with duplicates, as (name, value or None). A name that is not UTF-8 is
    /// decoded with surrogateescape.
    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let mut names = HeaderNames::default();
        let lists = self.0.records.iter().map(|record| names.list(py, self.0.headers(record)));
        PyList::new(py, lists.collect::<PyResult<Vec<_>>>()?)
    }

    /// What events are made of, for the records `start..stop`: numbers, keys, values and headers.
    ///
    /// The numbers are offset, timestamp and count of headers of each record, as i64 of this machine. The
    /// headers of a record stand in one piece as Kafka encodes them, for `read_headers`; None for no headers.
    fn columns<'py>(&self, py: Python<'py>, start: usize, stop: usize) -> PyResult<Columns<'py>> {
        let block = &self.0;
        let stop = stop.min(block.records.len());
        let records = &block.records[start.min(stop)..stop];
        let mut numbers = Vec::with_capacity(records.len() * 3 * size_of::<i64>());
        for record in records {
            for number in [record.offset, record.timestamp, i64::from(record.header_count)] {
                numbers.extend_from_slice(&number.to_ne_bytes());
            }
        }
        let headers = records.iter().map(|record| {
            (record.header_count > 0).then(|| bytes(py, block.get(record, record.headers))).flatten()
        });
        Ok((
            PyBytes::new(py, &numbers),
            PyList::new(py, records.iter().map(|record| bytes(py, block.key(record))))?,
            PyList::new(py, records.iter().map(|record| bytes(py, block.value(record))))?,
            PyList::new(py, headers)?,
        ))
    }

    /// Record `index` as (offset, timestamp, timestamp type, key, value, headers); a negative index counts
    /// from the end.
    fn record<'py>(&self, py: Python<'py>, index: isize) -> PyResult<Bound<'py, PyTuple>> {
        let record = absolute(index, self.0.records.len())
            .and_then(|index| self.0.records.get(index))
            .ok_or_else(|| PyIndexError::new_err("record index out of range"))?;
        (
            record.offset,
            record.timestamp,
            timestamp_type(record),
            bytes(py, self.0.key(record)),
            bytes(py, self.0.value(record)),
            header_list(py, &self.0, record)?,
        )
            .into_pyobject(py)
    }

    /// Records `start..stop` as a block over the same buffers; indices are cut to what exists.
    fn slice(&self, start: usize, stop: usize) -> Self {
        Self(self.0.slice(start..stop))
    }
}

/// Numbers, keys, values, headers.
type Columns<'py> = (Bound<'py, PyBytes>, Bound<'py, PyList>, Bound<'py, PyList>, Bound<'py, PyList>);

/// `count` headers in order, as (name, value or None), of what `RecordBlock.columns` returned.
#[pyfunction]
pub fn read_headers<'py>(py: Python<'py>, raw: &[u8], count: u32) -> PyResult<Bound<'py, PyList>> {
    HeaderNames::default().list(py, Headers::new(raw, count))
}

/// The headers of `record` of `block` in order, as (name, value or None).
pub fn header_list<'py>(py: Python<'py>, block: &Block, record: &Record) -> PyResult<Bound<'py, PyList>> {
    HeaderNames::default().list(py, block.headers(record))
}

/// Names that were made already: records of a block have the same few.
#[derive(Default)]
struct HeaderNames<'b, 'py> {
    known: Vec<(&'b [u8], Bound<'py, PyString>)>,
    /// Empty between calls; kept for its memory.
    headers: Vec<Bound<'py, PyTuple>>,
}

impl<'b, 'py> HeaderNames<'b, 'py> {
    /// More are searched for longer than they take to make.
    const MOST: usize = 16;

    fn list(&mut self, py: Python<'py>, headers: Headers<'b>) -> PyResult<Bound<'py, PyList>> {
        for header in headers {
            let (name, value) = header?;
            let header = (self.name(py, name)?, bytes(py, value)).into_pyobject(py)?;
            self.headers.push(header);
        }
        PyList::new(py, self.headers.drain(..))
    }

    fn name(&mut self, py: Python<'py>, name: &'b [u8]) -> PyResult<Bound<'py, PyString>> {
        if let Some((_, known)) = self.known.iter().find(|(known, _)| *known == name) {
            return Ok(known.clone());
        }
        let made = header_name(py, name)?;
        if self.known.len() < Self::MOST {
            self.known.push((name, made.clone()));
        }
        Ok(made)
    }
}

fn bytes<'py>(py: Python<'py>, bytes: Option<&[u8]>) -> Option<Bound<'py, PyBytes>> {
    bytes.map(|bytes| PyBytes::new(py, bytes))
}

fn timestamp_type(record: &Record) -> u8 {
    match record.timestamp_type {
        TimestampType::CreateTime => 0,
        TimestampType::LogAppendTime => 1,
    }
}

fn absolute(index: isize, len: usize) -> Option<usize> {
    if index < 0 {
        len.checked_sub(index.unsigned_abs())
    } else {
        usize::try_from(index).ok()
    }
}

fn header_name<'py>(py: Python<'py>, name: &[u8]) -> PyResult<Bound<'py, PyString>> {
    if let Ok(name) = std::str::from_utf8(name) {
        return Ok(PyString::new(py, name));
    }
    let raw = PyBytes::new(py, name);
    PyString::from_encoded_object(&raw, Some(c"utf-8"), Some(c"surrogateescape"))
        .map_err(|_| Error::new(Kind::CorruptRecord, "a header name cannot be decoded").into())
}
