mod bench;
mod documentation;
mod errors;
mod host;
mod limits;
mod properties;
mod requests;
mod web;

use super::*;

fn build_bytes(bench: &bench::Bench, source: &[u8]) -> Result<Built, PrepareError> {
    bench.build_bytes("a.js", source)
}
