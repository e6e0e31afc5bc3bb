//! Deciding one request: match the route, admit the caller, evaluate the flag, choose the upstream.

use std::sync::Arc;

use http::{HeaderMap, Method};
use serde_json::Value as Json;

use crate::{
    caller::Caller,
    engine::{CompiledFlag, Context, Evaluation, Reason, Slot, Value},
    functions::Under,
    gateway::{CompiledRoute, Found, FunctionDecision, FunctionTarget, ToBucket, functions::decide_target},
    snapshot::EnvironmentSnapshot,
};

/// What is known of a request before its body.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// The method.
    pub method: &'a Method,
    /// Lower case, without port.
    pub host: &'a str,
    /// Clean (see [`crate::gateway::clean`]), below the gateway's mount.
    pub path: &'a str,
    /// As the client sent them.
    pub headers: &'a HeaderMap,
    /// The client's address; empty when not known.
    pub client_ip: &'a str,
}

/// A route that was chosen, and what its flag gave.
#[derive(Debug, Clone)]
pub struct Choice {
    /// The route.
    pub route: Arc<CompiledRoute>,
    /// The variant of its flag; `None` without a flag, or when the flag does not exist (any more).
    pub variant: Option<Arc<str>>,
    /// Why that variant.
    pub reason: Option<Reason>,
}

/// Why a caller was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// A token is needed.
    Unauthenticated,
    /// The token's role is not enough.
    Forbidden,
}

/// What becomes of a request.
#[derive(Debug, Clone)]
pub enum Decision {
    /// It goes to this upstream of the route, by position.
    Forward(Choice, usize),
    /// It goes to a function.
    Function(Box<ToFunction>),
    /// It is answered from a bucket.
    Bucket(Box<ToBucket>),
    /// The flag is off for this caller: the route's answer.
    Off(Choice),
    /// The caller is not let in.
    Refused(Arc<CompiledRoute>, Admission),
    /// There are routes of this path, but only for these methods.
    WrongMethod(Vec<String>),
    /// There is no route.
    NoRoute,
}

/// A request that a route gives to a function.
#[derive(Debug, Clone)]
pub struct ToFunction {
    /// The route, and what its flag gave.
    pub choice: Choice,
    /// The route's flag and variant, when a fault of the function is to be held against them; see [`crate::gateway::Said::under`].
    pub under: Option<Under>,
    /// The function, as the route names it.
    pub target: FunctionTarget,
    /// Which version runs, and what the function's own flag said.
    pub decision: FunctionDecision,
}

/// What becomes of a request. Pure: the same snapshot, head and caller give the same decision.
pub fn decide(environment: &EnvironmentSnapshot, head: &Head<'_>, caller: &Caller) -> Decision {
    let route = match environment.routes.find(head.host, head.path, head.method, head.headers) {
        Found::Route(route) => route,
        Found::WrongMethod(allowed) => return Decision::WrongMethod(allowed),
        Found::Nothing => return Decision::NoRoute,
    };
    if !route.admits(&caller.role, !caller.is_nobody()) {
        return Decision::Refused(Arc::clone(route), Admission::of(caller));
    }
    let Some(key) = &route.flag else {
        let choice = Choice { route: Arc::clone(route), variant: None, reason: None };
        return to_upstream(environment, head, caller, (choice, None, route.fallback()));
    };
    match environment.rules.flag(key) {
        Some(flag) => by_flag(environment, head, caller, (route, flag)),
        // A flag that is gone is false, as it is for everybody else who asks for it.
        None => {
            Decision::Off(Choice { route: Arc::clone(route), variant: None, reason: Some(Reason::Error) })
        }
    }
}

fn by_flag(
    environment: &EnvironmentSnapshot,
    head: &Head<'_>,
    caller: &Caller,
    (route, flag): (&Arc<CompiledRoute>, &CompiledFlag),
) -> Decision {
    let evaluation = caller
        .overridden(environment, flag)
        .unwrap_or_else(|| environment.rules.evaluate(flag, &context(environment, head, caller)));
    let Evaluation { variant, reason, .. } = evaluation;
    let choice =
        Choice { route: Arc::clone(route), variant: Some(Arc::clone(&variant.name)), reason: Some(reason) };
    let upstream = match route.named(&variant.name) {
        Some(named) => Some(named),
        None if variant.value == Json::Bool(false) => None,
        None => route.fallback(),
    };
    // With the flag off, its off variant decides: only what is not that variant can be taken back.
    let matters = flag.off_variant().name != variant.name;
    let under = matters.then(|| Under { flag: Arc::clone(flag.key()), variant: Arc::clone(&variant.name) });
    to_upstream(environment, head, caller, (choice, under, upstream))
}

fn to_upstream(
    environment: &EnvironmentSnapshot,
    head: &Head<'_>,
    caller: &Caller,
    (choice, under, upstream): (Choice, Option<Under>, Option<usize>),
) -> Decision {
    let Some(at) = upstream else { return Decision::Off(choice) };
    let Some(upstream) = choice.route.upstreams().get(at) else { return Decision::Forward(choice, at) };
    if let Some(target) = upstream.function.clone() {
        let decision = decide_target(environment, head, caller, &target);
        return Decision::Function(Box::new(ToFunction { choice, under, target, decision }));
    }
    if let Some(target) = upstream.bucket.clone() {
        let bucket = environment.buckets.get(&target.name).map(Arc::clone);
        return Decision::Bucket(Box::new(ToBucket { choice, under, target, bucket }));
    }
    Decision::Forward(choice, at)
}

/// What rules see of the caller. Our own headers are never read from a request: they are dropped on the way in.
pub(super) fn context<'a>(
    environment: &'a EnvironmentSnapshot,
    head: &Head<'a>,
    caller: &'a Caller,
) -> Context<'a> {
    let headers = head.headers;
    let mut context = caller.context(environment, |name| {
        let own = name.starts_with("x-flagbase-");
        if own { None } else { headers.get(name).and_then(|value| value.to_str().ok()) }
    });
    if !head.client_ip.is_empty() {
        context.set(Slot::IP, Value::Str(head.client_ip));
    }
    context
}

#[cfg(test)]
mod tests;
