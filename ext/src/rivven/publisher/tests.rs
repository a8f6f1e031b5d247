//! Lanes against a broker that refuses, delays and lies.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use rivven_protocol::{MessageData, Request, Response, WireFormat};

use super::*;
use crate::bad::{OnBad, MOST_SKIPPED};
use crate::bridge::encoder::{OnTombstone, RawEncoder};
use crate::record::{Record, Span};
use crate::rivven::mock::{broker, error, link, Reply};
use crate::rivven::wire;

fn block(values: &[&str]) -> Block {
    let message = |(offset, value): (usize, &&str)| MessageData::new(offset as u64, value.to_string(), 0);
    let messages = values.iter().enumerate().map(message).collect();
    let body = Response::Messages { messages }.to_wire(WireFormat::Postcard, 1).unwrap();
    wire::decode_messages(&Bytes::from(body), &Arc::from("source"), 0).unwrap()
}

fn stored(count: usize) -> Reply {
    Reply::Answer(Response::PublishedBatch { base_offset: 0, partition: 0, record_count: count as u32 })
}

/// A publisher whose batches are answered by `reply(number of the batch, its values)`.
fn publisher(
    reply: impl FnMut(usize, Vec<Bytes>) -> Reply + Send + 'static,
    encoder: impl ValueEncoder + 'static,
) -> Publisher {
    publisher_on_bad(OnBad::Fail, reply, encoder)
}

fn publisher_on_bad(
    on_bad: OnBad,
    mut reply: impl FnMut(usize, Vec<Bytes>) -> Reply + Send + 'static,
    encoder: impl ValueEncoder + 'static,
) -> Publisher {
    let mut count = 0;
    let address = broker(move |request| match request {
        Request::GetMetadata { topic } => Reply::Answer(Response::Metadata { name: topic, partitions: 1 }),
        Request::Ping => Reply::Answer(Response::Pong),
        Request::PublishBatch { records, .. } => {
            count += 1;
            reply(count, records.into_iter().map(|record| record.value).collect())
        }
        _ => Reply::Hang,
    });
    let config = PublisherConfig {
        link: link(&address, 3),
        partitioning: Partitioning::Preserve,
        connections: 1,
        max_batch_records: 3,
        max_request_bytes: LARGEST_REQUEST,
        on_bad,
        check_log: false,
        recognition: None,
        ages: None,
    };
    let publisher = Publisher::new(config, Arc::new(encoder)).unwrap();
    publisher.add_route("source", "target", 1, 1, None).unwrap();
    publisher
}

#[test]
fn a_batch_is_repeated_until_it_is_stored() {
    let throttled =
        || Response::Throttled { throttle_time_ms: 30, quota_type: "p".into(), entity: "e".into() };
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let publisher = publisher(
        move |number, values| {
            lock(&log).push(values.clone());
            match number {
                1 => Reply::Answer(throttled()),
                2 => error("WAL_ERROR: disk"),
                3 => Reply::Hang,
                4 => Reply::Silence,
                _ => stored(values.len()),
            }
        },
        RawEncoder(OnTombstone::Fail),
    );
    publisher.submit(block(&["a", "b", "c", "d"])).unwrap();
    assert!(publisher.close(Duration::from_secs(5)));
    let seen = lock(&seen);
    assert_eq!(seen.len(), 6);
    assert!(seen[..5].iter().all(|values| values == &["a", "b", "c"]), "the same batch again");
    assert_eq!(seen[5], ["d"]);
    let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let stats = publisher.stats();
    assert_eq!((read(&stats.retries), read(&stats.throttled_ms), read(&stats.records_published)), (3, 30, 4));
    assert_eq!(publisher.positions(), vec![(Arc::from("source"), 0, 4)]);
}

#[test]
fn a_refusal_ends_it_before_the_batch() {
    let publisher = publisher(
        |number, values| if number == 1 { stored(values.len()) } else { error("INVALID_REQUEST: no") },
        RawEncoder(OnTombstone::Fail),
    );
    publisher.submit(block(&["a", "b", "c", "d", "e"])).unwrap();
    assert!(!publisher.close(Duration::from_secs(5)));
    let error = publisher.error().unwrap();
    assert_eq!((error.kind, error.offset), (Kind::InvalidRequest, Some(3)));
    assert_eq!(publisher.positions(), vec![(Arc::from("source"), 0, 3)]);
}

