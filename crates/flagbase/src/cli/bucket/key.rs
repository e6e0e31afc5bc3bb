//! `flagbase bucket key`: what clients of S3 log in with.

use clap::Args;
use serde_json::{Value, json};

use super::place::Place;
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
    let made = client.call(Call::post(&["api", "v1", "keys"], request(args, environment))).await?;
    if client.printer.format != Format::Table {
        return client.print(&made, &View::ALL);
    }
    client.printer.done(&format!(
        "made an access key for `{}`; this is the only time its secret is shown. AWS_ENDPOINT_URL is where \
         `storage.s3.listen` says, such as http://localhost:9000",
        args.place
    ));
    let lines =
        variables(&made).ok_or_else(|| Failure::plain("the server made a key without a secret for S3"))?;
    output::line(&lines)
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

/// `NAME=value`, a line each, as shells and files of variables take it.
fn variables(made: &Value) -> Option<String> {
    let lines: Option<Vec<String>> = VARIABLES
        .iter()
        .map(|(name, member)| Some(format!("{name}={}", made.get(member)?.as_str()?)))
        .collect();
    Some(format!("{}\nAWS_DEFAULT_REGION=us-east-1", lines?.join("\n")))
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
        let expected = "AWS_ACCESS_KEY_ID=FB1\nAWS_SECRET_ACCESS_KEY=s\nAWS_DEFAULT_REGION=us-east-1";
        assert_eq!(variables(&made).as_deref(), Some(expected));
        assert_eq!(variables(&json!({"token": "t"})), None);
    }
}
