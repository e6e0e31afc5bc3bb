//! Requests of guests to the outside.

use flagbase_core::functions::Settings;
use flagbase_testkit::Backend;
use std::time::Duration;

use crate::world::{CLOSED, OPEN, World, settings};

fn granted(outbound: &[&str]) -> Settings {
    let mut settings = settings();
    settings.grants.outbound = outbound.iter().map(|rule| (*rule).to_owned()).collect();
    settings
}

#[tokio::test]
async fn a_granted_address_is_asked_and_answers_through_both_interfaces() {
    let backend = Backend::start().await;
    backend.answer(203, "from outside");
    let (world, settings) = (World::with(OPEN, 16, Duration::from_mins(1)), granted(&[&backend.url()]));
    let own = world.deploy("misbehaving", settings.clone()).await;
    let answer = own.get(&format!("/fetch?{}/a", backend.url())).await.unwrap();
    assert_eq!((answer.status, answer.text()), (203, "from outside"));
    let proxy = world.deploy("caller", settings).await;
    let answer = proxy.get(&format!("/http/{}/b?c=d", backend.address())).await.unwrap();
    assert_eq!((answer.status, answer.text()), (203, "from outside"));
    let paths: Vec<_> = backend.take().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/a", "/b?c=d"]);
}

#[tokio::test]
async fn an_address_that_is_not_granted_is_not_asked() {
    let (backend, other) = (Backend::start().await, Backend::start().await);
    let (world, settings) = (World::with(OPEN, 16, Duration::from_mins(1)), granted(&[&other.url()]));
    let own = world.deploy("misbehaving", settings.clone()).await;
    let answer = own.get(&format!("/fetch?{}/", backend.url())).await.unwrap();
    assert_eq!((answer.status, answer.text()), (299, "denied"));
    let proxy = world.deploy("caller", settings).await;
    let answer = proxy.get(&format!("/http/{}/", backend.address())).await.unwrap();
    assert_eq!(answer.status, 403);
    assert!(backend.received().is_empty());
}

#[tokio::test]
async fn nothing_inside_is_asked_whatever_is_granted() {
    let backend = Backend::start().await;
    let port = backend.address().port();
    let hosts = ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "[::1]", "[::ffff:127.0.0.1]"];
    let rules: Vec<String> = hosts.iter().map(|host| format!("http://{host}:{port}")).collect();
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let guest = World::with(CLOSED, 16, Duration::from_mins(1)).deploy("misbehaving", granted(&rules)).await;
    for rule in rules {
        let answer = guest.get(&format!("/fetch?{rule}/")).await.unwrap();
        assert_eq!((answer.status, answer.text()), (299, "denied"), "{rule}");
    }
    assert!(backend.received().is_empty());
}

#[tokio::test]
async fn metadata_is_never_asked_even_where_everything_inside_may_be() {
    let hosts =
        ["http://169.254.169.254", "http://[fd00:ec2::254]", "http://[::ffff:a9fe:a9fe]", "http://0.0.0.0"];
    let guest = World::with(OPEN, 16, Duration::from_mins(1)).deploy("misbehaving", granted(&hosts)).await;
    for host in hosts {
        let answer = guest.get(&format!("/fetch?{host}/latest/")).await.unwrap();
        assert_eq!((answer.status, answer.text()), (299, "denied"), "{host}");
    }
}

#[tokio::test]
async fn a_redirect_leads_only_where_the_function_may_go() {
    let (backend, inside) = (Backend::start().await, Backend::start().await);
    backend.answer(302, "");
    backend.add_header("location", &inside.url());
    inside.answer(200, "inside");
    let world = World::with(OPEN, 16, Duration::from_mins(1));
    let guest = world.deploy("misbehaving", granted(&[&backend.url()])).await;
    let answer = guest.get(&format!("/fetch?{}/", backend.url())).await.unwrap();
    assert_eq!((answer.status, answer.text()), (299, "denied"));
    assert!(inside.received().is_empty());
    let guest = world.deploy("misbehaving", granted(&[&backend.url(), &inside.url()])).await;
    let answer = guest.get(&format!("/fetch?{}/", backend.url())).await.unwrap();
    assert_eq!((answer.status, answer.text()), (200, "inside"));
}

#[tokio::test]
async fn redirects_have_an_end_and_count_as_requests() {
    let backend = Backend::start().await;
    backend.answer(302, "");
    backend.add_header("location", "/again");
    let world = World::with(OPEN, 16, Duration::from_mins(1));
    let guest = world.deploy("misbehaving", granted(&[&backend.url()])).await;
    assert_eq!(guest.get(&format!("/fetch?{}/", backend.url())).await.unwrap().text(), "failed");
    assert_eq!(backend.take().len(), 6);
    let mut few = granted(&[&backend.url()]);
    few.limits.outbound_requests = 2;
    let guest = world.deploy("misbehaving", few).await;
    assert_eq!(guest.get(&format!("/fetch?{}/", backend.url())).await.unwrap().text(), "denied");
    assert_eq!(backend.take().len(), 2);
}

#[tokio::test]
async fn answers_are_bounded() {
    let backend = Backend::start().await;
    backend.answer(200, vec![b'x'; 5 << 20]);
    let world = World::with(OPEN, 16, Duration::from_mins(1));
    let guest = world.deploy("misbehaving", granted(&[&backend.url()])).await;
    assert_eq!(guest.get(&format!("/fetch?{}/", backend.url())).await.unwrap().text(), "too large");
    let proxy = world.deploy("caller", granted(&[&backend.url()])).await;
    assert_eq!(proxy.get(&format!("/http/{}/", backend.address())).await.unwrap().status, 502);
}

#[tokio::test]
async fn who_is_not_there_is_a_failure_and_who_is_slow_is_one_of_the_call() {
    let mut hasty = granted(&["http://127.0.0.1:1"]);
    let world = World::with(OPEN, 16, Duration::from_mins(1));
    let guest = world.deploy("misbehaving", hasty.clone()).await;
    assert_eq!(guest.get("/fetch?http://127.0.0.1:1/").await.unwrap().text(), "failed");
    let backend = Backend::start().await;
    backend.delay(Duration::from_mins(1));
    hasty.limits.timeout = Duration::from_millis(300);
    hasty.grants.outbound = vec![backend.url()];
    let guest = world.deploy("misbehaving", hasty).await;
    assert!(guest.get(&format!("/fetch?{}/", backend.url())).await.is_err_and(|fault| fault.is_of_code()));
}
