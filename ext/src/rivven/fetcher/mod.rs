//! Reading partitions ahead, over one connection or several.

mod buffer;
mod check;
mod damage;
pub(super) mod limit;
mod position;
mod python;
mod worker;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

pub use damage::OnDamage;
pub use python::PyFetcher;
pub use worker::Stats;

use self::buffer::Buffer;
use self::limit::Limit;
use self::position::{Position, Stall};
use self::worker::Worker;
use super::arguments::at_least_one;
use super::link::{Link, LinkConfig};
use super::stop::Stop;
use crate::error::{Error, Kind, Result};
use crate::record::Block;

/// Configuration of a fetcher.
#[derive(Debug, Clone)]
pub struct FetcherConfig {
    /// Servers, timeouts, retries.
    pub link: LinkConfig,
    /// Most connections; each has a thread and its share of the partitions.
    pub connections: usize,
    /// How long the broker holds a fetch that finds nothing, where a connection reads one partition only.
    pub max_wait_ms: u64,
    /// Most records in one answer; fewer are asked for when they are large.
    pub max_messages: usize,
    /// Bytes of blocks that wait for `poll`. The answers that the connections hold besides share as much, but
    /// each may have one record beyond its share, and one answer when large records follow small ones.
    pub max_buffered_bytes: usize,
    /// What becomes of the reading when the log shows damage.
    pub on_damage: OnDamage,
}

impl FetcherConfig {
    /// Checks the ranges.
    pub fn check(&self) -> Result<()> {
        at_least_one("connections", self.connections as u64)?;
        at_least_one("max_messages", self.max_messages as u64)?;
        at_least_one("max_buffered_bytes", self.max_buffered_bytes as u64)?;
        // What rivvend cuts off itself (`handler/consume.rs`).
        for (name, value, most) in
            [("max_messages", self.max_messages as u64, 10_000), ("max_wait_ms", self.max_wait_ms, 30_000)]
        {
            if value > most {
                return Err(Error::new(Kind::Config, format!("{name} must be at most {most}")));
            }
        }
        Ok(())
    }
}

/// Reads what it is assigned. All methods may be called from any thread.
pub struct Fetcher {
    config: FetcherConfig,
    stats: Arc<Stats>,
    run: Mutex<Run>,
    closed: AtomicBool,
}

/// One assignment at work. It owns its buffer, so that blocks of another one can never come out.
struct Run {
    stop: Arc<Stop>,
    buffer: Arc<Buffer>,
    threads: Vec<JoinHandle<()>>,
}

impl Run {
    fn end(&self) {
        self.stop.stop();
        self.buffer.close();
    }
}

impl Fetcher {
    /// A fetcher without an assignment.
    pub fn new(config: FetcherConfig) -> Result<Self> {
        config.check()?;
        let buffer = Arc::new(Buffer::new(config.max_buffered_bytes));
        let run = Run { stop: Arc::new(Stop::new()), buffer, threads: Vec::new() };
        Ok(Self { config, stats: Arc::default(), run: Mutex::new(run), closed: AtomicBool::new(false) })
    }

    /// Reads these partitions from these offsets on, and nothing else any more. What was fetched and not
    /// polled is dropped; the stored error too.
    pub fn assign(&self, partitions: Vec<(String, u32, i64)>) -> Result<()> {
        if let Some((topic, partition, offset)) = partitions.iter().find(|(_, _, offset)| *offset < 0) {
            let error = Error::new(Kind::InvalidRequest, "negative offset");
            return Err(error.at(topic, *partition as i32, Some(*offset)));
        }
        let mut run = self.lock();
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::new(Kind::Connect, "the fetcher is closed"));
        }
        run.end();
        // Old threads end on their own: their waits are over. Those that have not yet are kept for `close`.
        run.threads.retain(|thread| !thread.is_finished());
        run.stop = Arc::new(Stop::new());
        run.buffer = Arc::new(Buffer::new(self.config.max_buffered_bytes));
        for (number, positions) in self.share_out(partitions).into_iter().enumerate() {
            let worker = self.worker(&run, positions);
            let thread = Builder::new().name(format!("rivven-fetch-{number}")).spawn(|| worker.run());
            let thread = thread.map_err(|error| Error::new(Kind::Connect, format!("no thread: {error}")))?;
            run.threads.push(thread);
        }
        Ok(())
    }

    fn worker(&self, run: &Run, positions: Vec<Position>) -> Worker {
        Worker {
            link: Link::new(self.config.link.clone(), Arc::clone(&run.stop)),
            positions,
            buffer: Arc::clone(&run.buffer),
            stop: Arc::clone(&run.stop),
            stats: Arc::clone(&self.stats),
            max_wait_ms: self.config.max_wait_ms,
            on_damage: self.config.on_damage,
        }
    }

    /// One share per connection, as even as possible.
    fn share_out(&self, partitions: Vec<(String, u32, i64)>) -> Vec<Vec<Position>> {
        let mut shares = vec![Vec::new(); self.config.connections.min(partitions.len())];
        let count = shares.len();
        let budget = self.config.max_buffered_bytes / count.max(1);
        for (index, (topic, partition, offset)) in partitions.into_iter().enumerate() {
            let limit = Limit::new(self.config.max_messages, budget);
            let topic = Arc::from(topic);
            shares[index % count].push(Position {
                topic,
                partition,
                offset,
                limit,
                checked: None,
                stall: Stall::default(),
            });
        }
        shares
    }

    /// Blocks that were fetched, until they hold `max_records`; waits up to `timeout` for the first.
    pub fn poll(&self, timeout: Duration, max_records: usize) -> Result<Vec<Block>> {
        let buffer = Arc::clone(&self.lock().buffer);
        buffer.poll(timeout, max_records)
    }

    /// Bytes of the blocks that wait for `poll`.
    pub fn buffered_bytes(&self) -> usize {
        self.lock().buffer.bytes()
    }

    /// Counters.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Ends all threads and drops what was not polled.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let threads = {
            let mut run = self.lock();
            run.end();
            std::mem::take(&mut run.threads)
        };
        for thread in threads {
            // A thread that panicked has told so in the buffer.
            let _ = thread.join();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Run> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Fetcher {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests;
