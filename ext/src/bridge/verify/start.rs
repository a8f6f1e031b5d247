//! Where a range of raw values begins in Rivven: found before they are compared.

use super::align::{Align, Rest};
use super::digest::Digester;
use crate::bridge::fate::{Fate, Judge};
use crate::record::Block;
use crate::rivven::publish_frame::PublishFrame;

/// Looks at Kafka from the beginning of a range on, then at what Rivven has near its place.
pub struct Start {
    judge: Judge,
    /// The Kafka offset behind the range.
    end: i64,
    /// The Kafka offset behind what is committed.
    committed: i64,
    digester: Digester,
    frame: PublishFrame,
    value: Vec<u8>,
    rest: Rest,
}

impl Start {
    /// Of a range up to `end`.
    pub fn new(judge: Judge, end: i64, committed: i64) -> Self {
        let (digester, frame) = (Digester::default(), PublishFrame::new("", 0));
        Self { judge, end, committed, digester, frame, value: Vec::new(), rest: Rest::default() }
    }

    /// Takes a block of Kafka.
    pub fn feed_kafka(&mut self, block: &Block) {
        for record in block.records.iter() {
            if self.judge.fate(block, record, &mut self.frame, &mut self.value) == Fate::Published {
                let digest = self.digester.pair(block.key(record), Some(&self.value));
                self.rest.add(digest, record.offset < self.end, record.offset < self.committed);
            }
        }
    }

    /// What was taken of Kafka.
    pub fn rest(&self) -> &Rest {
        &self.rest
    }

    /// What to look for in Rivven, once all of Kafka is fed, or enough of it.
    pub fn align(&self, rivven_end: i64) -> Align {
        Align::new(&self.rest, rivven_end)
    }

    /// Takes a block of Rivven.
    pub fn feed_rivven(&mut self, align: &mut Align, block: &Block) {
        for record in block.records.iter() {
            let value = block.value(record).unwrap_or_default();
            align.add(record.offset, self.digester.pair(block.key(record), Some(value)));
        }
    }
}
