//! Native half of rivven-kafka.
//!
//! Bytes live here: Kafka record batches, the Rivven wire, event JSON and metrics. Everything that blocks or
//! computes for long runs without the GIL; errors become the classes of `rivven_kafka.errors`.

pub mod bad;
pub mod bridge;
pub mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod kafka;
pub mod metrics;
pub mod record;
pub mod rivven;
pub mod tracker;

use pyo3::prelude::*;

/// The extension module `rivven_kafka._native`.
#[pymodule(gil_used = true)]
mod _native {
    #[pymodule_export]
    use crate::metrics::{
        KafkaSinkMetrics, KafkaSinkMetricsSnapshot, KafkaSourceMetrics, KafkaSourceMetricsSnapshot,
        PyHistogram,
    };

    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::kafka::py::{
        block_from_rows, murmur2, partition_for_key, read_headers, PyBatchBuilder, PyBatchReader, RecordBlock,
    };

    #[pymodule_export]
    use crate::bridge::bad_record::BadRecord;
    #[pymodule_export]
    use crate::bridge::event_python::encode_events;
    #[pymodule_export]
    use crate::bridge::offset_map::{OffsetMap, RawPairs};
    #[pymodule_export]
    use crate::bridge::outgoing_batch::OutgoingBatch;
    #[pymodule_export]
    use crate::bridge::position_index::PositionIndex;
    #[pymodule_export]
    use crate::bridge::produce::{all_batches_stored, produce_request};
    #[pymodule_export]
    use crate::bridge::publisher::{producer_ids, PyPublisher};
    #[pymodule_export]
    use crate::bridge::sink_encoder::SinkEncoder;
    #[pymodule_export]
    use crate::bridge::survey::Survey;
    #[pymodule_export]
    use crate::bridge::transform::python::apply_transforms;
    #[pymodule_export]
    use crate::bridge::verify::python::VerifyIndex;
    #[pymodule_export]
    use crate::bridge::verify::raw_python::{RawComparison, RawStart};
    #[pymodule_export]
    use crate::rivven::client::RivvenClient;
    #[pymodule_export]
    use crate::rivven::fetcher::PyFetcher;
    #[pymodule_export]
    use crate::rivven::security::RivvenSecurity;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
        module.add("__profile__", profile)
    }
}
