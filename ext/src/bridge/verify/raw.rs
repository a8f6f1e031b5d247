//! The comparison of raw values, which tell nothing but themselves: the n-th record of Kafka with the n-th of Rivven.

use std::collections::VecDeque;

use super::digest::Digester;
use crate::bridge::fate::{Fate, Judge};
use crate::record::Block;
use crate::rivven::publish_frame::PublishFrame;

/// Records of either side that are looked at to tell what is different.
pub const WINDOW: usize = 64;

/// The digest of a side: each record's digest is added to `digest * FACTOR`, modulo 2^128, so that it depends on the
/// order.
pub const FACTOR: u128 = 0x0da9_4204_2e4d_d58b_9e37_79b9_7f4a_7c15;

/// A record that waits for its counterpart.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    digest: u128,
    offset: i64,
}

/// What is wrong with the first record that differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// Rivven lacks it.
    Missing,
    /// Rivven has one more.
    Extra,
    /// Rivven has one twice.
    Doubled,
    /// Two records have changed places.
    Swapped,
    /// The same place, another record.
    Altered,
}

/// The first difference, and the offsets where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct First {
    /// What is wrong.
    pub wrong: Wrong,
    /// Offset of the Kafka record, None behind the last.
    pub kafka: Option<i64>,
    /// Offset of the Rivven record, None behind the last.
    pub rivven: Option<i64>,
}

/// One side.
#[derive(Debug, Default)]
pub struct Side {
    /// Records of the range; in Rivven those that fit Kafka's, and all from the first difference on.
    pub records: u64,
    /// Their digest.
    pub digest: u128,
    waiting: VecDeque<Waiting>,
    finished: bool,
}

impl Side {
    fn count(&mut self, digest: u128) {
        self.records += 1;
        self.digest = self.digest.wrapping_mul(FACTOR).wrapping_add(digest);
    }
}

/// Compares one Kafka partition with the Rivven partition that it fills.
pub struct Raw {
    judge: Judge,
    /// The Kafka offset behind the range.
    end: i64,
    /// Whether what follows is compared as far as Rivven has it: it may be copied already.
    beyond: bool,
    done: bool,
    digester: Digester,
    frame: PublishFrame,
    value: Vec<u8>,
    /// See `Side`.
    pub kafka: Side,
    /// See `Side`.
    pub rivven: Side,
    last_equal: Option<u128>,
    /// The first difference.
    pub first: Option<First>,
    /// Records that the source leaves out by its options.
    pub left_out: u64,
    /// Records that the source cannot convert.
    pub bad: u64,
    skip: u64,
}

impl Raw {
    /// Of Kafka up to `end`, or `beyond`; of Rivven, all but the first `skip` records.
    pub fn new(judge: Judge, end: i64, beyond: bool, skip: u64) -> Self {
        Self {
            judge,
            end,
            beyond,
            done: false,
            digester: Digester::default(),
            frame: PublishFrame::new("", 0),
            value: Vec::new(),
            kafka: Side::default(),
            rivven: Side::default(),
            last_equal: None,
            first: None,
            left_out: 0,
            bad: 0,
            skip,
        }
    }

    /// Takes a block of Kafka: all of the range, then what follows as far as Rivven has it.
    pub fn feed_kafka(&mut self, block: &Block) {
        for record in block.records.iter() {
            let within = record.offset < self.end;
            match self.judge.fate(block, record, &mut self.frame, &mut self.value) {
                Fate::LeftOut => self.left_out += u64::from(within),
                Fate::Bad => self.bad += u64::from(within),
                Fate::Published => {
                    let digest = self.digester.pair(block.key(record), Some(&self.value));
                    if within {
                        self.kafka.count(digest);
                    }
                    if self.first.is_none() && !self.done {
                        self.kafka.waiting.push_back(Waiting { digest, offset: record.offset });
                    }
                }
            }
        }
        self.settle();
    }

    /// Takes a block of Rivven.
    pub fn feed_rivven(&mut self, block: &Block) {
        if self.done {
            return;
        }
        for record in block.records.iter() {
            if self.skip > 0 {
                self.skip -= 1;
                continue;
            }
            let value = block.value(record).unwrap_or_default();
            let digest = self.digester.pair(block.key(record), Some(value));
            self.rivven.waiting.push_back(Waiting { digest, offset: record.offset });
        }
        self.settle();
    }

