//! From Rivven's error strings to error kinds.
//!
//! `Response::Error` carries a text and nothing else. Most texts begin with a name in capitals and a colon;
//! a few of the oldest do not. Source: `rivvend` 0.0.22, `handler/*.rs`, `auth_handler.rs`, `framing.rs`,
//! `cluster_server.rs`; `rivven-core` 0.0.22, `error.rs`.

use crate::error::{Error, Kind};

/// Prefix of the text, the code it is reported under, and its kind. The first match counts.
const PREFIXES: &[(&str, &str, Kind)] = &[
    ("BUFFER_FULL", "BUFFER_FULL", Kind::RetriableBroker),
    ("WAL_ERROR:", "WAL_ERROR", Kind::Storage),
    ("I/O error:", "IO_ERROR", Kind::Storage),
    ("Serialization error:", "SERIALIZATION_ERROR", Kind::Storage),
    ("INVALID_TOPIC_NAME:", "INVALID_TOPIC_NAME", Kind::InvalidRequest),
    ("INVALID_PARTITION:", "INVALID_PARTITION", Kind::InvalidRequest),
    ("INVALID_PARTITION_COUNT:", "INVALID_PARTITION_COUNT", Kind::InvalidRequest),
    ("INVALID_REQUEST:", "INVALID_REQUEST", Kind::InvalidRequest),
    ("MESSAGE_TOO_LARGE:", "MESSAGE_TOO_LARGE", Kind::InvalidRequest),
    ("OUT_OF_ORDER_SEQUENCE:", "OUT_OF_ORDER_SEQUENCE", Kind::OutOfOrderSequence),
    ("PRODUCER_FENCED:", "PRODUCER_FENCED", Kind::Fenced),
    ("UNKNOWN_PRODUCER_ID:", "UNKNOWN_PRODUCER_ID", Kind::UnknownProducer),
    ("FENCED_LEADER_EPOCH:", "FENCED_LEADER_EPOCH", Kind::NotLeader),
    ("NOT_LEADER_FOR_PARTITION:", "NOT_LEADER_FOR_PARTITION", Kind::NotLeader),
    ("UNKNOWN_TOPIC_OR_PARTITION:", "UNKNOWN_TOPIC_OR_PARTITION", Kind::UnknownTopic),
    ("UNKNOWN_TOPIC:", "UNKNOWN_TOPIC", Kind::UnknownTopic),
    ("UNKNOWN_PARTITION:", "UNKNOWN_PARTITION", Kind::UnknownTopic),
    ("Topic not found:", "TOPIC_NOT_FOUND", Kind::UnknownTopic),
    ("Partition not found:", "PARTITION_NOT_FOUND", Kind::UnknownTopic),
    ("INVALID_CONSUMER_GROUP:", "INVALID_CONSUMER_GROUP", Kind::InvalidRequest),
    ("INVALID_GROUP_ID:", "INVALID_GROUP_ID", Kind::InvalidRequest),
    ("OFFSET_OUT_OF_RANGE:", "OFFSET_OUT_OF_RANGE", Kind::OffsetOutOfRange),
    ("CONCURRENT_TRANSACTIONS:", "CONCURRENT_TRANSACTIONS", Kind::RetriableBroker),
    ("TRANSACTION_ERROR: TooManyTransactions", "TRANSACTION_ERROR", Kind::RetriableBroker),
    ("TRANSACTION_ERROR:", "TRANSACTION_ERROR", Kind::Transaction),
    ("TRANSACTION_TIMED_OUT", "TRANSACTION_TIMED_OUT", Kind::Transaction),
    ("INVALID_TXN_ID:", "INVALID_TXN_ID", Kind::Transaction),
    ("INVALID_TXN_STATE:", "INVALID_TXN_STATE", Kind::Transaction),
    ("PARTITION_NOT_IN_TXN:", "PARTITION_NOT_IN_TXN", Kind::Transaction),
    ("COMMIT_FAILED:", "COMMIT_FAILED", Kind::Transaction),
    ("ABORT_FAILED:", "ABORT_FAILED", Kind::Transaction),
    ("RATE_LIMIT_EXCEEDED:", "RATE_LIMIT_EXCEEDED", Kind::Throttled),
    ("INTERNAL_ERROR:", "INTERNAL_ERROR", Kind::RetriableBroker),
    ("AUTHENTICATION_REQUIRED:", "AUTHENTICATION_REQUIRED", Kind::Authentication),
    ("SESSION_EXPIRED:", "SESSION_EXPIRED", Kind::Authentication),
    ("INVALID_SESSION:", "INVALID_SESSION", Kind::Authentication),
    ("AUTHENTICATION_FAILED:", "AUTHENTICATION_FAILED", Kind::Authentication),
    ("SCRAM_FAILED:", "SCRAM_FAILED", Kind::Authentication),
    ("UNSUPPORTED_MECHANISM:", "UNSUPPORTED_MECHANISM", Kind::Authentication),
    ("PLAINTEXT_AUTH_REQUIRES_TLS:", "PLAINTEXT_AUTH_REQUIRES_TLS", Kind::Authentication),
    ("SASL/PLAIN requires a TLS connection", "PLAINTEXT_AUTH_REQUIRES_TLS", Kind::Authentication),
    ("UNSUPPORTED:", "UNSUPPORTED", Kind::Authentication),
    ("AUTHORIZATION_FAILED:", "AUTHORIZATION_FAILED", Kind::Authorization),
];

