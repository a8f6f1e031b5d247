//! `RawComparison` and `RawStart`: the comparison of raw values for Python.

#![allow(clippy::doc_markdown)] // these are Python docstrings, in Google style

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;

use super::align::Align;
use super::digest::hex;
use super::raw::{Raw, Wrong};
use super::start::Start;
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
/// `skip` is how many records of Rivven are fed that lie before the range. The other options are those of the source.
#[pyclass(frozen, module = "rivven_kafka._native")]
pub struct RawComparison(Mutex<Raw>);

#[pymethods]
impl RawComparison {
    #[new]
    #[pyo3(signature = (destination, end, *, beyond=true, skip=0, on_tombstone="fail", transforms="[]"))]
    fn new(
        destination: String,
        end: i64,
        beyond: bool,
        skip: u64,
        on_tombstone: &str,
        transforms: &str,
    ) -> Result<Self> {
        let judge = judge(destination, on_tombstone, transforms)?;
        Ok(Self(Mutex::new(Raw::new(judge, end, beyond, skip))))
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

fn judge(destination: String, on_tombstone: &str, transforms: &str) -> Result<Judge> {
    let options = EventOptions { include_headers: true, include_key: true };
    Ok(Judge::new(encoder_for("raw", on_tombstone, transforms, options, None)?, destination))
}

/// Finds where a range of a Kafka partition begins in the Rivven partition that is filled with raw values from it, if
/// it is not known how many records Rivven has from before it.
///
/// Feed it the blocks of Kafka from the beginning of the range on until it has `enough`, `finish_kafka`, then feed it those of Rivven that
/// this asks for. `end` is the Kafka offset behind the range, `committed` the one behind what Rivven has for sure. A
/// few bytes are kept for each record of Kafka that is not committed, at most 30 MB.
#[pyclass(frozen, module = "rivven_kafka._native")]
pub struct RawStart(Mutex<(Start, Option<Align>)>);

#[pymethods]
impl RawStart {
    #[new]
    #[pyo3(signature = (destination, end, committed, *, on_tombstone="fail", transforms="[]"))]
    fn new(
        destination: String,
        end: i64,
        committed: i64,
        on_tombstone: &str,
        transforms: &str,
    ) -> Result<Self> {
        let judge = judge(destination, on_tombstone, transforms)?;
        Ok(Self(Mutex::new((Start::new(judge, end, committed), None))))
    }

    /// Takes a block of Kafka.
    fn feed_kafka(&self, py: Python<'_>, block: &Bound<'_, RecordBlock>) {
        let block = &block.get().0;
        py.detach(|| self.lock().0.feed_kafka(block));
    }

    /// How many of the records fed the source publishes.
    #[getter]
    fn records(&self) -> i64 {
        self.lock().0.rest().records()
    }

    /// Whether the rest of Kafka does not matter: no more records that are not committed are looked for.
    #[getter]
    fn enough(&self) -> bool {
        self.lock().0.rest().enough()
    }

    /// Nothing more comes from Kafka; `rivven_end` is the end of the Rivven partition. Returns the Rivven offsets
    /// that matter: the first, and the one behind the last.
    fn finish_kafka(&self, rivven_end: i64) -> (i64, i64) {
        let mut inside = self.lock();
        let align = inside.0.align(rivven_end);
        let range = align.range();
        inside.1 = Some(align);
        (range.start, range.end)
    }

    /// Takes a block of Rivven.
    fn feed_rivven(&self, py: Python<'_>, block: &Bound<'_, RecordBlock>) {
        let block = &block.get().0;
        py.detach(|| {
            if let (start, Some(align)) = &mut *self.lock() {
                start.feed_rivven(align, block);
            }
        });
    }

    /// The Rivven offset of the first record of the range, or where it should be, also before the first one of all.
    /// None before `finish_kafka`.
    fn place(&self) -> Option<i64> {
        self.lock().1.as_ref().map(Align::place)
    }
}

impl RawStart {
    fn lock(&self) -> MutexGuard<'_, (Start, Option<Align>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
