//! A connection that comes back: opened when needed, replaced when broken, moved on to the next server.

use std::sync::Arc;
use std::time::Duration;

use super::connection::{ConnectOptions, Connection};
use super::retry::{Backoff, Servers};
use super::stop::Stop;
use crate::error::{Error, Kind, Result};

/// rivvend closes a connection that sends nothing for 120 s, without a word. One that was silent for half of
/// that is replaced rather than trusted.
const STALE_AFTER: Duration = Duration::from_secs(60);

/// rivvend closes a connection 1 s after it exceeded the request rate; coming back earlier is of no use.
const RATE_LIMIT_PAUSE: Duration = Duration::from_secs(1);

/// What links of one client have in common.
#[derive(Debug, Clone)]
pub struct LinkConfig {
    /// Where to connect.
    pub servers: Arc<Servers>,
    /// How to connect.
    pub options: ConnectOptions,
    /// When to try again.
    pub backoff: Backoff,
}

/// A connection to one of the servers.
#[derive(Debug)]
pub struct Link {
    config: LinkConfig,
    stop: Arc<Stop>,
    open: Option<(usize, Connection)>,
    opened: u64,
    failures: u32,
    /// Whether `recover` waits.
    patient: bool,
}

impl Link {
    /// A link that is not connected yet.
    pub fn new(config: LinkConfig, stop: Arc<Stop>) -> Self {
        Self { config, stop, open: None, opened: 0, failures: 0, patient: true }
    }

    /// The connection, opened if there is none that can be used. Does not retry.
    pub fn connection(&mut self) -> Result<&mut Connection> {
        if self.stop.stopped() {
            return Err(closed());
        }
        let server = match self.open.take() {
            Some(open) if open.1.usable() && open.1.idle() < STALE_AFTER => open,
            _ => {
                let server = self.connect()?;
                self.opened += 1;
                server
            }
        };
        Ok(&mut self.open.insert(server).1)
    }

    /// Tries the servers until one does not refuse: it may be away, and is tried again then.
    fn connect(&self) -> Result<(usize, Connection)> {
        let mut refused = None;
        for _ in 0..self.config.servers.count() {
            let (number, address) = self.config.servers.current();
            match Connection::open(address, &self.config.options, Some(&self.stop)) {
                Ok(connection) => return Ok((number, connection)),
                Err(error) => {
                    self.config.servers.failed(number);
                    if error.kind.retriable() || self.stop.stopped() {
                        return Err(error);
                    }
                    refused.get_or_insert(error);
                }
            }
        }
        Err(refused.unwrap_or_else(closed))
    }

    /// Whether a connection is open (the broker may have closed it without our knowing).
    pub fn connected(&self) -> bool {
        self.open.is_some()
    }

    /// Connections opened so far: the number of the present one. Another number may be another broker, or one
    /// that was restarted.
    pub fn opened(&self) -> u64 {
        self.opened
    }

    /// Number of the server that the connection leads to.
    pub fn server(&self) -> Option<usize> {
        self.open.as_ref().map(|(number, _)| *number)
    }

    /// Closes the connection.
    pub fn close(&mut self) {
        self.open = None;
    }

    /// Time since the last answer, None without a connection.
    pub fn idle(&self) -> Option<Duration> {
        self.open.as_ref().map(|(_, connection)| connection.idle())
    }

    /// A link whose owner alone decides about trying again: `recover` returns every error at once, and `succeeded`
    /// says nothing about the next failure. The owner calls `try_again` and `delivered`.
    #[must_use]
    pub fn impatient(mut self) -> Self {
        self.patient = false;
        self
    }

    /// Notes that a request succeeded: the next failure is a first one.
    pub fn succeeded(&mut self) {
        if self.patient {
            self.delivered();
        }
    }

    /// Notes that the owner's work succeeded: the next failure is a first one.
    pub fn delivered(&mut self) {
        self.failures = 0;
    }

    /// Sleeps because the broker asked for it; fails if a stop ended the sleep.
    pub fn pause(&self, duration: Duration) -> Result<()> {
        if self.stop.sleep(duration) {
            return Err(closed());
        }
        Ok(())
    }

    /// After a failure: replaces what is broken and sleeps. Returns the error if it is final, that is, not
    /// retriable, one too many, or the wait was ended by a stop.
    pub fn recover(&mut self, error: Error) -> Result<()> {
        if self.patient {
            return self.try_again(error);
        }
        self.give_up_if_broken(&error);
        Err(error)
    }

    /// `recover`, by the owner.
    pub fn try_again(&mut self, error: Error) -> Result<()> {
        self.give_up_if_broken(&error);
        if !error.kind.retriable() || self.stop.stopped() {
            return Err(error);
        }
        let Some(mut delay) = self.config.backoff.delay(self.failures) else {
            return Err(match self.failures {
                0 => error,
                count => Error { message: format!("{} (after {count} retries)", error.message), ..error },
            });
        };
        self.failures += 1;
        if error.kind == Kind::Throttled {
            delay = delay.max(RATE_LIMIT_PAUSE);
        }
        if self.stop.sleep(delay) {
            return Err(error);
        }
        Ok(())
    }

    /// Drops a connection that cannot be used any more, and moves on from a server that failed.
    pub fn give_up_if_broken(&mut self, error: &Error) {
        let broken = self.open.as_ref().is_some_and(|(_, connection)| !connection.usable());
        if broken || error.kind == Kind::NotLeader {
            if let Some((number, _)) = self.open.take() {
                if matches!(error.kind, Kind::Connect | Kind::Timeout | Kind::NotLeader) {
                    self.config.servers.failed(number);
                }
            }
        }
    }
}

fn closed() -> Error {
    Error::new(Kind::Connect, "the client is closed")
}
