//! What the fuzz targets of `fuzz/` feed their inputs to, and what has to hold whatever the input.
//!
//! The targets themselves are a line each, so that `cargo test` can go through the same code with the inputs that
//! were found to matter (`fuzz/corpus`), and with seeds that are made here.

#![allow(clippy::missing_panics_doc)] // to panic is how they say that something does not hold

use std::sync::Arc;

use bytes::Bytes;
use rivven_protocol::Response;

use crate::bridge::event_decode::decode_event;
use crate::bridge::event_encode::{encode_event, EventOptions};
use crate::bridge::event_position::event_position;
use crate::bridge::json::{is_json, is_json_of};
use crate::bridge::transform::{Transforms, MAX_EVENT_DEPTH};
use crate::error::Kind;
use crate::kafka::compression::{decompress, decompress_lz4_magic_0, Codec};
use crate::kafka::produce::all_stored;
use crate::kafka::reader::{BatchReader, ReaderOptions};
use crate::kafka::writer::encode_header;
use crate::metrics;
use crate::record::{Block, Record, Span, TimestampType};
use crate::rivven::scram::Login;
use crate::rivven::{error_map, wire};

mod seeds;

pub use seeds::seeds;

/// What a target gives its input to.
pub type Target = fn(&[u8]);

/// The targets by name.
pub const TARGETS: [(&str, Target); 7] = [
    ("record_batches", record_batches),
    ("decompress", decompress_any),
    ("rivven_response", rivven_response),
    ("event_json", event_json),
    ("kafka_response", kafka_response),
    ("scram_server", scram_server),
    ("config_json", config_json),
];

/// Most bytes that a batch may inflate to here.
const LIMIT: usize = 1 << 16;

