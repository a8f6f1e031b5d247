//! Reading a partition from one offset to another, and proving that it can be read.
//!
//! rivvend 0.0.22 damages a partition when it starts after a crash with its write-ahead log kept: it appends the
//! whole log a second time, every record at offset 0, and its index then leads nowhere. Acknowledged records read
//! as nothing, answers jump over them, or end on offsets long passed; the bounds look fine, and there is no error.
//! So each answer is checked against what was asked, and nothing of one that does not fit is used.

use std::sync::Arc;
use std::time::Duration;

use rivven_protocol::{Request, Response};

use super::client::{offset_in, offset_out, unexpected};
use super::connection::Connection;
use super::fetcher::limit::Limit;
use super::link::Link;
use super::{error_map, throttle_pause, wire};
use crate::error::{Error, Kind, Result};
use crate::record::Block;

/// Most messages of one answer: rivvend gives no more.
const MOST: usize = 10_000;

/// About the most bytes of one answer, unless a single record has more.
const BUDGET: usize = 4 << 20;

/// Messages that are read behind the last known record: enough to see the first of a replayed log, and all of one
/// that is too small for an index.
const TAIL: usize = 100;

/// What to do about it, in every error of this kind.
const REPAIR: &str =
    "the log of this partition is damaged: stop rivvend, delete <data-dir>/wal/*.wal before it \
                      starts again; see docs/delivery.md";

/// One record of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogRecord<'a> {
    /// Offset.
    pub offset: i64,
    /// Key.
    pub key: Option<&'a [u8]>,
    /// Value.
    pub value: &'a [u8],
}

/// What a scan has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScanEnd {
    /// Records.
    pub records: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
}

/// That `topic` does not hold at `offset` what it should, as `seen`.
pub fn damaged(topic: &str, partition: u32, offset: i64, seen: &str) -> Error {
    Error::new(Kind::LogDamaged, format!("{seen}; {REPAIR}")).at(topic, partition as i32, Some(offset))
}

/// Visits every record from offset `from` to `until` (exclusive, at most the end of the log) in order.
///
/// A lost connection is replaced as often as the backoff of `link` allows, and reading goes on where it was: each
/// record is visited once. Fails with `Kind::LogDamaged` when an answer is not what a sound log gives, with
/// `Kind::OffsetOutOfRange` when records to read have been deleted, and with whatever `visit` fails with. Offsets that
/// are missing in the middle of an answer are damage as well: a damaged index makes answers jump. Compaction and the
/// markers of Rivven's transactions leave gaps by right, and cannot be told from it.
pub fn scan(
    link: &mut Link,
    topic: &str,
    partition: u32,
    from: i64,
    until: i64,
    visit: &mut dyn FnMut(LogRecord<'_>) -> Result<()>,
) -> Result<ScanEnd> {
    let mut log = Log::new(link, topic, partition);
    let mut limit = Limit::new(MOST, BUDGET);
    let mut end = ScanEnd::default();
    let mut offset = from;
    while offset < until {
        // Somewhat more than are left, because a replayed log shows itself behind its end.
        let left = u32::try_from(until - offset).unwrap_or(u32::MAX);
        let most = limit.get().min(left.saturating_add(TAIL as u32));
        let Some(block) = log.read(offset, most)? else {
            if limit.shrink() {
                continue;
            }
            return Err(log.too_large(offset));
        };
        log.check(&block, offset, &format!("the log goes on to {until}"))?;
        for record in block.records.iter().filter(|record| record.offset < until) {
            let value = block.value(record).unwrap_or_default();
            visit(LogRecord { offset: record.offset, key: block.key(record), value })?;
            end.records += 1;
            end.bytes += Block::payload_len(record) as u64;
        }
        limit.grow(block.records.iter().map(Block::payload_len).max().unwrap_or(0));
        offset = block.next_offset;
    }
    Ok(end)
}

/// Proves that the last known record can be read, and returns the bounds: the first offset and the next one.
///
/// `known_end` is the offset behind the last record that is known to be stored; a log that ends before it has lost
/// records. Without it the last record of the log is read, which must not be the marker of a transaction.
pub fn check_tail(
    link: &mut Link,
    topic: &str,
    partition: u32,
    known_end: Option<i64>,
) -> Result<(i64, i64)> {
    let mut log = Log::new(link, topic, partition);
    let (earliest, latest) = log.bounds()?;
    let end = known_end.unwrap_or(latest);
    if latest < end {
        let seen = format!("the log ends at {latest}, although records up to {end} were stored");
        return Err(damaged(topic, partition, latest, &seen));
    }
    if latest <= earliest {
        return Ok((earliest, latest));
    }
    // The index of a log below 4 kB leads nowhere wrong, so that it reads well from its end but not from its start.
    if latest - earliest < TAIL as i64 {
        if let Some(block) = log.read(earliest, TAIL as u32)? {
            log.check_order(&block, earliest)?;
        }
    }
    let offset = end.max(earliest + 1) - 1;
    let mut limit = Limit::new(TAIL, usize::MAX);
    loop {
        if let Some(block) = log.read(offset, limit.get())? {
            log.check(&block, offset, &format!("the log ends at {latest}"))?;
            return Ok((earliest, latest));
        }
        if !limit.shrink() {
            return Err(log.too_large(offset));
        }
    }
}

/// A partition behind a link.
struct Log<'a> {
    link: &'a mut Link,
    topic: Arc<str>,
    partition: u32,
}

