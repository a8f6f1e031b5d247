//! Writes record batches of magic 2 (protocol guide, "Record Batch"; headers: KIP-82; producers: KIP-98).

use bytes::Bytes;

use super::batch::{BatchRecords, Gather};
use super::compression::{compress, Codec};
use super::header::{corrupt, BatchHeader, BATCH_HEADER};
use super::varint;
use crate::error::{Error, Kind, Result};
use crate::record::{Record, Span};

/// Appends one header to `out`, in the encoding of the Kafka record.
pub fn encode_header(out: &mut Vec<u8>, name: &[u8], value: Option<&[u8]>) {
    write_nullable(out, Some(name));
    write_nullable(out, value);
}

/// Appends one header whose value is made of `pieces`.
pub fn encode_header_of(out: &mut Vec<u8>, name: &[u8], pieces: &[&[u8]]) {
    write_nullable(out, Some(name));
    let length: usize = pieces.iter().map(|piece| piece.len()).sum();
    varint::write_i32(out, length as i32);
    for piece in pieces {
        out.extend_from_slice(piece);
    }
}

#[inline]
fn write_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    varint::write_i32(out, bytes.map_or(-1, |bytes| bytes.len() as i32));
    out.extend_from_slice(bytes.unwrap_or_default());
}

#[inline]
fn nullable_len(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(1, |bytes| varint::len_i64(bytes.len() as i64) + bytes.len())
}

/// A batch that records are appended to.
#[derive(Debug, Clone)]
pub struct BatchWriter {
    codec: Codec,
    body: Vec<u8>,
    count: i32,
    base_timestamp: i64,
    max_timestamp: i64,
}

impl BatchWriter {
    /// An empty batch that `codec` will compress.
    pub fn new(codec: Codec) -> Self {
        Self { codec, body: Vec::new(), count: 0, base_timestamp: 0, max_timestamp: 0 }
    }

    /// An empty batch with room for `bytes`.
    pub fn with_capacity(codec: Codec, bytes: usize) -> Self {
        Self { body: Vec::with_capacity(bytes), ..Self::new(codec) }
    }

    /// Appends a record; `headers` are pieces of already encoded headers, `header_count` in all.
    ///
    /// Fails with `RecordTooLarge`, and leaves the batch as it was, when the batch cannot hold the record
    /// because of the format's i32 lengths.
    pub fn append(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        header_count: u32,
        headers: &[&[u8]],
    ) -> Result<()> {
        let delta = if self.count == 0 { 0 } else { timestamp.wrapping_sub(self.base_timestamp) };
        let headers_len: usize = headers.iter().map(|piece| piece.len()).sum();
        let length = 1
            + varint::len_i64(delta)
            + varint::len_i32(self.count)
            + nullable_len(key)
            + nullable_len(value)
            + varint::len_i64(i64::from(header_count))
            + headers_len;
        let total = self.len() + varint::len_i64(length as i64) + length;
        if total > i32::MAX as usize || self.count == i32::MAX || i32::try_from(header_count).is_err() {
            return Err(Error::new(Kind::RecordTooLarge, "a record does not fit into a Kafka batch"));
        }
        if self.count == 0 {
            self.base_timestamp = timestamp;
            self.max_timestamp = timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        let out = &mut self.body;
        out.reserve(total - BATCH_HEADER - out.len());
        varint::write_i32(out, length as i32);
        out.push(0);
        varint::write_i64(out, delta);
        varint::write_i32(out, self.count);
        write_nullable(out, key);
        write_nullable(out, value);
        varint::write_i32(out, header_count as i32);
        for piece in headers {
            out.extend_from_slice(piece);
        }
        self.count += 1;
        Ok(())
    }

    /// Size of the batch before compression.
    pub fn len(&self) -> usize {
        BATCH_HEADER + self.body.len()
    }

    /// Whether it has no records.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many records it has.
    pub fn records(&self) -> usize {
        self.count as usize
    }

    /// Most bytes that a record of this key, value and encoded headers adds to a batch (lengths in bytes).
    pub fn record_size(key: usize, value: usize, headers: usize) -> usize {
        // Length, attributes, timestamp delta, offset delta, key length, value length, header count.
        const MOST_OVERHEAD: usize = 5 + 1 + 10 + 5 + 5 + 5 + 5;
        MOST_OVERHEAD + key + value + headers
    }

    /// Whether `size` more bytes keep the batch within `batch_size`; always for an empty batch, as a record
    /// has to go somewhere.
    pub fn fits(&self, size: usize, batch_size: usize) -> bool {
        self.is_empty() || self.len() + size <= batch_size
    }

    /// Compresses the records. A batch that compression would enlarge stays uncompressed.
    pub fn seal(self) -> Result<SealedBatch> {
        if self.is_empty() {
            return Err(Error::new(Kind::InvalidRequest, "a batch without records cannot be sent"));
        }
        let mut codec = self.codec;
        let uncompressed = self.body.len();
        let mut payload = self.body;
        if codec != Codec::None {
            let mut packed = Vec::with_capacity(uncompressed / 2);
            compress(codec, &payload, &mut packed)?;
            if packed.len() < uncompressed {
                payload = packed;
                // Kept until Kafka has acknowledged it, beside others.
                payload.shrink_to_fit();
            } else {
                codec = Codec::None;
            }
        }
        Ok(SealedBatch {
            wanted: self.codec,
            codec,
            payload,
            uncompressed,
            count: self.count,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
        })
    }
}

/// What Kafka tells a repetition by; all -1 without idempotence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerState {
    /// Producer id.
    pub id: i64,
    /// Its epoch.
    pub epoch: i16,
    /// Sequence number of the first record.
    pub base_sequence: i32,
}

