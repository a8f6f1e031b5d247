//! Requests that publish a batch of records, encoded by hand into a buffer that is used again.

use rivven_protocol::WIRE_HEADER_SIZE;

use super::postcard::{unsigned_len, write_unsigned, Reader};
use super::wire::LENGTH_SIZE;
use crate::error::Result;
use crate::kafka::varint;

/// Position of `Request::PublishBatch` in the enum, which is its number on the wire.
const PUBLISH_BATCH: u8 = 38;

/// Position of `Request::IdempotentPublishBatch`.
const IDEMPOTENT_PUBLISH_BATCH: u8 = 39;

/// Memory that an empty batch keeps: a few large records must not pin 10 MiB in each of many connections.
const KEEP: usize = 1024 * 1024;

/// Who sends an idempotent batch, and as which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Producer {
    /// Producer id.
    pub id: u64,
    /// Which owner of the id; an older one is refused.
    pub epoch: u16,
    /// Sequence number of the first record.
    pub sequence: i32,
}

impl Producer {
    /// The most bytes that the three numbers take.
    const LONGEST: usize = 10 + 3 + 5;

    fn write(self, out: &mut Vec<u8>) {
        write_unsigned(out, self.id);
        write_unsigned(out, u64::from(self.epoch));
        varint::write_i32(out, self.sequence);
    }
}

/// One `PublishBatch` or `IdempotentPublishBatch` request under construction, in a buffer that is used again
/// and again.
///
/// What stands before the records has a length that is only known at the end (it contains their number), so
/// the records start after a gap, and the head is written into the end of that gap. The producer stands behind
/// the records and can change at any time.
#[derive(Debug)]
pub struct PublishFrame {
    buffer: Vec<u8>,
    /// Topic and partition, encoded.
    target: Vec<u8>,
    gap: usize,
    count: usize,
    /// Where each record begins, so that the last can be taken out again, and the first when they are stored.
    begins: Vec<usize>,
    /// Bytes of the last value.
    last_value: usize,
    /// First byte of the sealed frame.
    start: usize,
    /// Where the records of the sealed frame end.
    sealed: Option<usize>,
    /// Set for an idempotent batch.
    producer: Option<Producer>,
}

impl PublishFrame {
    /// An empty batch.
    pub fn new(topic: &str, partition: u32) -> Self {
        let mut frame = Self {
            buffer: Vec::new(),
            target: Vec::new(),
            gap: 0,
            count: 0,
            begins: Vec::new(),
            last_value: 0,
            start: 0,
            sealed: None,
            producer: None,
        };
        frame.reset(topic, partition);
        frame
    }

    /// Empties the batch, for `topic` and `partition`.
    pub fn reset(&mut self, topic: &str, partition: u32) {
        self.target.clear();
        write_unsigned(&mut self.target, topic.len() as u64);
        self.target.extend_from_slice(topic.as_bytes());
        self.target.push(1); // Some(partition)
        write_unsigned(&mut self.target, u64::from(partition));
        // Length, format, id, variant, target, and the longest count.
        self.gap = LENGTH_SIZE + WIRE_HEADER_SIZE + 1 + self.target.len() + 10;
        self.buffer.clear();
        self.buffer.shrink_to(KEEP);
        self.buffer.resize(self.gap, 0);
        self.begins.clear();
        self.count = 0;
        self.sealed = None;
        self.producer = None;
    }

    /// Empties the batch, for `topic` and `partition`, and makes it an idempotent one.
    pub fn reset_idempotent(&mut self, topic: &str, partition: u32, producer: Producer) {
        self.reset(topic, partition);
        self.producer = Some(producer);
    }

    /// Makes it an idempotent batch of `producer`, whatever it was; the records stay. A sealed batch is sealed
    /// again.
    pub fn set_producer(&mut self, producer: Producer) {
        self.producer = Some(producer);
        if self.sealed.is_some() {
            self.seal();
        }
    }

    /// Records in the batch.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Size of the request body if it were sent now; of an idempotent one, with the longest numbers that a
    /// producer can have, so that no later `set_producer` makes it larger.
    pub fn body_len(&self) -> usize {
        let records = self.sealed.unwrap_or(self.buffer.len()) - self.gap;
        self.head_len() + records + self.producer.map_or(0, |_| Producer::LONGEST) + 1
    }

