//! Positions of events as they are written, moved about by transforms, and of what is no event.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::bridge::event_encode::{encode_event, EventOptions};
use crate::kafka::varint;
use crate::record::{Block, Record, Span, TimestampType};

const ID: &str = "lkVY4xkPRWWz_fQWZE3w-g";

/// The event of a record with this value, and with the value as key and as header too.
fn encoded(topic: &str, partition: i32, offset: i64, value: &[u8], topic_id: Option<&str>) -> Vec<u8> {
    let mut bytes = value.to_vec();
    varint::write_i32(&mut bytes, 1);
    bytes.push(b'h');
    varint::write_i32(&mut bytes, value.len() as i32);
    bytes.extend_from_slice(value);
    let whole = Span { start: 0, len: value.len() as i32 };
    let headers = Span { start: value.len() as u32, len: (bytes.len() - value.len()) as i32 };
    let record = Record {
        offset,
        timestamp: 1_700_000_000_123,
        chunk: 0,
        key: whole,
        value: whole,
        headers,
        header_count: 1,
        timestamp_type: TimestampType::CreateTime,
    };
    let block = Block {
        topic: Arc::from(topic),
        partition,
        leader_epoch: 0,
        next_offset: offset + 1,
        bytes: bytes.len(),
        chunks: Arc::from([Bytes::from(bytes)]),
        records: Arc::new(vec![record]),
    };
    let mut out = Vec::new();
    let options = EventOptions { include_headers: true, include_key: true };
    encode_event(&block, &block.records[0], options, topic_id, None, &mut out).unwrap();
    out
}

fn position(json: &str) -> Option<(Option<&str>, String, i32, i64)> {
    event_position(json.as_bytes()).map(|at| (at.topic_id, at.topic.into_owned(), at.partition, at.offset))
}

