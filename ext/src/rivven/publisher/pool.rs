//! The connections of a publisher, which the lanes of all its destinations share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

use super::lane::Lane;
use super::queue::Queue;
use super::shared::Shared;
use crate::error::{Error, Kind, Result};

/// Threads of connections, started when a lane needs one.
#[derive(Debug)]
pub struct Pool {
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Queue of each connection, and how many lanes it carries.
    connections: Vec<(Arc<Queue>, usize)>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    /// No connection yet, and never more than `most`.
    pub fn new(most: usize) -> Self {
        Self { most, state: Mutex::default() }
    }

    /// The connection for one more lane, for good: a new one while there may be more, else one of those with
    /// the fewest lanes.
    pub fn seat(shared: &Arc<Shared>) -> Result<Arc<Queue>> {
        let mut state = shared.pool.lock();
        // Asked with the lock held: whoever ends the threads takes it after the stop, and so finds them all.
        if shared.stop.stopped() {
            return Err(Error::new(Kind::Delivery, "the publisher is closed"));
        }
        let count = state.connections.len();
        let least = state.connections.iter_mut().min_by_key(|(_, lanes)| *lanes);
        if let Some((queue, lanes)) = least.filter(|_| count >= shared.pool.most) {
            *lanes += 1;
            return Ok(Arc::clone(queue));
        }
        let queue = Arc::new(Queue::default());
        let lane = Lane::new(Arc::clone(shared), Arc::clone(&queue), count);
        let thread = Builder::new().name(format!("rivven-lane-{count}")).spawn(|| lane.run());
        let thread = thread.map_err(|error| Error::new(Kind::Delivery, format!("no thread: {error}")))?;
        state.threads.push(thread);
        state.connections.push((Arc::clone(&queue), 1));
        Ok(queue)
    }

    /// Lets idle threads see what has changed.
    pub fn wake(&self) {
        self.lock().connections.iter().for_each(|(queue, _)| queue.wake());
    }

    /// Waits for the end of all threads, after a stop.
    pub fn join(&self) {
        let threads = std::mem::take(&mut self.lock().threads);
        for thread in threads {
            // A thread that panicked has told so in the shared state.
            let _ = thread.join();
        }
    }

    /// The state is valid at every step, so a thread that panicked with the lock held does no harm.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
