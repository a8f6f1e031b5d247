//! The comparison of all events of a Rivven topic with the Kafka partitions that they come from.

use std::collections::HashMap;
use std::hash::RandomState;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::digest::Digester;
use super::order::{hash_of, Order};
use super::restored::{Found, Restored};
use super::segments::{Partition, Seen};
use crate::bridge::event_position::EventPosition;
use crate::bridge::fate::{Fate, Judge};
use crate::bridge::position_index::same_topic;
use crate::error::Result;
use crate::record::{Block, Record};
use crate::rivven::publish_frame::PublishFrame;
use crate::rivven::publisher::LARGEST_REQUEST;

/// What a byte of a record can become at most, and what an event has besides: a record that stays below
/// `LARGEST_REQUEST` with it cannot be too large. (A control character in a header is written as six bytes, twice.)
const GROWTH: (usize, usize) = (16, 4096);

/// Topic -> its id if known, and the numbers of its partitions.
type Places = HashMap<String, (Option<String>, HashMap<i32, usize>)>;

/// What is to be compared, and how.
pub struct Index {
    places: Places,
    ranges: Vec<(i64, i64)>,
    /// The partition number that all events of a place have in Rivven, where the source keeps those of Kafka.
    kept: Option<Vec<i32>>,
    judge: Judge,
    /// Whether transforms or marks change the events: what they should be is made as the source makes it.
    transformed: bool,
    with_headers: bool,
    key_hasher: Option<RandomState>,
    state: Mutex<State>,
}

/// What was found.
pub struct State {
    /// By number.
    pub partitions: Vec<Partition>,
    order: Order,
    /// Events of none of the partitions, and values that are no events.
    pub foreign: u64,
}

/// What the source makes of a Kafka record.
enum Expected {
    Digest(u128),
    LeftOut,
    Bad,
}

/// An event of one of the partitions.
struct Entry {
    place: usize,
    key: Option<u64>,
    seen: Seen,
    digest: u128,
}

impl Index {
    /// An index of `partitions`, which are named by `names`: topic, its id if known, number. With `preserve`, their
    /// events are in Rivven partitions of the same numbers.
    pub fn new(
        names: Vec<(String, Option<String>, i32)>,
        partitions: Vec<Partition>,
        judge: Judge,
        (transformed, with_headers): (bool, bool),
        order: Order,
        preserve: bool,
    ) -> Self {
        let kept = preserve.then(|| names.iter().map(|(_, _, partition)| *partition).collect());
        let mut places = Places::new();
        for (number, (topic, id, partition)) in names.into_iter().enumerate() {
            places.entry(topic).or_insert((id, HashMap::new())).1.insert(partition, number);
        }
        let ranges = partitions.iter().map(|partition| (partition.start, partition.end)).collect();
        let key_hasher = order.hasher();
        let state = Mutex::new(State { partitions, order, foreign: 0 });
        Self { places, ranges, kept, judge, transformed, with_headers, key_hasher, state }
    }

    /// What was found so far.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of a Kafka partition, None if it is not compared.
    pub fn number(&self, topic: &str, partition: i32) -> Option<usize> {
        self.places.get(topic)?.1.get(&partition).copied()
    }

    /// Takes a block of Kafka.
    pub fn feed_kafka(&self, block: &Block) -> Result<()> {
        let Some(place) = self.number(&block.topic, block.partition) else { return Ok(()) };
        let mut maker = Maker::default();
        let expected =
            block.records.iter().map(|record| Ok((record.offset, self.expected(block, record, &mut maker)?)));
        let expected = expected.collect::<Result<Vec<_>>>()?;
        let mut state = self.lock();
        let partition = &mut state.partitions[place];
        for (offset, expected) in expected {
            match expected {
                _ if !partition.covers(offset) => {}
                Expected::Digest(digest) => partition.add_kafka(offset, digest),
                Expected::LeftOut => {
                    partition.left_out += 1;
                    partition.add_unpublished(offset);
                }
                Expected::Bad => {
                    partition.bad += 1;
                    partition.add_unpublished(offset);
                }
            }
        }
        Ok(())
    }

    /// Takes a block of the Rivven topic; those of one partition in order.
    pub fn feed_rivven(&self, block: &Block) {
        let mut digester = Digester::default();
        let mut foreign = 0;
        let mut entries = Vec::with_capacity(block.records.len());
        for record in block.records.iter() {
            match self.entry(block, record, &mut digester) {
                Some(entry) => entries.push(entry),
                None => foreign += 1,
            }
        }
        let mut guard = self.lock();
        let state = &mut *guard;
        state.foreign += foreign;
        for Entry { place, key, seen, digest } in entries {
            if state.partitions[place].add_rivven(seen, digest) {
                if self.kept.as_ref().is_some_and(|kept| kept[place] != seen.partition) {
                    state.partitions[place].misplaced.add(seen.offset, seen);
                }
                let before = state.order.later_before(place, seen.partition, key, seen.offset);
                if let Some(before) = before {
                    state.partitions[place].out_of_order.add(seen.offset, (seen, before));
                }
            }
        }
    }

