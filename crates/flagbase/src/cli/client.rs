//! Talking to a server: one call in, a JSON document or a clear failure out.

mod call;

use std::time::Duration;

use clap::Args;
use reqwest::header::{self, HeaderMap};
use reqwest::{Method, StatusCode, Url};
use serde_json::Value;

use super::credentials::Credentials;
use crate::config::{Environment, Secret};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Format, Printer, View};
use crate::progress;
pub(crate) use call::Call;

/// Where a server on this machine listens when nothing is configured.
const DEFAULT_SERVER: &str = "http://localhost:8080";

/// The longest a server may take to answer a command.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Arguments of every command that talks to a server, and some of them of others. They may stand anywhere.
#[derive(Debug, Clone, Args)]
pub(crate) struct ClientArgs {
    /// The server to talk to; when left out the one last logged in to, else port 8080 of this machine
    #[arg(long, global = true, value_name = "URL", env = "FLAGBASE_SERVER", hide_env_values = true)]
    pub(crate) server: Option<String>,
    /// The environment to work in [default: the server's default]
    #[arg(
        short,
        long,
        global = true,
        value_name = "KEY",
        env = "FLAGBASE_ENVIRONMENT",
        hide_env_values = true
    )]
    pub(crate) environment: Option<String>,
    /// How to print
    #[arg(short, long, global = true, value_enum, default_value = "table")]
    pub(crate) output: Format,
    /// Say nothing but data and errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Answer yes to every question
    #[arg(short, long, global = true)]
    pub(crate) yes: bool,
    /// Why, for the change log
    #[arg(long, global = true, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

/// A server, who we are there, and how to print what it answers.
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<Secret>,
    /// The variable that the token is from, when it is not the remembered one.
    variable: Option<&'static str>,
    environment: Option<String>,
    reason: Option<String>,
    /// How to print answers.
    pub(crate) printer: Printer,
    /// Whether questions are answered beforehand.
    pub(crate) yes: bool,
}

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Null when there was no body.
    pub(crate) body: Value,
    /// The revision of what was answered, for `If-Match`.
    pub(crate) etag: Option<String>,
    next: Option<String>,
}

