//! `flagbase fn invoke`.

use std::io::Read as _;
use std::path::Path;

use clap::Args;
use serde_json::{Value, json};

use super::under;
use crate::cli::client::{Call, Client};
use crate::cli::document;
use crate::exit::{Failure, Outcome};
use crate::output::{self, Format, View};

#[derive(Debug, Args)]
pub(super) struct InvokeArgs {
    /// The function
    name: String,
    /// Path and query below the function
    #[arg(default_value = "/")]
    target: String,
    /// This version instead of the current one
    #[arg(long, value_name = "NUMBER", value_parser = super::version_number)]
    version: Option<u32>,
    /// The method [default: GET, or POST with a body]
    #[arg(short = 'X', long)]
    method: Option<String>,
    /// A header; repeat for each
    #[arg(short = 'H', long = "header", value_name = "NAME=VALUE")]
    headers: Vec<String>,
    /// The body; `@FILE` reads it from a file, `@-` from standard input
    #[arg(short, long, value_name = "TEXT")]
    data: Option<String>,
    /// An event instead of a request: its subject, with the data of --data
    #[arg(long, value_name = "SUBJECT", conflicts_with_all = ["method", "headers", "tick"])]
    event: Option<String>,
    /// A moment of a schedule instead of a request
    #[arg(long, conflicts_with_all = ["method", "headers", "data"])]
    tick: bool,
}

pub(super) async fn run(args: &InvokeArgs, client: &Client) -> Outcome {
    let call = Call::post(&under(&args.name, "invoke"), args.body()?).scoped();
    let answer = client.call(call).await?;
    if client.printer.format != Format::Table {
        client.print(&answer, &View::ALL)?;
        return failure(&args.name, &answer).map_or(Ok(()), Err);
    }
    for line in answer.get("logs").and_then(Value::as_array).into_iter().flatten() {
        let part = |name: &str| line.get(name).and_then(Value::as_str).unwrap_or_default();
        client.printer.done(&format!("{:5}  {}", part("level"), part("message")));
    }
    let number = |name: &str| answer.get(name).and_then(Value::as_f64);
    if let Some(failure) = failure(&args.name, &answer) {
        return Err(failure);
    }
    let version = number("version").unwrap_or_default();
    let took = number("duration_ms").unwrap_or_default();
    match number("status") {
        Some(status) => client.printer.done(&format!("{status} from version {version} in {took:.1} ms")),
        None => client.printer.done(&format!("done by version {version} in {took:.1} ms")),
    }
    match (answer.get("body").and_then(Value::as_str), answer.get("body_base64").and_then(Value::as_str)) {
        (Some(body), _) if body.ends_with('\n') || body.is_empty() => output::text(body),
        (Some(body), _) => output::line(body),
        (None, Some(encoded)) => {
            client.printer.hint("the body is no text; this is its base64");
            output::line(encoded)
        }
        (None, None) => Ok(()),
    }
}

/// Why the function gave no answer; `None` when it did.
fn failure(name: &str, answer: &Value) -> Option<Failure> {
    let fault = answer.get("fault").filter(|fault| !fault.is_null())?;
    let version = answer.get("version").and_then(Value::as_u64).unwrap_or_default();
    let detail = fault.get("detail").and_then(Value::as_str).unwrap_or_default();
    let failure = Failure::plain(format!("version {version}: {detail}"));
    Some(failure.hint(format!("`flagbase fn logs {name}` shows more")))
}

impl InvokeArgs {
    fn body(&self) -> Outcome<Value> {
        let data = self.data.as_deref().map(data).transpose()?;
        let mut body = if self.tick {
            json!({"tick": {}})
        } else if let Some(subject) = &self.event {
            json!({"event": {"subject": subject, "data": data.unwrap_or_default()}})
        } else {
            let method =
                self.method.clone().unwrap_or_else(|| if data.is_some() { "POST" } else { "GET" }.to_owned());
            let mut request = json!({"method": method, "target": self.target});
            if !self.headers.is_empty() {
                document::set(&mut request, "headers", document::pairs(&self.headers)?);
            }
            document::set_some(&mut request, "body", data);
            json!({"request": request})
        };
        document::set_some(&mut body, "version", self.version);
        Ok(body)
    }
}

/// The text itself, or what a file holds.
fn data(text: &str) -> Outcome<String> {
    let Some(file) = text.strip_prefix('@') else {
        return Ok(text.to_owned());
    };
    let mut read = String::new();
    let done = if file == "-" {
        std::io::stdin().read_to_string(&mut read).map(|_| ())
    } else {
        std::fs::read_to_string(Path::new(file)).map(|content| read = content)
    };
    done.map_err(|error| Failure::usage(format!("`{file}` cannot be read: {error}")))?;
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> InvokeArgs {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: InvokeArgs,
        }
        <Line as clap::Parser>::parse_from(std::iter::once("invoke").chain(line.split(' '))).args
    }

    #[test]
    fn a_body_makes_it_a_post() {
        assert_eq!(args("hello").body().unwrap(), json!({"request": {"method": "GET", "target": "/"}}));
        assert_eq!(
            args("hello /x?y -d z --version 2 -H accept=text/plain").body().unwrap(),
            json!({"version": 2, "request": {
                "method": "POST", "target": "/x?y", "body": "z", "headers": {"accept": "text/plain"}
            }})
        );
    }

    #[test]
    fn a_function_that_failed_is_a_failure_and_one_that_answered_is_none() {
        let answer = json!({"version": 2, "fault": {"code": "function_failed", "detail": "it broke"}});
        let failure = failure("hello", &answer).unwrap().to_string();
        assert!(failure.contains("version 2: it broke") && failure.contains("fn logs hello"), "{failure}");
        for answer in [json!({"version": 2, "status": 500}), json!({"fault": null})] {
            assert!(super::failure("hello", &answer).is_none(), "{answer}");
        }
    }

    #[test]
    fn events_and_moments_are_occasions_of_their_own() {
        assert_eq!(
            args("hello --event orders.created -d {}").body().unwrap(),
            json!({"event": {"subject": "orders.created", "data": "{}"}})
        );
        assert_eq!(args("hello --tick").body().unwrap(), json!({"tick": {}}));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let failure = data("@/nowhere/at/all").unwrap_err();
        assert!(failure.to_string().contains("/nowhere/at/all"), "{failure}");
    }
}
