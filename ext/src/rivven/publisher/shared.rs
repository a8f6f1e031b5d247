//! What the threads of a publisher share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    /// Of those that were skipped, the ones that a filter dropped.
    pub records_filtered: AtomicU64,
    /// Not published, because they have been in the destination.
    pub echoes_refused: AtomicU64,
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
    /// Ids of Kafka topics, which tell the records of one from those of another of its name.
    topic_ids: Mutex<HashMap<Arc<str>, Arc<str>>>,
    failure: Mutex<Option<Error>>,
}

impl Shared {
    /// Nothing to do yet.
    pub fn new(config: PublisherConfig, encoder: Arc<dyn ValueEncoder>) -> Self {
        Self {
            pool: Pool::new(config.connections),
            exact: config.recognition.map(Exact::new),
            tracker: Tracker::observed(config.ages.clone()),
            config,
            encoder,
            stats: Stats::default(),
            stop: Arc::new(Stop::new()),
            bad: BadList::default(),
            topic_ids: Mutex::default(),
            failure: Mutex::new(None),
        }
    }

    /// Notes the id of a Kafka topic.
    pub fn set_topic_id(&self, topic: &str, id: &str) {
        lock(&self.topic_ids).insert(Arc::from(topic), Arc::from(id));
    }

    /// The id of a Kafka topic, if its events are to tell it.
    pub fn topic_id(&self, topic: &str) -> Option<Arc<str>> {
        lock(&self.topic_ids).get(topic).cloned()
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
            let mut failure = lock(&self.failure);
            if failure.is_some() || self.stop.stopped() {
                return;
            }
            *failure = Some(error);
        }
        self.stop();
    }

    /// The error that ended the publisher.
    pub fn error(&self) -> Option<Error> {
        lock(&self.failure).clone()
    }
}

/// The state is valid at every step, so a thread that panicked with the lock held does no harm.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
