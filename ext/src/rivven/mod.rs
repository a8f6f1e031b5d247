//! Rivven's wire: connections, publish lanes, fetching, offsets and groups.

pub mod client;
pub mod connection;
pub mod error_map;
pub mod fetcher;
pub mod link;
pub mod log_scan;
pub mod offset_set;
pub mod postcard;
pub mod publish_frame;
pub mod publisher;
pub mod retry;
pub mod scram;
pub mod security;
pub mod stop;
pub mod stream;
pub mod tls;
pub mod wire;

pub mod arguments;
#[cfg(test)]
mod mock;

use std::time::Duration;

/// How long to wait after `Response::Throttled`: what the broker asks for, but never nothing (its windows are
/// 1 s long, and a refused attempt counts in them) and never longer than a request may take.
fn throttle_pause(throttle_time_ms: u64) -> Duration {
    Duration::from_millis(throttle_time_ms.clamp(10, 30_000))
}
