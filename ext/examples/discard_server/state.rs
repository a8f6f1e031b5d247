//! Topics, producers and committed offsets: all that outlives a request.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// The next offset of each partition of a topic.
pub type Ends = Arc<[AtomicU64]>;

/// A producer id.
#[derive(Debug, Default)]
pub struct Producer {
    /// Its owner; older ones are refused.
    pub epoch: u16,
    /// The next sequence of each partition.
    pub next: HashMap<u32, i32>,
}

/// Group, topic, partition.
pub type Committed = (String, String, u32);

/// What the server knows.
#[derive(Debug, Default)]
pub struct State {
    topics: RwLock<HashMap<String, Ends>>,
    producers: Mutex<HashMap<u64, Arc<Mutex<Producer>>>>,
    offsets: Mutex<HashMap<Committed, u64>>,
}

impl State {
    /// Creates a topic; false if there is one of that name.
    pub fn create(&self, name: &str, partitions: u32) -> bool {
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        if topics.contains_key(name) {
            return false;
        }
        topics.insert(name.to_owned(), (0..partitions).map(|_| AtomicU64::new(0)).collect());
        true
    }

    /// The partitions of a topic.
    pub fn topic(&self, name: &str) -> Option<Ends> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Names of all topics.
    pub fn names(&self) -> Vec<String> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// A new producer id, or the next epoch of one.
    pub fn init_producer(&self, id: Option<u64>) -> (u64, u16) {
        let mut producers = lock(&self.producers);
        let id = id.unwrap_or(producers.len() as u64 + 1);
        let Some(known) = producers.get(&id) else {
            producers.insert(id, Arc::default());
            return (id, 0);
        };
        let mut known = lock(known);
        *known = Producer { epoch: known.epoch.saturating_add(1), next: HashMap::new() };
        (id, known.epoch)
    }

    /// A producer that was initialized.
    pub fn producer(&self, id: u64) -> Option<Arc<Mutex<Producer>>> {
        lock(&self.producers).get(&id).cloned()
    }

    /// Offsets of groups.
    pub fn offsets(&self) -> MutexGuard<'_, HashMap<Committed, u64>> {
        lock(&self.offsets)
    }
}

/// The next offset of a partition, and whether there is such a partition.
pub fn end(ends: &Ends, partition: u32) -> Option<u64> {
    ends.get(partition as usize).map(|end| end.load(Ordering::Relaxed))
}

/// The data is valid at every step, so a thread that panicked with the lock held does no harm.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
