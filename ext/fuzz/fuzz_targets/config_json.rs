#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rivven_kafka_fuzz::run("config_json", data));
