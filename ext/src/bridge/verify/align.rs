//! Finding where in Rivven a range of Kafka begins, where no counting tells: Kafka has deleted what came before.

use std::collections::HashMap;

/// Records of Kafka that are looked for.
pub const SOUGHT: usize = 256;

/// Equal records that are looked for at most.
const ALIKE: usize = 8;

/// Every record of Rivven that is equal to a sought one votes for the place where the range would begin by it. One
/// record that is missing, doubled or altered cannot win against the others.
#[derive(Debug)]
pub struct Align {
    sought: HashMap<u128, Vec<i64>>,
    count: i64,
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
        Self { sought, count, votes: HashMap::new(), seen: 0 }
    }

    /// Takes the next record of Rivven.
    pub fn add(&mut self, digest: u128) {
        for place in self.sought.get(&digest).into_iter().flatten() {
            *self.votes.entry(self.seen - place).or_default() += 1;
        }
        self.seen += 1;
    }

    /// How many records of Rivven it has seen.
    pub fn seen(&self) -> usize {
        self.seen as usize
    }

    /// The place of the first sought record among those of Rivven, negative if it is missing there; the first of
    /// the places that most vote for. None if none of them is there.
    pub fn best(&self) -> Option<i64> {
        self.votes.iter().max_by_key(|(place, votes)| (**votes, -**place)).map(|(place, _)| *place)
    }

    /// The best place, once it needs no more votes.
    pub fn decided(&self) -> Option<i64> {
        let place = self.best()?;
        let clear = i64::from(self.votes[&place]) * 4 >= self.count * 3;
        (clear && self.seen >= place + self.count).then_some(place)
    }
}
