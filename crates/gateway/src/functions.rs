//! Functions, as far as requests reach them: `/functions/{name}/…`, and routes that lead to one.

mod bodies;
mod run;

use std::sync::Arc;

use flagbase_core::{
    caller::Caller,
    functions::Under,
    gateway::{
        Admission, Chosen, FunctionDecision, Head, Said, ToFunction, decide_function, visit_attributes,
    },
};
use http::{HeaderValue, Response, StatusCode};
use tokio::time::Instant;

use crate::{
    body::Answer,
    callers::Callers,
    front::Client,
    gateway::Gateway,
    headers::Decided,
    problem::Problem,
    proxy::{self, Counted, Inbound, Observed, record},
};

pub(crate) use bodies::{AnswerBroke, FunctionBody};
pub(crate) use run::Attributes;
use run::Errand;

/// Where functions are found by name.
const MOUNT: &str = "/functions/";

/// Answers a request for `/functions/{name}/…`.
pub(crate) async fn answer<C: Callers, B>(
    gateway: &Arc<Gateway<C>>,
    client: &Arc<Client>,
    inbound: Inbound,
) -> Result<Response<Answer<B>>, Problem> {
    let started = Instant::now();
    proxy::unlooped(inbound.request.headers())?;
    let caller = proxy::caller(gateway, inbound.request.headers()).await?;
    let (decision, attributes) = decision(gateway, client, &inbound, &caller)?;
    let Inbound { path, uri, request, .. } = inbound;
    let (name, below) = named(path.of(&uri));
    let Chosen { function, deployed, said, .. } = match decision {
        FunctionDecision::Run(chosen) => chosen,
        FunctionDecision::Refused(function, why) => {
            let problem = refused(&function.name, &caller, why);
            record(gateway, Observed::of(&route_id(&function.name)), problem.status, started);
            return Err(problem);
        }
        FunctionDecision::NoVersion(function) => {
            return Err(no_version(StatusCode::NOT_FOUND, &function.name));
        }
        FunctionDecision::NoFunction => return Err(no_function(StatusCode::NOT_FOUND, name)),
    };
    let id = route_id(&function.name);
    let mut counted = Counted::begin(gateway, observed(&id, said.as_ref()), started);
    let flag = said.as_ref().and_then(|said| HeaderValue::from_str(&said.flag).ok());
    let errand = Errand {
        deployed,
        under: said.as_ref().and_then(Said::under).into_iter().collect(),
        decided: decided(flag.as_ref(), said.as_ref()),
        attributes,
        forward_token: function.forward_token,
        path: below,
        deadline: None,
        idle: None,
    };
    let answered = run::run(gateway, client, &caller, errand, (&uri, request)).await;
    counted.status = answered.as_ref().map_or_else(|problem| problem.status, Response::status);
    answered
}

/// Answers a request that a route gives to a function.
pub(crate) async fn answer_for_route<C: Callers, B>(
    gateway: &Arc<Gateway<C>>,
    client: &Arc<Client>,
    caller: &Arc<Caller>,
    (route, attributes): (ToFunction, Attributes),
    (inbound, started): (Inbound, Instant),
) -> Result<Response<Answer<B>>, Problem> {
    let ToFunction { choice, under, target, decision } = route;
    let mut counted = Counted::begin(gateway, (&choice).into(), started);
    let chosen = match decision {
        FunctionDecision::Run(chosen) => Ok(chosen),
        FunctionDecision::Refused(function, why) => Err(refused(&function.name, caller, why)),
        FunctionDecision::NoVersion(function) => Err(no_version(StatusCode::BAD_GATEWAY, &function.name)),
        FunctionDecision::NoFunction => Err(no_function(StatusCode::BAD_GATEWAY, &target.name)),
    };
    let Chosen { function, deployed, said, .. } =
        chosen.inspect_err(|problem| counted.status = problem.status)?;
    if let Some(Said { flag, variant, reason, .. }) = &said {
        gateway.recorder.exposed(&gateway.environment, flag, variant, *reason);
    }
    let flag = said.as_ref().and_then(|said| HeaderValue::from_str(&said.flag).ok());
    let compiled = &choice.route;
    let timeouts = &compiled.route.timeouts;
    let own: Option<Under> = said.as_ref().and_then(Said::under);
    let errand = Errand {
        deployed,
        under: under.into_iter().chain(own).collect(),
        // The function's own flag is the nearer one.
        decided: if said.is_some() { decided(flag.as_ref(), said.as_ref()) } else { (&choice).into() },
        attributes,
        forward_token: compiled.route.forward_token || function.forward_token,
        path: compiled.stripped(inbound.path.of(&inbound.uri)),
        deadline: timeouts.request.map(|limit| (started + limit, limit)),
        idle: timeouts.idle,
    };
    let answered = run::run(gateway, client, caller, errand, (&inbound.uri, inbound.request)).await;
    counted.status = answered.as_ref().map_or_else(|problem| problem.status, Response::status);
    answered
}

