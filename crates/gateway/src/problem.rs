//! What the gateway answers by itself: RFC 9457 problems that also carry the seed's `error` member.

use bytes::Bytes;
use flagbase_core::{
    functions::{BodyFault, Fault},
    refusal::{Class, Refusal},
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::json;

use crate::{headers::names, pool::write_field};

/// The media type of problems.
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");

/// A request that the gateway answers by itself, and why.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    code: &'static str,
    detail: String,
    allow: Option<String>,
    retry_after: Option<u64>,
    close: bool,
    /// More of the answer's head; boxed, because problems are passed on by value.
    headers: Option<Box<HeaderMap>>,
}

impl Problem {
    /// A problem called `code`, told as `detail`.
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            allow: None,
            retry_after: None,
            close: false,
            headers: None,
        }
    }

    /// The request cannot be understood.
    pub(crate) fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// The method is not taken here.
    pub(crate) fn wrong_method(allow: String, detail: impl Into<String>) -> Self {
        let allow = Some(allow);
        Self { allow, ..Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail) }
    }

    /// The same, to be tried again after so many seconds.
    pub(crate) fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// The same, and the connection ends with it, because its framing cannot be trusted any more.
    pub(crate) fn close(self) -> Self {
        Self { close: true, ..self }
    }

    /// The same, about what a route leads to in a bucket, when that may be told.
    pub(crate) fn of_bucket(self, bucket: Option<HeaderValue>) -> Self {
        self.with(names::BUCKET, bucket)
    }

    /// The same, with a header in its head, if there is a value for it.
    pub(crate) fn with(mut self, name: HeaderName, value: Option<HeaderValue>) -> Self {
        if let Some(value) = value {
            self.headers.get_or_insert_default().insert(name, value);
        }
        self
    }

    /// A request whose head the parser gave up on with `status`.
    pub(crate) fn unreadable(status: StatusCode) -> Self {
        let (code, detail) = match status {
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
                ("head_too_large", "the head of the request is too large; send at most 100 headers and 64 KB")
            }
            StatusCode::URI_TOO_LONG => {
                ("target_too_long", "the target of the request is too long; shorten it")
            }
            _ => ("bad_request", "the request cannot be read; send HTTP/1.1 or HTTP/2"),
        };
        Self::new(status, code, detail).close()
    }

    /// The answer to the client, as bytes on an HTTP/1.1 connection.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        let response = self.into_response();
        let (head, body) = response.into_parts();
        let mut bytes = format!("HTTP/1.1 {}\r\n", head.status).into_bytes();
        for (name, value) in &head.headers {
            write_field(&mut bytes, name.as_str(), value.as_bytes());
        }
        write_field(&mut bytes, "content-length", body.len().to_string().as_bytes());
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&body);
        bytes
    }

    /// The answer to the client.
    pub(crate) fn into_response(self) -> Response<Bytes> {
        let body = json!({
            "type": format!("https://flagbase.dev/problems/{}", self.code),
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "code": self.code,
            "error": self.detail,
        });
        let mut response = Response::new(Bytes::from(body.to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, PROBLEM);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(allow) = self.allow.and_then(|allow| HeaderValue::try_from(allow).ok()) {
            headers.insert(header::ALLOW, allow);
        }
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, wait.max(1).into());
        }
        headers.extend(self.headers.map(|headers| *headers).unwrap_or_default());
        if self.close {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// When to come back to a function that has too much to do.
const SOON: u64 = 1;

/// When to come back to a function whose code cannot be loaded.
const LATER: u64 = 5;

impl Problem {
    /// What a caller is told of a call that came to nothing. Only who is `trusted` learns what went on inside.
    pub(crate) fn of_fault(fault: &Fault, trusted: bool) -> Self {
        let (status, public) = match fault {
            Fault::TimedOut(_) => (StatusCode::GATEWAY_TIMEOUT, None),
            Fault::LimitReached(_) => {
                (StatusCode::BAD_GATEWAY, Some("the function ran into one of its limits"))
            }
            Fault::Trapped(_) => (StatusCode::BAD_GATEWAY, Some("the function failed")),
            Fault::Reported(_) => (StatusCode::BAD_GATEWAY, Some("the function reported an error")),
            Fault::BadAnswer(_) => (StatusCode::BAD_GATEWAY, Some("the function's answer cannot be used")),
            Fault::Body(BodyFault::TooLarge(_)) => (StatusCode::PAYLOAD_TOO_LARGE, None),
            Fault::Body(BodyFault::TooSlow) => (StatusCode::REQUEST_TIMEOUT, None),
            Fault::Body(BodyFault::Broken(_)) => (StatusCode::BAD_REQUEST, None),
            Fault::Busy { .. } => {
                (StatusCode::TOO_MANY_REQUESTS, Some("the function has too much to do; try again later"))
            }
            Fault::Exhausted => (StatusCode::SERVICE_UNAVAILABLE, None),
            Fault::NotServed { .. } => {
                (StatusCode::NOT_IMPLEMENTED, Some("the function does not answer requests"))
            }
            Fault::Unstartable(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, Some("the function cannot be started; try again later"))
            }
        };
        let retry_after = match fault {
            Fault::Busy { .. } | Fault::Exhausted => Some(SOON),
            Fault::Unstartable(_) => Some(LATER),
            _ => None,
        };
        let detail = match public.filter(|_| !trusted) {
            Some(public) => public.to_owned(),
            None => fault.to_string(),
        };
        // What is left of a body that nobody reads would be taken for the next request.
        let close = matches!(fault, Fault::Body(_));
        Self { retry_after, close, ..Self::new(status, fault.code(), detail) }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal.class {
            Class::Malformed => StatusCode::BAD_REQUEST,
            Class::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Class::Unauthenticated => StatusCode::UNAUTHORIZED,
            Class::Forbidden => StatusCode::FORBIDDEN,
            Class::NotFound => StatusCode::NOT_FOUND,
            Class::Conflict => StatusCode::CONFLICT,
            Class::Stale => StatusCode::PRECONDITION_FAILED,
            Class::Limited => StatusCode::TOO_MANY_REQUESTS,
            Class::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Class::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let retry_after = refusal.retry_after.map(|wait| wait.as_secs());
        Self { retry_after, ..Self::new(status, refusal.code, refusal.message) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn body(response: &Response<Bytes>) -> Value {
        serde_json::from_slice(response.body()).unwrap()
    }

    #[test]
    fn a_problem_carries_the_first_apis_error_member_beside_the_standard_ones() {
        let problem =
            Problem::new(StatusCode::NOT_FOUND, "route_not_found", "no route registered for this path");
        let response = problem.into_response();
        assert_eq!(response.status(), 404);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let body = body(&response);
        assert_eq!(body["error"], "no route registered for this path");
        assert_eq!((&body["status"], &body["code"]), (&404.into(), &"route_not_found".into()));
    }

    #[test]
    fn what_clients_act_upon_is_in_the_headers() {
        let response = Problem::wrong_method("GET, POST".to_owned(), "no").close().into_response();
        assert_eq!(
            (&response.headers()["allow"], &response.headers()["connection"]),
            (&"GET, POST".parse().unwrap(), &"close".parse().unwrap())
        );
        let refusal = Refusal::new(Class::Unauthenticated, "unauthenticated", "who?");
        let response = Problem::from(refusal).into_response();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["www-authenticate"]),
            (401, &"Bearer".parse().unwrap())
        );
        let wait = std::time::Duration::from_secs(7);
        let refusal = Refusal::new(Class::Limited, "limited", "slow down").retry_after(wait);
        assert_eq!(Problem::from(refusal).into_response().headers()["retry-after"], "7");
    }

    #[test]
    fn every_fault_of_a_function_has_its_status() {
        let second = std::time::Duration::from_secs(1);
        for (fault, status, retry_after) in [
            (Fault::TimedOut(second), 504, None),
            (Fault::LimitReached("memory".to_owned()), 502, None),
            (Fault::Trapped("unreachable".to_owned()), 502, None),
            (Fault::Reported("no".to_owned()), 502, None),
            (Fault::BadAnswer("status 0".to_owned()), 502, None),
            (Fault::Body(BodyFault::TooLarge(5)), 413, None),
            (Fault::Body(BodyFault::TooSlow), 408, None),
            (Fault::Body(BodyFault::Broken("reset".to_owned())), 400, None),
            (Fault::Busy { running: 64, waiting: 256 }, 429, Some("1")),
            (Fault::Exhausted, 503, Some("1")),
            (Fault::NotServed { version: 1, what: "requests" }, 501, None),
            (Fault::Unstartable("gone".to_owned()), 503, Some("5")),
        ] {
            let response = Problem::of_fault(&fault, true).into_response();
            assert_eq!(response.status(), status, "{fault}");
            let wait = response.headers().get("retry-after").map(|value| value.to_str().unwrap());
            assert_eq!(wait, retry_after, "{fault}");
            let body = body(&response);
            assert_eq!((&body["code"], &body["detail"]), (&fault.code().into(), &fault.to_string().into()));
        }
    }

    #[test]
    fn strangers_do_not_learn_what_went_on_inside_a_function() {
        for fault in [
            Fault::Reported("password is hunter2".to_owned()),
            Fault::Trapped("hunter2".to_owned()),
            Fault::BadAnswer("hunter2".to_owned()),
            Fault::LimitReached("hunter2".to_owned()),
            Fault::Unstartable("hunter2".to_owned()),
        ] {
            let public = Problem::of_fault(&fault, false).into_response();
            assert!(!String::from_utf8_lossy(public.body()).contains("hunter2"), "{fault}");
            let told = Problem::of_fault(&fault, true).into_response();
            assert!(String::from_utf8_lossy(told.body()).contains("hunter2"), "{fault}");
        }
    }
}
