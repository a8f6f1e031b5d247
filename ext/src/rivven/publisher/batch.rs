//! The request that a lane sends next, and whose records are in it.

use std::ops::Range;
use std::sync::Arc;

use super::config::LARGEST_REQUEST;
use super::encode::Encoded;
use super::queue::{Item, Pending, Place};
use super::shared::{add, Shared};
use crate::bad::OnBad;
use crate::error::{Error, Kind, Result};
use crate::record::{Block, Record};
use crate::rivven::wire::PublishFrame;
use crate::tracker::Ticket;

/// A batch of one Rivven partition, in the order of submission, across blocks.
#[derive(Debug)]
pub struct Batch {
    frame: PublishFrame,
    /// Which records of which block, in runs.
    parts: Vec<(Arc<Ticket>, Range<usize>)>,
    /// Kafka topic, partition and offset of the first record.
    first: Option<(Arc<str>, i32, i64)>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self { frame: PublishFrame::new("", 0), parts: Vec::new(), first: None }
    }

    /// Records in it.
    pub fn count(&self) -> usize {
        self.frame.count()
    }

    /// The complete request.
    pub fn frame(&mut self) -> &mut [u8] {
        self.frame.sealed()
    }

    /// Whether all of it belongs to partitions that were given up.
    pub fn cancelled(&self) -> bool {
        self.parts.iter().all(|(ticket, _)| ticket.cancelled())
    }

    /// Adds the place of the first record to an error.
    pub fn locate(&self, error: Error) -> Error {
        match &self.first {
            Some((topic, partition, offset)) => error.at(topic, *partition, Some(*offset)),
            None => error,
        }
    }

    /// The broker has stored it.
    pub fn acknowledge(&mut self) {
        for (ticket, records) in self.parts.drain(..) {
            ticket.acknowledge(records);
        }
    }

    /// It was given up.
    pub fn drop_unsent(&mut self) {
        for (ticket, records) in self.parts.drain(..) {
            ticket.drop_unsent(records.len());
        }
    }

    /// Takes records from `pending`. An error concerns the first record that is not in the batch; if the batch
    /// is not empty, it can be sent first, and the error comes again.
    pub fn fill(&mut self, pending: &mut Pending, shared: &Shared) -> Result<()> {
        self.parts.clear();
        self.first = None;
        let Some(place) = pending.next() else {
            self.frame.reset("", 0);
            return Ok(());
        };
        self.frame.reset(&place.topic, place.partition);
        let result = self.take(&place, pending, shared);
        self.frame.seal();
        result
    }

    fn take(&mut self, place: &Place, pending: &mut Pending, shared: &Shared) -> Result<()> {
        while self.count() < shared.config.max_batch_records {
            let Some(item) = pending.front(place) else { break };
            if item.ticket.cancelled() {
                // Its bytes leave the budget, and the position stays before it.
                item.ticket.drop_unsent(item.left());
                pending.pop(place);
                continue;
            }
            if !self.add(item, shared)? {
                break;
            }
            if item.left() == 0 {
                pending.pop(place);
            }
        }
        Ok(())
    }

    /// Deals with the next record of `item`; false if it does not fit.
    fn add(&mut self, item: &mut Item, shared: &Shared) -> Result<bool> {
        let Some((index, record)) = item.record() else { return Ok(true) };
        match self.push(&item.block, &record, shared) {
            Ok(Pushed::Full) => return Ok(false),
            Ok(Pushed::Added) => item.taken += 1,
            Ok(Pushed::Skipped) => {
                item.taken += 1;
                add(&shared.stats.records_skipped, 1);
                item.ticket.acknowledge(index..index + 1);
                return Ok(true);
            }
            Err(error) => {
                let bad = shared.config.on_bad.judge(&item.block, index, &item.ticket, error)?;
                item.taken += 1;
                add(&shared.stats.records_bad, 1);
                match shared.config.on_bad {
                    OnBad::Hold | OnBad::HoldTombstones => shared.bad.hold(bad),
                    OnBad::Fail | OnBad::Skip => shared.bad.skip(bad),
                }
                return Ok(true);
            }
        }
        if self.first.is_none() {
            self.first = Some((Arc::clone(&item.block.topic), item.block.partition, record.offset));
        }
        match self.parts.last_mut() {
            Some((ticket, range)) if range.end == index && Arc::ptr_eq(ticket, &item.ticket) => {
                range.end += 1;
            }
            _ => self.parts.push((Arc::clone(&item.ticket), index..index + 1)),
        }
        Ok(true)
    }

    fn push(&mut self, block: &Block, record: &Record, shared: &Shared) -> Result<Pushed> {
        let mut encoded = Encoded::Value;
        self.frame.push(block.key(record), |out| {
            encoded = shared.encoder.encode(block, record, out)?;
            Ok(())
        })?;
        if encoded == Encoded::Skip {
            self.frame.pop();
            return Ok(Pushed::Skipped);
        }
        let size = self.frame.body_len();
        if self.count() > 1 && size > shared.config.max_request_bytes {
            self.frame.pop();
            return Ok(Pushed::Full);
        }
        if size > LARGEST_REQUEST {
            self.frame.pop();
            let text = format!("the record takes a request of {size} bytes, Rivven holds {LARGEST_REQUEST}");
            return Err(Error::new(Kind::RecordTooLarge, text));
        }
        Ok(Pushed::Added)
    }
}

/// What became of a record.
enum Pushed {
    Added,
    Skipped,
    Full,
}
