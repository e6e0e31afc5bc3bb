//! What browsers send: nothing panics, and no more comes out than went in.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flagbase_nats::fuzzing::websocket(data));
