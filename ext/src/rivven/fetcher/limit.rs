//! How many messages to ask for, so that the answer fits into a response.
//!
//! rivvend stops adding records to an answer when it holds `max_messages * 4096` bytes, looking before each
//! record, so an answer is smaller than that plus one record; and an answer above 10 MiB is not sent but
//! replaced by an error, every time (`rivvend/src/handler/consume.rs`, `framing.rs`).

use crate::rivven::wire::MAX_BODY;

/// What rivvend grants per message.
const GRANT: usize = 4096;

/// Message overhead and response head, generously.
const MARGIN: usize = 64 * 1024;

/// Most bytes that an answer may have.
const LARGEST_ANSWER: usize = MAX_BODY - MARGIN;

/// The limit of one partition.
#[derive(Debug, Clone)]
pub struct Limit {
    most: usize,
    /// Bytes that an answer should not exceed.
    budget: usize,
    now: usize,
    /// Largest record of late; fades, so that one giant does not slow the rest of the topic down.
    largest: usize,
}

impl Limit {
    /// At most `most` messages, and about `budget` bytes; a single record may be larger. Starts with what
    /// keeps the budget whatever the records are like.
    pub fn new(most: usize, budget: usize) -> Self {
        let budget = budget.min(LARGEST_ANSWER);
        Self { most, budget, now: (budget / GRANT).clamp(1, most), largest: 0 }
    }

    /// Messages to ask for.
    pub fn get(&self) -> u32 {
        self.now as u32
    }

    /// The answer did not fit. False if not even a single message does.
    pub fn shrink(&mut self) -> bool {
        let shrunk = self.now > 1;
        self.now = (self.now / 2).max(1);
        shrunk
    }

    /// An answer came, with a largest record of `largest` bytes.
    pub fn grow(&mut self, largest: usize) {
        self.largest = largest.max(self.largest - self.largest / 8);
        // Always safe, by the rule above; but records of a few hundred bytes never use their grant, so
        // twice what would fit if all were as large as the largest is as good.
        let safe = self.budget.saturating_sub(self.largest) / GRANT;
        let likely = self.budget / 2 / self.largest.max(1);
        let cap = safe.max(likely).clamp(1, self.most);
        // Fast, because a small budget starts far below what small records allow.
        self.now = (self.now + self.now.div_ceil(2)).min(cap);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_halves_down_to_one() {
        let mut limit = Limit::new(2000, MAX_BODY);
        let mut steps = 0;
        while limit.shrink() {
            steps += 1;
        }
        assert_eq!((limit.get(), steps), (1, 10));
    }

    #[test]
    fn large_records_keep_the_rule_and_fade() {
        let mut limit = Limit::new(10_000, MAX_BODY);
        limit.grow(4 << 20);
        assert!(limit.get() as usize * GRANT + (4 << 20) <= MAX_BODY);
        for _ in 0..200 {
            limit.grow(160);
        }
        assert_eq!(limit.get(), 10_000);
    }

    #[test]
    fn a_small_budget_holds_from_the_start() {
        let mut limit = Limit::new(2000, 256 * 1024);
        assert_eq!(limit.get() as usize * GRANT, 256 * 1024);
        limit.grow(10_000);
        assert!(limit.get() as usize * GRANT + 10_000 <= 256 * 1024);
        for _ in 0..200 {
            limit.grow(100);
        }
        assert!(limit.get() > 1000, "small records do not use their grant");
        assert_eq!(Limit::new(2000, 1).get(), 1);
    }

    #[test]
    fn a_record_of_ten_megabytes_is_asked_for_alone() {
        let mut limit = Limit::new(2000, MAX_BODY);
        limit.grow(10_480_000);
        assert_eq!(limit.get(), 1);
    }
}