/// A value that looks like what is searched for, or like anything else.
fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..60),
        "[ \\n\\[\\]{}\":,0-9a-e\\\\]{0,30}".prop_map(String::into_bytes),
        Just(br#"{"metadata":{"position":"wrong:1:2","kafka_topic_id":"AAAAAAAAAAAAAAAAAAAAAA"}}"#.to_vec()),
        Just(br#"","metadata":{"position":"wrong:1:2"},"x":""#.to_vec()),
        Just(br#"{"a":["metadata",{"metadata":{"position":"wrong:1:2"}},"}]\\\""]}"#.to_vec()),
    ]
}

proptest! {
    #[test]
    fn every_event_gives_its_position_back(
        topic in "[a-zA-Z0-9._-]{1,40}", partition in 0..i32::MAX, offset in 0..i64::MAX, value in value(),
        id in proptest::option::of("[a-zA-Z0-9_-]{22}"),
    ) {
        let json = encoded(&topic, partition, offset, &value, id.as_deref());
        let at = event_position(&json).unwrap();
        prop_assert_eq!((&*at.topic, at.partition, at.offset), (&*topic, partition, offset));
        prop_assert_eq!(at.topic_id, id.as_deref());
    }

    #[test]
    fn other_order_space_and_fields_do_not_matter(
        value in value(), id in option::of(Just(ID)), spaces in "[ \\t\\r\\n]{0,3}",
    ) {
        let json = encoded("orders", 3, 7, &value, None);
        let mut event: serde_json::Value = serde_json::from_slice(&json).unwrap();
        let serde_json::Value::Object(mut metadata) = event["metadata"].take() else { unreachable!() };
        if let Some(id) = id {
            metadata.insert("kafka_topic_id".into(), id.into());
        }
        metadata.remove("kafka_key");
        // Members in reverse, white space at every place, names written with escapes.
        let object = |members: Vec<String>| {
            let members: Vec<_> = members.into_iter().rev().collect();
            format!("{spaces}{{{spaces}{}{spaces}}}{spaces}", members.join(&format!("{spaces},{spaces}")))
        };
        let member = |name: &str, value: String| {
            format!("\"{}\"{spaces}:{spaces}{value}", name.replace('t', "\\u0074"))
        };
        let inner = object(metadata.iter().map(|(name, value)| member(name, value.to_string())).collect());
        let rest = event.as_object().unwrap().iter().filter(|(name, _)| *name != "metadata" && *name != "stream");
        let mut members: Vec<_> = rest.map(|(name, value)| member(name, value.to_string())).collect();
        members.insert(members.len() / 2, member("metadata", inner));
        members.push(member("added", "[{\"position\":\"wrong:1:2\"}]".into()));
        let json = object(members);
        prop_assert_eq!(position(&json), Some((id, "orders".into(), 3, 7)), "{}", json);
    }

    #[test]
    fn noise_never_panics(noise in vec(any::<u8>(), 0..80), at: usize, byte: u8) {
        event_position(&noise);
        let mut json = encoded("orders", 3, 7, &noise, None);
        let at = at % json.len();
        json[at] = byte;
        event_position(&json);
        event_position(&json[..at]);
    }

    #[test]
    fn json_noise_never_panics(noise in r#"[\[\]{}",:\\ a0]{0,40}"#) {
        event_position(noise.as_bytes());
        event_position(format!("{{\"metadata\":{{{noise}").as_bytes());
        event_position(format!("{{\"metadata\":{{\"position\":{noise}").as_bytes());
    }
}

#[test]
fn what_is_no_position_is_none() {
    for json in [
        "",
        "null",
        "[]",
        "{}",
        "\u{0}raw",
        r#"{"position":"t:0:1"}"#,
        r#"[{"metadata":{"position":"t:0:1"}}]"#,
        r#"{"metadata":"t:0:1"}"#,
        r#"{"metadata":[{"position":"t:0:1"}]}"#,
        r#"{"metadata":{"position":5}}"#,
        r#"{"metadata":{"position":null}}"#,
        r#"{"metadata":{"position":{"position":"t:0:1"}}}"#,
        r#"{"metadata":{"position":"0/16B3748"}}"#,
        r#"{"metadata":{"position":"t:0"}}"#,
        r#"{"metadata":{"position":":0:1"}}"#,
        r#"{"metadata":{"position":"a:t:0:1"}}"#,
        r#"{"metadata":{"position":"t:+0:1"}}"#,
        r#"{"metadata":{"position":"t:0:-1"}}"#,
        r#"{"metadata":{"position":"t::1"}}"#,
        r#"{"metadata":{"position":"t:0:"}}"#,
        r#"{"metadata":{"position":"t:2147483648:1"}}"#,
        r#"{"metadata":{"position":"t:0:9223372036854775808"}}"#,
        r#"{"metadata":{"position":"t:0:1"},"metadata":{}}"#,
        r#"{"data":"\"metadata\":{\"position\":\"t:0:1\"}"}"#,
    ] {
        assert_eq!(position(json), None, "{json}");
    }
}

#[test]
fn a_topic_id_is_22_characters_of_base64url() {
    let with = |id: &str| format!(r#"{{"metadata":{{"kafka_topic_id":{id},"position":"t\u002d1:0:1"}}}}"#);
    let expected = |id| Some((id, "t-1".to_owned(), 0, 1));
    assert_eq!(position(&with(&format!("\"{ID}\""))), expected(Some(ID)));
    for id in ["null", "5", "\"short\"", "\"lkVY4xkPRWWz/fQWZE3w+g\"", "\"lkVY4xkPRWWz_fQWZE3w-gg\"", "{}"] {
        assert_eq!(position(&with(id)), expected(None), "{id}");
    }
}

#[test]
#[ignore = "a measurement, not a test"]
fn print_rates() {
    let fields: Vec<_> =
        (0..250).map(|i| format!(r#""field_{i:03}":"some text {i}","n{i}":[{i},1.5]"#)).collect();
    let large = format!("{{{}}}", fields.join(","));
    let values: [(&str, Vec<u8>); 4] = [
        ("300 bytes", br#"{"id":1,"name":"a"}"#.to_vec()),
        ("10 kB of fields", large.into_bytes()),
        ("10 kB of text", "some text, ".repeat(900).into_bytes()),
        ("10 kB of escapes", "say \"a\"\n".repeat(900).into_bytes()),
    ];
    for (name, value) in values {
        let mut json = encoded("orders", 3, 1_234_567, &value, None);
        if value.len() > 1000 {
            // Key and header are as large as the value: without them.
            json.clear();
            json.extend_from_slice(
                br#"{"event_type":"record","stream":"orders","namespace":"kafka","data":"#,
            );
            let text = std::str::from_utf8(&value).unwrap();
            if text.starts_with('{') {
                json.extend_from_slice(&value);
            } else {
                crate::bridge::json_string::write_string(&mut json, text);
            }
            json.extend_from_slice(br#","metadata":{"position":"orders:3:1234567","kafka_partition":3}}"#);
        }
        let rounds = 2_000_000 / json.len();
        let mut best = f64::MAX;
        // The best of many short runs: what a machine does that has nothing else to do.
        for _ in 0..200 {
            let start = Instant::now();
            for _ in 0..rounds {
                assert_eq!(event_position(std::hint::black_box(&json)).unwrap().offset, 1_234_567);
            }
            best = best.min(start.elapsed().as_secs_f64());
        }
        let rate = (rounds * json.len()) as f64 / best / 1e6;
        println!("{name:18} {:6} bytes  {rate:7.0} MB/s", json.len());
    }
}
