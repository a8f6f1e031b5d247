//! Finding where in Rivven a range of Kafka begins, where counting from the first record does not tell: Kafka has
//! deleted what came before. So it is counted from the end.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::Range;

/// Records of Kafka that are looked for.
pub const SOUGHT: usize = 256;

/// Records that may be missing or doubled behind the beginning, of those that are looked for.
const NEAR: i64 = 32;

/// Records that a source publishes at most before it commits them.
const MOST_UNCOMMITTED: i64 = 5_000_000;

/// Equal records that tell a place where fewer might be equal by chance.
const ENOUGH: i64 = 8;

/// What Kafka holds from the beginning of the range on, of what the source publishes.
#[derive(Debug, Default)]
pub struct Rest {
    first: Vec<u128>,
    in_range: usize,
    records: i64,
    committed: i64,
}

impl Rest {
    /// Takes the next record: whether it is in the range, and committed.
    pub fn add(&mut self, digest: u128, in_range: bool, committed: bool) {
        if self.first.len() < SOUGHT {
            self.first.push(digest);
            self.in_range += usize::from(in_range);
        }
        self.records += 1;
        self.committed += i64::from(committed);
    }

    /// How many were taken.
    pub fn records(&self) -> i64 {
        self.records
    }

    /// Whether more that is not committed makes no difference.
    pub fn enough(&self) -> bool {
        self.records - self.committed >= MOST_UNCOMMITTED
    }
}

/// What speaks for a place.
#[derive(Debug, Default, Clone, Copy)]
struct Votes {
    /// Sought records that are where they belong by it.
    all: u16,
    /// How many of them are the first ones.
    first: u16,
    /// The lowest of them.
    lowest: u16,
}

/// Where the range begins in Rivven. Without differences, what is committed lies behind it, and what else Kafka has
/// may: that leaves few places, or one. Every record that is equal to a sought one votes for the place by it. Few
/// differences move the votes of all behind them, so places near by count, too.
#[derive(Debug)]
pub struct Align {
    sought: HashMap<u128, Vec<u16>>,
    /// How many are looked for, how many of those are in the range, and how many must be there.
    count: i64,
    in_range: u16,
    solid: i64,
    near: i64,
    /// The place if nothing but what is committed is copied.
    likely: i64,
    end: i64,
    lowest: i64,
    votes: Vec<Votes>,
}

impl Align {
    /// Of what Kafka holds, and the end of the Rivven partition.
    pub fn new(rest: &Rest, rivven_end: i64) -> Self {
        let mut sought: HashMap<u128, Vec<u16>> = HashMap::new();
        for (index, digest) in rest.first.iter().enumerate() {
            sought.entry(*digest).or_default().push(index as u16);
        }
        let count = rest.first.len() as i64;
        let solid = count.min(rest.committed);
        // Of few records, some that are equal by chance would soon be most.
        let near = Some(NEAR.min(solid / 8)).filter(|near| !repeats(&rest.first, 2 * near)).unwrap_or(0);
        let likely = rivven_end - rest.committed;
        let uncommitted = MOST_UNCOMMITTED.min(rest.records - rest.committed);
        let votes = vec![Votes::default(); (uncommitted + 2 * near + 1) as usize];
        let (in_range, lowest) = (rest.in_range as u16, likely - uncommitted - near);
        let end = rivven_end;
        Self { sought, count, in_range, solid, near, likely, end, lowest, votes }
    }

    /// The offsets of Rivven that matter.
    pub fn range(&self) -> Range<i64> {
        self.lowest..self.lowest + self.votes.len() as i64 - 1 + self.count
    }

    /// Takes the record of Rivven at an offset; they come in order.
    pub fn add(&mut self, offset: i64, digest: u128) {
        for index in self.sought.get(&digest).into_iter().flatten() {
            let place = offset - i64::from(*index) - self.lowest;
            if let Some(votes) = usize::try_from(place).ok().and_then(|place| self.votes.get_mut(place)) {
                if votes.all == 0 {
                    votes.lowest = *index;
                }
                votes.all += 1;
                votes.first += u16::from(votes.first == *index);
            }
        }
    }

    /// The offset in Rivven of the first record of the range, or where it should be.
    pub fn place(&self) -> i64 {
        if let Some(place) = self.sound() {
            return place;
        }
        let best = self.places(i64::MAX, self.likely).max_by_key(|(place, votes)| {
            // Of equal ones the one by which least is copied that is not committed, as commits come soon.
            (votes.all, Reverse(place.abs_diff(self.likely)))
        });
        let Some((best, votes)) = best.filter(|(_, votes)| votes.all > 0) else {
            // None of it is there: all that is came before.
            return self.end;
        };
        let needed = if self.solid > 0 { (self.solid + 1) / 2 } else { ENOUGH };
        if i64::from(votes.all) < needed {
            return self.likely;
        }
        // A difference soon behind the beginning is told better from the place by the records before it. Equal records
        // from before the range must not stand for those of the range, so if these are all equal there, they must be
        // more than a repetition has, and those of the other place begin behind them.
        let nearer = self.places(self.near, best).filter(|(place, other)| {
            let moved = (place - best).abs();
            let first = i64::from(other.first);
            let follows = first <= i64::from(votes.lowest) + moved && first >= ENOUGH + 2 * moved;
            other.first > votes.first && (other.first < self.in_range || follows)
        });
        let nearer = nearer.max_by_key(|(place, votes)| (votes.first, Reverse(place.abs_diff(best))));
        nearer.map_or(best, |(place, _)| place)
    }

    /// The place where Rivven has all that is committed, and nothing but what Kafka has, as a source leaves it. Near
    /// the end this is told by few records, while among values of few kinds more are equal by chance elsewhere.
    fn sound(&self) -> Option<i64> {
        if self.solid == 0 && self.in_range > 0 {
            return None;
        }
        let sound = self.places(i64::MAX, self.likely).filter(|(place, votes)| {
            let all = i64::from(votes.all);
            *place <= self.likely && all >= self.solid && all == self.count.min(self.end - place)
        });
        sound.map(|(place, _)| place).min_by_key(|place| place.abs_diff(self.likely))
    }

    /// The places at most so far from another, and their votes.
    fn places(&self, far: i64, from: i64) -> impl Iterator<Item = (i64, Votes)> + '_ {
        let places = self.votes.iter().enumerate().map(|(index, votes)| (self.lowest + index as i64, *votes));
        places.filter(move |(place, _)| place.abs_diff(from) <= far.unsigned_abs())
    }
}

/// Whether many records are equal to those at most so far behind them: other places would fit as well.
fn repeats(digests: &[u128], far: i64) -> bool {
    (1..=far.unsigned_abs() as usize).any(|by| {
        let pairs = || digests.iter().zip(digests.iter().skip(by));
        pairs().filter(|(one, other)| one == other).count() * 4 >= pairs().count()
    })
}

#[cfg(test)]
#[path = "align_tests.rs"]
mod tests;
