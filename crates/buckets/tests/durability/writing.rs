//! The process that writes, and says on its standard output what was acknowledged.

use std::path::Path;

use bytes::Bytes;
use flagbase_buckets::Files;
use flagbase_core::blobs::{BlobError, Blobs as _};
use flagbase_testkit::blobs::read;
use futures_util::stream;

pub(super) const BASE: &str = "FLAGBASE_CRASH_BLOBS";
pub(super) const ROUND: &str = "FLAGBASE_CRASH_ROUND";
/// How often each task writes; without it, for ever.
pub(super) const TIMES: &str = "FLAGBASE_CRASH_TIMES";

const TASKS: u64 = 3;

/// What is written by the `number`th write: large enough that a step is not all of it, and readable as one whole.
fn content(text: &str, number: u64) -> Vec<Bytes> {
    let line = format!("{text} {number}\n");
    let lines = usize::try_from(number % 7 * 6_000 + 1).unwrap();
    let whole = Bytes::from(line.repeat(lines));
    (0..whole.len()).step_by(50_000).map(|at| whole.slice(at..whole.len().min(at + 50_000))).collect()
}

/// Writes once, over what was there under that name.
pub(super) async fn write(files: &Files, text: &str, number: u64) -> Result<(), BlobError> {
    let parts = content(text, number).into_iter().map(Ok);
    files.put(&name(text, number), Box::pin(stream::iter(parts))).await.map(drop)
}

fn name(text: &str, number: u64) -> String {
    format!("{text}/shard-{}/blob-{}", number % 2, number % 5)
}

/// The process that is killed or whose power is cut.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by other tests"]
async fn writer_process() {
    let (Some(base), Some(round)) = (std::env::var_os(BASE), std::env::var_os(ROUND)) else {
        return;
    };
    let files = Files::open(Path::new(&base)).unwrap();
    let times = std::env::var_os(TIMES).map_or(u64::MAX, |text| text.to_str().unwrap().parse().unwrap());
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..TASKS {
        let (files, text) = (files.clone(), format!("r{}-t{task}", round.to_string_lossy()));
        tasks.spawn(async move {
            for number in 0..times {
                write(&files, &text, number).await.unwrap();
                println!("ack {text} {number}");
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    std::process::exit(0);
}

/// Fails unless each blob below `base` is one write as a whole, and none is older than what was acknowledged.
pub(super) async fn assert_whole(base: &Path, acknowledged: &[String]) {
    let files = Files::open(base).unwrap();
    let names = files.list("", "", u32::MAX).await.unwrap();
    for name in &names {
        let found = read(&files, name, None).await.unwrap();
        let line = String::from_utf8(found.split(|byte| *byte == b'\n').next().unwrap().to_vec()).unwrap();
        let (text, number) = line.split_once(' ').unwrap();
        let whole = content(text, number.parse().unwrap()).concat();
        assert!(found == whole, "`{name}` is {} bytes of {}", found.len(), whole.len());
    }
    for line in acknowledged {
        let (text, number) = line.split_once(' ').unwrap();
        let number: u64 = number.parse().unwrap();
        let found = read(&files, &name(text, number), None).await;
        assert!(found.is_some(), "`{line}` was acknowledged and is gone");
        let found = found.unwrap();
        let line = String::from_utf8(found.split(|byte| *byte == b'\n').next().unwrap().to_vec()).unwrap();
        let there: u64 = line.split_once(' ').unwrap().1.parse().unwrap();
        assert!(there >= number, "{number} was acknowledged, {there} is there");
    }
}
