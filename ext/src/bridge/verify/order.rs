//! Whether events stand in the order that the source promises.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

use crate::error::{Error, Kind, Result};

/// What stays in order: all records of a Kafka partition in each Rivven partition, or those of each key.
#[derive(Debug)]
pub enum Order {
    /// By Kafka partition (its number in the list of places) and Rivven partition.
    Partition(HashMap<(usize, i32), i64>),
    /// By the hash of these and the key: some 40 bytes for each key. Its seed is random, so that nobody can make
    /// two keys collide; by chance, ten million keys do so once in 300,000 runs.
    Key(RandomState, HashMap<u64, i64>),
}

impl Order {
    /// By the source's option `ordering`.
    pub fn from_name(name: &str) -> Result<Self> {
        match name {
            "partition" => Ok(Order::Partition(HashMap::new())),
            "key" => Ok(Order::Key(RandomState::new(), HashMap::new())),
            other => {
                let text = format!("ordering: got {other:?}: expected partition or key");
                Err(Error::new(Kind::Config, text))
            }
        }
    }

    /// The hash of a key, where it matters.
    pub fn hasher(&self) -> Option<RandomState> {
        match self {
            Order::Partition(_) => None,
            Order::Key(state, _) => Some(state.clone()),
        }
    }

    /// Takes the next event of a Rivven partition; the Kafka offset of the one before that should stand behind it.
    ///
    /// `key` is `hash_of` its key, None for no key: such events have no order among each other.
    pub fn later_before(
        &mut self,
        place: usize,
        partition: i32,
        key: Option<u64>,
        offset: i64,
    ) -> Option<i64> {
        let highest = match self {
            Order::Partition(highest) => highest.entry((place, partition)).or_insert(offset),
            Order::Key(_, highest) => highest.entry(key?).or_insert(offset),
        };
        let before = (*highest > offset).then_some(*highest);
        *highest = offset.max(*highest);
        before
    }
}

/// A hash of a key in a place.
pub fn hash_of(state: &RandomState, place: usize, partition: i32, key: &[u8]) -> u64 {
    let mut hasher = state.build_hasher();
    hasher.write_usize(place);
    hasher.write_i32(partition);
    hasher.write(key);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_a_partition_holds_in_each_rivven_partition() {
        let mut order = Order::from_name("partition").unwrap();
        let given = [(0, 0, 5), (0, 1, 3), (1, 0, 1), (0, 0, 7), (0, 0, 6), (0, 1, 4), (0, 0, 8)];
        let found =
            given.map(|(place, partition, offset)| order.later_before(place, partition, None, offset));
        assert_eq!(found, [None, None, None, None, Some(7), None, None]);
    }

    #[test]
    fn the_order_of_keys_is_that_of_each_key() {
        let mut order = Order::from_name("key").unwrap();
        let state = order.hasher().unwrap();
        let mut add = |key: Option<&[u8]>, offset| {
            order.later_before(0, 0, key.map(|key| hash_of(&state, 0, 0, key)), offset)
        };
        let found = [
            add(Some(b"a"), 5),
            add(Some(b"b"), 3),
            add(None, 9),
            add(None, 1),
            add(Some(b"a"), 4),
            add(Some(b"b"), 4),
        ];
        assert_eq!(found, [None, None, None, None, Some(5), None]);
        assert!(Order::from_name("other").is_err());
    }
}
