//! Inputs that the fuzz targets begin with: one at least for each kind of what they decode.

use bytes::Bytes;
use rivven_protocol::{MessageData, Response, WireFormat};

use super::{CODECS, SCRAM_CHALLENGE};
use crate::kafka::compression::{compress, Codec};
use crate::kafka::writer::{encode_header, BatchWriter};

/// Inputs to begin with, for the target `name`.
pub fn seeds(name: &str) -> Vec<Vec<u8>> {
    let text = b"some text that repeats, some text that repeats, and then something else".repeat(3);
    let packed = |codec| {
        let mut out = vec![codec as u8];
        compress(codec, &text, &mut out).expect("text can be compressed");
        out
    };
    match name {
        "record_batches" => CODECS.map(|codec| [vec![0], batch(codec)].concat()).to_vec(),
        "decompress" => CODECS.map(packed).to_vec(),
        "rivven_response" => responses(),
        "event_json" => events(),
        "kafka_response" => vec![stored_answer(1), stored_answer(3)],
        "scram_server" => logins(),
        _ => configurations(),
    }
}

fn batch(codec: Codec) -> Vec<u8> {
    let mut writer = BatchWriter::new(codec);
    for index in 0..6_usize {
        let value = format!("value {index} ").repeat(index);
        let mut header = Vec::new();
        encode_header(&mut header, b"name", (index % 2 == 0).then_some(&b"text"[..]));
        let key = (index % 3 != 0).then_some(value.as_bytes());
        writer
            .append(1_700_000_000_000, key, (index != 4).then_some(value.as_bytes()), 1, &[&header])
            .expect("it fits");
    }
    writer.seal().expect("it is not empty").to_bytes(-1, -1, -1, false)
}

fn responses() -> Vec<Vec<u8>> {
    let message = |offset: u64| MessageData {
        offset,
        partition: 0,
        value: Bytes::from_static(b"value"),
        timestamp: 1_700_000_000_000,
        key: (offset % 2 == 0).then(|| Bytes::from_static(b"key")),
        headers: if offset == 2 { vec![("name".into(), b"text".to_vec())] } else { Vec::new() },
    };
    let all = [
        Response::Messages { messages: (0..3).map(message).collect() },
        Response::Error { message: "OUT_OF_ORDER_SEQUENCE: expected 3, got 5".into() },
        Response::Topics { topics: vec!["orders".into(), "bills".into()] },
        Response::OffsetBounds { earliest: 3, latest: 70_000 },
    ];
    all.iter().filter_map(|response| response.to_wire(WireFormat::Postcard, 7).ok()).collect()
}

pub(super) fn events() -> Vec<Vec<u8>> {
    let whole = br#"{"event_type":"record","stream":"t","namespace":"kafka","timestamp":"2026-01-31T12:00:00Z","data":{"a":[1,2.5e3,"\u00e4"],"c":null},"metadata":{"position":"t:0:5","kafka_header_list":[["n",{"base64":"/w=="}],["n",null]],"kafka_timestamp":7,"kafka_value_padding":[" ","\n"],"kafka_partition":0,"kafka_offset":5}}"#;
    let binary = br#"{"event_type":"record","stream":"t","data":"/v8=","metadata":{"kafka_value_encoding":"base64","kafka_headers":{"a":"b","c":null}}}"#;
    let others: [&[u8]; 4] = [b"\xff\xfe", b" [[1],[2]] ", b"\"\\ud834\\udd1e\"", b"-1.5E+300"];
    [whole.to_vec(), binary.to_vec()].into_iter().chain(others.map(<[u8]>::to_vec)).collect()
}

pub(super) fn logins() -> Vec<Vec<u8>> {
    let challenge = String::from_utf8_lossy(SCRAM_CHALLENGE);
    [
        format!("{challenge}\nv=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="),
        format!("{challenge},x=more\ne=invalid-proof"),
        format!("{challenge}9\nv="),
        "r=another,s=,i=0".to_owned(),
    ]
    .map(String::into_bytes)
    .to_vec()
}

pub(super) fn configurations() -> Vec<Vec<u8>> {
    let steps = r#"[{"type":"rename_field","config":{"from":"data.a\\.b","to":"c"}},{"type":"remove_field","config":{"field":"data.d"}}]"#;
    let more = r#"[{"type":"add_field","config":{"field":"data.x.y","value":{"z":[1,"\u00e4"]}}},{"type":"filter","config":{"field":"data.k","equals":"v"}}]"#;
    let snapshot = r#"{"messages_consumed":1,"bytes_consumed":2,"polls":3,"empty_polls":0,"errors":0,"commits":18446744073709551615,"commit_failures":0,"rebalances":0,"min_batch_size":1,"max_batch_size":1,"batch_size_sum":1,"batch_count":1}"#;
    let event = r#"{"event_type":"record","data":{"a.b":1,"d":[2],"d":null,"k":"v"},"metadata":{}}"#;
    [
        steps.to_owned(),
        format!("{steps}\0{event}"),
        format!("{more}\0{event}"),
        snapshot.to_owned(),
        "[]".to_owned(),
    ]
    .map(String::into_bytes)
    .to_vec()
}

/// The answer to a Produce request whose batches were all stored, version 9.
fn stored_answer(partitions: u8) -> Vec<u8> {
    let mut out = vec![2, 4];
    out.extend_from_slice(b"abc");
    out.push(partitions + 1);
    for partition in 0..partitions {
        out.extend_from_slice(&i32::from(partition).to_be_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&77_i64.to_be_bytes());
        out.extend_from_slice(&(-1_i64).to_be_bytes());
        out.extend_from_slice(&0_i64.to_be_bytes());
        out.extend_from_slice(&[1, 0, 0]);
    }
    out.extend_from_slice(&[0, 0, 0, 0, 0, 0]);
    out
}
