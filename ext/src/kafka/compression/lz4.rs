//! LZ4 frames (`lz4_Frame_format.md`), as Kafka writes them: independent blocks of 64 KiB, no checksums but
//! the header's (KIP-57).
//!
//! Before KIP-57 Kafka computed the header checksum over the frame's magic number as well; every message of
//! magic 0 carries that wrong value, so readers ignore the checksum there, as Kafka's do.

use std::io::Write;

use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};
use twox_hash::XxHash32;

use super::{broken, output_for, read_limited, Codec};
use crate::error::Result;

/// Magic number (4), FLG, BD.
const DESCRIPTOR: usize = 4;
const SHORTEST_HEADER: usize = 7;
const HAS_CONTENT_SIZE: u8 = 0x08;
const HAS_DICTIONARY: u8 = 0x01;

pub(super) fn decompress(input: &[u8], limit: usize) -> Result<Vec<u8>> {
    let mut out = output_for(input, limit);
    let mut rest = input;
    // At least one frame; more may follow, as the format allows.
    loop {
        let mut decoder = FrameDecoder::new(rest);
        read_limited(Codec::Lz4, &mut decoder, limit, &mut out)?;
        let before = rest.len();
        rest = decoder.into_inner();
        if rest.is_empty() || rest.len() == before {
            break;
        }
    }
    if rest.is_empty() {
        Ok(out)
    } else {
        Err(broken(Codec::Lz4, "bytes follow the last frame"))
    }
}

/// Decompresses the value of a magic 0 message, whose header checksum is wrong.
pub fn decompress_magic_0(input: &[u8], limit: usize) -> Result<Vec<u8>> {
    if input.len() < SHORTEST_HEADER {
        return Err(broken(Codec::Lz4, "the frame header is cut short"));
    }
    let mut header = SHORTEST_HEADER;
    if input[DESCRIPTOR] & HAS_CONTENT_SIZE != 0 {
        header += 8;
    }
    if input[DESCRIPTOR] & HAS_DICTIONARY != 0 {
        header += 4;
    }
    if input.len() < header {
        return Err(broken(Codec::Lz4, "the frame header is cut short"));
    }
    let mut repaired = input.to_vec();
    repaired[header - 1] = (XxHash32::oneshot(0, &input[DESCRIPTOR..header - 1]) >> 8) as u8;
    decompress(&repaired, limit)
}

pub(super) fn compress(input: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let info = FrameInfo::new().block_size(BlockSize::Max64KB).block_mode(BlockMode::Independent);
    let mut encoder = FrameEncoder::with_frame_info(info, out);
    encoder.write_all(input).map_err(|cause| broken(Codec::Lz4, cause))?;
    encoder.finish().map_err(|cause| broken(Codec::Lz4, cause))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn the_wrong_checksum_of_old_brokers_is_read_for_magic_0_only() {
        let mut packed = Vec::new();
        compress(b"hello hello hello", &mut packed).unwrap();
        packed[6] = (XxHash32::oneshot(0, &packed[..6]) >> 8) as u8;
        assert_eq!(decompress_magic_0(&packed, 100).unwrap(), b"hello hello hello");
        assert_eq!(decompress(&packed, 100).unwrap_err().kind, Kind::CorruptRecord);
        for cut in 0..packed.len() {
            assert!(decompress_magic_0(&packed[..cut], 100).map_or(true, |out| out.len() < 17));
        }
    }

    #[test]
    fn java_can_read_what_we_write() {
        let mut packed = Vec::new();
        compress(&[7; 200_000], &mut packed).unwrap();
        // Version 1, independent blocks, nothing else; blocks of 64 KiB.
        assert_eq!(packed[..6], [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40]);
    }

    #[test]
    fn frames_are_joined_and_garbage_is_refused() {
        let mut packed = Vec::new();
        compress(b"one ", &mut packed).unwrap();
        compress(b"two", &mut packed).unwrap();
        assert_eq!(decompress(&packed, 100).unwrap(), b"one two");
        packed.extend_from_slice(b"garbage");
        assert_eq!(decompress(&packed, 100).unwrap_err().kind, Kind::CorruptRecord);
    }
}
