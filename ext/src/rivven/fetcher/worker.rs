//! The thread of one connection: reads its share of the partitions in turn.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

use rivven_protocol::{Request, Response};

use super::buffer::Buffer;
use super::check::lowest_again;
use super::damage::{OnDamage, Sign};
use super::position::{Position, Stall};
use crate::error::{Error, Kind, Result};
use crate::record::Block;
use crate::rivven::link::Link;
use crate::rivven::stop::Stop;
use crate::rivven::{error_map, throttle_pause, wire};

/// A round over the idle partitions of a connection waits for no more than this.
const LONGEST_ROUND_MS: usize = 200;

/// Counters. Each is exact on its own; together they are no snapshot of one instant.
#[derive(Debug, Default)]
#[allow(missing_docs)] // the names say it
pub struct Stats {
    pub records_fetched: AtomicU64,
    pub bytes_fetched: AtomicU64,
    pub requests: AtomicU64,
    pub empty: AtomicU64,
    pub retries: AtomicU64,
    pub throttled_ms: AtomicU64,
    /// Answers that skipped offsets which the log should hold.
    pub gaps: AtomicU64,
    /// Records that came again, below the offset asked for or out of order.
    pub rewinds: AtomicU64,
    /// Positions that got nothing although the log goes on: unreadable records of a damaged log.
    pub stalls: AtomicU64,
    /// Positions that were passed by deletions: records are gone that were not read.
    pub deletions: AtomicU64,
    /// Answers that did not fit, so that fewer messages were asked for.
    pub shrinks: AtomicU64,
}

/// Relaxed: nothing is read because a counter has some value.
fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

/// One connection and its share of the partitions.
pub struct Worker {
    /// Connection.
    pub link: Link,
    /// Partitions.
    pub positions: Vec<Position>,
    /// Where blocks go.
    pub buffer: Arc<Buffer>,
    /// Ends the thread.
    pub stop: Arc<Stop>,
    /// Counters.
    pub stats: Arc<Stats>,
    /// Longest poll of a single partition.
    pub max_wait_ms: u64,
    /// What becomes of the reading when a log shows damage.
    pub on_damage: OnDamage,
}

impl Worker {
    /// Reads until stopped; an error goes into the buffer.
    pub fn run(mut self) {
        if let Err(error) = self.serve() {
            // First the error, so that what the others say after the stop does not stand in for it.
            self.buffer.fail(error);
            // Their blocks would hide the error for as long as they find any.
            self.stop.stop();
        }
    }

    /// Each partition in turn: without wait for one round after any had records, and then with a short wait for
    /// each. Records that come while another partition is waited for are seen within a round of short waits.
    fn serve(&mut self) -> Result<()> {
        let count = self.positions.len();
        let (mut index, mut quiet) = (0, 0);
        while !self.stop.stopped() {
            let wait = match count {
                1 => self.max_wait_ms,
                _ if quiet < count => 0,
                _ => self.idle_wait_ms(index),
            };
            quiet = if self.fetch(index, wait)? { 0 } else { count.min(quiet + 1) };
            index = (index + 1) % count;
        }
        Ok(())
    }

    /// A round of these takes 20 ms, and 2 ms for each partition beyond ten, 200 ms at most: so many requests of
    /// about 60 us each are what looking at partitions without records may cost. Of more partitions than it has
    /// milliseconds, only some are waited for.
    fn idle_wait_ms(&self, index: usize) -> u64 {
        let count = self.positions.len();
        if index % count.div_ceil(LONGEST_ROUND_MS) != 0 {
            return 0;
        }
        let round = (2 * count).clamp(20, LONGEST_ROUND_MS);
        (round.div_ceil(count + 1) as u64).clamp(1, self.max_wait_ms.max(1))
    }

    /// Reads one partition until it answered; true if records came.
    fn fetch(&mut self, index: usize, wait_ms: u64) -> Result<bool> {
        loop {
            if !self.buffer.wait_for_room() {
                return Ok(false);
            }
            match self.attempt(index, wait_ms).and_then(|answer| self.accept(index, answer)) {
                Ok(Answer::Block(block)) => {
                    self.link.succeeded();
                    return Ok(self.deliver(index, block));
                }
                Ok(Answer::Throttled(pause)) => {
                    add(&self.stats.throttled_ms, pause.as_millis() as u64);
                    if self.stop.sleep(pause) {
                        return Ok(false);
                    }
                }
                Err(error) if error_map::is_response_too_large(&error) => {
                    add(&self.stats.shrinks, 1);
                    if !self.positions[index].limit.shrink() {
                        let text = "the record is stored but does not fit into any response of 10 MiB";
                        return Err(self.locate(index, Error::new(Kind::RecordTooLarge, text)));
                    }
                }
                Err(error) => {
                    let error = self.locate(index, error);
                    self.link.recover(error)?;
                    add(&self.stats.retries, 1);
                }
            }
        }
    }

    fn locate(&self, index: usize, error: Error) -> Error {
        let position = &self.positions[index];
        error.at(&position.topic, position.partition as i32, Some(position.offset))
    }

    fn attempt(&mut self, index: usize, wait_ms: u64) -> Result<Answer> {
        // A new connection may lead to a broker that has come back with another log.
        self.link.connection()?;
        if self.positions[index].checked != Some(self.link.opened()) {
            self.check_log(index)?;
        }
        let position = &self.positions[index];
        self.consume(index, position.offset as u64, position.limit.get(), wait_ms)
    }