#[test]
fn an_acknowledgement_of_other_records_is_none() {
    let publisher = publisher(|_, values| stored(values.len() + 1), RawEncoder(OnTombstone::Fail));
    publisher.submit(block(&["a"])).unwrap();
    assert!(!publisher.close(Duration::from_secs(5)));
    assert_eq!(publisher.error().unwrap().kind, Kind::Protocol);
    assert!(publisher.positions().is_empty());
}

#[test]
fn a_tombstone_ends_raw_publishing_at_its_place() {
    let publisher = publisher(|_, values| stored(values.len()), RawEncoder(OnTombstone::Fail));
    let mut block = block(&["a", "b", "c"]);
    let mut records: Vec<Record> = block.records.to_vec();
    records[1].value = Span::NULL;
    block.records = records.into();
    publisher.submit(block).unwrap();
    assert!(!publisher.close(Duration::from_secs(5)));
    let error = publisher.error().unwrap();
    assert_eq!((error.kind, error.offset), (Kind::InvalidRequest, Some(1)));
    assert_eq!(publisher.positions(), vec![(Arc::from("source"), 0, 1)], "what was before it went out");
}

struct Moody;

impl ValueEncoder for Moody {
    fn encode(
        &self,
        block: &Block,
        record: &Record,
        _topic_id: Option<&str>,
        _destination: &str,
        out: &mut Vec<u8>,
    ) -> Result<Encoded> {
        match block.value(record) {
            Some(b"skip") => Ok(Encoded::Skip),
            Some(b"panic") => panic!("on purpose"),
            Some(b"bad") => {
                out.extend_from_slice(b"half");
                Err(Error::new(Kind::EventFormat, "on purpose"))
            }
            value => {
                out.extend_from_slice(value.unwrap_or_default());
                Ok(Encoded::Value)
            }
        }
    }
}

#[test]
fn skipped_records_count_as_done() {
    let publisher = publisher(|_, values| stored(values.len()), Moody);
    publisher.submit(block(&["skip", "a", "skip", "b", "skip"])).unwrap();
    assert!(publisher.close(Duration::from_secs(5)));
    assert_eq!(publisher.positions(), vec![(Arc::from("source"), 0, 5)]);
    assert_eq!(publisher.stats().records_skipped.load(Ordering::Relaxed), 3);
}

#[test]
fn a_panic_of_the_encoder_is_an_error() {
    let publisher = publisher(|_, values| stored(values.len()), Moody);
    publisher.submit(block(&["panic"])).unwrap();
    assert!(!publisher.close(Duration::from_secs(5)));
    assert_eq!(publisher.error().unwrap().kind, Kind::Delivery);
}

#[test]
fn a_bad_record_ends_it_where_it_is() {
    let publisher = publisher(|_, values| stored(values.len()), Moody);
    publisher.submit(block(&["a", "bad", "b"])).unwrap();
    assert!(!publisher.close(Duration::from_secs(5)));
    let error = publisher.error().unwrap();
    assert_eq!((error.kind, error.offset), (Kind::EventFormat, Some(1)));
    assert!(publisher.take_bad().is_empty());
}

/// Waits until only `count` records are in flight.
fn wait_for(publisher: &Publisher, count: usize) {
    let end = Instant::now() + Duration::from_secs(5);
    while publisher.in_flight_records(None) != count {
        assert!(Instant::now() < end && publisher.error().is_none());
        publisher.wait(Duration::from_millis(5));
    }
}

