//! One request at a time over one connection: topics, offsets, groups, single fetches.

mod groups;
mod offsets;
mod producers;
mod python;
mod topics;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rivven_protocol::{Request, Response};

pub use groups::Joined;
pub use producers::init_producer;
pub use python::RivvenClient;

use super::connection::Connection;
use super::link::{Link, LinkConfig};
use super::retry::random;
use super::stop::Stop;
use crate::error::{Error, Kind, Result};

/// What may be done when an answer is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Doing it twice is as good as once: ask again.
    Safe,
    /// It may have been done: report the loss. Only what was refused, or never sent, is tried again.
    Unsafe,
}

/// A client. All methods may be called from any thread; requests wait for each other, so a long poll delays
/// everything behind it: use one client for polling and another for heartbeats.
#[derive(Debug)]
pub struct Client {
    link: Mutex<Link>,
    stop: Arc<Stop>,
    scratch_group: String,
}

impl Client {
    /// A client that connects with its first request.
    pub fn new(config: LinkConfig) -> Self {
        let stop = Arc::new(Stop::new());
        let owner = config.options.client_id.clone().unwrap_or_else(|| "rivven-kafka".to_owned());
        // Group names hold at most 255 of these characters (`rivven-core`, validation.rs).
        let clean = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
        let owner: String = owner.chars().take(200).map(clean).collect();
        let scratch_group = format!("checkpoint.{owner}.{:016x}", random());
        Self { link: Mutex::new(Link::new(config, Arc::clone(&stop))), stop, scratch_group }
    }

    /// Ends the request that is under way, if any, and refuses all further ones.
    pub fn close(&self) {
        self.stop.stop();
    }

    /// The link, when it is our turn.
    fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends `request` until it is answered, refused for good, or out of retries.
    pub fn request(&self, request: &Request, repeat: Repeat) -> Result<Response> {
        self.attempt(repeat, |connection| connection.call(request))
    }

    /// Runs `send` until it succeeds, fails for good, or is out of retries. Throttling is waited out.
    fn attempt(
        &self,
        repeat: Repeat,
        mut send: impl FnMut(&mut Connection) -> Result<Response>,
    ) -> Result<Response> {
        let mut link = self.link();
        link.succeeded(); // what happened to the request before this one does not count
        loop {
            let connection = match link.connection() {
                Ok(connection) => connection,
                Err(error) => {
                    link.recover(error)?;
                    continue;
                }
            };
            match send(connection) {
                Ok(Response::Throttled { throttle_time_ms, .. }) => {
                    link.pause(super::throttle_pause(throttle_time_ms))?;
                }
                Ok(response) => return Ok(response),
                Err(error) => {
                    let unknown = matches!(error.kind, Kind::Connect | Kind::Timeout | Kind::Storage);
                    // A changed group is settled by joining again, which is the caller's decision.
                    if repeat == Repeat::Unsafe && unknown || error.kind == Kind::RebalanceNeeded {
                        link.give_up_if_broken(&error);
                        return Err(error);
                    }
                    link.recover(error)?;
                }
            }
        }
    }
}

/// The answer was of a type that does not belong to the request.
pub(super) fn unexpected(response: &Response) -> Error {
    let text = format!("{response:?}");
    let name = text.split([' ', '{']).next().unwrap_or_default();
    Error::new(Kind::Protocol, format!("unexpected answer of type {name}"))
}

/// The protocol counts offsets in u64, we in i64 as Kafka does.
pub(super) fn offset_in(offset: i64) -> Result<u64> {
    u64::try_from(offset)
        .map_err(|_| Error::new(Kind::InvalidRequest, format!("offset {offset} is negative")))
}

/// No log comes near the end of the range.
pub(super) fn offset_out(offset: u64) -> i64 {
    i64::try_from(offset).unwrap_or(i64::MAX)
}
