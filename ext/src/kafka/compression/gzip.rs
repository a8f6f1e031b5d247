//! Gzip (RFC 1952), of one member or several.
//!
//! Two libraries: libdeflate takes half the time of a streaming one, but wants to know the size, and does not
//! tell where the first member ends. It reads what a Kafka producer writes, one member; anything else, and
//! anything that is wrong, is left to the streaming one.

use flate2::bufread::MultiGzDecoder;
use libdeflater::{CompressionLvl, Compressor, Decompressor};
use memchr::memmem;

use super::{broken, output_for, read_limited, Codec};
use crate::error::Result;

/// How every member starts: magic number and method.
const START: &[u8; 3] = b"\x1f\x8b\x08";

/// A deflate block codes 258 bytes in two bits at best.
const MOST_INFLATION: usize = 1032;

/// Faster than level 6 of zlib, which is Kafka's default, and smaller.
const LEVEL: i32 = 5;

pub(super) fn decompress(input: &[u8], limit: usize) -> Result<Vec<u8>> {
    if let Some(out) = decompress_one(input, limit) {
        return Ok(out);
    }
    let mut out = output_for(input, limit);
    read_limited(Codec::Gzip, MultiGzDecoder::new(input), limit, &mut out)?;
    Ok(out)
}

/// The content of `input` if it is certain that it has one member, and that member is right.
fn decompress_one(input: &[u8], limit: usize) -> Option<Vec<u8>> {
    let size = u32::from_le_bytes(*input.last_chunk::<4>()?) as usize;
    if size > limit || size / MOST_INFLATION > input.len() || memmem::find(&input[1..], START).is_some() {
        return None;
    }
    let mut out = vec![0; size];
    let used = Decompressor::new().gzip_decompress(input, &mut out).ok()?;
    (used == size).then_some(out)
}

pub(super) fn compress(input: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let level = CompressionLvl::new(LEVEL).unwrap_or_default();
    let mut compressor = Compressor::new(level);
    let start = out.len();
    out.resize(start + compressor.gzip_compress_bound(input.len()), 0);
    let used = compressor
        .gzip_compress(input, &mut out[start..])
        .map_err(|_| broken(Codec::Gzip, "the output does not fit"))?;
    out.truncate(start + used);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn member(content: &[u8]) -> Vec<u8> {
        let mut packed = Vec::new();
        compress(content, &mut packed).unwrap();
        packed
    }

    #[test]
    fn members_are_joined() {
        // The last size, and for the second also the checksum, are those of the first member.
        for (one, two) in [("one ", "two"), ("same", "same"), ("", "two"), ("one", "")] {
            let packed = [member(one.as_bytes()), member(two.as_bytes())].concat();
            assert_eq!(decompress(&packed, 100).unwrap(), [one, two].concat().as_bytes());
        }
    }

    #[test]
    fn the_start_of_a_member_within_one_is_content() {
        // Too short to be compressed: it stands in the member as it is.
        let content = [START.as_slice(), b"not a member"].concat();
        let packed = member(&content);
        assert!(memmem::find(&packed[1..], START).is_some());
        assert_eq!(decompress(&packed, 100).unwrap(), content);
    }

    #[test]
    fn what_zlib_writes_is_read() {
        let content: Vec<u8> = (0..200_000_u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
        for level in [flate2::Compression::none(), flate2::Compression::fast(), flate2::Compression::best()] {
            let mut packed = Vec::new();
            flate2::bufread::GzEncoder::new(&content[..], level).read_to_end(&mut packed).unwrap();
            assert_eq!(decompress(&packed, content.len()).unwrap(), content);
            assert_eq!(decompress_one(&packed, content.len()), Some(content.clone()));
        }
    }
}
