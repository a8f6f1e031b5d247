//! Exactly-once lanes against a broker that stores, and loses its answers.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use rivven_protocol::{MessageData, Request, Response, WireFormat};

use super::*;
use crate::bad::OnBad;
use crate::bridge::encoder::{EventEncoder, OnTombstone, RawEncoder};
use crate::bridge::event_encode::EventOptions;
use crate::rivven::mock::{broker, error, link, Reply};
use crate::rivven::wire;

const ID: &str = "abcdefghijklmnopqrstuv";

/// What the broker holds and what it is to do next.
#[derive(Default)]
struct Log {
    values: Vec<Bytes>,
    epochs: HashMap<u64, u16>,
    batches: usize,
    /// The end is told as that much higher, once there are records, and as often as this.
    appending: usize,
    /// The batch at which somebody else asks for its producer id.
    shut_out_after: usize,
}

impl Log {
    /// The next epoch of a producer id, as of rivvend.
    fn init(&mut self, id: u64) -> u16 {
        *self.epochs.entry(id).and_modify(|epoch| *epoch += 1).or_insert(0)
    }
}

fn block(offsets: std::ops::Range<u64>) -> Block {
    let message = |offset| MessageData::new(offset, format!("v{offset}"), 0);
    let messages = offsets.map(message).collect();
    let body = Response::Messages { messages }.to_wire(WireFormat::Postcard, 1).unwrap();
    wire::decode_messages(&Bytes::from(body), &Arc::from("source"), 0).unwrap()
}

/// A publisher on a broker with one partition. `judge(number of the batch, its values)` says how many of them are
/// stored, and what is answered instead of success.
fn publisher(
    recognition: Recognition,
    judge: impl FnMut(usize, usize) -> (usize, Option<Reply>) + Send + 'static,
) -> (Publisher, Arc<Mutex<Log>>) {
    publisher_on(Arc::default(), recognition, judge)
}

fn publisher_on(
    log: Arc<Mutex<Log>>,
    recognition: Recognition,
    mut judge: impl FnMut(usize, usize) -> (usize, Option<Reply>) + Send + 'static,
) -> (Publisher, Arc<Mutex<Log>>) {
    let state = Arc::clone(&log);
    let address = broker(move |request| {
        let mut log = lock(&state);
        Reply::Answer(match request {
            Request::GetMetadata { topic } => Response::Metadata { name: topic, partitions: 1 },
            Request::Ping => Response::Pong,
            Request::GetOffsetBounds { .. } => {
                let appending = usize::from(log.batches > 0 && log.appending > 0);
                log.appending -= appending;
                Response::OffsetBounds { earliest: 0, latest: (log.values.len() + appending) as u64 }
            }
            Request::Consume { offset, max_messages, .. } => {
                let read = log.values.iter().enumerate().skip(offset as usize).take(max_messages as usize);
                let message = |(at, value): (usize, &Bytes)| MessageData::new(at as u64, value.clone(), 0);
                Response::Messages { messages: read.map(message).collect() }
            }
            Request::InitProducerId { producer_id } => {
                let producer_id = producer_id.unwrap();
                Response::ProducerIdInitialized { producer_id, producer_epoch: log.init(producer_id) }
            }
            Request::CommitOffset { .. } => Response::OffsetCommitted,
            Request::DeleteGroup { .. } => Response::GroupDeleted,
            Request::IdempotentPublishBatch { records, producer_id, producer_epoch, .. } => {
                match log.epochs.get(&producer_id) {
                    Some(epoch) if *epoch == producer_epoch => {}
                    Some(_) => return error("PRODUCER_FENCED: 7"),
                    None => return error("UNKNOWN_PRODUCER_ID: 7"),
                }
                log.batches += 1;
                if log.batches == log.shut_out_after {
                    log.init(producer_id);
                }
                let base_offset = log.values.len() as u64;
                let (stored, reply) = judge(log.batches, records.len());
                let record_count = records.len() as u32;
                log.values.extend(records.into_iter().take(stored).map(|record| record.value));
                match reply {
                    Some(reply) => return reply,
                    None => Response::IdempotentPublishedBatch {
                        base_offset,
                        partition: 0,
                        record_count,
                        duplicate: false,
                    },
                }
            }
            other => panic!("{other:?}"),
        })
    });
    let encoder: Arc<dyn ValueEncoder> = match recognition {
        Recognition::Position => Arc::new(EventEncoder {
            options: EventOptions { include_headers: true, include_key: true },
            protection: None,
        }),
        Recognition::Order => Arc::new(RawEncoder(OnTombstone::Fail)),
    };
    let config = PublisherConfig {
        link: link(&address, 3),
        partitioning: Partitioning::Preserve,
        connections: 1,
        max_batch_records: 4,
        max_request_bytes: LARGEST_REQUEST,
        on_bad: OnBad::Fail,
        check_log: true,
        recognition: Some(recognition),
        ages: None,
    };
    let publisher = Publisher::new(config, encoder).unwrap();
    publisher.add_route("source", "target", 1, 1, Some(ID)).unwrap();
    publisher.extend_lease(Duration::from_secs(60)).unwrap();
    (publisher, log)
}

