use std::task::Wake;

use tokio::io::{AsyncReadExt, duplex};

use super::*;

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn outbound() -> Outbound {
    Outbound::new(None, 100, 40)
}

fn send(outbound: &Outbound, bytes: &[u8]) -> Sent {
    outbound.send(&mut bytes.to_vec())
}

#[tokio::test]
async fn what_waits_is_written_in_order() {
    let (mut near, mut far) = duplex(16);
    let outbound = outbound();
    assert_eq!([send(&outbound, b"one "), send(&outbound, &[b'x'; 20])], [Sent::Done, Sent::Done]);
    let read = tokio::task::LocalSet::new();
    let bytes = read
        .run_until(async {
            let mut bytes = [0; 24];
            let reading = async { far.read_exact(&mut bytes).await.map(|_| ()) };
            let writing = std::future::poll_fn(|cx| outbound.poll_drain(cx, &mut near, &mut false));
            let (read, written) = tokio::join!(reading, writing);
            read.and(written).unwrap();
            bytes
        })
        .await;
    assert_eq!((&bytes[..5], outbound.backlog()), (&b"one x"[..], 0));
}

#[test]
fn a_client_far_behind_says_so_and_one_too_far_is_ended() {
    let outbound = outbound();
    assert_eq!(send(&outbound, &[0; 41]), Sent::Behind);
    assert!(outbound.is_behind());
    assert_eq!(send(&outbound, &[0; 60]), Sent::Gone);
    assert_eq!(outbound.end(), Some(Reason::SlowConsumerPendingBytes));
    assert_eq!(send(&outbound, b"x"), Sent::Gone);
}

#[test]
fn whoever_waits_for_room_is_woken_when_the_client_goes() {
    let (outbound, woken) = (outbound(), Arc::new(Woken::default()));
    let waker = Waker::from(Arc::clone(&woken));
    assert!(!outbound.await_room(&waker));
    send(&outbound, &[0; 41]);
    assert!(outbound.await_room(&waker) && outbound.await_room(&waker));
    outbound.close(Reason::ClientClosed);
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    assert!(!outbound.await_room(&waker));
}

#[test]
fn the_first_reason_counts() {
    let outbound = outbound();
    outbound.close(Reason::Stale);
    outbound.close(Reason::ClientClosed);
    assert_eq!(outbound.end(), Some(Reason::Stale));
}

#[test]
fn a_short_message_does_not_keep_a_large_buffer() {
    let mut large = Vec::with_capacity(CHUNK);
    large.extend_from_slice(b"x");
    assert!(fitted(&mut large).capacity() < 64);
}
