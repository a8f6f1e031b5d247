//! Publishing over many connections at once, with order kept where it matters.
//!
//! rivvend spends about 1.85 ms per record and connection, whatever the batch size (one WAL group commit and
//! one fdatasync for each record: `rivvend/src/handler/produce.rs`, `rivven-core/src/wal.rs`), so speed comes
//! from connections. Each carries one lane or a few; a lane sends one batch at a time and so keeps order. The
//! lanes of all destinations share the connections, as rivvend allows 100 of them per client address.

mod batch;
mod config;
mod destinations;
mod encode;
mod exact;
mod exact_lane;
mod lane;
mod pool;
mod queue;
mod route;
mod shared;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use config::{Partitioning, PublisherConfig, LARGEST_REQUEST};
pub use encode::{Encoded, ValueEncoder};
pub use exact::{producer_id, Anchor, Prepared, Recognition};
pub use shared::Stats;

use self::destinations::Destinations;
use self::exact::{Exact, Preparation};
use self::pool::Pool;
use self::queue::{Item, Place};
use self::route::Router;
use self::shared::{add, Shared};
use super::arguments::at_least_one;
use super::client::Client;
use super::link::LinkConfig;
use super::retry::Backoff;
use crate::bad::Bad;
use crate::error::{Error, Kind, Result};
use crate::record::Block;
use crate::tracker::{Ticket, Times, TopicPartition};

/// Publishes blocks to Rivven topics, at least once, and tells which source positions are safe to commit.
///
/// The first error that is not retriable, or not settled by the retries, ends it: `error` returns that error,
/// all threads stop, nothing more is acknowledged.
pub struct Publisher {
    shared: Arc<Shared>,
    routes: Mutex<Routes>,
}

/// Where blocks go; the lock is what keeps their order.
struct Routes {
    router: Router,
    destinations: Destinations,
}

impl Routes {
    /// Where records of a source partition can go, or have gone by `anchors`.
    fn places(&self, source: &TopicPartition, anchors: &[Anchor]) -> Result<Vec<Arc<Place>>> {
        let (destination, shape) = self.destinations.route(&source.0, source.1)?;
        let mut partitions: Vec<u32> = match self.router.partition_of(source.1, shape) {
            Some(partition) => vec![partition],
            None => (0..shape.partitions).collect(),
        };
        partitions.extend(anchors.iter().map(|(_, partition, _)| *partition));
        partitions.sort_unstable();
        partitions.dedup();
        let place = |partition: u32| {
            destination.places.get(partition as usize).cloned().ok_or_else(|| {
                let text = format!("records may be in partition {partition}, which the topic does not have");
                Error::new(Kind::UnknownTopic, text).at(destination.topic(), partition as i32, None)
            })
        };
        partitions.into_iter().map(place).collect()
    }
}

impl Publisher {
    /// A publisher without routes. Asks for a sign of life: an unreachable broker is an error here and now.
    pub fn new(config: PublisherConfig, encoder: Arc<dyn ValueEncoder>) -> Result<Self> {
        config.check()?;
        probe(&config).ping()?;
        let router = Router::new(config.partitioning);
        let destinations = Destinations::default();
        let shared = Arc::new(Shared::new(config, encoder));
        Ok(Self { shared, routes: Mutex::new(Routes { router, destinations }) })
    }

    /// Sends blocks of `source_topic` to the first `partitions` partitions of the Rivven topic `topic`, from now
    /// on. Any number of source topics may share one Rivven topic; they share its lanes as well, so that a key
    /// stays on one lane.
    ///
    /// A topic that is missing or too small is an error here and now: rivvend would create it at the first
    /// record, with the wrong number of partitions. Threads are started for the lanes, connections are opened
    /// when they are needed.
    ///
    /// With `topic_id`, events tell it: it tells the records of the source topic from those of another topic of that
    /// name, as exactly-once delivery by position has to.
    pub fn add_route(
        &self,
        source_topic: &str,
        topic: &str,
        partitions: u32,
        lanes: usize,
        topic_id: Option<&str>,
    ) -> Result<()> {
        at_least_one("partitions", u64::from(partitions))?;
        at_least_one("lanes_per_partition", lanes as u64)?;
        self.check_open()?;
        check_topic(&self.shared.config, topic, partitions)?;
        if let Some(id) = topic_id {
            self.shared.set_topic_id(source_topic, id);
        }
        let most = self.shared.config.connections;
        let seat = || Pool::seat(&self.shared);
        lock(&self.routes).destinations.add(source_topic, topic, partitions, lanes, most, seat)
    }

    /// Takes a block, which must follow what was submitted for its source partition before. Never waits: the
    /// caller keeps `in_flight_bytes` within its budget.
    pub fn submit(&self, block: Block) -> Result<()> {
        // One at a time: the order of registration and the order in the queues must be the same.
        let mut routes = lock(&self.routes);
        let Routes { router, destinations } = &mut *routes;
        self.check_open()?;
        let (destination, shape) = destinations.find(&block)?;
        router.check(&block, shape)?;
        let ticket = self.shared.tracker.register(&block);
        let known = self.known(&block, &ticket)?;
        let topic_id = self.shared.topic_id(&block.topic);
        router.route(&block, shape, |partition, lane, picks| {
            let Some(picks) = picks.without(known.as_deref()) else { return };
            let place = Arc::clone(&destination.places[partition as usize]);
            let (ticket, topic_id) = (Arc::clone(&ticket), topic_id.clone());
            let item = Item { block: block.clone(), ticket, topic_id, place, picks, taken: 0 };
            destination.lanes[lane].push(item);
        });
        Ok(())
    }