    /// The digests of the records of a Kafka block that the source publishes, with the indexes and offsets of the
    /// records.
    pub fn kafka_digests(&self, block: &Block) -> Result<Vec<(usize, i64, u128)>> {
        let mut maker = Maker::default();
        let mut digests = Vec::new();
        for (index, record) in block.records.iter().enumerate() {
            if let Expected::Digest(digest) = self.expected(block, record, &mut maker)? {
                digests.push((index, record.offset, digest));
            }
        }
        Ok(digests)
    }

    /// The digests of the events of a Kafka partition in a Rivven block, with their indexes and Kafka offsets.
    pub fn rivven_digests(&self, block: &Block, place: usize) -> Vec<(usize, i64, u128)> {
        let mut digester = Digester::default();
        let entries = block.records.iter().enumerate();
        entries
            .filter_map(|(index, record)| Some((index, self.entry(block, record, &mut digester)?)))
            .filter(|(_, entry)| entry.place == place)
            .map(|(index, entry)| (index, entry.seen.offset, entry.digest))
            .collect()
    }

    /// The event that the source makes of a Kafka record, where transforms change it.
    pub fn transformed(&self, block: &Block, record: &Record) -> Option<Vec<u8>> {
        let mut maker = Maker::default();
        let published = self.transformed
            && self.judge.fate(block, record, &mut maker.frame, &mut maker.value) == Fate::Published;
        published.then_some(maker.value)
    }

    /// Whether headers are compared.
    pub fn with_headers(&self) -> bool {
        self.with_headers
    }

    fn expected(&self, block: &Block, record: &Record, maker: &mut Maker) -> Result<Expected> {
        let small = Block::payload_len(record) * GROWTH.0 + GROWTH.1 < LARGEST_REQUEST;
        if self.transformed || !small {
            match self.judge.fate(block, record, &mut maker.frame, &mut maker.value) {
                Fate::LeftOut => return Ok(Expected::LeftOut),
                Fate::Bad => return Ok(Expected::Bad),
                Fate::Published if self.transformed => {
                    let position = position_of(block, record);
                    let restored =
                        Restored::new(block.key(record), &maker.value, &position, self.with_headers);
                    return Ok(Expected::Digest(match restored {
                        Ok(restored) => maker.digester.restored(&restored),
                        Err(_) => maker.digester.malformed(&maker.value),
                    }));
                }
                Fate::Published => {}
            }
        }
        Ok(Expected::Digest(maker.digester.record(block, record, self.with_headers)?))
    }

    fn entry(&self, block: &Block, record: &Record, digester: &mut Digester) -> Option<Entry> {
        let (key, value) = (block.key(record), block.value(record).unwrap_or_default());
        let found = Found::read(key, value, self.with_headers);
        let (position, digest) = match &found {
            Found::Foreign => return None,
            Found::Malformed(position) => (position, digester.malformed(value)),
            Found::Event(position, restored) => {
                let place = self.number(&position.topic, position.partition)?;
                let (start, end) = self.ranges[place];
                let wanted = start <= position.offset && position.offset < end;
                // What nobody looks at needs no digest.
                (position, if wanted { digester.restored(restored) } else { 0 })
            }
        };
        let (id, partitions) = self.places.get(position.topic.as_ref())?;
        if !same_topic(id.as_deref(), position.topic_id) {
            return None;
        }
        let place = *partitions.get(&position.partition)?;
        let seen = Seen { offset: position.offset, partition: block.partition, at: record.offset };
        let hashed = self.key_hasher.as_ref().zip(key);
        let key = hashed.map(|(state, key)| hash_of(state, place, block.partition, key));
        Some(Entry { place, key, seen, digest })
    }
}

/// Where a Kafka record stands.
pub fn position_of<'a>(block: &'a Block, record: &Record) -> EventPosition<'a> {
    EventPosition {
        topic_id: None,
        topic: block.topic.as_ref().into(),
        partition: block.partition,
        offset: record.offset,
    }
}

/// Buffers for what records become.
struct Maker {
    digester: Digester,
    frame: PublishFrame,
    value: Vec<u8>,
}

impl Default for Maker {
    fn default() -> Self {
        Self { digester: Digester::default(), frame: PublishFrame::new("", 0), value: Vec::new() }
    }
}
