//! Snappy, raw and in the framing of snappy-java.
//!
//! Java clients write blocks of 32 KiB, each with its compressed length as a big-endian i32 before it, after a
//! header of 16 bytes: `82 "SNAPPY" 00`, version and lowest compatible version
//! (snappy-java `SnappyOutputStream` and `SnappyCodec`). librdkafka and others write one raw block (Snappy
//! `format_description.txt`). The two version fields are not looked at: some producers write them
//! little-endian.

use snap::raw::{decompress_len, max_compress_len, Decoder, Encoder};

use super::{broken, over_limit, Codec};
use crate::error::Result;

const MAGIC: &[u8; 8] = b"\x82SNAPPY\0";
const HEADER: &[u8; 16] = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
const BLOCK: usize = 32 * 1024;

/// A copy of 64 bytes takes 3 bytes of input: nothing inflates more than 22 times.
const MOST_INFLATION: usize = 22;

pub(super) fn decompress(input: &[u8], limit: usize) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    if input.len() < HEADER.len() || !input.starts_with(MAGIC) {
        append_block(input, limit, &mut out)?;
        return Ok(out);
    }
    let mut rest = &input[HEADER.len()..];
    while !rest.is_empty() {
        // snappy-java reads concatenated streams; the magic cannot be a length, it would be negative.
        if rest.len() >= HEADER.len() && rest.starts_with(MAGIC) {
            rest = &rest[HEADER.len()..];
            continue;
        }
        let (len, tail) = rest
            .split_first_chunk::<4>()
            .ok_or_else(|| broken(Codec::Snappy, "a block length is cut short"))?;
        let len = usize::try_from(i32::from_be_bytes(*len))
            .ok()
            .filter(|len| *len <= tail.len())
            .ok_or_else(|| broken(Codec::Snappy, "a block is longer than the data"))?;
        append_block(&tail[..len], limit, &mut out)?;
        rest = &tail[len..];
    }
    Ok(out)
}

fn append_block(block: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<()> {
    let claimed = decompress_len(block).map_err(|cause| broken(Codec::Snappy, cause))?;
    if claimed / MOST_INFLATION > block.len() {
        return Err(broken(Codec::Snappy, "the length it claims is impossible"));
    }
    if claimed > limit - out.len() {
        return Err(over_limit(Codec::Snappy, limit));
    }
    let start = out.len();
    out.resize(start + claimed, 0);
    let used =
        Decoder::new().decompress(block, &mut out[start..]).map_err(|cause| broken(Codec::Snappy, cause))?;
    out.truncate(start + used);
    Ok(())
}

pub(super) fn compress(input: &[u8], out: &mut Vec<u8>) -> Result<()> {
    out.extend_from_slice(HEADER);
    let mut encoder = Encoder::new();
    for block in input.chunks(BLOCK) {
        let start = out.len();
        out.resize(start + 4 + max_compress_len(block.len()), 0);
        let used =
            encoder.compress(block, &mut out[start + 4..]).map_err(|cause| broken(Codec::Snappy, cause))?;
        out.truncate(start + 4 + used);
        out[start..start + 4].copy_from_slice(&(used as u32).to_be_bytes());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn a_raw_block_is_read() {
        let packed = Encoder::new().compress_vec(b"hello hello hello hello").unwrap();
        assert_eq!(decompress(&packed, 100).unwrap(), b"hello hello hello hello");
        assert_eq!(decompress(&packed, 10).unwrap_err().kind, Kind::DecompressionLimit);
    }

    #[test]
    fn concatenated_streams_are_joined() {
        let mut packed = Vec::new();
        compress(b"one ", &mut packed).unwrap();
        compress(b"two", &mut packed).unwrap();
        assert_eq!(decompress(&packed, 100).unwrap(), b"one two");
    }

    #[test]
    fn lying_lengths_are_refused() {
        // A raw block that claims 4 GiB - 1, framed and not.
        let lie = b"\xff\xff\xff\xff\x0f\x00a";
        assert_eq!(decompress(lie, usize::MAX).unwrap_err().kind, Kind::CorruptRecord);
        let framed = |len: i32| [HEADER.as_slice(), &len.to_be_bytes(), lie].concat();
        for len in [-1, i32::MIN, i32::MAX, 8, 7] {
            assert_eq!(decompress(&framed(len), usize::MAX).unwrap_err().kind, Kind::CorruptRecord);
        }
    }
}
