//! What became of a request whose answer did not come.

use std::time::{Duration, Instant};

use rivven_protocol::{Request, Response};

use super::{digest, Recognition};
use crate::error::{Error, Kind, Result};
use crate::rivven::link::Link;
use crate::rivven::log_scan;
use crate::rivven::publisher::queue::Place;
use crate::rivven::stop::Stop;

/// rivvend carries a request through that it has begun, whoever has gone. When no record of it was added for this
/// long, it has ended.
pub const QUIET: Duration = Duration::from_secs(1);

/// Between two looks at the log.
pub const STEP: Duration = Duration::from_millis(100);

/// Waits until nobody adds to some logs any more, of which `place` is one. `add` reads what has come since to any of
/// them, and says whether some of it belongs to those that are waited for. False if `given_up` says that nobody
/// wants to know any more.
///
/// A disk that stands still must not look like a request that has ended: each step has the broker write to it, and
/// the time that this takes does not count.
pub fn wait_quiet(
    link: &mut Link,
    stop: &Stop,
    place: &Place,
    given_up: impl Fn() -> bool,
    mut add: impl FnMut(&mut Link) -> Result<bool>,
) -> Result<bool> {
    let mut quiet = Duration::ZERO;
    while quiet < QUIET {
        if given_up() {
            return Ok(false);
        }
        let begin = Instant::now();
        if stop.sleep(STEP) {
            return Err(Error::new(Kind::Connect, "the publisher is closed"));
        }
        quiet += begin.elapsed().min(STEP);
        write_to_disk(link, place)?;
        if add(link)? {
            quiet = Duration::ZERO;
        }
    }
    Ok(true)
}

/// Makes rivvend write its table of offsets to disk, which deleting a group does (`rivven-core/src/offset.rs`). It is
/// one table for all logs.
fn write_to_disk(link: &mut Link, place: &Place) -> Result<()> {
    let group = format!("checkpoint.{:016x}", crate::rivven::retry::random());
    let commit = Request::CommitOffset {
        consumer_group: group.clone(),
        topic: place.topic.to_string(),
        partition: place.partition,
        offset: 0,
    };
    let connection = link.connection()?;
    for request in [commit, Request::DeleteGroup { consumer_group: group }] {
        // Throttled is an answer as good as any: then nobody else gets on either, and the log is read in a while.
        if let Response::Throttled { throttle_time_ms, .. } = connection.call(&request)? {
            std::thread::sleep(crate::rivven::throttle_pause(throttle_time_ms));
        }
    }
    Ok(())
}

/// How many of the records with `digests`, sent in this order when the log ended at `floor`, it holds, and where it
/// ends. With `ended`, the request is known to be over; else that is waited for. None if given up before.
#[allow(clippy::too_many_arguments)] // what a request is known by
pub fn settle(
    link: &mut Link,
    stop: &Stop,
    place: &Place,
    floor: i64,
    digests: &[u64],
    ended: bool,
    recognition: Recognition,
    given_up: impl Fn() -> bool,
) -> Result<Option<(usize, i64)>> {
    let mut seen = Seen { at: floor, count: 0, digests, recognition };
    seen.read(link, place)?;
    if !ended && seen.count < digests.len() {
        let known = wait_quiet(link, stop, place, given_up, |link| {
            let before = seen.count;
            seen.read(link, place)?;
            Ok(seen.count > before)
        })?;
        if !known {
            return Ok(None);
        }
    }
    Ok(Some((seen.count, seen.at)))
}

/// rivvend stores the records of a request in order and stops at the first failure, so what it holds of them is
/// their beginning.
struct Seen<'a> {
    at: i64,
    count: usize,
    digests: &'a [u64],
    recognition: Recognition,
}

impl Seen<'_> {
    fn read(&mut self, link: &mut Link, place: &Place) -> Result<()> {
        let (_, end) = log_scan::check_tail(link, &place.topic, place.partition, Some(self.at))?;
        let from = self.at;
        log_scan::scan(link, &place.topic, place.partition, from, end, &mut |record| {
            if self.digests.get(self.count) == Some(&digest(record.key, record.value)) {
                self.count += 1;
            } else if self.recognition == Recognition::Order {
                return Err(foreign(place, record.offset));
            }
            Ok(())
        })?;
        self.at = end;
        Ok(())
    }
}

/// The error for a record that somebody else has written where nobody else may write.
pub fn foreign(place: &Place, offset: i64) -> Error {
    let text = "somebody else writes to this Rivven partition: exactly_once with value_format raw recognises \
                records by their order and needs the partition for itself; use value_format event, or a topic \
                of its own";
    Error::new(Kind::ForeignWriter, text).at(&place.topic, place.partition as i32, Some(offset))
}
