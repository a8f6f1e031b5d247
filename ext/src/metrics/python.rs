//! The Python classes of the metrics: one pair (live counters, snapshot) per direction.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyDict};

use super::counters::{Counters, Snapshot, Spec};
use super::histogram::{Histogram, LATENCY_MS};
use super::prometheus;
use crate::error::Result;

const SOURCE: &[Spec] = &[
    Spec { name: "messages_consumed", help: "Total messages consumed" },
    Spec { name: "bytes_consumed", help: "Total bytes consumed" },
    Spec { name: "polls", help: "Total poll operations" },
    Spec { name: "empty_polls", help: "Polls that returned no messages" },
    Spec { name: "errors", help: "Total errors encountered" },
    Spec { name: "commits", help: "Successful offset commits" },
    Spec { name: "commit_failures", help: "Failed offset commits" },
    Spec { name: "rebalances", help: "Consumer group rebalance events" },
];

const SINK: &[Spec] = &[
    Spec { name: "messages_produced", help: "Total messages produced" },
    Spec { name: "bytes_produced", help: "Total bytes produced" },
    Spec { name: "sends", help: "Total send operations" },
    Spec { name: "errors", help: "Total errors encountered" },
    Spec { name: "flushes", help: "Total flush operations" },
    Spec { name: "retries", help: "Total retry attempts" },
];

/// Names of the batch statistics in the JSON form, after the counters.
const BATCH_FIELDS: [&str; 4] = ["min_batch_size", "max_batch_size", "batch_size_sum", "batch_count"];

fn fields(specs: &[Spec], snapshot: &Snapshot) -> Vec<(&'static str, u64)> {
    let batch = [snapshot.batch_min, snapshot.batch_max, snapshot.batch_sum, snapshot.batch_count];
    let counters = specs.iter().map(|spec| spec.name).zip(snapshot.values.iter().copied());
    counters.chain(BATCH_FIELDS.into_iter().zip(batch)).collect()
}

fn to_json(specs: &[Spec], snapshot: &Snapshot) -> String {
    let members: Vec<String> =
        fields(specs, snapshot).into_iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", members.join(","))
}

fn from_json(specs: &[Spec], text: &str) -> std::result::Result<Snapshot, String> {
    let map: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).map_err(|error| format!("not a snapshot: {error}"))?;
    let get = |name: &str| {
        map.get(name)
            .and_then(serde_json::Value::as_u64)
            .ok_or_else(|| format!("not a snapshot: {name} is missing or not a count"))
    };
    Ok(Snapshot {
        values: specs.iter().map(|spec| get(spec.name)).collect::<std::result::Result<_, _>>()?,
        batch_min: get(BATCH_FIELDS[0])?,
        batch_max: get(BATCH_FIELDS[1])?,
        batch_sum: get(BATCH_FIELDS[2])?,
        batch_count: get(BATCH_FIELDS[3])?,
    })
}

/// What a snapshot of the source says after it was read from `text`.
#[cfg(any(test, feature = "fuzzing"))]
pub fn read_back(text: &str) -> std::result::Result<String, String> {
    from_json(SOURCE, text).map(|snapshot| to_json(SOURCE, &snapshot))
}

fn ratio(part: u64, whole: u64, otherwise: f64) -> f64 {
    if whole == 0 {
        otherwise
    } else {
        part as f64 / whole as f64
    }
}

fn per_second(count: u64, elapsed: f64) -> f64 {
    if elapsed > 0.0 {
        count as f64 / elapsed
    } else {
        0.0
    }
}

/// A distribution: how many values fell into which range (`Histogram`). Lock-free, shared by all threads.
#[pyclass(frozen, module = "rivven_kafka._native", name = "Histogram")]
#[derive(Debug)]
pub struct PyHistogram(pub Arc<Histogram>);

#[pymethods]
impl PyHistogram {
    /// A distribution of latencies (ms).
    #[staticmethod]
    fn of_latencies() -> Self {
        Self(Arc::new(Histogram::new(LATENCY_MS)))
    }

    /// Adds a value, `count` times.
    #[pyo3(signature = (value, count = 1))]
    fn add(&self, value: u64, count: u64) {
        self.0.add(value, count);
    }

    /// Upper bounds of the ranges, each included in its range.
    #[getter]
    fn bounds(&self) -> Vec<u64> {
        self.0.bounds().to_vec()
    }

    /// How many values each range has, and those above all bounds; and the sum of all values.
    fn read(&self) -> (Vec<u64>, u128) {
        self.0.read()
    }
}

