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

    fn anchor(&self, position: i64, recognition: Recognition) -> i64 {
        if recognition == Recognition::Order {
            return match self.stored.front() {
                Some(first) => first.base + first.offsets.partition_point(|at| *at < position) as i64,
                None => self.place.end() - self.place.expected() as i64,
            };
        }
        let on_wire = self.on_wire.iter().map(|(_, floor)| *floor);
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

    /// Opens the account of a source partition.
    pub fn open(&self, source: TopicPartition, trails: Vec<(Arc<Place>, OffsetSet)>) {
        let mut account = Account::default();
        for (place, found) in trails {
            account.any_found |= found.len() > 0;
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
            any_found |= trail.found.len() > 0;
            settled &= trail.on_wire.is_empty();
            let place = &trail.place;
            anchors.push((
                Arc::clone(&place.topic),
                place.partition,
                trail.anchor(position, self.recognition),
            ));
        }
        account.any_found = any_found;
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
