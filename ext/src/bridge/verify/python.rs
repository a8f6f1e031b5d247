//! `VerifyIndex`: the comparison of events for Python.

#![allow(clippy::doc_markdown)] // these are Python docstrings, in Google style

use std::collections::HashMap;

use pyo3::exceptions::{PyIndexError, PyKeyError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::digest::hex;
use super::index::{position_of, Index};
use super::order::Order;
use super::restored::{Found, Restored};
use super::segments::{Cases, Partition, Seen, SEGMENT};

use crate::bridge::event_encode::EventOptions;
use crate::bridge::fate::Judge;
use crate::bridge::publisher::encoder_for;
use crate::error::{Error, Kind, Result};
use crate::kafka::py::RecordBlock;
use crate::record::{Block, Record, TimestampType};

/// Kafka topic, partition, first offset, the one behind the last, whether Kafka drops records of it.
type Range = (String, i32, i64, i64, bool);

/// Kafka offset, Rivven partition, Rivven offset.
type At = (i64, i32, i64);

/// Name and value of a header.
type PyHeader<'py> = (Bound<'py, PyBytes>, Option<Bound<'py, PyBytes>>);

/// Timestamp, its type, key, value, headers, what contradicts itself.
type Shown<'py> = (
    Option<i64>,
    u8,
    Option<Bound<'py, PyBytes>>,
    Option<Bound<'py, PyBytes>>,
    Vec<PyHeader<'py>>,
    Option<&'static str>,
);

/// Compares the events of a Rivven topic with the Kafka partitions that they come from.
///
/// `feed_kafka` it the blocks of each partition, and `feed_rivven` all blocks of the Rivven topic, those of one
/// partition in order; different partitions by different threads, if you like. Of a partition that Kafka drops
/// records of (compaction), all of Kafka first.
///
/// `topic_ids` has the ids of the topics where they are known: an event of an earlier topic of the name is foreign.
/// The other options are those of the source.
#[pyclass(frozen, module = "rivven_kafka._native")]
pub struct VerifyIndex(Index);

#[pymethods]
impl VerifyIndex {
    /// Offsets of a segment.
    #[classattr]
    const SEGMENT: i64 = SEGMENT;

