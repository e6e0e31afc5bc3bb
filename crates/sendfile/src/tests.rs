use std::io::Write as _;

use futures_util::StreamExt as _;
use http_body_util::StreamBody;
use hyper::{Request, Response, body::Frame, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;

fn content(size: usize) -> Vec<u8> {
    (0..size).map(|at| u8::try_from(at * 31 % 251).unwrap() | 1).collect()
}

fn file(content: &[u8]) -> Arc<File> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content).unwrap();
    Arc::new(file)
}

/// What a client reads when hyper answers with each part of the file in its turn, over one connection.
async fn answered(file: &Arc<File>, parts: Vec<(u64, u64)>) -> Vec<Vec<u8>> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    let windows = Arc::new(Windows::default());
    let (asked, file) = (Mutex::new(VecDeque::from(parts.clone())), Arc::clone(file));
    let sending = Sending::new(server, Arc::clone(&windows));
    let service = service_fn(move |_: Request<hyper::body::Incoming>| {
        let (from, to) = asked.lock().pop_front().unwrap();
        let part = FilePart { file: Arc::clone(&file), from, to };
        let body = Arc::clone(&windows).body(part).map(|bytes| bytes.map(Frame::data));
        let answer = Response::builder().header("content-length", to - from).body(StreamBody::new(body));
        std::future::ready(answer)
    });
    let serving = http1::Builder::new().serve_connection(TokioIo::new(sending), service);
    let asking = async {
        let mut answers = Vec::new();
        for (from, to) in parts {
            client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(client.read_u8().await.unwrap());
            }
            let mut body = vec![0; usize::try_from(to - from).unwrap()];
            client.read_exact(&mut body).await.unwrap();
            answers.push(body);
        }
        drop(client);
        answers
    };
    let (done, answers) = tokio::join!(serving, asking);
    done.unwrap();
    answers
}

fn of(content: &[u8], (from, to): (u64, u64)) -> &[u8] {
    &content[usize::try_from(from).unwrap()..usize::try_from(to).unwrap()]
}

#[tokio::test]
async fn a_file_of_several_windows_arrives_as_it_is() {
    let content = content(WINDOW * 3 + 17);
    let whole = (0, content.len() as u64);
    let answers = answered(&file(&content), vec![whole, (WINDOW as u64 - 1, WINDOW as u64 + 1), whole]).await;
    assert!(answers[0] == content && answers[2] == content);
    assert_eq!(answers[1], of(&content, (WINDOW as u64 - 1, WINDOW as u64 + 1)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_parts_arrive_as_they_are_one_after_another(
        parts in proptest::collection::vec((0_u64..3_000_000, 1_u64..2_500_000), 1..5),
    ) {
        let content = content(3_000_001);
        let parts: Vec<_> = parts.into_iter().map(|(from, size)| (from, (from + size).min(3_000_001))).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let answers = runtime.block_on(answered(&file(&content), parts.clone()));
        for (part, answer) in parts.into_iter().zip(answers) {
            prop_assert!(answer == of(&content, part), "{part:?} came changed");
        }
    }
}

#[tokio::test]
async fn a_file_that_has_become_shorter_ends_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    let windows = Arc::new(Windows::default());
    let bytes = windows.open(&file(b"abc"), 9, 4).unwrap();
    let mut sending = Sending::new(server, windows);
    let error = sending.write(&bytes).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn a_stand_in_that_nobody_announced_and_one_that_was_left_behind_end_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    let windows = Arc::new(Windows::default());
    let bytes = windows.open(&file(b"abcdef"), 0, 6).unwrap();
    let mut sending = Sending::new(server, windows);
    assert_eq!(sending.write(&bytes[..2]).await.unwrap(), 2);
    let error = sending.write(b"HTTP/1.1 200 OK").await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert_eq!(sending.write(&bytes[2..]).await.unwrap(), 4);
    let error = sending.write(&bytes).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}

#[tokio::test]
async fn no_more_than_so_many_parts_wait() {
    let (windows, file) = (Windows::default(), file(b"abc"));
    assert!((0..MOST).all(|_| windows.open(&file, 0, 3).is_some()));
    assert!(windows.open(&file, 0, 3).is_none());
}
