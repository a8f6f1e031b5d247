//! Produce requests for Python: batches go from the encoder to the socket in one copy.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::outgoing_batch::OutgoingBatch;
use crate::kafka::produce::{all_stored, Head, Part, ProduceRequest};
use crate::kafka::writer::ProducerState;

/// A batch and where it goes: topic, partition, batch, producer id, epoch, base sequence.
type Entry = (String, i32, Py<OutgoingBatch>, i64, i16, i32);

/// A framed Produce request of version 9 with at most one batch of each partition.
#[pyfunction]
#[allow(clippy::needless_pass_by_value)] // so that Python can pass it
pub fn produce_request<'py>(
    py: Python<'py>,
    correlation_id: i32,
    client_id: Option<&str>,
    transactional_id: Option<&str>,
    acks: i16,
    timeout_ms: i32,
    batches: Vec<Entry>,
) -> PyResult<Bound<'py, PyBytes>> {
    let head = Head { correlation_id, client_id, transactional_id, acks, timeout_ms };
    let parts = batches.iter().map(|(topic, partition, batch, id, epoch, base_sequence)| Part {
        topic,
        partition: *partition,
        batch: batch.get().sealed(),
        producer: ProducerState { id: *id, epoch: *epoch, base_sequence: *base_sequence },
    });
    let request = ProduceRequest::new(head, parts);
    PyBytes::new_with(py, request.size(), |out| {
        py.detach(|| request.write_to(out));
        Ok(())
    })
}

/// The (topic, partition, base offset) of every batch that an answer to such a request names, if it says that all
/// were stored and nothing else; else None, and somebody else has to read it.
///
/// `answer` is the answer without its header.
#[pyfunction]
pub fn all_batches_stored(answer: &[u8]) -> Option<Vec<(&str, i32, i64)>> {
    let stored = all_stored(answer)?;
    Some(stored.into_iter().map(|each| (each.topic, each.partition, each.base_offset)).collect())
}
