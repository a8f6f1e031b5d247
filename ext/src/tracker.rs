//! Which positions are safe to commit: everything before them has been acknowledged by the other side.
//!
//! A block is registered in the order it was read and acknowledged record by record, in any order and from
//! any thread. The position of a partition moves to the end of a block only when that block and all blocks
//! before it are acknowledged in full, so a committed position never covers an undelivered record.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::record::Block;

/// Topic and partition.
pub type TopicPartition = (Arc<str>, i32);

/// One registered block: counts down to zero as its records are acknowledged.
#[derive(Debug)]
pub struct Ticket {
    next_offset: i64,
    bytes: usize,
    remaining: AtomicUsize,
    cancelled: AtomicBool,
    shared: Arc<Shared>,
}

impl Ticket {
    /// Acknowledges `count` records of the block.
    ///
    /// The release/acquire pair makes what the acknowledging thread did visible to the one that commits.
    pub fn acknowledge(&self, count: usize) {
        if count == 0 {
            return;
        }
        let before = self.remaining.fetch_sub(count, Ordering::AcqRel);
        debug_assert!(before >= count, "a record was acknowledged twice");
        if before == count {
            self.shared.in_flight_bytes.fetch_sub(self.bytes, Ordering::AcqRel);
            let _guard = lock(&self.shared.changed);
            self.shared.condition.notify_all();
        }
    }

    /// Whether the partition was given up: records that are not on the wire yet need not be sent.
    pub fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }
}

#[derive(Debug, Default)]
struct Shared {
    in_flight_bytes: AtomicUsize,
    changed: Mutex<()>,
    condition: Condvar,
}

#[derive(Debug, Default)]
struct Partition {
    tickets: VecDeque<Arc<Ticket>>,
    position: Option<i64>,
    reported: Option<i64>,
}

impl Partition {
    fn advance(&mut self) {
        while let Some(front) = self.tickets.front() {
            if front.remaining.load(Ordering::Acquire) > 0 {
                break;
            }
            self.position = Some(front.next_offset);
            self.tickets.pop_front();
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

    /// Registers `block`, which must follow what was registered for its partition before.
    pub fn register(&self, block: &Block) -> Arc<Ticket> {
        let ticket = Arc::new(Ticket {
            next_offset: block.next_offset,
            bytes: block.bytes,
            remaining: AtomicUsize::new(block.records.len()),
            cancelled: AtomicBool::new(false),
            shared: Arc::clone(&self.shared),
        });
        if !block.records.is_empty() {
            self.shared.in_flight_bytes.fetch_add(block.bytes, Ordering::AcqRel);
        }
        let mut partitions = lock(&self.partitions);
        let entry = partitions.entry((Arc::clone(&block.topic), block.partition)).or_default();
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

    /// Gives a partition up: cancels its tickets and forgets its position.
    pub fn forget(&self, topic: &str, partition: i32) {
        let removed = lock(&self.partitions).remove(&(Arc::from(topic), partition));
        for ticket in removed.iter().flat_map(|state| &state.tickets) {
            ticket.cancelled.store(true, Ordering::Release);
        }
    }

    /// Bytes of the blocks that are not acknowledged in full.
    pub fn in_flight_bytes(&self) -> usize {
        self.shared.in_flight_bytes.load(Ordering::Acquire)
    }

    /// Records that are registered and not acknowledged, of `only` one partition or of all.
    pub fn in_flight_records(&self, only: Option<(&str, i32)>) -> usize {
        lock(&self.partitions)
            .iter()
            .filter(|((topic, partition), _)| only.is_none_or(|(t, p)| &**topic == t && *partition == p))
            .flat_map(|(_, state)| &state.tickets)
            .map(|ticket| ticket.remaining.load(Ordering::Acquire))
            .sum()
    }

    /// Waits until a block is acknowledged in full or `timeout` has passed, whichever comes first.
    pub fn wait(&self, timeout: Duration) {
        let guard = lock(&self.shared.changed);
        let _ = self.shared.condition.wait_timeout(guard, timeout);
    }
}

/// A poisoned lock only means that another thread panicked; the data of this module is valid at every step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Record, Span, TimestampType};

    fn block(first: i64, count: i64) -> Block {
        let record = |offset| Record {
            offset,
            timestamp: 0,
            chunk: 0,
            key: Span::NULL,
            value: Span::NULL,
            headers: Span::NULL,
            header_count: 0,
            timestamp_type: TimestampType::CreateTime,
        };
        Block {
            topic: Arc::from("t"),
            partition: 0,
            leader_epoch: -1,
            next_offset: first + count,
            chunks: Arc::from([]),
            records: (first..first + count).map(record).collect(),
            bytes: 10,
        }
    }

    #[test]
    fn a_position_waits_for_everything_before_it() {
        let tracker = Tracker::new();
        let first = tracker.register(&block(0, 10));
        let second = tracker.register(&block(10, 10));
        second.acknowledge(10);
        assert!(tracker.take_positions().is_empty());
        first.acknowledge(4);
        assert!(tracker.take_positions().is_empty());
        assert_eq!(tracker.in_flight_records(None), 6);
        first.acknowledge(6);
        assert_eq!(tracker.take_positions(), vec![(Arc::from("t"), 0, 20)]);
        assert!(tracker.take_positions().is_empty(), "reported once");
        assert_eq!(tracker.in_flight_bytes(), 0);
    }

    #[test]
    fn an_empty_block_moves_the_position() {
        let tracker = Tracker::new();
        tracker.register(&block(5, 0));
        assert_eq!(tracker.take_positions(), vec![(Arc::from("t"), 0, 5)]);
    }

    #[test]
    fn forgetting_cancels_and_drops_the_position() {
        let tracker = Tracker::new();
        let ticket = tracker.register(&block(0, 3));
        tracker.forget("t", 0);
        assert!(ticket.cancelled());
        ticket.acknowledge(3);
        assert!(tracker.take_positions().is_empty());
        assert_eq!(tracker.in_flight_bytes(), 0);
    }
}
