//! Asking what would become of a request, without sending it.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    caller::{Caller, Principal},
    engine::Explanation,
    flags::Asked,
    gateway::{
        Admission, Choice, Decision, FunctionDecision, Head, Routes, ToBucket, ToFunction, clean, decide,
        decide_context,
    },
    permissions::Permission,
    refusal::Refusal,
    snapshot::EnvironmentSnapshot,
};

/// A request to decide about.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// `GET` when not given.
    #[serde(default)]
    pub method: Option<String>,
    /// With or without `/gateway` in front.
    pub path: String,
    /// The host asked for.
    #[serde(default)]
    pub host: String,
    /// Request headers by name.
    #[serde(default)]
    pub headers: serde_json::Map<String, Value>,
    /// The client's address.
    #[serde(default)]
    pub ip: String,
    /// Who would ask; the caller when not given.
    #[serde(default)]
    pub caller: Option<Somebody>,
}

/// Somebody who would ask.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Somebody {
    /// The user's id; without, the request has no token.
    #[serde(default)]
    pub user_id: Option<Arc<str>>,
    /// The user's email.
    #[serde(default)]
    pub email: Arc<str>,
    /// The user's role.
    #[serde(default)]
    pub role: Option<Arc<str>>,
    /// The user's groups.
    #[serde(default)]
    pub groups: Vec<Arc<str>>,
}

/// What would become of a request.
#[derive(Debug, Default, Serialize)]
pub struct Preview {
    /// `forward`, `function`, `bucket`, `off`, `unauthenticated`, `forbidden`, `wrong_method` or `no_route`.
    pub decision: &'static str,
    /// The status the gateway would answer by itself; none when it would forward.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The route's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<Arc<str>>,
    /// The route's pattern.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// The flag that decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flag: Option<Arc<str>>,
    /// The variant it gives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<Arc<str>>,
    /// Why that variant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// Upstream addresses the request could go to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub upstreams: Vec<Arc<str>>,
    /// The function the request would go to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<Arc<str>>,
    /// Which version of it would run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// The bucket the request would be answered from, and the prefix of the release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bucket: Option<String>,
    /// The object that would be looked for first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The path the upstream would see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_path: Option<String>,
    /// All this in one sentence.
    pub why: String,
    /// How the flag came to its variant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Explanation>,
}

impl Routes {
    /// What would become of a request.
    pub fn test(&self, asked: Asked<'_>, question: &Question) -> Result<Preview, Refusal> {
        let snapshot = self.feed.permitted(asked.caller, asked.environment, Permission::RouteRead)?;
        let environment = snapshot.require_environment(asked.environment)?;
        let somebody = question.caller.as_ref().map(Somebody::to_caller);
        if somebody.is_some() {
            asked.caller.require(&snapshot, environment, Permission::FlagPreview)?;
        }
        let method = method(question.method.as_deref().unwrap_or("GET"))?;
        let headers = headers(&question.headers)?;
        let path = question.path.split(['?', '#']).next().unwrap_or_default();
        let path = clean(path).map_err(|fault| Refusal::fault("/path", fault.to_string()))?;
        let path = match path.strip_prefix("/gateway") {
            Some("") => "/",
            Some(rest) if rest.starts_with('/') => rest,
            _ => &path,
        };
        let host = question.host.to_ascii_lowercase();
        let head = Head { method: &method, host: &host, path, headers: &headers, client_ip: &question.ip };
        Ok(Preview::of(environment, &head, somebody.as_ref().unwrap_or(asked.caller)))
    }
}

impl Somebody {
    fn to_caller(&self) -> Caller {
        let nobody = Caller::nobody();
        let known = self.user_id.is_some();
        Caller {
            principal: if known { Principal::User } else { Principal::Nobody },
            id: self.user_id.clone().unwrap_or_default(),
            email: Arc::clone(&self.email),
            role: self.role.clone().unwrap_or_else(|| if known { "user".into() } else { "guest".into() }),
            groups: self.groups.as_slice().into(),
            ..Caller::clone(&nobody)
        }
    }
}

impl Preview {
    fn of(environment: &EnvironmentSnapshot, head: &Head<'_>, caller: &Caller) -> Self {
        let (method, path) = (head.method, head.path);
        match decide(environment, head, caller) {
            Decision::NoRoute => Self {
                decision: "no_route",
                status: Some(404),
                why: format!("no route takes `{path}`"),
                ..Self::default()
            },
            Decision::WrongMethod(allowed) => Self {
                decision: "wrong_method",
                status: Some(405),
                why: format!("the routes of `{path}` take {}, not {method}", allowed.join(", ")),
                ..Self::default()
            },
            Decision::Refused(route, why) => {
                let unauthenticated = why == Admission::Unauthenticated;
                let (decision, status) =
                    if unauthenticated { ("unauthenticated", 401) } else { ("forbidden", 403) };
                Self {
                    decision,
                    status: Some(status),
                    route: Some(Arc::clone(&route.id)),
                    pattern: Some(route.route.pattern()),
                    why: if unauthenticated {
                        format!("route `{}` needs a token", route.id)
                    } else {
                        format!("route `{}` does not admit role `{}`", route.id, caller.role)
                    },
                    ..Self::default()
                }
            }
            Decision::Off(choice) => {
                let why = told(&choice, "is answered by the gateway itself");
                let status = choice.route.answer.status.as_u16();
                Self {
                    decision: "off",
                    status: Some(status),
                    why,
                    ..Self::chosen(environment, head, caller, choice)
                }
            }
            Decision::Function(to) => Self::to_function(environment, head, caller, *to),
            Decision::Bucket(to) => Self::to_bucket(environment, head, caller, *to),
            Decision::Forward(choice, upstream) => {
                let upstream = choice.route.upstreams().get(upstream);
                let targets = upstream.map(|upstream| &*upstream.targets).unwrap_or_default();
                let base = targets.first().map_or("", |target| target.url.base_path.as_str());
                let upstream_path = Some(format!("{base}{}", choice.route.stripped(path)));
                let upstreams: Vec<_> = targets.iter().map(|target| Arc::clone(&target.text)).collect();
                let why = told(&choice, &format!("goes to {}", upstreams.join(" or ")));
                Self {
                    decision: "forward",
                    upstreams,
                    upstream_path,
                    why,
                    ..Self::chosen(environment, head, caller, choice)
                }
            }
        }
    }

