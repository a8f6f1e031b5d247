//! Lanes against a broker that refuses, delays and lies.

use bytes::Bytes;
use rivven_protocol::{MessageData, Request, Response, WireFormat};

use super::*;
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
    mut reply: impl FnMut(usize, Vec<Bytes>) -> Reply + Send + 'static,
    encoder: impl ValueEncoder + 'static,
) -> Publisher {
    let mut count = 0;
    let address = broker(move |request| match request {
        Request::GetMetadata { topic } => Reply::Answer(Response::Metadata { name: topic, partitions: 1 }),
        Request::PublishBatch { records, .. } => {
            count += 1;
            reply(count, records.into_iter().map(|record| record.value).collect())
        }
        _ => Reply::Hang,
    });
    let config = PublisherConfig {
        link: link(&address, 3),
        topic: "target".into(),
        partitions: 1,
        partitioning: Partitioning::Preserve,
        lanes_per_partition: 1,
        connections: 1,
        max_batch_records: 3,
        max_request_bytes: LARGEST_REQUEST,
        skip_bad_records: false,
    };
    Publisher::new(config, Arc::new(encoder)).unwrap()
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
    fn encode(&self, block: &Block, record: &Record, out: &mut Vec<u8>) -> Result<Encoded> {
        match block.value(record) {
            Some(b"skip") => Ok(Encoded::Skip),
            Some(b"panic") => panic!("on purpose"),
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
