//! `RawComparison`: the comparison of raw values for Python.

#![allow(clippy::doc_markdown)] // these are Python docstrings, in Google style

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;

use super::digest::hex;
use super::raw::{Begin, Raw, Wrong};
use crate::bridge::event_encode::EventOptions;
use crate::bridge::fate::Judge;
use crate::bridge::publisher::encoder_for;
use crate::error::Result;
use crate::kafka::py::RecordBlock;

/// Compares a Kafka partition with the Rivven partition that a source fills with raw values from it: key and value
/// of the n-th record that the source publishes, with those of the n-th record in Rivven.
///
/// Feed it blocks of both sides in order, whichever has fewer records waiting, and then `finish` them. `end` is the
/// Kafka offset behind the range: with `beyond`, records from there on may be in Rivven, and what is there of them is
/// compared, too.
/// `skip` is how many records of Rivven lie before the range; with None, the place is sought where its first records
/// are, and all of Rivven before it is kept until then (32 bytes each). The other options are those of the source.
#[pyclass(frozen, module = "rivven_kafka._native")]
pub struct RawComparison(Mutex<Raw>);

#[pymethods]
impl RawComparison {
    #[new]
    #[pyo3(signature = (destination, end, *, beyond=true, skip=Some(0), on_tombstone="fail", transforms="[]"))]
    fn new(
        destination: String,
        end: i64,
        beyond: bool,
        skip: Option<u64>,
        on_tombstone: &str,
        transforms: &str,
    ) -> Result<Self> {
        let options = EventOptions { include_headers: true, include_key: true };
        let encoder = encoder_for("raw", on_tombstone, transforms, options)?;
        Ok(Self(Mutex::new(Raw::new(
            Judge::new(encoder, destination),
            end,
            beyond,
            skip.map_or(Begin::Sought, Begin::At),
        ))))
    }

    /// Takes a block of Kafka.
    fn feed_kafka(&self, py: Python<'_>, block: &Bound<'_, RecordBlock>) {
        let block = &block.get().0;
        py.detach(|| self.lock().feed_kafka(block));
    }

    /// Takes a block of Rivven.
    fn feed_rivven(&self, py: Python<'_>, block: &Bound<'_, RecordBlock>) {
        let block = &block.get().0;
        py.detach(|| self.lock().feed_rivven(block));
    }

    /// Nothing more comes from Kafka.
    fn finish_kafka(&self) {
        self.lock().finish_kafka();
    }

    /// Nothing more comes from Rivven.
    fn finish_rivven(&self) {
        self.lock().finish_rivven();
    }

    /// Whether all that is to be compared is, and was equal: the rest of Rivven does not matter.
    #[getter]
    fn done(&self) -> bool {
        self.lock().done()
    }

    /// How many records of Kafka and of Rivven wait for the other side.
    fn waiting(&self) -> (usize, usize) {
        self.lock().waiting()
    }

    /// Counts in records: records_kafka, records_rivven, left_out, bad.
    fn counts(&self) -> HashMap<&'static str, u64> {
        let raw = self.lock();
        HashMap::from([
            ("records_kafka", raw.kafka.records),
            ("records_rivven", raw.rivven.records),
            ("left_out", raw.left_out),
            ("bad", raw.bad),
        ])
    }

    /// The digests of Kafka and of Rivven.
    fn digests(&self) -> (String, String) {
        let raw = self.lock();
        (hex(raw.kafka.digest), hex(raw.rivven.digest))
    }

    /// The first difference: what it is (missing, extra, doubled, swapped, altered), the Kafka offset and the Rivven
    /// offset where it is, None behind the last record. None if there is none so far.
    fn first(&self) -> Option<(&'static str, Option<i64>, Option<i64>)> {
        let first = self.lock().first?;
        let kind = match first.wrong {
            Wrong::Missing => "missing",
            Wrong::Extra => "extra",
            Wrong::Doubled => "doubled",
            Wrong::Swapped => "swapped",
            Wrong::Altered => "altered",
        };
        Some((kind, first.kafka, first.rivven))
    }
}

impl RawComparison {
    fn lock(&self) -> MutexGuard<'_, Raw> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
