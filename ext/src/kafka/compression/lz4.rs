//! LZ4 frames (`lz4_Frame_format.md`), as Kafka writes them: independent blocks of 64 KiB, no checksums but
//! the header's (KIP-57).
//!
//! Frames are taken apart here and their blocks decompressed straight into the output: the frame reader of
//! `lz4_flex` takes a cut between two blocks for the end, and allocates by the block size that a frame claims.
//!
//! Before KIP-57 Kafka computed the header checksum over the frame's magic number as well; every message of
//! magic 0 carries that wrong value, so readers ignore the checksum there, as Kafka's do.

use lz4_flex::block::{
    compress_into, decompress_into, decompress_into_with_dict, get_maximum_output_size, DecompressError,
};
use twox_hash::XxHash32;

use super::{broken, output_for, over_limit, Codec};
use crate::error::{Error, Result};

const MAGIC: u32 = 0x184d_2204;
const UNCOMPRESSED: u32 = 1 << 31;
/// Most bytes of a block that we write.
const BLOCK: usize = 64 * 1024;
/// How far back a block may refer.
const WINDOW: usize = 64 * 1024;
/// A byte of a length adds 255 bytes at most, and a block ends with a few literals.
const MOST_INFLATION: usize = 255;

pub(super) fn decompress(input: &[u8], limit: usize) -> Result<Vec<u8>> {
    frames(input, limit, true)
}

/// Decompresses the value of a magic 0 message, whose header checksum is wrong.
pub fn decompress_magic_0(input: &[u8], limit: usize) -> Result<Vec<u8>> {
    frames(input, limit, false)
}

fn bad(cause: &str) -> Error {
    broken(Codec::Lz4, cause)
}

fn frames(mut rest: &[u8], limit: usize, check_header: bool) -> Result<Vec<u8>> {
    let mut out = output_for(rest, limit);
    loop {
        let frame = Frame::read(&mut rest, check_header)?;
        frame.decompress(&mut rest, limit, &mut out)?;
        if rest.is_empty() {
            return Ok(out);
        }
    }
}

/// The descriptor of a frame.
struct Frame {
    linked: bool,
    block_checksums: bool,
    content_checksum: bool,
    content_size: Option<u64>,
    block_size: usize,
}

impl Frame {
    fn read(rest: &mut &[u8], check_header: bool) -> Result<Self> {
        if take_u32(rest)? != MAGIC {
            return Err(bad("it does not start with a frame"));
        }
        let descriptor = *rest;
        let [flags, sizes] = take::<2>(rest)?;
        // Version 1, and none of the reserved bits; a dictionary would have to come from elsewhere.
        if flags & 0xc3 != 0x40 || sizes & 0x8f != 0 || sizes < 0x40 {
            return Err(bad("the frame descriptor is not known"));
        }
        let content_size = if flags & 0x08 == 0 { None } else { Some(u64::from_le_bytes(take(rest)?)) };
        let described = &descriptor[..descriptor.len() - rest.len()];
        let [checksum] = take(rest)?;
        if check_header && checksum != (XxHash32::oneshot(0, described) >> 8) as u8 {
            return Err(bad("the frame header does not match its checksum"));
        }
        Ok(Self {
            linked: flags & 0x20 == 0,
            block_checksums: flags & 0x10 != 0,
            content_checksum: flags & 0x04 != 0,
            content_size,
            // 4: 64 KiB, 5: 256 KiB, 6: 1 MiB, 7: 4 MiB.
            block_size: 1 << (8 + 2 * (sizes >> 4)),
        })
    }

    fn decompress(&self, rest: &mut &[u8], limit: usize, out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        loop {
            let head = take_u32(rest)?;
            if head == 0 {
                break;
            }
            let len = (head & !UNCOMPRESSED) as usize;
            if len > self.block_size || len > rest.len() {
                return Err(bad("a block is longer than the data"));
            }
            let (block, tail) = rest.split_at(len);
            *rest = tail;
            if self.block_checksums && take_u32(rest)? != XxHash32::oneshot(0, block) {
                return Err(bad("a block does not match its checksum"));
            }
            if head & UNCOMPRESSED == 0 {
                self.decompress_block(block, start, limit, out)?;
            } else if len > limit - out.len() {
                return Err(over_limit(Codec::Lz4, limit));
            } else {
                out.extend_from_slice(block);
            }
        }
        let content = &out[start..];
        if self.content_checksum && take_u32(rest)? != XxHash32::oneshot(0, content) {
            return Err(bad("the content does not match its checksum"));
        }
        if self.content_size.is_some_and(|size| size != content.len() as u64) {
            return Err(bad("the content is not as long as the frame says"));
        }
        Ok(())
    }

