//! Where records of each source partition can lie in the destination, as far as no committed position covers them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Recognition;
use crate::rivven::offset_set::OffsetSet;
use crate::rivven::publisher::queue::Place;
use crate::tracker::TopicPartition;

/// Topic, partition, and the lowest offset of the destination at which a record can lie that a position does not
/// cover. In the order of a partition (raw values), exactly the offset where the first such record lies or will.
pub type Anchor = (Arc<str>, u32, i64);

/// A part of a batch: the offsets of the records of one source partition, in order.
pub type Part = (TopicPartition, Vec<i64>);

/// The accounts of all source partitions that are prepared.
#[derive(Debug)]
pub struct Accounts {
    recognition: Recognition,
    all: Mutex<HashMap<TopicPartition, Account>>,
}

/// One source partition: a trail in each partition of the destination that its records go to.
#[derive(Debug, Default)]
struct Account {
    trails: HashMap<usize, Trail>,
    /// The places that its records go to now; in others only what went there earlier counts.
    homes: Vec<usize>,
    /// Whether any trail has records that were found there.
    any_found: bool,
}

#[derive(Debug)]
struct Trail {
    place: Arc<Place>,
    /// Requests under way: their connection, and the end of the log when they were sent.
    on_wire: Vec<(usize, i64)>,
    stored: VecDeque<Stored>,
    /// Records that somebody published before us.
    found: OffsetSet,
}

/// A batch that the destination has.
#[derive(Debug)]
struct Stored {
    last: i64,
    base: i64,
    /// Where the order counts: the offsets of the records, which lie from `base` on.
    offsets: Vec<i64>,
}

impl Trail {
    fn new(place: Arc<Place>) -> Self {
        Self { place, on_wire: Vec::new(), stored: VecDeque::new(), found: OffsetSet::new() }
    }

    /// Forgets what the position covers.
    fn prune(&mut self, position: i64) {
        self.found.remove_below(position);
        // Lanes do not store in the order of the source.
        self.stored.retain(|stored| stored.last >= position);
    }

    fn is_empty(&self) -> bool {
        self.on_wire.is_empty() && self.stored.is_empty() && self.found.is_empty()
    }

    fn anchor(&self, position: i64, recognition: Recognition) -> i64 {
        let on_wire = self.on_wire.iter().map(|(_, floor)| *floor);
        if recognition == Recognition::Order {
            return match self.stored.front() {
                Some(first) => first.base + first.offsets.partition_point(|at| *at < position) as i64,
                // The log may have a part of what is under way, which nobody has counted yet.
                None => on_wire.min().unwrap_or(self.place.end() - self.place.expected() as i64),
            };
        }
        let stored = self.stored.iter().map(|stored| stored.base);
        let found = self.found.lowest_found_at_or_above(position);
        on_wire.chain(stored).chain(found).fold(self.place.end(), i64::min)
    }
}

impl Accounts {
    /// No source partition yet.
    pub fn new(recognition: Recognition) -> Self {
        Self { recognition, all: Mutex::default() }
    }

    /// Opens the account of a source partition, whose records go to the places with the numbers `homes`.
    pub fn open(&self, source: TopicPartition, trails: Vec<(Arc<Place>, OffsetSet)>, homes: Vec<usize>) {
        let mut account = Account { homes, ..Account::default() };
        for (place, found) in trails {
            account.any_found |= !found.is_empty();
            account.trails.insert(place.number, Trail { found, ..Trail::new(place) });
        }
        self.lock().insert(source, account);
    }

    /// Whether the destination has a record that somebody published before us.
    pub fn found(&self, source: &TopicPartition, offsets: impl Iterator<Item = i64>) -> Option<Vec<bool>> {
        let all = self.lock();
        let account = all.get(source).filter(|account| account.any_found)?;
        let has = |offset| account.trails.values().any(|trail| trail.found.contains(offset));
        Some(offsets.map(has).collect())
    }

    /// A batch is about to be sent; for the end of the log as known then, see `Place::end`.
    pub fn sending(&self, parts: &[Part], place: &Arc<Place>, connection: usize, floor: i64) {
        self.each(parts, place, |trail, _| trail.on_wire.push((connection, floor)));
    }