    #[new]
    #[allow(clippy::too_many_arguments)] // keyword arguments in Python
    #[pyo3(signature = (destination, ranges, topic_ids, *, ordering="partition", partitioning="key",
        transforms="[]", include_headers=true, include_key=true, loop_protection=None))]
    fn new(
        destination: String,
        ranges: Vec<Range>,
        topic_ids: HashMap<String, Option<String>>,
        ordering: &str,
        partitioning: &str,
        transforms: &str,
        include_headers: bool,
        include_key: bool,
        loop_protection: Option<(String, String)>,
    ) -> Result<Self> {
        if !matches!(partitioning, "preserve" | "key") {
            let text = format!("partitioning: got {partitioning:?}: expected preserve or key");
            return Err(Error::new(Kind::Config, text));
        }
        // Marks of where a record has been are no headers in Rivven, and echoes are left out.
        let transformed = transforms.trim() != "[]" || loop_protection.is_some();
        let options = EventOptions { include_headers, include_key };
        let encoder = encoder_for("event", "fail", transforms, options, loop_protection)?;
        let mut names = Vec::new();
        let mut partitions = Vec::new();
        for (topic, partition, start, end, compacted) in ranges {
            let id = topic_ids.get(&topic).cloned().flatten();
            names.push((topic, id, partition));
            partitions.push(Partition::new(start, end, compacted));
        }
        let judge = Judge::new(encoder, destination);
        let flags = (transformed, include_headers);
        Ok(Self(Index::new(
            names,
            partitions,
            judge,
            flags,
            Order::from_name(ordering)?,
            partitioning == "preserve",
        )))
    }

    /// Takes a block of Kafka.
    fn feed_kafka(&self, py: Python<'_>, block: &Bound<'_, RecordBlock>) -> Result<()> {
        let block = &block.get().0;
        py.detach(|| self.0.feed_kafka(block))
    }

    /// Takes a block of the Rivven topic.
    fn feed_rivven(&self, py: Python<'_>, block: &Bound<'_, RecordBlock>) {
        let block = &block.get().0;
        py.detach(|| self.0.feed_rivven(block));
    }

    /// Counts of a Kafka partition, in records: records_kafka, records_rivven, missing, extra, doubled,
    /// out_of_order, misplaced, left_out, bad, compacted_away.
    fn counts(&self, topic: &str, partition: i32) -> PyResult<HashMap<&'static str, u64>> {
        self.with(topic, partition, |partition| {
            HashMap::from([
                ("records_kafka", partition.records_kafka),
                ("records_rivven", partition.records_rivven),
                ("missing", partition.missing().count),
                ("extra", partition.extra().count),
                ("doubled", partition.doubled.count),
                ("out_of_order", partition.out_of_order.count),
                ("misplaced", partition.misplaced.count),
                ("left_out", partition.left_out),
                ("bad", partition.bad),
                ("compacted_away", partition.compacted_away),
            ])
        })
    }

    /// The digests of a Kafka partition: of its records, and of the first copies of its events.
    fn digests(&self, topic: &str, partition: i32) -> PyResult<(String, String)> {
        self.with(topic, partition, |partition| {
            let (kafka, rivven) = partition.sums();
            (hex(kafka), hex(rivven))
        })
    }

    /// The numbers of the segments (offset // SEGMENT) of a Kafka partition whose digests differ, in order.
    fn differing(&self, topic: &str, partition: i32) -> PyResult<Vec<i64>> {
        self.with(topic, partition, Partition::differing)
    }

    /// Where the events of a segment lie: (Rivven partition, lowest offset, highest offset).
    fn stretches(&self, topic: &str, partition: i32, segment: i64) -> PyResult<Vec<(i32, i64, i64)>> {
        self.with(topic, partition, |partition| {
            let stretches = partition.stretches(segment).into_iter();
            stretches.map(|stretch| (stretch.partition, stretch.first, stretch.last)).collect()
        })
    }

    /// The lowest Kafka offset that Rivven lacks, and the lowest that only Rivven has.
    fn lowest(&self, topic: &str, partition: i32) -> PyResult<(Option<i64>, Option<i64>)> {
        let first = |cases: Cases<()>| cases.first.map(|(offset, ())| offset);
        self.with(topic, partition, |partition| (first(partition.missing()), first(partition.extra())))
    }

    /// The copy with the lowest Kafka offset: (Kafka offset, Rivven partition, Rivven offset).
    fn first_doubled(&self, topic: &str, partition: i32) -> PyResult<Option<At>> {
        self.with(topic, partition, |partition| partition.doubled.first.map(|(_, seen)| at(seen)))
    }

    /// The event with the lowest Kafka offset that stands behind a later one: where it is, and the other's offset.
    fn first_out_of_order(&self, topic: &str, partition: i32) -> PyResult<Option<(At, i64)>> {
        self.with(topic, partition, |partition| {
            partition.out_of_order.first.map(|(_, (seen, before))| (at(seen), before))
        })
    }

    /// The event with the lowest Kafka offset that is in a Rivven partition of another number than Kafka's, with
    /// `partitioning="preserve"`: (Kafka offset, Rivven partition, Rivven offset).
    fn first_misplaced(&self, topic: &str, partition: i32) -> PyResult<Option<At>> {
        self.with(topic, partition, |partition| partition.misplaced.first.map(|(_, seen)| at(seen)))
    }

    /// Whether Kafka has a record at an offset of a partition that the source leaves out, or cannot convert.
    fn leaves_out(&self, topic: &str, partition: i32, offset: i64) -> PyResult<bool> {
        self.with(topic, partition, |partition| partition.leaves_out(offset))
    }

    /// Records of the Rivven topic that are no events of these topics.
    #[getter]
    fn foreign(&self) -> u64 {
        self.0.lock().foreign
    }

    /// Bytes that are kept of all partitions; the order of keys takes more.
    #[getter]
    fn memory_bytes(&self) -> usize {
        self.0.lock().partitions.iter().map(Partition::memory).sum()
    }

    /// (index, offset, digest) of each record of a Kafka block that the source publishes.
    fn kafka_digests(
        &self,
        py: Python<'_>,
        block: &Bound<'_, RecordBlock>,
    ) -> Result<Vec<(usize, i64, String)>> {
        let block = &block.get().0;
        py.detach(|| Ok(written(self.0.kafka_digests(block)?)))
    }

    /// (index, Kafka offset, digest) of each event of a Kafka partition in a Rivven block.
    fn rivven_digests(
        &self,
        py: Python<'_>,
        block: &Bound<'_, RecordBlock>,
        topic: &str,
        partition: i32,
    ) -> PyResult<Vec<(usize, i64, String)>> {
        let place = self.place(topic, partition)?;
        let block = &block.get().0;
        Ok(py.detach(|| written(self.0.rivven_digests(block, place))))
    }

    /// A record of a Kafka block as its event should tell it: (timestamp, its type, key, value, headers, None).
    fn expected<'py>(&self, py: Python<'py>, block: &RecordBlock, index: usize) -> PyResult<Shown<'py>> {
        let (block, record) = nth(block, index)?;
        if let Some(event) = self.0.transformed(block, record) {
            let position = position_of(block, record);
            let restored = Restored::new(block.key(record), &event, &position, self.0.with_headers())?;
            return Ok(shown(py, &restored));
        }
        let headers = block
            .headers(record)
            .map(|header| header.map(|(name, value)| (name.into(), value.map(Into::into))));
        let headers = if self.0.with_headers() { headers.collect::<Result<_>>()? } else { Vec::new() };
        let restored = Restored {
            offset: record.offset,
            timestamp: Some(record.timestamp),
            timestamp_type: u8::from(record.timestamp_type == TimestampType::LogAppendTime),
            key: block.key(record),
            value: block.value(record).map(Into::into),
            headers,
            flaw: None,
        };
        Ok(shown(py, &restored))
    }

    /// A record of a Rivven block as its event tells it: (timestamp, its type, key, value, headers, the field that
    /// contradicts the others); the plain value, with the flaw "event", if it is none.
    fn stored<'py>(&self, py: Python<'py>, block: &RecordBlock, index: usize) -> PyResult<Shown<'py>> {
        let (block, record) = nth(block, index)?;
        let (key, value) = (block.key(record), block.value(record).unwrap_or_default());
        if let Found::Event(_, restored) = Found::read(key, value, self.0.with_headers()) {
            return Ok(shown(py, &restored));
        }
        Ok((None, 0, bytes(py, key), bytes(py, Some(value)), Vec::new(), Some("event")))
    }
}

