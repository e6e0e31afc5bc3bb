//! Broken bodies, races and sudden ends: the old object or the new one, whole.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;

#[tokio::test]
async fn a_body_that_breaks_off_leaves_nothing() {
    let place = Place::new(json!({})).await;
    place.put("old", "old").await.expect_status(200);
    let address = place.server.url("").trim_start_matches("http://").to_owned();
    for key in ["old", "new"] {
        let mut stream = TcpStream::connect(&address).unwrap();
        let head = format!(
            "PUT /api/v1/buckets/files/objects/{key} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
             Content-Length: 1000\r\n\r\nhalf",
            place.token
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        drop(stream.read_to_end(&mut Vec::new()));
    }
    assert_eq!(place.get("old", &[]).await.text, "old");
    place.get("new", &[]).await.expect_status(404);
    let usage = place.send(Method::GET, "/usage", &[], "").await.expect_status(200);
    assert_eq!((&usage.json["objects"], &usage.json["bytes"]), (&json!(1), &json!(3)));
}

#[tokio::test]
async fn of_those_who_write_one_key_at_once_one_is_there_whole() {
    let place = Place::new(json!({})).await;
    let bodies: Vec<Vec<u8>> = (0..8).map(|seed| filled(200_000, seed)).collect();
    let writers = bodies.iter().map(|body| place.put("k", body.clone()));
    for reply in futures_util::future::join_all(writers).await {
        reply.expect_status(200);
    }
    let there = place.bytes("k").await;
    assert!(bodies.contains(&there), "a mixture of {} bytes", there.len());
    let only_new = (0..8).map(|_| place.send(Method::PUT, "/objects/n", &[("if-none-match", "*")], "x"));
    let statuses: Vec<u16> =
        futures_util::future::join_all(only_new).await.iter().map(|reply| reply.status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
}

#[tokio::test]
async fn what_is_being_read_is_read_to_its_end_though_it_is_deleted() {
    let place = Place::new(json!({})).await;
    let bytes = filled(20 << 20, 9);
    place.put("k", bytes.clone()).await.expect_status(200);
    let mut response = place.request(Method::GET, "/objects/k").send().await.unwrap();
    let mut read = response.chunk().await.unwrap().unwrap().to_vec();
    place.send(Method::DELETE, "/objects/k", &[], "").await.expect_status(204);
    while let Some(part) = response.chunk().await.unwrap() {
        read.extend_from_slice(&part);
    }
    assert!(read == bytes, "{} bytes of {}", read.len(), bytes.len());
}

#[tokio::test]
async fn a_sudden_end_during_an_overwrite_leaves_the_old_or_the_new_object() {
    let mut place = Place::new(json!({})).await;
    let old = filled(1 << 20, 1);
    place.put("k", old.clone()).await.expect_status(200);
    for round in 2..5_u8 {
        let before = place.bytes("k").await;
        let new = filled(8 << 20, round);
        let writing = place.request(Method::PUT, "/objects/k").body(new.clone()).send();
        let writing =
            tokio::time::timeout(std::time::Duration::from_millis(20 * u64::from(round)), writing).await;
        place.server.kill();
        place.server.restart().await;
        let after = place.bytes("k").await;
        if matches!(writing, Ok(Ok(response)) if response.status() == 200) {
            assert!(after == new, "what was acknowledged is lost");
        } else {
            assert!(after == new || after == before, "{} bytes are neither", after.len());
        }
    }
}

/// The binary, told to get an error instead of a signal for what does not fit. Another process makes it: a file that is open
/// for writing in a process just forked cannot be run.
fn told_of_full_disks(directory: &Path) -> PathBuf {
    let (text, program) = (directory.join("text"), directory.join("flagbase"));
    std::fs::write(&text, format!("#!/bin/sh\ntrap '' XFSZ\nexec '{PROGRAM}' \"$@\"\n")).unwrap();
    let made = Command::new("sh")
        .args(["-c", "cp \"$0\" \"$1\" && chmod 755 \"$1\""])
        .arg(text)
        .arg(&program)
        .status();
    assert!(made.unwrap().success());
    program
}

/// From here on no file of the server grows beyond so many bytes.
fn limit(place: &Place, limit: &str) {
    let fsize = format!("--fsize={limit}:");
    let set = Command::new("prlimit").args(["--pid", &place.server.pid().to_string(), &fsize]).status();
    assert!(set.unwrap().success());
}

#[tokio::test]
async fn on_a_full_disk_nothing_is_there_by_half_and_there_is_an_answer() {
    let directory = tempfile::tempdir().unwrap();
    let server = TestServer::start(told_of_full_disks(directory.path())).await;
    let token = server.join("dev@example.com", "developer").await;
    server.put("/api/v1/buckets/files", &token, &json!({})).await.expect_status(201);
    let place = Place { server, token };
    place.put("old", "old").await.expect_status(200);
    limit(&place, "4194304");
    for key in ["old", "new"] {
        let refused = place.put(key, filled(16 << 20, 1)).await.expect_status(503);
        assert_eq!(refused.json["code"], "storage_full", "{}", refused.text);
    }
    assert_eq!(place.get("old", &[]).await.text, "old");
    place.get("new", &[]).await.expect_status(404);
    let listed = place.send(Method::GET, "/objects", &[], "").await.expect_status(200);
    assert_eq!(listed.json["objects"].as_array().map(Vec::len), Some(1), "{}", listed.text);
    limit(&place, "unlimited");
    place.put("new", filled(16 << 20, 1)).await.expect_status(200);
}

#[tokio::test]
async fn sudden_ends_while_writing_and_deleting_lose_nothing_that_was_acknowledged() {
    let mut place = Place::new(json!({})).await;
    let mut known: [Option<Vec<u8>>; 4] = Default::default();
    for round in 0..4_u8 {
        let (mut done, mut begun) = (known.clone(), known.clone());
        let work = async {
            for turn in 0..200_u8 {
                let slot = usize::from(turn % 4);
                let key = format!("k{slot}");
                let deletes = turn % 3 == 2;
                let body = filled(30_000 + usize::from(turn), round.wrapping_mul(50).wrapping_add(turn));
                begun[slot] = (!deletes).then(|| body.clone());
                let method = if deletes { Method::DELETE } else { Method::PUT };
                let sent = place
                    .request(method, &format!("/objects/{key}"))
                    .body(if deletes { Vec::new() } else { body })
                    .send();
                let Ok(answer) = sent.await else { return };
                assert!(answer.status().is_success() || answer.status() == 404, "{}", answer.status());
                done[slot].clone_from(&begun[slot]);
            }
        };
        let millis = 60 + 40 * u64::from(round);
        drop(tokio::time::timeout(std::time::Duration::from_millis(millis), work).await);
        place.server.kill();
        place.server.restart().await;
        for (slot, there) in known.iter_mut().enumerate() {
            let reply = place.request(Method::GET, &format!("/objects/k{slot}")).send().await.unwrap();
            let found = (reply.status() == 200).then_some(());
            *there = match found {
                Some(()) => Some(reply.bytes().await.unwrap().to_vec()),
                None => None,
            };
            assert!(*there == done[slot] || *there == begun[slot], "k{slot} is neither of its two");
        }
    }
}

#[tokio::test]
async fn of_an_upload_what_was_acknowledged_is_there_after_a_sudden_end() {
    let mut place = Place::new(json!({})).await;
    let bytes = filled(1 << 20, 5);
    let metadata = ("upload-metadata", "key a2V5");
    let length = bytes.len().to_string();
    let tus = ("tus-resumable", "1.0.0");
    let begun = place
        .send(Method::POST, "/uploads", &[tus, metadata, ("upload-length", &length)], "")
        .await
        .expect_status(201);
    let upload = begun.header("location").unwrap().strip_prefix("/api/v1/buckets/files").unwrap().to_owned();
    let kind = ("content-type", "application/offset+octet-stream");
    let (mut offset, mut rounds) = (0, 0);
    while offset < bytes.len() {
        let to = (offset + 300_000).min(bytes.len());
        let at = offset.to_string();
        let headers = [tus, kind, ("upload-offset", at.as_str())];
        place.send(Method::PATCH, &upload, &headers, bytes[offset..to].to_vec()).await.expect_status(204);
        rounds += 1;
        place.server.kill();
        place.server.restart().await;
        if to < bytes.len() {
            let head = place.send(Method::HEAD, &upload, &[tus], "").await.expect_status(200);
            assert_eq!(head.header("upload-offset"), Some(to.to_string().as_str()), "round {rounds}");
        }
        offset = to;
    }
    assert!(rounds > 3 && place.bytes("key").await == bytes);
}

#[tokio::test]
async fn a_bucket_never_goes_with_an_object_that_was_acknowledged() {
    let place = Place::new(json!({})).await;
    for round in 0..30 {
        let name = format!("bucket-{round}");
        place
            .server
            .put(&format!("/api/v1/buckets/{name}"), &place.token, &json!({}))
            .await
            .expect_status(201);
        let url = place.server.url(&format!("/api/v1/buckets/{name}/objects/k"));
        let write = place.server.client().put(url).bearer_auth(&place.token).body("x");
        let path = format!("/api/v1/buckets/{name}");
        let (written, ended) =
            tokio::join!(place.server.reply(write), place.server.delete(&path, &place.token));
        let both = (written.status, ended.status);
        assert!(matches!(both, (200, 409) | (404, 204)), "{both:?} {} {}", written.text, ended.text);
    }
}

#[tokio::test]
async fn what_is_said_of_an_object_is_changed_only_where_it_is_what_was_seen() {
    let place = Place::new(json!({})).await;
    let seen = place.put("k", "1").await.expect_status(200).header("etag").unwrap().to_owned();
    let json = ("content-type", "application/json");
    let amend = |etag: String| {
        let place = &place;
        async move {
            let headers = [json, ("if-match", etag.as_str())];
            place.send(Method::PATCH, "/objects/k", &headers, r#"{"cache_control": "no-store"}"#).await
        }
    };
    amend(seen.clone()).await.expect_status(200);
    place.put("k", "2").await.expect_status(200);
    assert_eq!(amend(seen).await.expect_status(412).json["code"], "precondition_failed");
    assert_eq!(place.get("k", &[]).await.header("cache-control"), Some("private, no-cache"), "as by default");
}
