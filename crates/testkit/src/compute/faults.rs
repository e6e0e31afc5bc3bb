//! What goes wrong, and stays where it is.

use std::time::Duration;

use flagbase_core::functions::{Body, BodyFault, Fault, Limits};

use super::{ComputeUnderTest, Guest, common, limited, visit};
use crate::blobs::{broken_off, whole};

/// Far longer than anything here takes; a test that hangs is ended by it.
const FOR_EVER: Duration = Duration::from_mins(1);

fn in_time(test: &ComputeUnderTest) -> Limits {
    Limits { timeout: test.patience, ..Limits::default() }
}

pub async fn an_endless_loop_ends_in_time(test: &ComputeUnderTest) {
    let Some(endless) = test.deploy(Guest::Loop, limited(in_time(test))).await else { return };
    for _ in 0..2 {
        let ended = tokio::time::timeout(FOR_EVER, test.get(&endless)).await.unwrap();
        assert_eq!(ended, Err(Fault::TimedOut(test.patience)));
    }
}

pub async fn a_trap_is_a_fault_and_no_more(test: &ComputeUnderTest) {
    let Some(trap) = test.deploy(Guest::Trap, common()).await else { return };
    for _ in 0..3 {
        assert!(matches!(test.get(&trap).await, Err(Fault::Trapped(_))));
    }
    let Some(echo) = test.deploy(Guest::Echo, common()).await else { return };
    assert_eq!(test.get(&echo).await.unwrap(), "GET /\n");
}

pub async fn a_request_that_is_too_large_is_refused(test: &ComputeUnderTest) {
    let limits = Limits { request_body: 1000, ..Limits::default() };
    let Some(echo) = test.deploy(Guest::Echo, limited(limits)).await else { return };
    let large = || vec![b'x'; 1001];
    for body in [
        Body::Whole(large().into()),
        Body::Stream(whole(large()), Some(1001)),
        Body::Stream(whole(large()), None),
    ] {
        let fault = test.ask(&echo, ("POST", "/"), body).await.unwrap_err();
        assert_eq!(fault, Fault::Body(BodyFault::TooLarge(1000)));
    }
    let fits = Body::Whole(vec![b'x'; 1000].into());
    assert_eq!(test.ask(&echo, ("POST", "/"), fits).await.unwrap().0, 200);
}

pub async fn a_request_that_breaks_off_is_told_so(test: &ComputeUnderTest) {
    let Some(echo) = test.deploy(Guest::Echo, common()).await else { return };
    let fault = test.ask(&echo, ("POST", "/"), Body::Stream(broken_off("half"), None)).await.unwrap_err();
    assert!(matches!(&fault, Fault::Body(BodyFault::Broken(_))), "{fault:?}");
    assert!(!fault.is_of_code(), "the code is not to blame");
}

pub async fn an_answer_that_is_too_large_is_cut_off(test: &ComputeUnderTest) {
    let limits = Limits { response_body: 1 << 20, ..Limits::default() };
    let Some(flood) = test.deploy(Guest::Flood, limited(limits)).await else { return };
    let fault = test.get(&flood).await.unwrap_err();
    assert!(matches!(fault, Fault::LimitReached(_) | Fault::BadAnswer(_)), "{fault:?}");
    let Some(flood) = test.deploy(Guest::Flood, common()).await else { return };
    assert_eq!(test.get(&flood).await.unwrap().len(), 4 << 20, "as much as it may");
}

pub async fn memory_beyond_the_limit_is_not_given(test: &ComputeUnderTest) {
    let limits = Limits { memory: 64 << 20, ..Limits::default() };
    let Some(memory) = test.deploy(Guest::Memory, limited(limits)).await else { return };
    match test.ask(&memory, ("GET", "/"), Body::Empty).await {
        Ok((status, _)) => assert_ne!(status, 200, "it got them"),
        Err(fault) => assert!(fault.is_of_code(), "{fault:?}"),
    }
}

pub async fn a_call_that_nobody_waits_for_is_stopped(test: &ComputeUnderTest) {
    let Some(endless) = test.deploy(Guest::Loop, common()).await else { return };
    for _ in 0..20 {
        let request = http::Request::get("/").body(Body::Empty).unwrap();
        let call = test.compute.serve(visit(&endless), request);
        assert!(tokio::time::timeout(Duration::from_millis(5), call).await.is_err(), "it loops");
    }
    let Some(echo) = test.deploy(Guest::Echo, common()).await else { return };
    let answered = tokio::time::timeout(FOR_EVER, test.get(&echo)).await.unwrap();
    assert_eq!(answered.unwrap(), "GET /\n");
}

pub async fn neighbours_of_a_loop_are_answered(test: &ComputeUnderTest) {
    let Some(endless) = test.deploy(Guest::Loop, limited(in_time(test))).await else { return };
    let Some(echo) = test.deploy(Guest::Echo, common()).await else { return };
    let (looped, answered) = tokio::join!(test.get(&endless), async {
        let mut answered = 0;
        while answered < 20 {
            assert_eq!(test.get(&echo).await.unwrap(), "GET /\n");
            answered += 1;
        }
        answered
    });
    assert_eq!((looped, answered), (Err(Fault::TimedOut(test.patience)), 20));
}
