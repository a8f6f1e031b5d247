//! Connection arguments that the three Python classes share.

use std::sync::Arc;
use std::time::Duration;

use pyo3::Bound;

use super::connection::ConnectOptions;
use super::link::LinkConfig;
use super::retry::{Backoff, Servers};
use super::security::RivvenSecurity;
use crate::error::{Error, Kind, Result};

/// No timeout needs more, and it cannot overflow the clock.
const DAY_MS: u64 = 86_400_000;

/// A timeout from Python.
pub fn timeout(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds.min(DAY_MS))
}

/// Numbers as Python hands them over; the names are those of the options.
#[allow(missing_docs)]
pub struct Arguments {
    pub servers: Vec<String>,
    pub security: RivvenSecurity,
    pub client_id: String,
    pub connect_timeout_ms: u64,
    pub request_timeout_ms: u64,
    pub backoff: Backoff,
}

impl Arguments {
    /// Checks the ranges.
    pub fn check(self) -> Result<LinkConfig> {
        self.backoff.validate()?;
        for (name, value) in
            [("connect_timeout_ms", self.connect_timeout_ms), ("request_timeout_ms", self.request_timeout_ms)]
        {
            at_least_one(name, value)?;
            if value > DAY_MS {
                return Err(Error::new(Kind::Config, format!("{name} is longer than a day")));
            }
        }
        Ok(LinkConfig {
            servers: Arc::new(Servers::new(self.servers)?),
            options: ConnectOptions {
                connect_timeout: Duration::from_millis(self.connect_timeout_ms),
                request_timeout: Duration::from_millis(self.request_timeout_ms),
                client_id: (!self.client_id.is_empty()).then_some(self.client_id),
                tls: self.security.tls,
                login: self.security.login,
            },
            backoff: self.backoff,
        })
    }
}

/// What a constructor was given as `security`.
pub fn security(given: Option<Bound<'_, RivvenSecurity>>) -> RivvenSecurity {
    given.map(|given| given.get().clone()).unwrap_or_default()
}

/// A limit or a count of zero would stop everything.
pub fn at_least_one(name: &str, value: u64) -> Result<()> {
    if value == 0 {
        return Err(Error::new(Kind::Config, format!("{name} must be at least 1")));
    }
    Ok(())
}
