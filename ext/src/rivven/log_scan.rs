//! Reading a partition from one offset to another, and proving that it can be read.
//!
//! rivvend 0.0.22 damages a partition when it starts after a crash with its write-ahead log kept: it appends the
//! whole log a second time, every record at offset 0, and its index then leads nowhere. Acknowledged records read
//! as nothing, answers jump over them, or end on offsets long passed; the bounds look fine, and there is no error.
//! So each answer is checked against what was asked, and nothing of one that does not fit is used.
//!
//! The copies stay when the index has been mended, and do no harm to who looks for records: they come only with an
//! answer that begins at offset 0, behind the record that is there by right, and are passed over.

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

/// Messages that are read behind the last known record: enough to see records that hide behind others, and all of a
/// log that is too small for an index.
const TAIL: usize = 100;

/// Where rivvend puts all records of a write-ahead log that it replays.
const REPLAYED: i64 = 0;

/// Empty answers in a row that prove that records cannot be read, the bounds before and after each. rivvend raises
/// the end before it appends, and takes it back when the disk is full.
const PROOF: u32 = 3;

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
/// record is visited once, and copies that a replay has left are not. Fails with `Kind::LogDamaged` when an answer is
/// not what a sound log gives, with `Kind::OffsetOutOfRange` when records to read have been deleted, with
/// `Kind::RetriableBroker` when the log ends before `until`, and with whatever `visit` fails with. Offsets that are
/// missing in the middle of an answer are damage as well: a damaged index makes answers jump. Compaction and the
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
    let mut nothing = 0;
    while offset < until {
        // Somewhat more than are left, because records that hide behind others show themselves behind the end.
        let left = u32::try_from(until - offset).unwrap_or(u32::MAX);
        let most = limit.get().min(left.saturating_add(TAIL as u32));
        let Some(block) = log.read(offset, most)? else {
            if limit.shrink() {
                continue;
            }
            return Err(log.too_large(offset));
        };
        if block.records.is_empty() {
            nothing += 1;
            log.explain_nothing(offset, until, nothing)?;
            continue;
        }
        nothing = 0;
        log.check(&block, offset)?;
        for record in block.records.iter().filter(|record| record.offset < until) {
            if record.offset < offset {
                continue; // a copy
            }
            let value = block.value(record).unwrap_or_default();
            visit(LogRecord { offset: record.offset, key: block.key(record), value })?;
            end.records += 1;
            end.bytes += Block::payload_len(record) as u64;
            offset = record.offset + 1;
        }
        limit.grow(block.records.iter().map(Block::payload_len).max().unwrap_or(0));
    }
    Ok(end)
}

