//! Exactly-once delivery: the log of the destination decides what is published already.
//!
//! rivvend forgets sequences at a restart and offsets at a crash, so nothing that it remembers beside its logs is
//! trusted. What makes a record arrive once:
//!
//! * Before a source partition is read, the destination is, from an *anchor* on that is committed with the
//!   position (`accounts`), and the records found there are not published again (`prepare`).
//! * A request without an answer is settled by reading the log before anything is sent again (`settle`).
//! * A lane sends while its lease lasts, that is, while the group counts it as a member; and under a producer
//!   id of its own, so that whoever takes over can have its late requests refused (`lease`, `identity`).

mod accounts;
mod identity;
mod lease;
mod prepare;
mod settle;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use accounts::{Accounts, Anchor, Part};
pub use identity::{producer_id, Identity};
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
    topic_ids: Mutex<HashMap<Arc<str>, Arc<str>>>,
}

impl Exact {
    /// Nothing known, and no lease yet.
    pub fn new(recognition: Recognition) -> Self {
        Self {
            recognition,
            identity: Identity::new(),
            lease: Lease::default(),
            accounts: Accounts::new(recognition),
            topic_ids: Mutex::default(),
        }
    }

    /// Notes the id of a Kafka topic, which tells its records from those of another topic of that name.
    pub fn set_topic_id(&self, topic: &str, id: &str) {
        lock(&self.topic_ids).insert(Arc::from(topic), Arc::from(id));
    }

    /// The id of a Kafka topic.
    pub fn topic_id(&self, topic: &str) -> Option<Arc<str>> {
        lock(&self.topic_ids).get(topic).cloned()
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

/// The data of this module is valid at every step, so a thread that panicked with the lock held does no harm.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