    fn to_function(
        environment: &EnvironmentSnapshot,
        head: &Head<'_>,
        caller: &Caller,
        to: ToFunction,
    ) -> Self {
        let name = &to.target.name;
        let (status, version, end) = match &to.decision {
            FunctionDecision::Run(chosen) => {
                let version = chosen.deployed.version;
                let by = chosen.said.as_ref().map(|said| {
                    format!(" (flag `{}` gives `{}`, {})", said.flag, said.variant, said.reason.as_str())
                });
                let by = by.unwrap_or_default();
                (None, Some(version), format!("goes to version {version} of function `{name}`{by}"))
            }
            FunctionDecision::Refused(_, Admission::Unauthenticated) => {
                (Some(401), None, format!("goes to function `{name}`, which needs a token"))
            }
            FunctionDecision::Refused(_, Admission::Forbidden) => {
                let role = &caller.role;
                (Some(403), None, format!("goes to function `{name}`, which does not admit role `{role}`"))
            }
            FunctionDecision::NoVersion(_) => {
                (Some(404), None, format!("goes to function `{name}`, which has no such version"))
            }
            FunctionDecision::NoFunction => {
                (Some(404), None, format!("goes to function `{name}`, which does not exist"))
            }
        };
        let (path, function) = (to.choice.route.stripped(head.path).to_owned(), Arc::clone(name));
        Self {
            decision: "function",
            status,
            function: Some(function),
            version,
            upstream_path: Some(path),
            why: told(&to.choice, &end),
            ..Self::chosen(environment, head, caller, to.choice)
        }
    }

    fn to_bucket(environment: &EnvironmentSnapshot, head: &Head<'_>, caller: &Caller, to: ToBucket) -> Self {
        let ToBucket { choice, target, bucket, .. } = to;
        let path = choice.route.stripped(head.path);
        let key = target.key(path).map(|key| match &bucket {
            Some(bucket) if path.is_empty() || path.ends_with('/') => format!("{key}{}", bucket.site().index),
            _ => key,
        });
        let (status, end) = match (&bucket, &key) {
            (None, _) => {
                (Some(502), format!("is answered from bucket `{}`, which does not exist", target.name))
            }
            (Some(_), None) => (Some(404), "leads to no object".to_owned()),
            (Some(_), Some(key)) => {
                (None, format!("is answered with object `{key}` of bucket `{}`", target.name))
            }
        };
        Self {
            decision: "bucket",
            status,
            bucket: Some(target.to_string()),
            key,
            why: told(&choice, &end),
            ..Self::chosen(environment, head, caller, choice)
        }
    }

    fn chosen(environment: &EnvironmentSnapshot, head: &Head<'_>, caller: &Caller, choice: Choice) -> Self {
        let flag = choice.route.flag.clone();
        let compiled = flag.as_ref().and_then(|key| environment.rules.flag(key));
        let explanation =
            compiled.map(|flag| environment.rules.explain(flag, &decide_context(environment, head, caller)));
        Self {
            route: Some(Arc::clone(&choice.route.id)),
            pattern: Some(choice.route.route.pattern()),
            flag,
            variant: choice.variant,
            reason: choice.reason.map(crate::engine::Reason::as_str),
            explanation,
            ..Self::default()
        }
    }
}

fn told(choice: &Choice, end: &str) -> String {
    let route = format!("route `{}` takes it", choice.route.id);
    match (&choice.route.flag, &choice.variant) {
        (Some(flag), Some(variant)) => {
            let reason = choice.reason.map_or("", crate::engine::Reason::as_str);
            format!("{route}; flag `{flag}` gives `{variant}` ({reason}); it {end}")
        }
        (Some(flag), None) => {
            format!("{route}; flag `{flag}` does not exist, which counts as false; it {end}")
        }
        (None, _) => format!("{route}, without a flag; it {end}"),
    }
}

fn method(word: &str) -> Result<Method, Refusal> {
    Method::from_bytes(word.to_ascii_uppercase().as_bytes())
        .map_err(|_| Refusal::fault("/method", format!("`{word}` is no HTTP method")))
}

fn headers(members: &serde_json::Map<String, Value>) -> Result<HeaderMap, Refusal> {
    let mut headers = HeaderMap::new();
    for (name, value) in members {
        let pair = HeaderName::from_bytes(name.as_bytes())
            .ok()
            .zip(value.as_str().and_then(|value| HeaderValue::from_str(value).ok()));
        let Some((name, value)) = pair else {
            return Err(Refusal::fault("/headers", format!("`{name}` is no header with a text value")));
        };
        headers.append(name, value);
    }
    Ok(headers)
}