/// What the group coordinator answers; the reason after the colon decides what the member does, so it is the
/// code, and the operation is the code only where the reason is not known.
const GROUP_OPERATIONS: &[&str] =
    &["JOIN_GROUP_FAILED", "SYNC_GROUP_FAILED", "HEARTBEAT_FAILED", "LEAVE_GROUP_FAILED"];

/// Reasons of the group coordinator; each is settled by joining again.
const GROUP_REASONS: &[&str] = &[
    "UNKNOWN_GROUP",
    "UNKNOWN_MEMBER_ID",
    "ILLEGAL_GENERATION",
    "REBALANCE_TIMEOUT",
    "REBALANCE_IN_PROGRESS",
    "INCONSISTENT_GROUP_PROTOCOL",
];

/// Texts that begin with a name of the user's choice: start, end, code, kind.
const SANDWICHES: &[(&str, &str, &str, Kind)] = &[
    ("Topic '", "' already exists", "TOPIC_ALREADY_EXISTS", Kind::TopicExists),
    ("Topic '", "' not found", "TOPIC_NOT_FOUND", Kind::UnknownTopic),
    ("Partition ", " not found for topic", "PARTITION_NOT_FOUND", Kind::UnknownTopic),
    ("Consumer group '", "' not found", "GROUP_NOT_FOUND", Kind::UnknownTopic),
];

/// Code of the answer to a request without a login.
pub const LOGIN_WANTED: &str = "AUTHENTICATION_REQUIRED";

/// Codes of answers to requests outside of a session; nothing else was done with those.
const SESSION_OVER: &[&str] = &[LOGIN_WANTED, "SESSION_EXPIRED", "INVALID_SESSION"];

/// Code of the answer to a read whose result does not fit into one response.
const RESPONSE_TOO_LARGE: &str = "INTERNAL_ERROR: response send failed";

/// Characters of a broker's text that are told.
const MOST_TOLD: usize = 1000;

/// What is longer than this is no name.
const LONGEST_NAME: usize = 64;

/// The error that the text of a `Response::Error` stands for.
pub fn from_message(message: &str) -> Error {
    let (kind, code) = classify(message);
    let error = Error::new(kind, told(message));
    if code.is_empty() {
        error
    } else {
        error.with_code(code)
    }
}

/// A broker's text in one line that is not too long: it goes into logs.
fn told(message: &str) -> String {
    let mut text = String::new();
    for char in message.chars().take(MOST_TOLD) {
        if char.is_control() {
            text.extend(char.escape_default());
        } else {
            text.push(char);
        }
    }
    if message.chars().nth(MOST_TOLD).is_some() {
        return format!("{text}... ({} bytes)", message.len());
    }
    text
}

/// Whether a read failed because its answer would exceed 10 MiB: the same offset works with fewer messages.
pub fn is_response_too_large(error: &Error) -> bool {
    error.message.starts_with(RESPONSE_TOO_LARGE)
}

/// Whether the request was refused because the connection has no session, or none any more.
pub fn session_is_over(error: &Error) -> bool {
    error.code.as_deref().is_some_and(|code| SESSION_OVER.contains(&code))
}

/// Whether the broker closes the connection after this answer (`framing.rs`, `cluster_server.rs`).
pub fn ends_connection(error: &Error) -> bool {
    matches!(error.code.as_deref(), Some("RATE_LIMIT_EXCEEDED" | "MESSAGE_TOO_LARGE"))
}

fn classify(message: &str) -> (Kind, &str) {
    if let Some((_, code, kind)) = PREFIXES.iter().find(|(prefix, _, _)| message.starts_with(prefix)) {
        return (*kind, code);
    }
    if let Some(operation) = GROUP_OPERATIONS.iter().find(|prefix| message.starts_with(*prefix)) {
        let reason = GROUP_REASONS.iter().find(|reason| message.contains(*reason));
        return (Kind::RebalanceNeeded, reason.unwrap_or(operation));
    }
    let sandwich =
        SANDWICHES.iter().find(|(start, rest, _, _)| message.starts_with(start) && message.contains(rest));
    match sandwich {
        Some((_, _, code, kind)) => (*kind, code),
        None => (Kind::Broker, capital_prefix(message)),
    }
}

