//! Produce requests and their answers, version 9 (protocol guide, "Produce API"; KIP-482).

use bytes::BufMut;

use super::writer::{ProducerState, SealedBatch};
use crate::rivven::postcard::{unsigned_len, Reader};

/// The version that is written and read here.
pub const VERSION: i16 = 9;
const API_KEY: i16 = 0;

/// One batch of a request.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// Kafka topic.
    pub topic: &'a str,
    /// Its partition.
    pub partition: i32,
    /// Records.
    pub batch: &'a SealedBatch,
    /// State of the producer for the batch.
    pub producer: ProducerState,
}

/// What stands in a request besides its batches.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// What the answer refers to.
    pub correlation_id: i32,
    /// Name of the client.
    pub client_id: Option<&'a str>,
    /// Transactional id; its presence makes the batches transactional.
    pub transactional_id: Option<&'a str>,
    /// Replicas that must store the batches.
    pub acks: i16,
    /// How long the broker may wait for them (ms).
    pub timeout_ms: i32,
}

/// A request with its frame, whose size is known before it is written.
#[derive(Debug)]
pub struct ProduceRequest<'a> {
    head: Head<'a>,
    topics: Vec<(&'a str, Vec<Part<'a>>)>,
}

impl<'a> ProduceRequest<'a> {
    /// A request for `parts`: at most one batch of each partition.
    pub fn new(head: Head<'a>, parts: impl IntoIterator<Item = Part<'a>>) -> Self {
        let mut topics: Vec<(&str, Vec<Part<'_>>)> = Vec::new();
        for part in parts {
            match topics.iter_mut().find(|(topic, _)| *topic == part.topic) {
                Some((_, batches)) => batches.push(part),
                None => topics.push((part.topic, vec![part])),
            }
        }
        Self { head, topics }
    }

    /// Bytes on the wire, frame included.
    pub fn size(&self) -> usize {
        4 + self.body_size()
    }

    fn body_size(&self) -> usize {
        let head = &self.head;
        let fixed = 2 + 2 + 4 + 2 + head.client_id.map_or(0, str::len) + 1;
        let id = head.transactional_id.map_or(1, |id| compact_len(id.len()));
        let topics: usize = self.topics.iter().map(|(topic, parts)| topic_size(topic, parts)).sum();
        fixed + id + 2 + 4 + unsigned_len(self.topics.len() as u64 + 1) + topics + 1
    }

    /// Writes the request to `out`, which is `size` long.
    pub fn write_to(&self, out: &mut [u8]) {
        let head = &self.head;
        let mut out = out;
        out.put_i32(self.body_size() as i32);
        out.put_i16(API_KEY);
        out.put_i16(VERSION);
        out.put_i32(head.correlation_id);
        out.put_i16(head.client_id.map_or(-1, |id| id.len() as i16));
        out.put_slice(head.client_id.unwrap_or_default().as_bytes());
        no_tags(&mut out);
        match head.transactional_id {
            Some(id) => put_text(&mut out, id),
            None => out.put_u8(0),
        }
        out.put_i16(head.acks);
        out.put_i32(head.timeout_ms);
        put_count(&mut out, self.topics.len());
        for (topic, parts) in &self.topics {
            put_text(&mut out, topic);
            put_count(&mut out, parts.len());
            for part in parts {
                out.put_i32(part.partition);
                put_count(&mut out, part.batch.len());
                let (batch, rest) = std::mem::take(&mut out).split_at_mut(part.batch.len());
                part.batch.write_to(part.producer, head.transactional_id.is_some(), batch);
                out = rest;
                no_tags(&mut out);
            }
            no_tags(&mut out);
        }
        no_tags(&mut out);
        debug_assert!(out.is_empty(), "the size of a request was wrong");
    }
}

fn topic_size(topic: &str, parts: &[Part<'_>]) -> usize {
    let batches: usize = parts.iter().map(|part| 4 + compact_len(part.batch.len()) + 1).sum();
    compact_len(topic.len()) + unsigned_len(parts.len() as u64 + 1) + batches + 1
}

/// Bytes of a compact string or of compact bytes.
fn compact_len(len: usize) -> usize {
    unsigned_len(len as u64 + 1) + len
}

/// The count of a compact array, or the length of compact bytes.
fn put_count(out: &mut impl BufMut, count: usize) {
    let mut left = count as u64 + 1;
    while left >= 0x80 {
        out.put_u8(left as u8 | 0x80);
        left >>= 7;
    }
    out.put_u8(left as u8);
}

fn put_text(out: &mut impl BufMut, text: &str) {
    put_count(out, text.len());
    out.put_slice(text.as_bytes());
}

fn no_tags(out: &mut impl BufMut) {
    out.put_u8(0);
}

/// A batch that was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored<'a> {
    /// Kafka topic.
    pub topic: &'a str,
    /// Its partition.
    pub partition: i32,
    /// Offset of the first record.
    pub base_offset: i64,
}

/// What an answer without its header tells, if it is the ordinary one: every batch was stored, and nothing
/// else is said. None for any other answer, also for one that cannot be read.
pub fn all_stored(answer: &[u8]) -> Option<Vec<Stored<'_>>> {
    let mut input = Input(Reader::new(answer, 0), answer);
    let mut stored = Vec::new();
    for _ in 0..input.count()? {
        let topic = input.text()?;
        for _ in 0..input.count()? {
            let partition = i32::from_be_bytes(input.fixed()?);
            let error = i16::from_be_bytes(input.fixed()?);
            let base_offset = i64::from_be_bytes(input.fixed()?);
            let _append_time: [u8; 8] = input.fixed()?;
            let _log_start: [u8; 8] = input.fixed()?;
            let record_errors = input.count()?;
            let message = input.0.byte()?;
            let tags = input.0.byte()?;
            if error != 0 || record_errors != 0 || message != 0 || tags != 0 {
                return None;
            }
            stored.push(Stored { topic, partition, base_offset });
        }
        (input.0.byte()? == 0).then_some(())?;
    }
    let throttle_ms = i32::from_be_bytes(input.fixed()?);
    let tags = input.0.byte()?;
    (throttle_ms == 0 && tags == 0 && input.0.remaining() == 0).then_some(stored)
}

struct Input<'a>(Reader<'a>, &'a [u8]);

impl<'a> Input<'a> {
    fn fixed<const N: usize>(&mut self) -> Option<[u8; N]> {
        let from = self.0.position();
        let bytes = self.1.get(from..from + N)?.try_into().ok()?;
        self.0 = Reader::new(self.1, from + N);
        Some(bytes)
    }

    /// Of a compact array; null counts as empty.
    fn count(&mut self) -> Option<u64> {
        Some(self.0.u64()?.saturating_sub(1))
    }

    fn text(&mut self) -> Option<&'a str> {
        let len = usize::try_from(self.count()?).ok()?;
        let from = self.0.position();
        let bytes = self.1.get(from..from.checked_add(len)?)?;
        self.0 = Reader::new(self.1, from + len);
        std::str::from_utf8(bytes).ok()
    }
}
