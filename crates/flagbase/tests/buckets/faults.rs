//! Broken bodies, races and sudden ends: the old object or the new one, whole.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use super::*;

#[tokio::test]
async fn a_body_that_breaks_off_leaves_nothing() {
    let place = Place::new(json!({})).await;
    place.put("old", "old").await.expect_status(200);
    let address = place.server.url("").trim_start_matches("http://").to_owned();
    for key in ["old", "new"] {
        let mut stream = TcpStream::connect(&address).unwrap();
        let head = format!(
            "PUT /api/v1/buckets/up/objects/{key} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
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
