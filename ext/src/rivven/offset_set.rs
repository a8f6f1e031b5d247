//! The offsets of one Kafka partition that were found in a log, and where.

use std::collections::BTreeMap;

/// Ranges do not grow across multiples of this: a range knows only one place for all its members, so that of a
/// range without end would stay where it began.
const LONGEST: i64 = 1024;

/// A set of offsets, each with the log offset that it was found at; about `LONGEST` offsets share a place. Memory
/// follows the number of gaps, and of `LONGEST`s, not that of the members.
#[derive(Debug, Clone, Default)]
pub struct OffsetSet {
    /// By first offset; disjoint.
    ranges: BTreeMap<i64, Range>,
    len: u64,
}

#[derive(Debug, Clone, Copy)]
struct Range {
    /// Last offset.
    last: i64,
    /// The lowest place of this range and of all behind it, so that a question for the lowest of all behind an
    /// offset is one look. Places grow in the order of a scan, so it costs nothing to keep.
    lowest: i64,
}

impl OffsetSet {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many offsets are in.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether `offset` is in.
    pub fn contains(&self, offset: i64) -> bool {
        self.ranges.range(..=offset).next_back().is_some_and(|(_, range)| offset <= range.last)
    }

    /// Adds `offset`, which was found at the log offset `found_at`. False if it was in already: the log holds it
    /// twice.
    pub fn insert(&mut self, offset: i64, found_at: i64) -> bool {
        let before = self.ranges.range(..=offset).next_back().map(|(start, range)| (*start, *range));
        if let Some((start, range)) = before.filter(|(_, range)| offset <= range.last) {
            self.lower(start, range.lowest.min(found_at));
            return false;
        }
        self.len += 1;
        let behind = self.ranges.range(offset..).next().map(|(start, range)| (*start, *range));
        let mut new = Range { last: offset, lowest: found_at };
        if let Some((start, range)) = behind {
            new.lowest = new.lowest.min(range.lowest);
            if joined(offset, start) {
                self.ranges.remove(&start);
                new.last = range.last;
            }
        }
        let mut start = offset;
        if let Some((first, range)) = before.filter(|(_, range)| joined(range.last, offset)) {
            new.lowest = new.lowest.min(range.lowest);
            start = first;
        }
        self.ranges.insert(start, new);
        self.lower(start, new.lowest);
        true
    }

    /// The range at `start`, and with it those before, have a member found at `lowest`.
    fn lower(&mut self, start: i64, lowest: i64) {
        let above = |range: &&mut Range| range.lowest > lowest;
        if let Some(range) = self.ranges.get_mut(&start) {
            range.lowest = lowest;
        }
        for range in self.ranges.range_mut(..start).rev().map(|(_, range)| range).take_while(above) {
            range.lowest = lowest;
        }
    }

    /// Takes out what is below `offset`.
    pub fn remove_below(&mut self, offset: i64) {
        while let Some(entry) = self.ranges.first_entry().filter(|entry| *entry.key() < offset) {
            let (start, range) = entry.remove_entry();
            if range.last >= offset {
                self.len -= (offset - start) as u64;
                self.ranges.insert(offset, range);
                return;
            }
            self.len -= (range.last - start) as u64 + 1;
        }
    }

    /// The lowest log offset at which a member of `offset` or above was found; it may be lower than that (the place
    /// of a member of the same range), never higher. None if there is no such member.
    pub fn lowest_found_at_or_above(&self, offset: i64) -> Option<i64> {
        let around = self.ranges.range(..=offset).next_back().filter(|(_, range)| offset <= range.last);
        around.or_else(|| self.ranges.range(offset..).next()).map(|(_, range)| range.lowest)
    }
}

/// Whether ranges that end with `last` and begin with `next` are one.
fn joined(last: i64, next: i64) -> bool {
    last + 1 == next && next % LONGEST != 0
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Around two bounds of ranges.
    fn offset() -> impl Strategy<Value = i64> {
        prop_oneof![0..12i64, LONGEST - 12..LONGEST + 12, 2 * LONGEST - 3..2 * LONGEST + 12]
    }

    #[derive(Debug, Clone)]
    enum Step {
        Insert(i64, i64),
        RemoveBelow(i64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            20 => (offset(), 0..200i64).prop_map(|(offset, found_at)| Step::Insert(offset, found_at)),
            1 => offset().prop_map(Step::RemoveBelow),
        ]
    }

    /// Members and, for all that were ever in, the lowest place.
    #[derive(Default)]
    struct Model {
        members: BTreeMap<i64, i64>,
        ever: BTreeMap<i64, i64>,
    }

    impl Model {
        fn insert(&mut self, offset: i64, found_at: i64) -> bool {
            let new = !self.members.contains_key(&offset);
            for map in [&mut self.members, &mut self.ever] {
                map.entry(offset).and_modify(|lowest| *lowest = found_at.min(*lowest)).or_insert(found_at);
            }
            new
        }

        /// The exact answer and the lowest that a range may make of it.
        fn lowest(&self, offset: i64) -> Option<(i64, i64)> {
            let exact = *self.members.range(offset..).map(|(_, found_at)| found_at).min()?;
            let (first, _) = self.members.range(offset..).next()?;
            let vague = self.ever.range(first - first % LONGEST..).map(|(_, found_at)| *found_at).min()?;
            Some((exact, vague))
        }
    }

    proptest! {
        #[test]
        fn it_is_a_set(steps in vec(step(), 0..120)) {
            let (mut set, mut model) = (OffsetSet::new(), Model::default());
            for step in steps {
                match step {
                    Step::Insert(offset, found_at) => {
                        prop_assert_eq!(set.insert(offset, found_at), model.insert(offset, found_at));
                    }
                    Step::RemoveBelow(offset) => {
                        set.remove_below(offset);
                        model.members = model.members.split_off(&offset);
                    }
                }
                prop_assert_eq!(set.len(), model.members.len() as u64);
                prop_assert_eq!(set.is_empty(), model.members.is_empty());
                for offset in (0..14).chain(LONGEST - 14..LONGEST + 14).chain(2 * LONGEST - 5..2 * LONGEST + 14) {
                    prop_assert_eq!(set.contains(offset), model.members.contains_key(&offset), "{}", offset);
                    match (set.lowest_found_at_or_above(offset), model.lowest(offset)) {
                        (Some(ours), Some((exact, vague))) => prop_assert!(vague <= ours && ours <= exact),
                        (ours, exact) => prop_assert!(ours.is_none() && exact.is_none()),
                    }
                }
            }
        }
    }

    #[test]
    fn one_stream_takes_few_ranges_and_its_places_move_on() {
        let mut set = OffsetSet::new();
        // Several connections leave an order that is right only within some hundred records.
        for found_at in 0..102_400i64 {
            assert!(set.insert(found_at ^ 0x3f, 7 + found_at));
        }
        assert_eq!((set.len(), set.contains(102_399), set.contains(102_400)), (102_400, true, false));
        assert_eq!(set.ranges.len(), 100);
        let lowest = set.lowest_found_at_or_above(50_000).unwrap();
        assert!((50_007 - 2 * LONGEST..=50_007).contains(&lowest), "{lowest}");
        set.remove_below(50_000);
        assert_eq!(set.len(), 52_400);
        assert!(!set.insert(70_000, 200_000));
    }
}
