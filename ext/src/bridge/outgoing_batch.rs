//! A finished Kafka record batch, and the Rivven records that it is made of.

use std::ops::Range;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::bad::Bad;
use crate::bridge::bad_record::BadRecord;
use crate::error::{Error, Kind};
use crate::kafka::py::sealed_bytes;
use crate::kafka::writer::SealedBatch;
use crate::record::Block;
use crate::tracker::Ticket;

/// A block, and which of its records Kafka has stored.
pub(super) struct Origin {
    pub(super) block: Block,
    pub(super) ticket: Arc<Ticket>,
}

/// Which records of which blocks a batch holds, in the order of the batch.
#[derive(Default)]
pub(super) struct Shares(Vec<(Arc<Origin>, Range<usize>)>);

impl Shares {
    pub(super) fn push(&mut self, origin: &Arc<Origin>, records: Range<usize>) {
        match self.0.last_mut() {
            Some((last, range)) if Arc::ptr_eq(last, origin) && range.end == records.start => {
                range.end = records.end;
            }
            _ if records.is_empty() => {}
            _ => self.0.push((Arc::clone(origin), records)),
        }
    }

    /// The block of the first record, and its index there. A batch has one.
    fn first(&self) -> (&Origin, usize) {
        let (origin, records) = &self.0[0];
        (origin, records.start)
    }

    fn acknowledge(&self) {
        for (origin, records) in &self.0 {
            origin.ticket.deliver(records.clone());
        }
    }

    fn split(&self, at: usize) -> (Shares, Shares) {
        let (mut head, mut tail) = (Shares::default(), Shares::default());
        let mut wanted = at;
        for (origin, records) in &self.0 {
            let middle = records.start + wanted.min(records.len());
            wanted -= middle - records.start;
            head.push(origin, records.start..middle);
            tail.push(origin, middle..records.end);
        }
        (head, tail)
    }
}

/// A finished record batch of one Kafka partition.
#[pyclass(frozen, module = "rivven_kafka._native")]
pub struct OutgoingBatch {
    /// Kafka partition.
    #[pyo3(get)]
    partition: usize,
    sealed: SealedBatch,
    shares: Shares,
}

impl OutgoingBatch {
    /// The records of `shares`, for a Kafka partition.
    pub(super) fn new(partition: usize, sealed: SealedBatch, shares: Shares) -> Self {
        Self { partition, sealed, shares }
    }

    /// Its records.
    pub fn sealed(&self) -> &SealedBatch {
        &self.sealed
    }
}

#[pymethods]
impl OutgoingBatch {
    /// Records in the batch.
    #[getter]
    fn record_count(&self) -> usize {
        self.sealed.records()
    }

    /// Bytes of the batch on the wire.
    #[getter]
    fn size_bytes(&self) -> usize {
        self.sealed.len()
    }

    /// Bytes of the batch before compression.
    #[getter]
    fn uncompressed_bytes(&self) -> usize {
        self.sealed.uncompressed_len()
    }

    /// Latest timestamp of its records (ms).
    #[getter]
    fn max_timestamp(&self) -> i64 {
        self.sealed.max_timestamp()
    }

    /// The batch with the producer's state and its checksum.
    fn build<'py>(
        &self,
        py: Python<'py>,
        producer_id: i64,
        producer_epoch: i16,
        base_sequence: i32,
        transactional: bool,
    ) -> PyResult<Bound<'py, PyBytes>> {
        sealed_bytes(py, &self.sealed, producer_id, producer_epoch, base_sequence, transactional)
    }

    /// The batch in two halves, for a broker that found it too large.
    fn split(&self, py: Python<'_>) -> PyResult<(OutgoingBatch, OutgoingBatch)> {
        let (first, second) = py.detach(|| self.sealed.split())?;
        let (head, tail) = self.shares.split(first.records());
        let half = |sealed, shares| Self::new(self.partition, sealed, shares);
        Ok((half(first, head), half(second, tail)))
    }

    /// Where the first record was read: topic, partition, offset.
    #[getter]
    fn first_record(&self) -> (&str, i32, i64) {
        let (origin, index) = self.shares.first();
        (&origin.block.topic, origin.block.partition, origin.block.records[index].offset)
    }

    /// The record of a batch that has only one, when Kafka will never take it; the position stays before it until
    /// it is settled. To be called once, and instead of `acknowledge`.
    fn refuse(&self, reason: String) -> PyResult<BadRecord> {
        if self.sealed.records() != 1 {
            let message = format!("a batch of {} records is not one bad record", self.sealed.records());
            return Err(Error::new(Kind::InvalidRequest, message).into());
        }
        let (origin, index) = self.shares.first();
        let error = Error::new(Kind::RecordTooLarge, reason);
        Ok(Bad::hold(&origin.block, index, &origin.ticket, error).into())
    }

    /// Kafka has stored the batch.
    fn acknowledge(&self) {
        self.shares.acknowledge();
    }
}