    /// The destination has a batch, from `base` on (at the lowest).
    pub fn stored(&self, parts: &[Part], place: &Arc<Place>, connection: usize, base: i64) {
        let mut base = base;
        self.each(parts, place, |trail, offsets| {
            trail.on_wire.retain(|(other, _)| *other != connection);
            let last = offsets.iter().copied().max().unwrap_or(-1);
            if self.recognition == Recognition::Order {
                trail.stored.push_back(Stored { last, base, offsets: offsets.clone() });
                base += offsets.len() as i64;
            } else {
                trail.stored.push_back(Stored { last, base, offsets: Vec::new() });
            }
        });
    }

    /// A record was there already, at this place in the order.
    pub fn recognised(&self, source: &TopicPartition, place: &Arc<Place>, offset: i64, at: i64) {
        let part = [(source.clone(), vec![offset])];
        self.each(&part, place, |trail, offsets| {
            trail.stored.push_back(Stored { last: offset, base: at, offsets: offsets.clone() });
        });
    }

    /// A batch was not sent, or nothing of it was stored.
    pub fn not_sent(&self, parts: &[Part], place: &Arc<Place>, connection: usize) {
        self.each(parts, place, |trail, _| trail.on_wire.retain(|(other, _)| *other != connection));
    }

    /// This publisher will not find out what became of a batch; whoever takes over has to.
    pub fn abandoned(&self, parts: &[Part], place: &Arc<Place>, connection: usize) {
        self.each(parts, place, |trail, _| {
            for (carrier, _) in trail.on_wire.iter_mut().filter(|(carrier, _)| *carrier == connection) {
                *carrier = usize::MAX; // no later batch of the connection settles it
            }
        });
    }

    /// What is to be committed beside `position`: the anchors, and whether everything is settled. None for a
    /// source partition that is not prepared.
    pub fn anchors(&self, source: &TopicPartition, position: i64) -> Option<(Vec<Anchor>, bool)> {
        let mut all = self.lock();
        let account = all.get_mut(source)?;
        let mut anchors = Vec::with_capacity(account.trails.len());
        let mut settled = true;
        let mut any_found = false;
        for trail in account.trails.values_mut() {
            trail.prune(position);
            any_found |= !trail.found.is_empty();
            settled &= trail.on_wire.is_empty();
            let place = &trail.place;
            anchors.push((
                Arc::clone(&place.topic),
                place.partition,
                trail.anchor(position, self.recognition),
            ));
        }
        account.any_found = any_found;
        let homes = &account.homes;
        account.trails.retain(|number, trail| homes.contains(number) || !trail.is_empty());
        anchors.sort_unstable();
        Some((anchors, settled))
    }

    /// Closes an account.
    pub fn forget(&self, source: &TopicPartition) {
        self.lock().remove(source);
    }

    /// Whether an account is open.
    pub fn knows(&self, source: &TopicPartition) -> bool {
        self.lock().contains_key(source)
    }

