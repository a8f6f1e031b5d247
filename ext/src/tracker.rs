//! Which positions are safe to commit: everything before them has been acknowledged by the other side.
//!
//! A block is registered in the order it was read and acknowledged record by record, in any order and from
//! any thread. The position of a partition is the first record that is not acknowledged, so a committed
//! position never covers an undelivered record.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::metrics::Histogram;
use crate::record::{Block, Record};

/// Topic and partition.
pub type TopicPartition = (Arc<str>, i32);

/// One registered block: a bit per record.
#[derive(Debug)]
pub struct Ticket {
    /// Topic and partition of the block.
    pub source: TopicPartition,
    records: Arc<Vec<Record>>,
    /// Whether each offset is above the one before; found out when a position within the block is asked for.
    rises: OnceLock<bool>,
    next_offset: i64,
    bytes: usize,
    acknowledged: Box<[AtomicU64]>,
    remaining: AtomicUsize,
    cancelled: AtomicBool,
    held: Mutex<Held>,
    shared: Arc<Shared>,
}

/// Records of a block that somebody else decides about. A lock, because they are rare and their number must agree
/// with whether they were given up.
#[derive(Debug, Default)]
struct Held {
    count: usize,
    given_up: bool,
}

impl Ticket {
    /// The other side has just stored `records` (indexes into the block): `acknowledge`, and counts how old they are.
    pub fn deliver(&self, records: Range<usize>) {
        if let (Some(ages), Some(delivered)) = (&self.shared.ages, self.records.get(records.clone())) {
            ages.add_ages(now_ms(), delivered.iter().map(|record| record.timestamp));
        }
        self.acknowledge(records);
    }

    /// Nothing is left to do for `records` (indexes into the block). Each record is acknowledged once.
    ///
    /// The release/acquire pairs make what the acknowledging thread did visible to the one that commits.
    pub fn acknowledge(&self, records: Range<usize>) {
        self.mark(records.clone());
        self.settle(records.len());
    }

    fn mark(&self, records: Range<usize>) {
        let mut start = records.start;
        while start < records.end {
            let end = records.end.min((start / 64 + 1) * 64);
            let bits = u64::MAX >> (64 - (end - start)) << (start % 64);
            self.acknowledged[start / 64].fetch_or(bits, Ordering::Release);
            start = end;
        }
    }

    /// The offset of record `index`.
    pub fn offset(&self, index: usize) -> i64 {
        self.records[index].offset
    }

    /// One record will not be sent, and the position stays before it until `release`. It counts as in flight,
    /// and so do the bytes of its block, until it is released or the partition is given up.
    pub fn hold(&self) {
        let mut held = lock(&self.held);
        if held.given_up {
            self.settle(1);
        } else {
            held.count += 1;
        }
    }

    /// Acknowledges a record that was held; called once for each. If its partition was given up in the meantime,
    /// it no longer counts as in flight, but the position may still move over it.
    pub fn release(&self, index: usize) {
        let mut held = lock(&self.held);
        self.mark(index..index + 1);
        if !held.given_up {
            held.count -= 1;
            self.settle(1);
        }
    }

