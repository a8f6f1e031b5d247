//! A block made of Python objects, for programs that have no block to start with.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use pyo3::prelude::*;

use super::arguments::{encode_headers, raw};
use super::RecordBlock;
use crate::error::{Error, Kind, Result};
use crate::record::{Block, Record, Span, TimestampType};

/// Timestamp (ms since the epoch, negative: now), key, value, headers.
type Row<'py> = (i64, Option<Bound<'py, PyAny>>, Option<Bound<'py, PyAny>>, Bound<'py, PyAny>);

/// A block of `rows`: (timestamp in ms, key, value, headers), with offsets from `first_offset`.
///
/// A negative timestamp means now. Keys, values and header values are bytes or None.
#[pyfunction]
#[pyo3(signature = (topic, partition, rows, *, first_offset = 0))]
pub fn block_from_rows(
    topic: &str,
    partition: i32,
    rows: &Bound<'_, PyAny>,
    first_offset: i64,
) -> PyResult<RecordBlock> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    let mut buffer = Vec::new();
    let mut records = Vec::with_capacity(rows.len()?);
    for row in rows.try_iter()? {
        let (timestamp, key, value, headers): Row<'_> = row?.extract()?;
        let key = append(&mut buffer, key.as_ref())?;
        let value = append(&mut buffer, value.as_ref())?;
        let start = buffer.len();
        let header_count = encode_headers(&mut buffer, &headers)?;
        records.push(Record {
            offset: first_offset + records.len() as i64,
            timestamp: if timestamp < 0 { now } else { timestamp },
            chunk: 0,
            key,
            value,
            headers: span(start, buffer.len())?,
            header_count,
            timestamp_type: TimestampType::CreateTime,
        });
    }
    Ok(RecordBlock(Block {
        topic: Arc::from(topic),
        partition,
        leader_epoch: -1,
        next_offset: first_offset + records.len() as i64,
        bytes: buffer.len(),
        chunks: Arc::from([Bytes::from(buffer)]),
        records: Arc::new(records),
    }))
}

fn append(buffer: &mut Vec<u8>, bytes: Option<&Bound<'_, PyAny>>) -> PyResult<Span> {
    let Some(bytes) = bytes else { return Ok(Span::NULL) };
    let start = buffer.len();
    buffer.extend_from_slice(&raw(bytes)?);
    Ok(span(start, buffer.len())?)
}

fn span(start: usize, end: usize) -> Result<Span> {
    let too_large = |_| Error::new(Kind::RecordTooLarge, "more than 2 GiB of records in one block");
    let (start, len) =
        (i32::try_from(start).map_err(too_large)?, i32::try_from(end - start).map_err(too_large)?);
    Ok(Span { start: start as u32, len })
}
