//! Blocks, positions and the ends of responses.

use super::*;
use crate::error::Kind;
use crate::record::TimestampType;

#[test]
fn blocks_do_not_depend_on_batches() {
    let data: Vec<u8> = (0..10)
        .flat_map(|index| {
            let codec = CODECS[index % 5];
            edit(&sample(codec, 20), |header| header.base_offset = 20 * index as i64)
        })
        .collect();
    for max_records in [1, 7, 20, 33, 1000] {
        let (blocks, error) = drain(reader(data.clone(), 0, ReaderOptions::default()), max_records);
        assert!(error.is_none());
        assert_eq!(offsets(&blocks), (0..200).collect::<Vec<_>>());
        assert_eq!(blocks.len(), 200_usize.div_ceil(max_records));
        for block in &blocks {
            assert!(block.records.len() <= max_records);
            assert_eq!(block.next_offset, block.records.last().unwrap().offset + 1);
            for record in block.records.iter() {
                let index = record.offset as usize % 20;
                let text = format!("value {index} ").repeat(index % 7);
                assert_eq!(block.value(record), (index % 5 != 4).then_some(text.as_bytes()));
                assert_eq!(record.timestamp, BASE_TIME + index as i64);
                assert_eq!(block.headers(record).flatten().count(), index % 3);
            }
        }
    }
}

#[test]
fn a_block_ends_when_its_bytes_are_full() {
    let mut reader = reader(batch_at(0, 100, -1, false), 0, ReaderOptions::default());
    let first = reader.next_block(usize::MAX, 1).unwrap().unwrap();
    assert_eq!(first.records.len(), 1);
    let second = reader.next_block(usize::MAX, 80).unwrap().unwrap();
    assert_eq!(second.records.len(), 10);
    assert_eq!(second.records[0].offset, 1);
}

#[test]
fn uncompressed_records_share_the_response() {
    let data = Bytes::from([batch_at(0, 3, -1, false), batch_at(3, 3, -1, false)].concat());
    let blocks = read_all(data.clone(), 0).unwrap();
    assert_eq!(blocks[0].chunks.len(), 1);
    assert_eq!(blocks[0].chunks[0].as_ptr(), data.as_ptr());
}

#[test]
fn earlier_records_are_dropped() {
    for codec in CODECS {
        let data = edit(&sample(codec, 20), |header| header.base_offset = 100);
        assert_eq!(offsets(&read_all(data, 115).unwrap()), [115, 116, 117, 118, 119]);
    }
}

#[test]
fn the_position_moves_past_what_compaction_removed() {
    let data = edit(&batch_at(10, 3, -1, false), |header| header.last_offset_delta = 9);
    let mut reader = reader(data, 0, ReaderOptions::default());
    assert_eq!(reader.next_block(2, usize::MAX).unwrap().unwrap().next_offset, 12);
    assert_eq!(reader.next_block(2, usize::MAX).unwrap().unwrap().next_offset, 20);
    assert!(reader.next_block(2, usize::MAX).unwrap().is_none());

    let header = BatchHeader::read(&batch_at(5, 1, -1, false), true).unwrap();
    for codec in CODECS {
        let emptied =
            BatchHeader { count: 0, last_offset_delta: 4, attributes: codec.id(), ..header }.write(&[]);
        let blocks = read_all(emptied, 5).unwrap();
        assert_eq!((blocks.len(), blocks[0].records.len(), blocks[0].next_offset), (1, 0, 10));
    }
}

#[test]
fn the_broker_sets_append_times() {
    let data = edit(&sample(Codec::Lz4, 5), |header| {
        header.attributes |= 0x08;
        header.max_timestamp = 77;
        header.leader_epoch = 6;
    });
    let blocks = read_all(data, 0).unwrap();
    assert_eq!(blocks[0].leader_epoch, 6);
    for record in blocks[0].records.iter() {
        assert_eq!((record.timestamp, record.timestamp_type), (77, TimestampType::LogAppendTime));
    }
}

#[test]
fn a_cut_tail_is_the_end_and_a_cut_head_an_error() {
    let first = batch_at(0, 3, -1, false);
    for second in [batch_at(3, 3, -1, false), edit(&sample(Codec::Zstd, 9), |h| h.base_offset = 3)] {
        let whole = [first.clone(), second].concat();
        for cut in 0..whole.len() {
            let outcome = read_all(whole[..cut].to_vec(), 0);
            if cut == 0 {
                assert!(outcome.unwrap().is_empty());
            } else if cut < first.len() {
                let error = outcome.unwrap_err();
                assert_eq!(error.kind, Kind::CorruptRecord, "{cut}");
                assert_eq!(
                    (error.topic.as_deref(), error.partition, error.offset),
                    (Some("t"), Some(3), Some(0))
                );
            } else {
                assert_eq!(offsets(&outcome.unwrap()), [0, 1, 2]);
            }
        }
    }
}

#[test]
fn records_before_an_error_come_first() {
    let mut bad = batch_at(3, 3, -1, false);
    *bad.last_mut().unwrap() ^= 1;
    let mut reader = reader([batch_at(0, 3, -1, false), bad].concat(), 0, ReaderOptions::default());
    let block = reader.next_block(usize::MAX, usize::MAX).unwrap().unwrap();
    assert_eq!((block.records.len(), block.next_offset), (3, 3));
    for _ in 0..2 {
        let error = reader.next_block(usize::MAX, usize::MAX).unwrap_err();
        assert_eq!((error.kind, error.offset), (Kind::CorruptRecord, Some(3)));
    }
}

#[test]
fn a_wrong_checksum_is_found_unless_it_is_not_to_be() {
    for codec in CODECS {
        let mut data = sample(codec, 10);
        data[17] ^= 1;
        let options = ReaderOptions { check_crcs: false, ..ReaderOptions::default() };
        assert_eq!(drain(reader(data.clone(), 0, options), 100).0[0].records.len(), 10);
        assert_eq!(read_all(data, 0).unwrap_err().kind, Kind::CorruptRecord);
    }
}

#[test]
fn a_slice_is_a_block() {
    let block =
        read_all(edit(&batch_at(10, 5, -1, false), |h| h.last_offset_delta = 9), 0).unwrap().remove(0);
    let middle = block.slice(1..3);
    assert_eq!(offsets(std::slice::from_ref(&middle)), [11, 12]);
    assert_eq!(middle.next_offset, 13);
    assert_eq!(middle.value(&middle.records[0]), Some(&b"1"[..]));
    assert_eq!(block.slice(3..99).next_offset, 20);
    assert_eq!(block.slice(2..2).next_offset, 12);
    assert_eq!(block.slice(9..12).records.len(), 0);
    assert!(block.slice(0..1).bytes < block.bytes);
}
