//! What the benchmarks share: records of about 160 bytes of JSON, a key and one header.

use std::sync::Arc;

use _native::kafka::compression::Codec;
use _native::kafka::reader::{BatchReader, ReaderOptions};
use _native::kafka::writer::{encode_header, BatchWriter};
use _native::record::Block;
use bytes::Bytes;

/// Records of a batch of about 160 KiB.
pub const LARGE: usize = 1000;

/// Key, value and encoded headers of record `index`.
pub fn record(index: usize) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let number = index as u64;
    let customer = number * 7919 % 100_000;
    let key = format!("customer-{customer:05}").into_bytes();
    // Digits without a pattern: a payload of repetitions would compress to nothing.
    let value = format!(
        r#"{{"order_id": {}, "customer": "customer-{customer:05}", "amount": {}.{:02}, "status": "{}", "paid": true, "note": "{:016x}{:016x}"}}"#,
        10_000_000 + number,
        number % 1000,
        number * 37 % 100,
        ["new", "paid", "sent"][index % 3],
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        number.wrapping_mul(0xc2b2_ae3d_27d4_eb4f),
    );
    let mut headers = Vec::new();
    let trace = format!("{:08x}", number * 2_654_435_761 % (1 << 32));
    encode_header(&mut headers, b"trace", Some(trace.as_bytes()));
    (key, value.into_bytes(), headers)
}

/// A batch of `count` records that is not sealed.
pub fn writer(codec: Codec, count: usize) -> BatchWriter {
    let mut writer = BatchWriter::new(codec);
    for index in 0..count {
        let (key, value, headers) = record(index);
        let timestamp = 1_700_000_000_000 + index as i64;
        writer.append(timestamp, Some(&key), Some(&value), 1, &[&headers]).expect("it fits");
    }
    writer
}

/// A batch as a broker sends it.
pub fn batch(codec: Codec, count: usize) -> Bytes {
    Bytes::from(writer(codec, count).seal().expect("it has records").to_bytes(-1, -1, -1, false))
}

/// All records of a batch.
pub fn decode(batch: &Bytes) -> Block {
    let mut reader =
        BatchReader::new(Arc::from("orders"), 3, batch.clone(), 0, ReaderOptions::default(), Vec::new());
    reader.next_block(usize::MAX, usize::MAX).expect("the batch is right").expect("it has records")
}
