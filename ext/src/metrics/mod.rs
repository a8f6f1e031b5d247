//! Lock-free counters of the source and the sink.

mod counters;
mod prometheus;
mod python;

pub use counters::{Counters, Snapshot, Spec};
pub use python::{
    KafkaSinkMetrics, KafkaSinkMetricsSnapshot, KafkaSourceMetrics, KafkaSourceMetricsSnapshot,
};
