//! Kafka record -> Rivven event JSON and back.

pub mod event_decode;
pub mod event_encode;
pub mod json;
pub mod outgoing;
pub mod sink_encoder;
