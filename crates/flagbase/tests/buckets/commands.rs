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

    /// What a command says that fails with this code.
    #[track_caller]
    fn refused(&self, line: &str, code: i32) -> String {
        let output = self.run(line);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{line}: {said}");
        said
    }

    /// What a command says beside its data.
    #[track_caller]
    pub(super) fn said(&self, line: &str) -> String {
        let output = self.run(line);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{line}: {said}");
        said
    }

    #[track_caller]
    fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.ok(&format!("{line} -o json"))).unwrap()
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
    assert!(place.ok("bucket sync ./tree files/v1 --dry-run").contains("put "));
    place.ok("bucket sync ./tree files/v1");
    assert_eq!(place.ok("bucket sync ./tree files/v1 --dry-run"), "", "all is equal now");
    place.ok("bucket sync files/v1 ./back");
    let directory = place.server.directory();
    assert!(tree(&directory.join("back")) == tree(&directory.join("tree")));
    place.write("back/extra", b"x");
    std::fs::remove_file(directory.join("tree/empty")).unwrap();
    place.ok("bucket sync ./tree files/v1 --delete");
    place.ok("bucket sync files/v1 ./back --delete");
    let said = place.refused("bucket sync files/v2 ./back --delete", 3);
    assert!(said.contains("there is nothing in `files/v2/`"), "{said}");
    std::fs::create_dir(directory.join("bare")).unwrap();
    let said = place.refused("bucket sync ./bare files/v1 --delete", 3);
    assert!(said.contains("there is nothing in `./bare`") && said.contains("rm -r files/v1/"), "{said}");
    assert!(tree(&directory.join("back")) == tree(&directory.join("tree")));
    assert_eq!(
        place.get("v1/index.html", &[]).await.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    place.put("v1/..%2Fescaped", "x").await.expect_status(200);
    assert_eq!(
        place.run("bucket sync files/v1 ./back").status.code(),
        Some(1),
        "a key that leads out is told"
    );
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
    place.ok("bucket cp other/in/a.txt files/");
    let listed = place.ok("bucket ls other/in/");
    assert!(listed.contains("in/a.txt") && listed.contains("in/big.bin"), "{listed}");
    let url = place.ok("bucket share other/in/a.txt --expires-in 5m");
    assert_eq!(reqwest::get(url.trim()).await.unwrap().text().await.unwrap(), "hello");
    let usage: Value = serde_json::from_str(&place.ok("bucket usage other -o json")).unwrap();
    assert_eq!(usage["objects"], 2);
    place.ok("bucket rm files/a.txt");
    for (line, code) in [
        ("bucket rm files/a.txt", 3),
        ("bucket get files/a.txt -", 3),
        ("bucket show nothing", 3),
        ("bucket put a.txt other/in/a.txt --no-overwrite", 5),
        ("bucket put missing.txt files/", 2),
        ("bucket get files .", 2),
        ("bucket sync ./a ./b", 2),
        ("bucket delete other --yes", 5),
    ] {
        place.refused(line, code);
    }
    place.ok("bucket rm -r files/ --yes");
    place.ok("bucket delete files --yes");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_key_is_told_in_the_variables_of_aws_and_is_good_for_its_place() {
    let (place, s3) = Place::with_s3().await;
    let told = place.ok("bucket key files/mine/ --read-only");
    let port = s3.trim_end_matches("/files").rsplit(':').next().unwrap();
    let endpoint = format!("export AWS_ENDPOINT_URL=http://localhost:{port}");
    let lines: Vec<&str> = told.lines().collect();
    let beginnings = [
        "export AWS_ACCESS_KEY_ID=FB",
        "export AWS_SECRET_ACCESS_KEY=",
        "export AWS_DEFAULT_REGION=",
        &endpoint,
    ];
    assert_eq!(lines.len(), beginnings.len(), "{told}");
    assert!(lines.iter().zip(beginnings).all(|(line, beginning)| line.starts_with(beginning)), "{told}");
    let keys = place.server.get("/api/v1/keys", &place.token).await.expect_status(200);
    let key = &keys.json[0];
    assert_eq!(key["buckets"], json!([{"bucket": "files", "prefix": "mine/"}]), "{key}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_was_killed_goes_on_where_it_was() {
    let place = Place::new(json!({})).await;
    let content = filled(96 << 20, 9);
    place.write("large.bin", &content);
    let mut command = place.server.command(&["bucket", "put", "large.bin", "files/large"]);
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
    let known: Value = serde_json::from_slice(&std::fs::read(&mark).unwrap()).unwrap();
    let location = known.as_object().unwrap().values().next().unwrap().as_str().unwrap();
    send_one_more(&place, location.strip_prefix("/api/v1/buckets/files").unwrap(), &content).await;
    let said = place.said("bucket put large.bin files/large");
    assert!(said.contains("going on at ") && said.contains(" of 100.66 MB"), "{said}");
    assert!(place.bytes("large").await == content);
    assert_eq!(begun("uploads").await, 0, "the second went on with what the first had begun");
}

/// Appends a byte to an upload, as soon as the server sees that nobody else does any more.
async fn send_one_more(place: &Place, upload: &str, content: &[u8]) {
    let tus = ("tus-resumable", "1.0.0");
    for _ in 0..600 {
        let offset = place.send(Method::HEAD, upload, &[tus], "").await.expect_status(200);
        let offset = offset.header("upload-offset").unwrap();
        let next = content[offset.parse::<usize>().unwrap()];
        let kind = ("content-type", "application/offset+octet-stream");
        let sent =
            place.send(Method::PATCH, upload, &[tus, kind, ("upload-offset", offset)], vec![next]).await;
        if sent.status == 204 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    unreachable!("the server takes no more of the upload");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_keeps_versions_is_emptied_and_deleted() {
    let place = Place::new(json!({})).await;
    place.ok("bucket create kept --versioning enabled");
    for text in ["one", "two"] {
        place.write("a.txt", text.as_bytes());
        place.ok("bucket put a.txt kept/in/");
    }
    place.ok("bucket put a.txt kept/b.txt");
    let said = place.said("bucket rm -r kept/in/ --yes");
    assert!(said.contains("deleted 1 object under `kept/in/`") && said.contains("--versions"), "{said}");
    let said = place.refused("bucket delete kept --yes", 5);
    assert!(said.contains("`flagbase bucket rm -r --versions kept`"), "{said}");
    assert!(place.refused("bucket rm -r --versions kept", 2).contains("--yes"), "nobody can be asked");
    place.refused("bucket rm --versions kept/b.txt", 2);
    let counts = place.json("bucket rm -r --versions kept/in/ --yes");
    assert_eq!(counts, json!({"versions": 2, "markers": 1}));
    let said = place.said("bucket rm -r --versions kept --yes");
    assert!(said.contains("deleted 1 version under `kept/`"), "{said}");
    place.ok("bucket delete kept --yes");
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_are_not_finished_are_listed_and_given_up() {
    let place = Place::new(json!({})).await;
    for name in ["YQ==", "Yg==", "Yw=="] {
        let metadata = format!("key {name}");
        let headers = [("tus-resumable", "1.0.0"), ("upload-length", "9"), ("upload-metadata", &metadata)];
        place.send(Method::POST, "/uploads", &headers, "").await.expect_status(201);
    }
    let listed = place.json("bucket uploads files");
    assert_eq!(
        (&listed[0]["key"], &listed[2]["key"], &listed[2]["length"]),
        (&json!("a"), &json!("c"), &json!(9))
    );
    assert_eq!(place.json("bucket uploads files/b").as_array().unwrap().len(), 1);
    assert_eq!(place.json("bucket uploads files --older-than 1d"), json!([]));
    place.ok(&format!("bucket uploads files --abort {}", listed[0]["id"].as_str().unwrap()));
    place.refused("bucket uploads files --abort 0123456789", 3);
    assert_eq!(place.json("bucket uploads files --abort-all --older-than 1d --yes"), json!({"uploads": 0}));
    assert!(place.refused("bucket uploads files --abort-all", 2).contains("--yes"));
    assert_eq!(place.json("bucket uploads files --abort-all --yes"), json!({"uploads": 2}));
    place.ok("bucket delete files --yes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_is_copied_within_the_server() {
    let place = Place::new(json!({})).await;
    place.ok("bucket create other");
    for key in ["site/index.html", "site/a/b.txt", "site/a/%C3%A4%3F.txt", "siteless"] {
        place.put(key, key).await.expect_status(200);
    }
    let said = place.said("bucket cp -r files/site other/v1/");
    assert!(said.contains("copied 3 objects, 47 B, to `other/v1/`"), "{said}");
    place.ok("bucket sync other/v1 ./copied");
    place.ok("bucket sync files/site ./source");
    let directory = place.server.directory();
    let copied = tree(&directory.join("copied"));
    assert!(copied == tree(&directory.join("source")) && copied.len() == 3, "{copied:?}");
    assert_eq!(place.json("bucket cp -r files/ files/all/"), json!({"objects": 4, "bytes": 55}));
    assert_eq!(place.bytes("all/siteless").await, b"siteless");
    assert!(
        place.refused("bucket cp -r files/nothing/ other/", 3).contains("nothing below `files/nothing/`")
    );
    assert!(place.refused("bucket cp files/site other/", 3).contains("cp -r files/site"));
    place.refused("bucket cp -r files/site/ files/site", 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_was_mistaken_for_another_says_which_one_was_meant() {
    let place = Place::new(json!({})).await;
    place.write("logo.png", b"x");
    place.write("pictures/logo.png", b"x");
    place.put("a", "x").await.expect_status(200);
    for (line, expected) in [
        ("bucket cp logo.png files/x", "`flagbase bucket put logo.png files/x`"),
        ("bucket cp pictures/logo.png files/x", "`flagbase bucket put pictures/logo.png files/x`"),
        ("bucket cp -r pictures files/x/", "`flagbase bucket sync pictures files/x/`"),
        ("bucket cp files/a ./here", "`flagbase bucket get files/a ./here`"),
        ("bucket cp missing.png files/x", "`flagbase bucket put`"),
    ] {
        let said = place.refused(line, 2);
        assert!(said.contains("`cp` copies between buckets") && said.contains(expected), "{line}: {said}");
    }
    let said = place.refused("bucket get files/dir/ ./here", 3);
    assert!(said.contains("`flagbase bucket sync files/dir/ ./here`"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_told_with_what_there_is() {
    let place = Place::new(json!({})).await;
    place.write("a.txt", b"x");
    place.write("tree/a.txt", b"x");
    for line in [
        "key pu/",
        "share pu/a",
        "put a.txt pu/",
        "ls pu",
        "get pu/a",
        "sync ./tree pu",
        "uploads pu",
        "cp pu/a files/",
    ] {
        let said = place.refused(&format!("bucket {line}"), 3);
        assert!(said.contains("bucket `pu` not found"), "{line}: {said}");
        assert!(said.contains("there is `files`; `flagbase bucket create NAME` makes one"), "{line}: {said}");
    }
    for line in ["share files/in/b", "share files/in/b --method DELETE", "get files/in/b", "rm files/in/b"] {
        let said = place.refused(&format!("bucket {line}"), 3);
        assert!(
            said.contains("no object `files/in/b`") && said.contains("`flagbase bucket ls files/in/`"),
            "{line}: {said}"
        );
    }
    assert!(place.ok("bucket share files/in/b --method put").starts_with("http"), "it is to be written");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_already_is_told_as_that() {
    let place = Place::new(json!({})).await;
    place.write("a.txt", b"x");
    place.write("big.bin", &filled(9 << 20, 1));
    place.ok("bucket put a.txt big.bin files/");
    let said = place.refused("bucket create files", 5);
    assert!(
        said.contains("there is a bucket `files` already") && said.contains("`flagbase bucket set files`"),
        "{said}"
    );
    for (file, key) in [("a.txt", "files/a.txt"), ("big.bin", "files/big.bin")] {
        let said = place.refused(&format!("bucket put {file} files/ --no-overwrite"), 5);
        assert!(said.contains(&format!("there is an object `{key}` already")), "{said}");
        assert!(said.contains("--no-overwrite") && !said.contains("somebody"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn directories_are_made_for_what_is_fetched() {
    let place = Place::new(json!({})).await;
    place.put("in/a.txt", "hello").await.expect_status(200);
    place.ok("bucket get files/in/a.txt new/deep/");
    place.ok("bucket get files/in/a.txt other/b.txt");
    let directory = place.server.directory();
    for file in ["new/deep/a.txt", "other/b.txt"] {
        assert_eq!(std::fs::read(directory.join(file)).unwrap(), b"hello", "{file}");
    }
    place.refused("bucket get files/in/missing third/", 3);
    assert!(!directory.join("third").exists(), "nothing is made for what is not there");
    let said = place.refused("bucket get files/in/a.txt other/b.txt/", 1);
    assert!(said.contains("`other/b.txt` cannot be written"), "{said}");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_leads_nowhere_is_skipped_and_told() {
    let place = Place::new(json!({})).await;
    place.write("tree/a.txt", b"hello");
    let directory = place.server.directory();
    std::os::unix::fs::symlink("nowhere", directory.join("tree/broken")).unwrap();
    std::os::unix::fs::symlink("loop", directory.join("tree/loop")).unwrap();
    std::os::unix::fs::symlink("a.txt", directory.join("tree/good")).unwrap();
    place.put("v1/broken", "kept").await.expect_status(200);
    place.put("v1/old", "x").await.expect_status(200);
    let said = place.said("bucket sync ./tree files/v1 --delete");
    assert_eq!(said.matches("`./tree/broken` is a link that leads nowhere").count(), 1, "{said}");
    assert!(said.contains("sent 2, deleted 1, 0 were equal; skipped 2 links that lead nowhere"), "{said}");
    assert_eq!(place.bytes("v1/good").await, b"hello");
    assert_eq!(place.bytes("v1/broken").await, b"kept", "what the link was may still be wanted");
    let counts = place.json("bucket sync ./tree files/v1");
    assert_eq!(counts, json!({"sent": 0, "deleted": 0, "equal": 2, "skipped": 2}));
}