#[test]
fn skipped_bad_records_are_listed_up_to_a_limit_and_counted_beyond() {
    let publisher = publisher_on_bad(OnBad::Skip, |_, values| stored(values.len()), Moody);
    let values = [vec!["bad"; MOST_SKIPPED + 7], vec!["a"]].concat();
    publisher.submit(block(&values)).unwrap();
    wait_for(&publisher, 0);
    let bad = publisher.take_bad();
    assert_eq!((bad.len(), publisher.take_bad_unlisted()), (MOST_SKIPPED, vec![("format", 7)]));
    assert_eq!((publisher.take_bad().len(), publisher.take_bad_unlisted()), (0, vec![]), "told once");
    assert_eq!(publisher.stats().records_bad.load(Ordering::Relaxed), MOST_SKIPPED as u64 + 7);
    assert_eq!(publisher.positions(), vec![(Arc::from("source"), 0, values.len() as i64)]);
    bad.iter().for_each(Bad::settle);
    assert!(publisher.close(Duration::ZERO));
}

#[test]
fn held_records_hold_the_position_and_nothing_else() {
    let sent = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&sent);
    let reply = move |_, values: Vec<Bytes>| {
        lock(&log).extend(values.clone());
        stored(values.len())
    };
    let publisher = publisher_on_bad(OnBad::Hold, reply, Moody);
    let values = [vec!["a"], vec!["bad"; MOST_SKIPPED + 1], vec!["b", "bad", "c"]].concat();
    publisher.submit(block(&values)).unwrap();
    let held = MOST_SKIPPED + 2;
    wait_for(&publisher, held);
    assert_eq!(*lock(&sent), ["a", "b", "c"]);
    assert_eq!(publisher.positions(), vec![(Arc::from("source"), 0, 1)]);
    assert!(publisher.in_flight_bytes() > 0, "their block is in memory");
    let bad = publisher.take_bad();
    assert_eq!((bad.len(), publisher.take_bad_unlisted()), (held, vec![]), "none is lost");
    assert_eq!((bad[0].record().offset, &*bad[0].reason), (1, "on purpose"));
    bad[..held - 1].iter().for_each(Bad::settle);
    bad[0].settle();
    let last = values.len() as i64 - 2;
    assert_eq!(publisher.positions(), vec![(Arc::from("source"), 0, last)]);
    bad[held - 1].settle();
    assert_eq!(publisher.positions(), vec![(Arc::from("source"), 0, last + 2)]);
    assert_eq!((publisher.in_flight_records(None), publisher.in_flight_bytes()), (0, 0));
    assert!(publisher.close(Duration::ZERO));
}

#[test]
fn nobody_waits_for_a_held_record_of_a_partition_that_was_given_up() {
    let publisher = publisher_on_bad(OnBad::Hold, |_, values| stored(values.len()), Moody);
    publisher.submit(block(&["a", "bad", "b"])).unwrap();
    wait_for(&publisher, 1);
    publisher.cancel("source", 0);
    assert_eq!((publisher.in_flight_records(Some(("source", 0))), publisher.in_flight_bytes()), (0, 0));
    assert_eq!(publisher.positions(), vec![(Arc::from("source"), 0, 1)]);
    publisher.forget("source", 0);
    publisher.take_bad().iter().for_each(Bad::settle);
    assert!(publisher.positions().is_empty());
    assert!(publisher.close(Duration::ZERO));
}

#[test]
fn closing_waits_for_held_records_in_vain() {
    let publisher = publisher_on_bad(OnBad::Hold, |_, values| stored(values.len()), Moody);
    publisher.submit(block(&["bad"])).unwrap();
    wait_for(&publisher, 1);
    assert!(!publisher.close(Duration::from_millis(1)));
    assert!(publisher.error().is_none() && publisher.positions().is_empty());
}

#[test]
fn a_block_without_a_route_is_refused() {
    let publisher = publisher(|_, values| stored(values.len()), Moody);
    let error = publisher.submit(Block { topic: Arc::from("other"), ..block(&["a"]) }).unwrap_err();
    assert_eq!((error.kind, error.topic.as_deref()), (Kind::InvalidRequest, Some("other")));
    assert!(error.message.contains("other"));
    publisher.add_route("other", "target", 1, 1, None).unwrap();
    publisher.submit(Block { topic: Arc::from("other"), ..block(&["a"]) }).unwrap();
    assert!(publisher.close(Duration::from_secs(5)));
    assert_eq!(publisher.positions(), vec![(Arc::from("other"), 0, 1)]);
    assert_eq!(publisher.add_route("new", "target", 1, 1, None).unwrap_err().kind, Kind::Delivery, "closed");
}
