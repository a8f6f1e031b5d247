//! Counters: one thread, and threads that fight over the same ones.

#![allow(missing_docs)] // made by criterion's macros

use std::hint::black_box;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use _native::metrics::{Counters, Snapshot};
use criterion::{criterion_group, criterion_main, Criterion, Throughput};

const THREADS: u64 = 8;

/// The same under one lock.
struct Locked(Mutex<Snapshot>);

impl Locked {
    fn new() -> Self {
        Self(Mutex::new(Snapshot { batch_min: u64::MAX, ..Snapshot::default() }))
    }

    fn observe_batch(&self, records: u64) {
        let mut counters = self.0.lock().expect("no writer panics");
        counters.batch_count += 1;
        counters.batch_sum += records;
        counters.batch_min = counters.batch_min.min(records);
        counters.batch_max = counters.batch_max.max(records);
    }
}

/// Time of `count` calls of each of the threads; every call gets another size, so that the extremes move.
fn contended(count: u64, call: impl Fn(u64) + Send + Sync + 'static) -> Duration {
    let call = Arc::new(call);
    let ready = Arc::new(Barrier::new(THREADS as usize + 1));
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let (call, ready) = (Arc::clone(&call), Arc::clone(&ready));
            thread::spawn(move || {
                ready.wait();
                for index in 0..count {
                    call((index * THREADS + thread) % 100_000 + 1);
                }
            })
        })
        .collect();
    ready.wait();
    let start = Instant::now();
    for thread in threads {
        thread.join().expect("no writer panics");
    }
    start.elapsed()
}

fn counters(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("1 thread");
    let counters = Counters::new(8);
    group.bench_function("add", |bencher| bencher.iter(|| counters.add(black_box(1), black_box(500))));
    group.bench_function("observe_batch", |bencher| bencher.iter(|| counters.observe_batch(black_box(500))));
    let locked = Locked::new();
    group.bench_function("observe_batch, lock", |bencher| {
        bencher.iter(|| locked.observe_batch(black_box(500)));
    });
    group.bench_function("snapshot", |bencher| bencher.iter(|| counters.snapshot()));
    group.finish();

    let mut group = criterion.benchmark_group(format!("{THREADS} threads"));
    group.throughput(Throughput::Elements(THREADS));
    group.bench_function("observe_batch", |bencher| {
        bencher.iter_custom(|count| {
            let counters = Counters::new(0);
            contended(count, move |records| counters.observe_batch(records))
        });
    });
    group.bench_function("observe_batch, lock", |bencher| {
        bencher.iter_custom(|count| {
            let locked = Locked::new();
            contended(count, move |records| locked.observe_batch(records))
        });
    });
}

criterion_group!(benches, counters);
criterion_main!(benches);
