//! Transforms for Python: to try them out, and to test them.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::Transforms;
use crate::error::{Error, Kind, Result};

impl Transforms {
    /// The steps for the values of a format, `event` or `raw`.
    pub fn for_format(value_format: &str, text: &str) -> Result<Self> {
        match value_format {
            "event" => Self::parse(text),
            "raw" => Self::for_value(text),
            other => {
                Err(Error::new(Kind::Config, format!("value_format {other:?} is neither event nor raw")))
            }
        }
    }
}

/// What becomes of one event (or, with `value_format="raw"`, of one value); None if a filter drops it.
///
/// `transforms` is a JSON list of `{"type": .., "config": {..}}`. Raises `ConfigError` for steps that are wrong,
/// `EventFormatError` for an event that they cannot be applied to.
#[pyfunction]
#[pyo3(signature = (transforms, event, *, value_format = "event"))]
pub fn apply_transforms<'py>(
    py: Python<'py>,
    transforms: &str,
    event: &[u8],
    value_format: &str,
) -> PyResult<Option<Bound<'py, PyBytes>>> {
    let mut out = Vec::new();
    let kept = Transforms::for_format(value_format, transforms)?.apply(event, &mut out)?;
    Ok(kept.then(|| PyBytes::new(py, &out)))
}
