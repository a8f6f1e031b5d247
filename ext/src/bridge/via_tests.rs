use super::*;
use proptest::prelude::*;

fn protection() -> LoopProtection {
    LoopProtection::new(("kafka:c1".into(), "rivven:eu".into())).unwrap()
}

fn extended(past: &str, destination: &str) -> Option<String> {
    let clusters = protection();
    let via = clusters.extend(Cow::Borrowed(past), "orders", destination).unwrap()?;
    Some(String::from_utf8(via.pieces().concat()).unwrap())
}

#[test]
fn a_mark_grows_by_the_topic_that_the_record_is_in() {
    assert_eq!(extended("", "orders").as_deref(), Some("kafka:c1/orders"));
    assert_eq!(extended("kafka:a/t", "orders").as_deref(), Some("kafka:a/t,kafka:c1/orders"));
}

#[test]
fn only_the_topic_itself_is_refused() {
    for past in ["rivven:eu/orders", "kafka:a/t,rivven:eu/orders", "rivven:eu/orders,kafka:a/t"] {
        assert_eq!(extended(past, "orders"), None, "{past}");
    }
    for past in [
        "rivven:eu/orders2",
        "rivven:eu/order",
        "rivven:eu2/orders",
        "rivven:e/orders",
        "kafka:eu/orders",
        "rivven:eu/Orders",
    ] {
        assert!(extended(past, "orders").is_some(), "{past}");
    }
}

#[test]
fn a_mark_stays_bounded() {
    let long = (0..MOST_PLACES - 1).map(|number| format!("kafka:c/t{number}")).collect::<Vec<_>>().join(",");
    let full = extended(&long, "orders").unwrap();
    assert_eq!(places(&full).count(), MOST_PLACES);
    let error = protection().extend(Cow::Borrowed(&full), "orders", "orders").unwrap_err();
    assert_eq!(error.kind, Kind::InvalidRequest);
    // What has been there needs no longer mark.
    let echo = format!("{full},rivven:eu/orders");
    assert!(protection().extend(Cow::Borrowed(&echo), "orders", "orders").unwrap().is_none());
}

#[test]
fn a_header_that_is_no_mark_is_left_alone() {
    assert_eq!(mark(HEADER, Some(b"kafka:c1/orders")), Some("kafka:c1/orders"));
    for value in [
        &b""[..],
        b",",
        b"orders",
        b"kafka:c1",
        b"kafka:c1/",
        b"kafka:/t",
        b"c1/t",
        b"kafka:c1/t,",
        b"kafka:c1/a/b",
        b"kafka:c1/t\"",
        b"kafka:c1/t\xff",
        b"kafka:c1/a b",
        b"KAFKA:c1/t",
    ] {
        assert_eq!(mark(HEADER, Some(value)), None);
    }
    assert_eq!((mark(HEADER, None), mark(b"rivven_kafka_vi", Some(b"kafka:c1/t"))), (None, None));
}

#[test]
fn the_mark_of_an_event_is_found_where_it_stands() {
    let event = br#"{"data":{"metadata":{"kafka_via":"kafka:x/y"}},"metadata":{"position":"t:0:1","kafka_via":"kafka:c1/t"}}"#;
    assert_eq!(mark_of_event(event), "kafka:c1/t");
    for none in [
        &b""[..],
        b"kafka_via",
        b"{\"kafka_via\":\"kafka:c1/t\"}",
        b"{\"metadata\":{\"kafka_via\":7}}",
        b"{\"metadata\":{\"kafka_via\":\"\"}}",
        b"{\"metadata\":\"kafka_via\"}",
        b"{\"metadata\":{\"kafka_via\":\"kafka:c1",
    ] {
        assert_eq!(mark_of_event(none), "");
    }
}

#[test]
fn clusters_need_names_that_fit_into_marks() {
    for bad in ["", "eu", "rivven:", "rivven:a b", "rivven:a/b", "rivven:a,b", "other:a"] {
        let error = LoopProtection::new((bad.into(), "kafka:c".into())).unwrap_err();
        assert_eq!(error.kind, Kind::Config);
    }
}

proptest! {
    #[test]
    fn what_is_written_is_a_mark(past in proptest::collection::vec("(kafka|rivven):[a-zA-Z0-9._-]{1,9}/[a-z.]{1,9}", 0..15)) {
        let past = past.join(",");
        prop_assume!(!past.contains("rivven:eu/orders"));
        let full = extended(&past, "orders").unwrap();
        prop_assert_eq!(mark(HEADER, Some(full.as_bytes())), Some(&*full));
        let event = format!("{{\"metadata\":{{\"kafka_via\":\"{full}\"}}}}");
        prop_assert_eq!(mark_of_event(event.as_bytes()), full);
    }

    #[test]
    fn no_bytes_panic(value in proptest::collection::vec(any::<u8>(), 0..40)) {
        let _ = mark(HEADER, Some(&value));
        let _ = mark_of_event(&[b"{\"metadata\":{\"kafka_via\":", &value[..]].concat());
    }
}

mod round_trips {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::bridge::encoder::EventEncoder;
    use crate::bridge::event_encode::EventOptions;
    use crate::bridge::outgoing::{outgoing, Fate, OutgoingOptions, ValueFormat};
    use crate::bridge::transform::Transforms;
    use crate::kafka::writer::encode_header;
    use crate::record::{Block, Headers, Record, Span, TimestampType};
    use crate::rivven::publisher::{Encoded, ValueEncoder};

    type Header = (Vec<u8>, Option<Vec<u8>>);
    type List = Vec<Header>;

