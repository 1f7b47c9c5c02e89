#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| domain::fuzzing::oyster_calldata(data));