/// The name in capitals before the first colon, of errors that are not in the table.
fn capital_prefix(message: &str) -> &str {
    let name = message.split(':').next().unwrap_or_default();
    let capital = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    if name.len() < message.len().min(LONGEST_NAME) && name.bytes().all(capital) {
        name
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_and_one_of_several_lines_becomes_one() {
        let error = from_message(&format!("I/O error: {}", "\u{e4}".repeat(1 << 20)));
        assert_eq!(error.kind, Kind::Storage);
        assert!(error.message.len() < 2100 && error.message.ends_with("... (2097163 bytes)"));
        let error = from_message("ODD: one\n2026-01-01 ERROR forged\x1b[2J");
        assert_eq!(error.message, "ODD: one\\n2026-01-01 ERROR forged\\u{1b}[2J");
        assert_eq!(from_message(&format!("{}: x", "A".repeat(1 << 20))).code, None);
    }

    #[test]
    fn every_known_text_has_its_kind() {
        let cases: &[(&str, Kind, Option<&str>)] = &[
            ("BUFFER_FULL", Kind::RetriableBroker, Some("BUFFER_FULL")),
            ("WAL_ERROR: disk", Kind::Storage, Some("WAL_ERROR")),
            ("I/O error: No space left on device", Kind::Storage, Some("IO_ERROR")),
            ("INVALID_TOPIC_NAME: bad", Kind::InvalidRequest, Some("INVALID_TOPIC_NAME")),
            ("INVALID_PARTITION_COUNT: 0", Kind::InvalidRequest, Some("INVALID_PARTITION_COUNT")),
            (
                "OUT_OF_ORDER_SEQUENCE: expected 3, got 5",
                Kind::OutOfOrderSequence,
                Some("OUT_OF_ORDER_SEQUENCE"),
            ),
            ("PRODUCER_FENCED: epoch", Kind::Fenced, Some("PRODUCER_FENCED")),
            ("UNKNOWN_PRODUCER_ID: 4", Kind::UnknownProducer, Some("UNKNOWN_PRODUCER_ID")),
            ("NOT_LEADER_FOR_PARTITION: x", Kind::NotLeader, Some("NOT_LEADER_FOR_PARTITION")),
            ("Topic not found: x", Kind::UnknownTopic, Some("TOPIC_NOT_FOUND")),
            ("Partition 9 not found for topic 'x'", Kind::UnknownTopic, Some("PARTITION_NOT_FOUND")),
            ("Topic 'x' already exists", Kind::TopicExists, Some("TOPIC_ALREADY_EXISTS")),
            ("Consumer group 'x' not found", Kind::UnknownTopic, Some("GROUP_NOT_FOUND")),
            ("OFFSET_OUT_OF_RANGE: 7 > 5", Kind::OffsetOutOfRange, Some("OFFSET_OUT_OF_RANGE")),
            (
                "HEARTBEAT_FAILED: ILLEGAL_GENERATION: expected 2, got 1",
                Kind::RebalanceNeeded,
                Some("ILLEGAL_GENERATION"),
            ),
            ("SYNC_GROUP_FAILED: odd", Kind::RebalanceNeeded, Some("SYNC_GROUP_FAILED")),
            ("CONCURRENT_TRANSACTIONS: x", Kind::RetriableBroker, Some("CONCURRENT_TRANSACTIONS")),
            ("TRANSACTION_ERROR: TooManyTransactions", Kind::RetriableBroker, Some("TRANSACTION_ERROR")),
            ("TRANSACTION_ERROR: other", Kind::Transaction, Some("TRANSACTION_ERROR")),
            ("RATE_LIMIT_EXCEEDED: slow down", Kind::Throttled, Some("RATE_LIMIT_EXCEEDED")),
            ("AUTHENTICATION_REQUIRED: log in", Kind::Authentication, Some("AUTHENTICATION_REQUIRED")),
            ("AUTHORIZATION_FAILED: no", Kind::Authorization, Some("AUTHORIZATION_FAILED")),
            ("NEW_IN_THE_NEXT_VERSION: x", Kind::Broker, Some("NEW_IN_THE_NEXT_VERSION")),
            ("something else: entirely", Kind::Broker, None),
            ("", Kind::Broker, None),
        ];
        for (message, kind, code) in cases {
            let error = from_message(message);
            assert_eq!((error.kind, error.code.as_deref()), (*kind, *code), "{message}");
            assert_eq!(error.message, *message);
        }
    }

    #[test]
    fn every_prefix_is_reachable() {
        for (prefix, code, kind) in PREFIXES {
            let error = from_message(&format!("{prefix} x"));
            assert_eq!((error.kind, error.code.as_deref()), (*kind, Some(*code)), "{prefix}");
        }
    }

    #[test]
    fn a_response_that_does_not_fit_is_recognised() {
        assert!(is_response_too_large(&from_message("INTERNAL_ERROR: response send failed")));
        assert!(!is_response_too_large(&from_message("INTERNAL_ERROR: other")));
    }
}