impl Client {
    /// The server and the session these arguments, the environment and remembered sessions lead to.
    pub(crate) fn new(args: &ClientArgs, environment: &Environment) -> Outcome<Self> {
        let credentials = Credentials::load(&Credentials::path()?)?;
        let server = args.server.clone().or_else(|| credentials.current.clone());
        let base = parse_server(server.as_deref().unwrap_or(DEFAULT_SERVER))?;
        let remembered = credentials.servers.get(base.as_str().trim_end_matches('/'));
        let (token, variable) = match from_variable(environment)? {
            Some((token, variable)) => (Some(token), Some(variable)),
            None => (remembered.map(|login| Secret::new(login.token.clone())), None),
        };
        let http = reqwest::Client::builder()
            .user_agent(concat!("flagbase/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(5))
            .build()
            .map_err(|error| Failure::plain(format!("cannot set up a connection: {error}")))?;
        Ok(Self {
            http,
            base,
            token,
            variable,
            environment: args.environment.clone(),
            reason: args.reason.clone(),
            printer: Printer { format: args.output, quiet: args.quiet },
            yes: args.yes,
        })
    }

    /// The server's address without a slash at its end.
    pub(crate) fn server(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// The token requests carry, when there is one.
    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_ref().map(Secret::reveal)
    }

    /// The environment asked for; the server's default when none is.
    pub(crate) fn environment(&self) -> Option<&str> {
        self.environment.as_deref()
    }

    /// What leads to a route or a function of another environment looks as if it worked, while no request reaches it.
    pub(crate) fn say_who_serves(&self) {
        if let Some(key) = self.environment().filter(|key| *key != "default") {
            self.printer.hint(&format!(
                "requests reach it when the server's `gateway.environment` is `{key}`; it is `default` unless configured"
            ));
        }
    }

    /// Acts with this token instead of the remembered one.
    pub(crate) fn with_token(mut self, token: Option<Secret>) -> Self {
        self.token = token;
        self.variable = None;
        self
    }

    /// The variable whose token is used instead of the remembered one, when it is set.
    pub(crate) fn variable(&self) -> Option<&'static str> {
        self.variable
    }

    /// Sends one request and reads the whole answer.
    pub(crate) async fn send(&self, call: Call) -> Outcome<Answer> {
        let request = self.request(&call)?.timeout(TIMEOUT);
        let response = progress::during("waiting for the server", request.send())
            .await
            .map_err(|error| self.unreachable(&error))?;
        let answer = self.read(response).await;
        // Nobody changed anything when it had been there before.
        answer.map_err(|failure| match failure.exit() {
            Exit::Conflict if call.only_new => failure.without_hint(),
            _ => failure,
        })
    }

    /// Sends one request and returns the document it is answered with.
    pub(crate) async fn call(&self, call: Call) -> Outcome<Value> {
        self.send(call).await.map(|answer| answer.body)
    }

    /// All items of a listing, following its pages, at most `limit`.
    pub(crate) async fn list(&self, call: Call, limit: Option<usize>) -> Outcome<Value> {
        let limit = limit.unwrap_or(usize::MAX);
        let mut answer = self.send(call.query("limit", limit.min(1000))).await?;
        let mut items = Vec::new();
        loop {
            match answer.body {
                Value::Array(page) => items.extend(page),
                other => return Ok(other),
            }
            let Some(next) = answer.next.filter(|_| items.len() < limit) else {
                break;
            };
            let url = self.base.join(&next).map_err(|_| {
                Failure::plain(format!("the server named a next page that is no address: `{next}`"))
            })?;
            let request = self.authorised(self.http.get(url));
            answer = self.read(request.send().await.map_err(|error| self.unreachable(&error))?).await?;
        }
        items.truncate(limit);
        Ok(Value::Array(items))
    }

    /// Opens a stream of server-sent events after `last`, when given.
    pub(crate) async fn open(&self, call: &Call, last: Option<&str>) -> Outcome<reqwest::Response> {
        let mut request = self.request(call)?.header(header::ACCEPT, "text/event-stream");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.read(response).await.err().unwrap_or_else(|| Failure::plain("the stream was refused")))
    }