    /// Nothing more comes from Kafka.
    pub fn finish_kafka(&mut self) {
        self.kafka.finished = true;
        self.settle();
    }

    /// Nothing more comes from Rivven.
    pub fn finish_rivven(&mut self) {
        self.rivven.finished = true;
        self.settle();
    }

    /// Whether all that is to be compared is, and was equal.
    pub fn done(&self) -> bool {
        self.done
    }

    /// How many records of Kafka and Rivven wait for the other side.
    pub fn waiting(&self) -> (usize, usize) {
        (self.kafka.waiting.len(), self.rivven.waiting.len())
    }

    /// Compares what both sides have.
    fn settle(&mut self) {
        while self.first.is_none() {
            let (kafka, rivven) = (self.kafka.waiting.front(), self.rivven.waiting.front());
            let behind = kafka.map_or(self.kafka.finished, |kafka| kafka.offset >= self.end);
            if behind && !self.beyond {
                self.done = true;
                self.kafka.waiting.clear();
                self.rivven.waiting.clear();
                return;
            }
            match (kafka, rivven) {
                (Some(kafka), Some(rivven)) if kafka.digest == rivven.digest => {
                    if kafka.offset < self.end {
                        self.rivven.count(rivven.digest);
                    }
                    self.last_equal = Some(kafka.digest);
                    self.kafka.waiting.pop_front();
                    self.rivven.waiting.pop_front();
                }
                (Some(_), Some(_)) if self.has_window() => self.first = Some(self.judge_first()),
                // What lies behind the range need not be there.
                (Some(kafka), None) if self.rivven.finished && kafka.offset < self.end => {
                    self.first = Some(self.judge_first());
                }
                (None, Some(_)) if self.kafka.finished => self.first = Some(self.judge_first()),
                _ => return,
            }
        }
        self.kafka.waiting.clear();
        for waiting in std::mem::take(&mut self.rivven.waiting) {
            self.rivven.count(waiting.digest);
        }
    }

    /// Whether both sides have enough to tell what is wrong.
    fn has_window(&self) -> bool {
        let enough = |side: &Side| side.finished || side.waiting.len() >= WINDOW;
        enough(&self.kafka) && enough(&self.rivven)
    }

    fn judge_first(&self) -> First {
        let window = |side: &Side| -> Vec<Waiting> { side.waiting.iter().take(WINDOW).copied().collect() };
        let (kafka, rivven) = (window(&self.kafka), window(&self.rivven));
        let digests = |side: &[Waiting]| -> Vec<u128> { side.iter().map(|one| one.digest).collect() };
        let wrong = tell(&digests(&kafka), &digests(&rivven), self.last_equal);
        let offset = |side: &[Waiting]| side.first().map(|one| one.offset);
        First { wrong, kafka: offset(&kafka), rivven: offset(&rivven) }
    }
}

/// What is wrong where `kafka` and `rivven` begin to differ, after `before`: that by which most records behind it fit.
fn tell(kafka: &[u128], rivven: &[u128], before: Option<u128>) -> Wrong {
    let more = if rivven.first() == before.as_ref() { Wrong::Doubled } else { Wrong::Extra };
    if kafka.is_empty() {
        return more;
    }
    if rivven.is_empty() {
        return Wrong::Missing;
    }
    let mut best = (fit(&kafka[1..], &rivven[1..]), Wrong::Altered);
    let mut consider = |fits: usize, wrong: Wrong| {
        if fits > best.0 {
            best = (fits, wrong);
        }
    };
    for count in 1..kafka.len().min(rivven.len()) {
        let moved = kafka[count] == rivven[0] && rivven[count] == kafka[0];
        if moved && kafka[1..count] == rivven[1..count] {
            consider(fit(&kafka[count + 1..], &rivven[count + 1..]) + count + 1, Wrong::Swapped);
        }
    }
    for count in 1..WINDOW {
        consider(kafka.get(count..).map_or(0, |kafka| fit(kafka, rivven)), Wrong::Missing);
        consider(rivven.get(count..).map_or(0, |rivven| fit(kafka, rivven)), more);
    }
    best.1
}

/// How many records are equal from the beginning.
fn fit(kafka: &[u128], rivven: &[u128]) -> usize {
    kafka.iter().zip(rivven).take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
#[path = "raw_tests.rs"]
mod tests;
