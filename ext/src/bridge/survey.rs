//! `Survey`: what Kafka records hold, and what a source with given options would make of them.
//!
//! Each record goes through the encoder of the source, and what comes out is read back as a sink with
//! `value_format: event` would read it: only then is it known whether the record survives.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;

use super::event_decode::{decode_event, Header};
use super::publisher::encoder_for;
use crate::bridge::event_encode::EventOptions;
use crate::bridge::json::{classify, Kind as Form};
use crate::error::{Error, Kind, Result};
use crate::kafka::murmur2::murmur2;
use crate::kafka::py::RecordBlock;
use crate::record::{Block, Record, TimestampType};
use crate::rivven::publish_frame::PublishFrame;
use crate::rivven::publisher::{Encoded, ValueEncoder, LARGEST_REQUEST};

/// Distinct keys that are counted; beyond, there are enough of them for any number of connections.
const MOST_KEYS: usize = 4096;

/// Records that are kept as examples of each trouble.
const EXAMPLES: usize = 3;

#[derive(Debug, Default)]
struct Totals {
    records: u64,
    bytes: u64,
    largest: u64,
    without_key: u64,
    binary_keys: u64,
    tombstones: u64,
    empty_values: u64,
    json_values: u64,
    text_values: u64,
    binary_values: u64,
    with_headers: u64,
    append_time: u64,
    published: u64,
    published_bytes: u64,
    largest_request: u64,
    over_request: u64,
    left_out: u64,
    /// Among those left out: what the loop protection of the source recognises.
    echoes: u64,
    refused_tombstones: u64,
    too_large: u64,
    bad: u64,
    /// Published, and not what it was: value, or in an event headers or timestamp.
    changed_values: u64,
    lost_headers: u64,
    lost_timestamps: u64,
    keys: HashSet<u32>,
    examples: BTreeMap<&'static str, Vec<(String, i32, i64, String)>>,
}

impl Totals {
    fn note(&mut self, what: &'static str, block: &Block, record: &Record, text: String) {
        let kept = self.examples.entry(what).or_default();
        if kept.len() < EXAMPLES {
            kept.push((block.topic.to_string(), block.partition, record.offset, text));
        }
    }

    fn describe(&mut self, block: &Block, record: &Record) {
        let size = Block::payload_len(record) as u64;
        self.records += 1;
        self.bytes += size;
        self.largest = self.largest.max(size);
        match block.key(record) {
            None => self.without_key += 1,
            Some(key) => {
                self.binary_keys += u64::from(simdutf8::basic::from_utf8(key).is_err());
                if self.keys.len() < MOST_KEYS {
                    self.keys.insert(murmur2(key));
                }
            }
        }
        match block.value(record) {
            None => self.tombstones += 1,
            Some([]) => self.empty_values += 1,
            Some(value) => match classify(value) {
                Form::Json { .. } => self.json_values += 1,
                Form::Text(_) => self.text_values += 1,
                Form::Binary => self.binary_values += 1,
            },
        }
        self.with_headers += u64::from(record.header_count > 0);
        self.append_time += u64::from(record.timestamp_type == TimestampType::LogAppendTime);
    }
}

/// What Kafka records hold, and what becomes of them in Rivven.
///
/// `add` blocks of Kafka. `destination` is the Rivven topic, whose name takes its place in every request; `topic_id`
/// the id of the Kafka topic, where events tell it. The other options are those of the source's `Publisher`.
#[pyclass(frozen, module = "rivven_kafka._native")]
pub struct Survey {
    totals: Mutex<Totals>,
    encoder: Arc<dyn ValueEncoder>,
    events: bool,
    destination: String,
    topic_id: Option<String>,
    max_request_bytes: u64,
}

/// Topic, partition, offset, and what is the matter.
type Example = (String, i32, i64, String);

