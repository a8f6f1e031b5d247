//! The thread of one connection: builds a batch, sends it, waits for the answer, acknowledges.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rivven_protocol::{Request, Response};

use super::batch::Batch;
use super::exact::{Epochs, Recognition};
use super::exact_lane::Writer;
use super::queue::{Pending, Queue};
use super::shared::{add, Shared};
use crate::error::{Error, Kind, Result};
use crate::rivven::link::Link;
use crate::rivven::{log_scan, throttle_pause, wire};

/// How often an idle connection sends a ping; rivvend closes one that is silent for 120 s.
const PING_EVERY: Duration = Duration::from_secs(30);

/// One connection and the lanes that it carries.
pub struct Lane {
    pub(super) shared: Arc<Shared>,
    queue: Arc<Queue>,
    /// Number of the connection.
    pub(super) number: usize,
    pub(super) link: Link,
    pub(super) batch: Batch,
    counted: bool,
    /// On which connection the log of a partition was looked at, by the number of its place.
    looked: HashMap<usize, u64>,
    pub(super) writers: HashMap<usize, Writer>,
    pub(super) epochs: Epochs,
}

impl Lane {
    /// A connection, opened when there is something to send.
    pub fn new(shared: Arc<Shared>, queue: Arc<Queue>, number: usize) -> Self {
        // Whether to try again is the lane's decision, as partitions may be given up meanwhile.
        let link = Link::new(shared.config.link.clone(), Arc::clone(&shared.stop)).impatient();
        Self {
            shared,
            queue,
            number,
            link,
            batch: Batch::new(),
            counted: false,
            looked: HashMap::new(),
            writers: HashMap::new(),
            epochs: Epochs::default(),
        }
    }

    /// Sends until stopped or failed.
    pub fn run(mut self) {
        if let Err(error) = self.serve() {
            self.shared.fail(error);
        }
    }

    fn serve(&mut self) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        let mut pending = Pending::default();
        while !shared.stop.stopped() {
            let wait = if pending.is_empty() { PING_EVERY } else { Duration::ZERO };
            self.queue.take(&mut pending, wait, &shared.stop);
            if pending.is_empty() {
                self.keep_alive();
                continue;
            }
            let filled = self.batch.fill(&mut pending, &shared);
            if self.batch.count() > 0 {
                let delivered = match &shared.exact {
                    None => self.deliver(),
                    Some(exact) => self.deliver_once(exact),
                };
                if delivered.map_err(|error| self.batch.locate(error))? {
                    self.batch.acknowledge();
                } else {
                    self.batch.drop_unsent();
                }
            } else {
                filled?;
            }
        }
        Ok(())
    }

    /// Sends the batch until it is acknowledged (true) or its partitions are given up (false); an error is
    /// final. At-least-once: what was sent when a connection broke, or was stored before a storage error, is
    /// sent again.
    fn deliver(&mut self) -> Result<bool> {
        loop {
            if self.batch.cancelled() {
                return Ok(false);
            }
            let begin = Instant::now();
            let answer = self.send();
            self.count_connection();
            match answer {
                Ok(Response::PublishedBatch { record_count, base_offset, .. })
                    if record_count as usize == self.batch.count() =>
                {
                    self.count_batch(begin);
                    if let Some(place) = self.batch.place() {
                        // Another writer may have added in between: the log reaches to there at least.
                        place.raise_end(base_offset as i64 + i64::from(record_count));
                    }
                    return Ok(true);
                }
                Ok(Response::Throttled { throttle_time_ms, .. }) => self.wait_throttled(throttle_time_ms)?,
                Ok(Response::PublishedBatch { record_count, .. }) => {
                    let text = format!("{record_count} of {} records acknowledged", self.batch.count());
                    return Err(Error::new(Kind::Protocol, text));
                }
                Ok(_) => return Err(Error::new(Kind::Protocol, "unexpected answer to a batch")),
                Err(error) => {
                    self.link.try_again(error)?;
                    add(&self.shared.stats.retries, 1);
                }
            }
        }
    }

    pub(super) fn count_batch(&mut self, begin: Instant) {
        let stats = &self.shared.stats;
        let time = begin.elapsed().as_micros() as u64;
        stats.request_us_last.store(time, Ordering::Relaxed);
        add(&stats.request_us_total, time);
        add(&stats.requests, 1);
        add(&stats.records_published, self.batch.count() as u64);
        add(&stats.bytes_published, self.batch.frame().len() as u64);
        self.link.delivered();
    }

    /// Nothing was written. Not a failure, however often it happens.
    pub(super) fn wait_throttled(&self, throttle_time_ms: u64) -> Result<()> {
        let pause = throttle_pause(throttle_time_ms);
        add(&self.shared.stats.throttled_ms, pause.as_millis() as u64);
        if self.shared.stop.sleep(pause) {
            return Err(Error::new(Kind::Connect, "the publisher is closed"));
        }
        Ok(())
    }

    /// Looks at the end of a log for the first time over a connection: rivvend may have come back with a damaged one.
    pub(super) fn look(&mut self) -> Result<()> {
        self.link.connection()?;
        let Some(place) = self.batch.place().filter(|_| self.shared.config.check_log) else { return Ok(()) };
        let connection = self.link.opened();
        if self.looked.get(&place.number) != Some(&connection) {
            // Damage shows at the end of the log until somebody has added to it, and then before what was added.
            let known_end = Some(place.end()).filter(|end| *end >= 0);
            for known_end in known_end.map(Some).into_iter().chain([None]) {
                let (_, end) =
                    log_scan::check_tail(&mut self.link, &place.topic, place.partition, known_end)?;
                // In order, what lies behind the end that is known is either ours and not settled, or foreign.
                if place.end() < 0 || self.shared.config.recognition != Some(Recognition::Order) {
                    place.raise_end(end);
                }
            }
            self.looked.insert(place.number, self.link.opened());
        }
        Ok(())
    }

    fn send(&mut self) -> Result<Response> {
        self.look()?;
        let connection = self.link.connection()?;
        let body = connection.call_frame(self.batch.frame(), Duration::ZERO)?;
        let response = wire::decode_response(&body)?;
        connection.accept(response)
    }

    /// Pings, if there is a connection that was silent; a broken one is replaced when it is needed.
    fn keep_alive(&mut self) {
        if self.link.idle().is_some_and(|idle| idle >= PING_EVERY / 2) {
            let ping = self.link.connection().and_then(|connection| connection.call(&Request::Ping));
            if let Err(error) = ping {
                self.link.give_up_if_broken(&error);
            }
        }
        self.count_connection();
    }

    pub(super) fn count_connection(&mut self) {
        let connected = self.link.connected();
        if connected != self.counted {
            self.counted = connected;
            let gauge = &self.shared.stats.connected;
            if connected {
                gauge.fetch_add(1, Ordering::Relaxed);
            } else {
                gauge.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        // An encoder that panics must not look like a broker that is slow.
        if std::thread::panicking() {
            self.shared.fail(Error::new(Kind::Delivery, "a publisher thread panicked"));
        }
        self.link.close();
        self.count_connection();
    }
}
