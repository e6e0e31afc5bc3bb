//! Tunnels for `WebSocket` connections, but only once the upstream has agreed to one.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, Method, Request, StatusCode, Version, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::time::timeout_at;

use super::{
    attempt::{Answered, Errand, unreachable_problem},
    outgoing::ask_for_websocket,
};
use crate::{body::RequestBody, callers::Callers, front::Client, pool::LinkFault, problem::Problem};

/// Whether a request asks for a `WebSocket`. Anything less than a whole handshake is forwarded as an ordinary request.
pub(crate) fn requested(request: &Request<RequestBody>) -> bool {
    let headers = request.headers();
    request.method() == Method::GET
        && headers.contains_key(header::UPGRADE)
        && request.version() == Version::HTTP_11
        && request.body().is_empty()
        && names(headers, &header::UPGRADE, b"websocket")
        && names(headers, &header::CONNECTION, b"upgrade")
        && headers.contains_key(header::SEC_WEBSOCKET_KEY)
}

fn names(headers: &HeaderMap, header: &HeaderName, word: &[u8]) -> bool {
    let values = headers.get_all(header).iter();
    values
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .any(|token| token.trim_ascii().eq_ignore_ascii_case(word))
}

/// Asks the upstream for a WebSocket. When it agrees, bytes flow both ways after the client has been told; returns its
/// answer.
pub(super) async fn open<C: Callers>(
    errand: &mut Errand<'_, C>,
    client: &Arc<Client>,
    on_client: Option<OnUpgrade>,
) -> Result<Answered, Problem> {
    let target = errand.pick()?;
    let mut request = errand.outgoing.request(&target, RequestBody::default())?;
    ask_for_websocket(request.headers_mut());
    let mut sender = errand
        .gateway
        .pool
        .upgradable(&target, errand.connect_patience())
        .await
        .map_err(|fault| unreachable_problem(&fault))?;
    let answer = timeout_at(errand.deadline, sender.send_request(request)).await;
    let mut response = match answer {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => return Err(errand.judge_upgrade(LinkFault::of(error))),
        Err(_) => return Err(errand.judge_upgrade(LinkFault::Slow)),
    };
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(Answered::cleaned(response));
    }
    let agreed = response
        .headers()
        .get(header::UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let (Some(on_client), true) = (on_client, agreed) else {
        let detail = "the backend switched to a protocol that nobody asked for";
        return Err(Problem::new(StatusCode::BAD_GATEWAY, "upstream_unavailable", detail));
    };
    let on_upstream = hyper::upgrade::on(&mut response);
    let mut answered = Answered::cleaned(response);
    ask_for_websocket(&mut answered.head.headers);
    tunnel(errand, client, on_client, on_upstream);
    Ok(answered)
}

fn tunnel<C: Callers>(
    errand: &Errand<'_, C>,
    client: &Arc<Client>,
    on_client: OnUpgrade,
    on_upstream: OnUpgrade,
) {
    client.traffic.become_tunnel();
    let stopping = errand.gateway.tasks.stopping();
    errand.gateway.tasks.spawn("gateway-websocket", async move {
        let both = async {
            let (client, upstream) = tokio::try_join!(on_client, on_upstream)?;
            let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
            let copied = tokio::io::copy_bidirectional(&mut client, &mut upstream).await;
            if let Err(error) = copied {
                tracing::debug!(%error, "websocket broke off");
            }
            Ok::<_, hyper::Error>(())
        };
        if let Some(Err(error)) = stopping.run_until_cancelled(both).await {
            tracing::debug!(%error, "websocket was not opened");
        }
    });
}
