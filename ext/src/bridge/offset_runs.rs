//! Which Kafka offset lies at which Rivven offset, for one Kafka partition in one Rivven partition.
//!
//! Neighbours in both logs share a run, so that an undisturbed copy takes one run, however long it is. Records that
//! were published again make Kafka offsets fall back; what a question needs then is found by walking the runs.

use std::collections::BTreeMap;

/// Records that follow each other in both logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    kafka: i64,
    rivven: i64,
    len: i64,
}

impl Run {
    fn kafka_end(&self) -> i64 {
        self.kafka + self.len
    }

    fn rivven_end(&self) -> i64 {
        self.rivven + self.len
    }

    /// The part from a Rivven offset on; None if nothing is left.
    fn part_behind(self, offset: i64) -> Option<Run> {
        let cut = (offset - self.rivven).max(0);
        (cut < self.len).then(|| Run {
            kafka: self.kafka + cut,
            rivven: self.rivven + cut,
            len: self.len - cut,
        })
    }
}

/// Where to read on in Rivven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadFrom {
    /// Rivven offset.
    pub rivven: i64,
    /// Kafka offset of the record there.
    pub kafka: i64,
    /// Records with lower Kafka offsets that lie behind it.
    pub again: u64,
}

/// The records of one Kafka partition in one Rivven partition.
#[derive(Debug, Default)]
pub struct OffsetRuns {
    runs: Vec<Run>,
    bounds: Option<(i64, i64)>,
    /// Whether a Kafka offset came that was not higher than all before it.
    falls_back: bool,
}

impl OffsetRuns {
    /// Adds the next record; Rivven offsets rise.
    pub fn push(&mut self, kafka: i64, rivven: i64) {
        let (lowest, highest) = self.bounds.unwrap_or((kafka, kafka - 1));
        self.falls_back |= kafka <= highest;
        self.bounds = Some((lowest.min(kafka), highest.max(kafka)));
        match self.runs.last_mut() {
            Some(run) if run.kafka_end() == kafka && run.rivven_end() == rivven => run.len += 1,
            _ => self.runs.push(Run { kafka, rivven, len: 1 }),
        }
    }

    /// The lowest and the highest Kafka offset.
    pub fn bounds(&self) -> Option<(i64, i64)> {
        self.bounds
    }

    /// The highest Rivven offset at or behind which there is a copy of every record from Kafka offset `from` on.
    /// None if there is no such record.
    pub fn read_from(&self, from: i64) -> Option<ReadFrom> {
        let (kafka, rivven) = if self.falls_back { self.last_copies(from) } else { self.first_at(from) }?;
        let again = if self.falls_back { self.below(from, rivven) } else { 0 };
        Some(ReadFrom { rivven, kafka, again })
    }

    /// Kafka offsets rise: the first record from `from` on.
    fn first_at(&self, from: i64) -> Option<(i64, i64)> {
        let run = self.runs.get(self.runs.partition_point(|run| run.kafka_end() <= from))?;
        let skipped = (from - run.kafka).max(0);
        Some((run.kafka + skipped, run.rivven + skipped))
    }

    /// The first of the last copies of all records from `from` on.
    fn last_copies(&self, from: i64) -> Option<(i64, i64)> {
        let mut seen = Seen::default();
        let mut found = None;
        for run in self.runs.iter().rev() {
            let first = run.kafka.max(from);
            if let Some(kafka) = seen.first_new(first, run.kafka_end()) {
                found = Some((kafka, run.rivven + kafka - run.kafka));
                seen.add(first, run.kafka_end());
            }
        }
        found
    }

    /// How many records from Rivven offset `rivven` on have a Kafka offset below `kafka`.
    pub fn below(&self, kafka: i64, rivven: i64) -> u64 {
        self.behind(rivven).map(|run| (run.kafka_end().min(kafka) - run.kafka).max(0).unsigned_abs()).sum()
    }

    /// The first record at or behind a Rivven offset: its Rivven and its Kafka offset.
    pub fn at(&self, rivven: i64) -> Option<(i64, i64)> {
        self.behind(rivven).next().map(|run| (run.rivven, run.kafka))
    }

    /// Where to read on in Kafka for who has read Rivven up to `rivven`: the lowest Kafka offset that has no copy
    /// before it, and how many records from there on have one. None if all have.
    pub fn kafka_from(&self, rivven: i64) -> Option<(i64, u64)> {
        if !self.falls_back {
            return self.at(rivven).map(|(_, kafka)| (kafka, 0));
        }
        let seen = self.before(rivven);
        let new = self.behind(rivven).filter_map(|run| seen.first_new(run.kafka, run.kafka_end()));
        let from = new.min()?;
        Some((from, seen.count_from(from)))
    }

    /// The Kafka offset behind the highest one that has a copy before a Rivven offset; None if there is none.
    pub fn reached(&self, rivven: i64) -> Option<i64> {
        let last = self.runs.partition_point(|run| run.rivven < rivven);
        self.runs[..last].iter().map(|run| run.kafka + (rivven - run.rivven).min(run.len)).max()
    }

    /// How many Kafka offsets from `kafka` on have a copy before a Rivven offset.
    pub fn read_above(&self, kafka: i64, rivven: i64) -> u64 {
        self.before(rivven).count_from(kafka)
    }

