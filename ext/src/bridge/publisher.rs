//! `Publisher`: lanes for Python.

use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::bad::OnBad;
use crate::bridge::bad_record::BadRecord;
use crate::bridge::encoder::{
    EventEncoder, OnTombstone, RawEncoder, TransformedEventEncoder, TransformedRawEncoder,
};
use crate::bridge::event_encode::EventOptions;
use crate::bridge::transform::Transforms;
use crate::bridge::via::LoopProtection;
use crate::error::{Error, Kind, Result};
use crate::kafka::py::RecordBlock;
use crate::metrics::PyHistogram;
use crate::rivven::arguments::{self, timeout, Arguments};
use crate::rivven::publisher::{
    producer_id, Partitioning, Publisher, PublisherConfig, Recognition, ValueEncoder, LARGEST_REQUEST,
};
use crate::rivven::retry::Backoff;
use crate::rivven::security::RivvenSecurity;

/// Source topic, partition, position, anchors.
type Preparation = (String, i32, i64, Option<Vec<(String, u32, i64)>>);

/// Anchors, and whether all requests are settled.
type PyAnchors = (Vec<(String, u32, i64)>, bool);

/// The encoder of a value format.
pub(super) fn encoder_for(
    value_format: &str,
    on_tombstone: &str,
    transforms: &str,
    options: EventOptions,
    loop_protection: Option<(String, String)>,
) -> Result<Arc<dyn ValueEncoder>> {
    let transforms = Transforms::for_format(value_format, transforms)?;
    if value_format == "event" {
        let protection = loop_protection.map(LoopProtection::new).transpose()?;
        let plain = EventEncoder { options, protection };
        return Ok(if transforms.is_empty() {
            Arc::new(plain)
        } else {
            Arc::new(TransformedEventEncoder(plain, transforms))
        });
    }
    if loop_protection.is_some() {
        let text = "loop_protection: got value_format raw, which has no place for a mark: expected event";
        return Err(Error::new(Kind::Config, text));
    }
    let plain = RawEncoder(OnTombstone::from_name(on_tombstone)?);
    Ok(if transforms.is_empty() {
        Arc::new(plain)
    } else {
        Arc::new(TransformedRawEncoder(plain, transforms))
    })
}

/// The producer ids that a publisher may have used to write to `(topic, partition)` places: it is known by its
/// `identity` and had at most `connections`.
#[pyfunction]
pub fn producer_ids(identity: u64, places: Vec<(String, u32)>, connections: usize) -> Vec<u64> {
    let each = |(topic, partition): &(String, u32)| {
        let (topic, partition) = (topic.clone(), *partition);
        (0..connections).map(move |number| producer_id(identity, &topic, partition, number))
    };
    places.iter().flat_map(each).collect()
}

fn partitioning_for(name: &str) -> Result<Partitioning> {
    match name {
        "preserve" => Ok(Partitioning::Preserve),
        "key" => Ok(Partitioning::Key),
        other => Err(Error::new(Kind::Config, format!("partitioning {other:?} is neither preserve nor key"))),
    }
}

/// Publishes record blocks to Rivven topics over many connections, at least once.
///
/// `add_route` tells where the blocks of a source topic go; all routes share the connections. Records of one
/// source partition with the same key keep their order (with `lanes_per_partition` of 1: all records do). The
/// first error that retries cannot settle ends it: every later call raises that error, and nothing more is
/// acknowledged.
///
/// `on_bad` is for records that cannot be encoded or are too large: with "fail" they end it, with "skip" they
/// count as done, with "hold" their position stays before them until they are settled. `take_bad` lists them.
///
/// With `loop_protection`, the clusters (`kafka:<id>`, `rivven:<name>`) that it reads from and writes to, events tell
/// where their record has been, and a record that has been in its destination counts as done.
#[pyclass(frozen, name = "Publisher", module = "rivven_kafka._native")]
pub struct PyPublisher(Publisher);

