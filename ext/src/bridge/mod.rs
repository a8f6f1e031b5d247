//! Kafka record -> Rivven event JSON and back.

pub mod bad_record;
pub mod encoder;
pub mod event_decode;
pub mod event_encode;
pub mod event_position;
pub mod event_python;
pub mod fate;
pub mod json;
pub mod json_string;
pub mod offset_map;
mod offset_runs;
pub mod outgoing;
pub mod outgoing_batch;
pub mod position_index;
pub mod produce;
pub mod publisher;
pub mod sink_encoder;
pub mod survey;
pub mod transform;
pub mod verify;
pub mod via;