/// Proves that the last known record can be read, and that what is written next will not hide behind other records.
/// Returns the bounds: the first offset and the next one.
///
/// `known_end` is the offset behind the last record that is known to be stored; a log that ends before it has lost
/// records. Without it the last record of the log is read, which must not be the marker of a transaction.
///
/// Copies that a replay has left at offset 0 are no damage as long as nothing is hidden: what a source looks for can
/// be read, and they stay when everything has been mended.
pub fn check_tail(
    link: &mut Link,
    topic: &str,
    partition: u32,
    known_end: Option<i64>,
) -> Result<(i64, i64)> {
    let mut log = Log::new(link, topic, partition);
    loop {
        let bounds @ (earliest, latest) = log.bounds()?;
        let end = known_end.unwrap_or(latest);
        if latest < end {
            let seen = format!("the log ends at {latest}, although records up to {end} were stored");
            return Err(log.damaged(latest, &seen));
        }
        // Else the bounds have moved: records were deleted, or the end was that of an append that failed.
        if latest <= earliest || log.tail_is_sound(bounds, end)? {
            return Ok(bounds);
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

    /// Looks behind the record before `end`, and at the end. False if the bounds are not what they were.
    fn tail_is_sound(&mut self, (earliest, latest): (i64, i64), end: i64) -> Result<bool> {
        // The index of a log below 4 kB leads nowhere wrong, so that it reads well from its end but not from its start.
        if latest - earliest < TAIL as i64 {
            if let Some(block) = self.read(earliest, TAIL as u32)? {
                self.check_order(&block, earliest)?;
                self.check_end(&block, latest)?;
            }
        }
        let offset = end.max(earliest + 1) - 1;
        let mut limit = Limit::new(TAIL, usize::MAX);
        let mut nothing = 0;
        loop {
            let Some(block) = self.read(offset, limit.get())? else {
                if limit.shrink() {
                    continue;
                }
                return Err(self.too_large(offset));
            };
            if block.records.is_empty() {
                let (first, next) = self.bounds()?;
                if offset < first || next <= offset {
                    return Ok(false);
                }
                nothing += 1;
                if nothing == PROOF {
                    return Err(self.unreadable(offset, &format!("the log ends at {latest}")));
                }
                continue;
            }
            match self.check(&block, offset) {
                Err(error) if error.kind == Kind::OffsetOutOfRange => return Ok(false),
                checked => checked?,
            }
            self.check_end(&block, latest)?;
            return Ok(block.next_offset >= latest || !self.taken_back(latest)?);
        }
    }

    /// Whether there never was a record before the end `latest`: an append had begun, and has failed.
    fn taken_back(&mut self, latest: i64) -> Result<bool> {
        for _ in 0..PROOF {
            // One that does not fit into an answer is there as well.
            if self.read(latest - 1, 1)?.is_none_or(|block| !block.records.is_empty()) {
                return Ok(false);
            }
            if self.bounds()?.1 < latest {
                return Ok(true);
            }
        }
        // The marker of a transaction.
        Ok(false)
    }

    /// Fails when it is clear why `asked` got an empty answer, the `times`-th in a row.
    fn explain_nothing(&mut self, asked: i64, until: i64, times: u32) -> Result<()> {
        let (earliest, latest) = self.bounds()?;
        if earliest > asked {
            return Err(self.deleted(asked, earliest));
        }
        if times < PROOF {
            return Ok(());
        }
        if latest > asked {
            return Err(self.unreadable(asked, &format!("the log goes on to {until}")));
        }
        let text = format!("the log ends at {latest}, before {until}: an append may have failed");
        Err(self.locate(Error::new(Kind::RetriableBroker, text), Some(asked)))
    }

    /// Whether `block`, which is not empty, is what a sound log answers to a question for `asked`.
    fn check(&mut self, block: &Block, asked: i64) -> Result<()> {
        self.check_order(block, asked)?;
        let mut offsets = block.records.iter().map(|record| record.offset);
        let first = offsets.next().unwrap_or(asked);
        let mut before = first;
        for offset in offsets.filter(|offset| *offset != REPLAYED) {
            if offset > before + 1 {
                return Err(self.damaged(asked, &format!("an answer jumps from offset {before} to {offset}")));
            }
            before = offset;
        }
        if first > asked {
            let (earliest, _) = self.bounds()?;
            if earliest > asked {
                return Err(self.deleted(asked, earliest));
            }
            return Err(self.damaged(asked, &format!("a read from {asked} begins at offset {first}")));
        }
        Ok(())
    }

    /// Whether the offsets of `block` rise, from `asked` or higher, apart from copies.
    fn check_order(&self, block: &Block, asked: i64) -> Result<()> {
        let mut before = None;
        let offsets = || block.records.iter().map(|record| record.offset);
        if let Some(below) = offsets().find(|offset| *offset < asked) {
            return Err(self.damaged(asked, &format!("a read from {asked} gives offset {below}")));
        }
        for offset in offsets() {
            match before {
                Some(_) if offset == REPLAYED => {}
                Some(before) if offset <= before => {
                    return Err(self.damaged(asked, &format!("offset {offset} comes behind offset {before}")));
                }
                _ => before = Some(offset),
            }
        }
        Ok(())
    }

    /// Whether nothing of `block` is behind the end of the log, `latest` before it was read. After a replay rivvend
    /// takes the last copy for the last record, and gives its offsets a second time.
    fn check_end(&mut self, block: &Block, latest: i64) -> Result<()> {
        if block.next_offset <= latest {
            return Ok(());
        }
        let (_, latest) = self.bounds()?;
        let last = block.next_offset - 1;
        if last < latest {
            return Ok(());
        }
        let seen =
            format!("the log ends at {latest}, and holds offset {last} behind that: new records would hide");
        Err(self.damaged(latest, &seen))
    }

    fn deleted(&self, asked: i64, earliest: i64) -> Error {
        let text = format!("the log begins at {earliest}: what was before it has been deleted");
        let error = Error::new(Kind::OffsetOutOfRange, text).with_code("OFFSET_OUT_OF_RANGE");
        self.locate(error, Some(asked))
    }

    fn unreadable(&self, asked: i64, because: &str) -> Error {
        self.damaged(asked, &format!("nothing comes at {asked}, although {because}"))
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