/// The records of a fetch response. The first byte says what the reader checks.
pub fn record_batches(input: &[u8]) {
    let Some((&flags, data)) = input.split_first() else { return };
    let options = ReaderOptions {
        read_committed: flags & 1 != 0,
        // Almost nothing that is changed at random would get any further.
        check_crcs: flags & 0x80 != 0,
        max_batch_bytes: LIMIT,
    };
    let data = Bytes::copy_from_slice(data);
    let aborted = vec![(1000, 0), (7, 3)];
    let mut reader = BatchReader::new(Arc::from("t"), 0, data, 1, options, aborted);
    let mut position = reader.next_offset();
    let ends = loop {
        match reader.next_block(8, LIMIT) {
            Ok(Some(block)) => {
                assert!(block.records.len() <= 8 && block.records.capacity() <= 64);
                position = check_block(&block, position);
            }
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    if let Some(error) = ends {
        let expected = [Kind::CorruptRecord, Kind::UnsupportedCodec, Kind::DecompressionLimit];
        assert!(expected.contains(&error.kind), "{error}");
        assert_eq!((error.topic.as_deref(), error.partition), (Some("t"), Some(0)));
        assert!(error.offset.is_some());
        assert!(reader.next_block(8, LIMIT).is_err(), "it goes on behind bad bytes");
    }
}

/// Checks what a pipeline relies on; returns the position behind `block`.
fn check_block(block: &Block, position: i64) -> i64 {
    let mut next = position;
    for record in block.records.iter() {
        assert!(record.offset >= next, "offset {} at {next}", record.offset);
        next = record.offset + 1;
        let payload = block.key(record).unwrap_or_default().len()
            + block.value(record).unwrap_or_default().len()
            + block.get(record, record.headers).unwrap_or_default().len();
        assert_eq!(payload, Block::payload_len(record));
        assert_eq!(block.headers(record).flatten().count(), record.header_count as usize);
    }
    assert!(block.next_offset >= next);
    block.next_offset
}

/// Every decompressor. The first byte names the codec and half of the limit's range.
pub fn decompress_any(input: &[u8]) {
    let Some((&head, data)) = input.split_first() else { return };
    let limit = if head & 0x80 == 0 { LIMIT } else { 1000 };
    let outcome = match Codec::from_attributes(i16::from(head & 0x07)) {
        Ok(codec) => decompress(codec, data, limit),
        Err(_) => decompress_lz4_magic_0(data, limit),
    };
    match outcome {
        Ok(out) => assert!(out.len() <= limit, "{} bytes", out.len()),
        Err(error) => {
            assert!(matches!(error.kind, Kind::CorruptRecord | Kind::DecompressionLimit), "{error}");
        }
    }
}

/// The body of an answer of Rivven.
pub fn rivven_response(input: &[u8]) {
    let _ = wire::response_id(input);
    if let Ok(Response::Error { message }) = wire::decode_response(input) {
        assert!(error_map::from_message(&message).message.chars().all(|char| !char.is_control()));
    }
    let topic: Arc<str> = Arc::from("t");
    let Ok(block) = wire::decode_messages(&Bytes::copy_from_slice(input), &topic, 0) else { return };
    assert!(block.records.len() <= input.len());
    let mut highest = -2;
    for record in block.records.iter() {
        assert!((0..i64::MAX).contains(&record.offset));
        highest = record.offset.max(highest);
        let _ = (block.key(record), block.value(record));
        assert_eq!(block.headers(record).flatten().count(), record.header_count as usize);
    }
    assert_eq!(block.next_offset, highest + 1);
}

/// An event, and the value of a record that becomes one.
pub fn event_json(input: &[u8]) {
    let _ = event_position(input);
    let _ = decode_event(input);
    if is_json(input) {
        let value: Result<serde::de::IgnoredAny, _> = serde_json::from_slice(input);
        assert!(value.is_ok(), "is taken for JSON, and is none");
    }
    let steps = r#"[{"type":"rename_field","config":{"from":"data.a","to":"data.b"}},
        {"type":"remove_field","config":{"field":"data.c"}}]"#;
    if let Ok(transforms) = Transforms::parse(steps) {
        let mut out = Vec::new();
        if is_json(input) && transforms.apply(input, &mut out).is_ok_and(|kept| kept) {
            assert!(is_json(&out), "a transform breaks JSON");
        }
    }
    let block = block_of(input);
    let mut event = Vec::new();
    let options = EventOptions { include_headers: true, include_key: true };
    encode_event(&block, &block.records[0], options, None, None, &mut event)
        .expect("any record becomes an event");
    let restored = decode_event(&event).expect("what we write we can read");
    assert_eq!(restored.value.as_deref(), Some(input));
    assert_eq!(restored.headers.len(), 1);
    assert!(event_position(&event).is_some_and(|position| position.offset == 5));
}

/// One record whose key, value and only header are `value`.
fn block_of(value: &[u8]) -> Block {
    let mut chunk = value.to_vec();
    encode_header(&mut chunk, b"name", Some(value));
    let whole = Span { start: 0, len: value.len() as i32 };
    let record = Record {
        offset: 5,
        timestamp: 7,
        chunk: 0,
        key: whole,
        value: whole,
        headers: Span { start: value.len() as u32, len: (chunk.len() - value.len()) as i32 },
        header_count: 1,
        timestamp_type: TimestampType::CreateTime,
    };
    Block {
        topic: Arc::from("t"),
        partition: 0,
        leader_epoch: -1,
        next_offset: 6,
        bytes: chunk.len(),
        chunks: Arc::from([Bytes::from(chunk)]),
        records: vec![record].into(),
    }
}

/// What of Kafka's other answers is read natively: that to a Produce request.
pub fn kafka_response(input: &[u8]) {
    if let Some(stored) = all_stored(input) {
        assert!(stored.len() <= input.len() / 30 + 1, "{} batches in {} bytes", stored.len(), input.len());
    }
}

/// The nonce of the client in the exchange of RFC 7677.
const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";

/// The password of that exchange.
const PASSWORD: &str = "pencil";

/// A server's side of a login: its challenge, and behind a newline its verdict.
pub fn scram_server(input: &[u8]) {
    let mut messages = input.splitn(2, |byte| *byte == b'\n');
    let challenge = messages.next().unwrap_or_default();
    let login = Login::new("user".into(), PASSWORD.into());
    let attempt = login.begin_with(NONCE.into());
    // The rounds that a server may ask for at the least are worked out; more are given up on.
    let outcome = attempt.answer(challenge, &|| true).and_then(|proof| {
        assert!(proof.message.len() <= challenge.len() + 64, "{} bytes", proof.message.len());
        proof.verdict(messages.next().unwrap_or_default())
    });
    if let Err(error) = outcome {
        assert!(matches!(error.kind, Kind::Authentication | Kind::Connect), "{error}");
        let fine = |char: char| !char.is_control();
        assert!(error.message.len() < 1000 && error.message.chars().all(fine), "{error}");
    } else {
        assert!(input.starts_with(SCRAM_CHALLENGE), "accepted without knowing the password");
    }
}

/// The challenge in the exchange of RFC 7677.
const SCRAM_CHALLENGE: &[u8] =
    b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

/// Longest input whose transforms are tried: what they write grows with each step.
const SHORT: usize = 500;

/// What Python hands over as JSON: the transforms, tried on the event behind a zero byte, and snapshots of metrics.
pub fn config_json(input: &[u8]) {
    let mut parts = input.splitn(2, |byte| *byte == 0);
    let Ok(text) = std::str::from_utf8(parts.next().unwrap_or_default()) else { return };
    if let Ok(written) = metrics::read_back(text) {
        assert_eq!(metrics::read_back(&written).as_ref(), Ok(&written));
    }
    let event = parts
        .next()
        .unwrap_or(br#"{"data":{"a":{"b":1},"a":[]},"metadata":{"kafka_value_encoding":"text"}}"#);
    for parse in [Transforms::parse, Transforms::for_value] {
        match parse(text) {
            Ok(transforms) if input.len() <= SHORT => try_transforms(&transforms, event),
            Ok(_) => {}
            Err(error) => {
                assert!(error.kind == Kind::Config && error.message.starts_with("transforms"), "{error}");
            }
        }
    }
}

fn try_transforms(transforms: &Transforms, json: &[u8]) {
    for restore in [false, true] {
        let mut out = b"before".to_vec();
        let apply = if restore { Transforms::apply_to_restore } else { Transforms::apply };
        match apply(transforms, json, &mut out) {
            Ok(true) if is_json_of(json, MAX_EVENT_DEPTH) => {
                assert!(is_json_of(&out[6..], MAX_EVENT_DEPTH), "transforms break JSON");
            }
            Ok(true) => {}
            Ok(false) => assert_eq!(out, b"before"),
            Err(error) => assert_eq!(error.kind, Kind::EventFormat),
        }
        assert!(out.starts_with(b"before"));
    }
}

const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::seeds::{configurations, events, logins};
    use super::*;
    use crate::kafka::varint;

    #[test]
    fn the_corpus_of_every_target_passes() {
        let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
        for (name, target) in TARGETS {
            let mut inputs = 0;
            for entry in std::fs::read_dir(corpora.join(name)).unwrap() {
                target(&std::fs::read(entry.unwrap().path()).unwrap());
                inputs += 1;
            }
            assert!(inputs > 0, "no corpus for {name}");
        }
    }

    #[test]
    fn seeds_reach_what_they_are_for() {
        for (name, target) in TARGETS {
            for seed in seeds(name) {
                target(&seed);
            }
            assert!(seeds(name).len() > 1, "{name}");
        }
        assert!(seeds("kafka_response").iter().all(|seed| all_stored(seed).is_some()));
        assert!(seeds("rivven_response").iter().all(|seed| wire::decode_response(seed).is_ok()));
        assert!(configurations()[..3].iter().all(|seed| {
            let steps = seed.split(|byte| *byte == 0).next().unwrap_or_default();
            Transforms::for_value(std::str::from_utf8(steps).unwrap()).is_ok()
        }));
        assert!(metrics::read_back(std::str::from_utf8(&configurations()[3]).unwrap()).is_ok());
        let verdict = logins()[0].splitn(2, |byte| *byte == b'\n').nth(1).map(<[u8]>::to_vec).unwrap();
        let login = Login::new("user".into(), PASSWORD.into());
        let proof = login.begin_with(NONCE.into()).answer(SCRAM_CHALLENGE, &|| true).unwrap();
        proof.verdict(&verdict).unwrap();
        assert!(decode_event(&events()[0]).is_ok() && decode_event(&events()[1]).is_ok());
    }

    #[test]
    fn every_target_has_a_program() {
        let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
        for (name, _) in TARGETS {
            let text = std::fs::read_to_string(programs.join(format!("{name}.rs"))).unwrap();
            assert!(text.contains(&format!("\"{name}\"")), "{name}");
        }
    }

    #[test]
    fn numbers_of_any_length_are_read_or_refused() {
        for len in 0..12 {
            let endless = vec![0xff; len];
            assert_eq!(varint::read_i32(&endless), None);
            assert_eq!(varint::read_i64(&endless), None);
        }
    }
}