fn decision<C: Callers>(
    gateway: &Gateway<C>,
    client: &Client,
    inbound: &Inbound,
    caller: &Caller,
) -> Result<(FunctionDecision, Attributes), Problem> {
    let snapshot = gateway.snapshots().load();
    let environment = snapshot.require_environment(&gateway.environment)?;
    let told = proxy::client_ip(gateway, client, inbound);
    let (name, below) = named(inbound.path.of(&inbound.uri));
    let head = Head {
        method: inbound.request.method(),
        host: &inbound.host,
        path: if below.is_empty() { "/" } else { below },
        headers: inbound.request.headers(),
        client_ip: told.as_deref().unwrap_or(&client.address),
    };
    let decision = decide_function(environment, &head, caller, name);
    let attributes = match &decision {
        FunctionDecision::Run(_) => visit_attributes(environment, &head),
        _ => Attributes::default(),
    };
    Ok((decision, attributes))
}

/// The function's name, and the path below it, which is empty or begins with `/`.
fn named(path: &str) -> (&str, &str) {
    let rest = path.strip_prefix(MOUNT).unwrap_or_default();
    rest.split_at_checked(rest.find('/').unwrap_or(rest.len())).unwrap_or_default()
}

/// Under which a function is counted among routes.
fn route_id(name: &str) -> Arc<str> {
    let mut id = String::with_capacity("function:".len() + name.len());
    id.push_str("function:");
    id.push_str(name);
    id.into()
}

fn observed<'a>(id: &'a Arc<str>, said: Option<&'a Said>) -> Observed<'a> {
    match said {
        None => Observed::of(id),
        Some(Said { flag, variant, reason, .. }) => Observed::of(id).under(flag, variant, *reason),
    }
}

fn decided<'a>(flag: Option<&'a HeaderValue>, said: Option<&'a Said>) -> Decided<'a> {
    Decided { flag, variant: said.map(|said| &*said.variant), reason: said.map(|said| said.reason) }
}

fn refused(name: &str, caller: &Caller, why: Admission) -> Problem {
    match why {
        Admission::Unauthenticated => {
            let detail = "this function needs a valid token; send `Authorization: Bearer <token>`";
            Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
        }
        Admission::Forbidden => {
            let detail = format!("function `{name}` does not admit role `{}`", caller.role);
            Problem::new(StatusCode::FORBIDDEN, "forbidden", detail)
        }
    }
}

fn no_version(status: StatusCode, name: &str) -> Problem {
    let detail = format!("function `{name}` has no version to run; deploy one, or promote one that there is");
    Problem::new(status, "function_has_no_version", detail)
}

fn no_function(status: StatusCode, name: &str) -> Problem {
    Problem::new(status, "function_not_found", format!("there is no function `{}`", name.escape_debug()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_ends_at_the_first_slash() {
        for (path, expected) in [
            ("/functions/hello", ("hello", "")),
            ("/functions/hello/", ("hello", "/")),
            ("/functions/hello/a/b", ("hello", "/a/b")),
            ("/functions/hello@2/a", ("hello@2", "/a")),
            ("/elsewhere", ("", "")),
        ] {
            assert_eq!(named(path), expected, "{path}");
        }
        assert_eq!(&*route_id("hello"), "function:hello");
    }
}
