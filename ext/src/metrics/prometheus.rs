//! Prometheus text exposition format (version 0.0.4), written into one pre-sized buffer.

use std::fmt::Write;

use crate::error::{Error, Kind, Result};

use super::counters::{Snapshot, Spec};

/// Bytes reserved per sample: help, type and value lines of the longest name.
const SAMPLE_BYTES: usize = 224;

/// Writes `snapshot` with `prefix` in front of every name.
///
/// A prefix is letters, digits and underscores, not beginning with a digit. Colons, which Prometheus would take,
/// are left to its recording rules.
pub fn write(prefix: &str, specs: &[Spec], snapshot: &Snapshot) -> Result<String> {
    let letters = prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !letters || !prefix.starts_with(|first: char| !first.is_ascii_digit()) {
        let text = format!(
            "prefix: got {prefix:?}: expected letters, digits and underscores, not beginning with a digit"
        );
        return Err(Error::new(Kind::Config, text));
    }
    let mut out = String::with_capacity((specs.len() + 3) * (SAMPLE_BYTES + 3 * prefix.len()));
    let mut sample = |name: &str, suffix: &str, help: &str, kind: &str, value: &dyn std::fmt::Display| {
        // Writing into a String cannot fail.
        let _ = write!(
            out,
            "# HELP {prefix}_{name}{suffix} {help}\n# TYPE {prefix}_{name}{suffix} {kind}\n{prefix}_{name}{suffix} {value}\n"
        );
    };
    for (spec, value) in specs.iter().zip(&snapshot.values) {
        sample(spec.name, "_total", spec.help, "counter", value);
    }
    sample("batch_size_min", "", "Smallest non-empty batch size seen", "gauge", &snapshot.batch_min);
    sample("batch_size_max", "", "Largest batch size seen", "gauge", &snapshot.batch_max);
    sample("batch_size_avg", "", "Average batch size", "gauge", &average(snapshot));
    Ok(out)
}

/// Records per non-empty batch, 0.0 if there was none.
pub fn average(snapshot: &Snapshot) -> f64 {
    if snapshot.batch_count == 0 {
        0.0
    } else {
        snapshot.batch_sum as f64 / snapshot.batch_count as f64
    }
}
