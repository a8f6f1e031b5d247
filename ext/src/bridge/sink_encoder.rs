//! Rivven blocks -> finished Kafka record batches, one open batch per Kafka partition.

use std::borrow::Cow;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

use crate::bad::{Bad, OnBad};
use crate::bridge::bad_record::BadRecord;
use crate::bridge::outgoing::{outgoing, Fate, OutgoingOptions, ValueFormat};
use crate::bridge::outgoing_batch::{Origin, OutgoingBatch, Shares};
use crate::bridge::transform::Transforms;
use crate::bridge::via::LoopProtection;
use crate::error::{Error, Kind, Result};
use crate::kafka::compression::Codec;
use crate::kafka::murmur2::partition_for_key;
use crate::kafka::py::RecordBlock;
use crate::kafka::writer::{encode_header, BatchWriter};
use crate::metrics::PyHistogram;
use crate::record::Block;
use crate::tracker::Tracker;

/// Bytes that a new batch has room for, so that a full one of the usual size does not grow step by step.
const MOST_RESERVED: usize = 1 << 14;

/// The Kafka partition of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Partitioning {
    Preserve,
    Key,
}

struct Open {
    writer: BatchWriter,
    shares: Shares,
    since: Instant,
}

struct State {
    open: Vec<Option<Open>>,
    ready: Vec<OutgoingBatch>,
    headers: Vec<u8>,
    edited: Vec<u8>,
}

/// Turns blocks into batches. Everything that loops over records runs here, without the GIL.
///
/// With `loop_protection`, the clusters (`rivven:<name>`, `kafka:<id>`) that it reads from and writes to and the Kafka
/// topic, a header tells where a record has been, and a record that has been in the topic counts as done.
#[pyclass(frozen, module = "rivven_kafka._native")]
pub struct SinkEncoder {
    options: OutgoingOptions,
    partitioning: Partitioning,
    codec: Codec,
    batch_size_bytes: usize,
    on_bad: OnBad,
    records_filtered: AtomicU64,
    echoes_refused: AtomicU64,
    keys_missing: AtomicU64,
    tracker: Tracker,
    state: Mutex<State>,
}

