//! Damaged inputs: every decoder ends, without a panic, in records that hold together or in an error.

use super::*;
use crate::kafka::compression::{decompress, decompress_lz4_magic_0};

/// Inputs per decoder.
const INPUTS: usize = 100_000;

/// xorshift64*: the same inputs in every run, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 33) as usize % bound.max(1)
    }
}

fn damage(random: &mut Random, input: &[u8], out: &mut Vec<u8>) {
    const NUMBERS: [i32; 9] = [0, 1, -1, -2, i32::MAX, i32::MIN, 0xffff, 1 << 20, -0x7f01];
    out.clear();
    out.extend_from_slice(input);
    for _ in 0..=random.below(4) {
        if out.is_empty() {
            return;
        }
        let at = random.below(out.len());
        match random.below(7) {
            0 => out[at] ^= 1 << random.below(8),
            1 => out[at] = random.next() as u8,
            2 => out[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
            3 => {
                let number = NUMBERS[random.below(NUMBERS.len())].to_be_bytes();
                let end = out.len().min(at + 4);
                out[at..end].copy_from_slice(&number[..end - at]);
            }
            4 => out.truncate(at),
            5 => {
                let end = out.len().min(at + random.below(20));
                out.drain(at..end);
            }
            _ => {
                let end = out.len().min(at + random.below(20));
                let copy = out[at..end].to_vec();
                out.splice(at..at, copy);
            }
        }
    }
}

/// Reads all of `data` without regard to checksums, and checks what a pipeline relies on.
fn read_damaged(data: &[u8]) -> usize {
    let options = ReaderOptions { read_committed: true, check_crcs: false, max_batch_bytes: 1 << 16 };
    let mut reader = BatchReader::new(
        Arc::from("t"),
        0,
        Bytes::copy_from_slice(data),
        1,
        options,
        vec![(1000, 0), (7, 3)],
    );
    let (mut position, mut count) = (1, 0);
    while let Ok(Some(block)) = reader.next_block(8, 1 << 16) {
        for record in block.records.iter() {
            assert!(record.offset >= position);
            position = record.offset + 1;
            let payload = block.key(record).unwrap_or_default().len()
                + block.value(record).unwrap_or_default().len()
                + block.get(record, record.headers).unwrap_or_default().len();
            assert_eq!(payload, Block::payload_len(record));
            assert!(block.headers(record).all(|header| header.is_ok()));
        }
        count += block.records.len();
        assert!(block.next_offset >= position && block.records.len() <= 8);
        position = block.next_offset;
    }
    count
}

fn torture(seed: u64, input: &[u8], decode: impl Fn(&[u8]) -> usize) {
    let (mut random, mut out, mut alive) = (Random(seed), Vec::new(), 0_usize);
    for _ in 0..INPUTS {
        damage(&mut random, input, &mut out);
        alive += usize::from(decode(&out) > 0);
    }
    // Otherwise the damage is found at the door and tests nothing behind it.
    assert!(alive > INPUTS / 100, "only {alive} damaged inputs were read at all");
}

macro_rules! torture_tests {
    ($($name:ident: $input:expr;)*) => {
        $(#[test]
        fn $name() {
            let input: Vec<u8> = $input;
            torture(0x9e37_79b9_7f4a_7c15, &input, read_damaged);
        })*
    };
}

torture_tests! {
    plain_batch: [sample(Codec::None, 12), batch_at(12, 3, -1, false)].concat();
    gzip_batch: sample(Codec::Gzip, 12);
    snappy_batch: sample(Codec::Snappy, 12);
    lz4_batch: sample(Codec::Lz4, 12);
    zstd_batch: sample(Codec::Zstd, 12);
    transaction: [batch_at(0, 2, 1000, true), marker(2, 1000, false), batch_at(3, 2, 1000, true)].concat();
    magic_0: (0..4).flat_map(|offset| message(0, offset, 0, Some(b"k"), Some(b"value"))).collect();
    magic_1: (0..4).flat_map(|offset| message(1, offset, 0, Some(b"k"), Some(b"value"))).collect();
    magic_0_lz4: wrapper(0, Codec::Lz4, 9);
    magic_1_gzip: wrapper(1, Codec::Gzip, 9);
    magic_1_snappy: wrapper(1, Codec::Snappy, 9);
    magic_1_lz4: wrapper(1, Codec::Lz4, 9);
}

#[test]
fn bare_codecs() {
    const LIMIT: usize = 1 << 16;
    let text = b"some text that repeats, some text that repeats, and then something else".repeat(3);
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let mut packed = Vec::new();
        compress(codec, &text, &mut packed).unwrap();
        let decode = |input: &[u8]| {
            let out = decompress(codec, input, LIMIT).unwrap_or_default();
            assert!(out.len() <= LIMIT && out.capacity() <= 4 * LIMIT);
            out.len()
        };
        torture(codec.id() as u64 + 1, &packed, decode);
        if codec == Codec::Lz4 {
            torture(99, &packed, |input| decompress_lz4_magic_0(input, LIMIT).map_or(0, |out| out.len()));
        }
    }
    let raw = snap::raw::Encoder::new().compress_vec(&text).unwrap();
    torture(77, &raw, |input| decompress(Codec::Snappy, input, LIMIT).map_or(0, |out| out.len()));
}
