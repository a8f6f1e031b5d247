//! Numbers that lie, under a right checksum.

use super::*;
use crate::error::Kind;
use crate::kafka::varint;

fn error(data: Vec<u8>) -> Error {
    read_all(data, 0).unwrap_err()
}

fn with_body(body: &[u8], count: i32) -> Vec<u8> {
    let mut header = BatchHeader::read(&batch_at(0, 1, -1, false), true).unwrap();
    header.count = count;
    header.last_offset_delta = count.max(1) - 1;
    header.write(body)
}

/// A record of the given numbers and no bytes.
fn record(length: Option<i32>, numbers: &[i64]) -> Vec<u8> {
    let mut body = vec![0];
    for number in numbers {
        varint::write_i64(&mut body, *number);
    }
    let mut out = Vec::new();
    varint::write_i32(&mut out, length.unwrap_or(body.len() as i32));
    out.extend_from_slice(&body);
    out
}

#[test]
fn the_smallest_record_is_read() {
    let blocks = read_all(with_body(&record(None, &[0, 0, -1, -1, 0]), 1), 0).unwrap();
    assert_eq!(blocks[0].records.len(), 1);
}

#[test]
fn lying_record_numbers_are_refused() {
    for numbers in [
        &[0, 0, 1, -1, 0][..],           // key longer than the record
        &[0, 0, -1, 1, 0],               // value longer than the record
        &[0, 0, -2, -1, 0],              // key length below -1
        &[0, 0, -1, i32::MIN as i64, 0], // value length below -1
        &[0, 0, i32::MAX as i64, -1, 0],
        &[0, 0, -1, -1, -1], // negative header count
        &[0, 0, -1, -1, 1],  // a header that is not there
        &[0, 0, -1, -1, i32::MAX as i64],
        &[0, 0, -1, -1, 1, -1, -1], // header without a name
        &[0, 0, -1, -1, 1, 0, 5],   // header value longer than the record
        &[0, 0, -1, -1, 1, 0, -2],  // header value length below -1
        &[0, 0, -1, -1, 0, 0],      // bytes after the headers
        &[0, 0, -1, -1],            // no header count
        &[0, -1, -1, -1, 0],        // before the batch
        &[0, 1, -1, -1, 0],         // after the batch
        &[0, i64::MAX, -1, -1, 0],  // more than its type holds
    ] {
        let error = error(with_body(&record(None, numbers), 1));
        assert_eq!((error.kind, error.offset), (Kind::CorruptRecord, Some(0)), "{numbers:?}");
    }
    for length in [-1, 0, 5, 7, i32::MAX, i32::MIN] {
        let body = record(Some(length), &[0, 0, -1, -1, 0]);
        assert_eq!(error(with_body(&body, 1)).kind, Kind::CorruptRecord, "{length}");
    }
    let twice = [record(None, &[0, 0, -1, -1, 0]), record(None, &[0, 0, -1, -1, 0])].concat();
    assert_eq!(error(with_body(&twice, 2)).message, "a record is out of the order of its batch");
}

#[test]
fn lying_counts_are_refused() {
    for codec in CODECS {
        for count in [i32::MIN, -1, 0, 19, 21, 1 << 20, i32::MAX] {
            let data = edit(&sample(codec, 20), |header| {
                header.count = count;
                header.last_offset_delta = header.last_offset_delta.max(count);
            });
            // What is wrong at the end of a batch is found after its records.
            let (blocks, error) = drain(reader(data, 0, ReaderOptions::default()), usize::MAX);
            assert_eq!(error.unwrap().kind, Kind::CorruptRecord, "{codec:?} {count}");
            assert!(blocks.iter().map(|block| block.records.len()).sum::<usize>() <= 20);
        }
    }
}

#[test]
fn impossible_offsets_are_refused() {
    for (base, last) in [(-1, 19), (i64::MIN, 19), (i64::MAX - 19, 19), (i64::MAX, 0), (0, -1), (0, i32::MIN)]
    {
        let data = edit(&sample(Codec::None, 20), |header| {
            header.base_offset = base;
            header.last_offset_delta = last;
        });
        assert_eq!(error(data).kind, Kind::CorruptRecord, "{base} {last}");
    }
    let top = edit(&sample(Codec::None, 20), |header| header.base_offset = i64::MAX - 20);
    assert_eq!(next_offset(&read_all(top, 0).unwrap()), i64::MAX);
}

#[test]
fn lying_entry_lengths_are_refused() {
    let valid = batch_at(0, 3, -1, false);
    for length in [i32::MIN, -1, 0, 13, 14, 48, 49, 50, valid.len() as i32 - 13] {
        let mut data = valid.clone();
        data[8..12].copy_from_slice(&length.to_be_bytes());
        assert_eq!(error(data).kind, Kind::CorruptRecord, "{length}");
    }
    for magic in [3, 127, 128, 255] {
        let mut data = valid.clone();
        data[16] = magic;
        assert_eq!(error(data).kind, Kind::UnsupportedCodec);
    }
    for codec in 5..8 {
        let data = edit(&valid, |header| header.attributes |= codec);
        assert_eq!(error(data).kind, Kind::UnsupportedCodec);
    }
}

#[test]
fn a_bomb_is_a_typed_error() {
    let mut writer = BatchWriter::new(Codec::Zstd);
    writer.append(0, None, Some(&vec![0; 8 << 20]), 0, &[]).unwrap();
    let bomb = writer.seal().unwrap().to_bytes(-1, -1, -1, false);
    assert!(bomb.len() < 2000);
    let options = ReaderOptions { max_batch_bytes: 1 << 20, ..ReaderOptions::default() };
    let (_, error) = drain(reader(bomb, 0, options), 10);
    assert_eq!(error.unwrap().kind, Kind::DecompressionLimit);
}
