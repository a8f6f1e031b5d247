//! Work on its way to a connection's thread, and there, sorted by partition.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::route::Picks;
use crate::record::{Block, Record};
use crate::rivven::stop::Stop;
use crate::tracker::Ticket;

/// A Rivven partition.
#[derive(Debug)]
pub struct Place {
    /// Rivven topic.
    pub topic: Arc<str>,
    /// Partition of it.
    pub partition: u32,
    /// Its number among all places of the publisher.
    pub number: usize,
    /// The log reaches to this offset at least; -1 if nothing is known of it.
    end: AtomicI64,
    /// Fingerprints of records that the log has and that the source gives again, in order.
    expected: Mutex<VecDeque<u64>>,
}

impl Place {
    /// A partition of which nothing is known yet.
    pub fn new(topic: Arc<str>, partition: u32, number: usize) -> Self {
        Self { topic, partition, number, end: AtomicI64::new(-1), expected: Mutex::default() }
    }

    /// The end of the log as far as it is known, -1 if it is not.
    pub fn end(&self) -> i64 {
        self.end.load(Ordering::Acquire)
    }

    /// The log reaches to `end`.
    pub fn raise_end(&self, end: i64) {
        self.end.fetch_max(end, Ordering::AcqRel);
    }

    /// The source gives these records again, which lie before `end`.
    pub fn expect(&self, digests: Vec<u64>) {
        *self.lock_expected() = digests.into();
    }

    /// How many records are expected.
    pub fn expected(&self) -> usize {
        self.lock_expected().len()
    }

    /// The fingerprint of the next record that is expected.
    pub fn next_expected(&self) -> Option<u64> {
        self.lock_expected().front().copied()
    }

    /// The next record has come.
    pub fn met(&self) {
        self.lock_expected().pop_front();
    }

    fn lock_expected(&self) -> MutexGuard<'_, VecDeque<u64>> {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Records of one block for one Rivven partition.
#[derive(Debug)]
pub struct Item {
    /// The block.
    pub block: Block,
    /// Counts its records.
    pub ticket: Arc<Ticket>,
    /// Id of the block's topic, if the events are to tell it.
    pub topic_id: Option<Arc<str>>,
    /// Where they go.
    pub place: Arc<Place>,
    /// Which records of the block.
    pub picks: Picks,
    /// How many of them are done with.
    pub taken: usize,
}

impl Item {
    /// Records that are left.
    pub fn left(&self) -> usize {
        let all = match &self.picks {
            Picks::All => self.block.records.len(),
            Picks::Some(indexes) => indexes.len(),
        };
        all - self.taken
    }

    /// The next record and its index in the block.
    pub fn record(&self) -> Option<(usize, Record)> {
        let index = match &self.picks {
            Picks::All => self.taken,
            Picks::Some(indexes) => *indexes.get(self.taken)? as usize,
        };
        self.block.records.get(index).map(|record| (index, *record))
    }
}

/// From the submitting threads to one connection's thread. Not bounded: whoever submits keeps the budget.
#[derive(Debug, Default)]
pub struct Queue {
    items: Mutex<VecDeque<Item>>,
    ready: Condvar,
}

impl Queue {
    /// Adds an item.
    pub fn push(&self, item: Item) {
        self.lock().push_back(item);
        self.ready.notify_one();
    }

    /// Wakes the thread, so that it sees a stop.
    pub fn wake(&self) {
        let _guard = self.lock();
        self.ready.notify_all();
    }

    /// Moves everything into `pending`; when there is nothing, waits up to `wait` for something or a stop.
    pub fn take(&self, pending: &mut Pending, wait: Duration, stop: &Stop) {
        let mut items = self.lock();
        if items.is_empty() && !wait.is_zero() && !stop.stopped() {
            items = self.ready.wait_timeout(items, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
        for item in items.drain(..) {
            pending.push(item);
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Item>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a connection's thread has to send, by Rivven partition, in turn.
#[derive(Debug, Default)]
pub struct Pending {
    turns: VecDeque<Arc<Place>>,
    /// By the number of the place.
    items: HashMap<usize, VecDeque<Item>>,
}

impl Pending {
    /// Nothing to send.
    pub fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// The partition whose turn it is, which goes to the back of the line.
    pub fn next(&mut self) -> Option<Arc<Place>> {
        self.turns.rotate_left(usize::from(!self.turns.is_empty()));
        self.turns.back().cloned()
    }

    /// First item for `place`.
    pub fn front(&mut self, place: &Place) -> Option<&mut Item> {
        self.items.get_mut(&place.number)?.front_mut()
    }

    /// Removes the first item for `place`.
    pub fn pop(&mut self, place: &Place) {
        if let Some(items) = self.items.get_mut(&place.number) {
            items.pop_front();
            if items.is_empty() {
                self.items.remove(&place.number);
                self.turns.retain(|turn| turn.number != place.number);
            }
        }
    }

    fn push(&mut self, item: Item) {
        let items = self.items.entry(item.place.number).or_default();
        if items.is_empty() {
            self.turns.push_back(Arc::clone(&item.place));
        }
        items.push_back(item);
    }
}
