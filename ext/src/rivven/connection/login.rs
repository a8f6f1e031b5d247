//! Logging in, and again before the session ends.

use std::time::{Duration, Instant};

use bytes::Bytes;
use rivven_protocol::{Request, Response};

use super::Connection;
use crate::error::{Error, Kind, Result};
use crate::rivven::client::unexpected;
use crate::rivven::{error_map, wire};

/// No session is taken to last longer: the sum must not overflow.
const LONGEST_SESSION: Duration = Duration::from_secs(365 * 86_400);

impl Connection {
    /// Sends a frame inside a session, if there is somebody to log in.
    pub(super) fn in_session(&mut self, frame: &mut [u8], wait: Duration) -> Result<Bytes> {
        if self.renew_at.is_some_and(|at| Instant::now() >= at) {
            self.log_in()?;
        }
        let body = self.round_trip(frame, wait)?;
        if self.login.is_none() || !wire::is_error(&body) {
            return Ok(body);
        }
        match wire::decode_response(&body)? {
            Response::Error { message } if error_map::session_is_over(&error_map::from_message(&message)) => {
                // The broker looks at the session before it looks at the request, so nothing is done twice.
                self.log_in()?;
                self.round_trip(frame, wait)
            }
            _ => Ok(body),
        }
    }

    /// Begins a session, if there is somebody to log in.
    pub(super) fn log_in(&mut self) -> Result<()> {
        let Some(login) = self.login.clone() else { return Ok(()) };
        let begun = Instant::now();
        let attempt = login.begin()?;
        let session =
            self.ask(&Request::ScramClientFirst { message: attempt.message() }).and_then(|response| {
                let challenge = match self.accept(response)? {
                    Response::ScramServerFirst { message } => message,
                    other => return Err(unexpected(&other)),
                };
                let proof = attempt.answer(&challenge, &|| self.stopped())?;
                let response = self.ask(&Request::ScramClientFinal { message: proof.message.clone() })?;
                match self.accept(response)? {
                    Response::ScramServerFinal { message, expires_in, .. } => {
                        proof.verdict(&message)?;
                        Ok(expires_in)
                    }
                    other => Err(unexpected(&other)),
                }
            });
        let expires_in = session.map_err(|error| self.login_failed(login.username(), error))?;
        // An eighth early: the request that comes next may wait for its turn, and clocks differ.
        let lasts = expires_in.map(|seconds| Duration::from_secs(seconds).min(LONGEST_SESSION));
        self.renew_at = lasts.map(|lasts| begun + lasts * 7 / 8);
        Ok(())
    }

    /// Adds where and who to an error that says neither.
    fn login_failed(&self, username: &str, error: Error) -> Error {
        if error.kind != Kind::Authentication {
            return error;
        }
        let hint = match error.code.as_deref() {
            Some("UNSUPPORTED") => " (the server has no logins: expected no broker.auth)",
            _ => "",
        };
        let message = format!("{}: the login of '{username}' failed: {}{hint}", self.address, error.message);
        Error { message, ..error }
    }
}