/// A batch that is complete but for the state of its producer, which is known only when it is sent.
#[derive(Debug, Clone)]
pub struct SealedBatch {
    wanted: Codec,
    codec: Codec,
    payload: Vec<u8>,
    uncompressed: usize,
    count: i32,
    base_timestamp: i64,
    max_timestamp: i64,
}

impl SealedBatch {
    /// The batch as it is sent. Without idempotence the producer id, epoch and base sequence are -1.
    pub fn to_bytes(&self, producer_id: i64, epoch: i16, base_sequence: i32, transactional: bool) -> Vec<u8> {
        self.header(producer_id, epoch, base_sequence, transactional).write(&self.payload)
    }

    /// `to_bytes` into `out`, which is `len` long.
    pub fn write_to(&self, producer: ProducerState, transactional: bool, out: &mut [u8]) {
        let ProducerState { id, epoch, base_sequence } = producer;
        self.header(id, epoch, base_sequence, transactional).write_to(&self.payload, out);
    }

    /// How many records it has.
    pub fn records(&self) -> usize {
        self.count as usize
    }

    /// Size of `to_bytes`.
    pub fn len(&self) -> usize {
        BATCH_HEADER + self.payload.len()
    }

    /// Never: a sealed batch has records.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Size before compression, as `BatchWriter::len`.
    pub fn uncompressed_len(&self) -> usize {
        BATCH_HEADER + self.uncompressed
    }

    /// Latest timestamp of its records.
    pub fn max_timestamp(&self) -> i64 {
        self.max_timestamp
    }

    /// Two batches of about the same size with the records of this one in their order, for a broker that
    /// finds this one too large. `RecordTooLarge` when there is only one record.
    pub fn split(&self) -> Result<(SealedBatch, SealedBatch)> {
        if self.count < 2 {
            return Err(Error::new(Kind::RecordTooLarge, "a batch of one record cannot be split"));
        }
        let mut data = vec![0; BATCH_HEADER];
        data.extend_from_slice(&self.payload);
        let end = data.len();
        let header = self.header(-1, -1, -1, false);
        let mut batch = BatchRecords::open(&header, &Bytes::from(data), 0, end, self.uncompressed)?;
        let mut records = Vec::with_capacity(batch.left());
        let mut gather = Gather {
            records: &mut records,
            chunk: 0,
            from: 0,
            max_records: usize::MAX,
            max_bytes: usize::MAX,
        };
        batch.read(&mut gather).map_err(corrupt)?;
        let bytes = batch.buffer().0;
        let (mut first, mut second) = (BatchWriter::new(self.wanted), BatchWriter::new(self.wanted));
        let last = records.len() - 1;
        for (index, record) in records.iter().enumerate() {
            let into_first = first.is_empty()
                || (second.is_empty() && index < last && first.len() < self.uncompressed / 2);
            copy_record(bytes, record, if into_first { &mut first } else { &mut second })?;
        }
        Ok((first.seal()?, second.seal()?))
    }

    fn header(&self, producer_id: i64, epoch: i16, base_sequence: i32, transactional: bool) -> BatchHeader {
        BatchHeader {
            base_offset: 0,
            leader_epoch: -1,
            attributes: BatchHeader::producer_attributes(self.codec, transactional),
            last_offset_delta: self.count - 1,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            producer_id,
            producer_epoch: epoch,
            base_sequence,
            count: self.count,
        }
    }
}

fn copy_record(bytes: &[u8], record: &Record, writer: &mut BatchWriter) -> Result<()> {
    let get = |span: Span| span.range().map(|range| &bytes[range]);
    let headers = get(record.headers).unwrap_or_default();
    writer.append(record.timestamp, get(record.key), get(record.value), record.header_count, &[headers])
}
