//! What the threads of a publisher share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::config::PublisherConfig;
use super::encode::ValueEncoder;
use super::exact::Exact;
use super::pool::Pool;
use crate::bad::BadList;
use crate::error::Error;
use crate::rivven::stop::Stop;
use crate::tracker::Tracker;

/// Counters. Each is exact on its own; together they are no snapshot of one instant.
#[derive(Debug, Default)]
#[allow(missing_docs)] // the names say it, units included
pub struct Stats {
    pub records_published: AtomicU64,
    pub records_skipped: AtomicU64,
    pub records_bad: AtomicU64,
    /// Not published, because the destination has them.
    pub records_suppressed: AtomicU64,
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

/// Shared state.
pub struct Shared {
    pub config: PublisherConfig,
    pub encoder: Arc<dyn ValueEncoder>,
    pub tracker: Tracker,
    pub stats: Stats,
    pub stop: Arc<Stop>,
    pub pool: Pool,
    pub bad: BadList,
    /// What exactly-once delivery adds.
    pub exact: Option<Exact>,
    failure: Mutex<Option<Error>>,
}

impl Shared {
    /// Nothing to do yet.
    pub fn new(config: PublisherConfig, encoder: Arc<dyn ValueEncoder>) -> Self {
        Self {
            pool: Pool::new(config.connections),
            exact: config.recognition.map(Exact::new),
            config,
            encoder,
            tracker: Tracker::new(),
            stats: Stats::default(),
            stop: Arc::new(Stop::new()),
            bad: BadList::default(),
            failure: Mutex::new(None),
        }
    }

    /// Ends all threads. Nothing is settled from now on.
    pub fn stop(&self) {
        self.stop.stop();
        self.pool.wake();
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
}
