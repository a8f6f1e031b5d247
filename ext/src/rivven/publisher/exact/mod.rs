//! Exactly-once delivery: the log of the destination decides what is published already.
//!
//! rivvend forgets sequences at a restart and offsets at a crash, so nothing that it remembers beside its logs is
//! trusted. What makes a record arrive once:
//!
//! * Before a source partition is read, the destination is, from an *anchor* on that is committed with the
//!   position (`accounts`), and the records found there are not published again (`prepare`).
//! * A request without an answer is settled by reading the log before anything is sent again (`settle`).
//! * A lane sends while its lease lasts, that is, while the group counts it as a member; and under a producer
//!   id of its own, so that whoever takes over can have its late requests refused, and it can see that somebody
//!   has (`lease`, `identity`).

mod accounts;
mod identity;
mod lease;
mod prepare;
mod settle;

use std::hash::{DefaultHasher, Hash, Hasher};

pub use accounts::{Accounts, Anchor, Part};
pub use identity::{producer_id, Epochs, Identity};
pub use lease::Lease;
pub use prepare::{prepare, Preparation, Prepared};
pub use settle::{foreign, settle};

/// How a record is recognised in the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recognition {
    /// By the position in its event.
    Position,
    /// By its place in the order of a partition that has one writer: raw values carry no position.
    Order,
}

/// What exactly-once delivery adds to a publisher.
#[derive(Debug)]
pub struct Exact {
    /// How records are recognised.
    pub recognition: Recognition,
    /// Who publishes.
    pub identity: Identity,
    /// Until when.
    pub lease: Lease,
    /// What is where.
    pub accounts: Accounts,
}

impl Exact {
    /// Nothing known, and no lease yet.
    pub fn new(recognition: Recognition) -> Self {
        Self {
            recognition,
            identity: Identity::new(),
            lease: Lease::default(),
            accounts: Accounts::new(recognition),
        }
    }
}

/// A fingerprint of a record, to recognise it within one process. Records that differ have different ones but
/// for a chance of 2^-64.
pub fn digest(key: Option<&[u8]>, value: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    value.hash(&mut hasher);
    hasher.finish()
}