#[pymethods]
impl Survey {
    #[new]
    #[pyo3(signature = (destination, *, value_format="event", on_tombstone="fail", transforms="[]",
        include_headers=true, include_key=true, topic_id=None, max_request_bytes=LARGEST_REQUEST as u64,
        loop_protection=None))]
    #[allow(clippy::too_many_arguments)] // keyword arguments in Python
    fn new(
        destination: String,
        value_format: &str,
        on_tombstone: &str,
        transforms: &str,
        include_headers: bool,
        include_key: bool,
        topic_id: Option<String>,
        max_request_bytes: u64,
        loop_protection: Option<(String, String)>,
    ) -> Result<Self> {
        let events = match value_format {
            "event" => true,
            "raw" => false,
            other => {
                let text = format!("value_format: got {other:?}: expected event or raw");
                return Err(Error::new(Kind::Config, text));
            }
        };
        let options = EventOptions { include_headers, include_key };
        let encoder = encoder_for(value_format, on_tombstone, transforms, options, loop_protection)?;
        let totals = Mutex::default();
        Ok(Self { totals, encoder, events, destination, topic_id, max_request_bytes })
    }

    /// Looks at all records of a block of Kafka.
    fn add(&self, py: Python<'_>, block: &Bound<'_, RecordBlock>) {
        let block = &block.get().0;
        py.detach(|| self.look_at(block));
    }

    /// What was found, in records unless the name tells otherwise.
    fn totals(&self) -> BTreeMap<&'static str, u64> {
        let totals = self.lock();
        BTreeMap::from([
            ("records", totals.records),
            ("bytes", totals.bytes),
            ("largest", totals.largest),
            ("without_key", totals.without_key),
            ("binary_keys", totals.binary_keys),
            ("distinct_keys", totals.keys.len() as u64),
            ("tombstones", totals.tombstones),
            ("empty_values", totals.empty_values),
            ("json_values", totals.json_values),
            ("text_values", totals.text_values),
            ("binary_values", totals.binary_values),
            ("with_headers", totals.with_headers),
            ("append_time", totals.append_time),
            ("published", totals.published),
            ("published_bytes", totals.published_bytes),
            ("largest_request", totals.largest_request),
            ("over_request", totals.over_request),
            ("left_out", totals.left_out),
            ("echoes", totals.echoes),
            ("refused_tombstones", totals.refused_tombstones),
            ("too_large", totals.too_large),
            ("bad", totals.bad),
            ("changed_values", totals.changed_values),
            ("lost_headers", totals.lost_headers),
            ("lost_timestamps", totals.lost_timestamps),
        ])
    }

    /// The first records of each trouble, by its name in `totals`.
    fn examples(&self) -> BTreeMap<&'static str, Vec<Example>> {
        self.lock().examples.clone()
    }
}

impl Survey {
    fn lock(&self) -> std::sync::MutexGuard<'_, Totals> {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look_at(&self, block: &Block) {
        let mut totals = self.lock();
        let mut frame = PublishFrame::new("", 0);
        for record in block.records.iter() {
            totals.describe(block, record);
            self.publish(&mut totals, &mut frame, block, record);
        }
    }

    /// What the publisher would do.
    fn publish(&self, totals: &mut Totals, frame: &mut PublishFrame, block: &Block, record: &Record) {
        frame.reset(&self.destination, block.partition.unsigned_abs());
        let mut encoded = Encoded::Value;
        let pushed = frame.push(block.key(record), |out| {
            encoded = self.encoder.encode(block, record, self.topic_id.as_deref(), &self.destination, out)?;
            Ok(())
        });
        if let Err(error) = pushed {
            // With events, null values are nothing special.
            if !self.events && block.value(record).is_none() {
                totals.refused_tombstones += 1;
                totals.note("refused_tombstones", block, record, error.message.clone());
            } else {
                totals.bad += 1;
                totals.note("bad", block, record, error.message.clone());
            }
            return;
        }
        if encoded != Encoded::Value {
            totals.left_out += 1;
            totals.echoes += u64::from(encoded == Encoded::Echo);
            return;
        }
        let size = frame.body_len() as u64;
        if size > LARGEST_REQUEST as u64 {
            totals.too_large += 1;
            let text = format!("it takes a request of {size} bytes, Rivven holds {LARGEST_REQUEST}");
            totals.note("too_large", block, record, text);
            totals.largest_request = totals.largest_request.max(size);
            return;
        }
        totals.published += 1;
        totals.published_bytes +=
            (frame.last_value().len() + block.key(record).map_or(0, <[u8]>::len)) as u64;
        totals.largest_request = totals.largest_request.max(size);
        totals.over_request += u64::from(size > self.max_request_bytes);
        if self.events {
            Self::compare_event(totals, frame.last_value(), block, record);
        } else {
            let changed = block.value(record).is_none_or(|value| value != frame.last_value());
            totals.changed_values += u64::from(changed);
            totals.lost_headers += u64::from(record.header_count > 0);
            totals.lost_timestamps += u64::from(record.timestamp >= 0);
        }
    }

    /// Whether a sink that reads the event would write the record.
    fn compare_event(totals: &mut Totals, event: &[u8], block: &Block, record: &Record) {
        let decoded = decode_event(event);
        let Ok(event) = decoded.as_ref() else {
            totals.changed_values += 1;
            totals.note("changed_values", block, record, "it is no event any more".to_owned());
            return;
        };
        if event.value.as_deref() != block.value(record) {
            totals.changed_values += 1;
            totals.note("changed_values", block, record, "its value would be another".to_owned());
        }
        totals.lost_headers += u64::from(!same_headers(&event.headers, block, record));
        totals.lost_timestamps += u64::from(event.timestamp != Some(record.timestamp));
    }
}

