//! The hand-written codecs against the protocol crate.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use rivven_protocol::{BatchRecord, MessageData};

use super::*;
use crate::rivven::postcard::write_unsigned;
use crate::rivven::publish_frame::{Producer, PublishFrame};

type KeyValue = (Option<Vec<u8>>, Vec<u8>);

fn record() -> impl Strategy<Value = KeyValue> {
    (option::of(vec(any::<u8>(), 0..200)), vec(any::<u8>(), 0..400))
}

fn publish(topic: &str, partition: u32, records: &[KeyValue]) -> Vec<u8> {
    let records = records
        .iter()
        .map(|(key, value)| BatchRecord {
            key: key.clone().map(Bytes::from),
            value: Bytes::from(value.clone()),
        })
        .collect();
    let topic = topic.to_owned();
    request_frame(&Request::PublishBatch { topic, partition: Some(partition), records, leader_epoch: None })
        .unwrap()
}

fn producer() -> impl Strategy<Value = Producer> {
    any::<(u64, u16, i32)>().prop_map(|(id, epoch, sequence)| Producer { id, epoch, sequence })
}

fn idempotent(topic: &str, partition: u32, records: &[KeyValue], producer: Producer) -> Vec<u8> {
    let Request::PublishBatch { topic, partition, records, leader_epoch } =
        Request::from_wire(&publish(topic, partition, records)[LENGTH_SIZE..]).unwrap().0
    else {
        unreachable!()
    };
    request_frame(&Request::IdempotentPublishBatch {
        topic,
        partition,
        records,
        producer_id: producer.id,
        producer_epoch: producer.epoch,
        base_sequence: producer.sequence,
        leader_epoch,
    })
    .unwrap()
}

fn message() -> impl Strategy<Value = MessageData> {
    let header = ("[a-zé]{0,9}", vec(any::<u8>(), 0..20));
    let headers = prop_oneof![9 => Just(Vec::new()), 1 => vec(header, 1..4)];
    (0..i64::MAX as u64, any::<u32>(), record(), any::<i64>(), headers).prop_map(
        |(offset, partition, (key, value), timestamp, headers)| MessageData {
            offset,
            partition,
            key: key.map(Bytes::from),
            value: Bytes::from(value),
            timestamp,
            headers,
        },
    )
}

fn body(messages: Vec<MessageData>) -> Vec<u8> {
    Response::Messages { messages }.to_wire(WireFormat::Postcard, 7).unwrap()
}

fn decode(body: Vec<u8>) -> Result<Block> {
    decode_messages(&Bytes::from(body), &Arc::from("t"), 3)
}

fn same(block: &Block, messages: &[MessageData]) -> bool {
    block.records.len() == messages.len()
        && block.records.iter().zip(messages).all(|(record, message)| {
            let headers: Vec<_> = block.headers(record).map(|header| header.unwrap()).collect();
            record.offset as u64 == message.offset
                && record.timestamp == message.timestamp
                && block.key(record) == message.key.as_deref()
                && block.value(record) == Some(&message.value[..])
                && headers.len() == message.headers.len()
                && headers
                    .iter()
                    .zip(&message.headers)
                    .all(|((name, value), (n, v))| *name == n.as_bytes() && *value == Some(v.as_slice()))
        })
}

proptest! {
    #[test]
    fn a_publish_frame_equals_the_crates(
        topic in "[a-z]{1,150}", partition: u32, records in vec(record(), 0..300),
    ) {
        let mut frame = PublishFrame::new(&topic, partition);
        for (key, value) in &records {
            frame.push(key.as_deref(), |out| { out.extend_from_slice(value); Ok(()) }).unwrap();
        }
        let len = frame.body_len();
        let expected = publish(&topic, partition, &records);
        prop_assert_eq!(&*frame.seal(), &expected[..]);
        prop_assert_eq!(&*frame.sealed(), &expected[..]);
        prop_assert_eq!(len + LENGTH_SIZE, expected.len());
        for gone in [0, 1, records.len() / 2] {
            let gone = gone.min(frame.count());
            frame.drop_front(gone);
            let left = frame.records().map(|(key, value)| (key.map(<[u8]>::to_vec), value.to_vec()));
            prop_assert_eq!(left.collect::<Vec<_>>(), &records[records.len() - frame.count()..]);
        }
    }

    #[test]
    fn an_idempotent_frame_equals_the_crates_for_every_producer(
        topic in "[a-z]{1,150}", partition: u32, records in vec(record(), 0..200),
        first in producer(), later in vec(producer(), 0..4),
    ) {
        let mut frame = PublishFrame::new("other", 0);
        frame.push(None, |out| { out.push(1); Ok(()) }).unwrap();
        frame.seal();
        frame.reset_idempotent(&topic, partition, first);
        for (key, value) in &records {
            frame.push(key.as_deref(), |out| { out.extend_from_slice(value); Ok(()) }).unwrap();
        }
        let most = frame.body_len() + LENGTH_SIZE;
        prop_assert_eq!(&*frame.seal(), &idempotent(&topic, partition, &records, first)[..]);
        for producer in later {
            frame.set_producer(producer);
            let expected = idempotent(&topic, partition, &records, producer);
            prop_assert_eq!(&*frame.sealed(), &expected[..]);
            prop_assert!(expected.len() <= most);
            prop_assert_eq!(frame.body_len() + LENGTH_SIZE, most);
        }
        frame.reset(&topic, partition);
        prop_assert_eq!(&*frame.seal(), &publish(&topic, partition, &[])[..]);
    }

    #[test]
    fn messages_decode_like_the_crates(messages in vec(message(), 0..60)) {
        let block = decode(body(messages.clone())).unwrap();
        prop_assert!(same(&block, &messages));
        let next = messages.iter().map(|message| message.offset as i64 + 1).max().unwrap_or(-1);
        prop_assert_eq!(block.next_offset, next);
    }

    #[test]
    fn damaged_messages_decode_like_the_crates_or_fail(
        messages in vec(message(), 1..6), flips in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut body = body(messages);
        for (index, byte) in flips {
            let at = 6 + index.index(body.len() - 6);
            body[at] = byte;
        }
        match (decode(body.clone()), Response::from_wire(&body)) {
            (Ok(block), Ok((Response::Messages { messages }, _, _))) => prop_assert!(same(&block, &messages)),
            (Ok(_), _) => prop_assert!(false, "accepted what the crate refuses"),
            (Err(_), Ok((Response::Messages { messages }, _, _))) => {
                // The one thing refused on purpose: offsets that no log can hold.
                prop_assert!(messages.iter().any(|message| message.offset >= i64::MAX as u64));
            }
            (Err(_), _) => {}
        }
    }

    #[test]
    fn noise_never_panics(noise in vec(any::<u8>(), 0..200)) {
        let mut body = vec![0, 0, 0, 0, 1, MESSAGES];
        body.extend(noise);
        let _ = decode(body);
    }
}

