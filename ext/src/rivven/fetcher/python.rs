//! `Fetcher`: reading ahead, for Python.

use std::sync::atomic::Ordering;

use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::{Fetcher, FetcherConfig, OnDamage};
use crate::error::Result;
use crate::kafka::py::RecordBlock;
use crate::rivven::arguments::{self, timeout, Arguments};
use crate::rivven::retry::Backoff;
use crate::rivven::security::RivvenSecurity;

/// Reads partitions of Rivven topics ahead, in native threads.
///
/// Signs of a damaged log are answers that skip offsets (`gaps`), records that come again
/// (`rewinds`), and positions that get nothing although the log goes on (`stalls`). With `on_log_damage` of "fail"
/// the first one ends the fetching with `LogDamagedError`, before the answer that shows it; the end of each log is
/// looked at, too, on every new connection. With "continue" they are counted, reads go on behind the highest
/// offset seen, and records below the offset asked for are dropped. A log that ends before the offset to read
/// from is an error in either case.
#[pyclass(frozen, name = "Fetcher", module = "rivven_kafka._native")]
pub struct PyFetcher(Fetcher);

#[pymethods]
impl PyFetcher {
    #[new]
    #[pyo3(signature = (servers, *, connections=4, max_wait_ms=500, max_messages=2000,
        max_buffered_bytes=67_108_864, on_log_damage="fail", client_id="rivven-kafka".to_owned(),
        security=None, connect_timeout_ms=10_000,
        request_timeout_ms=30_000, retry_initial_ms=100, retry_max_ms=30_000, retry_multiplier=2.0,
        max_retries=10))]
    #[allow(clippy::too_many_arguments)] // keyword arguments in Python
    fn new(
        servers: Vec<String>,
        connections: usize,
        max_wait_ms: u64,
        max_messages: usize,
        max_buffered_bytes: usize,
        on_log_damage: &str,
        client_id: String,
        security: Option<Bound<'_, RivvenSecurity>>,
        connect_timeout_ms: u64,
        request_timeout_ms: u64,
        retry_initial_ms: u64,
        retry_max_ms: u64,
        retry_multiplier: f64,
        max_retries: u32,
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
        let link = arguments.check()?;
        let on_damage = OnDamage::from_name(on_log_damage)?;
        let config =
            FetcherConfig { link, connections, max_wait_ms, max_messages, max_buffered_bytes, on_damage };
        Fetcher::new(config).map(Self)
    }

    /// Reads `(topic, partition, next offset)` from now on, and nothing else. Blocks of the assignment before
    /// never come out of a later `poll`.
    fn assign(&self, py: Python<'_>, partitions: Vec<(String, u32, i64)>) -> Result<()> {
        py.detach(|| self.0.assign(partitions))
    }

    /// Blocks that were fetched, whole, until they hold `max_records` (at least one block); waits up to
    /// `timeout_ms` for the first. Raises the error that ended the fetching when all blocks before it are out.
    #[pyo3(signature = (timeout_ms, max_records=None))]
    fn poll(&self, py: Python<'_>, timeout_ms: u64, max_records: Option<usize>) -> Result<Vec<RecordBlock>> {
        let blocks = py.detach(|| self.0.poll(timeout(timeout_ms), max_records.unwrap_or(usize::MAX)))?;
        Ok(blocks.into_iter().map(RecordBlock).collect())
    }

    /// Counters: records_fetched, bytes_fetched, requests, empty, retries, throttled_ms, gaps, rewinds,
    /// stalls, deletions (of records that were not read), shrinks; and buffered_bytes.
    #[allow(clippy::doc_markdown)] // read as plain text by help()
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = self.0.stats();
        let dict = PyDict::new(py);
        for (name, counter) in [
            ("records_fetched", &stats.records_fetched),
            ("bytes_fetched", &stats.bytes_fetched),
            ("requests", &stats.requests),
            ("empty", &stats.empty),
            ("retries", &stats.retries),
            ("throttled_ms", &stats.throttled_ms),
            ("gaps", &stats.gaps),
            ("rewinds", &stats.rewinds),
            ("stalls", &stats.stalls),
            ("deletions", &stats.deletions),
            ("shrinks", &stats.shrinks),
        ] {
            dict.set_item(name, counter.load(Ordering::Relaxed))?;
        }
        dict.set_item("buffered_bytes", self.0.buffered_bytes())?;
        Ok(dict)
    }

    /// Ends the connections and drops what was not polled.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.0.close());
    }
}