fn same_headers(read: &[Header<'_>], block: &Block, record: &Record) -> bool {
    read.len() == record.header_count as usize
        && read.iter().zip(block.headers(record)).all(|((name, value), header)| {
            header.is_ok_and(|(wanted, held)| name.as_ref() == wanted && value.as_deref() == held)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Span;

    /// A block of values without keys.
    fn block(values: &[Option<&[u8]>]) -> Block {
        let mut bytes = Vec::new();
        let mut records = Vec::new();
        for (index, value) in values.iter().enumerate() {
            let start = bytes.len() as u32;
            bytes.extend_from_slice(value.unwrap_or_default());
            let len = value.map_or(-1, |value| value.len() as i32);
            records.push(Record {
                offset: index as i64,
                timestamp: 17,
                chunk: 0,
                key: Span::NULL,
                value: Span { start, len },
                headers: Span::NULL,
                header_count: 0,
                timestamp_type: TimestampType::CreateTime,
            });
        }
        Block {
            topic: "t".into(),
            partition: 0,
            leader_epoch: 0,
            next_offset: values.len() as i64,
            chunks: Arc::from([bytes.into()]),
            records: records.into(),
            bytes: 0,
        }
    }

    fn survey(value_format: &str, on_tombstone: &str, transforms: &str) -> Survey {
        Survey::new("t".to_owned(), value_format, on_tombstone, transforms, true, true, None, 1000, None)
            .unwrap()
    }

    #[test]
    fn an_event_keeps_all_that_a_record_has() {
        let survey = survey("event", "fail", "[]");
        survey.look_at(&block(&[Some(b"{\"a\": 1}"), Some(b"text"), Some(b"\xff\x00"), Some(b""), None]));
        let totals = survey.totals();
        for (name, expected) in [
            ("records", 5),
            ("json_values", 1),
            ("text_values", 1),
            ("binary_values", 1),
            ("empty_values", 1),
            ("tombstones", 1),
            ("without_key", 5),
            ("published", 5),
            ("changed_values", 0),
            ("lost_headers", 0),
            ("lost_timestamps", 0),
        ] {
            assert_eq!(totals[name], expected, "{name}");
        }
    }

    #[test]
    fn raw_values_lose_timestamps_and_tombstones_go_by_the_option() {
        let values: &[Option<&[u8]>] = &[Some(b"a"), None];
        for (option, refused, left_out, changed) in [("fail", 1, 0, 0), ("skip", 0, 1, 0), ("empty", 0, 0, 1)]
        {
            let survey = survey("raw", option, "[]");
            survey.look_at(&block(values));
            let totals = survey.totals();
            let found = ["refused_tombstones", "left_out", "changed_values"].map(|name| totals[name]);
            assert_eq!(found, [refused, left_out, changed], "{option}");
            assert_eq!(totals["lost_timestamps"], totals["published"]);
        }
    }

    #[test]
    fn what_does_not_fit_is_told_with_its_size() {
        let survey = survey("event", "fail", "[]");
        // Base64 takes four bytes for three.
        let large = vec![0xff; LARGEST_REQUEST * 4 / 5];
        survey.look_at(&block(&[Some(b"1"), Some(&large), Some(&[b'1'; 2000])]));
        let totals = survey.totals();
        assert_eq!((totals["too_large"], totals["published"], totals["over_request"]), (1, 2, 1));
        assert!(totals["largest_request"] > LARGEST_REQUEST as u64);
        let examples = survey.examples();
        assert_eq!(examples["too_large"].len(), 1);
        assert_eq!(examples["too_large"][0].2, 1);
    }

    #[test]
    fn transforms_that_change_the_data_are_noticed() {
        let transforms = r#"[{"type": "remove_field", "config": {"field": "data.a"}}]"#;
        let survey = survey("event", "fail", transforms);
        survey.look_at(&block(&[Some(b"{\"a\": 1}"), Some(b"{\"b\": 1}")]));
        assert_eq!(survey.totals()["changed_values"], 1);
    }
}
