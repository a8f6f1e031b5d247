//! Where a record has been: the mark by which an echo is recognised.
//!
//! A record that is copied carries the topics it has been in before the one it is in now, in their order:
//! `kafka:<cluster id>/orders,rivven:<name>/orders`. In Kafka they stand in a header, in Rivven in the metadata of
//! the event. A record is never written to a topic that its mark names: so none goes round, however many
//! connectors and clusters there are, and each topic gets it once. A record that nobody has copied has no mark, so
//! producers need not know of it.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::bridge::transform::scan::{find, string_text};
use crate::error::{Error, Kind, Result};

/// The header of a Kafka record.
pub const HEADER: &[u8] = b"rivven_kafka_via";

/// The field in the metadata of an event.
pub const FIELD: &str = "kafka_via";

/// Finds the field in any bytes.
static FIELD_IN: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(FIELD));

/// Most topics in a mark, which bounds its size.
const MOST_PLACES: usize = 16;

/// What comes before the name of a cluster.
const SIDES: [&str; 2] = ["kafka:", "rivven:"];

/// The clusters that a connector reads from and writes to.
#[derive(Debug, Clone)]
pub struct LoopProtection {
    from: String,
    to: String,
}

impl LoopProtection {
    /// Takes the names of both clusters as they stand in marks, `kafka:<id>` or `rivven:<name>`.
    pub fn new((from, to): (String, String)) -> Result<Self> {
        for cluster in [&from, &to] {
            if !is_cluster(cluster) {
                let text = format!(
                    "loop_protection: got the cluster {cluster:?}: expected kafka: or rivven:, and letters, \
                     digits, '.', '_' and '-'"
                );
                return Err(Error::new(Kind::Config, text));
            }
        }
        Ok(Self { from, to })
    }

    /// Whether a record with the mark `past` has been in `destination`.
    pub fn is_echo(&self, past: &str, destination: &str) -> bool {
        places(past).any(|place| {
            let topic = place.strip_prefix(&*self.to).and_then(|rest| rest.strip_prefix('/'));
            topic == Some(destination)
        })
    }

    /// The mark of a record that stands in `topic`, has the mark `past`, and is written to `destination`; None if
    /// it has been there. Fails with `Kind::InvalidRequest` when the mark would grow too long.
    pub fn extend<'a>(
        &'a self,
        past: Cow<'a, str>,
        topic: &'a str,
        destination: &str,
    ) -> Result<Option<Via<'a>>> {
        if self.is_echo(&past, destination) {
            return Ok(None);
        }
        let count = places(&past).count();
        if count >= MOST_PLACES {
            let text = format!(
                "the record has been in {count} topics before this one; loop_protection follows at most \
                 {MOST_PLACES}"
            );
            return Err(Error::new(Kind::InvalidRequest, text));
        }
        Ok(Some(Via { past, cluster: &self.from, topic }))
    }
}

/// A mark to be written: the topics before, and the one that the record is in.
#[derive(Debug)]
pub struct Via<'a> {
    past: Cow<'a, str>,
    cluster: &'a str,
    topic: &'a str,
}

impl Via<'_> {
    /// Its text in pieces. It needs no escapes in JSON.
    pub fn pieces(&self) -> [&[u8]; 5] {
        let comma = if self.past.is_empty() { "" } else { "," };
        [&self.past, comma, self.cluster, "/", self.topic].map(str::as_bytes)
    }
}

/// The mark in a header, None if it is another header: one that is no mark is left to whoever wrote it.
pub fn mark<'a>(name: &[u8], value: Option<&'a [u8]>) -> Option<&'a str> {
    if name != HEADER {
        return None;
    }
    std::str::from_utf8(value?).ok().filter(|text| is_mark(text))
}

/// Makes one mark out of several: a tool that copies headers may have added one behind another.
pub fn append(past: &mut String, more: &str) {
    if !past.is_empty() {
        past.push(',');
    }
    past.push_str(more);
}

/// The mark of an event, found without decoding it; empty if `value` is no event or has none.
pub fn mark_of_event(value: &[u8]) -> Cow<'_, str> {
    // Most values of programs are not read to their ends.
    if value.first() != Some(&b'{') || FIELD_IN.find(value).is_none() {
        return Cow::Borrowed("");
    }
    let text = find(value, ["metadata", FIELD].into_iter()).and_then(string_text);
    text.filter(|text| is_mark(text)).unwrap_or_default()
}

/// Whether it is a mark, of any length.
pub fn is_mark(text: &str) -> bool {
    !text.is_empty()
        && places(text).all(|place| {
            place.split_once('/').is_some_and(|(cluster, topic)| is_cluster(cluster) && is_name(topic))
        })
}

fn places(mark: &str) -> impl Iterator<Item = &str> {
    mark.split(',').filter(move |_| !mark.is_empty())
}

fn is_cluster(text: &str) -> bool {
    SIDES.iter().any(|side| text.strip_prefix(side).is_some_and(is_name))
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

#[cfg(test)]
#[path = "via_tests.rs"]
mod tests;