    fn each(&self, parts: &[Part], place: &Arc<Place>, mut act: impl FnMut(&mut Trail, &Vec<i64>)) {
        let mut all = self.lock();
        for (source, offsets) in parts {
            // What is not known was given up meanwhile.
            if let Some(account) = all.get_mut(source) {
                let trail = account.trails.entry(place.number);
                act(trail.or_insert_with(|| Trail::new(Arc::clone(place))), offsets);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TopicPartition, Account>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(number: usize, end: i64) -> Arc<Place> {
        let place = Place::new(Arc::from("to"), number as u32, number);
        place.raise_end(end);
        Arc::new(place)
    }

    fn source() -> TopicPartition {
        (Arc::from("from"), 3)
    }

    fn part(offsets: &[i64]) -> Vec<Part> {
        vec![(source(), offsets.to_vec())]
    }

    fn anchor(accounts: &Accounts, position: i64) -> i64 {
        accounts.anchors(&source(), position).unwrap().0[0].2
    }

    #[test]
    fn an_anchor_stays_before_what_the_position_does_not_cover() {
        let accounts = Accounts::new(Recognition::Position);
        let place = place(0, 100);
        assert!(accounts.anchors(&source(), 0).is_none(), "not prepared");
        accounts.open(source(), vec![(Arc::clone(&place), OffsetSet::new())], vec![0]);
        assert_eq!(anchor(&accounts, 10), 100, "what comes will be behind the end");
        accounts.sending(&part(&[10, 12]), &place, 0, place.end());
        accounts.sending(&part(&[11, 13]), &place, 1, place.end());
        // The second lane is faster, and another writer adds in between.
        accounts.stored(&part(&[11, 13]), &place, 1, 140);
        place.raise_end(142);
        assert_eq!(anchor(&accounts, 10), 100, "the first may be anywhere behind where it was sent");
        assert!(!accounts.anchors(&source(), 10).unwrap().1, "not settled");
        accounts.stored(&part(&[10, 12]), &place, 0, 150);
        place.raise_end(152);
        assert_eq!(anchor(&accounts, 10), 140);
        assert_eq!(anchor(&accounts, 12), 140, "13 lies behind it");
        assert_eq!(anchor(&accounts, 14), 152);
        assert_eq!(accounts.anchors(&source(), 14).unwrap(), (vec![(Arc::from("to"), 0, 152)], true));
    }

    #[test]
    fn what_was_found_counts_until_the_position_covers_it() {
        let accounts = Accounts::new(Recognition::Position);
        let place = place(0, 50);
        let mut found = OffsetSet::new();
        for (offset, at) in [(5, 20), (6, 21), (9, 30)] {
            found.insert(offset, at);
        }
        accounts.open(source(), vec![(Arc::clone(&place), found)], vec![0]);
        let known = accounts.found(&source(), [4, 5, 6, 7, 9].into_iter());
        assert_eq!(known.unwrap(), [false, true, true, false, true]);
        assert_eq!(anchor(&accounts, 5), 20);
        assert_eq!(anchor(&accounts, 7), 30);
        assert_eq!(anchor(&accounts, 10), 50);
        assert!(accounts.found(&source(), [4, 5].into_iter()).is_none(), "nothing left");
    }

    #[test]
    fn a_batch_that_was_given_up_holds_the_anchor() {
        let accounts = Accounts::new(Recognition::Position);
        let place = place(0, 7);
        accounts.open(source(), vec![(Arc::clone(&place), OffsetSet::new())], vec![0]);
        accounts.sending(&part(&[1]), &place, 0, 7);
        accounts.abandoned(&part(&[1]), &place, 0);
        accounts.sending(&part(&[2]), &place, 0, 8);
        accounts.stored(&part(&[2]), &place, 0, 9);
        place.raise_end(10);
        assert_eq!(accounts.anchors(&source(), 3).unwrap(), (vec![(Arc::from("to"), 0, 7)], false));
    }

    #[test]
    fn in_order_an_anchor_is_exact() {
        let accounts = Accounts::new(Recognition::Order);
        let place = place(0, 100);
        place.expect(vec![1, 2]);
        accounts.open(source(), vec![(Arc::clone(&place), OffsetSet::new())], vec![0]);
        assert_eq!(anchor(&accounts, 10), 98, "two records are there that no position covers");
        accounts.recognised(&source(), &place, 10, 98);
        place.met();
        assert_eq!(anchor(&accounts, 10), 98);
        assert_eq!(anchor(&accounts, 11), 99);
        accounts.recognised(&source(), &place, 11, 99);
        place.met();
        accounts.sending(&part(&[12, 13, 20]), &place, 0, 100);
        place.raise_end(102);
        assert_eq!(anchor(&accounts, 12), 100, "a part of the batch is there, and not settled");
        accounts.stored(&part(&[12, 13, 20]), &place, 0, 100);
        place.raise_end(103);
        assert_eq!(anchor(&accounts, 12), 100);
        assert_eq!(anchor(&accounts, 14), 102, "14 was held back, 20 lies behind it");
        assert_eq!(anchor(&accounts, 21), 103);
    }

    #[test]
    fn nothing_is_noted_for_a_partition_that_was_given_up() {
        let accounts = Accounts::new(Recognition::Position);
        let place = place(0, 7);
        accounts.stored(&part(&[1]), &place, 0, 7);
        assert!(!accounts.knows(&source()));
    }

    #[test]
    fn a_place_where_nothing_goes_any_more_is_forgotten_when_it_holds_nothing_uncovered() {
        let accounts = Accounts::new(Recognition::Position);
        let (now, earlier) = (place(0, 50), place(1, 30));
        let mut found = OffsetSet::new();
        found.insert(5, 20);
        let trails = vec![(Arc::clone(&now), OffsetSet::new()), (Arc::clone(&earlier), found)];
        accounts.open(source(), trails, vec![0]);
        let named = |position| accounts.anchors(&source(), position).unwrap().0;
        assert_eq!(named(5), vec![(Arc::from("to"), 0, 50), (Arc::from("to"), 1, 20)]);
        named(6);
        assert_eq!(named(6), vec![(Arc::from("to"), 0, 50)]);
    }
}
