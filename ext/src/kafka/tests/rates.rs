//! Rates of decoding and encoding, printed on request:
//! `cargo test --release rates -- --ignored --nocapture --test-threads 1`.

use std::time::Instant;

use super::*;

const RECORDS: usize = 1000;

fn batch(codec: Codec) -> BatchWriter {
    let mut writer = BatchWriter::new(codec);
    let value = br#"{"id":123456,"name":"a customer","amount":12.5,"tags":["a","b"]}"#.repeat(3);
    for index in 0..RECORDS {
        let key = format!("key-{index:08}");
        let mut value = value[..150].to_vec();
        value[10..18].copy_from_slice(&key.as_bytes()[4..]);
        writer.append(BASE_TIME + index as i64, Some(key.as_bytes()), Some(&value), 0, &[]).unwrap();
    }
    writer
}

#[test]
#[ignore = "a measurement, not a test"]
fn print_rates() {
    for codec in CODECS {
        let data = Bytes::from(batch(codec).seal().unwrap().to_bytes(-1, -1, -1, false));
        let rounds = if codec == Codec::None { 5000 } else { 500 };
        let start = Instant::now();
        for _ in 0..rounds {
            let block = reader(data.clone(), 0, ReaderOptions::default()).next_block(RECORDS, usize::MAX);
            assert_eq!(block.unwrap().unwrap().records.len(), RECORDS);
        }
        let decode = (rounds * RECORDS) as f64 / start.elapsed().as_secs_f64() / 1e6;
        let start = Instant::now();
        for _ in 0..rounds / 5 {
            batch(Codec::None);
        }
        let prepare = start.elapsed();
        let start = Instant::now();
        for _ in 0..rounds / 5 {
            batch(codec).seal().unwrap().to_bytes(-1, -1, -1, false);
        }
        let seal = start.elapsed().saturating_sub(prepare).as_secs_f64();
        let encode = (rounds / 5 * RECORDS) as f64 / start.elapsed().as_secs_f64() / 1e6;
        println!(
            "{:6} {:7} bytes  decode {decode:6.2} M/s  append+seal {encode:6.2} M/s  seal alone {:6.2} M/s",
            codec.name(),
            data.len(),
            (rounds / 5 * RECORDS) as f64 / seal / 1e6
        );
    }
}