#[pymethods]
impl SinkEncoder {
    #[new]
    #[pyo3(signature = (partitions, *, value_format = "raw", partitioning = "preserve", key_field = None,
        key_field_required = false, include_headers = true, custom_headers = vec![], compression = "none",
        batch_size_bytes = 16384, on_bad = "fail", transforms = "[]", latencies = None, loop_protection = None))]
    #[allow(clippy::too_many_arguments)] // keyword arguments in Python
    fn new(
        partitions: usize,
        value_format: &str,
        partitioning: &str,
        key_field: Option<String>,
        key_field_required: bool,
        include_headers: bool,
        custom_headers: Vec<(String, String)>,
        compression: &str,
        batch_size_bytes: usize,
        on_bad: &str,
        transforms: &str,
        latencies: Option<&PyHistogram>,
        loop_protection: Option<(String, String, String)>,
    ) -> PyResult<Self> {
        let mut encoded = Vec::new();
        for (name, value) in &custom_headers {
            encode_header(&mut encoded, name.as_bytes(), Some(value.as_bytes()));
        }
        let options = OutgoingOptions {
            format: match value_format {
                "raw" => ValueFormat::Raw,
                "event" => ValueFormat::Event,
                other => return Err(unknown("value_format", other, "raw or event")),
            },
            transforms: Transforms::for_format(value_format, transforms)?,
            key_field,
            key_field_required,
            include_headers,
            custom_header_count: custom_headers.len() as u32,
            custom_headers: encoded,
            protection: loop_protection
                .map(|(from, to, topic)| LoopProtection::new((from, to)).map(|clusters| (clusters, topic)))
                .transpose()?,
        };
        let partitioning = match partitioning {
            "preserve" => Partitioning::Preserve,
            "key" => Partitioning::Key,
            other => return Err(unknown("partitioning", other, "preserve or key")),
        };
        Ok(Self {
            options,
            partitioning,
            codec: Codec::from_name(compression)?,
            batch_size_bytes,
            on_bad: OnBad::from_name(on_bad)?,
            records_filtered: AtomicU64::new(0),
            echoes_refused: AtomicU64::new(0),
            keys_missing: AtomicU64::new(0),
            tracker: Tracker::observed(latencies.map(|latencies| Arc::clone(&latencies.0))),
            state: Mutex::new(State {
                open: (0..partitions).map(|_| None).collect(),
                ready: Vec::new(),
                headers: Vec::new(),
                edited: Vec::new(),
            }),
        })
    }

    /// Adds the records of `block` to the batches of their partitions.
    ///
    /// Returns the records that cannot be converted. With `on_bad="skip"` they count as done, with "hold" the
    /// position stays before each until it is settled; with "fail" the first one raises, and the position stays
    /// before it.
    fn append(&self, py: Python<'_>, block: &RecordBlock) -> PyResult<Vec<BadRecord>> {
        let bad = py.detach(|| self.add(&block.0))?;
        Ok(bad.into_iter().map(BadRecord::from).collect())
    }

    /// Finished batches, in order per partition: full ones, and all open ones when one is older than `linger_ms`.
    fn take_ready(&self, py: Python<'_>, linger_ms: u64) -> PyResult<Vec<OutgoingBatch>> {
        let linger = Duration::from_millis(linger_ms);
        Ok(py.detach(|| {
            let mut state = self.lock();
            // One request takes the batches of many partitions: those that go along have waited for less.
            if state.open.iter().flatten().any(|open| open.since.elapsed() >= linger) {
                for partition in 0..state.open.len() {
                    Self::seal(&mut state, partition)?;
                }
            }
            Ok::<_, Error>(std::mem::take(&mut state.ready))
        })?)
    }

    /// Whether records wait in batches that are not full.
    fn has_open(&self) -> bool {
        self.lock().open.iter().any(Option::is_some)
    }

    /// Positions that moved since the last call: (topic, partition, next offset).
    fn take_positions(&self) -> Vec<(String, i32, i64)> {
        let moved = self.tracker.take_positions();
        moved.into_iter().map(|(topic, partition, offset)| (topic.to_string(), partition, offset)).collect()
    }

    /// What the timestamps of each partition tell of its lag: `(topic, partition, of the first record that Kafka has
    /// not stored, of the last one before it)` (ms); None for a record that was not read, or has none.
    fn times(&self) -> Vec<(String, i32, Option<i64>, Option<i64>)> {
        let times = self.tracker.times().into_iter();
        times
            .map(|(topic, partition, oldest, newest)| (topic.to_string(), partition, oldest, newest))
            .collect()
    }

    /// Gives a Rivven partition up.
    fn forget(&self, topic: &str, partition: i32) {
        self.tracker.forget(topic, partition);
    }

    /// Bytes of blocks that Kafka has not stored in full.
    fn in_flight_bytes(&self) -> usize {
        self.tracker.in_flight_bytes()
    }

    /// Records that Kafka has not stored; with `only`, those of a Rivven topic and partition.
    #[pyo3(signature = (only=None))]
    #[allow(clippy::needless_pass_by_value)] // so that Python can pass it
    fn in_flight_records(&self, only: Option<(String, i32)>) -> usize {
        self.tracker.in_flight_records(only.as_ref().map(|(topic, partition)| (topic.as_str(), *partition)))
    }

    /// Records that a filter of the transforms dropped.
    fn records_filtered(&self) -> u64 {
        self.records_filtered.load(Ordering::Relaxed)
    }

    /// Records that were not written, because they have been in the Kafka topic.
    fn echoes_refused(&self) -> u64 {
        self.echoes_refused.load(Ordering::Relaxed)
    }

    /// Records whose value lacks `key_field`, and that went out with their Rivven key.
    fn keys_missing(&self) -> u64 {
        self.keys_missing.load(Ordering::Relaxed)
    }

    /// Records that cannot be converted, or that Kafka refused, and are neither settled nor given up.
    fn records_held(&self) -> usize {
        self.tracker.held_records()
    }

    /// Waits until a block is stored in full, at most `timeout_ms`.
    fn wait(&self, py: Python<'_>, timeout_ms: u64) {
        py.detach(|| self.tracker.wait(Duration::from_millis(timeout_ms)));
    }
}