    /// Bytes of the body before the records.
    fn head_len(&self) -> usize {
        WIRE_HEADER_SIZE + 1 + self.target.len() + unsigned_len(self.count as u64)
    }

    /// Appends a record whose value is written by `value`; on an error the batch stays as it was.
    pub fn push(&mut self, key: Option<&[u8]>, value: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
        let begin = self.buffer.len();
        match key {
            None => self.buffer.push(0),
            Some(key) => {
                self.buffer.push(1);
                write_unsigned(&mut self.buffer, key.len() as u64);
                self.buffer.extend_from_slice(key);
            }
        }
        let at = self.buffer.len();
        // The length is not known before the value is written: most are as long as the one before.
        let room = unsigned_len(self.last_value as u64);
        self.buffer.resize(at + room, 0);
        if let Err(error) = value(&mut self.buffer) {
            self.buffer.truncate(begin);
            return Err(error);
        }
        let mut len = self.buffer.len() - at - room;
        let used = unsigned_len(len as u64);
        if used != room {
            self.buffer.resize(at + used.max(room) + len, 0);
            self.buffer.copy_within(at + room..at + room + len, at + used);
            self.buffer.truncate(at + used + len);
        }
        self.last_value = len;
        for (index, byte) in self.buffer[at..at + used].iter_mut().enumerate() {
            *byte = (len & 0x7f) as u8 | if index + 1 < used { 0x80 } else { 0 };
            len >>= 7;
        }
        self.begins.push(begin);
        self.count += 1;
        Ok(())
    }

    /// The value of the last `push`.
    pub fn last_value(&self) -> &[u8] {
        &self.buffer[self.buffer.len() - self.last_value..]
    }

    /// Key and value of each record.
    pub fn records(&self) -> impl Iterator<Item = (Option<&[u8]>, &[u8])> {
        self.begins.iter().filter_map(|begin| {
            let mut reader = Reader::new(&self.buffer, *begin);
            let key = match reader.byte()? {
                0 => None,
                _ => Some(reader.bytes()?),
            };
            let bytes = |(start, len): (usize, usize)| &self.buffer[start..start + len];
            Some((key.map(bytes), bytes(reader.bytes()?)))
        })
    }

    /// Takes the record of the last `push` out again.
    pub fn pop(&mut self) {
        if let Some(begin) = self.begins.pop() {
            self.buffer.truncate(begin);
            self.count -= 1;
        }
    }

    /// Takes the first `count` records out of a sealed batch, and seals it again.
    pub fn drop_front(&mut self, count: usize) {
        let end = self.sealed.unwrap_or(self.buffer.len());
        let next = self.begins.get(count).copied().unwrap_or(end);
        let dropped = next - self.gap;
        self.buffer.drain(self.gap..next);
        self.sealed = Some(end - dropped);
        self.begins.drain(..count.min(self.begins.len()));
        self.begins.iter_mut().for_each(|begin| *begin -= dropped);
        self.count = self.begins.len();
        self.seal();
    }

    /// Completes the request and returns the frame. Takes no more records then; may be sent again as `sealed`.
    pub fn seal(&mut self) -> &mut [u8] {
        let end = *self.sealed.get_or_insert(self.buffer.len());
        self.buffer.truncate(end);
        if let Some(producer) = self.producer {
            producer.write(&mut self.buffer);
        }
        self.buffer.push(0); // leader_epoch: None
        let head = self.head_len();
        self.start = self.gap - head - LENGTH_SIZE;
        let body = head + self.buffer.len() - self.gap;
        let mut out = Vec::with_capacity(LENGTH_SIZE + head);
        out.extend_from_slice(&(body as u32).to_be_bytes());
        out.extend_from_slice(&[0; WIRE_HEADER_SIZE]);
        out.push(if self.producer.is_some() { IDEMPOTENT_PUBLISH_BATCH } else { PUBLISH_BATCH });
        out.extend_from_slice(&self.target);
        write_unsigned(&mut out, self.count as u64);
        self.buffer[self.start..self.gap].copy_from_slice(&out);
        &mut self.buffer[self.start..]
    }

    /// The frame that `seal` completed.
    pub fn sealed(&mut self) -> &mut [u8] {
        &mut self.buffer[self.start..]
    }
}
