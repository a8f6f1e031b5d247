//! Under which producer ids a publisher writes, so that its successor can have its late requests refused.

use std::collections::HashMap;
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

/// The epochs of the producer ids of one connection, by which it sees that it was shut out before it used an id, or
/// while it was away: rivvend begins with epoch 0, counts on by one each time that somebody asks, and would let it
/// write under the next one.
#[derive(Debug, Default)]
pub struct Epochs {
    identity: u64,
    /// The last one by id and server.
    last: HashMap<u64, HashMap<usize, u16>>,
}

impl Epochs {
    /// Notes what a server has answered for an id of `identity`, unless somebody else must have asked for it as well.
    ///
    /// False then, and when an answer to us was lost: the two look alike. A server that was restarted begins
    /// with 0 again. One server may have two addresses, so that it goes on where another one was.
    pub fn explain(&mut self, identity: u64, id: u64, server: usize, epoch: u16) -> bool {
        if self.identity != identity {
            *self = Self { identity, ..Self::default() };
        }
        let last = self.last.entry(id).or_default();
        let explained = epoch == 0 || last.values().any(|last| last.wrapping_add(1) == epoch);
        if explained {
            last.insert(server, epoch);
        }
        explained
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_explained_by_our_own_questions_alone() {
        let mut epochs = Epochs::default();
        let mut explain = |id, server, epoch| epochs.explain(7, id, server, epoch);
        assert!(!explain(1, 0, 2), "somebody asked before us");
        assert!(!explain(1, 0, 3), "and is not forgotten");
        assert!(explain(2, 0, 0) && explain(2, 0, 1) && explain(2, 0, 2));
        assert!(!explain(2, 0, 4), "somebody asked in between");
        assert!(explain(2, 0, 0) && explain(2, 0, 1), "the server was restarted");
        assert!(!explain(2, 0, 3), "what it knew before counts no more");
        assert!(explain(3, 0, 0) && explain(3, 0, 1) && explain(3, 1, 0), "another server");
        assert!(explain(3, 0, 2) && explain(3, 1, 1) && explain(3, 1, 2));
        assert!(explain(3, 2, 3), "another address");
    }

    #[test]
    fn another_identity_has_asked_for_nothing() {
        let mut epochs = Epochs::default();
        assert!(epochs.explain(7, 1, 0, 0));
        assert!(epochs.explain(8, 1, 0, 0));
        assert!(epochs.explain(8, 1, 0, 1));
        assert!(!epochs.explain(9, 1, 0, 2));
    }

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
