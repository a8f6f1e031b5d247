//! Until when a publisher may send.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// A point in time after which nothing is sent: the group may have given the partitions to someone else by then.
/// A process that was stopped for a while, and goes on in the middle of its work, looks at the clock first.
#[derive(Debug, Default)]
pub struct Lease {
    /// Microseconds after `START`.
    until: AtomicU64,
}

impl Lease {
    /// It lasts for `time` from now on.
    pub fn extend(&self, time: Duration) {
        self.until.store(now() + time.as_micros() as u64, Ordering::Release);
    }

    /// Whether it lasts.
    pub fn valid(&self) -> bool {
        now() < self.until.load(Ordering::Acquire)
    }
}

/// Never 0, so that a lease that was never extended is over.
fn now() -> u64 {
    START.elapsed().as_micros() as u64 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_by_itself() {
        let lease = Lease::default();
        assert!(!lease.valid(), "never extended");
        lease.extend(Duration::from_millis(30));
        assert!(lease.valid());
        std::thread::sleep(Duration::from_millis(40));
        assert!(!lease.valid());
        lease.extend(Duration::from_secs(1));
        assert!(lease.valid());
        lease.extend(Duration::ZERO);
        assert!(!lease.valid());
    }
}
