//! `PositionIndex`: which Kafka records a Rivven topic holds, for finding those that it lacks.
//!
//! Events tell the Kafka position of their record: one bit for each offset is kept. Raw values tell nothing but
//! themselves: a digest of key and value is kept, and how often it was seen, so that equal records cannot be told
//! apart.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;

use super::event_position::event_position;
use super::fate::{Fate, Judge};
use super::publisher::encoder_for;
use crate::bridge::event_encode::EventOptions;
use crate::error::{Error, Kind, Result};
use crate::kafka::py::RecordBlock;
use crate::record::{Block, Record};
use crate::rivven::publish_frame::PublishFrame;

/// Bits of one piece of a bitmap, which is made when the first of them is set.
const PIECE: i64 = 1 << 16;

/// The offsets of one Kafka partition that were seen.
#[derive(Debug, Default)]
struct Offsets {
    pieces: HashMap<i64, Box<[u64]>>,
    lowest: Option<i64>,
    /// How often one was seen that was there already.
    doubled: u64,
}

impl Offsets {
    fn insert(&mut self, offset: i64) {
        let empty = || vec![0; (PIECE / 64) as usize].into();
        let piece = self.pieces.entry(offset / PIECE).or_insert_with(empty);
        let word = &mut piece[(offset % PIECE / 64) as usize];
        let bit = 1 << (offset % 64);
        self.doubled += u64::from(*word & bit != 0);
        *word |= bit;
        self.lowest = Some(self.lowest.map_or(offset, |lowest| lowest.min(offset)));
    }

    fn contains(&self, offset: i64) -> bool {
        let piece = self.pieces.get(&(offset / PIECE));
        piece.is_some_and(|piece| piece[(offset % PIECE / 64) as usize] & 1 << (offset % 64) != 0)
    }
}

/// How often a key and value were seen in Rivven, and not yet in Kafka.
#[derive(Debug, Default)]
struct Copies {
    left: u32,
    /// Whether Kafka has one of them.
    known: bool,
}

#[derive(Debug)]
enum Held {
    Positions(HashMap<(String, i32), Offsets>),
    // Keys of the hashes are random, so that nobody can make two records collide.
    Values([RandomState; 2], HashMap<[u64; 2], Copies>),
}

#[derive(Debug)]
struct Index {
    held: Held,
    /// Kafka topics, and their ids where they are known.
    topics: HashMap<String, Option<String>>,
    foreign: u64,
}

impl Index {
    fn feed(&mut self, block: &Block) {
        for record in block.records.iter() {
            match &mut self.held {
                Held::Values(hashes, copies) => {
                    let value = block.value(record).unwrap_or_default();
                    let copies = copies.entry(digest(hashes, block.key(record), value)).or_default();
                    copies.left = copies.left.saturating_add(1);
                }
                Held::Positions(partitions) => {
                    let position = block.value(record).and_then(event_position);
                    let Some(position) = position.filter(|position| {
                        let id = self.topics.get(position.topic.as_ref());
                        position.offset >= 0
                            && id.is_some_and(|id| same_topic(id.as_deref(), position.topic_id))
                    }) else {
                        self.foreign += 1;
                        continue;
                    };
                    let place = (position.topic.into_owned(), position.partition);
                    partitions.entry(place).or_default().insert(position.offset);
                }
            }
        }
    }

    /// Whether Rivven has the record; `value` is what it is published as.
    fn takes(&mut self, block: &Block, record: &Record, value: &[u8]) -> bool {
        let Held::Values(hashes, copies) = &mut self.held else { return false };
        let Some(copies) = copies.get_mut(&digest(hashes, block.key(record), value)) else { return false };
        copies.known = true;
        copies.left = match copies.left.checked_sub(1) {
            Some(left) => left,
            None => return false,
        };
        true
    }
}

/// Older events carry no id.
pub(super) fn same_topic(now: Option<&str>, then: Option<&str>) -> bool {
    match (now, then) {
        (Some(now), Some(then)) => now == then,
        _ => true,
    }
}

/// What tells records apart that carry no position.
pub(super) fn digest(states: &[RandomState; 2], key: Option<&[u8]>, value: &[u8]) -> [u64; 2] {
    [0, 1].map(|index| {
        let mut hasher = states[index].build_hasher();
        // The length separates key and value; null is not empty.
        hasher.write_i64(key.map_or(-1, |key| key.len() as i64));
        hasher.write(key.unwrap_or_default());
        hasher.write(value);
        hasher.finish()
    })
}

/// Which records of a source's Kafka topics its Rivven topic holds.
///
/// `feed` it all blocks of the Rivven topic, then `compare` the blocks of Kafka, in order and each once.
///
/// `topics` are the Kafka topics that go there, with their ids where known: an event of another topic, or of an
/// earlier topic of the name, is foreign. With `value_format` "raw" the index is for one Rivven partition that is fed
/// by one Kafka partition. The other options are those of the source's `Publisher`: they decide what it publishes.
#[pyclass(frozen, module = "rivven_kafka._native")]
pub struct PositionIndex {
    index: Mutex<Index>,
    judge: Judge,
}

/// Missing records, their ranges of offsets, and how many are present, left out and bad.
type Compared = (RecordBlock, Vec<(i64, i64)>, usize, usize, usize);