impl VerifyIndex {
    fn place(&self, topic: &str, partition: i32) -> PyResult<usize> {
        self.0.number(topic, partition).ok_or_else(|| PyKeyError::new_err(format!("{topic}:{partition}")))
    }

    fn with<T>(&self, topic: &str, partition: i32, take: impl FnOnce(&Partition) -> T) -> PyResult<T> {
        let place = self.place(topic, partition)?;
        Ok(take(&self.0.lock().partitions[place]))
    }
}

fn at(seen: Seen) -> At {
    (seen.offset, seen.partition, seen.at)
}

fn written(digests: Vec<(usize, i64, u128)>) -> Vec<(usize, i64, String)> {
    digests.into_iter().map(|(index, offset, digest)| (index, offset, hex(digest))).collect()
}

fn nth(block: &RecordBlock, index: usize) -> PyResult<(&Block, &Record)> {
    let record =
        block.0.records.get(index).ok_or_else(|| PyIndexError::new_err("record index out of range"))?;
    Ok((&block.0, record))
}

fn bytes<'py>(py: Python<'py>, bytes: Option<&[u8]>) -> Option<Bound<'py, PyBytes>> {
    bytes.map(|bytes| PyBytes::new(py, bytes))
}

fn shown<'py>(py: Python<'py>, restored: &Restored<'_>) -> Shown<'py> {
    let headers = restored.headers.iter();
    (
        restored.timestamp,
        restored.timestamp_type,
        bytes(py, restored.key),
        bytes(py, restored.value.as_deref()),
        headers.map(|(name, value)| (PyBytes::new(py, name), bytes(py, value.as_deref()))).collect(),
        restored.flaw,
    )
}
