//! `OffsetMap`: which Kafka records lie where in a Rivven partition.
//!
//! Events tell the Kafka position of their record. Raw values tell nothing but themselves: they are paired with the
//! records of Kafka one by one, in order, and every pair has to be equal.

use std::collections::HashMap;
use std::hash::RandomState;
use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;

use super::event_position::event_position;
use super::fate::{Fate, Judge};
use super::offset_runs::OffsetRuns;
use super::position_index::{digest, same_topic};
use super::publisher::encoder_for;
use crate::bridge::event_encode::EventOptions;
use crate::error::Result;
use crate::kafka::py::RecordBlock;
use crate::record::Block;
use crate::rivven::publish_frame::PublishFrame;

#[derive(Debug, Default)]
struct Map {
    places: HashMap<(String, i32), OffsetRuns>,
    foreign: u64,
    records: u64,
    /// Behind the last record.
    next: i64,
}

impl Map {
    /// Whether a record comes next: what a replay of rivvend has left stands at offset 0 again.
    fn takes(&mut self, offset: i64) -> bool {
        if offset < self.next {
            return false;
        }
        self.next = offset + 1;
        self.records += 1;
        true
    }

    fn feed(&mut self, block: &Block, topics: &HashMap<String, Option<String>>) {
        for record in block.records.iter() {
            if !self.takes(record.offset) {
                continue;
            }
            let position = block.value(record).and_then(event_position);
            let Some(position) = position.filter(|position| {
                let id = topics.get(position.topic.as_ref());
                id.is_some_and(|id| same_topic(id.as_deref(), position.topic_id))
            }) else {
                self.foreign += 1;
                continue;
            };
            self.push(&position.topic, position.partition, position.offset, record.offset);
        }
    }

    fn push(&mut self, topic: &str, partition: i32, kafka: i64, rivven: i64) {
        // A lookup by borrowed parts of a tuple is not possible; there are few places.
        let known = self.places.iter_mut().find(|((name, number), _)| *number == partition && name == topic);
        match known {
            Some((_, runs)) => runs.push(kafka, rivven),
            None => {
                self.places.entry((topic.to_owned(), partition)).or_default().push(kafka, rivven);
            }
        }
    }
}

/// Which Kafka records lie where in one Rivven partition.
///
/// `feed` it all blocks of the Rivven partition from `start` on. `topics` are the Kafka topics that go there, with
/// their ids where known: an event of another topic, or of an earlier topic of the name, is foreign. The answers are
/// about what was fed. It takes 24 bytes for each stretch of records that follow each other in both logs.
#[pyclass(frozen, module = "rivven_kafka._native")]
pub struct OffsetMap {
    map: Mutex<Map>,
    topics: HashMap<String, Option<String>>,
}

#[pymethods]
impl OffsetMap {
    #[new]
    #[pyo3(signature = (topics, start=0))]
    fn new(topics: HashMap<String, Option<String>>, start: i64) -> Self {
        Self { map: Mutex::new(Map { next: start, ..Map::default() }), topics }
    }

    /// Notes what a block of the Rivven partition holds, as events.
    fn feed(&self, py: Python<'_>, block: &Bound<'_, RecordBlock>) {
        let block = &block.get().0;
        py.detach(|| self.lock().feed(block, &self.topics));
    }

    /// Notes one record, by its Kafka topic, partition and offset and its Rivven offset.
    fn add(&self, topic: &str, partition: i32, kafka: i64, rivven: i64) {
        let mut map = self.lock();
        if map.takes(rivven) {
            map.push(topic, partition, kafka, rivven);
        }
    }

    /// Where to read on in Rivven for who has read a Kafka partition up to `offset`: (Rivven offset, Kafka offset
    /// there, how many records before `offset` lie behind it). None if Rivven holds no record from `offset` on.
    ///
    /// It is the highest Rivven offset at or behind which every record from `offset` on has a copy.
    fn read_from(&self, py: Python<'_>, topic: &str, partition: i32, offset: i64) -> Option<(i64, i64, u64)> {
        let found = self.with(py, topic, partition, |runs| runs.read_from(offset))??;
        Some((found.rivven, found.kafka, found.again))
    }

    /// How many records of a Kafka partition before `kafka` lie at or behind the Rivven offset `rivven`.
    fn below(&self, py: Python<'_>, topic: &str, partition: i32, kafka: i64, rivven: i64) -> u64 {
        self.with(py, topic, partition, |runs| runs.below(kafka, rivven)).unwrap_or(0)
    }

    /// Where to read on in Kafka for who has read Rivven up to `offset`: (Kafka offset, how many records from there
    /// on were read). None if all that Rivven holds of the Kafka partition was read.
    fn kafka_from(&self, py: Python<'_>, topic: &str, partition: i32, offset: i64) -> Option<(i64, u64)> {
        self.with(py, topic, partition, |runs| runs.kafka_from(offset))?
    }

    /// The Kafka offset behind the highest one of a partition that has a copy before the Rivven offset `offset`.
    /// None if there is none.
    fn reached(&self, py: Python<'_>, topic: &str, partition: i32, offset: i64) -> Option<i64> {
        self.with(py, topic, partition, |runs| runs.reached(offset))?
    }

    /// How many Kafka offsets of a partition from `kafka` on have a copy before the Rivven offset `rivven`.
    fn read_above(&self, py: Python<'_>, topic: &str, partition: i32, kafka: i64, rivven: i64) -> u64 {
        self.with(py, topic, partition, |runs| runs.read_above(kafka, rivven)).unwrap_or(0)
    }

