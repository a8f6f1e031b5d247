//! Finding where in Rivven a range of Kafka begins, where no counting tells: Kafka has deleted what came before.

use std::collections::{HashMap, VecDeque};

/// Records of Kafka that are looked for.
pub const SOUGHT: usize = 256;

/// Equal records that are looked for at most.
const ALIKE: usize = 8;

/// Records between the place that most vote for and the one that counts: so many may be missing or doubled.
const NEAR: u64 = 32;

/// Places that are remembered of each sought record.
const REMEMBERED: usize = 64;

/// Every record of Rivven that is equal to a sought one votes for the place where the range would begin by it. One
/// record that is missing or doubled moves the votes of all behind it, so the first sought record that is found near
/// the place that wins decides.
#[derive(Debug)]
pub struct Align {
    sought: HashMap<u128, Vec<i64>>,
    count: i64,
    /// Where the sought records were found last.
    places: Vec<VecDeque<i64>>,
    votes: HashMap<i64, u32>,
    seen: i64,
}

impl Align {
    /// Looks for the records with these digests, in order.
    pub fn new(digests: impl Iterator<Item = u128>) -> Self {
        let mut sought: HashMap<u128, Vec<i64>> = HashMap::new();
        let mut count = 0;
        for digest in digests.take(SOUGHT) {
            let places = sought.entry(digest).or_default();
            if places.len() < ALIKE {
                places.push(count);
            }
            count += 1;
        }
        let places = (0..count).map(|_| VecDeque::new()).collect();
        Self { sought, count, places, votes: HashMap::new(), seen: 0 }
    }

    /// Takes the next record of Rivven.
    pub fn add(&mut self, digest: u128) {
        for index in self.sought.get(&digest).into_iter().flatten() {
            *self.votes.entry(self.seen - index).or_default() += 1;
            let places = &mut self.places[*index as usize];
            if places.len() == REMEMBERED {
                places.pop_front();
            }
            places.push_back(self.seen);
        }
        self.seen += 1;
    }

    /// How many records of Rivven it has seen.
    pub fn seen(&self) -> usize {
        self.seen as usize
    }

    /// The place of the first sought record among those of Rivven, negative if it is missing there. None if none of
    /// them is there.
    pub fn best(&self) -> Option<i64> {
        self.winner().map(|(place, _)| self.beside(place))
    }

    /// The best place, once it needs no more votes.
    pub fn decided(&self) -> Option<i64> {
        let (place, votes) = self.winner()?;
        let clear = i64::from(votes) * 4 >= self.count * 3;
        (clear && self.seen >= place + self.count).then(|| self.beside(place))
    }

    /// The first of the places that most vote for, and their number.
    fn winner(&self) -> Option<(i64, u32)> {
        let votes = self.votes.iter().map(|(place, votes)| (*place, *votes));
        votes.max_by_key(|(place, votes)| (*votes, -*place))
    }

    /// The place by the first sought record that is found near the winner.
    fn beside(&self, winner: i64) -> i64 {
        let by_record = self.places.iter().enumerate().find_map(|(index, places)| {
            let places = places.iter().map(|at| at - index as i64);
            places.filter(|place| place.abs_diff(winner) <= NEAR).min_by_key(|place| place.abs_diff(winner))
        });
        by_record.unwrap_or(winner)
    }
}
