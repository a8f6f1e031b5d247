//! How many values fell into which range, and their sum, without locks.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Upper bounds of latencies (ms), each included in its range; what is above the last has a range of its own.
pub const LATENCY_MS: &[u64] = &[
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 300_000, 1_800_000,
    3_600_000, 21_600_000, 86_400_000,
];

/// What a record that is older still counts as (ms), ten years: such a timestamp is no time, as that of a record whose
/// producer sets 0, and few of them would be most of the sum.
const OLDEST_MS: u64 = 315_360_000_000;

/// Upper bounds of batch sizes (records).
pub const BATCH_RECORDS: &[u64] = &[1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 50_000];

/// A distribution. Each count is exact on its own; together they are no snapshot of one instant.
#[derive(Debug)]
pub struct Histogram {
    bounds: Vec<u64>,
    counts: Vec<AtomicU64>,
    /// The sum of what was added, by the high and the low bits of each addition. Nothing is carried from one to the
    /// other, so neither of them ever falls, and together they have room for 2^84.
    sum_high: AtomicU64,
    sum_low: AtomicU64,
}

/// How many bits of an addition are the low ones.
const LOW_BITS: u32 = 20;

impl Histogram {
    /// Without values. `bounds` ascend.
    pub fn new(bounds: &[u64]) -> Self {
        Self {
            bounds: bounds.to_vec(),
            counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum_high: AtomicU64::new(0),
            sum_low: AtomicU64::new(0),
        }
    }

    /// Adds `value`, `count` times.
    #[inline]
    pub fn add(&self, value: u64, count: u64) {
        self.add_to(self.range_of(value), count, value.saturating_mul(count));
    }

    /// Adds how old each of the records was at `now`, by their timestamps (ms). One without a timestamp (below 0)
    /// is left out, one from the future has the age 0, and none is older than `OLDEST_MS`.
    ///
    /// Neighbours are nearly as old as each other, so what most records cost is a comparison.
    pub fn add_ages(&self, now: i64, timestamps: impl Iterator<Item = i64>) {
        let (mut range, mut from, mut to) = (0, 1, 0);
        let (mut count, mut sum) = (0, 0u64);
        for timestamp in timestamps.filter(|timestamp| *timestamp >= 0) {
            let age = now.saturating_sub(timestamp).clamp(0, OLDEST_MS as i64) as u64;
            if age < from || age > to {
                self.add_to(range, count, sum);
                (count, sum) = (0, 0);
                range = self.range_of(age);
                from = if range == 0 { 0 } else { self.bounds[range - 1] + 1 };
                to = self.bounds.get(range).copied().unwrap_or(u64::MAX);
            }
            count += 1;
            sum = sum.saturating_add(age);
        }
        self.add_to(range, count, sum);
    }

    fn range_of(&self, value: u64) -> usize {
        self.bounds.partition_point(|bound| *bound < value)
    }

    fn add_to(&self, range: usize, count: u64, sum: u64) {
        if count > 0 {
            self.counts[range].fetch_add(count, Relaxed);
            self.sum_low.fetch_add(sum & ((1 << LOW_BITS) - 1), Relaxed);
            let high = sum >> LOW_BITS;
            if high > 0 {
                self.sum_high.fetch_add(high, Relaxed);
            }
        }
    }

    /// The upper bounds.
    pub fn bounds(&self) -> &[u64] {
        &self.bounds
    }

    /// How many values each range has, the one above all bounds last; and the sum of all values.
    pub fn read(&self) -> (Vec<u64>, u128) {
        let sum =
            (u128::from(self.sum_high.load(Relaxed)) << LOW_BITS) + u128::from(self.sum_low.load(Relaxed));
        (self.counts.iter().map(|count| count.load(Relaxed)).collect(), sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_range() {
        let histogram = Histogram::new(&[1, 10]);
        for value in [0, 1, 2, 10, 11, u64::MAX / 4] {
            histogram.add(value, 2);
        }
        assert_eq!(histogram.read(), (vec![4, 4, 4], 2 * (24 + u128::from(u64::MAX / 4))));
    }

    #[test]
    fn a_sum_has_room_for_many_old_records() {
        let histogram = Histogram::new(LATENCY_MS);
        let year = OLDEST_MS / 10;
        for added in 1..=5_000u128 {
            histogram.add(year + 1, 1_000_000);
            assert_eq!(histogram.read().1, added * 1_000_000 * u128::from(year + 1));
        }
    }

    #[test]
    fn ages_are_counted_one_by_one() {
        let (together, single) = (Histogram::new(LATENCY_MS), Histogram::new(LATENCY_MS));
        let now = 1_000_000_000;
        let ages = [0, 1, 1, 2, 3, 5, 5, 90_000_000, 6, 100, 101, 0, 86_400_000];
        together.add_ages(now, ages.iter().map(|age| now - age));
        for age in ages {
            single.add(age as u64, 1);
        }
        assert_eq!(together.read(), single.read());
    }

    #[test]
    fn strange_timestamps_do_no_harm() {
        let histogram = Histogram::new(&[10]);
        histogram.add_ages(1_000, [-1, i64::MIN, 5_000, i64::MAX].into_iter());
        assert_eq!(histogram.read(), (vec![2, 0], 0), "none without a timestamp, 0 from the future");
        histogram.add_ages(i64::MAX, [0, 0].into_iter());
        assert_eq!(histogram.read(), (vec![2, 2], 2 * u128::from(OLDEST_MS)));
        histogram.add_ages(1_795_000_000_000, [0].into_iter());
        assert_eq!(histogram.read(), (vec![2, 3], 3 * u128::from(OLDEST_MS)));
    }
}
