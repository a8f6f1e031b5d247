//! The request that a lane sends next, and whose records are in it.

use std::ops::Range;
use std::sync::Arc;

use super::config::LARGEST_REQUEST;
use super::encode::Encoded;
use super::exact::{digest, foreign, Exact, Part, Recognition};
use super::queue::{Item, Pending, Place};
use super::shared::{add, Shared};
use crate::bad::OnBad;
use crate::error::{Error, Kind, Result};
use crate::record::Record;
use crate::rivven::publish_frame::{Producer, PublishFrame};
use crate::tracker::Ticket;

/// A batch of one Rivven partition, in the order of submission, across blocks.
#[derive(Debug)]
pub struct Batch {
    frame: PublishFrame,
    /// Which records of which block, in runs.
    parts: Vec<(Arc<Ticket>, Range<usize>)>,
    /// Kafka topic, partition and offset of the first record.
    first: Option<(Arc<str>, i32, i64)>,
    /// Where it goes.
    place: Option<Arc<Place>>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self { frame: PublishFrame::new("", 0), parts: Vec::new(), first: None, place: None }
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
        !self.parts.is_empty() && self.parts.iter().all(|(ticket, _)| ticket.cancelled())
    }

    /// Adds the place of the first record to an error.
    pub fn locate(&self, error: Error) -> Error {
        match &self.first {
            Some((topic, partition, offset)) => error.at(topic, *partition, Some(*offset)),
            None => error,
        }
    }

    /// Where it goes; None for an empty one.
    pub fn place(&self) -> Option<&Arc<Place>> {
        self.place.as_ref()
    }

    /// Fingerprints of the records, made when they are asked for: a request that is answered needs none.
    pub fn digests(&self) -> Vec<u64> {
        self.frame.records().map(|(key, value)| digest(key, value)).collect()
    }

    /// Under which producer id, epoch and sequence it is sent next.
    pub fn set_producer(&mut self, producer: Producer) {
        self.frame.set_producer(producer);
    }

    /// The offsets of its first `count` records, by source partition.
    pub fn sources(&self, count: usize) -> Vec<Part> {
        let mut sources: Vec<Part> = Vec::new();
        let mut left = count;
        for (ticket, records) in &self.parts {
            let offsets = records.clone().take(left).map(|index| ticket.offset(index));
            match sources.iter_mut().find(|(source, _)| *source == ticket.source) {
                Some((_, known)) => known.extend(offsets),
                None => sources.push((ticket.source.clone(), offsets.collect())),
            }
            left -= left.min(records.len());
        }
        sources.retain(|(_, offsets)| !offsets.is_empty());
        sources
    }

    /// The broker has stored the first `count` records; the others are left, to be sent.
    pub fn acknowledge_first(&mut self, count: usize) {
        let mut left = count;
        self.parts.retain_mut(|(ticket, records)| {
            let taken = records.len().min(left);
            ticket.deliver(records.start..records.start + taken);
            records.start += taken;
            left -= taken;
            records.start < records.end
        });
        self.frame.drop_front(count);
    }

    /// The broker has stored it.
    pub fn acknowledge(&mut self) {
        for (ticket, records) in self.parts.drain(..) {
            ticket.deliver(records);
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
        self.place = pending.next();
        let Some(place) = self.place.clone() else {
            self.frame.reset("", 0);
            return Ok(());
        };
        if shared.exact.is_some() {
            self.frame.reset_idempotent(
                &place.topic,
                place.partition,
                Producer { id: 0, epoch: 0, sequence: 0 },
            );
        } else {
            self.frame.reset(&place.topic, place.partition);
        }
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
        match self.push(item, &record, shared) {
            Ok(Pushed::Full) => return Ok(false),
            Ok(Pushed::Added) => {
                if let Some(exact) = &shared.exact {
                    if self.meets(exact, item, &record)? {
                        item.taken += 1;
                        add(&shared.stats.records_suppressed, 1);
                        item.ticket.acknowledge(index..index + 1);
                        return Ok(true);
                    }
                }
                item.taken += 1;
            }
            Ok(Pushed::LeftOut(why)) => {
                item.taken += 1;
                if why == Encoded::Echo {
                    add(&shared.stats.echoes_refused, 1);
                } else {
                    add(&shared.stats.records_filtered, u64::from(why == Encoded::Filtered));
                    add(&shared.stats.records_skipped, 1);
                }
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

    /// Whether the record is the next that is expected in the destination, and so need not be sent.
    fn meets(&mut self, exact: &Exact, item: &Item, record: &Record) -> Result<bool> {
        let place = &item.place;
        if exact.recognition == Recognition::Position {
            return Ok(false);
        }
        let Some(expected) = place.next_expected() else { return Ok(false) };
        let digest = digest(item.block.key(record), self.frame.last_value());
        let at = place.end() - place.expected() as i64;
        self.frame.pop();
        if digest != expected {
            return Err(foreign(place, at));
        }
        exact.accounts.recognised(&item.ticket.source, place, record.offset, at);
        place.met();
        Ok(true)
    }

    fn push(&mut self, item: &Item, record: &Record, shared: &Shared) -> Result<Pushed> {
        let mut encoded = Encoded::Value;
        let block = &item.block;
        self.frame.push(block.key(record), |out| {
            encoded =
                shared.encoder.encode(block, record, item.topic_id.as_deref(), &item.place.topic, out)?;
            Ok(())
        })?;
        if encoded != Encoded::Value {
            self.frame.pop();
            return Ok(Pushed::LeftOut(encoded));
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
    LeftOut(Encoded),
    Full,
}
