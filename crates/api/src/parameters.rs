//! Refuses query parameters that nobody reads: a mistyped `?enviroment=` must not change another environment.

use std::{collections::HashMap, sync::Arc};

use axum::{
    extract::{MatchedPath, Request, State},
    http::Method,
    middleware::Next,
    response::{IntoResponse, Response},
};
use flagbase_core::{
    refusal::{Class, Refusal},
    shape::nearest,
};
use utoipa::openapi::{
    OpenApi, RefOr, Schema,
    path::{Operation, ParameterIn},
};

use crate::problem::Problem;

/// The query parameters of every operation, as the API describes them.
#[derive(Debug, Default)]
pub(crate) struct Parameters(HashMap<String, Vec<(Method, Known)>>);

/// What an operation reads.
#[derive(Debug, Default)]
struct Known {
    /// In its query.
    query: Vec<String>,
    /// As members of its body: what is looked for in the wrong place is found sooner.
    body: Vec<String>,
}

impl Parameters {
    /// The parameters that `description` names.
    pub(crate) fn of(description: &OpenApi) -> Arc<Self> {
        let mut known = HashMap::new();
        for (path, item) in &description.paths.paths {
            let operations = [
                (Method::GET, &item.get),
                (Method::POST, &item.post),
                (Method::PUT, &item.put),
                (Method::PATCH, &item.patch),
                (Method::DELETE, &item.delete),
            ];
            let named = operations.into_iter().filter_map(|(method, found)| {
                let found = found.as_ref()?;
                Some((method, Known { query: names(found), body: members(description, found) }))
            });
            known.insert(path.clone(), named.collect());
        }
        Arc::new(Self(known))
    }

    /// Fails for the first parameter of `query` that `method` at `path` does not know.
    fn check(&self, method: &Method, path: &str, query: &str) -> Result<(), Refusal> {
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        let operations = self.0.get(path).map(Vec::as_slice).unwrap_or_default();
        let Some((_, known)) = operations.iter().find(|(of, _)| of == method) else { return Ok(()) };
        let body = &known.body;
        let known = || known.query.iter().map(String::as_str).chain(everywhere(method));
        let names = || url::form_urlencoded::parse(query.as_bytes()).map(|(name, _)| name);
        // What a signed URL is for is judged by its signature, also when it is used for something else.
        let signed = names().any(|name| name == "signature") && known().any(|known| known == "signature");
        let signed: &[&str] = if signed { &["max_size", "content_type", "version"] } else { &[] };
        for name in names() {
            if !known().any(|known| known == name) && !signed.contains(&name.as_ref()) {
                return Err(unknown(&name, known().chain(signed.iter().copied()), body));
            }
        }
        Ok(())
    }
}

/// What everything takes, whether or not it needs it: a list without pages is within any limit.
fn everywhere<'a>(method: &Method) -> impl Iterator<Item = &'a str> + Clone + use<'a> {
    ["environment", if method.is_safe() { "limit" } else { "reason" }].into_iter()
}

fn names(operation: &Operation) -> Vec<String> {
    let parameters = operation.parameters.iter().flatten();
    parameters
        .filter_map(|parameter| match parameter {
            RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query => {
                Some(parameter.name.clone())
            }
            _ => None,
        })
        .collect()
}

/// The members of an operation's body, where they are described.
fn members(description: &OpenApi, operation: &Operation) -> Vec<String> {
    let Some(RefOr::T(body)) = &operation.request_body else { return Vec::new() };
    let Some(RefOr::T(content)) = body.content.get("application/json") else { return Vec::new() };
    let schema = match content.schema.as_ref() {
        Some(RefOr::Ref(named)) => {
            let name = named.ref_location.rsplit('/').next().unwrap_or_default();
            description.components.as_ref().and_then(|components| components.schemas.get(name))
        }
        other => other,
    };
    match schema {
        Some(RefOr::T(Schema::Object(object))) => object.properties.keys().cloned().collect(),
        _ => Vec::new(),
    }
}

fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone, body: &[String]) -> Refusal {
    let shown: String = name.chars().take(64).collect();
    let advice = match nearest(name, known.clone()) {
        _ if body.iter().any(|member| member == name) => {
            "it is a member of the body: send it there".to_owned()
        }
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let mut told: Vec<String> = Vec::new();
            for name in known.map(|name| format!("`{name}`")) {
                if !told.contains(&name) {
                    told.push(name);
                }
            }
            format!("known are {}", told.join(", "))
        }
    };
    Refusal::new(Class::Malformed, "bad_query", format!("unknown query parameter `{shown}`; {advice}"))
}

/// Lets only requests through whose query parameters are known. Addresses outside `/api/v1` are left alone: browsers
/// and probes add their own.
pub(crate) async fn known_only(
    State(parameters): State<Arc<Parameters>>,
    request: Request,
    next: Next,
) -> Response {
    let query = request.uri().query().filter(|query| !query.is_empty());
    if let (Some(query), Some(path)) = (query, request.extensions().get::<MatchedPath>()) {
        let path = path.as_str();
        if path.starts_with("/api/v1/")
            && let Err(refusal) = parameters.check(request.method(), path, query)
        {
            return Problem(refusal).into_response();
        }
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &Method, path: &str, query: &str) -> Result<(), String> {
        let parameters = Parameters::of(&crate::openapi());
        parameters.check(method, path, query).map_err(|refusal| refusal.message)
    }

    #[test]
    fn a_mistyped_parameter_is_refused_and_the_nearest_one_named() {
        let refused = check(&Method::GET, "/api/v1/flags", "limit=1&enviroment=staging").unwrap_err();
        assert_eq!(refused, "unknown query parameter `enviroment`; did you mean `environment`?");
        let refused = check(&Method::GET, "/api/v1/flags/{key}/evaluate", "zzz").unwrap_err();
        assert!(refused.contains("known are `environment`, `explain`"), "{refused}");
    }

    #[test]
    fn each_known_parameter_is_named_once_and_members_of_the_body_are_sent_there() {
        let sign = "/api/v1/buckets/{name}/sign";
        let refused = check(&Method::POST, sign, "zzz").unwrap_err();
        assert_eq!(refused, "unknown query parameter `zzz`; known are `environment`, `reason`");
        for member in ["max_size", "content_type", "expires_in"] {
            let refused = check(&Method::POST, sign, &format!("{member}=5")).unwrap_err();
            assert!(refused.ends_with("it is a member of the body: send it there"), "{refused}");
        }
        let object = "/api/v1/buckets/{name}/objects/{key}";
        let refused = check(&Method::GET, object, "signature=a&zzz").unwrap_err();
        assert!(refused.contains("`max_size`, `content_type`"), "{refused}");
        assert_eq!(refused.matches("`version`").count(), 1, "{refused}");
    }

    #[test]
    fn a_signed_url_of_another_method_is_left_to_its_signature() {
        let path = "/api/v1/buckets/{name}/objects/{key}";
        let signed = "signature=a&expires=1&by=user:1&max_size=5&content_type=text/plain";
        assert_eq!(check(&Method::GET, path, signed), Ok(()));
        assert!(check(&Method::GET, path, "max_size=5").is_err());
        assert!(check(&Method::GET, path, &format!("{signed}&more=1")).is_err());
    }

    #[test]
    fn what_is_described_and_what_everything_takes_is_let_through() {
        for (method, path, query) in [
            (Method::GET, "/api/v1/flags", "environment=a&limit=1&after=x&search=y"),
            (Method::HEAD, "/api/v1/flags", "limit=1"),
            (Method::DELETE, "/api/v1/flags/{key}", "reason=why"),
            (Method::PUT, "/api/v1/environments/{key}", "environment=a"),
            (Method::GET, "/api/v1/roles", "limit=1000"),
            (Method::GET, "/nowhere", "a=b"),
        ] {
            assert_eq!(check(&method, path, query), Ok(()), "{method} {path}?{query}");
        }
    }
}