    /// Which records of a block the destination has already; they count as acknowledged. None: no record.
    fn known(&self, block: &Block, ticket: &Ticket) -> Result<Option<Vec<bool>>> {
        let Some(exact) = &self.shared.exact else { return Ok(None) };
        if !exact.accounts.knows(&ticket.source) && !block.records.is_empty() {
            let text = "the partition is not prepared";
            return Err(Error::new(Kind::InvalidRequest, text).at(&block.topic, block.partition, None));
        }
        let offsets = block.records.iter().map(|record| record.offset);
        let known = exact.accounts.found(&ticket.source, offsets);
        for (index, _) in known.iter().flatten().enumerate().filter(|(_, known)| **known) {
            ticket.acknowledge(index..index + 1);
            add(&self.shared.stats.records_suppressed, 1);
        }
        Ok(known)
    }

    /// Opens the accounts of source partitions, for exactly-once delivery: finds out what the destination has of
    /// them. Each is (topic, partition, committed position, anchors that were committed with it). With `unsettled`,
    /// requests of an earlier publisher may still be under way, and are waited for.
    pub fn prepare(
        &self,
        work: Vec<(String, i32, i64, Option<Vec<Anchor>>)>,
        unsettled: bool,
    ) -> Result<Prepared> {
        let exact = self.exact()?;
        let work = work.into_iter().map(|(topic, partition, position, anchors)| {
            let source = (Arc::from(topic), partition);
            let routes = lock(&self.routes);
            let homes = routes.places(&source, &[])?.iter().map(|place| place.number).collect();
            let places = routes.places(&source, anchors.as_deref().unwrap_or_default())?;
            Ok(Preparation { source, position, anchors, places, homes })
        });
        let work: Vec<_> = work.collect::<Result<_>>()?;
        exact::prepare(&self.shared, exact, &work, unsettled)
    }

    /// The anchors to commit with a position, and whether all requests are settled; None for a source partition
    /// that is not prepared.
    pub fn anchors(&self, topic: &str, partition: i32, position: i64) -> Result<Option<(Vec<Anchor>, bool)>> {
        Ok(self.exact()?.accounts.anchors(&(Arc::from(topic), partition), position))
    }

    /// Lets the lanes send for `time` from now on.
    pub fn extend_lease(&self, time: Duration) -> Result<()> {
        self.exact()?.lease.extend(time);
        Ok(())
    }

    /// The number that the producer ids of this publisher are made of.
    pub fn identity(&self) -> Result<u64> {
        Ok(self.exact()?.identity.get())
    }

    /// Goes on under other producer ids: its own may have been shut out by another process.
    pub fn renew_identity(&self) -> Result<()> {
        self.exact()?.identity.renew();
        Ok(())
    }

    fn exact(&self) -> Result<&Exact> {
        let error = || Error::new(Kind::Config, "the publisher does not deliver exactly once");
        self.shared.exact.as_ref().ok_or_else(error)
    }

    fn check_open(&self) -> Result<()> {
        match self.error() {
            Some(error) => Err(error),
            None if self.shared.stop.stopped() => Err(Error::new(Kind::Delivery, "the publisher is closed")),
            None => Ok(()),
        }
    }

    /// Source positions that moved since the last call: (topic, partition, next offset to read).
    pub fn positions(&self) -> Vec<(Arc<str>, i32, i64)> {
        self.shared.tracker.take_positions()
    }

    /// What the timestamps of each source partition tell of its lag.
    pub fn times(&self) -> Vec<Times> {
        self.shared.tracker.times()
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
        self.shared.pool.wake();
    }

    /// Gives a source partition up: what is not on the wire yet is not sent, and its position is forgotten.
    pub fn forget(&self, topic: &str, partition: i32) {
        self.shared.tracker.forget(topic, partition);
        if let Some(exact) = &self.shared.exact {
            exact.accounts.forget(&(Arc::from(topic), partition));
        }
        self.wake();
    }

    /// Bytes of the blocks that are not acknowledged in full.
    pub fn in_flight_bytes(&self) -> usize {
        self.shared.tracker.in_flight_bytes()
    }

    /// Records that are not acknowledged, of one source partition or of all. Records that are held count until
    /// their partition is cancelled.
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

    /// Records that were left out since the last call: all that are held; of very many skipped ones, the first.
    pub fn take_bad(&self) -> Vec<Bad> {
        self.shared.bad.take()
    }

    /// How many skipped records were left out of the lists since the last call, by cause.
    pub fn take_bad_unlisted(&self) -> Vec<(&'static str, u64)> {
        self.shared.bad.take_unlisted()
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
        self.shared.pool.join();
        drained
    }

    fn outstanding(&self) -> usize {
        self.shared.tracker.unsettled()
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.close(Duration::ZERO);
    }
}

/// A client that asks each server at most once.
fn probe(config: &PublisherConfig) -> Client {
    let max_retries = config.link.servers.count() as u32 - 1;
    let backoff = Backoff { initial_ms: 0, max_ms: 0, multiplier: 1.0, max_retries };
    Client::new(LinkConfig { backoff, ..config.link.clone() })
}

fn check_topic(config: &PublisherConfig, topic: &str, partitions: u32) -> Result<()> {
    match probe(config).partition_count(topic)? {
        Some(count) if count >= partitions => Ok(()),
        Some(count) => {
            let text = format!("topic {topic} has {count} partitions, {partitions} are wanted");
            Err(Error::new(Kind::InvalidRequest, text))
        }
        None => {
            let text = format!("topic {topic} does not exist");
            Err(Error::new(Kind::UnknownTopic, text).with_code("TOPIC_NOT_FOUND"))
        }
    }
}

/// The data of this module is valid at every step, so a thread that panicked with the lock held does no harm.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod exact_tests;
#[cfg(test)]
mod tests;
