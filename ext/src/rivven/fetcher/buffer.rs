//! Fetched blocks on their way to `poll`, bounded in bytes.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::record::Block;

/// A queue of blocks. `limit` bounds what it holds; one block is always let in, however large.
#[derive(Debug)]
pub struct Buffer {
    limit: usize,
    state: Mutex<State>,
    /// Something came, or all is over.
    filled: Condvar,
    /// There is room, or all is over.
    emptied: Condvar,
}

#[derive(Debug, Default)]
struct State {
    blocks: VecDeque<Block>,
    bytes: usize,
    error: Option<Error>,
    closed: bool,
}

impl Buffer {
    /// An empty buffer for `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::default(), filled: Condvar::new(), emptied: Condvar::new() }
    }

    /// Waits until there is room for more; false if there never will be.
    pub fn wait_for_room(&self) -> bool {
        !self.wait_while(|state| state.bytes >= self.limit).closed
    }

    /// Adds a block when there is room for it; false if the buffer was closed.
    pub fn push(&self, block: Block) -> bool {
        let mut state = self.wait_while(|state| state.bytes > 0 && state.bytes + block.bytes > self.limit);
        if state.closed {
            return false;
        }
        state.bytes += block.bytes;
        state.blocks.push_back(block);
        self.filled.notify_one();
        true
    }

    /// Takes the blocks that are there, until they hold `max_records`; waits up to `timeout` for the first.
    /// The error comes out when all blocks before it have.
    pub fn poll(&self, timeout: Duration, max_records: usize) -> Result<Vec<Block>> {
        let end = Instant::now() + timeout;
        let mut state = self.lock();
        loop {
            if !state.blocks.is_empty() {
                return Ok(self.take(&mut state, max_records));
            }
            if let Some(error) = &state.error {
                return Err(error.clone());
            }
            let left = end.saturating_duration_since(Instant::now());
            if state.closed || left.is_zero() {
                return Ok(Vec::new());
            }
            state = self.filled.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn take(&self, state: &mut State, max_records: usize) -> Vec<Block> {
        let mut taken = Vec::new();
        let mut records = 0;
        while records < max_records || taken.is_empty() {
            let Some(block) = state.blocks.pop_front() else { break };
            records += block.records.len();
            state.bytes -= block.bytes;
            taken.push(block);
        }
        self.emptied.notify_all();
        taken
    }

    /// Stores the error that ends the fetching; the first one stays.
    pub fn fail(&self, error: Error) {
        let mut state = self.lock();
        if !state.closed {
            state.error.get_or_insert(error);
            self.filled.notify_all();
        }
    }

    /// Drops everything and lets nothing in any more.
    pub fn close(&self) {
        let mut state = self.lock();
        *state = State { closed: true, ..State::default() };
        self.filled.notify_all();
        self.emptied.notify_all();
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    fn wait_while(&self, full: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        while !state.closed && full(&state) {
            state = self.emptied.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state
    }

    /// The state is valid at every step, so a thread that panicked while holding the lock does no harm.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::error::Kind;

    fn block(bytes: usize) -> Block {
        Block {
            topic: Arc::from("t"),
            partition: 0,
            leader_epoch: -1,
            next_offset: 0,
            chunks: Arc::from([]),
            records: Arc::default(),
            bytes,
        }
    }

    #[test]
    fn a_full_buffer_holds_the_writer_until_it_is_read() {
        let buffer = Arc::new(Buffer::new(100));
        assert!(buffer.push(block(500)), "one block always fits");
        let writer = {
            let buffer = Arc::clone(&buffer);
            std::thread::spawn(move || buffer.push(block(1)))
        };
        std::thread::sleep(Duration::from_millis(20));
        assert!(!writer.is_finished());
        assert_eq!(buffer.poll(Duration::ZERO, usize::MAX).unwrap().len(), 1);
        assert!(writer.join().unwrap());
        assert_eq!(buffer.bytes(), 1);
    }

    #[test]
    fn the_error_comes_after_the_blocks() {
        let buffer = Buffer::new(100);
        buffer.push(block(1));
        buffer.fail(Error::new(Kind::UnknownTopic, "first"));
        buffer.fail(Error::new(Kind::Connect, "second"));
        assert_eq!(buffer.poll(Duration::ZERO, 1).unwrap().len(), 1);
        for _ in 0..2 {
            assert_eq!(buffer.poll(Duration::ZERO, 1).unwrap_err().message, "first");
        }
    }

    #[test]
    fn closing_ends_all_waits_and_drops_all() {
        let buffer = Arc::new(Buffer::new(1));
        buffer.push(block(1));
        let writer = {
            let buffer = Arc::clone(&buffer);
            std::thread::spawn(move || buffer.push(block(1)))
        };
        std::thread::sleep(Duration::from_millis(10));
        buffer.close();
        assert!(!writer.join().unwrap());
        assert!(buffer.poll(Duration::from_secs(5), 1).unwrap().is_empty());
        assert!(!buffer.wait_for_room());
    }
}
