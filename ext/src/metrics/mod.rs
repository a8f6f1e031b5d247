//! Lock-free counters of the source and the sink.

mod counters;
mod histogram;
mod prometheus;
mod python;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use python::read_back;

pub use counters::{Counters, Snapshot, Spec};
pub use histogram::{Histogram, BATCH_RECORDS, LATENCY_MS};
pub use python::{
    KafkaSinkMetrics, KafkaSinkMetricsSnapshot, KafkaSourceMetrics, KafkaSourceMetricsSnapshot, PyHistogram,
};
