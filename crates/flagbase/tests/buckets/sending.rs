//! Files that are sent without being read first: what arrives is what was written, whatever else happens.

use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// Around the sizes where one way of sending gives way to another.
const SIZES: [usize; 8] = [0, 1, 32_767, 32_768, 262_145, 524_288, 524_289, 1_700_003];

#[tokio::test]
async fn objects_of_all_sizes_arrive_as_they_were_written() {
    let place = Place::new(json!({})).await;
    for size in SIZES {
        place.put(&size.to_string(), filled(size, 3)).await.expect_status(200);
    }
    // The second time they are open, and in memory.
    for _ in 0..2 {
        for size in SIZES {
            assert!(place.bytes(&size.to_string()).await == filled(size, 3), "{size} bytes came changed");
        }
    }
    let content = filled(1_700_003, 3);
    for (from, to) in [(0, 1), (1, 600_000), (524_287, 524_290), (900_001, 1_700_003)] {
        let range = format!("bytes={from}-{}", to - 1);
        let request = place.request(Method::GET, "/objects/1700003").header("range", range);
        let part = request.send().await.unwrap().bytes().await.unwrap();
        assert!(part == content[from..to], "from {from} to {to}");
    }
}

#[tokio::test]
async fn http2_gets_the_same_bytes() {
    let place = Place::new(json!({})).await;
    let content = filled(1_700_003, 5);
    place.put("large", content.clone()).await.expect_status(200);
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http::<Empty<Bytes>>();
    let request = hyper::Request::get(place.server.url("/api/v1/buckets/files/objects/large"))
        .header("authorization", format!("Bearer {}", place.token));
    let answer = client.request(request.body(Empty::new()).unwrap()).await.unwrap();
    assert_eq!(answer.version(), hyper::Version::HTTP_2);
    assert!(answer.into_body().collect().await.unwrap().to_bytes() == content);
}

/// One connection, three requests sent at once, while another client reads half and leaves, and the object is replaced.
#[tokio::test]
async fn answers_on_one_connection_stay_apart() {
    let place = Place::new(json!({})).await;
    let (old, new) = (filled(1_700_003, 7), filled(1_700_003, 8));
    place.put("large", old.clone()).await.expect_status(200);
    let address = place.server.url("").trim_start_matches("http://").trim_end_matches('/').to_owned();
    let request = format!(
        "GET /api/v1/buckets/files/objects/large HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\r\n",
        place.token
    );
    let mut leaving = tokio::net::TcpStream::connect(&address).await.unwrap();
    leaving.write_all(request.as_bytes()).await.unwrap();
    leaving.read_exact(&mut vec![0; 700_000]).await.unwrap();
    let mut client = tokio::net::TcpStream::connect(&address).await.unwrap();
    client.write_all(request.repeat(3).as_bytes()).await.unwrap();
    drop(leaving);
    for number in 0..3 {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await.unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&head));
        if number == 1 {
            place.put("large", new.clone()).await.expect_status(200);
        }
        let mut body = vec![0; old.len()];
        client.read_exact(&mut body).await.unwrap();
        assert!(body == old || (body == new && number == 2), "answer {number} is a mixture");
    }
}
