//! Magic 0 and 1.

use twox_hash::XxHash32;

use super::*;
use crate::error::Kind;
use crate::record::TimestampType;

/// Offset, timestamp, key, value.
type Fields<'a> = (i64, i64, Option<&'a [u8]>, Option<&'a [u8]>);

fn records(blocks: &[Block]) -> Vec<Fields<'_>> {
    blocks
        .iter()
        .flat_map(|block| {
            block.records.iter().map(move |r| (r.offset, r.timestamp, block.key(r), block.value(r)))
        })
        .collect()
}

#[test]
fn plain_messages() {
    for magic in [0, 1] {
        let data = [
            message(magic, 5, 0, None, Some(b"a")),
            message(magic, 6, 0, Some(b""), None),
            message(magic, 9, 0, Some(b"k"), Some(b"")),
        ]
        .concat();
        let blocks = read_all(data, 5).unwrap();
        let time = |offset| if magic == 0 { -1 } else { BASE_TIME + offset };
        assert_eq!(
            records(&blocks),
            [
                (5, time(5), None, Some(&b"a"[..])),
                (6, time(6), Some(&b""[..]), None),
                (9, time(9), Some(&b"k"[..]), Some(&b""[..])),
            ]
        );
        assert_eq!((next_offset(&blocks), blocks[0].leader_epoch, blocks[0].chunks.len()), (10, -1, 1));
    }
}

#[test]
fn compressed_messages_and_relative_offsets() {
    for magic in [0, 1] {
        for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4] {
            let data = [wrapper(magic, codec, 12), wrapper(magic, codec, 15)].concat();
            for max_records in [1, 2, 100] {
                let (blocks, error) = drain(reader(data.clone(), 11, ReaderOptions::default()), max_records);
                assert!(error.is_none(), "{error:?}");
                assert_eq!(offsets(&blocks), [11, 12, 13, 14, 15]);
                assert_eq!(next_offset(&blocks), 16);
            }
        }
    }
}

#[test]
fn append_time_is_the_wrappers() {
    let inner = [message(1, 0, 0, None, Some(b"a")), message(1, 1, 0, None, Some(b"b"))].concat();
    let mut packed = Vec::new();
    compress(Codec::Gzip, &inner, &mut packed).unwrap();
    let blocks = read_all(message(1, 41, 0x08 | 1, None, Some(&packed)), 0).unwrap();
    for record in blocks[0].records.iter() {
        assert_eq!((record.timestamp, record.timestamp_type), (BASE_TIME + 41, TimestampType::LogAppendTime));
    }
    assert_eq!(offsets(&blocks), [40, 41]);
}

#[test]
fn the_wrong_lz4_checksum_of_magic_0_is_accepted() {
    let inner = message(0, 3, 0, None, Some(b"value"));
    let mut packed = Vec::new();
    compress(Codec::Lz4, &inner, &mut packed).unwrap();
    packed[6] = (XxHash32::oneshot(0, &packed[..6]) >> 8) as u8;
    assert_eq!(offsets(&read_all(message(0, 3, 3, None, Some(&packed)), 0).unwrap()), [3]);
}

#[test]
fn what_old_formats_do_not_allow_is_refused() {
    let kind = |data: Vec<u8>| read_all(data, 0).unwrap_err().kind;
    assert_eq!(kind(message(1, 0, 4, None, Some(b"zstd"))), Kind::UnsupportedCodec);
    assert_eq!(kind(message(1, 0, 7, None, Some(b"?"))), Kind::UnsupportedCodec);
    assert_eq!(kind(message(1, 0, 1, None, None)), Kind::CorruptRecord);
    assert_eq!(kind(message(1, -1, 0, None, None)), Kind::CorruptRecord);
    let nested = |inner: Vec<u8>| {
        let mut packed = Vec::new();
        compress(Codec::Gzip, &inner, &mut packed).unwrap();
        message(1, 5, 1, None, Some(&packed))
    };
    assert_eq!(kind(nested(wrapper(1, Codec::Gzip, 2))), Kind::CorruptRecord);
    assert_eq!(kind(nested(message(0, 5, 0, None, None))), Kind::CorruptRecord);
    assert_eq!(kind(nested(Vec::new())), Kind::CorruptRecord);
    let mut cut = message(1, 0, 0, None, Some(b"value"));
    cut.truncate(cut.len() - 1);
    assert_eq!(kind(nested(cut)), Kind::CorruptRecord);
}

#[test]
fn checksums_are_compared_inside_and_outside() {
    let mut outside = message(1, 0, 0, None, Some(b"value"));
    *outside.last_mut().unwrap() ^= 1;
    assert_eq!(read_all(outside, 0).unwrap_err().kind, Kind::CorruptRecord);

    let mut inner = message(1, 0, 0, None, Some(b"value"));
    *inner.last_mut().unwrap() ^= 1;
    let mut packed = Vec::new();
    compress(Codec::Snappy, &inner, &mut packed).unwrap();
    let data = message(1, 0, 2, None, Some(&packed));
    assert_eq!(read_all(data.clone(), 0).unwrap_err().kind, Kind::CorruptRecord);
    let options = ReaderOptions { check_crcs: false, ..ReaderOptions::default() };
    assert!(drain(reader(data, 0, options), 10).1.is_none());
}

#[test]
fn formats_may_change_within_a_response() {
    let data = [
        message(0, 0, 0, None, Some(b"a")),
        wrapper(1, Codec::Lz4, 3),
        edit(&sample(Codec::Zstd, 20), |header| header.base_offset = 4),
        message(1, 24, 0, None, Some(b"b")),
    ]
    .concat();
    assert_eq!(offsets(&read_all(data, 0).unwrap()), (0..25).collect::<Vec<_>>());
}
