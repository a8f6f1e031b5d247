//! Where in Kafka the record of an event stood, without decoding the event.

use std::borrow::Cow;

use super::transform::scan::{find, members, string_text};

/// A Kafka record, as an event names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPosition<'a> {
    /// Id of the topic in base64url, which tells a topic from a later one of its name; older events have none.
    pub topic_id: Option<&'a str>,
    /// Topic.
    pub topic: Cow<'a, str>,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
}

/// Characters of a topic id: 16 bytes in base64url without padding.
const TOPIC_ID_LEN: usize = 22;

/// The position that `value` holds as an event, as `encode_event` wrote it or a transform left it: `metadata.position`
/// and `metadata.kafka_topic_id`. None if it is no such event. What else is in it does not matter.
pub fn event_position(value: &[u8]) -> Option<EventPosition<'_>> {
    let metadata = find(value, ["metadata"].into_iter())?;
    let (mut position, mut topic_id) = (None, None);
    for member in members(metadata, 0) {
        if member.is(metadata, "position") {
            position = Some(&metadata[member.value]);
        } else if member.is(metadata, "kafka_topic_id") {
            topic_id = Some(&metadata[member.value]);
        }
    }
    let (topic, partition, offset) = parse(string_text(position?)?)?;
    Some(EventPosition { topic_id: topic_id.and_then(parse_id), topic, partition, offset })
}

/// `topic:partition:offset`.
pub(super) fn parse(position: Cow<'_, str>) -> Option<(Cow<'_, str>, i32, i64)> {
    let (rest, offset) = position.rsplit_once(':')?;
    let (topic, partition) = rest.rsplit_once(':')?;
    if topic.is_empty() || topic.contains(':') {
        return None;
    }
    let (partition, offset, len) = (number(partition)?.try_into().ok()?, number(offset)?, topic.len());
    let topic = match position {
        Cow::Borrowed(text) => Cow::Borrowed(&text[..len]),
        Cow::Owned(mut text) => {
            text.truncate(len);
            Cow::Owned(text)
        }
    };
    Some((topic, partition, offset))
}

/// Digits only: `parse` would take a sign.
fn number(text: &str) -> Option<i64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

pub(super) fn parse_id(json: &[u8]) -> Option<&str> {
    let Cow::Borrowed(id) = string_text(json)? else { return None };
    let base64url = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (id.len() == TOPIC_ID_LEN && id.bytes().all(base64url)).then_some(id)
}

#[cfg(test)]
#[path = "event_position_tests.rs"]
mod tests;