    /// The first record of Kafka at or behind a Rivven offset: (Rivven offset, topic, partition, Kafka offset).
    fn at(&self, py: Python<'_>, offset: i64) -> Option<(i64, String, i32, i64)> {
        py.detach(|| {
            let map = self.lock();
            let first = |((topic, partition), runs): (&(String, i32), &OffsetRuns)| {
                runs.at(offset).map(|(rivven, kafka)| (rivven, topic.clone(), *partition, kafka))
            };
            map.places.iter().filter_map(first).min()
        })
    }

    /// The lowest Kafka offset from `offset` on that a record has, None if there is none.
    fn next(&self, py: Python<'_>, topic: &str, partition: i32, offset: i64) -> Option<i64> {
        self.with(py, topic, partition, |runs| runs.next(offset))?
    }

    /// The first Kafka offset from `offset` on that no record has.
    fn unbroken_to(&self, py: Python<'_>, topic: &str, partition: i32, offset: i64) -> i64 {
        self.with(py, topic, partition, |runs| runs.unbroken_to(offset)).unwrap_or(offset)
    }

    /// The lowest and the highest Kafka offset of a partition, None if there is no record of it.
    fn bounds(&self, py: Python<'_>, topic: &str, partition: i32) -> Option<(i64, i64)> {
        self.with(py, topic, partition, OffsetRuns::bounds)?
    }

    /// The Kafka partitions that it holds records of, sorted.
    #[getter]
    fn places(&self) -> Vec<(String, i32)> {
        let mut places: Vec<_> = self.lock().places.keys().cloned().collect();
        places.sort();
        places
    }

    /// How many records were fed.
    #[getter]
    fn records(&self) -> u64 {
        self.lock().records
    }

    /// How many of them come from none of the Kafka topics.
    #[getter]
    fn foreign(&self) -> u64 {
        self.lock().foreign
    }

    /// The offset behind the last record that was fed.
    #[getter]
    fn next_offset(&self) -> i64 {
        self.lock().next
    }
}

impl OffsetMap {
    fn lock(&self) -> std::sync::MutexGuard<'_, Map> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T: Send>(
        &self,
        py: Python<'_>,
        topic: &str,
        partition: i32,
        ask: impl FnOnce(&OffsetRuns) -> T + Send,
    ) -> Option<T> {
        py.detach(|| self.lock().places.get(&(topic.to_owned(), partition)).map(ask))
    }
}

/// The records of a Rivven partition in raw format that wait for their like in Kafka, in order.
#[derive(Debug)]
struct Waiting {
    hashes: [RandomState; 2],
    digests: Vec<(i64, [u64; 2])>,
    paired: usize,
    next: i64,
}

/// Pairs the raw values of a Rivven partition with the records of the one Kafka partition that fills it, in order.
///
/// `feed` it all blocks of the Rivven partition, then `pair` the blocks of Kafka from the first on. The options are
/// those of the source's `Publisher`: they decide what it publishes. It takes 24 bytes for each record.
#[pyclass(frozen, module = "rivven_kafka._native")]
pub struct RawPairs {
    waiting: Mutex<Waiting>,
    judge: Judge,
}

#[pymethods]
impl RawPairs {
    #[new]
    #[pyo3(signature = (destination, *, on_tombstone="fail", transforms="[]"))]
    fn new(destination: String, on_tombstone: &str, transforms: &str) -> Result<Self> {
        let options = EventOptions { include_headers: false, include_key: false };
        let encoder = encoder_for("raw", on_tombstone, transforms, options, None)?;
        let hashes = [RandomState::new(), RandomState::new()];
        let waiting = Mutex::new(Waiting { hashes, digests: Vec::new(), paired: 0, next: 0 });
        Ok(Self { waiting, judge: Judge::new(encoder, destination) })
    }

    /// Notes what a block of the Rivven partition holds.
    fn feed(&self, py: Python<'_>, block: &Bound<'_, RecordBlock>) {
        let block = &block.get().0;
        py.detach(|| {
            let waiting = &mut *self.lock();
            for record in block.records.iter().filter(|record| record.offset >= 0) {
                if record.offset < waiting.next {
                    continue; // a copy that a replay has left
                }
                waiting.next = record.offset + 1;
                let value = block.value(record).unwrap_or_default();
                let digest = digest(&waiting.hashes, block.key(record), value);
                waiting.digests.push((record.offset, digest));
            }
        });
    }

    /// Pairs the records of a block of Kafka that the source publishes, and adds the pairs to `map`. Returns the
    /// Rivven and the Kafka offset of the first two that are not equal, None if all are, as far as Rivven goes.
    fn pair(
        &self,
        py: Python<'_>,
        block: &Bound<'_, RecordBlock>,
        map: &Bound<'_, OffsetMap>,
    ) -> Option<(i64, i64)> {
        let (block, map) = (&block.get().0, map.get());
        py.detach(|| {
            let (waiting, map) = (&mut *self.lock(), &mut *map.lock());
            let mut frame = PublishFrame::new("", 0);
            let mut value = Vec::new();
            for record in block.records.iter() {
                let Some((rivven, expected)) = waiting.digests.get(waiting.paired) else { break };
                let fate = self.judge.fate(block, record, &mut frame, &mut value);
                if !matches!(fate, Fate::Published) {
                    continue;
                }
                if digest(&waiting.hashes, block.key(record), &value) != *expected {
                    return Some((*rivven, record.offset));
                }
                waiting.paired += 1;
                if map.takes(*rivven) {
                    map.push(&block.topic, block.partition, record.offset, *rivven);
                }
            }
            None
        })
    }

    /// How many records of Rivven have no like yet.
    #[getter]
    fn left(&self) -> usize {
        let waiting = self.lock();
        waiting.digests.len() - waiting.paired
    }
}

impl RawPairs {
    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
