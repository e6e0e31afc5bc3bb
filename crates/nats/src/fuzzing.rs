//! Ways into the parsers for fuzzing. They panic when something is not as it has to be.
#![expect(clippy::missing_panics_doc, reason = "a panic is what a fuzzer looks for")]

use tokio::io::AsyncReadExt as _;

use crate::{
    protocol::{self, Bounds, Step},
    websocket::frames::Frames,
};

const BOUNDS: Bounds = Bounds { control_line: 256, payload: 256, headers: true };

/// Reads operations from `bytes`, whole and in two pieces that are cut at `cut`.
pub fn protocol(bytes: &[u8], cut: usize) {
    let (first, _) = bytes.split_at_checked(cut).unwrap_or((bytes, &[]));
    let (whole, early) = (operations(bytes), operations(first));
    assert!(whole.starts_with(&early), "bytes that came later changed what was read before");
}

/// Every operation that is whole, as text.
fn operations(bytes: &[u8]) -> Vec<String> {
    let mut operations = Vec::new();
    let mut used = 0;
    while let Some(rest) = bytes.get(used..).filter(|rest| !rest.is_empty()) {
        match protocol::parse(rest, BOUNDS) {
            Ok(Step::Frame(frame, taken)) => {
                assert!(taken > 0 && taken <= rest.len(), "an operation takes bytes that are there");
                operations.push(format!("{frame:?}"));
                used += taken;
            }
            Ok(Step::Incomplete(need)) => {
                assert!(need.is_none_or(|need| need > rest.len()), "what is incomplete needs more");
                break;
            }
            Err(_) => break,
        }
    }
    operations
}

/// Reads frames of WebSocket until the end or the first that cannot be.
pub fn websocket(bytes: &[u8]) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else { return };
    let mut read = Vec::new();
    let stream = tokio::io::join(bytes, tokio::io::sink());
    let _ = runtime.block_on(Frames::new(stream).read_to_end(&mut read));
    assert!(read.len() <= bytes.len(), "more came out than went in");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn nothing_that_is_sent_breaks_the_parsers(bytes: Vec<u8>, cut: u8) {
            protocol(&bytes, usize::from(cut));
            websocket(&bytes);
        }

        #[test]
        fn nothing_that_looks_like_the_protocol_does(
            pieces in prop::collection::vec(prop::sample::select(vec!["PUB ", "a ", "1", "\r\n", "SUB ", "x", "HPUB "]), 0..40),
            cut: u8,
        ) {
            protocol(pieces.concat().as_bytes(), usize::from(cut));
        }
    }
}
