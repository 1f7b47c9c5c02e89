#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| engines::fuzzing::wasm_response_headers(data));
