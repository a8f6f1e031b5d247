//! Records that cannot go to the other side, and what is to become of them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Kind, Result};
use crate::record::{Block, Record};
use crate::tracker::Ticket;

/// What becomes of a record that cannot be converted, or is too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnBad {
    /// It ends everything; the position stays before it.
    Fail,
    /// It counts as done, and is listed for the log.
    Skip,
    /// It is listed, and the position stays before it until it is settled; what is behind it goes on.
    Hold,
    /// `Hold` for records with a null value, `Fail` for all others.
    HoldTombstones,
}

impl OnBad {
    /// Reads the argument.
    pub fn from_name(name: &str) -> Result<Self> {
        match name {
            "fail" => Ok(Self::Fail),
            "skip" => Ok(Self::Skip),
            "hold" => Ok(Self::Hold),
            "hold_tombstones" => Ok(Self::HoldTombstones),
            other => {
                let message = format!("on_bad: got {other:?}, expected fail, skip, hold or hold_tombstones");
                Err(Error::new(Kind::Config, message))
            }
        }
    }

    /// Record `index` of `block` failed with `error`: returns the error, or the record, which is held.
    pub fn judge(self, block: &Block, index: usize, ticket: &Arc<Ticket>, error: Error) -> Result<Bad> {
        let error = error.at(&block.topic, block.partition, Some(block.records[index].offset));
        let tombstone = block.value(&block.records[index]).is_none();
        if self == Self::Fail || (self == Self::HoldTombstones && !tombstone) {
            return Err(error);
        }
        Ok(Bad::hold(block, index, ticket, error))
    }
}

/// A record that was left out. It keeps its block in memory.
#[derive(Debug)]
pub struct Bad {
    /// The block that it is in.
    pub block: Block,
    /// Why it was left out.
    pub reason: String,
    kind: Kind,
    index: usize,
    ticket: Arc<Ticket>,
    settled: AtomicBool,
}

impl Bad {
    /// Holds record `index` of `block`: its position stays before it until it is settled.
    pub fn hold(block: &Block, index: usize, ticket: &Arc<Ticket>, error: Error) -> Self {
        ticket.hold();
        Self {
            block: block.clone(),
            index,
            reason: error.message,
            kind: error.kind,
            ticket: Arc::clone(ticket),
            settled: AtomicBool::new(false),
        }
    }

    /// The record.
    pub fn record(&self) -> &Record {
        &self.block.records[self.index]
    }

    /// Why it was left out, in one of a few words.
    pub fn cause(&self) -> &'static str {
        match self.kind {
            Kind::RecordTooLarge => "too_large",
            Kind::EventFormat => "format",
            Kind::InvalidRequest if self.block.value(self.record()).is_none() => "tombstone",
            Kind::InvalidRequest => "invalid",
            _ => "other",
        }
    }

    /// Acknowledges it, unless that is done already. No harm after its partition was given up.
    pub fn settle(&self) {
        if !self.settled.swap(true, Ordering::AcqRel) {
            self.ticket.release(self.index);
        }
    }
}

/// Most skipped records that wait to be taken: each keeps a block in memory that no budget counts any more.
pub const MOST_SKIPPED: usize = 100;

/// Records that were left out, until somebody takes them.
#[derive(Debug, Default)]
pub struct BadList(Mutex<Left>);

/// Those that are kept, and by cause how many are not.
type Left = (Vec<Bad>, Vec<(&'static str, u64)>);

impl BadList {
    /// Adds a record that is held. It is always kept, as nobody else can settle it.
    pub fn hold(&self, bad: Bad) {
        self.lock().0.push(bad);
    }

    /// Adds a record and settles it; whoever sees that it is settled finds it here.
    pub fn skip(&self, bad: Bad) {
        let mut state = self.lock();
        bad.settle();
        if state.0.len() < MOST_SKIPPED {
            state.0.push(bad);
        } else {
            let cause = bad.cause();
            match state.1.iter_mut().find(|(known, _)| *known == cause) {
                Some((_, count)) => *count += 1,
                None => state.1.push((cause, 1)),
            }
        }
    }

    /// The records added since the last call.
    pub fn take(&self) -> Vec<Bad> {
        std::mem::take(&mut self.lock().0)
    }

    /// How many records were added and not kept since the last call, by cause.
    pub fn take_unlisted(&self) -> Vec<(&'static str, u64)> {
        std::mem::take(&mut self.lock().1)
    }

    /// The list is valid at every step, so a thread that panicked with the lock held does no harm.
    fn lock(&self) -> MutexGuard<'_, Left> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