    pub(super) fn consume(
        &mut self,
        index: usize,
        offset: u64,
        max_messages: u32,
        wait_ms: u64,
    ) -> Result<Answer> {
        let position = &self.positions[index];
        let request = Request::Consume {
            topic: position.topic.to_string(),
            partition: position.partition,
            offset,
            max_messages,
            isolation_level: None,
            max_wait_ms: (wait_ms > 0).then_some(wait_ms),
        };
        add(&self.stats.requests, 1);
        let connection = self.link.connection()?;
        let body =
            connection.call_frame(&mut wire::request_frame(&request)?, Duration::from_millis(wait_ms))?;
        if wire::is_messages(&body) {
            return wire::decode_messages(&body, &position.topic, position.partition as i32)
                .map(Answer::Block);
        }
        match connection.accept(wire::decode_response(&body)?)? {
            Response::Throttled { throttle_time_ms, .. } => {
                Ok(Answer::Throttled(throttle_pause(throttle_time_ms)))
            }
            _ => Err(Error::new(Kind::Protocol, "unexpected answer to a fetch")),
        }
    }

    pub(super) fn bounds(&mut self, index: usize) -> Result<(u64, u64)> {
        let position = &self.positions[index];
        let request =
            Request::GetOffsetBounds { topic: position.topic.to_string(), partition: position.partition };
        match self.link.connection()?.call(&request)? {
            Response::OffsetBounds { earliest, latest } => Ok((earliest, latest)),
            Response::Throttled { .. } => Err(Error::new(Kind::Throttled, "too many requests")),
            _ => Err(Error::new(Kind::Protocol, "unexpected answer to a question for bounds")),
        }
    }

    /// Passes on what shows no damage, or all of it where reading is to go on: counted then.
    fn accept(&mut self, index: usize, answer: Answer) -> Result<Answer> {
        let Answer::Block(block) = &answer else { return Ok(answer) };
        let asked = self.positions[index].offset;
        let odd = self.positions[index].examine(block);
        if odd.below + odd.out_of_order > 0 {
            add(&self.stats.rewinds, (odd.below + odd.out_of_order) as u64);
            if self.on_damage == OnDamage::Fail {
                return Err(self.damaged(index, asked as u64, Sign::Rewind(lowest_again(asked, block))));
            }
        }
        if odd.missing > 0 {
            match self.bounds(index) {
                // It starts there, or later by now, so that nothing is missing that should be there.
                Ok((earliest, _)) if earliest >= (asked + odd.missing) as u64 => {
                    add(&self.stats.deletions, 1);
                }
                // The question comes again, and the answer with it.
                Err(error) if self.on_damage == OnDamage::Fail => return Err(error),
                _ => {
                    add(&self.stats.gaps, 1);
                    if self.on_damage == OnDamage::Fail {
                        return Err(self.damaged(index, asked as u64, Sign::Gap(asked + odd.missing)));
                    }
                }
            }
        }
        if let Some((before, after)) = odd.jump {
            // As after a replay, where the first copy of a record is followed by what came later.
            add(&self.stats.gaps, 1);
            if self.on_damage == OnDamage::Fail {
                return Err(self.damaged(index, asked as u64, Sign::Jump(before, after)));
            }
        }
        if block.records.is_empty() {
            self.watch_for_stall(index)?;
        }
        Ok(answer)
    }

    /// Hands the records of an answer over; true if there were any.
    fn deliver(&mut self, index: usize, block: Block) -> bool {
        let block = self.positions[index].advance(block);
        if block.records.is_empty() {
            add(&self.stats.empty, 1);
            return false;
        }
        add(&self.stats.records_fetched, block.records.len() as u64);
        add(&self.stats.bytes_fetched, block.chunks.iter().map(|chunk| chunk.len() as u64).sum());
        self.buffer.push(block)
    }

    /// A fetch that gets nothing while the log goes on must not look like one that is up to date.
    fn watch_for_stall(&mut self, index: usize) -> Result<()> {
        let offset = self.positions[index].offset;
        if !self.positions[index].stall.look_due(offset) {
            return Ok(());
        }
        // Without an answer there is nothing to compare; the next fetch finds out why.
        let Ok((earliest, latest)) = self.bounds(index) else { return Ok(()) };
        if self.pass_deleted(index, earliest.min(latest))
            || !self.positions[index].stall.looked(offset, latest)
        {
            return Ok(());
        }
        add(&self.stats.stalls, 1);
        match self.on_damage {
            OnDamage::Fail => Err(self.damaged(index, offset as u64, Sign::Stall(latest))),
            OnDamage::Continue => Ok(()),
        }
    }

    /// Goes on at the beginning of a log that has been deleted up to there; true if the position was before it.
    /// rivvend may answer with nothing for what it has deleted, for as long as nothing is added.
    pub(super) fn pass_deleted(&mut self, index: usize, earliest: u64) -> bool {
        let position = &mut self.positions[index];
        if position.offset >= earliest as i64 {
            return false;
        }
        position.offset = earliest as i64;
        position.stall = Stall::default();
        // Who assigns a position looks for himself at what is gone by then.
        if position.checked.is_some() {
            add(&self.stats.deletions, 1);
        }
        true
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.buffer.fail(Error::new(Kind::Protocol, "a fetcher thread panicked"));
            self.stop.stop();
        }
    }
}

/// What a question for records gets.
pub(super) enum Answer {
    Block(Block),
    Throttled(Duration),
}