    /// Nothing of the block is sent any more, and nobody waits for what is held.
    fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        let mut held = lock(&self.held);
        held.given_up = true;
        self.settle(std::mem::take(&mut held.count));
    }

    /// `count` records will not be sent, because the ticket is cancelled: the position stays before them.
    pub fn drop_unsent(&self, count: usize) {
        debug_assert!(self.cancelled(), "only cancelled records may be dropped");
        self.settle(count);
    }

    fn settle(&self, count: usize) {
        if count == 0 {
            return;
        }
        let before = self.remaining.fetch_sub(count, Ordering::AcqRel);
        debug_assert!(before >= count, "a record was settled twice");
        self.shared.unsettled.fetch_sub(count, Ordering::AcqRel);
        if before == count {
            self.shared.in_flight_bytes.fetch_sub(self.bytes, Ordering::AcqRel);
            let _guard = lock(&self.shared.changed);
            self.shared.condition.notify_all();
        }
    }

    /// Whether the partition was given up: records that are not on the wire yet must not be sent.
    pub fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    /// How many records from the first on are acknowledged without a gap.
    fn prefix(&self) -> usize {
        for (index, word) in self.acknowledged.iter().enumerate() {
            let ones = word.load(Ordering::Acquire).trailing_ones() as usize;
            if ones < 64 {
                return index * 64 + ones;
            }
        }
        self.records.len()
    }

    /// The timestamp of record `index` (ms); None if it has none.
    fn timestamp(&self, index: usize) -> Option<i64> {
        self.records.get(index).map(|record| record.timestamp).filter(|timestamp| *timestamp >= 0)
    }

    /// Whether all records behind one also have offsets above its own. A log that was damaged may hold copies of
    /// earlier records behind later ones.
    fn rises(&self) -> bool {
        *self.rises.get_or_init(|| self.records.is_sorted_by(|one, next| one.offset < next.offset))
    }

    /// The offset of the first record that is not acknowledged; Err where nothing is missing, and None where no
    /// position within the block is safe.
    fn first_missing(&self) -> Result<Option<i64>, i64> {
        match self.prefix() {
            prefix if prefix == self.records.len() => Err(self.next_offset),
            0 => Ok(None),
            _ if !self.rises() => Ok(None),
            prefix => Ok(Some(self.records[prefix].offset)),
        }
    }
}

#[derive(Debug, Default)]
struct Shared {
    /// How old records are when they are delivered.
    ages: Option<Arc<Histogram>>,
    in_flight_bytes: AtomicUsize,
    /// Records that are registered and not settled, those of forgotten partitions included.
    unsettled: AtomicUsize,
    changed: Mutex<()>,
    condition: Condvar,
}

#[derive(Debug, Default)]
struct Partition {
    tickets: VecDeque<Arc<Ticket>>,
    position: Option<i64>,
    reported: Option<i64>,
    /// Timestamp of the last record before the position.
    newest: Option<i64>,
}

/// Topic, partition, and timestamps (ms) of the first record that is not delivered, and of the last one before it.
pub type Times = (Arc<str>, i32, Option<i64>, Option<i64>);

impl Partition {
    fn cancel(&self) {
        self.tickets.iter().for_each(|ticket| ticket.cancel());
    }

    fn advance(&mut self) {
        while let Some(front) = self.tickets.front() {
            match front.first_missing() {
                Err(next_offset) => {
                    self.position = Some(next_offset);
                    self.newest = front.timestamp(front.records.len().wrapping_sub(1)).or(self.newest);
                    self.tickets.pop_front();
                }
                Ok(within) => {
                    self.position = within.or(self.position);
                    break;
                }
            }
        }
    }
}

/// The tickets of all partitions. All methods may be called from any thread.
#[derive(Debug, Default)]
pub struct Tracker {
    partitions: Mutex<HashMap<TopicPartition, Partition>>,
    shared: Arc<Shared>,
}

impl Tracker {
    /// An empty tracker.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty tracker that adds to `ages` how old records are when they are delivered (ms).
    pub fn observed(ages: Option<Arc<Histogram>>) -> Self {
        Self { partitions: Mutex::default(), shared: Arc::new(Shared { ages, ..Shared::default() }) }
    }

