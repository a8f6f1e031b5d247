//! One partition that is read, and what the answers say about its log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::limit::Limit;
use crate::record::Block;

/// Where reading a partition stands.
#[derive(Debug, Clone)]
pub struct Position {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition.
    pub partition: u32,
    /// The next offset to ask for.
    pub offset: i64,
    /// Messages to ask for.
    pub limit: Limit,
    /// Number of the connection on which the log was looked at, see `Link::opened`.
    pub checked: Option<u64>,
    /// Watches for records that the log claims and never delivers.
    pub stall: Stall,
}

/// How often the end of the log is compared with a position that gets nothing.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Looks in a row, an empty answer before each, that prove a stall. One does not: rivvend raises the end before it
/// appends, and takes it back when the disk is full, again with each new attempt of a publisher.
const PROOF: u32 = 3;

/// A damaged index makes rivvend answer "nothing" for offsets that lie before the end of the log.
#[derive(Debug, Clone)]
pub struct Stall {
    looked: Instant,
    /// Nothing came for this offset although the log went on, so many looks in a row.
    suspected: Option<(i64, u32)>,
    counted: Option<i64>,
}

impl Default for Stall {
    fn default() -> Self {
        Self { looked: Instant::now(), suspected: None, counted: None }
    }
}

impl Stall {
    /// Whether it is time to ask for the bounds of the log: now and then, and at once while a stall is suspected.
    pub fn look_due(&self, offset: i64) -> bool {
        let suspected = self.suspected.is_some_and(|(suspect, _)| suspect == offset);
        (suspected && self.counted != Some(offset)) || self.looked.elapsed() >= LOOK_EVERY
    }

    /// Nothing came for `offset`, and the log ends at `latest`. True when that proves a stall, once for each offset.
    pub fn looked(&mut self, offset: i64, latest: u64) -> bool {
        self.looked = Instant::now();
        let before = self.suspected.filter(|(suspect, _)| *suspect == offset).map_or(0, |(_, looks)| looks);
        self.suspected = (latest > offset as u64).then_some((offset, before + 1));
        self.suspected.is_some() && before + 1 >= PROOF && self.counted.replace(offset) != Some(offset)
    }
}

/// What an answer held besides the records that were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Oddities {
    /// Offsets between the one asked for and the first that came.
    pub missing: i64,
    /// Two offsets of the answer that follow each other, and between which some are missing; the first two.
    pub jump: Option<(i64, i64)>,
    /// Records below the offset asked for, which are dropped.
    pub below: usize,
    /// Records at or above it, but not above the one before: a damaged log. They are kept.
    pub out_of_order: usize,
}

impl Position {
    /// What is odd about an answer to a question for the present offset.
    pub fn examine(&self, block: &Block) -> Oddities {
        let below = block.records.iter().filter(|record| record.offset < self.offset).count();
        let above =
            || block.records.iter().map(|record| record.offset).filter(|offset| *offset >= self.offset);
        let pairs = || above().zip(above().skip(1));
        let out_of_order = pairs().filter(|(before, after)| after <= before).count();
        let jump = pairs().find(|(before, after)| *after > before + 1);
        let missing = above().min().map_or(0, |first| first - self.offset);
        Oddities { missing, jump, below, out_of_order }
    }

    /// Moves on behind `block`; returns what is left of it.
    pub fn advance(&mut self, block: Block) -> Block {
        let asked = self.offset;
        let below = block.records.iter().any(|record| record.offset < asked);
        let block = if below { without_below(block, asked) } else { block };
        if let Some(largest) = block.records.iter().map(Block::payload_len).max() {
            self.limit.grow(largest);
        }
        self.offset = asked.max(block.next_offset);
        block
    }
}

/// What was below was read before.
fn without_below(block: Block, asked: i64) -> Block {
    let records: Vec<_> = block.records.iter().filter(|record| record.offset >= asked).copied().collect();
    Block { records: Arc::new(records), ..block }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use rivven_protocol::{MessageData, Response, WireFormat};

    use super::*;
    use crate::rivven::wire;

    fn advance(asked: i64, offsets: &[u64]) -> (Position, Block, Oddities) {
        let topic = Arc::from("t");
        let messages = offsets.iter().map(|offset| MessageData::new(*offset, &b"v"[..], 0)).collect();
        let body = Response::Messages { messages }.to_wire(WireFormat::Postcard, 1).unwrap();
        let block = wire::decode_messages(&Bytes::from(body), &topic, 0).unwrap();
        let limit = Limit::new(100, usize::MAX);
        let mut position =
            Position { topic, partition: 0, offset: asked, limit, checked: None, stall: Stall::default() };
        let oddities = position.examine(&block);
        let block = position.advance(block);
        (position, block, oddities)
    }

    #[test]
    fn it_steps_behind_the_highest_offset_not_the_last() {
        let (position, block, odd) = advance(5, &[5, 6, 7, 0, 0]);
        assert_eq!((position.offset, block.records.len()), (8, 3));
        assert_eq!(odd, Oddities { missing: 0, jump: None, below: 2, out_of_order: 0 });
    }

    #[test]
    fn a_gap_is_seen_and_passed() {
        let (position, _, odd) = advance(5, &[9, 10]);
        assert_eq!((position.offset, odd.missing), (11, 4));
    }

    #[test]
    fn a_jump_within_an_answer_is_seen() {
        let (position, _, odd) = advance(5, &[5, 6, 9, 10, 20]);
        assert_eq!((position.offset, odd.missing, odd.jump), (21, 0, Some((6, 9))));
    }

    #[test]
    fn duplicates_within_the_range_are_kept() {
        let (position, block, odd) = advance(0, &[0, 1, 0, 0]);
        assert_eq!((position.offset, block.records.len(), odd.out_of_order), (2, 4, 2));
    }

    #[test]
    fn a_stall_is_proven_by_looks_in_a_row() {
        let mut stall = Stall::default();
        assert!(!stall.look_due(5), "nothing may be right");
        assert!(!stall.looked(5, 9) && !stall.looked(5, 9));
        assert!(!stall.looked(5, 5), "the end was taken back");
        assert!(!stall.look_due(5));
        assert!(!stall.looked(5, 9) && !stall.looked(6, 9) && !stall.looked(6, 9), "moved on");
        assert!(stall.look_due(6), "at once");
        assert!(stall.looked(6, 9));
        assert!(!stall.look_due(6));
        assert!(!stall.looked(6, 9), "once");
    }

    #[test]
    fn nothing_new_moves_nothing() {
        for offsets in [&[][..], &[1, 2]] {
            let (position, block, odd) = advance(5, offsets);
            assert_eq!((position.offset, block.records.len(), odd.missing), (5, 0, 0));
        }
    }
}
