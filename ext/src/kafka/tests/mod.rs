//! Tests that cross the files of this module, and the hand-made batches they share.

mod forged;
mod legacy;
mod mutation;
mod rates;
mod reading;
mod round_trip;
mod transactions;

use std::sync::Arc;

use bytes::Bytes;

use super::compression::{compress, Codec};
use super::header::{BatchHeader, BATCH_HEADER};
use super::reader::{BatchReader, ReaderOptions};
use super::writer::{encode_header, BatchWriter};
use crate::error::{Error, Result};
use crate::record::Block;

const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
const BASE_TIME: i64 = 1_700_000_000_000;

/// `count` records with keys, values and headers of many shapes, nulls and empties among them.
fn sample(codec: Codec, count: usize) -> Vec<u8> {
    let mut writer = BatchWriter::new(codec);
    for index in 0..count {
        let text = format!("value {index} ").repeat(index % 7);
        let key = match index % 3 {
            0 => None,
            1 => Some(&b""[..]),
            _ => Some(text.as_bytes()),
        };
        let value = (index % 5 != 4).then_some(text.as_bytes());
        let mut headers = Vec::new();
        for header in 0..index % 3 {
            encode_header(&mut headers, b"name", (header == 1).then_some(text.as_bytes()));
        }
        writer.append(BASE_TIME + index as i64, key, value, (index % 3) as u32, &[&headers]).unwrap();
    }
    writer.seal().unwrap().to_bytes(-1, -1, -1, false)
}

/// `batch` with its header changed and its checksum right.
fn edit(batch: &[u8], change: impl FnOnce(&mut BatchHeader)) -> Vec<u8> {
    let mut header = BatchHeader::read(batch, false).unwrap();
    change(&mut header);
    header.write(&batch[BATCH_HEADER..])
}

/// An uncompressed batch at `offset` of `count` records, written by `producer`.
fn batch_at(offset: i64, count: usize, producer: i64, transactional: bool) -> Vec<u8> {
    let mut writer = BatchWriter::new(Codec::None);
    for index in 0..count {
        writer.append(BASE_TIME, None, Some(index.to_string().as_bytes()), 0, &[]).unwrap();
    }
    let batch = writer.seal().unwrap().to_bytes(producer, 0, 0, transactional);
    edit(&batch, |header| header.base_offset = offset)
}

/// The marker that ends a transaction of `producer` (KIP-98).
fn marker(offset: i64, producer: i64, commit: bool) -> Vec<u8> {
    let mut writer = BatchWriter::new(Codec::None);
    writer.append(BASE_TIME, Some(&[0, 0, 0, u8::from(commit)]), Some(&[0; 6]), 0, &[]).unwrap();
    let batch = writer.seal().unwrap().to_bytes(producer, 0, -1, true);
    edit(&batch, |header| {
        header.base_offset = offset;
        header.attributes |= 0x20;
    })
}

/// A message of magic 0 or 1; a compressed one when `attributes` name a codec.
fn message(magic: u8, offset: i64, attributes: u8, key: Option<&[u8]>, value: Option<&[u8]>) -> Vec<u8> {
    let mut body = vec![magic, attributes];
    if magic == 1 {
        body.extend_from_slice(&(BASE_TIME + offset).to_be_bytes());
    }
    for bytes in [key, value] {
        body.extend_from_slice(&bytes.map_or(-1, |bytes| bytes.len() as i32).to_be_bytes());
        body.extend_from_slice(bytes.unwrap_or_default());
    }
    let mut out = offset.to_be_bytes().to_vec();
    out.extend_from_slice(&(body.len() as i32 + 4).to_be_bytes());
    out.extend_from_slice(&crc32fast::hash(&body).to_be_bytes());
    out.extend_from_slice(&body);
    out
}

/// Three messages within a compressed one, whose last offset is `last`.
fn wrapper(magic: u8, codec: Codec, last: i64) -> Vec<u8> {
    let first = if magic == 1 { 0 } else { last - 2 };
    let inner: Vec<u8> =
        (0..3).flat_map(|index| message(magic, first + index, 0, Some(b"key"), Some(&[b'v'; 40]))).collect();
    let mut packed = Vec::new();
    compress(codec, &inner, &mut packed).unwrap();
    message(magic, last, codec.id() as u8, None, Some(&packed))
}

fn reader(data: impl Into<Bytes>, from: i64, options: ReaderOptions) -> BatchReader {
    BatchReader::new(Arc::from("t"), 3, data.into(), from, options, Vec::new())
}

/// All blocks of `max_records`, and the error that ended them.
fn drain(mut reader: BatchReader, max_records: usize) -> (Vec<Block>, Option<Error>) {
    let mut blocks = Vec::new();
    loop {
        match reader.next_block(max_records, usize::MAX) {
            Ok(Some(block)) => blocks.push(block),
            Ok(None) => return (blocks, None),
            Err(error) => return (blocks, Some(error)),
        }
    }
}

fn read_all(data: impl Into<Bytes>, from: i64) -> Result<Vec<Block>> {
    match drain(reader(data, from, ReaderOptions::default()), usize::MAX) {
        (blocks, None) => Ok(blocks),
        (_, Some(error)) => Err(error),
    }
}

fn offsets(blocks: &[Block]) -> Vec<i64> {
    blocks.iter().flat_map(|block| block.records.iter()).map(|record| record.offset).collect()
}

fn next_offset(blocks: &[Block]) -> i64 {
    blocks.last().map(|block| block.next_offset).unwrap()
}
