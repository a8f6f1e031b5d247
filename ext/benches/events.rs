//! Kafka record -> event JSON, the headers of the sink, and the partition of a key.

#![allow(missing_docs)] // made by criterion's macros

mod support;

use std::hint::black_box;
use std::num::NonZeroU32;

use _native::bridge::event_encode::{encode_event, EventOptions};
use _native::bridge::outgoing::{outgoing, OutgoingOptions, ValueFormat};
use _native::bridge::transform::Transforms;
use _native::kafka::compression::Codec;
use _native::kafka::murmur2::partition_for_key;
use _native::kafka::writer::encode_header;
use criterion::{criterion_group, criterion_main, Criterion, Throughput};
use support::{batch, decode, LARGE};

fn events(criterion: &mut Criterion) {
    let block = decode(&batch(Codec::None, LARGE));
    let options = EventOptions { include_headers: true, include_key: true };
    let mut group = criterion.benchmark_group("events");
    group.throughput(Throughput::Elements(LARGE as u64));
    group.bench_function("encode_event", |bencher| {
        let mut out = Vec::new();
        bencher.iter(|| {
            out.clear();
            for record in black_box(&block).records.iter() {
                encode_event(&block, record, options, None, None, &mut out).expect("headers are right");
            }
        });
    });
}

fn sink(criterion: &mut Criterion) {
    let block = decode(&batch(Codec::None, LARGE));
    let mut group = criterion.benchmark_group("sink record");
    group.throughput(Throughput::Elements(LARGE as u64));
    for (name, include_headers, custom) in [
        ("no headers", false, 0),
        ("the rivven headers", true, 0),
        ("two custom headers", false, 2),
        ("all headers", true, 2),
    ] {
        let mut custom_headers = Vec::new();
        for _ in 0..custom {
            encode_header(&mut custom_headers, b"environment", Some(b"production"));
        }
        let options = OutgoingOptions {
            format: ValueFormat::Raw,
            transforms: Transforms::for_format("raw", "[]").expect("no transforms"),
            key_field: None,
            key_field_required: false,
            include_headers,
            custom_headers,
            custom_header_count: custom,
            protection: None,
        };
        group.bench_function(name, |bencher| {
            let (mut headers, mut edited) = (Vec::new(), Vec::new());
            bencher.iter(|| {
                for record in black_box(&block).records.iter() {
                    let out = outgoing(&block, record, &options, &mut headers, &mut edited);
                    black_box(out.expect("the record can be converted"));
                }
            });
        });
    }
}

fn partitions(criterion: &mut Criterion) {
    let keys: Vec<Vec<u8>> = (0..LARGE).map(|index| support::record(index).0).collect();
    let count = NonZeroU32::new(12).expect("not zero");
    let mut group = criterion.benchmark_group("partitioner");
    group.throughput(Throughput::Elements(LARGE as u64));
    group.bench_function("partition_for_key", |bencher| {
        bencher.iter(|| {
            black_box(&keys).iter().fold(0, |sum, key| sum + u64::from(partition_for_key(key, count)))
        });
    });
}

criterion_group!(benches, events, sink, partitions);
criterion_main!(benches);