impl<'a> Log<'a> {
    fn new(link: &'a mut Link, topic: &str, partition: u32) -> Self {
        link.succeeded(); // what happened to the request before does not count
        Self { link, topic: Arc::from(topic), partition }
    }

    /// What stands at `offset` and behind; None if `most` messages do not fit into a response.
    fn read(&mut self, offset: i64, most: u32) -> Result<Option<Block>> {
        let request = Request::Consume {
            topic: self.topic.to_string(),
            partition: self.partition,
            offset: offset_in(offset).map_err(|error| self.locate(error, None))?,
            max_messages: most,
            isolation_level: None,
            max_wait_ms: None,
        };
        let mut frame = wire::request_frame(&request)?;
        let (topic, partition) = (Arc::clone(&self.topic), self.partition as i32);
        let answer = self.ask(|connection| {
            let body = connection.call_frame(&mut frame, Duration::ZERO)?;
            if wire::is_messages(&body) {
                return wire::decode_messages(&body, &topic, partition).map(|block| Answer::Is(Some(block)));
            }
            match wire::decode_response(&body).and_then(|response| connection.accept(response)) {
                Ok(response) => other(&response),
                Err(error) if error_map::is_response_too_large(&error) => Ok(Answer::Is(None)),
                Err(error) => Err(error),
            }
        });
        answer.map_err(|error| self.locate(error, Some(offset)))
    }

    fn bounds(&mut self) -> Result<(i64, i64)> {
        let request = Request::GetOffsetBounds { topic: self.topic.to_string(), partition: self.partition };
        let answer = self.ask(|connection| match connection.call(&request)? {
            Response::OffsetBounds { earliest, latest } => {
                Ok(Answer::Is((offset_out(earliest), offset_out(latest))))
            }
            response => other(&response),
        });
        answer.map_err(|error| self.locate(error, None))
    }

    /// Sends until there is an answer, a final error, or no retry left. Throttling is waited out.
    fn ask<T>(&mut self, mut send: impl FnMut(&mut Connection) -> Result<Answer<T>>) -> Result<T> {
        loop {
            match self.link.connection().and_then(&mut send) {
                Ok(Answer::Is(answer)) => {
                    self.link.succeeded();
                    return Ok(answer);
                }
                Ok(Answer::Wait(pause)) => self.link.pause(pause)?,
                Err(error) => self.link.recover(error)?,
            }
        }
    }

    /// Whether `block` is what a sound log answers to a question for `asked`, where there are records.
    fn check(&mut self, block: &Block, asked: i64, because: &str) -> Result<()> {
        let Some(first) = block.records.first().map(|record| record.offset) else {
            return Err(self.damaged(asked, &format!("nothing comes at {asked}, although {because}")));
        };
        self.check_order(block, asked)?;
        let mut pairs = block.records.windows(2).map(|pair| (pair[0].offset, pair[1].offset));
        if let Some((before, after)) = pairs.find(|(before, after)| *after > before + 1) {
            return Err(self.damaged(asked, &format!("an answer jumps from offset {before} to {after}")));
        }
        if first > asked {
            let (earliest, _) = self.bounds()?;
            if earliest > asked {
                let text = format!("the log begins at {earliest}: what was before it has been deleted");
                let error = Error::new(Kind::OffsetOutOfRange, text).with_code("OFFSET_OUT_OF_RANGE");
                return Err(self.locate(error, Some(asked)));
            }
            return Err(self.damaged(asked, &format!("a read from {asked} begins at offset {first}")));
        }
        Ok(())
    }

    /// Whether the offsets of `block` rise, from `asked` or higher.
    fn check_order(&self, block: &Block, asked: i64) -> Result<()> {
        let offsets = || block.records.iter().map(|record| record.offset);
        if let Some(below) = offsets().find(|offset| *offset < asked) {
            return Err(self.damaged(asked, &format!("a read from {asked} gives offset {below}")));
        }
        match offsets().zip(offsets().skip(1)).find(|(before, after)| after <= before) {
            Some((before, after)) => {
                Err(self.damaged(asked, &format!("offset {after} comes behind offset {before}")))
            }
            None => Ok(()),
        }
    }

    fn damaged(&self, offset: i64, seen: &str) -> Error {
        damaged(&self.topic, self.partition, offset, seen)
    }

    fn too_large(&self, offset: i64) -> Error {
        let text = "the record is stored but does not fit into any response of 10 MiB";
        self.locate(Error::new(Kind::RecordTooLarge, text), Some(offset))
    }

    fn locate(&self, error: Error, offset: Option<i64>) -> Error {
        error.at(&self.topic, self.partition as i32, offset)
    }
}

enum Answer<T> {
    Is(T),
    Wait(Duration),
}

/// An answer that holds nothing of what was asked for.
fn other<T>(response: &Response) -> Result<Answer<T>> {
    match response {
        Response::Throttled { throttle_time_ms, .. } => Ok(Answer::Wait(throttle_pause(*throttle_time_ms))),
        other => Err(unexpected(other)),
    }
}

#[cfg(test)]
#[path = "log_scan_tests.rs"]
mod tests;
