//! Which partition and which lane a record takes.
//!
//! A lane is what keeps order: its records are sent one batch after the other over one connection. All records
//! with the same key (or, with one lane per partition, all records) of a partition take the same lane.

use super::config::Partitioning;
use crate::error::{Error, Kind, Result};
use crate::kafka::murmur2::murmur2;
use crate::record::Block;

/// Records of a block that take the same lane.
#[derive(Debug)]
pub enum Picks {
    /// All of them.
    All,
    /// Those with these indexes, in order.
    Some(Box<[u32]>),
}

impl Picks {
    /// Without the records that are marked in `known`; None if none is left.
    pub fn without(self, known: Option<&[bool]>) -> Option<Self> {
        let Some(known) = known else { return Some(self) };
        let left: Box<[u32]> = match self {
            Picks::All => (0..known.len() as u32).filter(|index| !known[*index as usize]).collect(),
            Picks::Some(all) => all.iter().copied().filter(|index| !known[*index as usize]).collect(),
        };
        (!left.is_empty()).then_some(Picks::Some(left))
    }
}

/// The partitions of a Rivven topic that a source topic uses, and the lanes of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Partitions, from 0.
    pub partitions: u32,
    /// Lanes of each.
    pub lanes: u32,
}

/// Distributes the records of blocks.
#[derive(Debug)]
pub struct Router {
    partitioning: Partitioning,
    /// Indexes per lane of the block at hand, and which of these lists are not empty.
    picks: Vec<Vec<u32>>,
    used: Vec<usize>,
}

impl Router {
    /// A router for any number of topics.
    pub fn new(partitioning: Partitioning) -> Self {
        Self { partitioning, picks: Vec::new(), used: Vec::new() }
    }

    /// Checks that the block has somewhere to go.
    pub fn check(&self, block: &Block, shape: Shape) -> Result<()> {
        let known = u32::try_from(block.partition).is_ok_and(|partition| partition < shape.partitions);
        if known || self.partitioning == Partitioning::Key {
            return Ok(());
        }
        let text = format!(
            "partition {} is to be preserved, but only {} are used",
            block.partition, shape.partitions
        );
        Err(Error::new(Kind::InvalidRequest, text).at(&block.topic, block.partition, None))
    }

    /// The one partition that the records of a source partition go to; None if it depends on their keys.
    pub fn partition_of(&self, partition: i32, shape: Shape) -> Option<u32> {
        let preserve = self.partitioning == Partitioning::Preserve;
        preserve.then(|| partition.unsigned_abs() % shape.partitions)
    }

    /// Calls `emit` with (partition, lane, records) for each lane that gets any; the lanes of a topic are
    /// numbered through.
    pub fn route(&mut self, block: &Block, shape: Shape, mut emit: impl FnMut(u32, usize, Picks)) {
        if block.records.is_empty() {
            return;
        }
        let home = block.partition.unsigned_abs() % shape.partitions;
        if shape.lanes == 1 && self.partitioning == Partitioning::Preserve {
            return emit(home, home as usize, Picks::All);
        }
        let lanes = shape.partitions as usize * shape.lanes as usize;
        if self.picks.len() < lanes {
            self.picks.resize_with(lanes, Vec::new);
        }
        for (index, record) in block.records.iter().enumerate() {
            let (partition, lane) = match block.key(record) {
                Some(key) => self.by_key(key, home, shape),
                // Records without a key have no order among each other.
                None => (home, (record.offset.unsigned_abs() % u64::from(shape.lanes)) as u32),
            };
            let lane = (partition * shape.lanes + lane) as usize;
            if self.picks[lane].is_empty() {
                self.used.push(lane);
            }
            self.picks[lane].push(index as u32);
        }
        for lane in self.used.drain(..) {
            emit(lane as u32 / shape.lanes, lane, Picks::Some(self.picks[lane].as_slice().into()));
            self.picks[lane].clear();
        }
    }

    fn by_key(&self, key: &[u8], home: u32, shape: Shape) -> (u32, u32) {
        if shape.lanes == 1 && self.partitioning == Partitioning::Preserve {
            return (home, 0);
        }
        let hash = murmur2(key);
        let partition = match self.partitioning {
            Partitioning::Preserve => home,
            Partitioning::Key => (hash & 0x7fff_ffff) % shape.partitions,
        };
        (partition, lane_of(hash, shape.lanes))
    }
}