fn prepare(publisher: &Publisher, position: i64, anchor: Option<i64>) -> Prepared {
    let anchors = anchor.map(|at| vec![(Arc::from("target"), 0, at)]);
    publisher.prepare(vec![("source".into(), 0, position, anchors)], false).unwrap()
}

fn anchor(publisher: &Publisher, position: i64) -> (i64, bool) {
    let (anchors, settled) = publisher.anchors("source", 0, position).unwrap().unwrap();
    (anchors[0].2, settled)
}

/// The numbers of the values in the log.
fn numbers(log: &Mutex<Log>) -> Vec<u64> {
    let number = |value: &Bytes| {
        let text = std::str::from_utf8(value).unwrap();
        let at = text.find("\"data\":\"v").map_or(1, |at| at + 9);
        text[at..].chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
    };
    lock(log).values.iter().map(number).collect()
}

#[test]
fn a_lost_answer_is_looked_up_in_the_log() {
    for recognition in [Recognition::Position, Recognition::Order] {
        for (stored, reply) in
            [(4, Reply::Hang), (2, error("I/O error: no space")), (0, error("WAL_ERROR: disk"))]
        {
            let mut reply = Some(reply);
            let (publisher, log) = publisher(recognition, move |_, count| {
                reply.take().map_or((count, None), |it| (stored, Some(it)))
            });
            prepare(&publisher, 0, None);
            publisher.submit(block(0..10)).unwrap();
            assert!(publisher.close(Duration::from_secs(10)), "{:?}", publisher.error());
            assert_eq!(numbers(&log), (0..10).collect::<Vec<_>>(), "{stored} stored");
            assert_eq!(publisher.positions(), vec![(Arc::from("source"), 0, 10)]);
            assert_eq!(anchor(&publisher, 10), (10, true));
        }
    }
}

#[test]
fn a_request_without_an_answer_is_waited_for() {
    let state: Arc<Mutex<Log>> = Arc::default();
    let broker = Arc::clone(&state);
    let mut lost = true;
    let (publisher, log) = publisher_on(state, Recognition::Order, move |_, count| {
        if !std::mem::take(&mut lost) {
            return (count, None);
        }
        // The broker goes on with it after the client has given up (300 ms) and looked at the log.
        let log = Arc::clone(&broker);
        std::thread::spawn(move || {
            for number in 0..count {
                std::thread::sleep(Duration::from_millis(250));
                lock(&log).values.push(Bytes::from(format!("v{number}")));
            }
        });
        (0, Some(Reply::Silence))
    });
    prepare(&publisher, 0, None);
    publisher.submit(block(0..6)).unwrap();
    assert!(publisher.close(Duration::from_secs(20)), "{:?}", publisher.error());
    assert_eq!(numbers(&log), [0, 1, 2, 3, 4, 5]);
    assert_eq!(lock(&log).batches, 2, "nothing was sent twice");
}

