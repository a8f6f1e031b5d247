//! Under which producer ids a publisher writes, so that its successor can have its late requests refused.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::rivven::retry::random;

/// A random number that all producer ids of a publisher are made of.
///
/// Each writer needs an id of its own for each partition, since rivvend keeps sequences by id and partition
/// number, without the topic. Ids are made up rather than asked for: then this one number, which is committed with
/// the positions, names them all, and they stay the same when rivvend restarts.
#[derive(Debug)]
pub struct Identity(AtomicU64);

impl Identity {
    /// A new one.
    pub fn new() -> Self {
        Self(AtomicU64::new(random()))
    }

    /// The number.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Becomes somebody else, whom nobody has shut out yet.
    pub fn renew(&self) {
        self.0.store(random(), Ordering::Release);
    }
}

/// The producer id of one connection of a publisher for one partition. rivvend counts the ids that it gives out
/// from 1, and never comes near these. Every release has to compute the same.
pub fn producer_id(identity: u64, topic: &str, partition: u32, connection: usize) -> u64 {
    let numbers = [identity, u64::from(partition), connection as u64];
    let bytes = numbers.into_iter().flat_map(u64::to_le_bytes).chain(topic.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3) // FNV-1a
    });
    // Its high bits depend on the last bytes too little; the finalizer of splitmix64 spreads them.
    let mixed = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) | 1 << 62
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_by_everything_and_agree_between_releases() {
        let id = producer_id(7, "t", 0, 0);
        for other in [(8, "t", 0, 0), (7, "u", 0, 0), (7, "t", 1, 0), (7, "t", 0, 1)] {
            assert_ne!(id, producer_id(other.0, other.1, other.2, other.3));
        }
        assert_eq!(id, 14_587_037_039_210_315_902);
        let identity = Identity::new();
        let before = identity.get();
        identity.renew();
        assert_ne!(identity.get(), before);
    }
}
