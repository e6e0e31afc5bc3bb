//! What clients send, in any pieces: nothing panics, and how the bytes are cut changes nothing.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let (cut, bytes) = data.split_first().map_or((0, data), |(cut, bytes)| (usize::from(*cut), bytes));
    flagbase_nats::fuzzing::protocol(bytes, cut);
});