    /// The Kafka offsets that have a copy before a Rivven offset.
    fn before(&self, rivven: i64) -> Seen {
        let mut seen = Seen::default();
        for run in &self.runs {
            let end = run.kafka + (rivven - run.rivven).clamp(0, run.len);
            if run.kafka < end {
                seen.add(run.kafka, end);
            }
        }
        seen
    }

    /// The lowest Kafka offset from `from` on that a record has.
    pub fn next(&self, from: i64) -> Option<i64> {
        if !self.falls_back {
            return self.first_at(from).map(|(kafka, _)| kafka);
        }
        self.runs.iter().filter(|run| run.kafka_end() > from).map(|run| run.kafka.max(from)).min()
    }

    /// The first Kafka offset from `from` on that no record has.
    pub fn unbroken_to(&self, from: i64) -> i64 {
        let mut seen = Seen::default();
        for run in &self.runs {
            seen.add(run.kafka, run.kafka_end());
        }
        seen.first_new(from, i64::MAX).unwrap_or(i64::MAX)
    }

    fn behind(&self, rivven: i64) -> impl Iterator<Item = Run> + '_ {
        let first = self.runs.partition_point(|run| run.rivven_end() <= rivven);
        self.runs[first..].iter().filter_map(move |run| run.part_behind(rivven))
    }
}

/// A set of Kafka offsets: ends by beginnings of stretches that neither overlap nor touch.
#[derive(Debug, Default)]
struct Seen(BTreeMap<i64, i64>);

impl Seen {
    /// The lowest offset of a stretch that is not in the set.
    fn first_new(&self, first: i64, end: i64) -> Option<i64> {
        let covered = self.0.range(..=first).next_back().map_or(first, |(_, end)| (*end).max(first));
        (covered < end).then_some(covered)
    }

    fn add(&mut self, mut first: i64, mut end: i64) {
        if let Some((&before, &its_end)) = self.0.range(..=first).next_back() {
            if its_end >= end {
                return;
            }
            if its_end >= first {
                first = before;
            }
        }
        while let Some((&next, &its_end)) = self.0.range(first..=end).next() {
            self.0.remove(&next);
            end = end.max(its_end);
        }
        self.0.insert(first, end);
    }

    fn count_from(&self, from: i64) -> u64 {
        self.0.iter().map(|(first, end)| (end - (*first).max(from)).max(0).unsigned_abs()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(offsets: &[i64]) -> OffsetRuns {
        let mut runs = OffsetRuns::default();
        for (rivven, kafka) in offsets.iter().enumerate().filter(|(_, kafka)| **kafka >= 0) {
            runs.push(*kafka, rivven as i64);
        }
        runs
    }

    fn found(offsets: &[i64], from: i64) -> Option<(i64, i64, u64)> {
        runs(offsets).read_from(from).map(|found| (found.rivven, found.kafka, found.again))
    }

    #[test]
    fn rising_offsets_take_one_run_and_gaps_lead_to_the_next_record() {
        assert_eq!(runs(&[3, 4, 5]).runs.len(), 1);
        assert_eq!(found(&[3, 4, 8, -1, 9], 0), Some((0, 3, 0)));
        assert_eq!(found(&[3, 4, 8, -1, 9], 5), Some((2, 8, 0)));
        assert_eq!(found(&[3, 4, 8, -1, 9], 9), Some((4, 9, 0)));
        assert_eq!(found(&[3, 4, 8, -1, 9], 10), None);
    }

    #[test]
    fn of_doubled_records_the_last_copy_counts() {
        assert_eq!(found(&[0, 1, 2, 3, 1, 2, 3, 4], 3), Some((6, 3, 0)));
        assert_eq!(found(&[0, 1, 2, 3, 2, 4], 3), Some((3, 3, 1)));
        assert_eq!(found(&[0, 2, 3, 1], 2), Some((1, 2, 1)));
        assert_eq!(found(&[0, 1, 2, 0, 1, 2], 0), Some((3, 0, 0)));
        assert_eq!(found(&[0, 4, 2, 3], 1), Some((1, 4, 0)));
        assert_eq!(runs(&[0, 4, 2, 3]).next(1), Some(2));
        assert_eq!(runs(&[0, 4, 2, 3]).next(5), None);
    }

    #[test]
    fn the_way_back_leads_to_what_was_not_read() {
        let log = runs(&[0, 1, 2, 3, 1, 2, 3, 4]);
        assert_eq!(log.kafka_from(2), Some((2, 0)));
        assert_eq!(log.kafka_from(4), Some((4, 0)));
        assert_eq!(log.kafka_from(8), None);
        assert_eq!(runs(&[2, 0, 3, 1]).kafka_from(2), Some((1, 1)));
        assert_eq!(log.at(4), Some((4, 1)));
        assert_eq!((log.reached(0), log.reached(2), log.reached(6)), (None, Some(2), Some(4)));
        assert_eq!(runs(&[-1, 4, 5, -1]).reached(4), Some(6));
        assert_eq!((log.read_above(2, 4), log.read_above(0, 5), log.read_above(4, 7)), (2, 4, 0));
    }

    #[test]
    fn stretches_that_touch_become_one() {
        let mut seen = Seen::default();
        for (first, end) in [(5, 6), (1, 3), (3, 5), (8, 9), (0, 10)] {
            seen.add(first, end);
        }
        assert_eq!(seen.0, BTreeMap::from([(0, 10)]));
        assert_eq!(runs(&[4, 5, 7]).unbroken_to(4), 6);
        assert_eq!(runs(&[4, 5, 7]).unbroken_to(6), 6);
    }
}
