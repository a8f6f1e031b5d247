use super::*;
use crate::record::{Record, Span, TimestampType};

fn block(first: i64, count: i64) -> Block {
    let record = |offset| Record {
        offset,
        timestamp: 0,
        chunk: 0,
        key: Span::NULL,
        value: Span::NULL,
        headers: Span::NULL,
        header_count: 0,
        timestamp_type: TimestampType::CreateTime,
    };
    Block {
        topic: Arc::from("t"),
        partition: 0,
        leader_epoch: -1,
        next_offset: first + count,
        chunks: Arc::from([]),
        records: Arc::new((first..first + count).map(record).collect()),
        bytes: 10,
    }
}

#[test]
fn a_position_waits_for_everything_before_it() {
    let tracker = Tracker::new();
    let first = tracker.register(&block(0, 100));
    let second = tracker.register(&block(100, 10));
    second.acknowledge(0..10);
    assert!(tracker.take_positions().is_empty());
    first.acknowledge(70..100);
    assert!(tracker.take_positions().is_empty());
    assert_eq!(tracker.in_flight_records(None), 70);
    first.acknowledge(0..66);
    assert_eq!(tracker.take_positions(), vec![(Arc::from("t"), 0, 66)]);
    first.acknowledge(66..70);
    assert_eq!(tracker.take_positions(), vec![(Arc::from("t"), 0, 110)]);
    assert!(tracker.take_positions().is_empty(), "reported once");
    assert_eq!(tracker.in_flight_bytes(), 0);
}

#[test]
fn delivered_records_are_as_old_as_their_timestamps_say() {
    let ages = Arc::new(Histogram::new(&[1_000, 60_000]));
    let tracker = Tracker::observed(Some(Arc::clone(&ages)));
    let mut five = block(0, 5);
    let now = now_ms();
    for (record, ago) in Arc::make_mut(&mut five.records).iter_mut().zip([90_000, 30_000, 30_000, 0, -1]) {
        record.timestamp = if ago < 0 { -1 } else { now - ago };
    }
    let ticket = tracker.register(&five);
    let at = |index: usize| Some(five.records[index].timestamp);
    assert_eq!(tracker.times(), vec![(Arc::from("t"), 0, at(0), None)]);
    ticket.deliver(0..3);
    assert_eq!(tracker.times(), vec![(Arc::from("t"), 0, at(3), at(2))]);
    ticket.acknowledge(3..4);
    assert_eq!(tracker.times(), vec![(Arc::from("t"), 0, None, at(3))], "it has no timestamp");
    ticket.deliver(4..5);
    assert_eq!(ages.read().0, vec![0, 2, 1], "not the one that was only acknowledged");
    tracker.register(&block(5, 0));
    assert_eq!(tracker.times(), vec![(Arc::from("t"), 0, None, None)]);
}

#[test]
fn copies_of_earlier_records_take_no_position_back() {
    let tracker = Tracker::new();
    tracker.register(&block(2, 1)).acknowledge(0..1);
    let mut damaged = block(3, 100);
    let records = Arc::make_mut(&mut damaged.records);
    records[70..].iter_mut().for_each(|record| record.offset = 3);
    damaged.next_offset = 73;
    assert_eq!(damaged.slice(0..80).next_offset, 73);
    let ticket = tracker.register(&damaged);
    let mut positions = Vec::new();
    for index in 0..100 {
        ticket.acknowledge(index..index + 1);
        positions.extend(tracker.take_positions().into_iter().map(|(.., position)| position));
    }
    assert_eq!(positions, [3, 73], "none within the block: what comes later in it stands before");
}

#[test]
fn an_empty_block_moves_the_position() {
    let tracker = Tracker::new();
    tracker.register(&block(5, 0));
    assert_eq!(tracker.take_positions(), vec![(Arc::from("t"), 0, 5)]);
}

#[test]
fn dropped_records_hold_the_position() {
    let tracker = Tracker::new();
    let ticket = tracker.register(&block(0, 5));
    tracker.register(&block(5, 0));
    tracker.cancel("t", 0);
    assert!(ticket.cancelled());
    ticket.acknowledge(0..2);
    ticket.drop_unsent(3);
    assert_eq!(tracker.take_positions(), vec![(Arc::from("t"), 0, 2)]);
    assert_eq!((tracker.in_flight_records(None), tracker.in_flight_bytes()), (0, 0));
}

#[test]
fn a_held_record_holds_the_position_until_it_is_released() {
    let tracker = Tracker::new();
    let ticket = tracker.register(&block(0, 5));
    ticket.hold();
    ticket.acknowledge(0..2);
    ticket.acknowledge(3..5);
    assert_eq!(tracker.take_positions(), vec![(Arc::from("t"), 0, 2)]);
    assert_eq!((tracker.in_flight_records(None), tracker.in_flight_bytes()), (1, 10));
    ticket.release(2);
    assert_eq!(tracker.take_positions(), vec![(Arc::from("t"), 0, 5)]);
    assert_eq!((tracker.unsettled(), tracker.in_flight_bytes()), (0, 0));
}

#[test]
fn nobody_waits_for_held_records_of_a_cancelled_partition() {
    let tracker = Tracker::new();
    let ticket = tracker.register(&block(0, 4));
    ticket.hold();
    ticket.acknowledge(0..1);
    tracker.cancel("t", 0);
    tracker.cancel("t", 0);
    assert_eq!(tracker.in_flight_records(Some(("t", 0))), 2, "those on the wire");
    ticket.hold(); // a lane that did not see the end in time
    ticket.acknowledge(3..4);
    assert_eq!((tracker.unsettled(), tracker.in_flight_bytes()), (0, 0));
    assert_eq!(tracker.take_positions(), vec![(Arc::from("t"), 0, 1)]);
    ticket.release(1);
    assert_eq!(tracker.take_positions(), vec![(Arc::from("t"), 0, 2)], "settled all the same");
    tracker.forget("t", 0);
    ticket.release(2);
    assert!(tracker.take_positions().is_empty());
    assert_eq!((tracker.unsettled(), tracker.in_flight_bytes()), (0, 0));
}

#[test]
fn forgetting_cancels_and_drops_the_position() {
    let tracker = Tracker::new();
    let ticket = tracker.register(&block(0, 3));
    tracker.forget("t", 0);
    assert!(ticket.cancelled());
    ticket.acknowledge(0..3);
    assert!(tracker.take_positions().is_empty());
    assert_eq!(tracker.in_flight_bytes(), 0);
}