    /// Sends bytes as they are, and calls `step` for each line of the answer (NDJSON) but the last, which is returned. It
    /// may take as long as the server says that it is at work.
    pub(crate) async fn upload(&self, call: &Call, bytes: Vec<u8>, step: impl Fn(&Value)) -> Outcome<Value> {
        let request = self.request(call)?;
        let request = request
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .header(header::ACCEPT, "application/x-ndjson")
            .body(bytes);
        let mut response = request.send().await.map_err(|error| self.unreachable(&error))?;
        if !response.status().is_success() {
            return Err(self
                .read(response)
                .await
                .err()
                .unwrap_or_else(|| Failure::plain("the code was refused")));
        }
        let (mut buffer, mut last) = (Vec::new(), Value::Null);
        while let Some(part) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            buffer.extend_from_slice(&part);
            while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = buffer.drain(..=end).collect();
                last = serde_json::from_slice(&line).unwrap_or_default();
                step(&last);
            }
        }
        if !buffer.is_empty() {
            last = serde_json::from_slice(&buffer).unwrap_or_default();
        }
        match last.get("problem") {
            Some(problem) => {
                let status = problem
                    .get("status")
                    .and_then(Value::as_u64)
                    .and_then(|status| u16::try_from(status).ok());
                let status = status.and_then(|status| StatusCode::from_u16(status).ok());
                Err(self.refused(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), problem))
            }
            None if last.get("version").is_some() => Ok(last),
            None => Err(Failure::plain("the server stopped before the work was done").hint("try it again")),
        }
    }

    /// The bytes of an answer as they are.
    pub(crate) async fn download(&self, call: &Call) -> Outcome<Vec<u8>> {
        let response = self.request(call)?.send().await.map_err(|error| self.unreachable(&error))?;
        if !response.status().is_success() {
            return Err(self
                .read(response)
                .await
                .err()
                .unwrap_or_else(|| Failure::plain("the answer was refused")));
        }
        let bytes = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        Ok(bytes.into())
    }

    /// Prints a document.
    pub(crate) fn print(&self, data: &Value, view: &View) -> Outcome {
        self.printer.print(data, view)
    }

    /// Prints what a change answered with, and says what was done.
    pub(crate) fn changed(&self, message: &str, data: &Value, view: &View) -> Outcome {
        self.printer.done(message);
        if self.printer.format == Format::Table { Ok(()) } else { self.print(data, view) }
    }

    /// Sends a request that was built with [`Client::request`]; its answer is read by whoever asked.
    pub(crate) async fn stream(&self, request: reqwest::RequestBuilder) -> Outcome<reqwest::Response> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.read(response).await.err().unwrap_or_else(|| Failure::plain("the request was refused")))
    }

    /// A request to an address that the server named itself.
    pub(crate) fn request_at(&self, method: Method, address: &str) -> Outcome<reqwest::RequestBuilder> {
        let url = self.base.join(address);
        let url = url
            .ok()
            .filter(|url| url.origin() == self.base.origin())
            .ok_or_else(|| Failure::plain(format!("the server named something elsewhere: `{address}`")))?;
        Ok(self.authorised(self.http.request(method, url)))
    }

    /// A request, before its body.
    pub(crate) fn request(&self, call: &Call) -> Outcome<reqwest::RequestBuilder> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| Failure::usage(format!("`{}` cannot have a path", self.base)))?
            .pop_if_empty()
            .extend(&call.path);
        let environment = self.environment.as_ref().filter(|_| call.scoped);
        if !call.query.is_empty() || environment.is_some() {
            let mut query = url.query_pairs_mut();
            query.extend_pairs(&call.query);
            query.extend_pairs(environment.map(|key| ("environment", key)));
        }
        let mut request = self.http.request(call.method.clone(), url);
        if let Some(body) = call.body.as_ref().filter(|body| !body.is_null()) {
            request = request.header(header::CONTENT_TYPE, call.content_type).body(body.to_string());
        }
        if let Some(etag) = &call.if_match {
            request = request.header(header::IF_MATCH, etag);
        }
        if call.only_new {
            request = request.header(header::IF_NONE_MATCH, "*");
        }
        if let Some(reason) = self.reason.as_ref().filter(|_| call.method != Method::GET) {
            request = request.header("x-flagbase-reason", header_text(reason));
        }
        Ok(self.authorised(request))
    }

    fn authorised(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match &self.token {
            Some(token) => request.bearer_auth(token.reveal()),
            None => request,
        }
    }

    async fn read(&self, response: reqwest::Response) -> Outcome<Answer> {
        let status = response.status();
        let headers = response.headers().clone();
        let text = response.text().await.map_err(|error| self.unreachable(&error))?;
        let body = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).unwrap_or(Value::String(text))
        };
        if !status.is_success() {
            return Err(self.refused(status, &body));
        }
        let etag = headers.get(header::ETAG).and_then(|etag| etag.to_str().ok()).map(str::to_owned);
        Ok(Answer { body, etag, next: next_page(&headers) })
    }

    /// Why there was no answer, or no whole one.
    pub(crate) fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let server = self.server();
        if error.is_timeout() {
            return Failure::plain(format!("{server} does not answer in time"))
                .hint("look at the server's log, or try `flagbase doctor` there");
        }
        let mut cause = error as &dyn std::error::Error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        Failure::plain(format!("{server} cannot be reached: {cause}"))
            .hint("start a server with `flagbase start`, or name another with --server or FLAGBASE_SERVER")
    }

    /// Translates a problem document (RFC 9457) into a failure with its exit code.
    fn refused(&self, status: StatusCode, body: &Value) -> Failure {
        let member = |name: &str| body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let message = member("detail").or_else(|| member("error")).or_else(|| member("title"));
        let message = message.map_or_else(|| format!("{} answered {status}", self.server()), str::to_owned);
        let errors = body.get("errors").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        // A single one is what the message says already; of several it only says that they are listed.
        let (message, errors) = match errors {
            [] | [_] => (message, &[][..]),
            many if member("code") == Some("invalid") => (format!("{} things are wrong", many.len()), many),
            many => (message, many),
        };
        let details = errors.iter().map(|error| {
            let part = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
            match part("pointer") {
                "" => part("message").to_owned(),
                pointer => format!("{pointer}: {}", part("message")),
            }
        });
        let failure =
            Failure::new(exit_for(status), message).details(details.collect()).problem(member("code"));
        match status {
            _ if member("code") == Some("invalid_credentials") => failure,
            StatusCode::UNAUTHORIZED if self.token.is_none() => {
                failure.hint("log in with `flagbase login EMAIL`, or set FLAGBASE_TOKEN")
            }
            StatusCode::UNAUTHORIZED => failure.hint(match self.variable {
                Some(name) => {
                    format!(
                        "the token of {name} is used, and not what you logged in with: unset or replace it"
                    )
                }
                None => "the session has ended: log in again with `flagbase login EMAIL`".to_owned(),
            }),
            StatusCode::FORBIDDEN => failure.hint("`flagbase whoami` shows what you are allowed to do"),
            StatusCode::PRECONDITION_FAILED => {
                failure.hint("somebody changed it in between: look at it and try again")
            }
            StatusCode::NOT_FOUND if body.is_string() || body.is_null() => {
                failure.hint(format!("is {} a flagbase server?", self.server()))
            }
            _ => failure,
        }
    }
}

