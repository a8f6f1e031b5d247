//! Keys, values and headers as Python gives them.

use std::borrow::Cow;

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyList, PyString};

use crate::kafka::writer::encode_header;

/// The content of `bytes`, or a copy of that of a `bytearray`.
pub(super) fn raw<'a>(object: &'a Bound<'_, PyAny>) -> PyResult<Cow<'a, [u8]>> {
    match object.cast::<PyBytes>() {
        Ok(bytes) => Ok(Cow::Borrowed(bytes.as_bytes())),
        Err(_) => Ok(Cow::Owned(object.extract::<PyBackedBytes>()?.to_vec())),
    }
}

/// Appends `headers`, a sequence of (name, value or None), to `out`; returns how many they are.
pub(super) fn encode_headers(out: &mut Vec<u8>, headers: &Bound<'_, PyAny>) -> PyResult<u32> {
    let mut count = 0;
    let mut encode = |header: Bound<'_, PyAny>| {
        let (name, value) = header.extract::<(Bound<'_, PyString>, Option<Bound<'_, PyAny>>)>()?;
        let value = value.as_ref().map(raw).transpose()?;
        encode_header(out, &header_name(&name)?, value.as_deref());
        count += 1;
        PyResult::Ok(())
    };
    // Nearly always a list, which needs no iterator object.
    if let Ok(list) = headers.cast::<PyList>() {
        list.iter().try_for_each(&mut encode)?;
    } else {
        headers.try_iter()?.try_for_each(|header| encode(header?))?;
    }
    Ok(count)
}

/// The bytes of a name; surrogates stand for bytes that are not UTF-8, as `RecordBlock.headers` returns them.
fn header_name<'a>(name: &'a Bound<'_, PyString>) -> PyResult<Cow<'a, [u8]>> {
    if let Ok(text) = name.to_str() {
        return Ok(Cow::Borrowed(text.as_bytes()));
    }
    let encoded = name.call_method1("encode", ("utf-8", "surrogateescape"))?;
    Ok(Cow::Owned(encoded.extract::<Vec<u8>>()?))
}
