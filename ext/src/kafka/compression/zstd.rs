//! Zstandard (RFC 8878; Kafka: KIP-110), streamed, of one frame or several.

use std::io;

use ::zstd::stream::read::Decoder;

use super::{broken, output_for, read_limited, Codec};
use crate::error::Result;

/// Kafka's default (`compression.zstd.level`).
const LEVEL: i32 = 3;

/// RFC 8878 asks every decoder for windows of 8 MiB, and level 3 streams claim 2 MiB whatever their size.
const LEAST_WINDOW_LOG: u32 = 23;

/// The largest window that Kafka's own reader accepts (the default of libzstd).
const MOST_WINDOW_LOG: u32 = 27;

pub(super) fn decompress(input: &[u8], limit: usize) -> Result<Vec<u8>> {
    let mut out = output_for(input, limit);
    let decoder = bounded_decoder(input, limit).map_err(|cause| broken(Codec::Zstd, cause))?;
    read_limited(Codec::Zstd, decoder, limit, &mut out)?;
    Ok(out)
}

/// The decoder allocates the window that the frame claims, hence a bound on it.
fn bounded_decoder(input: &[u8], limit: usize) -> io::Result<Decoder<'static, &[u8]>> {
    let limit_log = usize::BITS - limit.leading_zeros();
    let mut decoder = Decoder::with_buffer(input)?;
    decoder.window_log_max(limit_log.clamp(LEAST_WINDOW_LOG, MOST_WINDOW_LOG))?;
    Ok(decoder)
}

pub(super) fn compress(input: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let packed = ::zstd::bulk::compress(input, LEVEL).map_err(|cause| broken(Codec::Zstd, cause))?;
    out.extend_from_slice(&packed);
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
    fn a_streamed_frame_without_a_content_size_is_read() {
        let input = vec![7u8; 100_000];
        let packed = ::zstd::stream::encode_all(&input[..], 3).unwrap();
        assert_eq!(decompress(&packed, 100_000).unwrap(), input);
    }
}
