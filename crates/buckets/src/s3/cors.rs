//! Whose pages may use a bucket by the browser of whoever looks at them.

use flagbase_core::buckets::{Bucket, CorsRule, matches_wildcard};
use http::{HeaderMap, HeaderValue, Method, header, request::Parts};

/// What a browser asks.
#[derive(Debug, Clone)]
pub(super) struct Question {
    origin: String,
    method: String,
    /// In lower case.
    headers: Vec<String>,
    preflight: bool,
}

impl Question {
    /// What a request asks; `None` when it does not come from a page of another origin.
    pub(super) fn of(head: &Parts) -> Option<Self> {
        let text = |name| head.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let origin = text(header::ORIGIN)?.to_owned();
        let asked = text(header::ACCESS_CONTROL_REQUEST_METHOD).filter(|_| head.method == Method::OPTIONS);
        let preflight = asked.is_some();
        let method = asked.unwrap_or(head.method.as_str()).to_owned();
        let headers = text(header::ACCESS_CONTROL_REQUEST_HEADERS).filter(|_| preflight).unwrap_or_default();
        let headers = headers.split(',').map(|name| name.trim().to_ascii_lowercase());
        Some(Self { origin, method, headers: headers.filter(|name| !name.is_empty()).collect(), preflight })
    }

    /// Whether it is asked before the request itself.
    pub(super) fn is_preflight(&self) -> bool {
        self.preflight
    }

    /// What the browser is told; `None` when no rule of the bucket fits.
    pub(super) fn answer(&self, bucket: &Bucket) -> Option<HeaderMap> {
        let rule = bucket.settings.cors.iter().find(|rule| self.fits(rule))?;
        let mut headers = HeaderMap::new();
        let any = rule.origins.iter().any(|origin| origin == "*");
        let origin = if any { "*" } else { self.origin.as_str() };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::try_from(origin).ok()?);
        if !any {
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        let mut list = |name, words: &[String]| {
            if let (false, Ok(value)) = (words.is_empty(), HeaderValue::try_from(words.join(", "))) {
                headers.insert(name, value);
            }
        };
        list(header::ACCESS_CONTROL_EXPOSE_HEADERS, &rule.expose);
        if self.preflight {
            list(header::ACCESS_CONTROL_ALLOW_METHODS, &rule.methods);
            list(header::ACCESS_CONTROL_ALLOW_HEADERS, &self.headers);
            if let Some(seconds) = rule.max_age {
                headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from(seconds));
            }
        }
        let vary = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method";
        headers.insert(header::VARY, HeaderValue::from_static(vary));
        Some(headers)
    }

    fn fits(&self, rule: &CorsRule) -> bool {
        let header = |name: &String| {
            rule.headers.iter().any(|known| matches_wildcard(&known.to_ascii_lowercase(), name))
        };
        rule.origins.iter().any(|origin| matches_wildcard(origin, &self.origin))
            && rule.methods.contains(&self.method)
            && self.headers.iter().all(header)
    }
}

#[cfg(test)]
mod tests {
    use flagbase_core::{
        buckets::Settings,
        catalog::{DocumentId, Kind},
    };
    use http::Request;

    use super::*;

    fn bucket() -> Bucket {
        let rule = CorsRule {
            id: None,
            origins: vec!["https://*.example.com".into()],
            methods: vec!["GET".into(), "PUT".into()],
            headers: vec!["X-Amz-*".into(), "content-type".into()],
            expose: vec!["ETag".into()],
            max_age: Some(600),
        };
        Bucket {
            id: DocumentId::new(Kind::Bucket, "default", "b"),
            revision: 1,
            settings: Settings { cors: vec![rule], ..Settings::default() },
            policy: None,
        }
    }

    fn ask(method: &str, headers: &[(&str, &str)]) -> Option<HeaderMap> {
        let request = Request::builder().method(method).uri("/b/k");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let head = request.body(()).unwrap().into_parts().0;
        Question::of(&head)?.answer(&bucket())
    }

    #[test]
    fn a_preflight_is_told_what_the_rule_allows() {
        let origin = ("origin", "https://app.example.com");
        let method = ("access-control-request-method", "PUT");
        let told =
            ask("OPTIONS", &[origin, method, ("access-control-request-headers", "X-Amz-Date, Content-Type")]);
        let told = told.unwrap();
        assert_eq!(told["access-control-allow-origin"], "https://app.example.com");
        assert_eq!(told["access-control-allow-methods"], "GET, PUT");
        assert_eq!(told["access-control-allow-headers"], "x-amz-date, content-type");
        assert_eq!(told["access-control-max-age"], "600");
        assert!(ask("OPTIONS", &[origin, method, ("access-control-request-headers", "X-Other")]).is_none());
        assert!(ask("OPTIONS", &[origin, ("access-control-request-method", "DELETE")]).is_none());
        assert!(ask("OPTIONS", &[("origin", "https://example.org"), method]).is_none());
    }

    #[test]
    fn an_answer_to_a_page_says_whose_page_may_read_it() {
        let told = ask("GET", &[("origin", "https://app.example.com")]).unwrap();
        assert_eq!(told["access-control-expose-headers"], "ETag");
        assert!(told.contains_key("vary") && !told.contains_key("access-control-allow-methods"));
        assert!(ask("GET", &[]).is_none());
    }
}