    /// Registers `block`, which must follow what was registered for its partition before.
    pub fn register(&self, block: &Block) -> Arc<Ticket> {
        let source = (Arc::clone(&block.topic), block.partition);
        let ticket = Arc::new(Ticket {
            source: source.clone(),
            records: Arc::clone(&block.records),
            rises: OnceLock::new(),
            next_offset: block.next_offset,
            bytes: block.bytes,
            acknowledged: (0..block.records.len().div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
            remaining: AtomicUsize::new(block.records.len()),
            cancelled: AtomicBool::new(false),
            held: Mutex::default(),
            shared: Arc::clone(&self.shared),
        });
        if !block.records.is_empty() {
            self.shared.in_flight_bytes.fetch_add(block.bytes, Ordering::AcqRel);
            self.shared.unsettled.fetch_add(block.records.len(), Ordering::AcqRel);
        }
        let mut partitions = lock(&self.partitions);
        let entry = partitions.entry(source).or_default();
        entry.tickets.push_back(Arc::clone(&ticket));
        ticket
    }

    /// Positions that moved since they were last reported: (topic, partition, next offset to read).
    pub fn take_positions(&self) -> Vec<(Arc<str>, i32, i64)> {
        let mut moved = Vec::new();
        for ((topic, partition), state) in lock(&self.partitions).iter_mut() {
            state.advance();
            if state.position != state.reported {
                state.reported = state.position;
                if let Some(position) = state.position {
                    moved.push((Arc::clone(topic), *partition, position));
                }
            }
        }
        moved
    }

    /// What the timestamps of each partition tell of its lag. None for a record that was not read, or has none.
    pub fn times(&self) -> Vec<Times> {
        let mut times = Vec::new();
        for ((topic, partition), state) in lock(&self.partitions).iter_mut() {
            state.advance();
            let (mut oldest, mut newest) = (None, state.newest);
            if let Some(front) = state.tickets.front() {
                let prefix = front.prefix();
                oldest = front.timestamp(prefix);
                newest = prefix.checked_sub(1).and_then(|last| front.timestamp(last)).or(newest);
            }
            times.push((Arc::clone(topic), *partition, oldest, newest));
        }
        times
    }

    /// Stops the sending of records of a partition that are not on the wire yet. Its position still moves
    /// with the acknowledgements that come in.
    pub fn cancel(&self, topic: &str, partition: i32) {
        if let Some(state) = lock(&self.partitions).get(&(Arc::from(topic), partition)) {
            state.cancel();
        }
    }

    /// `cancel` for all partitions.
    pub fn cancel_all(&self) {
        lock(&self.partitions).values().for_each(Partition::cancel);
    }

    /// Gives a partition up: cancels its tickets and forgets its position.
    pub fn forget(&self, topic: &str, partition: i32) {
        if let Some(state) = lock(&self.partitions).remove(&(Arc::from(topic), partition)) {
            state.cancel();
        }
    }

    /// Bytes of the blocks that are not acknowledged in full.
    pub fn in_flight_bytes(&self) -> usize {
        self.shared.in_flight_bytes.load(Ordering::Acquire)
    }

    /// Records that are neither acknowledged nor given up, those of forgotten partitions included.
    pub fn unsettled(&self) -> usize {
        self.shared.unsettled.load(Ordering::Acquire)
    }

    /// Records that are held and not released, of all partitions.
    pub fn held_records(&self) -> usize {
        let partitions = lock(&self.partitions);
        let tickets = partitions.values().flat_map(|state| &state.tickets);
        tickets.map(|ticket| lock(&ticket.held).count).sum()
    }

    /// Records that are registered and neither acknowledged nor given up, of `only` one partition or of all.
    pub fn in_flight_records(&self, only: Option<(&str, i32)>) -> usize {
        lock(&self.partitions)
            .iter()
            .filter(|((topic, partition), _)| only.is_none_or(|(t, p)| &**topic == t && *partition == p))
            .flat_map(|(_, state)| &state.tickets)
            .map(|ticket| ticket.remaining.load(Ordering::Acquire))
            .sum()
    }

    /// Ends all waits, for a reason other than an acknowledgement.
    pub fn wake(&self) {
        let _guard = lock(&self.shared.changed);
        self.shared.condition.notify_all();
    }

    /// Waits until a block is acknowledged in full or `timeout` has passed, whichever comes first.
    pub fn wait(&self, timeout: Duration) {
        let guard = lock(&self.shared.changed);
        let _ = self.shared.condition.wait_timeout(guard, timeout);
    }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as i64)
}

/// A poisoned lock only means that another thread panicked; the data of this module is valid at every step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "tracker_tests.rs"]
mod tests;
