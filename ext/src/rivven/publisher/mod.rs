//! Publishing over many connections at once, with order kept where it matters.
//!
//! rivvend spends about 1.85 ms per record and connection, whatever the batch size (one WAL group commit and
//! one fdatasync for each record: `rivvend/src/handler/produce.rs`, `rivven-core/src/wal.rs`), so speed comes
//! from connections. Each carries one lane or a few; a lane sends one batch at a time and so keeps order.

mod batch;
mod config;
mod encode;
mod lane;
mod queue;
mod route;
mod shared;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

pub use config::{Partitioning, PublisherConfig, LARGEST_REQUEST};
pub use encode::{Encoded, ValueEncoder};
pub use shared::Stats;

use self::lane::Lane;
use self::queue::{Item, Queue};
use self::route::Router;
use self::shared::Shared;
use super::client::Client;
use super::link::LinkConfig;
use super::retry::Backoff;
use crate::error::{Error, Kind, Result};
use crate::record::Block;

/// Publishes blocks to one Rivven topic, at least once, and tells which source positions are safe to commit.
///
/// The first error that is not retriable, or not settled by the retries, ends it: `error` returns that error,
/// all threads stop, nothing more is acknowledged.
pub struct Publisher {
    shared: Arc<Shared>,
    router: Mutex<Router>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Publisher {
    /// Starts the threads, after it has asked one of the servers for the topic: an unreachable broker or a
    /// missing topic is an error here and now (rivvend would create the topic at the first record, with the
    /// wrong number of partitions). Connections are opened when they are needed.
    pub fn new(config: PublisherConfig, encoder: Arc<dyn ValueEncoder>) -> Result<Self> {
        config.check()?;
        check_topic(&config)?;
        let router = Router::new(config.partitioning, config.partitions, config.lanes());
        let shared = Arc::new(Shared::new(config, encoder));
        let publisher = Self { shared, router: Mutex::new(router), threads: Mutex::new(Vec::new()) };
        for number in 0..publisher.shared.queues.len() {
            let lane = Lane::new(Arc::clone(&publisher.shared), number);
            let thread = Builder::new().name(format!("rivven-lane-{number}")).spawn(|| lane.run());
            let thread = thread.map_err(|error| Error::new(Kind::Delivery, format!("no thread: {error}")))?;
            lock(&publisher.threads).push(thread);
        }
        Ok(publisher)
    }

    /// Takes a block, which must follow what was submitted for its source partition before. Never waits: the
    /// caller keeps `in_flight_bytes` within its budget.
    pub fn submit(&self, block: Block) -> Result<()> {
        // One at a time: the order of registration and the order in the queues must be the same.
        let mut router = lock(&self.router);
        if let Some(error) = self.error() {
            return Err(error);
        }
        if self.shared.stop.stopped() {
            return Err(Error::new(Kind::Delivery, "the publisher is closed"));
        }
        router.check(&block)?;
        let ticket = self.shared.tracker.register(&block);
        self.shared.outstanding.fetch_add(block.records.len(), Ordering::AcqRel);
        router.route(&block, |partition, lane, picks| {
            let item = Item { block: block.clone(), ticket: Arc::clone(&ticket), partition, picks, taken: 0 };
            self.shared.queues[lane % self.shared.queues.len()].push(item);
        });
        Ok(())
    }

    /// Source positions that moved since the last call: (topic, partition, next offset to read).
    pub fn positions(&self) -> Vec<(Arc<str>, i32, i64)> {
        self.shared.tracker.take_positions()
    }

    /// Sends nothing more of a source partition; its position still moves with what is on the wire.
    pub fn cancel(&self, topic: &str, partition: i32) {
        self.shared.tracker.cancel(topic, partition);
        self.wake();
    }

    /// Sends nothing more of any partition.
    pub fn cancel_all(&self) {
        self.shared.tracker.cancel_all();
        self.wake();
    }

    /// Lets idle lanes, and those that wait for a lost broker, see what was cancelled.
    fn wake(&self) {
        self.shared.stop.wake();
        self.shared.queues.iter().for_each(Queue::wake);
    }

    /// Gives a source partition up: what is not on the wire yet is not sent, and its position is forgotten.
    pub fn forget(&self, topic: &str, partition: i32) {
        self.shared.tracker.forget(topic, partition);
        self.wake();
    }

    /// Bytes of the blocks that are not acknowledged in full.
    pub fn in_flight_bytes(&self) -> usize {
        self.shared.tracker.in_flight_bytes()
    }

    /// Records that are not acknowledged, of one source partition or of all.
    pub fn in_flight_records(&self, only: Option<(&str, i32)>) -> usize {
        self.shared.tracker.in_flight_records(only)
    }

    /// Waits until a block is acknowledged in full, the publisher fails, or `timeout` has passed.
    pub fn wait(&self, timeout: Duration) {
        if !self.shared.stop.stopped() {
            self.shared.tracker.wait(timeout);
        }
    }

    /// The error that ended the publisher.
    pub fn error(&self) -> Option<Error> {
        self.shared.error()
    }

    /// Why records were skipped since the last call, with their places; of very many, the first.
    pub fn take_bad(&self) -> Vec<Error> {
        self.shared.take_bad()
    }

    /// Counters.
    pub fn stats(&self) -> &Stats {
        &self.shared.stats
    }

    /// Waits up to `drain` for everything to be acknowledged, then ends the threads. True if nothing was left.
    /// What was left stays unacknowledged, though the broker may still store what is on the wire.
    pub fn close(&self, drain: Duration) -> bool {
        // An acknowledgement between the look and the wait wakes nobody, so the wait is short.
        const STEP: Duration = Duration::from_millis(20);
        let end = Instant::now() + drain;
        while self.outstanding() > 0 && !self.shared.stop.stopped() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            self.shared.tracker.wait(left.min(STEP));
        }
        let drained = self.outstanding() == 0 && self.error().is_none();
        self.shared.stop();
        let threads = std::mem::take(&mut *lock(&self.threads));
        for thread in threads {
            // A thread that panicked has told so in the shared state.
            let _ = thread.join();
        }
        drained
    }

    fn outstanding(&self) -> usize {
        self.shared.outstanding.load(Ordering::Acquire)
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.close(Duration::ZERO);
    }
}

/// Asks each server at most once.
fn check_topic(config: &PublisherConfig) -> Result<()> {
    let max_retries = config.link.servers.count() as u32 - 1;
    let backoff = Backoff { initial_ms: 0, max_ms: 0, multiplier: 1.0, max_retries };
    let client = Client::new(LinkConfig { backoff, ..config.link.clone() });
    match client.partition_count(&config.topic)? {
        Some(count) if count >= config.partitions => Ok(()),
        Some(count) => {
            let text =
                format!("topic {} has {count} partitions, {} are wanted", config.topic, config.partitions);
            Err(Error::new(Kind::InvalidRequest, text))
        }
        None => {
            let text = format!("topic {} does not exist", config.topic);
            Err(Error::new(Kind::UnknownTopic, text).with_code("TOPIC_NOT_FOUND"))
        }
    }
}

/// The data of this module is valid at every step, so a thread that panicked with the lock held does no harm.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
