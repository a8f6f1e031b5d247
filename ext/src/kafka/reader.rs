//! Reads the records of one partition out of a fetch response, batch by batch.

use std::sync::Arc;

use bytes::Bytes;

use super::aborted::AbortedTransactions;
use super::batch::{BatchRecords, Fault, Gather, LEAST_RECORD};
use super::header::{corrupt, i16_at, next_entry, BatchHeader};
use super::legacy::MessageSet;
use crate::error::{Error, Kind, Result};
use crate::record::{Block, Record};

/// What a reader checks and leaves out.
#[derive(Debug, Clone, Copy)]
pub struct ReaderOptions {
    /// Drop the records of aborted transactions (`isolation.level=read_committed`).
    pub read_committed: bool,
    /// Compare checksums (`check.crcs`).
    pub check_crcs: bool,
    /// Most bytes that one batch may inflate to.
    pub max_batch_bytes: usize,
}

impl Default for ReaderOptions {
    fn default() -> Self {
        Self { read_committed: false, check_crcs: true, max_batch_bytes: 128 << 20 }
    }
}

/// Reads record batches and message sets of any format version, one at a time: only the batch being read is
/// decompressed. Control batches are always left out.
///
/// After an error every further call returns it again: there is no way to tell what follows bad bytes.
#[derive(Debug)]
pub struct BatchReader {
    topic: Arc<str>,
    partition: i32,
    data: Bytes,
    pos: usize,
    /// Bytes of the last entry before `pos`.
    entry: usize,
    options: ReaderOptions,
    aborted: AbortedTransactions,
    next_offset: i64,
    reported: i64,
    leader_epoch: i32,
    open: Option<Open>,
    failed: Option<Error>,
}

impl BatchReader {
    /// A reader of `data`, the records field of a fetch response for `fetch_offset`, with the response's
    /// aborted transactions as (producer id, first offset).
    pub fn new(
        topic: Arc<str>,
        partition: i32,
        data: Bytes,
        fetch_offset: i64,
        options: ReaderOptions,
        aborted: Vec<(i64, i64)>,
    ) -> Self {
        let options = ReaderOptions {
            // Spans are u32.
            max_batch_bytes: options.max_batch_bytes.min(u32::MAX as usize),
            ..options
        };
        let failed = (u32::try_from(data.len()).is_err()).then(|| {
            Error::new(Kind::CorruptRecord, "a fetch response of 4 GiB is impossible").at(
                &topic,
                partition,
                Some(fetch_offset),
            )
        });
        Self {
            topic,
            partition,
            data,
            pos: 0,
            entry: 0,
            options,
            aborted: AbortedTransactions::new(aborted),
            next_offset: fetch_offset,
            reported: fetch_offset,
            leader_epoch: -1,
            open: None,
            failed,
        }
    }

    /// Where the next read starts: after the last record, batch or marker that has been passed.
    pub fn next_offset(&self) -> i64 {
        self.next_offset
    }

    /// The next records: at most `max_records`, and no more once `max_bytes` encoded bytes have been read (but
    /// at least one record). None at the end.
    ///
    /// The block may be empty: it then only moves the position past batches that hold nothing for the caller.
    /// When a batch turns out bad after others of the same call, those are returned first and the error comes
    /// with the next call.
    pub fn next_block(&mut self, max_records: usize, max_bytes: usize) -> Result<Option<Block>> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let mut draft =
            Draft { max_records: max_records.max(1), max_bytes: max_bytes.max(1), ..Draft::default() };
        if let Err(error) = self.fill(&mut draft) {
            let error = error.at(&self.topic, self.partition, Some(self.next_offset));
            self.open = None;
            self.failed = Some(error.clone());
            if draft.records.is_empty() && self.next_offset == self.reported {
                return Err(error);
            }
        }
        if draft.records.is_empty() && self.next_offset == self.reported {
            return Ok(None);
        }
        self.reported = self.next_offset;
        if draft.records.capacity() / 2 > draft.records.len() {
            draft.records.shrink_to_fit();
        }
        Ok(Some(Block {
            topic: Arc::clone(&self.topic),
            partition: self.partition,
            leader_epoch: self.leader_epoch,
            next_offset: self.next_offset,
            bytes: draft.bytes + draft.records.len() * size_of::<Record>(),
            chunks: draft.chunks.into(),
            records: draft.records.into(),
        }))
    }

    fn fill(&mut self, draft: &mut Draft) -> Result<()> {
        while !draft.is_full() {
            if self.open.is_none() {
                self.open = self.open_next()?;
            }
            let Some(open) = &mut self.open else { break };
            if draft.records.is_empty() {
                // What follows mostly is like what comes first; the limits bound it where it is not.
                draft.expected = open.left() * ((self.data.len() - self.pos) / self.entry.max(1) + 1);
            }
            // As in Kafka's own reader, records before the position are passed over wherever they stand.
            let outcome = draft.take(open, self.next_offset);
            self.next_offset = self.next_offset.max(open.previous() + 1);
            outcome.map_err(corrupt)?;
            if open.left() == 0 {
                // The last offset of a batch outlives its record in compaction; the next batch follows it.
                self.next_offset = self.next_offset.max(open.last_offset() + 1);
                self.open = None;
            }
        }
        Ok(())
    }

    /// Opens the next batch that has something for the caller, or None at the end.
    fn open_next(&mut self) -> Result<Option<Open>> {
        loop {
            let Some((size, magic)) = next_entry(&self.data[self.pos..])? else {
                // Brokers cut the last batch where the fetch size ends; but a first batch comes in full (KIP-74).
                if self.pos == 0 && !self.data.is_empty() {
                    return Err(corrupt(
                        "the response holds no complete batch: the fetch cannot make progress",
                    ));
                }
                return Ok(None);
            };
            let (start, end) = (self.pos, self.pos + size);
            let limit = self.options.max_batch_bytes;
            let open = if magic == 2 {
                self.open_batch(start, end)?
            } else {
                self.leader_epoch = -1;
                let check_crcs = self.options.check_crcs;
                Some(Open::Messages(MessageSet::open(&self.data, start, end, check_crcs, limit)?))
            };
            self.pos = end;
            self.entry = size;
            if open.is_some() {
                return Ok(open);
            }
        }
    }

    /// Opens the batch at `start..end`, or passes over it.
    fn open_batch(&mut self, start: usize, end: usize) -> Result<Option<Open>> {
        let header = BatchHeader::read(&self.data[start..end], self.options.check_crcs)?;
        let open = |data: &Bytes| BatchRecords::open(&header, data, start, end, self.options.max_batch_bytes);
        let mut drop = header.is_control();
        if self.options.read_committed && header.producer_id >= 0 {
            let aborts = header.is_control() && is_abort_marker(open(&self.data)?)?;
            drop |= self.aborted.observe(&header, aborts);
        }
        let opened = if drop { None } else { Some(Open::Batch(open(&self.data)?)) };
        self.leader_epoch = header.leader_epoch;
        if drop {
            self.next_offset = self.next_offset.max(header.last_offset() + 1);
        }
        Ok(opened)
    }
}

