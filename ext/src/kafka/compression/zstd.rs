//! Zstandard (RFC 8878; Kafka: KIP-110), of one frame or several.
//!
//! A context costs more to make than a small batch to code, so each thread keeps one of either kind.

use std::cell::Cell;

use ::zstd::stream::read::Decoder;
use ::zstd::zstd_safe::{self, CCtx, DCtx, DParameter, ResetDirective};

use super::{broken, output_for, read_limited, Codec};
use crate::error::Result;

/// Kafka's default (`compression.zstd.level`).
const LEVEL: i32 = 3;

/// RFC 8878 asks every decoder for windows of 8 MiB, and level 3 streams claim 2 MiB whatever their size.
const LEAST_WINDOW_LOG: u32 = 23;

/// The largest window that Kafka's own reader accepts (the default of libzstd).
const MOST_WINDOW_LOG: u32 = 27;

/// A frame that says it inflates more than this is taken at its word only as it does.
const USUAL_INFLATION: usize = 64;

/// Bytes of a context that a thread keeps; one that large frames have made larger is let go.
const MOST_KEPT: usize = 4 << 20;

thread_local! {
    static COMPRESSION: Cell<Option<CCtx<'static>>> = const { Cell::new(None) };
    static DECOMPRESSION: Cell<Option<DCtx<'static>>> = const { Cell::new(None) };
}

pub(super) fn decompress(input: &[u8], limit: usize) -> Result<Vec<u8>> {
    let mut context = DECOMPRESSION.take().unwrap_or_default();
    let out = match decompress_one(&mut context, input, limit) {
        Some(out) => Ok(out),
        None => decompress_stream(&mut context, input, limit),
    };
    if context.sizeof() <= MOST_KEPT {
        DECOMPRESSION.set(Some(context));
    }
    out
}

/// The content of `input` if it is one frame that tells its size and is right: without the copy through a window.
fn decompress_one(context: &mut DCtx<'static>, input: &[u8], limit: usize) -> Option<Vec<u8>> {
    let size = zstd_safe::get_frame_content_size(input).ok()??;
    let size = usize::try_from(size).ok().filter(|size| *size <= limit)?;
    if size / USUAL_INFLATION > input.len() {
        return None;
    }
    let mut out = Vec::with_capacity(size);
    context.decompress(&mut out, input).ok()?;
    Some(out)
}

fn decompress_stream(context: &mut DCtx<'static>, input: &[u8], limit: usize) -> Result<Vec<u8>> {
    let failed = |code| broken(Codec::Zstd, zstd_safe::get_error_name(code));
    context.reset(ResetDirective::SessionAndParameters).map_err(failed)?;
    // The context allocates the window that the frame claims, hence a bound on it.
    let limit_log = usize::BITS - limit.leading_zeros();
    let window_log = limit_log.clamp(LEAST_WINDOW_LOG, MOST_WINDOW_LOG);
    context.set_parameter(DParameter::WindowLogMax(window_log)).map_err(failed)?;
    let mut out = output_for(input, limit);
    read_limited(Codec::Zstd, Decoder::with_context(input, context), limit, &mut out)?;
    Ok(out)
}

pub(super) fn compress(input: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let mut context = COMPRESSION.take().unwrap_or_default();
    let mut packed = Vec::with_capacity(zstd_safe::compress_bound(input.len()));
    let outcome = context.compress(&mut packed, input, LEVEL);
    if context.sizeof() <= MOST_KEPT {
        COMPRESSION.set(Some(context));
    }
    outcome.map_err(|code| broken(Codec::Zstd, zstd_safe::get_error_name(code)))?;
    if out.is_empty() {
        *out = packed;
    } else {
        out.extend_from_slice(&packed);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_joined() {
        let mut packed = Vec::new();
        compress(b"one ", &mut packed).unwrap();
        compress(b"two", &mut packed).unwrap();
        assert_eq!(decompress(&packed, 100).unwrap(), b"one two");
    }

    #[test]
    fn a_context_that_failed_is_used_again() {
        let content = vec![7; 100_000];
        let mut packed = Vec::new();
        compress(&content, &mut packed).unwrap();
        let streamed = ::zstd::stream::encode_all(&content[..], 3).unwrap();
        for frame in [packed, streamed] {
            let mut broken = frame.clone();
            broken.truncate(frame.len() - 2);
            for _ in 0..3 {
                assert!(decompress(&broken, 100_000).is_err());
                assert!(decompress(&frame, 99_999).is_err());
                assert_eq!(decompress(&frame, 100_000).unwrap(), content);
            }
        }
    }

    #[test]
    fn a_streamed_frame_without_a_content_size_is_read() {
        let input = vec![7u8; 100_000];
        let packed = ::zstd::stream::encode_all(&input[..], 3).unwrap();
        assert_eq!(decompress(&packed, 100_000).unwrap(), input);
    }
}
