#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cli::config::fuzzing::server_config(data));