#[pymethods]
impl PositionIndex {
    #[new]
    #[pyo3(signature = (destination, topics, *, value_format="event", on_tombstone="fail", transforms="[]",
        include_headers=true, include_key=true, loop_protection=None))]
    #[allow(clippy::too_many_arguments)] // keyword arguments in Python
    fn new(
        destination: String,
        topics: HashMap<String, Option<String>>,
        value_format: &str,
        on_tombstone: &str,
        transforms: &str,
        include_headers: bool,
        include_key: bool,
        loop_protection: Option<(String, String)>,
    ) -> Result<Self> {
        let held = match value_format {
            "event" => Held::Positions(HashMap::new()),
            "raw" => Held::Values([RandomState::new(), RandomState::new()], HashMap::new()),
            other => {
                let text = format!("value_format: got {other:?}: expected event or raw");
                return Err(Error::new(Kind::Config, text));
            }
        };
        let options = EventOptions { include_headers, include_key };
        let encoder = encoder_for(value_format, on_tombstone, transforms, options, loop_protection)?;
        let index = Mutex::new(Index { held, topics, foreign: 0 });
        Ok(Self { index, judge: Judge::new(encoder, destination) })
    }

    /// Notes what a block of the Rivven topic holds.
    fn feed(&self, py: Python<'_>, block: &Bound<'_, RecordBlock>) {
        let block = &block.get().0;
        py.detach(|| self.lock().feed(block));
    }

    /// Compares a block of Kafka: (the records that are missing, their ranges of offsets with both ends, how many
    /// are present, how many the source leaves out by its options, how many it cannot convert).
    fn compare(&self, py: Python<'_>, block: &Bound<'_, RecordBlock>) -> Compared {
        let block = &block.get().0;
        py.detach(|| self.compared(block))
    }

    /// How many records of a Kafka partition the Rivven topic holds beyond the first copies; of raw values, all
    /// that are equal to one of Kafka and were not needed for `compare`.
    fn doubled(&self, topic: &str, partition: i32) -> u64 {
        match &self.lock().held {
            Held::Positions(held) => held.get(&(topic.to_owned(), partition)).map_or(0, |held| held.doubled),
            Held::Values(_, copies) => left(copies, true),
        }
    }

    /// The lowest Kafka offset of a partition that the Rivven topic holds, None if there is none or it is not known.
    fn lowest(&self, topic: &str, partition: i32) -> Option<i64> {
        match &self.lock().held {
            Held::Positions(held) => held.get(&(topic.to_owned(), partition)).and_then(|held| held.lowest),
            Held::Values(..) => None,
        }
    }

    /// Records of the Rivven topic that are of none of the Kafka topics; of raw values, those that no record of
    /// Kafka was equal to.
    #[getter]
    fn foreign(&self) -> u64 {
        let index = self.lock();
        match &index.held {
            Held::Positions(_) => index.foreign,
            Held::Values(_, copies) => left(copies, false),
        }
    }
}

fn left(copies: &HashMap<[u64; 2], Copies>, known: bool) -> u64 {
    copies.values().filter(|copies| copies.known == known).map(|copies| u64::from(copies.left)).sum()
}

impl PositionIndex {
    fn lock(&self) -> std::sync::MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn compared(&self, block: &Block) -> Compared {
        let mut index = self.lock();
        let mut frame = PublishFrame::new("", 0);
        let mut value = Vec::new();
        let (mut missing, mut ranges) = (Vec::new(), Vec::new());
        let (mut present, mut left_out, mut bad) = (0, 0, 0);
        let mut before_missing = false;
        let place = (block.topic.to_string(), block.partition);
        for record in block.records.iter() {
            let was_missing = std::mem::take(&mut before_missing);
            if let Held::Positions(held) = &index.held {
                if held.get(&place).is_some_and(|held| held.contains(record.offset)) {
                    present += 1;
                    continue;
                }
            }
            match self.judge.fate(block, record, &mut frame, &mut value) {
                Fate::LeftOut => left_out += 1,
                Fate::Bad => bad += 1,
                Fate::Published if index.takes(block, record, &value) => present += 1,
                Fate::Published => {
                    missing.push(*record);
                    before_missing = true;
                    match ranges.last_mut() {
                        Some((_, last)) if was_missing => *last = record.offset,
                        _ => ranges.push((record.offset, record.offset)),
                    }
                }
            }
        }
        let missing = Block { records: missing.into(), ..block.clone() };
        (RecordBlock(missing), ranges, present, left_out, bad)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_held_once_and_counted_beyond() {
        let mut offsets = Offsets::default();
        for offset in [0, 63, 64, PIECE - 1, PIECE, 1 << 50, 64] {
            offsets.insert(offset);
        }
        let held = [0, 1, 63, 64, 65, PIECE - 1, PIECE, 1 << 50].map(|offset| offsets.contains(offset));
        assert_eq!(held, [true, false, true, true, false, true, true, true]);
        assert_eq!((offsets.doubled, offsets.lowest), (1, Some(0)));
    }

    #[test]
    fn a_null_key_and_an_empty_one_differ() {
        let hashes = [RandomState::new(), RandomState::new()];
        let digests = [
            digest(&hashes, None, b"ab"),
            digest(&hashes, Some(b""), b"ab"),
            digest(&hashes, Some(b"a"), b"b"),
            digest(&hashes, Some(b"ab"), b""),
        ];
        for (index, one) in digests.iter().enumerate() {
            assert!(!digests[index + 1..].contains(one));
        }
    }

    #[test]
    fn ids_matter_where_both_are_known() {
        let now = Some("new");
        assert!(same_topic(now, now) && same_topic(now, None) && same_topic(None, Some("old")));
        assert!(!same_topic(now, Some("old")));
    }
}
