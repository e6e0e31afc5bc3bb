use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, SocketAddr},
};

use async_trait::async_trait;
use flagbase_core::{
    caller::Caller,
    functions::{Deployed, Digest, Settings, Shape, Visit},
    gateway::AddressPolicy,
    tasks::Tasks,
};
use flagbase_testkit::Backend;
use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::{outside::Names, *};

#[path = "../../../tests/adversarial/reach.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod reach;

const OPEN: AddressPolicy = AddressPolicy { loopback: true, private: true };
const NEAR: AddressPolicy = AddressPolicy { loopback: true, private: false };

/// Names that mean something else at every look-up; the last meaning stays.
struct Turning(Mutex<VecDeque<Vec<IpAddr>>>);

impl Turning {
    fn to(answers: &[&[&str]]) -> Arc<Self> {
        let answers = answers.iter().map(|found| found.iter().map(|text| text.parse().unwrap()).collect());
        Arc::new(Self(Mutex::new(answers.collect())))
    }
}

#[async_trait]
impl Names for Turning {
    async fn addresses(&self, _: &str) -> io::Result<Vec<SocketAddr>> {
        let mut answers = self.0.lock();
        let next = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        Ok(next.unwrap_or_default().into_iter().map(|address| SocketAddr::new(address, 0)).collect())
    }
}

fn outbound(policy: AddressPolicy, rules: &[String], names: &[&[&str]]) -> Outbound {
    let mut settings = Settings::default();
    settings.grants.outbound = rules.to_vec();
    let visit = Visit {
        deployed: Arc::new(Deployed {
            environment: "production".into(),
            function: "hello".into(),
            version: 1,
            digest: Digest::of(b""),
            shape: Shape::Component,
            settings: Arc::new(settings),
        }),
        caller: Caller::nobody(),
        id: "call-1".into(),
        trace: None,
        attributes: [].into(),
    };
    let host = reach::Reach::new(policy).host;
    let names = Turning::to(names);
    let outside = Outside::with_names(policy, Tasks::new(), Handle::current(), names).unwrap();
    Outbound::new(&Arc::new(Call::new(visit, host, Arc::new(outside))))
}

async fn get(outbound: &mut Outbound, url: &str) -> Result<Response<Bytes>, Failure> {
    outbound.send(Request::get(url).body(Bytes::new()).unwrap(), 0).await
}

#[tokio::test]
async fn a_name_that_turns_inside_leads_nobody_there() {
    let backend = Backend::start().await;
    backend.add_header("connection", "close");
    let url = format!("http://api.example.com:{}", backend.address().port());
    let mut outbound = outbound(NEAR, std::slice::from_ref(&url), &[&["127.0.0.1"], &["10.0.0.1"]]);
    assert_eq!(get(&mut outbound, &url).await.unwrap().status(), 200);
    let Err(Failure::Denied(why)) = get(&mut outbound, &url).await else { panic!("it was let through") };
    assert!(why.contains("10.0.0.1"), "{why}");
    assert_eq!(backend.received().len(), 1);
}

#[tokio::test]
async fn a_name_with_one_foot_inside_is_denied_whatever_form_it_takes() {
    for inside in [
        "10.0.0.1",
        "169.254.169.254",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "fd00:ec2::254",
        "fe80::1",
        "0.0.0.0",
    ] {
        let rule = "http://api.example.com".to_owned();
        let mut outbound = outbound(NEAR, &[rule], &[&["203.0.113.9", inside]]);
        let refused = get(&mut outbound, "http://api.example.com/").await;
        assert!(matches!(refused, Err(Failure::Denied(_))), "{inside}: {refused:?}");
    }
}

#[tokio::test]
async fn a_user_name_does_not_pass_for_a_host() {
    let mut outbound = outbound(OPEN, &["http://api.example.com".to_owned()], &[&["127.0.0.1"]]);
    for url in ["http://api.example.com@127.0.0.1/", "http://api.example.com:80@127.0.0.1/"] {
        let refused = get(&mut outbound, url).await;
        assert!(matches!(refused, Err(Failure::Denied(_) | Failure::Failed(_))), "{url}: {refused:?}");
    }
}

#[tokio::test]
async fn a_guest_says_neither_the_host_nor_how_long_a_body_is() {
    let backend = Backend::start().await;
    let mut outbound = outbound(OPEN, &[backend.url()], &[]);
    let request = Request::post(backend.url())
        .header("host", "evil.example")
        .header("content-length", "1000")
        .header("connection", "upgrade")
        .header("x-own", "1");
    outbound.send(request.body(Bytes::from_static(b"body")).unwrap(), 0).await.unwrap();
    let received = &backend.take()[0];
    assert_eq!(received.header("host"), Some(&*backend.address().to_string()));
    assert_eq!((received.header("x-own"), &*received.body), (Some("1"), b"body".as_slice()));
    assert_eq!(received.header("connection"), None);
}

#[tokio::test]
async fn redirects_are_followed_returned_or_refused_as_is_wished() {
    let (backend, other) = (Backend::start().await, Backend::start().await);
    backend.answer(302, "moved");
    backend.add_header("location", &format!("{}/there", other.url()));
    let mut outbound = outbound(OPEN, &[backend.url(), other.url()], &[]);
    let wish = |wish: &str| {
        let request = Request::get(backend.url()).header("x-flagbase-redirect", wish);
        request.header("authorization", "Bearer t").body(Bytes::new()).unwrap()
    };
    let followed = outbound.send(wish("follow"), 0).await.unwrap();
    assert_eq!(followed.status(), 200);
    assert_eq!(followed.headers()[redirects::ADDRESS], format!("{}/there", other.url()).as_str());
    assert_eq!(other.take()[0].header("authorization"), None);
    let manual = outbound.send(wish("manual"), 0).await.unwrap();
    assert_eq!((manual.status().as_u16(), &**manual.body()), (302, b"moved".as_slice()));
    assert!(matches!(outbound.send(wish("error"), 0).await, Err(Failure::Failed(_))));
    let asked = backend.take();
    assert!(asked.iter().all(|request| request.header("x-flagbase-redirect").is_none()));
}

#[tokio::test]
async fn time_and_number_are_bounded() {
    let backend = Backend::start().await;
    backend.delay(Duration::from_mins(1));
    let mut outbound = outbound(OPEN, &[backend.url()], &[]);
    let request = Request::get(backend.url()).body(Bytes::new()).unwrap();
    assert_eq!(outbound.send(request, 50).await.unwrap_err(), Failure::TimedOut);
    backend.delay(Duration::ZERO);
    for _ in 1..32 {
        get(&mut outbound, &backend.url()).await.unwrap();
    }
    assert!(matches!(get(&mut outbound, &backend.url()).await, Err(Failure::Denied(_))));
}

#[tokio::test]
async fn addresses_that_are_too_long_and_odd_methods_are_not_sent() {
    let backend = Backend::start().await;
    let mut outbound = outbound(OPEN, &[backend.url()], &[]);
    let long = format!("{}/{}", backend.url(), "a".repeat(9000));
    assert!(matches!(get(&mut outbound, &long).await, Err(Failure::Denied(_))));
    let trace = Request::builder().method("TRACE").uri(backend.url()).body(Bytes::new()).unwrap();
    assert!(matches!(outbound.send(trace, 0).await, Err(Failure::Denied(_))));
    assert!(backend.received().is_empty());
}