    fn decompress_block(&self, block: &[u8], start: usize, limit: usize, out: &mut Vec<u8>) -> Result<()> {
        let most = self.block_size.min(block.len().saturating_mul(MOST_INFLATION));
        let (from, room) = (out.len(), limit - out.len());
        out.resize(from + most.min(room), 0);
        let (before, output) = out.split_at_mut(from);
        let outcome = if self.linked {
            decompress_into_with_dict(block, output, &before[start.max(from.saturating_sub(WINDOW))..])
        } else {
            decompress_into(block, output)
        };
        match outcome {
            Ok(used) => {
                out.truncate(from + used);
                Ok(())
            }
            Err(DecompressError::OutputTooSmall { .. }) if room < most => Err(over_limit(Codec::Lz4, limit)),
            Err(cause) => Err(broken(Codec::Lz4, cause)),
        }
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or_else(|| bad("a frame is cut short"))?;
    *rest = tail;
    Ok(*head)
}

fn take_u32(rest: &mut &[u8]) -> Result<u32> {
    take(rest).map(u32::from_le_bytes)
}

/// Blocks are compressed straight into `out`: the frame writer of `lz4_flex` copies them in and out of buffers.
pub(super) fn compress(input: &[u8], out: &mut Vec<u8>) -> Result<()> {
    // Version 1 and independent blocks, of at most 64 KiB.
    const DESCRIPTOR: [u8; 2] = [0x60, 0x40];
    out.extend_from_slice(&MAGIC.to_le_bytes());
    out.extend_from_slice(&DESCRIPTOR);
    out.push((XxHash32::oneshot(0, &DESCRIPTOR) >> 8) as u8);
    for block in input.chunks(BLOCK) {
        let head = out.len();
        let start = head + 4;
        out.resize(start + get_maximum_output_size(block.len()), 0);
        let used = compress_into(block, &mut out[start..]).map_err(|cause| broken(Codec::Lz4, cause))?;
        out.truncate(start + used);
        let mut length = used as u32;
        if used >= block.len() {
            out.truncate(start);
            out.extend_from_slice(block);
            length = block.len() as u32 | UNCOMPRESSED;
        }
        out[head..start].copy_from_slice(&length.to_le_bytes());
    }
    out.extend_from_slice(&[0; 4]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

    use super::*;
    use crate::error::Kind;

    #[test]
    fn the_library_can_read_what_we_write() {
        // Bytes without a pattern do not compress: their blocks stand as they are.
        let mut state = 7_u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let noise: Vec<u8> = (0..150_000).map(|_| random()).collect();
        for input in [Vec::new(), vec![7], vec![7; 65_536], vec![7; 65_537], noise] {
            let mut packed = Vec::new();
            compress(&input, &mut packed).unwrap();
            assert!(packed.len() <= input.len() + 7 + 4 * (input.len() / BLOCK + 2));
            let mut output = Vec::new();
            FrameDecoder::new(&packed[..]).read_to_end(&mut output).unwrap();
            assert_eq!(output, input);
            assert_eq!(decompress(&packed, input.len()).unwrap(), input);
        }
    }

    #[test]
    fn the_wrong_checksum_of_old_brokers_is_read_for_magic_0_only() {
        let mut packed = Vec::new();
        compress(b"hello hello hello", &mut packed).unwrap();
        packed[6] = (XxHash32::oneshot(0, &packed[..6]) >> 8) as u8;
        assert_eq!(decompress_magic_0(&packed, 100).unwrap(), b"hello hello hello");
        assert_eq!(decompress(&packed, 100).unwrap_err().kind, Kind::CorruptRecord);
        for cut in 0..packed.len() {
            assert_eq!(decompress_magic_0(&packed[..cut], 100).unwrap_err().kind, Kind::CorruptRecord);
        }
    }

    #[test]
    fn java_can_read_what_we_write() {
        let mut packed = Vec::new();
        compress(&vec![7; 200_000], &mut packed).unwrap();
        // Version 1, independent blocks, nothing else; blocks of 64 KiB.
        assert_eq!(packed[..6], [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40]);
    }

    #[test]
    fn all_that_a_frame_may_have_is_read() {
        let input: Vec<u8> = (0..300_000_u32).map(|i| (i % 1021) as u8).collect();
        for mode in [BlockMode::Independent, BlockMode::Linked] {
            for size in [BlockSize::Max64KB, BlockSize::Max256KB, BlockSize::Max1MB, BlockSize::Max4MB] {
                let info = FrameInfo::new()
                    .block_mode(mode)
                    .block_size(size)
                    .block_checksums(true)
                    .content_checksum(true)
                    .content_size(Some(input.len() as u64));
                let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
                encoder.write_all(&input).unwrap();
                let mut packed = encoder.finish().unwrap();
                assert_eq!(decompress(&packed, input.len()).unwrap(), input);
                for at in 0..packed.len() {
                    packed[at] ^= 0x10;
                    let error = decompress(&packed, input.len()).unwrap_err();
                    assert_ne!(error.kind, Kind::UnsupportedCodec);
                    packed[at] ^= 0x10;
                }
            }
        }
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
