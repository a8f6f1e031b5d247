//! A look at a log before it is read over a new connection.

use std::sync::atomic::Ordering;

use super::damage::{OnDamage, Sign};
use super::worker::{Answer, Worker};
use crate::error::{Error, Result};
use crate::record::Block;
use crate::rivven::error_map;
use crate::rivven::log_scan::damaged;

/// How many records are looked at behind one that has to be there.
const LOOK_AT_RECORDS: u32 = 20;

impl Worker {
    /// Compares the offset with the bounds of the log: one behind the end would be answered with nothing, forever.
    /// Then looks at the end of the log, which is what a replayed write-ahead log leaves unreadable first.
    pub(super) fn check_log(&mut self, index: usize) -> Result<()> {
        let opened = self.link.opened();
        let (earliest, latest) = self.bounds(index)?;
        let offset = self.positions[index].offset as u64;
        if offset > latest {
            return Err(self.damaged(index, offset, Sign::Shrunk(latest)));
        }
        self.pass_deleted(index, earliest.min(latest));
        if self.on_damage == OnDamage::Fail && latest > earliest {
            self.check_at(index, latest - 1)?;
            // The last record that was read: what follows it is to be its successor. At offset 0 copies of a replay
            // show, which who reads on behind it does not get.
            let read = offset.max(earliest + 1) - 1;
            if read != latest - 1 && read > 0 {
                self.check_at(index, read)?;
            }
        }
        self.positions[index].checked = Some(opened);
        Ok(())
    }

    /// The error for a sign of damage at an offset.
    pub(super) fn damaged(&self, index: usize, offset: u64, sign: Sign) -> Error {
        let position = &self.positions[index];
        damaged(&position.topic, position.partition, offset as i64, &sign.seen())
    }

    /// Whether the log holds the record at `offset`, and the next ones behind it.
    fn check_at(&mut self, index: usize, offset: u64) -> Result<()> {
        let mut again = true;
        let mut most = LOOK_AT_RECORDS;
        loop {
            let block = match self.consume(index, offset, most, 0) {
                Ok(Answer::Block(block)) => block,
                Ok(Answer::Throttled(pause)) => {
                    self.stats.throttled_ms.fetch_add(pause.as_millis() as u64, Ordering::Relaxed);
                    self.link.pause(pause)?;
                    continue;
                }
                Err(error) if error_map::is_response_too_large(&error) && most > 1 => {
                    most = 1;
                    continue;
                }
                // The record is there, and reading it will tell.
                Err(error) if error_map::is_response_too_large(&error) => return Ok(()),
                Err(error) => return Err(error),
            };
            let Some(sign) = sign_at(offset, &block) else { return Ok(()) };
            let (earliest, latest) = self.bounds(index)?;
            if offset < earliest || latest <= offset {
                // Deleted in between, or a record whose writing failed.
                return Ok(());
            }
            if !again {
                return Err(self.damaged(index, offset, sign.unwrap_or(Sign::Stall(latest))));
            }
            again = false;
        }
    }
}

/// What is wrong with an answer that has to start with `offset`: None if nothing, Some(None) if it is empty.
#[allow(clippy::option_option)] // the empty answer is no sign before the end of the log is known
fn sign_at(offset: u64, block: &Block) -> Option<Option<Sign>> {
    let asked = offset as i64;
    let Some(first) = block.records.first() else { return Some(None) };
    let rises = block.records.windows(2).all(|pair| pair[0].offset < pair[1].offset);
    if !rises || first.offset < asked {
        return Some(Some(Sign::Rewind(lowest_again(asked, block))));
    }
    if first.offset > asked {
        return Some(Some(Sign::Gap(first.offset)));
    }
    let jump = block.records.windows(2).find(|pair| pair[1].offset > pair[0].offset + 1)?;
    Some(Some(Sign::Jump(jump[0].offset, jump[1].offset)))
}

/// The first offset that is below the one asked for, or not above the one before it.
pub(super) fn lowest_again(asked: i64, block: &Block) -> i64 {
    let mut before = asked - 1;
    for record in block.records.iter() {
        if record.offset <= before {
            return record.offset;
        }
        before = record.offset;
    }
    before
}