#[test]
fn an_end_that_is_taken_back_is_not_believed() {
    let (publisher, log) = publisher(Recognition::Position, |number, count| match number {
        2 => (0, Some(error("I/O error: no space"))),
        _ => (count, None),
    });
    lock(&log).appending = 1;
    prepare(&publisher, 0, None);
    publisher.submit(block(0..3)).unwrap();
    publisher.wait(Duration::from_secs(10));
    assert_eq!((lock(&log).appending, anchor(&publisher, 3)), (0, (3, true)));
    publisher.submit(block(3..6)).unwrap();
    assert!(publisher.close(Duration::from_secs(10)), "{:?}", publisher.error());
    assert_eq!(numbers(&log), (0..6).collect::<Vec<_>>());
}

#[test]
fn records_of_others_raise_the_end() {
    let (publisher, log) = publisher(Recognition::Position, |_, count| (count, None));
    prepare(&publisher, 0, None);
    lock(&log).values.push(Bytes::from("v9"));
    publisher.submit(block(0..3)).unwrap();
    publisher.wait(Duration::from_secs(10));
    lock(&log).values.push(Bytes::from("v9"));
    publisher.submit(block(3..6)).unwrap();
    assert!(publisher.close(Duration::from_secs(10)), "{:?}", publisher.error());
    assert_eq!(anchor(&publisher, 6), (8, true));
}

#[test]
fn what_the_log_has_is_not_published_again() {
    for recognition in [Recognition::Position, Recognition::Order] {
        let (first, log) = publisher(recognition, |_, count| (count, None));
        prepare(&first, 0, None);
        first.submit(block(0..10)).unwrap();
        assert!(first.close(Duration::from_secs(10)));
        let (second, log) = publisher_on(log, recognition, |_, count| (count, None));
        let prepared = prepare(&second, 6, Some(6));
        assert_eq!((prepared.read, prepared.found), (4, 4));
        assert_eq!(anchor(&second, 6), (6, true));
        second.submit(block(6..14)).unwrap();
        assert!(second.close(Duration::from_secs(10)), "{:?}", second.error());
        assert_eq!(numbers(&log), (0..14).collect::<Vec<_>>());
        assert_eq!(second.stats().records_suppressed.load(Ordering::Relaxed), 4);
        assert_eq!(second.positions(), vec![(Arc::from("source"), 0, 14)]);
        assert_eq!(anchor(&second, 14), (14, true));
    }
}

#[test]
fn nothing_is_sent_without_a_lease() {
    let (publisher, log) = publisher(Recognition::Position, |_, count| (count, None));
    prepare(&publisher, 0, None);
    publisher.extend_lease(Duration::ZERO).unwrap();
    publisher.submit(block(0..3)).unwrap();
    publisher.wait(Duration::from_millis(200));
    assert_eq!(lock(&log).batches, 0);
    publisher.extend_lease(Duration::from_secs(60)).unwrap();
    assert!(publisher.close(Duration::from_secs(10)));
    assert_eq!(numbers(&log), [0, 1, 2]);
}

#[test]
fn a_publisher_that_was_shut_out_ends() {
    let fenced = || error("PRODUCER_FENCED: current epoch 9, received 1");
    let (publisher, log) = publisher(Recognition::Position, move |_, _| (0, Some(fenced())));
    prepare(&publisher, 0, None);
    publisher.submit(block(0..3)).unwrap();
    assert!(!publisher.close(Duration::from_secs(10)));
    assert_eq!(publisher.error().unwrap().kind, Kind::Fenced);
    assert!(publisher.positions().is_empty() && numbers(&log).is_empty());
    assert_eq!(anchor(&publisher, 0), (0, true), "nothing was stored");
}

