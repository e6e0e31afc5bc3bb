//! `flagbase bucket`, as people type it.

use std::path::Path;
use std::process::Output;

use super::*;

impl Place {
    fn run(&self, line: &str) -> Output {
        let words: Vec<&str> = line.split_whitespace().collect();
        let mut command = self.server.command(&words);
        command
            .env("FLAGBASE_SERVER", self.server.url(""))
            .env("FLAGBASE_TOKEN", &self.token)
            .output()
            .unwrap()
    }

    #[track_caller]
    pub(super) fn ok(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub(super) fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.server.directory().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

/// All files below a directory, with their bytes.
pub(super) fn tree(root: &Path) -> Vec<(String, Vec<u8>)> {
    let (mut files, mut directories) = (Vec::new(), vec![root.to_owned()]);
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                files.push((name, std::fs::read(path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_goes_there_and_comes_back_byte_for_byte() {
    let place = Place::new(json!({})).await;
    for (name, bytes) in [
        ("index.html", filled(100, 1)),
        ("empty", Vec::new()),
        ("a/ä ö.txt", filled(70_000, 2)),
        ("a/b/c/deep.bin", filled(9 << 20, 3)),
        ("a/#?%.txt", filled(5, 4)),
    ] {
        place.write(&format!("tree/{name}"), &bytes);
    }
    assert!(place.ok("bucket sync ./tree up/v1 --dry-run").contains("put "));
    place.ok("bucket sync ./tree up/v1");
    assert_eq!(place.ok("bucket sync ./tree up/v1 --dry-run"), "", "all is equal now");
    place.ok("bucket sync up/v1 ./back");
    let directory = place.server.directory();
    assert!(tree(&directory.join("back")) == tree(&directory.join("tree")));
    place.write("back/extra", b"x");
    std::fs::remove_file(directory.join("tree/empty")).unwrap();
    place.ok("bucket sync ./tree up/v1 --delete");
    place.ok("bucket sync up/v1 ./back --delete");
    assert!(tree(&directory.join("back")) == tree(&directory.join("tree")));
    assert_eq!(
        place.get("v1/index.html", &[]).await.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    place.put("v1/..%2Fescaped", "x").await.expect_status(200);
    assert_eq!(place.run("bucket sync up/v1 ./back").status.code(), Some(1), "a key that leads out is told");
    assert!(!directory.join("escaped").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_and_objects_are_worked_with_by_commands() {
    let place = Place::new(json!({})).await;
    place.ok("bucket create other --versioning enabled --quota 1GiB");
    assert_eq!(place.run("bucket create other").status.code(), Some(5), "it is there already");
    place.ok("bucket set other --quota none --description things");
    assert!(place.ok("bucket list").contains("other"));
    place.write("a.txt", b"hello");
    place.write("big.bin", &filled(20 << 20, 7));
    place.ok("bucket put a.txt big.bin other/in/");
    assert_eq!(place.ok("bucket get other/in/a.txt -"), "hello");
    place.ok("bucket get other/in/big.bin fetched.bin");
    let fetched = std::fs::read(place.server.directory().join("fetched.bin")).unwrap();
    assert!(fetched == filled(20 << 20, 7));
    place.ok("bucket cp other/in/a.txt up/");
    let listed = place.ok("bucket ls other/in/");
    assert!(listed.contains("in/a.txt") && listed.contains("in/big.bin"), "{listed}");
    let url = place.ok("bucket share other/in/a.txt --expires-in 5m");
    assert_eq!(reqwest::get(url.trim()).await.unwrap().text().await.unwrap(), "hello");
    let usage: Value = serde_json::from_str(&place.ok("bucket usage other -o json")).unwrap();
    assert_eq!(usage["objects"], 2);
    place.ok("bucket rm up/a.txt");
    for (line, code) in [
        ("bucket rm up/a.txt", 3),
        ("bucket get up/a.txt -", 3),
        ("bucket show nothing", 3),
        ("bucket put a.txt other/in/a.txt --no-overwrite", 5),
        ("bucket put missing.txt up/", 2),
        ("bucket get up .", 2),
        ("bucket sync ./a ./b", 2),
        ("bucket delete other --yes", 5),
    ] {
        let output = place.run(line);
        assert_eq!(output.status.code(), Some(code), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }
    place.ok("bucket rm -r up/ --yes");
    place.ok("bucket delete up --yes");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_key_is_told_in_the_variables_of_aws_and_is_good_for_its_place() {
    let place = Place::new(json!({})).await;
    let told = place.ok("bucket key up/mine/ --read-only");
    let lines: Vec<&str> = told.lines().collect();
    assert!(
        lines[0].starts_with("AWS_ACCESS_KEY_ID=FB") && lines[1].starts_with("AWS_SECRET_ACCESS_KEY="),
        "{told}"
    );
    let keys = place.server.get("/api/v1/keys", &place.token).await.expect_status(200);
    let key = &keys.json[0];
    assert_eq!(key["buckets"], json!([{"bucket": "up", "prefix": "mine/"}]), "{key}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_was_killed_goes_on_where_it_was() {
    let place = Place::new(json!({})).await;
    let content = filled(96 << 20, 9);
    place.write("large.bin", &content);
    let mut command = place.server.command(&["bucket", "put", "large.bin", "up/large"]);
    command.env("FLAGBASE_SERVER", place.server.url("")).env("FLAGBASE_TOKEN", &place.token);
    let mut first = command.spawn().unwrap();
    let begun =
        async |member: &str| place.send(Method::GET, "/usage", &[], "").await.json[member].as_u64().unwrap();
    let pause = std::time::Duration::from_millis(50);
    // The command remembers where its upload is before it sends the first byte.
    let mark = place.server.directory().join(".config/flagbase/uploads.json");
    while !mark.exists() {
        tokio::time::sleep(pause).await;
    }
    tokio::time::sleep(pause).await;
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(begun("uploads").await, 1, "it was killed before its end");
    place.get("large", &[]).await.expect_status(404);
    place.ok("bucket put large.bin up/large");
    assert!(place.bytes("large").await == content);
    assert_eq!(begun("uploads").await, 0, "the second went on with what the first had begun");
}
