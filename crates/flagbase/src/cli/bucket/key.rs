//! `flagbase bucket key`: what clients of S3 log in with.

use clap::Args;
use serde_json::{Value, json};

use super::place::Place;
use super::remote;
use crate::cli::client::{Call, Client};
use crate::cli::document;
use crate::exit::{Failure, Outcome};
use crate::output::{self, Format, View};

/// What reading takes, and what everything else takes beside it.
const READING: [&str; 2] = ["bucket.list", "bucket.read"];
const WRITING: [&str; 2] = ["bucket.write", "bucket.delete"];

/// The variables that AWS's clients read, and what is in them.
const VARIABLES: [(&str, &str); 2] =
    [("AWS_ACCESS_KEY_ID", "access_key_id"), ("AWS_SECRET_ACCESS_KEY", "secret_access_key")];

#[derive(Debug, Args)]
pub(super) struct KeyArgs {
    /// What it is good for: `bucket`, or `bucket/prefix`
    place: Place,
    /// What people call it [default: the place]
    #[arg(long)]
    name: Option<String>,
    /// For reading and listing only
    #[arg(long)]
    read_only: bool,
    /// How long it is valid, such as `720h`; for ever when left out
    #[arg(long, value_name = "DURATION")]
    expires_in: Option<String>,
}

pub(super) async fn run(args: &KeyArgs, client: &Client, environment: &str) -> Outcome {
    remote::bucket(client, &args.place.bucket).await?;
    let made = client.call(Call::post(&["api", "v1", "keys"], request(args, environment))).await?;
    if client.printer.format != Format::Table {
        return client.print(&made, &View::ALL);
    }
    let endpoint = endpoint(client.server(), &made);
    let lines = variables(&made, endpoint.as_deref())
        .ok_or_else(|| Failure::plain("the server made a key without a secret for S3"))?;
    client.printer.done(&format!(
        "made an access key for `{}`; its secret is shown this once. Paste these lines into a shell:",
        args.place
    ));
    output::line(&lines)?;
    let prefix = &args.place.key;
    if !prefix.is_empty() && !prefix.ends_with('/') {
        client.printer.hint(&format!(
            "it is good for every key that begins with `{prefix}`, such as `{prefix}-other`; end it with `/` to mean a directory"
        ));
    }
    if made.get("s3_port").is_none() {
        client.printer.hint(
            "the server does not serve S3 now: set `storage.s3.listen` there, such as to 127.0.0.1:9000",
        );
    } else if endpoint.is_none() {
        client.printer.hint(
            "set AWS_ENDPOINT_URL as well: where `storage.s3.listen` of the server is reached from here, such as \
             https://s3.example.com; the server says at its start where it serves S3",
        );
    }
    Ok(())
}

fn request(args: &KeyArgs, environment: &str) -> Value {
    let Place { bucket, key } = &args.place;
    let permissions = READING.iter().chain(if args.read_only { &[][..] } else { &WRITING });
    let permissions: Vec<&str> = permissions.copied().collect();
    let name = args.name.clone().unwrap_or_else(|| args.place.to_string());
    let mut body = json!({
        "name": name, "environment": environment, "permissions": permissions,
        "buckets": [{"bucket": bucket, "prefix": key}],
    });
    document::set_some(&mut body, "expires_in", args.expires_in.clone());
    body
}

/// Where S3 is to be found, when the server is on this machine.
fn endpoint(server: &str, made: &Value) -> Option<String> {
    let url = reqwest::Url::parse(server).ok()?;
    let is_here = matches!(url.host_str()?, "localhost" | "127.0.0.1" | "[::1]");
    let port = made.get("s3_port")?.as_u64()?;
    is_here.then(|| format!("http://localhost:{port}"))
}

/// `export NAME=value`, a line each, as shells take it.
fn variables(made: &Value, endpoint: Option<&str>) -> Option<String> {
    let mut lines = Vec::new();
    for (name, member) in VARIABLES {
        lines.push(format!("export {name}={}", made.get(member)?.as_str()?));
    }
    lines.push("export AWS_DEFAULT_REGION=us-east-1".to_owned());
    lines.extend(endpoint.map(|endpoint| format!("export AWS_ENDPOINT_URL={endpoint}")));
    Some(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(read_only: bool) -> KeyArgs {
        KeyArgs { place: "backup/laptop/".parse().unwrap(), name: None, read_only, expires_in: None }
    }

    #[test]
    fn a_key_is_good_for_its_place_only() {
        let body = request(&args(true), "default");
        assert_eq!(body["buckets"], json!([{"bucket": "backup", "prefix": "laptop/"}]));
        assert_eq!(body["permissions"], json!(READING));
        assert_eq!(request(&args(false), "default")["permissions"].as_array().unwrap().len(), 4);
    }

    #[test]
    fn variables_are_called_as_clients_of_aws_call_them() {
        let made = json!({"access_key_id": "FB1", "secret_access_key": "s"});
        let expected = "export AWS_ACCESS_KEY_ID=FB1\nexport AWS_SECRET_ACCESS_KEY=s\nexport AWS_DEFAULT_REGION=us-east-1";
        assert_eq!(variables(&made, None).as_deref(), Some(expected));
        let here = variables(&made, Some("http://localhost:9000")).unwrap();
        assert!(here.ends_with("\nexport AWS_ENDPOINT_URL=http://localhost:9000"), "{here}");
        assert_eq!(variables(&json!({"token": "t"}), None), None);
    }

    #[test]
    fn where_s3_is_of_a_server_elsewhere_is_not_guessed() {
        let made = json!({"s3_port": 19000});
        assert_eq!(endpoint("https://flags.example.com", &made), None);
        for here in ["http://127.0.0.1:8080", "http://[::1]:8080", "http://localhost:8080"] {
            assert_eq!(endpoint(here, &made).as_deref(), Some("http://localhost:19000"));
            assert_eq!(endpoint(here, &json!({})), None, "not served");
        }
    }
}
