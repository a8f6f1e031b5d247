use std::sync::Arc;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::bridge::encoder::{OnTombstone, RawEncoder};
use crate::record::{Record, Span, TimestampType};

type Rows = Vec<(u8, u8)>;

/// Records with keys and values of one byte, from offset `first` on.
fn block(first: usize, rows: &[(u8, u8)]) -> Block {
    let bytes: Vec<u8> = rows.iter().flat_map(|(key, value)| [*key, *value]).collect();
    let record = |index: usize| Record {
        offset: (first + index) as i64,
        timestamp: 0,
        chunk: 0,
        key: Span { start: 2 * index as u32, len: 1 },
        value: Span { start: 2 * index as u32 + 1, len: 1 },
        headers: Span::NULL,
        header_count: 0,
        timestamp_type: TimestampType::CreateTime,
    };
    Block {
        topic: Arc::from("t"),
        partition: 0,
        leader_epoch: -1,
        next_offset: (first + rows.len()) as i64,
        bytes: bytes.len(),
        chunks: Arc::from([Bytes::from(bytes)]),
        records: Arc::new((0..rows.len()).map(record).collect()),
    }
}

fn raw(end: usize, beyond: bool, skip: u64) -> Raw {
    Raw::new(Judge::new(Arc::new(RawEncoder(OnTombstone::Fail)), "d".into()), end as i64, beyond, skip)
}

/// Feeds both sides by turns, `step` records at a time.
fn compare(kafka: &Rows, rivven: &Rows, end: usize, skip: u64, step: usize) -> Raw {
    fed(raw(end, true, skip), kafka, rivven, step)
}

fn fed(mut raw: Raw, kafka: &Rows, rivven: &Rows, step: usize) -> Raw {
    for first in (0..kafka.len().max(rivven.len())).step_by(step) {
        let part = |rows: &Rows| block(first, &rows[first.min(rows.len())..(first + step).min(rows.len())]);
        raw.feed_kafka(&part(kafka));
        raw.feed_rivven(&part(rivven));
    }
    raw.finish_rivven();
    raw.finish_kafka();
    raw
}

fn numbered(count: usize) -> Rows {
    (0..count).map(|n| ((n / 250) as u8, (n % 250) as u8)).collect()
}

fn first(raw: &Raw) -> (Wrong, Option<i64>, Option<i64>) {
    let First { wrong, kafka, rivven } = raw.first.expect("a difference");
    (wrong, kafka, rivven)
}

#[test]
fn every_kind_of_difference_is_named() {
    let kafka = numbered(300);
    for place in [0usize, 1, 150, 297, 298] {
        let at = Some(place as i64);
        let check = |want: Wrong, edit: &dyn Fn(&mut Rows)| {
            let mut rivven = kafka.clone();
            edit(&mut rivven);
            let found = compare(&kafka, &rivven, 300, 0, 7);
            assert_eq!(first(&found), (want, at, at), "{place}");
            assert_ne!(found.kafka.digest, found.rivven.digest);
            assert_eq!((found.kafka.records, found.rivven.records), (300, rivven.len() as u64));
        };
        check(Wrong::Missing, &|rows| _ = rows.remove(place));
        check(Wrong::Altered, &|rows| rows[place].1 = 251);
        check(Wrong::Swapped, &|rows| rows.swap(place, place + 1));
        check(Wrong::Extra, &|rows| rows.insert(place, (9, 251)));
        if place > 0 {
            check(Wrong::Doubled, &|rows| rows.insert(place, rows[place - 1]));
        }
    }
}

#[test]
fn the_ends_matter() {
    let kafka = numbered(100);
    let cut = compare(&kafka, &numbered(99), 100, 0, 10);
    assert_eq!(first(&cut), (Wrong::Missing, Some(99), None));
    let mut longer = kafka.clone();
    longer.push(kafka[99]);
    assert_eq!(first(&compare(&kafka, &longer, 100, 0, 10)), (Wrong::Doubled, None, Some(100)));
}

#[test]
fn what_is_copied_beyond_the_range_is_no_difference_unless_it_differs() {
    let kafka = numbered(100);
    for copied in [60, 61, 80, 100] {
        let found = compare(&kafka, &numbered(copied), 60, 0, 9);
        assert_eq!(found.first, None, "{copied}");
        assert_eq!((found.kafka.records, found.rivven.records), (60, 60));
        assert_eq!(found.kafka.digest, found.rivven.digest);
    }
    let mut wrong = numbered(80);
    wrong[70].1 = 251;
    assert_eq!(first(&compare(&kafka, &wrong, 60, 0, 9)), (Wrong::Altered, Some(70), Some(70)));
}

#[test]
fn what_is_beyond_a_fixed_range_does_not_matter() {
    let (kafka, mut rivven) = (numbered(100), numbered(90));
    rivven.remove(60);
    let equal = fed(raw(60, false, 0), &kafka, &rivven, 9);
    assert_eq!((equal.first, equal.done(), equal.rivven.records), (None, true, 60));
    assert_eq!(equal.kafka.digest, equal.rivven.digest);
    let found = fed(raw(61, false, 0), &kafka, &rivven, 9);
    assert_eq!(first(&found), (Wrong::Missing, Some(60), Some(60)));
}

#[test]
fn records_before_the_range_are_passed_over() {
    let all = numbered(50);
    let found = compare(&all[20..].to_vec(), &all, 30, 20, 8);
    assert_eq!((found.first, found.rivven.records), (None, 30));
}

proptest! {
    #[test]
    fn the_first_difference_is_where_the_sides_begin_to_differ(
        kafka in vec((0u8..3, 0u8..3), 0..200),
        edits in vec((any::<prop::sample::Index>(), 0u8..5, (0u8..3, 0u8..3)), 0..3),
        step in 1usize..80,
    ) {
        let mut rivven = kafka.clone();
        for (index, kind, row) in edits {
            if rivven.is_empty() {
                break;
            }
            let index = index.index(rivven.len());
            match kind {
                0 => _ = rivven.remove(index),
                1 => rivven.insert(index, rivven[index]),
                2 => rivven[index] = row,
                3 => rivven.swap(index, 0),
                _ => rivven.insert(index, row),
            }
        }
        let found = compare(&kafka, &rivven, kafka.len(), 0, step);
        let length = kafka.len().max(rivven.len());
        let differs = (0..length).find(|index| kafka.get(*index) != rivven.get(*index));
        let place = |rows: &Rows| differs.filter(|index| *index < rows.len()).map(|index| index as i64);
        let places = found.first.map(|first| (first.kafka, first.rivven));
        prop_assert_eq!(places, differs.map(|_| (place(&kafka), place(&rivven))));
        prop_assert_eq!(found.kafka.digest == found.rivven.digest, differs.is_none());
    }
}