#[pymethods]
impl PyPublisher {
    #[new]
    #[pyo3(signature = (servers, *, value_format="event", on_tombstone="fail", transforms="[]",
        include_headers=true, include_key=true,
        partitioning="preserve", connections=64, max_batch_records=200,
        max_request_bytes=LARGEST_REQUEST, on_bad="fail", exactly_once=false, check_log=true, client_id="rivven-kafka".to_owned(),
        security=None, connect_timeout_ms=10_000,
        request_timeout_ms=30_000, retry_initial_ms=100, retry_max_ms=30_000, retry_multiplier=2.0,
        max_retries=10, latencies=None, loop_protection=None))]
    #[allow(clippy::too_many_arguments, clippy::fn_params_excessive_bools)] // keyword arguments in Python
    fn new(
        py: Python<'_>,
        servers: Vec<String>,
        value_format: &str,
        on_tombstone: &str,
        transforms: &str,
        include_headers: bool,
        include_key: bool,
        partitioning: &str,
        connections: usize,
        max_batch_records: usize,
        max_request_bytes: usize,
        on_bad: &str,
        exactly_once: bool,
        check_log: bool,
        client_id: String,
        security: Option<Bound<'_, RivvenSecurity>>,
        connect_timeout_ms: u64,
        request_timeout_ms: u64,
        retry_initial_ms: u64,
        retry_max_ms: u64,
        retry_multiplier: f64,
        max_retries: u32,
        latencies: Option<Bound<'_, PyHistogram>>,
        loop_protection: Option<(String, String)>,
    ) -> Result<Self> {
        let backoff = Backoff {
            initial_ms: retry_initial_ms,
            max_ms: retry_max_ms,
            multiplier: retry_multiplier,
            max_retries,
        };
        let security = arguments::security(security);
        let arguments =
            Arguments { servers, security, client_id, connect_timeout_ms, request_timeout_ms, backoff };
        let config = PublisherConfig {
            link: arguments.check()?,
            partitioning: partitioning_for(partitioning)?,
            connections,
            max_batch_records,
            max_request_bytes,
            on_bad: OnBad::from_name(on_bad)?,
            check_log,
            ages: latencies.map(|latencies| Arc::clone(&latencies.get().0)),
            recognition: exactly_once.then_some(if value_format == "event" {
                Recognition::Position
            } else {
                Recognition::Order
            }),
        };
        let options = EventOptions { include_headers, include_key };
        let encoder = encoder_for(value_format, on_tombstone, transforms, options, loop_protection)?;
        py.detach(|| Publisher::new(config, encoder)).map(Self)
    }

    /// Sends blocks of `source_topic` to the first `partitions` partitions of the Rivven topic `topic`, from now
    /// on; also while it runs. The topic must exist with that many. Called again for the same two topics it may
    /// add partitions.
    ///
    /// Source topics may share a Rivven topic; they share its lanes, of which there are as many as its first
    /// route asks for, and no more in all than `connections`.
    ///
    /// Raises:
    ///     ConfigError: The source topic has another destination; or one lane is asked for, which keeps the order
    ///         of a partition, and the Rivven topic has several.
    ///     ConnectError: No server can be reached.
    ///     InvalidRequestError: The Rivven topic has too few partitions.
    ///     UnknownTopicError: There is no such Rivven topic.
    #[pyo3(signature = (source_topic, topic, partitions, lanes_per_partition=1, topic_id=None))]
    #[allow(clippy::doc_markdown)] // read as plain text by help()
    fn add_route(
        &self,
        py: Python<'_>,
        source_topic: &str,
        topic: &str,
        partitions: u32,
        lanes_per_partition: usize,
        topic_id: Option<&str>,
    ) -> Result<()> {
        py.detach(|| self.0.add_route(source_topic, topic, partitions, lanes_per_partition, topic_id))
    }

    /// Finds out which records of source partitions Rivven has already; they are not published again. For a
    /// publisher with `exactly_once`, before the first block of a partition is submitted.
    ///
    /// `partitions` are `(source topic, partition, committed position, anchors)`: the anchors that were committed
    /// with the position, as `(Rivven topic, partition, offset)`, or None if none were. The logs are read from the
    /// anchors to their ends; without anchors, from their beginnings (in raw format, not at all: what is there
    /// counts as somebody else's). With `unsettled`, requests of an earlier publisher may be under way, and are
    /// waited for, a second at least: shut them out before (`fence_writers`).
    ///
    /// Returns how many records were read, and how many of them are at or beyond the positions.
    ///
    /// Raises:
    ///     ForeignWriterError: Later on, in raw format: somebody else has written to the Rivven partition.
    ///     LogDamagedError: A log does not hold what it should.
    #[pyo3(signature = (partitions, unsettled))]
    #[allow(clippy::doc_markdown)] // read as plain text by help()
    fn prepare(&self, py: Python<'_>, partitions: Vec<Preparation>, unsettled: bool) -> Result<(u64, u64)> {
        let work = partitions.into_iter().map(|(topic, partition, position, anchors)| {
            let shared =
                |(topic, partition, offset): (String, u32, i64)| (Arc::from(topic), partition, offset);
            (topic, partition, position, anchors.map(|all| all.into_iter().map(shared).collect()))
        });
        let work = work.collect();
        let prepared = py.detach(|| self.0.prepare(work, unsettled))?;
        Ok((prepared.read, prepared.found))
    }

    /// What to commit beside a position, for a publisher with `exactly_once`: the anchors `(Rivven topic,
    /// partition, lowest offset at which a record lies, or will, that the position does not cover)`, and whether
    /// all requests are settled. None for a partition that is not prepared.
    fn anchors(&self, topic: &str, partition: i32, position: i64) -> Result<Option<PyAnchors>> {
        let Some((anchors, settled)) = self.0.anchors(topic, partition, position)? else { return Ok(None) };
        let anchors = anchors.into_iter().map(|(topic, partition, at)| (topic.to_string(), partition, at));
        Ok(Some((anchors.collect(), settled)))
    }

    /// Lets a publisher with `exactly_once` send for `time_ms` from now on; it waits without.
    fn extend_lease(&self, time_ms: u64) -> Result<()> {
        self.0.extend_lease(Duration::from_millis(time_ms))
    }

    /// The number that the producer ids of a publisher with `exactly_once` are made of.
    fn identity(&self) -> Result<u64> {
        self.0.identity()
    }

    /// Goes on under other producer ids, as its own may have been shut out by another process.
    fn renew_identity(&self) -> Result<()> {
        self.0.renew_identity()
    }

    /// Takes a block, which must follow the one before it of its source partition; its topic needs a route. Does
    /// not wait: keep `in_flight_bytes` within a budget.
    fn submit(&self, py: Python<'_>, block: &Bound<'_, RecordBlock>) -> Result<()> {
        let block = block.get().0.clone();
        py.detach(|| self.0.submit(block))
    }

    /// Positions that moved since the last call: `(source topic, partition, next offset to read)`. Everything
    /// before a position is stored by Rivven.
    fn take_positions(&self) -> Vec<(String, i32, i64)> {
        let moved = self.0.positions();
        moved.into_iter().map(|(topic, partition, offset)| (topic.to_string(), partition, offset)).collect()
    }

    /// What the timestamps of each source partition tell of its lag: `(topic, partition, of the first record that
    /// Rivven has not stored, of the last one before it)` (ms); None for a record that was not read, or has none.
    fn times(&self) -> Vec<(String, i32, Option<i64>, Option<i64>)> {
        let times = self.0.times().into_iter();
        times
            .map(|(topic, partition, oldest, newest)| (topic.to_string(), partition, oldest, newest))
            .collect()
    }

    /// Sends nothing more of a source partition. What is on the wire is still acknowledged and still moves its
    /// position; wait until `in_flight_records` of it is 0 for the last of that.
    fn cancel(&self, topic: &str, partition: i32) {
        self.0.cancel(topic, partition);
    }

    /// `cancel` for all partitions.
    fn cancel_all(&self) {
        self.0.cancel_all();
    }

    /// Gives a source partition up: records that are not on the wire yet are not sent, and its position is not
    /// reported any more.
    fn forget(&self, topic: &str, partition: i32) {
        self.0.forget(topic, partition);
    }

    /// Bytes of the blocks that are not acknowledged in full, because of records that are held for instance.
    fn in_flight_bytes(&self) -> usize {
        self.0.in_flight_bytes()
    }

    /// Records that are not acknowledged, of one source partition or of all. Those that are held count until
    /// their partition is cancelled: nobody waits for them then.
    #[pyo3(signature = (topic=None, partition=None))]
    fn in_flight_records(&self, topic: Option<&str>, partition: Option<i32>) -> Result<usize> {
        match (topic, partition) {
            (Some(topic), Some(partition)) => Ok(self.0.in_flight_records(Some((topic, partition)))),
            (None, None) => Ok(self.0.in_flight_records(None)),
            _ => Err(Error::new(Kind::Config, "give topic and partition, or neither")),
        }
    }

    /// Waits until a block is acknowledged in full or `timeout_ms` has passed. Raises the error that ended the
    /// publisher.
    fn wait(&self, py: Python<'_>, timeout_ms: u64) -> Result<()> {
        py.detach(|| self.0.wait(timeout(timeout_ms)));
        self.check()
    }

    /// Raises the error that ended the publisher, if one did.
    fn check(&self) -> Result<()> {
        self.0.error().map_or(Ok(()), Err)
    }

    /// The error that ended the publisher, None while it works.
    fn error(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.0.error().map(|error| PyErr::from(error).into_value(py).into_any())
    }

    /// Records that were left out since the last call: all that are held; of very many skipped ones, the first.
    fn take_bad(&self) -> Vec<BadRecord> {
        self.0.take_bad().into_iter().map(BadRecord::from).collect()
    }

    /// How many skipped records are missing in the lists since the last call: `(cause, count)`.
    fn take_bad_unlisted(&self) -> Vec<(&'static str, u64)> {
        self.0.take_bad_unlisted()
    }

    /// Counters: records_published, records_skipped, records_filtered (of those, by a filter), echoes_refused, records_bad (skipped or held), records_suppressed (the
    /// destination has them), bytes_published, requests, retries, throttled_ms, connected,
    /// request_us_total, request_us_last; and in_flight_bytes, in_flight_records.
    #[allow(clippy::doc_markdown)] // read as plain text by help()
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = self.0.stats();
        let dict = PyDict::new(py);
        for (name, counter) in [
            ("records_published", &stats.records_published),
            ("records_skipped", &stats.records_skipped),
            ("records_filtered", &stats.records_filtered),
            ("echoes_refused", &stats.echoes_refused),
            ("records_bad", &stats.records_bad),
            ("records_suppressed", &stats.records_suppressed),
            ("bytes_published", &stats.bytes_published),
            ("requests", &stats.requests),
            ("retries", &stats.retries),
            ("throttled_ms", &stats.throttled_ms),
            ("connected", &stats.connected),
            ("request_us_total", &stats.request_us_total),
            ("request_us_last", &stats.request_us_last),
        ] {
            dict.set_item(name, counter.load(Ordering::Relaxed))?;
        }
        dict.set_item("in_flight_bytes", self.0.in_flight_bytes())?;
        dict.set_item("in_flight_records", self.0.in_flight_records(None))?;
        Ok(dict)
    }

    /// Waits up to `drain_timeout_ms` for everything to be acknowledged, then ends all connections. True if
    /// everything was. Does not raise; ask `check` for the error.
    #[pyo3(signature = (drain_timeout_ms=30_000))]
    fn close(&self, py: Python<'_>, drain_timeout_ms: u64) -> bool {
        py.detach(|| self.0.close(timeout(drain_timeout_ms)))
    }
}
