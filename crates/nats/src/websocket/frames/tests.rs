use futures_util::{SinkExt, StreamExt};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};

use super::*;

async fn pair(room: usize) -> (Frames<DuplexStream>, WebSocketStream<DuplexStream>) {
    let (server, client) = duplex(room);
    (Frames::new(server), WebSocketStream::from_raw_socket(client, Role::Client, None).await)
}

#[tokio::test]
async fn bytes_travel_both_ways() {
    let (mut server, mut client) = pair(1 << 20).await;
    client.send(Message::binary(b"PING\r\n".to_vec())).await.unwrap();
    client.send(Message::text("PONG\r\n")).await.unwrap();
    let mut bytes = [0; 12];
    server.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"PING\r\nPONG\r\n");
    server.write_all(b"INFO {}\r\n").await.unwrap();
    server.flush().await.unwrap();
    assert_eq!(client.next().await.unwrap().unwrap(), Message::binary(b"INFO {}\r\n".to_vec()));
}

#[tokio::test]
async fn large_messages_pass_a_narrow_stream() {
    let (mut server, client) = pair(100).await;
    let (mut sink, mut source) = client.split();
    let sent: Vec<u8> = (0..300_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    let expected = sent.clone();
    let sending = async { sink.send(Message::binary(sent)).await.unwrap() };
    let receive = async {
        let mut bytes = vec![0; 300_000];
        server.read_exact(&mut bytes).await.unwrap();
        server.write_all(&bytes).await.unwrap();
        server.flush().await.unwrap();
    };
    let collect = async {
        let mut bytes = Vec::new();
        while bytes.len() < 300_000 {
            bytes.extend(source.next().await.unwrap().unwrap().into_data());
        }
        bytes
    };
    let ((), (), received) = tokio::join!(sending, receive, collect);
    assert_eq!(received, expected);
}

#[tokio::test]
async fn a_ping_is_answered_although_nothing_else_is_written() {
    let (mut server, mut client) = pair(1 << 20).await;
    client.send(Message::Ping(b"are you there".to_vec().into())).await.unwrap();
    client.send(Message::binary(b"x".to_vec())).await.unwrap();
    assert_eq!(server.read_u8().await.unwrap(), b'x');
    assert_eq!(client.next().await.unwrap().unwrap(), Message::Pong(b"are you there".to_vec().into()));
}

#[tokio::test]
async fn a_close_is_answered_and_ends_the_stream() {
    let (mut server, mut client) = pair(1 << 20).await;
    client.close(None).await.unwrap();
    assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 0);
    assert!(matches!(client.next().await, Some(Ok(Message::Close(_)))));
    assert_eq!(server.write(b"late").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn shutting_down_says_goodbye() {
    let (mut server, mut client) = pair(1 << 20).await;
    server.shutdown().await.unwrap();
    assert!(matches!(client.next().await, Some(Ok(Message::Close(_)))));
}

#[tokio::test]
async fn a_frame_without_a_mask_ends_the_connection() {
    let (server, mut client) = duplex(1 << 20);
    let mut server = Frames::new(server);
    client.write_all(&[0x82, 1, b'x']).await.unwrap();
    assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 0);
    let mut answer = [0; 4];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, [0x88, 2, 0x03, 0xea]);
}

#[tokio::test]
async fn a_stream_that_breaks_within_a_frame_is_an_error() {
    let (server, mut client) = duplex(1 << 20);
    let mut server = Frames::new(server);
    client.write_all(&[0x82, 0x82, 0, 0, 0, 0, b'x']).await.unwrap();
    drop(client);
    assert_eq!(server.read_u8().await.unwrap(), b'x');
    assert!(server.read_u8().await.is_err());
}

proptest! {
    #[test]
    fn taking_the_mask_off_twice_puts_it_back(bytes: Vec<u8>, mask: [u8; 4]) {
        let mut masked = bytes.clone();
        unmask(&mut masked, mask);
        for (index, byte) in masked.iter().enumerate() {
            prop_assert_eq!(*byte, bytes[index] ^ mask[index % 4]);
        }
        unmask(&mut masked, mask);
        prop_assert_eq!(masked, bytes);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (server, mut client) = duplex(1 << 16);
            client.write_all(&bytes).await.unwrap();
            drop(client);
            let _ = Frames::new(server).read_to_end(&mut Vec::new()).await;
        });
    }
}