/// All keys of a partition have the same hash modulo the number of partitions, so a plain modulo would leave
/// lanes empty: the bits are mixed first (the finalizer of murmur3).
fn lane_of(hash: u32, lanes: u32) -> u32 {
    let mut mixed = hash ^ (hash >> 16);
    mixed = mixed.wrapping_mul(0x85eb_ca6b);
    mixed ^= mixed >> 13;
    mixed = mixed.wrapping_mul(0xc2b2_ae35);
    mixed ^= mixed >> 16;
    ((u64::from(mixed) * u64::from(lanes)) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::record::{Record, Span, TimestampType};

    /// Records with these keys, in partition `partition`.
    fn block(partition: i32, keys: &[Option<String>]) -> Block {
        let mut bytes = Vec::new();
        let mut records = Vec::new();
        for (offset, key) in keys.iter().enumerate() {
            let span = key.as_ref().map_or(Span::NULL, |key| {
                let start = bytes.len() as u32;
                bytes.extend_from_slice(key.as_bytes());
                Span { start, len: key.len() as i32 }
            });
            records.push(Record {
                offset: offset as i64,
                timestamp: 0,
                chunk: 0,
                key: span,
                value: Span::NULL,
                headers: Span::NULL,
                header_count: 0,
                timestamp_type: TimestampType::CreateTime,
            });
        }
        Block {
            topic: Arc::from("t"),
            partition,
            leader_epoch: -1,
            next_offset: keys.len() as i64,
            bytes: bytes.len(),
            chunks: Arc::from([Bytes::from(bytes)]),
            records: records.into(),
        }
    }

    fn lanes(router: &mut Router, shape: Shape, block: &Block) -> Vec<(u32, usize, Vec<u32>)> {
        let mut lanes = Vec::new();
        router.route(block, shape, |partition, lane, picks| {
            let indexes = match picks {
                Picks::All => (0..block.records.len() as u32).collect(),
                Picks::Some(indexes) => indexes.to_vec(),
            };
            lanes.push((partition, lane, indexes));
        });
        lanes
    }

    #[test]
    fn one_lane_takes_the_whole_block() {
        let mut router = Router::new(Partitioning::Preserve);
        let block = block(3, &[Some("a".into()), None]);
        assert_eq!(lanes(&mut router, Shape { partitions: 4, lanes: 1 }, &block), vec![(3, 3, vec![0, 1])]);
    }

    #[test]
    fn keys_of_one_partition_use_all_lanes_and_never_change() {
        let mut router = Router::new(Partitioning::Preserve);
        let shape = Shape { partitions: 4, lanes: 24 };
        let in_partition = |key: &String| (murmur2(key.as_bytes()) & 0x7fff_ffff) % 4 == 2;
        let keys: Vec<_> = (0..8000).map(|n| format!("k{n}")).filter(in_partition).map(Some).collect();
        let block = block(2, &keys);
        let first = lanes(&mut router, shape, &block);
        assert_eq!(first.len(), 24);
        let (least, most) =
            (first.iter().map(|lane| lane.2.len()).min(), first.iter().map(|lane| lane.2.len()).max());
        assert!(least.unwrap() * 2 > most.unwrap(), "{least:?} {most:?}");
        let seat: HashMap<u32, usize> =
            first.iter().flat_map(|lane| lane.2.iter().map(|index| (*index, lane.1))).collect();
        let again = lanes(&mut router, shape, &block);
        assert!(again.iter().all(|lane| lane.2.iter().all(|index| seat[index] == lane.1)));
        assert!(again.iter().all(|lane| lane.0 == 2 && lane.1 / 24 == 2 && lane.2.is_sorted()));
    }

    #[test]
    fn by_key_partitions_like_kafka() {
        let mut router = Router::new(Partitioning::Key);
        let block = block(9, &[Some("foobar".into()), None]);
        let want = (murmur2(b"foobar") & 0x7fff_ffff) % 6;
        let mut got = lanes(&mut router, Shape { partitions: 6, lanes: 1 }, &block);
        got.sort_by_key(|lane| lane.2.clone());
        assert_eq!(got, vec![(want, want as usize, vec![0]), (3, 3, vec![1])]);
    }

    #[test]
    fn a_partition_without_a_seat_is_refused() {
        let shape = Shape { partitions: 2, lanes: 1 };
        let router = Router::new(Partitioning::Preserve);
        assert_eq!(router.check(&block(2, &[]), shape).unwrap_err().partition, Some(2));
        assert!(Router::new(Partitioning::Key).check(&block(2, &[]), shape).is_ok());
    }
}
