//! Atomic counters, and the minimum and maximum of a series, without locks.
//!
//! Every write is one relaxed atomic operation: the counters are independent of each other, so no ordering
//! between them is promised. Averages and rates are computed from snapshots, never while writing.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;

use super::histogram::{Histogram, BATCH_RECORDS};

/// One counter: its name without prefix and suffix, and its help text.
#[derive(Debug)]
pub struct Spec {
    /// Name, as in the JSON form.
    pub name: &'static str,
    /// Help text of the Prometheus form.
    pub help: &'static str,
}

/// A fixed set of counters plus the statistics of batch sizes (records).
#[derive(Debug)]
pub struct Counters {
    values: Vec<AtomicU64>,
    batch_count: AtomicU64,
    batch_sum: AtomicU64,
    batch_min: AtomicU64,
    batch_max: AtomicU64,
    batch_sizes: Arc<Histogram>,
}

/// What the counters said at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Snapshot {
    /// The counters, in the order of their specs.
    pub values: Vec<u64>,
    /// Non-empty batches.
    pub batch_count: u64,
    /// Records of all batches.
    pub batch_sum: u64,
    /// Records of the smallest non-empty batch, 0 if there was none.
    pub batch_min: u64,
    /// Records of the largest batch.
    pub batch_max: u64,
}

impl Counters {
    /// `count` counters at zero.
    pub fn new(count: usize) -> Self {
        Self {
            values: (0..count).map(|_| AtomicU64::new(0)).collect(),
            batch_count: AtomicU64::new(0),
            batch_sum: AtomicU64::new(0),
            batch_min: AtomicU64::new(u64::MAX),
            batch_max: AtomicU64::new(0),
            batch_sizes: Arc::new(Histogram::new(BATCH_RECORDS)),
        }
    }

    /// Adds to one counter.
    #[inline]
    pub fn add(&self, index: usize, amount: u64) {
        self.values[index].fetch_add(amount, Relaxed);
    }

    /// Adds one batch to the statistics; an empty one does not count.
    #[inline]
    pub fn observe_batch(&self, records: u64) {
        if records == 0 {
            return;
        }
        self.batch_count.fetch_add(1, Relaxed);
        self.batch_sum.fetch_add(records, Relaxed);
        self.batch_sizes.add(records, 1);
        replace_while(&self.batch_min, records, |new, old| new < old);
        replace_while(&self.batch_max, records, |new, old| new > old);
    }

    /// How large the non-empty batches were, since the beginning: `snapshot_and_reset` leaves it.
    pub fn batch_sizes(&self) -> &Arc<Histogram> {
        &self.batch_sizes
    }

    /// Reads all counters.
    pub fn snapshot(&self) -> Snapshot {
        self.read(|cell, _| cell.load(Relaxed))
    }

    /// Reads all counters and sets them back; each increment ends up in exactly one snapshot.
    pub fn snapshot_and_reset(&self) -> Snapshot {
        self.read(|cell, empty| cell.swap(empty, Relaxed))
    }

    fn read(&self, read: impl Fn(&AtomicU64, u64) -> u64) -> Snapshot {
        let min = read(&self.batch_min, u64::MAX);
        Snapshot {
            values: self.values.iter().map(|cell| read(cell, 0)).collect(),
            batch_count: read(&self.batch_count, 0),
            batch_sum: read(&self.batch_sum, 0),
            batch_min: if min == u64::MAX { 0 } else { min },
            batch_max: read(&self.batch_max, 0),
        }
    }
}

/// Compare-and-swap until `cell` holds something that `value` is not better than.
#[inline]
fn replace_while(cell: &AtomicU64, value: u64, better: impl Fn(u64, u64) -> bool) {
    let mut current = cell.load(Relaxed);
    while better(value, current) {
        match cell.compare_exchange_weak(current, value, Relaxed, Relaxed) {
            Ok(_) => return,
            Err(actual) => current = actual,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread;

    #[test]
    fn resetting_under_contention_loses_and_doubles_nothing() {
        let counters = Arc::new(Counters::new(1));
        let writers: Vec<_> = (1..=8u64)
            .map(|writer| {
                let counters = Arc::clone(&counters);
                thread::spawn(move || {
                    for _ in 0..20_000 {
                        counters.add(0, 1);
                        counters.observe_batch(writer);
                    }
                })
            })
            .collect();
        let mut total = Snapshot { values: vec![0], ..Snapshot::default() };
        let mut add = |snapshot: Snapshot| {
            total.values[0] += snapshot.values[0];
            total.batch_count += snapshot.batch_count;
            total.batch_sum += snapshot.batch_sum;
        };
        while writers.iter().any(|writer| !writer.is_finished()) {
            add(counters.snapshot_and_reset());
        }
        for writer in writers {
            writer.join().unwrap();
        }
        add(counters.snapshot_and_reset());
        assert_eq!((total.values[0], total.batch_count, total.batch_sum), (160_000, 160_000, 20_000 * 36));
    }

    #[test]
    fn extremes_ignore_empty_batches() {
        let counters = Counters::new(0);
        assert_eq!(counters.snapshot().batch_min, 0);
        for records in [0, 5, 3, 9] {
            counters.observe_batch(records);
        }
        let snapshot = counters.snapshot_and_reset();
        assert_eq!((snapshot.batch_min, snapshot.batch_max), (3, 9));
        assert_eq!(counters.snapshot(), Snapshot::default());
    }
}
