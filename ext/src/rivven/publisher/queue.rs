//! Work on its way to a connection's thread, and there, sorted by partition.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::route::Picks;
use crate::record::{Block, Record};
use crate::rivven::stop::Stop;
use crate::tracker::Ticket;

/// Records of one block for one Rivven partition.
#[derive(Debug)]
pub struct Item {
    /// The block.
    pub block: Block,
    /// Counts its records.
    pub ticket: Arc<Ticket>,
    /// Rivven partition.
    pub partition: u32,
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

/// What a connection's thread has to send, by partition, in turn.
#[derive(Debug, Default)]
pub struct Pending {
    turns: VecDeque<u32>,
    items: HashMap<u32, VecDeque<Item>>,
}

impl Pending {
    /// Nothing to send.
    pub fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// The partition whose turn it is, which goes to the back of the line.
    pub fn next(&mut self) -> Option<u32> {
        self.turns.rotate_left(usize::from(!self.turns.is_empty()));
        self.turns.back().copied()
    }

    /// First item of `partition`.
    pub fn front(&mut self, partition: u32) -> Option<&mut Item> {
        self.items.get_mut(&partition)?.front_mut()
    }

    /// Removes the first item of `partition`.
    pub fn pop(&mut self, partition: u32) {
        if let Some(items) = self.items.get_mut(&partition) {
            items.pop_front();
            if items.is_empty() {
                self.items.remove(&partition);
                self.turns.retain(|turn| *turn != partition);
            }
        }
    }

    fn push(&mut self, item: Item) {
        let items = self.items.entry(item.partition).or_default();
        if items.is_empty() {
            self.turns.push_back(item.partition);
        }
        items.push_back(item);
    }
}
