//! `read_committed`: what of a log with transactions a consumer sees (KIP-98).

use super::*;

const A: i64 = 1000;
const B: i64 = 2000;

fn committed(data: Vec<u8>, from: i64, aborted: &[(i64, i64)]) -> (Vec<i64>, i64) {
    let options = ReaderOptions { read_committed: true, ..ReaderOptions::default() };
    let reader = BatchReader::new(Arc::from("t"), 0, data.into(), from, options, aborted.to_vec());
    let (blocks, error) = drain(reader, usize::MAX);
    assert!(error.is_none(), "{error:?}");
    (offsets(&blocks), next_offset(&blocks))
}

/// 0-1 A aborts, 2 B commits, 3 abort of A, 4 plain, 5-6 A commits, 7 commit of B, 8 commit of A.
fn log() -> Vec<u8> {
    [
        batch_at(0, 2, A, true),
        batch_at(2, 1, B, true),
        marker(3, A, false),
        batch_at(4, 1, -1, false),
        batch_at(5, 2, A, true),
        marker(7, B, true),
        marker(8, A, true),
    ]
    .concat()
}

#[test]
fn aborted_records_and_markers_are_dropped() {
    assert_eq!(committed(log(), 0, &[(A, 0)]), (vec![2, 4, 5, 6], 9));
}

#[test]
fn uncommitted_reading_drops_markers_only() {
    let blocks = read_all(log(), 0).unwrap();
    assert_eq!((offsets(&blocks), next_offset(&blocks)), (vec![0, 1, 2, 4, 5, 6], 9));
}

#[test]
fn an_abort_ends_at_its_marker_and_a_second_one_starts_later() {
    let data = [
        batch_at(0, 1, A, true),
        marker(1, A, false),
        batch_at(2, 1, A, true),
        marker(3, A, true),
        batch_at(4, 1, A, true),
        marker(5, A, false),
    ]
    .concat();
    // In any order: the response does not promise one.
    assert_eq!(committed(data.clone(), 0, &[(A, 4), (A, 0)]), (vec![2], 6));
    assert_eq!(committed(data, 2, &[(A, 4)]), (vec![2], 6));
}

#[test]
fn records_outside_a_transaction_are_kept() {
    // An idempotent producer without a transaction, under an id that aborts one.
    let data = [batch_at(0, 1, A, false), batch_at(1, 1, A, true), marker(2, A, false)].concat();
    assert_eq!(committed(data, 0, &[(A, 0)]), (vec![0], 3));
}

#[test]
fn a_position_is_told_where_nothing_is_left() {
    let data = [batch_at(0, 500, A, true), marker(500, A, false)].concat();
    let options = ReaderOptions { read_committed: true, ..ReaderOptions::default() };
    let mut reader = BatchReader::new(Arc::from("t"), 0, data.into(), 0, options, vec![(A, 0)]);
    let block = reader.next_block(10, 10).unwrap().unwrap();
    assert_eq!((block.records.len(), block.next_offset), (0, 501));
    assert!(reader.next_block(10, 10).unwrap().is_none());
}

#[test]
fn a_marker_after_the_last_record_is_told_too() {
    let data = [batch_at(0, 2, A, true), marker(2, A, true)].concat();
    let mut reader = reader(data, 0, ReaderOptions::default());
    assert_eq!(reader.next_block(2, usize::MAX).unwrap().unwrap().next_offset, 2);
    let block = reader.next_block(2, usize::MAX).unwrap().unwrap();
    assert_eq!((block.records.len(), block.next_offset), (0, 3));
    assert!(reader.next_block(2, usize::MAX).unwrap().is_none());
}

#[test]
fn an_aborted_batch_is_not_even_decompressed() {
    let aborted = edit(&sample(Codec::Zstd, 50), |header| {
        header.producer_id = A;
        header.attributes |= 0x10;
    });
    let options = ReaderOptions { read_committed: true, max_batch_bytes: 1, ..ReaderOptions::default() };
    let reader = BatchReader::new(Arc::from("t"), 0, aborted.into(), 0, options, vec![(A, 0)]);
    let (blocks, error) = drain(reader, 10);
    assert!(error.is_none());
    assert_eq!(next_offset(&blocks), 50);
}
