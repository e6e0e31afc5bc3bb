//! One request to a server, before it is sent.

use std::fmt::Display;

use reqwest::Method;
use serde_json::Value;

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(super) method: Method,
    pub(super) path: Vec<String>,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) body: Option<Value>,
    pub(super) content_type: &'static str,
    pub(super) if_match: Option<String>,
    pub(super) scoped: bool,
    pub(super) only_new: bool,
}

impl Call {
    fn new(method: Method, path: &[&str]) -> Self {
        Self {
            method,
            path: path.iter().map(|segment| (*segment).to_owned()).collect(),
            query: Vec::new(),
            body: None,
            content_type: "application/json",
            if_match: None,
            scoped: false,
            only_new: false,
        }
    }

    pub(crate) fn get(path: &[&str]) -> Self {
        Self::new(Method::GET, path)
    }

    pub(crate) fn head(path: &[&str]) -> Self {
        Self::new(Method::HEAD, path)
    }

    pub(crate) fn delete(path: &[&str]) -> Self {
        Self::new(Method::DELETE, path)
    }

    pub(crate) fn post(path: &[&str], body: Value) -> Self {
        Self { body: Some(body), ..Self::new(Method::POST, path) }
    }

    pub(crate) fn put(path: &[&str], body: Value) -> Self {
        Self { body: Some(body), ..Self::new(Method::PUT, path) }
    }

    /// A JSON merge patch.
    pub(crate) fn patch(path: &[&str], body: Value) -> Self {
        let content_type = "application/merge-patch+json";
        Self { body: Some(body), content_type, ..Self::new(Method::PATCH, path) }
    }

    pub(crate) fn query(mut self, name: &'static str, value: impl Display) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    pub(crate) fn query_some(self, name: &'static str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    /// Acts in the chosen environment.
    pub(crate) fn scoped(mut self) -> Self {
        self.scoped = true;
        self
    }

    /// Fails with a conflict when it is there already.
    pub(crate) fn if_none_match(mut self) -> Self {
        self.only_new = true;
        self
    }

    /// Fails with a conflict when somebody changed it since.
    pub(crate) fn if_match(mut self, etag: Option<String>) -> Self {
        self.if_match = etag;
        self
    }
}