/// Whether a control batch says "aborted": its key is version i16 and type i16, 0 for abort (KIP-98).
fn is_abort_marker(mut batch: BatchRecords) -> Result<bool> {
    let mut records = Vec::new();
    batch
        .read(&mut Gather { records: &mut records, chunk: 0, from: 0, max_records: 1, max_bytes: usize::MAX })
        .map_err(corrupt)?;
    let Some(marker) = records.first() else { return Ok(false) };
    let key = marker.key.range().map_or(&[][..], |range| &batch.buffer().0[range]);
    i16_at(key, 2).map(|kind| kind == 0).ok_or_else(|| corrupt("a control record has no type"))
}

/// The batch being read.
#[derive(Debug)]
enum Open {
    Batch(BatchRecords),
    Messages(MessageSet),
}

impl Open {
    fn buffer(&self) -> (&Bytes, bool) {
        match self {
            Open::Batch(batch) => batch.buffer(),
            Open::Messages(set) => set.buffer(),
        }
    }

    fn left(&self) -> usize {
        match self {
            Open::Batch(batch) => batch.left(),
            Open::Messages(set) => set.left(),
        }
    }

    fn bytes_left(&self) -> usize {
        match self {
            Open::Batch(batch) => batch.bytes_left(),
            Open::Messages(set) => set.bytes_left(),
        }
    }

    fn last_offset(&self) -> i64 {
        match self {
            Open::Batch(batch) => batch.last_offset(),
            Open::Messages(set) => set.last_offset(),
        }
    }

    fn previous(&self) -> i64 {
        match self {
            Open::Batch(batch) => batch.previous(),
            Open::Messages(set) => set.previous(),
        }
    }

    fn read(&mut self, gather: &mut Gather<'_>) -> Result<(), Fault> {
        match self {
            Open::Batch(batch) => batch.read(gather),
            Open::Messages(set) => set.read(gather),
        }
    }
}

/// A block in the making.
#[derive(Debug, Default)]
struct Draft {
    records: Vec<Record>,
    chunks: Vec<Bytes>,
    /// Index of the response itself among the chunks, once a record lies in it.
    response: Option<usize>,
    /// How many records the block may come to, to make room for all of them at once.
    expected: usize,
    bytes: usize,
    max_records: usize,
    max_bytes: usize,
}

impl Draft {
    fn is_full(&self) -> bool {
        !self.records.is_empty() && (self.records.len() >= self.max_records || self.bytes >= self.max_bytes)
    }

    /// Moves records from `open` into the block, up to its limits.
    fn take(&mut self, open: &mut Open, from: i64) -> Result<(), Fault> {
        let (buffer, shared) = open.buffer();
        let known = if shared { self.response } else { None };
        let chunk = known.unwrap_or(self.chunks.len());
        let buffer = known.is_none().then(|| buffer.clone());
        let max_bytes = self.max_bytes.saturating_sub(self.bytes).max(1);
        // An index entry is several times the smallest record: what is reserved has to fit the limits, too.
        let most = (max_bytes / LEAST_RECORD + 1).min(self.max_records - self.records.len());
        self.records.reserve(open.left().max(self.expected).min(most));
        self.expected = 0;
        let (before, bytes_before) = (self.records.len(), open.bytes_left());
        let outcome = open.read(&mut Gather {
            records: &mut self.records,
            chunk: chunk as u32,
            from,
            max_records: self.max_records,
            max_bytes,
        });
        if self.records.len() > before {
            self.bytes += bytes_before - open.bytes_left();
            if let Some(buffer) = buffer {
                self.chunks.push(buffer);
                if shared {
                    self.response = Some(chunk);
                }
            }
        }
        outcome
    }
}