/// What both snapshot classes share; `$specs` are its counters, the rest are its own methods.
macro_rules! metrics_classes {
    ($live:ident, $live_name:literal, $snapshot:ident, $snapshot_name:literal, $specs:ident,
     live { $($live_methods:tt)* } snapshot { $($snapshot_methods:tt)* }) => {
        #[doc = concat!("Live counters (`", $live_name, "`): lock-free, shared by all threads.")]
        #[pyclass(frozen, module = "rivven_kafka._native", name = $live_name)]
        #[derive(Debug)]
        pub struct $live(Arc<Counters>);

        impl Default for $live {
            fn default() -> Self {
                Self(Arc::new(Counters::new($specs.len())))
            }
        }

        #[pymethods]
        impl $live {
            #[new]
            fn new() -> Self {
                Self::default()
            }

            /// The counters now.
            fn snapshot(&self) -> $snapshot {
                $snapshot(self.0.snapshot())
            }

            /// The counters now; sets them back to zero.
            fn snapshot_and_reset(&self) -> $snapshot {
                $snapshot(self.0.snapshot_and_reset())
            }

            /// How large the non-empty batches were (records). Not set back by `snapshot_and_reset`.
            #[getter]
            fn batch_sizes(&self) -> PyHistogram {
                PyHistogram(Arc::clone(self.0.batch_sizes()))
            }

            $($live_methods)*
        }

        #[doc = concat!("Counters at one moment (`", $snapshot_name, "`): immutable.")]
        #[pyclass(frozen, eq, hash, module = "rivven_kafka._native", name = $snapshot_name)]
        #[derive(Debug, PartialEq, Eq, Hash)]
        pub struct $snapshot(Snapshot);

        #[pymethods]
        impl $snapshot {
            /// Reads the JSON form.
            #[staticmethod]
            fn from_json(text: &str) -> PyResult<Self> {
                from_json($specs, text).map(Self).map_err(PyValueError::new_err)
            }

            /// The documented field names and their values as a JSON object.
            fn to_json(&self) -> String {
                to_json($specs, &self.0)
            }

            /// The documented field names and their values, in the order of the JSON form.
            fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
                fields($specs, &self.0).into_py_dict(py)
            }

            /// Prometheus text with `prefix` (letters, digits, underscores) in front of every name.
            fn to_prometheus_format(&self, prefix: &str) -> Result<String> {
                prometheus::write(prefix, $specs, &self.0)
            }

            /// Records per non-empty batch, 0.0 if there was none.
            fn avg_batch_size(&self) -> f64 {
                prometheus::average(&self.0)
            }

            /// Messages per second over `elapsed` seconds, 0.0 if no time has passed.
            fn rate(&self, elapsed: f64) -> f64 {
                per_second(self.0.values[0], elapsed)
            }

            fn __getattr__(&self, name: &str) -> PyResult<u64> {
                fields($specs, &self.0)
                    .into_iter()
                    .find_map(|(field, value)| (field == name).then_some(value))
                    .ok_or_else(|| pyo3::exceptions::PyAttributeError::new_err(name.to_owned()))
            }

            fn __reduce__(slf: &Bound<'_, Self>) -> PyResult<(Py<PyAny>, (String,))> {
                let loader = slf.get_type().getattr("from_json")?.unbind();
                Ok((loader, (slf.get().to_json(),)))
            }

            fn __repr__(&self) -> String {
                format!("{}({})", $snapshot_name, self.to_json())
            }

            $($snapshot_methods)*
        }
    };
}

metrics_classes! {
    KafkaSourceMetrics, "KafkaSourceMetrics", KafkaSourceMetricsSnapshot, "KafkaSourceMetricsSnapshot", SOURCE,
    live {
        /// Counts one poll that returned `records` records of `bytes` bytes in all.
        fn record_batch(&self, records: u64, bytes: u64) {
            self.0.add(2, 1);
            if records == 0 {
                self.0.add(3, 1);
                return;
            }
            self.0.add(0, records);
            self.0.add(1, bytes);
            self.0.observe_batch(records);
        }

        /// Counts `count` errors.
        #[pyo3(signature = (count = 1))]
        fn record_error(&self, count: u64) {
            self.0.add(4, count);
        }

        /// Counts an offset commit and whether it succeeded.
        #[pyo3(signature = (succeeded = true))]
        fn record_commit(&self, succeeded: bool) {
            self.0.add(if succeeded { 5 } else { 6 }, 1);
        }

        /// Counts a rebalance of the consumer group.
        fn record_rebalance(&self) {
            self.0.add(7, 1);
        }
    }
    snapshot {
        /// Share of polls that returned nothing (0.0 to 1.0), 0.0 before the first poll.
        fn empty_poll_rate(&self) -> f64 {
            ratio(self.0.values[3], self.0.values[2], 0.0)
        }
    }
}

metrics_classes! {
    KafkaSinkMetrics, "KafkaSinkMetrics", KafkaSinkMetricsSnapshot, "KafkaSinkMetricsSnapshot", SINK,
    live {
        /// Counts one acknowledged send of `records` records of `bytes` bytes in all.
        fn record_batch(&self, records: u64, bytes: u64) {
            self.0.add(2, 1);
            self.0.add(0, records);
            self.0.add(1, bytes);
            self.0.observe_batch(records);
        }

        /// Counts `count` errors.
        #[pyo3(signature = (count = 1))]
        fn record_error(&self, count: u64) {
            self.0.add(3, count);
        }

        /// Counts a flush.
        fn record_flush(&self) {
            self.0.add(4, 1);
        }

        /// Counts `count` retries.
        #[pyo3(signature = (count = 1))]
        fn record_retry(&self, count: u64) {
            self.0.add(5, count);
        }
    }
    snapshot {
        /// Share of records that were produced (0.0 to 1.0), 1.0 if there was no activity.
        fn success_rate(&self) -> f64 {
            ratio(self.0.values[0], self.0.values[0] + self.0.values[3], 1.0)
        }
    }
}
