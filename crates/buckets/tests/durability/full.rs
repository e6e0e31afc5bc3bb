//! The disk takes no more, then it does again. A limit on the size of files plays the full disk, as for the store.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
};

use flagbase_buckets::Files;
use flagbase_core::blobs::{BlobError, Blobs as _};
use flagbase_testkit::blobs::{parts, read, whole};

use super::writing::{BASE, assert_whole, write};

/// The process that meets the limit; it goes on when it is sent a line.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started under a limit by the test below"]
async fn limited_process() {
    let Some(base) = std::env::var_os(BASE) else { return };
    let files = Files::open(Path::new(&base)).unwrap();
    write(&files, "small", 0).await.unwrap();
    files.put("kept", parts(&["before"])).await.unwrap();
    for _ in 0..3 {
        let refused = files.put("kept", whole(vec![1; 8 << 20])).await;
        assert!(matches!(refused, Err(BlobError::Full)), "{refused:?}");
    }
    assert_eq!(read(&files, "kept", None).await.unwrap(), b"before", "what was there stays");
    let left = std::fs::read_dir(&base).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(left.into_iter().all(|name| !name.to_str().unwrap().contains(".part")), "no halves stay");
    println!("step refused");

    std::io::stdin().read_line(&mut String::new()).unwrap();
    files.put("kept", whole(vec![1; 8 << 20])).await.unwrap();
    println!("step recovered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_told_leaves_nothing_half_and_is_used_again_when_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let base = directory.path().join("blobs");
    // The signal that comes with the limit would end the process; a full disk sends none.
    let mut process = Command::new("bash")
        .args(["-c", "trap '' XFSZ; ulimit -S -f 3000; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["full::limited_process", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env(BASE, &base)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut reach = |step: &str| assert!(lines.any(|line| line.ends_with(step)), "did not reach `{step}`");
    reach("step refused");
    let pid = process.id().to_string();
    let raised = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited:"]).status();
    assert!(raised.unwrap().success());
    process.stdin.take().unwrap().write_all(b"\n").unwrap();
    reach("step recovered");
    assert!(process.wait().unwrap().success());

    let files = Files::open(&base).unwrap();
    assert_eq!(read(&files, "kept", None).await.unwrap().len(), 8 << 20);
    files.delete("kept").await.unwrap();
    assert_whole(&base, &["small 0".to_owned()]).await;
}