#[test]
fn every_cut_is_refused() {
    let message = MessageData::new(5, &b"value"[..], 1).with_key(&b"key"[..]).with_header("h", &b"x"[..]);
    let whole = body(vec![message]);
    for cut in 0..whole.len() {
        assert!(decode(whole[..cut].to_vec()).is_err(), "cut at {cut}");
    }
}

#[test]
fn a_forged_count_takes_no_memory() {
    let mut body = vec![0, 0, 0, 0, 1, MESSAGES];
    write_unsigned(&mut body, u64::MAX);
    body.extend([0; 64]);
    assert_eq!(decode(body).unwrap_err().kind, Kind::Protocol);
}

#[test]
fn a_record_can_be_taken_out_or_fail() {
    let write = |value: &'static [u8]| {
        move |out: &mut Vec<u8>| -> Result<()> {
            out.extend_from_slice(value);
            Ok(())
        }
    };
    let mut frame = PublishFrame::new("t", 1);
    frame.push(None, write(b"one")).unwrap();
    frame.push(Some(b"k"), write(b"two")).unwrap();
    frame.pop();
    frame
        .push(Some(b"bad"), |out| {
            out.push(1);
            Err(Error::new(Kind::InvalidRequest, "no"))
        })
        .unwrap_err();
    assert_eq!(frame.count(), 1);
    assert_eq!(&*frame.seal(), &publish("t", 1, &[(None, b"one".to_vec())])[..]);
}

#[test]
fn the_longest_producer_is_counted_in_the_size() {
    let longest = Producer { id: u64::MAX, epoch: u16::MAX, sequence: i32::MIN };
    let mut frame = PublishFrame::new("t", 1);
    frame.reset_idempotent("t", 1, Producer { id: 0, epoch: 0, sequence: 0 });
    let most = frame.body_len();
    frame.set_producer(longest);
    assert_eq!(frame.seal().len(), LENGTH_SIZE + most);
    assert_eq!(&*frame.sealed(), &idempotent("t", 1, &[], longest)[..]);
}

#[test]
fn a_plain_frame_can_become_an_idempotent_one() {
    let producer = Producer { id: 7, epoch: 1, sequence: 300 };
    let mut frame = PublishFrame::new("t", 1);
    frame
        .push(Some(b"k"), |out| {
            out.push(b'v');
            Ok(())
        })
        .unwrap();
    frame.seal();
    frame.set_producer(producer);
    let records = [(Some(b"k".to_vec()), b"v".to_vec())];
    assert_eq!(&*frame.sealed(), &idempotent("t", 1, &records, producer)[..]);
}

#[test]
fn ids_are_written_and_read() {
    let mut frame = request_frame(&Request::Ping).unwrap();
    set_id(&mut frame, 0x0102_0304);
    assert_eq!(response_id(&frame[LENGTH_SIZE..]).unwrap(), 0x0102_0304);
    assert!(response_id(&[0, 1, 2]).is_err());
    assert!(response_id(&[1, 0, 0, 0, 0]).is_err());
}

#[test]
fn errors_are_told_by_their_number() {
    let body = |response: Response| response.to_wire(WireFormat::Postcard, 1).unwrap();
    assert!(is_error(&body(Response::Error { message: "no".into() })));
    assert!(!is_error(&body(Response::Pong)));
    assert!(!is_error(&[0, 0, 0]));
}
