//! Ends the waits of threads: their sleeps and their socket reads.

use std::collections::HashMap;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Shared by a group of threads and by whoever ends them.
#[derive(Debug, Default)]
pub struct Stop {
    state: Mutex<State>,
    condition: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stopped: bool,
    wakes: u64,
    next: usize,
    sockets: HashMap<usize, TcpStream>,
}

impl Stop {
    /// Nothing stopped yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends all waits, now and from now on.
    pub fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        for socket in state.sockets.values() {
            // A socket that is closed already cannot block anybody.
            let _ = socket.shutdown(Shutdown::Both);
        }
        self.condition.notify_all();
    }

    /// Whether `stop` was called.
    pub fn stopped(&self) -> bool {
        self.lock().stopped
    }

    /// Ends the sleeps of now, because what the sleepers wait for may have changed.
    pub fn wake(&self) {
        self.lock().wakes += 1;
        self.condition.notify_all();
    }

    /// Sleeps for `time` or until woken or stopped; true if stopped.
    pub fn sleep(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        let mut state = self.lock();
        let wakes = state.wakes;
        while !state.stopped {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || state.wakes != wakes {
                return false;
            }
            state = self.condition.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Closes `socket` when stopped, for as long as what is returned lives.
    pub fn watch(self: &Arc<Self>, socket: TcpStream) -> Watch {
        let mut state = self.lock();
        if state.stopped {
            let _ = socket.shutdown(Shutdown::Both);
        }
        state.next += 1;
        let number = state.next;
        state.sockets.insert(number, socket);
        Watch { stop: Arc::clone(self), number }
    }

    /// The state is valid at every step, so a thread that panicked while holding the lock does no harm.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A socket that a stop closes; let go of when dropped.
#[derive(Debug)]
pub struct Watch {
    stop: Arc<Stop>,
    number: usize,
}

impl Watch {
    /// Whether the stop was called.
    pub fn stopped(&self) -> bool {
        self.stop.stopped()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.lock().sockets.remove(&self.number);
    }
}