impl SinkEncoder {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, block: &Block) -> Result<Vec<Bad>> {
        let origin = Arc::new(Origin { block: block.clone(), ticket: self.tracker.register(block) });
        let ticket = &origin.ticket;
        let mut bad = Vec::new();
        let mut guard = self.lock();
        let state = &mut *guard;
        for (index, record) in block.records.iter().enumerate() {
            let mut headers = std::mem::take(&mut state.headers);
            let mut edited = std::mem::take(&mut state.edited);
            let result = outgoing(block, record, &self.options, &mut headers, &mut edited).and_then(|out| {
                let out = match out {
                    Fate::Write(out) => out,
                    Fate::Filtered | Fate::Echo => {
                        let echo = matches!(out, Fate::Echo);
                        let counter = if echo { &self.echoes_refused } else { &self.records_filtered };
                        counter.fetch_add(1, Ordering::Relaxed);
                        ticket.acknowledge(index..index + 1);
                        return Ok(());
                    }
                };
                let partition = self.partition(block, out.key.as_deref(), state.open.len())?;
                let length = |bytes: &Option<Cow<'_, [u8]>>| bytes.as_ref().map_or(0, |bytes| bytes.len());
                let size = BatchWriter::record_size(length(&out.key), length(&out.value), headers.len());
                let full = |open: &Open| !open.writer.fits(size, self.batch_size_bytes);
                if state.open[partition].as_ref().is_some_and(full) {
                    Self::seal(state, partition)?;
                }
                let open = state.open[partition].get_or_insert_with(|| Open {
                    writer: BatchWriter::with_capacity(self.codec, self.batch_size_bytes.min(MOST_RESERVED)),
                    shares: Shares::default(),
                    since: Instant::now(),
                });
                open.writer.append(
                    out.timestamp,
                    out.key.as_deref(),
                    out.value.as_deref(),
                    out.header_count,
                    &[&headers],
                )?;
                open.shares.push(&origin, index..index + 1);
                if out.key_missing {
                    self.keys_missing.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            });
            state.headers = headers;
            state.edited = edited;
            if let Err(error) = result {
                let refused = self.on_bad.judge(block, index, ticket, error)?;
                if self.on_bad == OnBad::Skip {
                    refused.settle();
                }
                bad.push(refused);
            }
        }
        Ok(bad)
    }

    fn partition(&self, block: &Block, key: Option<&[u8]>, partitions: usize) -> Result<usize> {
        let partition = match (self.partitioning, key) {
            (Partitioning::Key, Some(key)) => {
                NonZeroU32::new(partitions as u32).map_or(0, |count| partition_for_key(key, count) as usize)
            }
            // Without a key the records of one Rivven partition stay together, and so in order.
            (Partitioning::Key, None) => block.partition as usize % partitions.max(1),
            (Partitioning::Preserve, _) => block.partition as usize,
        };
        if partition >= partitions {
            let message = format!(
                "Kafka topic has {partitions} partitions, Rivven partition {partition} has no counterpart; \
                 add partitions or use partitioning: key"
            );
            return Err(Error::new(Kind::InvalidRequest, message));
        }
        Ok(partition)
    }

    fn seal(state: &mut State, partition: usize) -> Result<()> {
        // A batch is empty when the only record for it was refused.
        if let Some(open) = state.open[partition].take().filter(|open| !open.writer.is_empty()) {
            let sealed = open.writer.seal()?;
            state.ready.push(OutgoingBatch::new(partition, sealed, open.shares));
        }
        Ok(())
    }
}

fn unknown(option: &str, value: &str, expected: &str) -> PyErr {
    Error::new(Kind::Config, format!("{option}: got {value:?}, expected {expected}")).into()
}
