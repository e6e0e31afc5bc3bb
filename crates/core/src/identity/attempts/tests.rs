use std::sync::atomic::AtomicI64;

use super::*;

const WINDOW: Duration = Duration::from_mins(15);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn the_free_attempts_are_free_and_then_every_one_doubles_the_wait() {
    let lockout = Lockout::new(3, WINDOW);
    for _ in 0..3 {
        lockout.begin("alice@example.com", at(0)).unwrap();
    }
    let mut now = 0;
    for wait in [1, 2, 4, 8] {
        let refusal = lockout.begin("alice@example.com", at(now)).unwrap_err();
        assert_eq!((refusal.class, refusal.code), (Class::Limited, "too_many_attempts"));
        assert_eq!(refusal.retry_after.unwrap().as_secs(), wait + 1);
        now += i64::try_from(wait).unwrap();
        lockout.begin("alice@example.com", at(now)).unwrap();
    }
    assert!(lockout.begin("bob@example.com", at(now)).is_ok(), "another address is not concerned");
}

#[test]
fn guesses_at_the_same_moment_do_not_slip_through() {
    let lockout = Lockout::new(5, WINDOW);
    let admitted = (0..1000).filter(|_| lockout.begin("alice@example.com", at(0)).is_ok()).count();
    assert_eq!(admitted, 5);
}

#[test]
fn the_wait_never_exceeds_the_window_and_a_quiet_window_forgives() {
    let lockout = Lockout::new(1, WINDOW);
    let mut now = 0;
    for _ in 0..60 {
        lockout.begin("alice@example.com", at(now)).unwrap();
        now += 900;
    }
    lockout.begin("alice@example.com", at(now)).unwrap();
    let refusal = lockout.begin("alice@example.com", at(now)).unwrap_err();
    assert!(refusal.retry_after.unwrap() <= WINDOW + Duration::from_secs(1));
    now += 901;
    lockout.begin("alice@example.com", at(now)).unwrap();
    assert!(lockout.begin("alice@example.com", at(now + 1)).is_ok(), "counted anew: one second");
}

#[test]
fn success_forgives_at_once() {
    let lockout = Lockout::new(2, WINDOW);
    lockout.begin("alice@example.com", at(0)).unwrap();
    lockout.succeeded("alice@example.com");
    for _ in 0..2 {
        lockout.begin("alice@example.com", at(0)).unwrap();
    }
    assert!(lockout.begin("alice@example.com", at(0)).is_err());
}

#[test]
fn a_flood_of_addresses_does_not_grow_the_memory_nor_free_a_locked_one() {
    let lockout = Lockout { most: 100, ..Lockout::new(1, WINDOW) };
    for step in 0..9 {
        lockout.begin("alice@example.com", at(2_i64.pow(step))).unwrap();
    }
    for number in 0..1000 {
        lockout.begin(&format!("{number}@example.com"), at(300 + number * 2)).unwrap();
        assert!(lockout.failures.lock().len() <= 100);
        if number == 0 {
            assert!(lockout.begin("alice@example.com", at(300)).is_err());
        }
    }
}

struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        at(self.0.load(Ordering::Relaxed))
    }
}

fn clients(attempts: u32) -> (Clients, Arc<Hand>) {
    let hand = Arc::new(Hand(AtomicI64::new(1_000_000)));
    (Clients::new(attempts, WINDOW, Arc::clone(&hand) as _), hand)
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_client_has_a_burst_and_then_the_rate_of_the_window() {
    let (clients, hand) = clients(9);
    for _ in 0..9 {
        clients.attempt(Some(address("192.0.2.1"))).unwrap();
    }
    let refusal = clients.attempt(Some(address("192.0.2.1"))).unwrap_err();
    assert_eq!(refusal.class, Class::Limited);
    let wait = refusal.retry_after.unwrap().as_secs();
    assert!((100..=101).contains(&wait), "{wait}");
    clients.attempt(Some(address("192.0.2.2"))).unwrap();
    hand.0.fetch_add(i64::try_from(wait).unwrap(), Ordering::Relaxed);
    clients.attempt(Some(address("192.0.2.1"))).unwrap();
    assert!(clients.attempt(Some(address("::ffff:192.0.2.1"))).is_err(), "the same client in other clothes");
}

#[test]
fn an_ipv6_subscriber_is_one_client() {
    let (clients, _) = clients(2);
    clients.attempt(Some(address("2001:db8::1"))).unwrap();
    clients.attempt(Some(address("2001:db8::2"))).unwrap();
    assert!(clients.attempt(Some(address("2001:db8::3"))).is_err());
    assert!(clients.attempt(Some(address("2001:db8:0:1::1"))).is_ok());
}

#[test]
fn this_machine_and_unknown_clients_are_not_limited() {
    let (clients, _) = clients(1);
    for client in [None, Some(address("127.0.0.1")), Some(address("::1"))] {
        for _ in 0..50 {
            clients.attempt(client).unwrap();
        }
    }
}

#[test]
fn a_flood_of_clients_does_not_grow_the_memory() {
    let (mut clients, hand) = clients(10);
    clients.most = 100;
    for number in 0..2000_u32 {
        let _ = clients.attempt(Some(IpAddr::from((0x0a00_0000 + number).to_be_bytes())));
        assert!(clients.limiter.len() <= 100);
    }
    hand.0.fetch_add(1000, Ordering::Relaxed);
    assert!(clients.attempt(Some(address("192.0.2.1"))).is_ok(), "room again once the flood has passed");
}