/// What a successor does, who finds the identity of `publisher` in Kafka.
fn shut_out(publisher: &Publisher, log: &Mutex<Log>) {
    let id = producer_id(publisher.identity().unwrap(), "target", 0, 0);
    if lock(log).init(id) == 0 {
        lock(log).init(id);
    }
}

#[test]
fn a_lane_that_was_shut_out_before_its_first_record_sends_nothing() {
    let (publisher, log) = publisher(Recognition::Position, |_, count| (count, None));
    prepare(&publisher, 0, None);
    shut_out(&publisher, &log);
    publisher.submit(block(0..3)).unwrap();
    assert!(!publisher.close(Duration::from_secs(10)));
    assert_eq!(publisher.error().unwrap().kind, Kind::Fenced);
    assert!(publisher.positions().is_empty() && numbers(&log).is_empty());
}

#[test]
fn a_lane_that_was_shut_out_while_it_was_away_sends_nothing_more() {
    // What the log has of the batch then: nothing, or all of it.
    for stored in [0, 3] {
        let (publisher, log) = publisher(Recognition::Position, move |number, count| match number {
            1 => (count, None),
            _ => (stored, Some(Reply::Hang)),
        });
        lock(&log).shut_out_after = 2;
        prepare(&publisher, 0, None);
        publisher.submit(block(0..3)).unwrap();
        publisher.wait(Duration::from_secs(10));
        publisher.submit(block(3..6)).unwrap();
        assert!(!publisher.close(Duration::from_secs(10)));
        assert_eq!(publisher.error().unwrap().kind, Kind::Fenced);
        assert_eq!(numbers(&log), (0..3 + stored as u64).collect::<Vec<_>>());
        assert_eq!(lock(&log).batches, 2, "nothing was sent again");
    }
}

#[test]
fn who_has_let_go_goes_on_under_other_ids() {
    let (publisher, log) = publisher(Recognition::Position, |_, count| (count, None));
    prepare(&publisher, 0, None);
    publisher.submit(block(0..3)).unwrap();
    publisher.wait(Duration::from_secs(10));
    shut_out(&publisher, &log);
    publisher.renew_identity().unwrap();
    publisher.submit(block(3..6)).unwrap();
    assert!(publisher.close(Duration::from_secs(10)), "{:?}", publisher.error());
    assert_eq!(numbers(&log), (0..6).collect::<Vec<_>>());
}

#[test]
fn a_broker_that_was_restarted_shuts_nobody_out() {
    let (publisher, log) = publisher(Recognition::Position, |_, count| (count, None));
    prepare(&publisher, 0, None);
    for first in [0, 3, 6] {
        publisher.submit(block(first..first + 3)).unwrap();
        publisher.wait(Duration::from_secs(10));
        lock(&log).epochs.clear();
    }
    assert!(publisher.close(Duration::from_secs(10)), "{:?}", publisher.error());
    assert_eq!(numbers(&log), (0..9).collect::<Vec<_>>());
}

#[test]
fn in_order_a_foreign_record_ends_it() {
    let (publisher, log) = publisher(Recognition::Order, |_, count| (count, None));
    lock(&log).values.push(Bytes::from("v9"));
    prepare(&publisher, 0, None);
    publisher.submit(block(0..2)).unwrap();
    publisher.wait(Duration::from_secs(5));
    lock(&log).values.push(Bytes::from("v9"));
    publisher.submit(block(2..3)).unwrap();
    assert!(!publisher.close(Duration::from_secs(10)));
    assert_eq!(publisher.error().unwrap().kind, Kind::ForeignWriter);
    assert_eq!(publisher.positions(), vec![(Arc::from("source"), 0, 2)]);
}

#[test]
fn a_partition_has_to_be_prepared() {
    let (publisher, _) = publisher(Recognition::Position, |_, count| (count, None));
    assert_eq!(publisher.submit(block(0..1)).unwrap_err().kind, Kind::InvalidRequest);
    assert!(publisher.anchors("source", 0, 0).unwrap().is_none());
}
