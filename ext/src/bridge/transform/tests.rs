//! Steps on whole texts: what is edited, and that the rest stays.

use proptest::prelude::*;

use super::Transforms;
use crate::bridge::json::is_json_of;
use crate::error::{Kind, Result};

fn step(kind: &str, config: &str) -> String {
    format!(r#"[{{"type": "{kind}", "config": {{{config}}}}}]"#)
}

fn run(transforms: &Transforms, json: &str) -> Result<Option<String>> {
    let mut out = b"before".to_vec();
    let kept = transforms.apply(json.as_bytes(), &mut out)?;
    assert!(out.starts_with(b"before"), "what stood there before stays");
    let out = String::from_utf8(out.split_off(6)).unwrap();
    assert!(kept || out.is_empty());
    Ok(kept.then_some(out))
}

/// One step on an event.
fn event(kind: &str, config: &str, json: &str) -> Result<Option<String>> {
    run(&Transforms::parse(&step(kind, config)).unwrap(), json)
}

/// One step on a value that stands alone.
fn value(kind: &str, config: &str, json: &str) -> Result<Option<String>> {
    run(&Transforms::for_value(&step(kind, config)).unwrap(), json)
}

fn becomes(kind: &str, config: &str, json: &str, expected: &str) {
    assert_eq!(event(kind, config, json).unwrap().as_deref(), Some(expected), "{kind} {config} {json}");
}

#[test]
fn fields_are_removed_with_one_comma() {
    for (json, expected) in [
        (r#"{"a":1,"b":2,"c":3}"#, r#"{"a":1,"c":3}"#),
        (r#"{"b":2,"c":3}"#, r#"{"c":3}"#),
        (r#"{"a":1,"b":2}"#, r#"{"a":1}"#),
        (r#"{"b":{"x":[1,"}"]}}"#, "{}"),
        (r#" { "b" : "\"," , "c" : 2.50 } "#, r#" { "c" : 2.50 } "#),
        (r#"{ "a" : 1 , "b" : 2 }"#, r#"{ "a" : 1 }"#),
        (r#"{"b":1,"b":2}"#, "{}"),
        (r#"{"b":1,"c":0,"b":2,"b":3}"#, r#"{"c":0}"#),
        (r#"{"b":1,"b":2,"c":0,"b":3,"d":4}"#, r#"{"c":0,"d":4}"#),
        (r#"{"\u0062":1,"c":2}"#, r#"{"c":2}"#),
        (r#"{"a":{"b":1}}"#, r#"{"a":{"b":1}}"#),
        ("{}", "{}"),
        ("[1]", "[1]"),
        ("null", "null"),
    ] {
        becomes("remove_field", r#""field": "b""#, json, expected);
    }
}

#[test]
fn paths_lead_into_objects_only() {
    for (json, expected) in [
        (r#"{"a":{"b":{"c":1,"d":2}}}"#, r#"{"a":{"b":{"d":2}}}"#),
        (r#"{"a":[{"b":{"c":1}}]}"#, r#"{"a":[{"b":{"c":1}}]}"#),
        (r#"{"a":"b","b":{"c":1}}"#, r#"{"a":"b","b":{"c":1}}"#),
        (r#"{"a":{"b":{"c":1}},"a":{"b":{"c":2},"x":1}}"#, r#"{"a":{"b":{}},"a":{"b":{},"x":1}}"#),
        (r#"{"a.b.c":1}"#, r#"{"a.b.c":1}"#),
    ] {
        becomes("remove_field", r#""field": "a.b.c""#, json, expected);
    }
    becomes(
        "remove_field",
        r#""field": "a\\.b.c\\\\\\.""#,
        r#"{"a.b":{"c\\.":1,"c":2}}"#,
        r#"{"a.b":{"c":2}}"#,
    );
    becomes("remove_field", r#""field": "a\\b""#, r#"{"a\\b":1}"#, "{}");
}

#[test]
fn fields_are_renamed_in_place() {
    for (json, expected) in [
        (r#"{"x":0,"a": 1.50 ,"y":2}"#, r#"{"x":0,"b": 1.50 ,"y":2}"#),
        (r#"{"b":0,"a":1}"#, r#"{"b":1}"#),
        (r#"{"a":1,"b":0}"#, r#"{"b":1}"#),
        (r#"{"a":1,"b":0,"a":2,"c":3,"b":4}"#, r#"{"b":2,"c":3}"#),
        (r#"{"b":0,"c":1}"#, r#"{"b":0,"c":1}"#),
        (r#"{"\u0061":1}"#, r#"{"b":1}"#),
    ] {
        becomes("rename_field", r#""from": "a", "to": "b""#, json, expected);
    }
    becomes("rename_field", r#""from": "a", "to": "a""#, r#"{"a":1,"a":2}"#, r#"{"a":1,"a":2}"#);
    becomes(
        "rename_field",
        r#""from": "d.a", "to": "x\\.\"y""#,
        r#"{"d":{"a":1},"a":2}"#,
        r#"{"d":{"x.\"y":1},"a":2}"#,
    );
}

#[test]
fn fields_are_added_and_replaced() {
    for (json, expected) in [
        ("{}", r#"{"a":{"b":[1, 2.50]}}"#),
        ("{ }", r#"{"a":{"b":[1, 2.50]} }"#),
        (r#"{ "x" : 1 }"#, r#"{ "x" : 1,"a":{"b":[1, 2.50]} }"#),
        (r#"{"a":{}}"#, r#"{"a":{"b":[1, 2.50]}}"#),
        (r#"{"a":{"c":1},"x":1}"#, r#"{"a":{"c":1,"b":[1, 2.50]},"x":1}"#),
        (r#"{"a":{"b": {"deep":1} ,"c":1}}"#, r#"{"a":{"b": [1, 2.50] ,"c":1}}"#),
        (r#"{"a":{"b":1,"c":0,"b":2}}"#, r#"{"a":{"c":0,"b":[1, 2.50]}}"#),
        (r#"{"a":{"b":1},"a":{}}"#, r#"{"a":{"b":[1, 2.50]},"a":{"b":[1, 2.50]}}"#),
    ] {
        becomes("add_field", r#""field": "a.b", "value": [1, 2.50]"#, json, expected);
    }
    for (json, kind) in [
        (r#"{"a":"b"}"#, "a is a string"),
        (r#"{"a":[{}]}"#, "a is a list"),
        (r#"{"a":-1}"#, "a is a number"),
        (r#"{"a":false}"#, "a is a boolean"),
        (r#"{"a":null}"#, "a is null"),
        (r#"{"a":{},"a":1}"#, "a is a number"),
        ("7", "the event is a number"),
    ] {
        let error = event("add_field", r#""field": "a.b", "value": 1"#, json).unwrap_err();
        assert_eq!(error.kind, Kind::EventFormat);
        assert_eq!(error.message, format!("add_field a.b: {kind}, expected an object"));
    }
}

#[test]
fn a_null_value_is_left_a_tombstone() {
    becomes("add_field", r#""field": "data.a", "value": 1"#, r#"{"data":null}"#, r#"{"data":null}"#);
    becomes("add_field", r#""field": "data", "value": 1"#, r#"{"data":null}"#, r#"{"data":1}"#);
    assert!(event("add_field", r#""field": "data.a.b", "value": 1"#, r#"{"data":{"a":null}}"#).is_err());
    for json in ["null", " null ", ""] {
        assert_eq!(
            value("add_field", r#""field": "data.a", "value": 1"#, json).unwrap().as_deref(),
            Some(json)
        );
        assert_eq!(value("filter", r#""field": "data.a", "equals": "null""#, json).unwrap(), None);
    }
}

#[test]
fn filters_keep_what_equals() {
    for (json, equals, kept) in [
        (r#"{"a":"x"}"#, "x", true),
        (r#"{"a":"\u0078"}"#, "x", true),
        (r#"{"a":"x\n"}"#, "x\\\\n", false),
        (r#"{"a":"x\n"}"#, "x\\n", true),
        (r#"{"a":"\\n"}"#, "\\\\n", true),
        (r#"{"a":""}"#, "", true),
        (r#"{"a":"é"}"#, "\\u00e9", true),
        (r#"{"a":"X"}"#, "x", false),
        (r#"{"a":2.50}"#, "2.50", true),
        (r#"{"a":2.50}"#, "2.5", false),
        (r#"{"a":12345678901234567890123}"#, "12345678901234567890123", true),
        (r#"{"a": true }"#, "true", true),
        (r#"{"a":null}"#, "null", true),
        (r#"{"a":{}}"#, "{}", false),
        (r#"{"a":[]}"#, "[]", false),
        (r#"{"b":1}"#, "", false),
        (r#"{"a":"x","a":"y"}"#, "x", false),
        (r#"{"a":"y","a":"x"}"#, "x", true),
        ("[]", "[]", false),
    ] {
        let found = event("filter", &format!(r#""field": "a", "equals": "{equals}""#), json).unwrap();
        assert_eq!(found.as_deref(), kept.then_some(json), "{equals}");
    }
}

#[test]
fn steps_follow_each_other() {
    let text = r#"[{"type": "rename_field", "config": {"from": "data.a", "to": "b"}},
        {"type": "add_field", "config": {"field": "data.a.c", "value": "new"}},
        {"type": "filter", "config": {"field": "data.b", "equals": "1"}},
        {"type": "remove_field", "config": {"field": "data.b"}}]"#;
    let on = |transforms: &Transforms, json| run(transforms, json).unwrap();
    let of_events = Transforms::parse(text).unwrap();
    assert_eq!(on(&of_events, r#"{"data":{"a":1}}"#).as_deref(), Some(r#"{"data":{"a":{"c":"new"}}}"#));
    assert_eq!(on(&of_events, r#"{"data":{"a":2}}"#), None);
    let of_values = Transforms::for_value(text).unwrap();
    assert_eq!(on(&of_values, " {\"a\":1}\n").as_deref(), Some(" {\"a\":{\"c\":\"new\"}}\n"));
    assert!(of_values.drop_empty_values());
    assert!(Transforms::parse("[]").unwrap().is_empty());
}

#[test]
fn values_that_are_not_json_are_bad_records() {
    for text in ["text", "{", "{\"a\":1}}", "1e999", "\"\\ud800\""] {
        for (kind, config) in [
            ("remove_field", r#""field": "data.a""#),
            ("rename_field", r#""from": "data.a", "to": "b""#),
            ("add_field", r#""field": "data.a", "value": 1"#),
        ] {
            let error = value(kind, config, text).unwrap_err();
            assert_eq!(error.kind, Kind::EventFormat);
            assert_eq!(error.message, format!("{kind} data.a: the value is not JSON of at most 126 levels"));
        }
        assert_eq!(value("filter", r#""field": "data.a", "equals": """#, text).unwrap(), None);
        let error = event("filter", r#""field": "data.a", "equals": """#, text).unwrap_err();
        assert_eq!(error.message, "not a Rivven source event: not JSON of at most 127 levels");
    }
    let mut out = Vec::new();
    let remove = Transforms::for_value(&step("remove_field", r#""field": "data.a""#)).unwrap();
    assert!(remove.apply(b"{\"b\":\"\xff\"}", &mut out).is_err());
}

#[test]
fn depth_is_limited_to_what_readers_take() {
    let nested = |levels: usize| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
    let deep = format!("\"field\": \"{}\"", ["a"; 127].join("."));
    assert_eq!(event("remove_field", &deep, &nested(127)).unwrap().unwrap().len(), nested(127).len() - 5);
    assert!(event("remove_field", &deep, &nested(128)).is_err());
    let add = |levels| step("add_field", &format!(r#""field": "a.b", "value": {}"#, nested(levels)));
    assert!(Transforms::parse(&add(125)).is_ok());
    assert!(Transforms::parse(&add(126)).unwrap_err().message.contains("at most 127 levels"));
}

#[test]
fn wrong_steps_are_refused() {
    for (text, reason) in [
        ("{}", "transforms: not a list of steps: invalid type"),
        (r#"[{"type": "filter"}]"#, "transforms: not a list of steps: missing field `config`"),
        (r#"[{"type": "drop", "config": {}}]"#, "transforms[0].type: got \"drop\", expected rename_field,"),
        (r#"[{"type": "filter", "config": {}, "if": 1}]"#, "unknown field `if`"),
        (&step("filter", r#""field": "a""#), "transforms[0].config: missing field `equals`"),
        (&step("remove_field", r#""field": "a", "x": 1"#), "transforms[0].config: unknown field `x`"),
        (&step("remove_field", r#""field": """#), "transforms[0].config.field: got \"\": expected names"),
        (
            &step("remove_field", r#""field": "a..b""#),
            "transforms[0].config.field: got \"a..b\": expected names",
        ),
        (&step("remove_field", r#""field": "a.""#), "transforms[0].config.field: got \"a.\""),
        (
            &step("rename_field", r#""from": "a", "to": "b.c""#),
            "transforms[0].config.to: got \"b.c\": expected the new",
        ),
        (&step("rename_field", r#""from": "a", "to": """#), "transforms[0].config.to: got \"\""),
        (&step("add_field", r#""field": "a", "value": 1e999"#), "transforms[0].config"),
        (&step("add_field", r#""field": "a", "value": "\ud800""#), "transforms[0].config"),
    ] {
        let error = Transforms::parse(text).unwrap_err();
        assert_eq!(error.kind, Kind::Config);
        assert!(error.message.contains(reason), "{}", error.message);
    }
    for field in ["a.b", "data", "metadata.position", r"data\\.a"] {
        let error =
            Transforms::for_value(&step("remove_field", &format!(r#""field": "{field}""#))).unwrap_err();
        assert!(error.message.contains("expected a field inside data"), "{}", error.message);
    }
}

#[test]
fn many_edits_take_linear_time() {
    let json = format!("{{{}\"z\":0}}", "\"a\":1,".repeat(400_000));
    assert_eq!(event("remove_field", r#""field": "a""#, &json).unwrap().as_deref(), Some("{\"z\":0}"));
}

#[test]
fn what_restoring_needs_stays() {
    let event =
        br#"{"event_type":"e","stream":"s","data":"aGk=","metadata":{"kafka_value_encoding":"base64"}}"#;
    let restore = |steps: &str| {
        let mut out = Vec::new();
        Transforms::parse(steps).unwrap().apply_to_restore(event, &mut out).map_err(|error| error.message)
    };
    for steps in [
        step("remove_field", r#""field": "metadata""#),
        step("remove_field", r#""field": "metadata.kafka_value_encoding""#),
        step("rename_field", r#""from": "metadata", "to": "meta""#),
        step("rename_field", r#""from": "event_type", "to": "metadata""#),
        step("add_field", r#""field": "metadata", "value": {}"#),
        step("add_field", r#""field": "metadata.kafka_value_encoding", "value": null"#),
    ] {
        let error = restore(&steps).unwrap_err();
        assert!(error.contains("remove metadata.kafka_value_encoding"), "{steps} {error}");
    }
    let replaced = r#"[{"type": "add_field", "config": {"field": "data", "value": 1}},
        {"type": "remove_field", "config": {"field": "metadata.kafka_value_encoding"}}]"#;
    assert_eq!(restore(replaced), Ok(true));
    assert_eq!(restore(&step("remove_field", r#""field": "metadata.position""#)), Ok(true));
}

proptest! {
    #[test]
    fn results_are_json_and_garbage_never_panics(
        json in r#"[\[\]{}",:\\ab0-2.e tn]{0,40}"#,
        kind in 0..4usize,
    ) {
        let steps = [
            step("remove_field", r#""field": "a""#),
            step("rename_field", r#""from": "a.b", "to": "a""#),
            step("add_field", r#""field": "a.b", "value": [1]"#),
            step("filter", r#""field": "a.b", "equals": "1""#),
        ];
        let transforms = Transforms::parse(&steps[kind]).unwrap();
        let mut out = Vec::new();
        if transforms.apply(json.as_bytes(), &mut out).is_ok_and(|kept| kept) {
            prop_assert!(is_json_of(&out, 127), "{}", String::from_utf8_lossy(&out));
        }
        let mut unchecked = json.into_bytes();
        let _ = transforms.edit(&mut unchecked, 0);
    }
}

/// `cargo test --release -- --ignored --nocapture cost_of_a_step`
#[test]
#[ignore = "a measurement"]
fn cost_of_a_step() {
    use crate::bridge::encoder::{EventEncoder, TransformedEventEncoder};
    use crate::bridge::event_encode::EventOptions;
    use crate::record::{Block, Record, Span, TimestampType};
    use crate::rivven::publisher::ValueEncoder;

    let json = br#"{"id": 123456, "customer": "Ann"}"#;
    let record = Record {
        offset: 7,
        timestamp: 1_700_000_000_123,
        chunk: 0,
        key: Span::NULL,
        value: Span { start: 0, len: json.len() as i32 },
        headers: Span { start: 0, len: 0 },
        header_count: 0,
        timestamp_type: TimestampType::CreateTime,
    };
    let block = Block {
        topic: "orders".into(),
        partition: 3,
        leader_epoch: 0,
        next_offset: 8,
        bytes: json.len(),
        chunks: [bytes::Bytes::from_static(json)].into(),
        records: vec![record].into(),
    };
    let plain =
        EventEncoder { options: EventOptions { include_headers: true, include_key: true }, protection: None };
    let round = |encoder: &dyn ValueEncoder, out: &mut Vec<u8>| {
        let begun = std::time::Instant::now();
        for _ in 0..100_000 {
            out.clear();
            encoder.encode(&block, &record, None, "t", out).unwrap();
        }
        begun.elapsed().as_nanos() / 100_000
    };
    // The best of many rounds: other processes only ever add to it.
    let nanoseconds = |encoder: &dyn ValueEncoder| {
        let mut out = Vec::with_capacity(4096);
        (0..20).map(|_| round(encoder, &mut out)).min().unwrap_or_default()
    };
    let field = |field| Transforms::parse(&step("remove_field", &format!(r#""field": "{field}""#))).unwrap();
    println!("without: {} ns", nanoseconds(&plain));
    for name in ["namespace", "data.customer", "metadata.kafka_offset"] {
        println!("remove {name}: {} ns", nanoseconds(&TransformedEventEncoder(plain.clone(), field(name))));
    }
}