    fn block(topic: &str, value: &[u8], headers: &[Header]) -> Block {
        let mut bytes = value.to_vec();
        for (name, value) in headers {
            encode_header(&mut bytes, name, value.as_deref());
        }
        let record = Record {
            offset: 7,
            timestamp: 9,
            chunk: 0,
            key: Span::NULL,
            value: Span { start: 0, len: value.len() as i32 },
            headers: Span { start: value.len() as u32, len: (bytes.len() - value.len()) as i32 },
            header_count: headers.len() as u32,
            timestamp_type: TimestampType::CreateTime,
        };
        Block {
            topic: Arc::from(topic),
            partition: 0,
            leader_epoch: 0,
            next_offset: 8,
            bytes: bytes.len(),
            chunks: Arc::from([bytes::Bytes::from(bytes)]),
            records: Arc::new(vec![record]),
        }
    }

    fn event(block: &Block, protected: bool) -> Option<Vec<u8>> {
        let encoder = EventEncoder {
            options: EventOptions { include_headers: true, include_key: true },
            protection: protected.then(protection),
        };
        let mut out = Vec::new();
        let made = encoder.encode(block, &block.records[0], None, "orders", &mut out).unwrap();
        (made == Encoded::Value).then_some(out)
    }

    /// What a sink makes of a Rivven value: the value and the headers; None for an echo.
    fn restored(value: &[u8], format: ValueFormat, to: &str) -> Option<(Vec<u8>, List)> {
        let clusters = LoopProtection::new(("rivven:eu".into(), to.into())).unwrap();
        let options = OutgoingOptions {
            format,
            transforms: Transforms::parse("[]").unwrap(),
            key_field: None,
            key_field_required: false,
            include_headers: false,
            custom_headers: Vec::new(),
            custom_header_count: 0,
            protection: Some((clusters, "orders".into())),
        };
        let block = block("orders", value, &[]);
        let (mut headers, mut edited) = (Vec::new(), Vec::new());
        let fate = outgoing(&block, &block.records[0], &options, &mut headers, &mut edited).unwrap();
        let Fate::Write(out) = fate else { return None };
        let list = Headers::new(&headers, out.header_count).map(|header| {
            let (name, value) = header.unwrap();
            (name.to_vec(), value.map(<[u8]>::to_vec))
        });
        let list = list.collect();
        Some((out.value.unwrap().into_owned(), list))
    }

    #[test]
    fn any_number_of_marks_is_read_in_a_moment() {
        let mut headers = vec![(HEADER.to_vec(), Some(b"kafka:a/t".to_vec())); 200_000];
        headers.push((HEADER.to_vec(), Some(b"rivven:eu/orders".to_vec())));
        let block = block("orders", b"{}", &headers);
        let began = Instant::now();
        assert_eq!(event(&block, true), None, "an echo");
        let unmarked = event(&block, false).unwrap();
        assert_eq!(restored(&unmarked, ValueFormat::Event, "rivven:eu"), None, "an echo");
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }

    fn header() -> impl Strategy<Value = (Vec<u8>, Option<Vec<u8>>)> {
        let name = prop_oneof![Just(HEADER.to_vec()), proptest::collection::vec(any::<u8>(), 0..4)];
        let value = prop_oneof![
            Just(None),
            proptest::collection::vec(any::<u8>(), 0..4).prop_map(Some),
            Just(Some(b"kafka:a/t".to_vec())),
            Just(Some(b"kafka:a/t,rivven:b/t".to_vec())),
        ];
        (name, value)
    }

    fn is_ours((name, value): &(Vec<u8>, Option<Vec<u8>>)) -> bool {
        mark(name, value.as_deref()).is_some()
    }

    proptest! {
        #[test]
        fn own_headers_come_back_in_order_and_the_mark_stands_behind_them(
            value in proptest::collection::vec(any::<u8>(), 0..20),
            headers in proptest::collection::vec(header(), 0..5),
            first_protected: bool,
        ) {
            let marks: Vec<_> = headers.iter().filter(|header| is_ours(header)).cloned().collect();
            let own: List = headers.iter().filter(|header| !is_ours(header)).cloned().collect();
            let source = block("orders", &value, &headers);
            let json = event(&source, first_protected).unwrap();
            let (restored, mut list) = restored(&json, ValueFormat::Event, "kafka:far").unwrap();
            prop_assert_eq!(restored, value);
            let (name, text) = list.pop().unwrap();
            prop_assert_eq!(list, own);
            let mut places: Vec<_> =
                marks.into_iter().map(|(_, value)| String::from_utf8(value.unwrap()).unwrap()).collect();
            if first_protected {
                places.push("kafka:c1/orders".into());
            }
            places.push("rivven:eu/orders".into());
            prop_assert_eq!((name, text.unwrap()), (HEADER.to_vec(), places.join(",").into_bytes()));
        }

        #[test]
        fn an_echo_is_refused_in_either_format(
            value in proptest::collection::vec(any::<u8>(), 0..20),
            headers in proptest::collection::vec(header(), 0..5),
        ) {
            let json = event(&block("orders", &value, &headers), true).unwrap();
            for format in [ValueFormat::Event, ValueFormat::Raw] {
                prop_assert!(restored(&json, format, "kafka:c1").is_none());
            }
            let (_, list) = restored(&value, ValueFormat::Raw, "kafka:c1").unwrap();
            prop_assert!(event(&block("orders", &value, &list), true).is_none());
        }
    }
}

#[test]
fn a_field_of_that_name_that_is_no_mark_keeps_nothing_back() {
    for via in ["7", "[\"a\"]", "null", "\"no mark\""] {
        let event = format!(
            r#"{{"event_type":"record","stream":"t","data":1,"metadata":{{"position":"t:0:1","kafka_offset":1,"kafka_offset":2,"kafka_via":{via}}}}}"#
        );
        assert!(crate::bridge::event_decode::decode_event(event.as_bytes()).unwrap().via.is_none());
    }
}
