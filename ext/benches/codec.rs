//! Record batches: decoding, encoding, and the codecs alone, which bound them.

#![allow(missing_docs)] // made by criterion's macros

mod support;

use std::hint::black_box;

use _native::kafka::compression::{compress, decompress, Codec};
use _native::kafka::writer::BatchWriter;
use criterion::{criterion_group, criterion_main, BenchmarkId, Criterion, Throughput};
use support::{batch, decode, record, writer, LARGE};

/// Records of a batch of about 16 KiB, Kafka's default.
const SMALL: usize = 95;
/// All codecs.
const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

fn decoding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for (codec, count) in CODECS.into_iter().flat_map(|codec| [(codec, SMALL), (codec, LARGE)]) {
        let batch = batch(codec, count);
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::new(codec.name(), count), |bencher| {
            bencher.iter(|| decode(black_box(&batch)));
        });
    }
}

fn encoding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    for (codec, count) in CODECS.into_iter().flat_map(|codec| [(codec, SMALL), (codec, LARGE)]) {
        let records: Vec<_> = (0..count).map(record).collect();
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::new(codec.name(), count), |bencher| {
            bencher.iter(|| {
                let mut writer = BatchWriter::new(codec);
                for (index, (key, value, headers)) in records.iter().enumerate() {
                    let timestamp = 1_700_000_000_000 + index as i64;
                    writer.append(timestamp, Some(key), Some(value), 1, &[headers]).expect("it fits");
                }
                writer.seal().expect("it has records").to_bytes(-1, -1, -1, false)
            });
        });
    }
}

fn codecs(criterion: &mut Criterion) {
    const HEADER: usize = 61;
    for count in [SMALL, LARGE] {
        let plain = writer(Codec::None, count).seal().expect("it has records").to_bytes(-1, -1, -1, false);
        let plain = &plain[HEADER..];
        let mut group = criterion.benchmark_group(format!("{} bytes", plain.len()));
        group.throughput(Throughput::Bytes(plain.len() as u64));
        for codec in &CODECS[1..] {
            let mut packed = Vec::new();
            compress(*codec, plain, &mut packed).expect("any bytes can be compressed");
            group.bench_function(format!("{} compress", codec.name()), |bencher| {
                bencher.iter(|| {
                    let mut out = Vec::with_capacity(plain.len() / 2);
                    compress(*codec, black_box(plain), &mut out).expect("any bytes can be compressed");
                    out
                });
            });
            group.bench_function(format!("{} decompress", codec.name()), |bencher| {
                bencher.iter(|| decompress(*codec, black_box(&packed), plain.len()).expect("it is whole"));
            });
        }
        group.bench_function("crc32c", |bencher| bencher.iter(|| crc32c::crc32c(black_box(plain))));
    }
}

criterion_group!(benches, decoding, encoding, codecs);
criterion_main!(benches);
