//! Which batches belong to aborted transactions (KIP-98; the logic of Kafka's `CompletedFetch`).

use std::collections::{HashSet, VecDeque};

use super::header::BatchHeader;

/// The aborted transactions of one fetch response.
#[derive(Debug, Default)]
pub(super) struct AbortedTransactions {
    /// (first offset, producer id) of those that start later than what has been read.
    ahead: VecDeque<(i64, i64)>,
    /// Producers whose data is to be dropped until their abort marker.
    aborting: HashSet<i64>,
}

impl AbortedTransactions {
    /// From (producer id, first offset) pairs in any order.
    pub fn new(transactions: Vec<(i64, i64)>) -> Self {
        let mut ahead: Vec<_> = transactions.into_iter().map(|(producer, first)| (first, producer)).collect();
        ahead.sort_unstable();
        Self { ahead: ahead.into(), aborting: HashSet::new() }
    }

    /// Takes note of a batch with a producer id; `aborts` when it is an abort marker. True: drop its records.
    pub fn observe(&mut self, header: &BatchHeader, aborts: bool) -> bool {
        while let Some(&(first, producer)) = self.ahead.front() {
            if first > header.last_offset() {
                break;
            }
            self.aborting.insert(producer);
            self.ahead.pop_front();
        }
        if aborts {
            self.aborting.remove(&header.producer_id);
            return true;
        }
        header.is_transactional() && self.aborting.contains(&header.producer_id)
    }
}
