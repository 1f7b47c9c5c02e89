#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| engines::fuzzing::worker_arguments(data));
