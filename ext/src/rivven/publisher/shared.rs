//! What the threads of a publisher share.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::config::PublisherConfig;
use super::encode::ValueEncoder;
use super::queue::Queue;
use crate::error::Error;
use crate::rivven::stop::Stop;
use crate::tracker::{Ticket, Tracker};

/// Counters. Each is exact on its own; together they are no snapshot of one instant.
#[derive(Debug, Default)]
#[allow(missing_docs)] // the names say it, units included
pub struct Stats {
    pub records_published: AtomicU64,
    pub records_skipped: AtomicU64,
    pub records_bad: AtomicU64,
    pub bytes_published: AtomicU64,
    pub requests: AtomicU64,
    pub retries: AtomicU64,
    pub throttled_ms: AtomicU64,
    pub connected: AtomicU64,
    pub request_us_total: AtomicU64,
    pub request_us_last: AtomicU64,
}

/// Adds to a counter. Relaxed: nothing is read because a counter has some value.
pub fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

/// Most reasons of bad records that are kept for the log.
const MOST_REASONS: usize = 100;

/// Shared state.
pub struct Shared {
    pub config: PublisherConfig,
    pub encoder: Arc<dyn ValueEncoder>,
    pub tracker: Tracker,
    pub stats: Stats,
    pub stop: Arc<Stop>,
    pub queues: Vec<Queue>,
    /// Records that were submitted and not settled, those of partitions that were given up included.
    pub outstanding: AtomicUsize,
    failure: Mutex<Option<Error>>,
    /// Reasons of bad records that nobody has asked for yet; the counter goes on when this is full.
    bad: Mutex<Vec<Error>>,
}

impl Shared {
    /// Nothing to do yet.
    pub fn new(config: PublisherConfig, encoder: Arc<dyn ValueEncoder>) -> Self {
        let queues = (0..config.connections_used()).map(|_| Queue::default()).collect();
        Self {
            config,
            encoder,
            tracker: Tracker::new(),
            stats: Stats::default(),
            stop: Arc::new(Stop::new()),
            queues,
            outstanding: AtomicUsize::new(0),
            failure: Mutex::new(None),
            bad: Mutex::new(Vec::new()),
        }
    }

    /// Ends all threads. Nothing is settled from now on.
    pub fn stop(&self) {
        self.stop.stop();
        self.queues.iter().for_each(Queue::wake);
        self.tracker.wake();
    }

    /// Enters the failed state; the first error stays. After a stop, errors are its consequence and not kept.
    pub fn fail(&self, error: Error) {
        {
            let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
            if failure.is_some() || self.stop.stopped() {
                return;
            }
            *failure = Some(error);
        }
        self.stop();
    }

    /// The error that ended the publisher.
    pub fn error(&self) -> Option<Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps the reason why a record is skipped.
    pub fn note_bad(&self, error: Error) {
        let mut bad = self.bad.lock().unwrap_or_else(PoisonError::into_inner);
        if bad.len() < MOST_REASONS {
            bad.push(error);
        }
    }

    /// The reasons noted since the last call.
    pub fn take_bad(&self) -> Vec<Error> {
        std::mem::take(&mut *self.bad.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Records of a block (by index) are done with.
    pub fn acknowledge(&self, ticket: &Ticket, records: Range<usize>) {
        self.outstanding.fetch_sub(records.len(), Ordering::AcqRel);
        ticket.acknowledge(records);
    }

    /// Records of a block were given up.
    pub fn drop_unsent(&self, ticket: &Ticket, count: usize) {
        self.outstanding.fetch_sub(count, Ordering::AcqRel);
        ticket.drop_unsent(count);
    }
}