/// The token that the environment sets, and the variable it is from.
fn from_variable(environment: &Environment) -> Outcome<Option<(Secret, &'static str)>> {
    const TOKEN: &str = "FLAGBASE_TOKEN";
    const FILE: &str = "FLAGBASE_TOKEN_FILE";
    match (environment.get(TOKEN), environment.get(FILE)) {
        (Some(_), Some(_)) => {
            Err(Failure::usage(format!("`{TOKEN}` and `{FILE}` are both set")).hint("keep one of the two"))
        }
        (Some(token), None) => Ok(Some((Secret::new(token), TOKEN))),
        (None, Some(file)) => Ok(Some((super::ask::from_file(file.as_ref())?, FILE))),
        (None, None) => Ok(None),
    }
}

/// Checks that a server's address is one.
pub(crate) fn parse_server(text: &str) -> Outcome<Url> {
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    Url::parse(&with_scheme)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| {
            Failure::usage(format!("`{text}` is not the address of a server"))
                .hint("write it like http://localhost:8080")
        })
}

fn exit_for(status: StatusCode) -> Exit {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Exit::NotAllowed,
        StatusCode::NOT_FOUND => Exit::NotFound,
        StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => Exit::Conflict,
        _ => Exit::Failure,
    }
}

/// The address in `Link: <…>; rel="next"`.
fn next_page(headers: &HeaderMap) -> Option<String> {
    let link = headers.get(header::LINK)?.to_str().ok()?;
    let entry = link.split(',').find(|entry| entry.contains("rel=\"next\""))?;
    let (_, rest) = entry.split_once('<')?;
    rest.split_once('>').map(|(address, _)| address.to_owned())
}

/// Header values cannot hold line breaks.
fn header_text(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
#[path = "client/tests.rs"]
mod tests;
