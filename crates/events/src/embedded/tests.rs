use std::collections::HashSet;

use async_trait::async_trait;
use flagbase_core::{
    caller::Caller,
    environments::{Environment, EnvironmentKind, Environments},
    events::CloudEvent,
    flags::Asked,
    identity::{Credentials, IdentityConfig, Origin, Registration, Secret},
    refusal::Precondition,
};
use flagbase_testkit::{
    FixedClock, Memory, SeededRandom,
    bus::{BusUnderTest, Listener},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::*;

struct House {
    embedded: Arc<Embedded>,
    authority: Authority,
    tasks: Tasks,
}

impl House {
    /// An administrator, and the token of the session that he began.
    async fn administrator(&self) -> (Arc<Caller>, String) {
        let identity = &self.authority.identity;
        let (email, password) = ("alice@example.com".to_owned(), "a long enough sentence".to_owned());
        let credentials = Credentials { email, password };
        identity.create_admin(credentials.clone()).await.unwrap();
        let origin = Origin { address: None, client: String::new() };
        let token = identity.login(credentials, &origin).await.unwrap().token;
        (identity.authenticate(&token).await.unwrap(), token)
    }

    /// A client that was let in with `connect`.
    async fn client(&self, connect: &str) -> TcpStream {
        let mut client = TcpStream::connect(self.embedded.address()).await.unwrap();
        client.write_all(format!("CONNECT {connect}\r\n").as_bytes()).await.unwrap();
        answers(&mut client).await;
        client
    }
}

/// Waits for the answer to a PING.
async fn answers(client: &mut TcpStream) {
    client.write_all(b"PING\r\n").await.unwrap();
    let mut heard = Vec::new();
    while !heard.ends_with(b"PONG\r\n") {
        assert_ne!(client.read_buf(&mut heard).await.unwrap(), 0, "{}", String::from_utf8_lossy(&heard));
    }
}

/// What a client is told before the server hangs up.
async fn farewell(mut client: TcpStream) -> String {
    let mut heard = String::new();
    client.read_to_string(&mut heard).await.unwrap();
    heard
}

async fn house(anonymous: bool) -> House {
    let (memory, clock, tasks) = (Memory::new(), Arc::new(FixedClock::default()), Tasks::new());
    let random = Arc::new(SeededRandom::new(1));
    let feed = Feed::open(Arc::new(memory.clone()), clock.clone(), random.clone()).await.unwrap();
    let feed = Arc::new(feed);
    Environments::new(Arc::clone(&feed)).ensure_default(EnvironmentKind::Development).await.unwrap();
    let config = IdentityConfig {
        secret: Secret::new("0123456789abcdef0123456789abcdef"),
        token_ttl: Duration::from_hours(1),
        registration: Registration::Open,
        default_role: "user".into(),
        self_assignable_roles: Vec::new(),
        hash_concurrency: 1,
        hash_queue: 1,
        login_attempts: 10,
        login_window: Duration::from_mins(1),
        setup_token_ttl: Duration::from_mins(1),
    };
    let identity = Identity::new(config, Arc::new(memory), Arc::clone(&feed), clock, random).unwrap();
    let authority = Authority { identity: Arc::new(identity), feed, meters: Arc::default() };
    let options = EmbeddedOptions {
        host: "127.0.0.1".into(),
        port: 0,
        anonymous,
        tls: None,
        websocket: None,
        origins: Vec::new(),
        monitor: None,
        streams: None,
    };
    let embedded = Embedded::start(options, authority.clone(), &tasks).await.unwrap();
    House { embedded, authority, tasks }
}

/// Hears what goes out on any subject of Flagbase, each event once.
struct Ear {
    messages: flagbase_nats::Subscription,
}

#[async_trait]
impl Listener for Ear {
    async fn hear(&mut self) -> CloudEvent {
        loop {
            let message = self.messages.next().await.unwrap();
            let event: CloudEvent = serde_json::from_slice(&message.payload).unwrap();
            let plain = message.subject == event.event_type;
            assert!(plain || Some(message.subject) == event.scoped_subject());
            if plain {
                return event;
            }
        }
    }
}

async fn fresh() -> BusUnderTest {
    let House { embedded, tasks, .. } = house(true).await;
    let messages = embedded.server.subscribe("flagbase.>", None, 4096).unwrap();
    let bus: Arc<dyn EventBus> = embedded.clone();
    BusUnderTest::new(bus, Ear { messages }, (embedded, tasks))
}

flagbase_testkit::event_bus_contract!(super::fresh);

#[tokio::test]
async fn messages_of_programs_go_to_whoever_listens_and_are_bounded() {
    let House { embedded, .. } = house(true).await;
    let mut orders = embedded.server.subscribe("orders.*", None, 16).unwrap();
    embedded.send("orders.created", b"1".to_vec()).unwrap();
    assert_eq!(&*orders.next().await.unwrap().payload, b"1");
    assert!(matches!(embedded.send("orders.created", vec![0; 2 << 20]), Err(MessageError::TooLarge(_))));
    assert!(matches!(embedded.send("orders.*", Vec::new()), Err(MessageError::Subject(_))));
}

#[tokio::test]
async fn whoever_listens_within_this_process_hears_until_he_lets_go() {
    let House { embedded, .. } = house(true).await;
    let heard: Arc<parking_lot::Mutex<Vec<Heard>>> = Arc::default();
    let keep = Arc::clone(&heard);
    let hear: flagbase_core::events::Hear = Arc::new(move |message| {
        keep.lock().push(message);
        true
    });
    let listening = embedded.listen("orders.>", Arc::clone(&hear)).unwrap();
    embedded.send("orders.created", b"1".to_vec()).unwrap();
    embedded.send("jobs.created", b"2".to_vec()).unwrap();
    let mut headers = Headers::new();
    headers.add("Nats-Msg-Id", "order-7").unwrap();
    headers.add("Content-Type", "text/plain").unwrap();
    embedded.server.publish("orders.b.c", None, Some(&headers), b"3").unwrap();
    drop(listening);
    embedded.send("orders.created", b"4".to_vec()).unwrap();
    let plain = Heard {
        subject: "orders.created".into(),
        id: None,
        content_type: String::new(),
        payload: b"1".to_vec().into(),
    };
    let named = Heard {
        subject: "orders.b.c".into(),
        id: Some("order-7".into()),
        content_type: "text/plain".into(),
        payload: b"3".to_vec().into(),
    };
    assert_eq!(*heard.lock(), [plain, named]);
    assert!(matches!(embedded.listen("a..b", hear), Err(MessageError::Subject(_))));
}

#[tokio::test]
async fn two_servers_cannot_have_one_port() {
    let first = house(false).await;
    let second = house(false).await;
    let ports: HashSet<_> = [&first, &second].map(|house| house.embedded.address().port()).into();
    assert_eq!(ports.len(), 2, "a free port each");
    first.embedded.stop().await;
    second.embedded.stop().await;
}

#[tokio::test]
async fn only_those_whose_token_has_ended_are_told_so_and_only_those_who_may_do_something_else_have_to_go() {
    let house = house(true).await;
    let (administrator, token) = house.administrator().await;
    let anybody = house.client(r#"{"verbose":false}"#).await;
    let mut alice = house.client(&format!(r#"{{"verbose":false,"auth_token":"{token}"}}"#)).await;
    let live = Environment {
        key: "live".into(),
        name: String::new(),
        kind: EnvironmentKind::Production,
        attributes: Vec::new(),
    };
    let asked = Asked { caller: &administrator, environment: "live", reason: "" };
    let environments = Environments::new(Arc::clone(&house.authority.feed));
    environments.put(asked, live, Precondition::Absent).await.unwrap();
    assert_eq!(farewell(anybody).await, "", "it comes back, and may see less");
    answers(&mut alice).await;
    house.authority.identity.logout(&administrator).await.unwrap();
    assert_eq!(farewell(alice).await, "-ERR 'User Authentication Revoked'\r\n");
}
