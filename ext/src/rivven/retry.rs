//! When to try again, and where.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::error::{Error, Kind, Result};

/// Exponential backoff with jitter.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// Delay before the first retry.
    pub initial_ms: u64,
    /// The delay never exceeds this.
    pub max_ms: u64,
    /// Each delay is this many times the one before.
    pub multiplier: f64,
    /// Consecutive failures that are retried; after one more the error is final.
    pub max_retries: u32,
}

impl Default for Backoff {
    /// The defaults of the connect file: 100 ms to 30 s, doubling, 10 retries.
    fn default() -> Self {
        Self { initial_ms: 100, max_ms: 30_000, multiplier: 2.0, max_retries: 10 }
    }
}

impl Backoff {
    /// Checks the ranges.
    pub fn validate(&self) -> Result<()> {
        if self.multiplier.is_finite() && self.multiplier >= 1.0 && self.initial_ms <= self.max_ms {
            return Ok(());
        }
        Err(Error::new(
            Kind::Config,
            "retry: the multiplier must be at least 1 and the initial delay at most the maximum",
        ))
    }

    /// Delay before retry number `attempt` (from 0), None when there are no more.
    ///
    /// Jitter takes away up to half: lanes that lost the same broker must not come back in step.
    pub fn delay(&self, attempt: u32) -> Option<Duration> {
        if attempt >= self.max_retries {
            return None;
        }
        let full = self.initial_ms as f64 * self.multiplier.powi(attempt.min(1000) as i32);
        let full = full.min(self.max_ms as f64);
        let jitter = (random() % 1000) as f64 / 2000.0;
        Some(Duration::from_micros((full * 1000.0 * (1.0 - jitter)) as u64))
    }
}

/// A random number; the hasher's keys come from the operating system.
pub fn random() -> u64 {
    RandomState::new().build_hasher().finish() ^ u64::from(std::process::id())
}

/// The bootstrap list and the server that is in use. Shared, so that one failure moves all.
#[derive(Debug)]
pub struct Servers {
    addresses: Vec<String>,
    current: AtomicUsize,
}

impl Servers {
    /// Checks that each address has the form `host:port`.
    pub fn new(addresses: Vec<String>) -> Result<Self> {
        if addresses.is_empty() {
            return Err(Error::new(Kind::Config, "the list of Rivven servers is empty"));
        }
        for address in &addresses {
            let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty());
            if port.and_then(|(_, port)| port.parse::<u16>().ok()).is_none() {
                return Err(Error::new(Kind::Config, format!("{address:?} is not of the form host:port")));
            }
        }
        Ok(Self { addresses, current: AtomicUsize::new(0) })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.addresses.len()
    }

    /// The server to talk to, and its number for `failed`.
    pub fn current(&self) -> (usize, &str) {
        let number = self.current.load(Ordering::Relaxed);
        (number, &self.addresses[number % self.addresses.len()])
    }

    /// Moves on from server `number`, unless another thread has done so already.
    pub fn failed(&self, number: usize) {
        let next = number.wrapping_add(1);
        let _ = self.current.compare_exchange(number, next, Ordering::Relaxed, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_the_maximum_and_end() {
        let backoff = Backoff { initial_ms: 100, max_ms: 1000, multiplier: 2.0, max_retries: 6 };
        for (attempt, full) in [(0, 100), (1, 200), (2, 400), (3, 800), (4, 1000), (5, 1000)] {
            let delay = backoff.delay(attempt).unwrap();
            assert!(delay <= Duration::from_millis(full) && delay >= Duration::from_millis(full / 2));
        }
        assert_eq!(backoff.delay(6), None);
    }

    #[test]
    fn only_the_first_failure_of_a_server_moves_on() {
        let servers = Servers::new(vec!["a:1".into(), "b:2".into()]).unwrap();
        let (number, address) = servers.current();
        assert_eq!(address, "a:1");
        servers.failed(number);
        servers.failed(number);
        assert_eq!(servers.current().1, "b:2");
        servers.failed(servers.current().0);
        assert_eq!(servers.current().1, "a:1");
    }

    #[test]
    fn addresses_are_checked() {
        for bad in ["", "host", "host:", ":9092", "host:99999"] {
            assert_eq!(Servers::new(vec![bad.into()]).unwrap_err().kind, Kind::Config, "{bad}");
        }
        assert!(Servers::new(vec!["[::1]:9092".into()]).is_ok());
        assert!(Servers::new(Vec::new()).is_err());
    }
}
