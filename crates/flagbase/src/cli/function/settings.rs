//! `flagbase fn set`: what a function may use, reach and be told.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};

use super::{ONE, at};
use crate::cli::client::{Call, Client};
use crate::cli::document;
use crate::exit::{Exit, Failure, Outcome};

#[derive(Debug, Default, Args)]
pub(super) struct SetArgs {
    /// The function
    name: String,
    /// Make the function when it is not there, such as to grant it something before its first version comes
    #[arg(long)]
    create: bool,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// A variable; repeat for each, without a value to remove it
    #[arg(long = "var", value_name = "NAME=VALUE")]
    variables: Vec<String>,
    /// A limit, such as `timeout=5s`, `memory=256MiB` or `concurrency=10`; repeat for each
    #[arg(long = "limit", value_name = "NAME=VALUE")]
    limits: Vec<String>,
    /// What it may reach: `secrets`, `flags`, `outbound=https://api.example.com`, `keyvalue=NAME`, `bucket=NAME`,
    /// `publish=SUBJECT`; repeat for each
    #[arg(long = "grant", value_name = "GRANT")]
    grants: Vec<String>,
    /// What it may not reach any more, written as for --grant
    #[arg(long = "revoke", value_name = "GRANT")]
    revokes: Vec<String>,
    /// Who may call it: anyone, authenticated, or roles with commas between them
    #[arg(long, value_name = "WHO")]
    require: Option<String>,
    /// Whether one instance answers many requests, one after the other
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    warm: Option<bool>,
    /// The flag that chooses the version; `none` takes it away
    #[arg(long, value_name = "KEY")]
    flag: Option<String>,
    /// Run it on a schedule, such as `0 3 * * *`; replaces its schedules, repeat for each
    #[arg(long = "schedule", value_name = "CRON")]
    schedules: Vec<String>,
    /// Give it what is published on this subject, such as `orders.>`; replaces its subjects, repeat for each
    #[arg(long = "on", value_name = "SUBJECT")]
    subjects: Vec<String>,
    /// Give it what happens to objects of this bucket; replaces its buckets, repeat for each
    #[arg(long = "on-bucket", value_name = "BUCKET")]
    buckets: Vec<String>,
    /// Read settings from this JSON or YAML file; `-` is standard input
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
}

pub(super) async fn run(args: &SetArgs, client: &Client) -> Outcome {
    let call = Call::get(&at(&args.name)).scoped();
    let current = match client.send(call).await {
        Ok(answer) => Some(answer),
        Err(failure) if failure.exit() == Exit::NotFound && args.create => None,
        Err(failure) if failure.exit() == Exit::NotFound => {
            return Err(failure
                .hint("`flagbase fn list` shows all; to make one before its first deploy, add --create"));
        }
        Err(failure) => return Err(failure),
    };
    let patch = args.patch(current.as_ref().map_or(&Value::Null, |answer| &answer.body))?;
    let (call, done) = match current {
        Some(answer) => (Call::patch(&at(&args.name), patch).if_match(answer.etag), "changed"),
        None => (Call::put(&at(&args.name), patch), "made"),
    };
    let function = client.call(call.scoped()).await?;
    client.changed(&format!("{done} function `{}`", args.name), &function, &ONE)?;
    for bucket in args.named_buckets() {
        let found = client.call(Call::get(&["api", "v1", "buckets", bucket]).scoped()).await;
        if found.is_err_and(|failure| failure.exit() == Exit::NotFound) {
            client.printer.hint(&format!(
                "there is no bucket `{bucket}` yet: `flagbase bucket create {bucket}` makes it"
            ));
        }
    }
    if let Some(Value::Object(require)) = args.require.as_deref().map(who) {
        let roles = client.call(Call::get(&["api", "v1", "roles"])).await.unwrap_or_default();
        let known: Vec<_> =
            roles.as_array().into_iter().flatten().filter_map(|role| role.get("name")?.as_str()).collect();
        let asked =
            require.get("roles").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        for role in asked.filter(|role| !known.is_empty() && !known.contains(role)) {
            client.printer.hint(&format!(
                "there is no role `{role}`: it admits nobody; `flagbase role list` shows all"
            ));
        }
    }
    Ok(())
}

impl SetArgs {
    /// Buckets that are granted or listened to.
    fn named_buckets(&self) -> impl Iterator<Item = &str> {
        let granted = self.grants.iter().filter_map(|grant| match grant.split_once('=') {
            Some(("bucket" | "buckets", bucket)) => Some(bucket),
            _ => None,
        });
        granted.chain(self.buckets.iter().map(String::as_str))
    }

    /// What to change of `current`, as a merge patch.
    fn patch(&self, current: &Value) -> Outcome<Value> {
        let mut patch = match &self.file {
            Some(file) => document::read(file)?,
            None => json!({}),
        };
        document::set_some(&mut patch, "description", self.description.clone());
        document::set_some(&mut patch, "warm", self.warm);
        if !self.variables.is_empty() {
            document::set(&mut patch, "environment", pairs_or_removals(&self.variables));
        }
        if !self.limits.is_empty() {
            document::set(&mut patch, "limits", document::pairs(&self.limits)?);
        }
        if !self.grants.is_empty() || !self.revokes.is_empty() {
            let grants = grants(current, &self.grants, &self.revokes)?;
            document::set(&mut patch, "grants", grants);
        }
        document::set_some(&mut patch, "require", self.require.as_deref().map(who));
        if let Some(flag) = &self.flag {
            let flag = if flag == "none" { Value::Null } else { Value::from(flag.as_str()) };
            document::set(&mut patch, "flag_key", flag);
        }
        if let Some(triggers) = self.triggers(current) {
            document::set(&mut patch, "triggers", triggers);
        }
        if patch.as_object().is_none_or(Map::is_empty) && !current.is_null() {
            return Err(Failure::usage("nothing to change")
                .hint("give at least one of the options, such as --limit timeout=5s"));
        }
        Ok(patch)
    }

    /// The triggers as they will be; `None` when nothing about them was said.
    fn triggers(&self, current: &Value) -> Option<Value> {
        let kinds = [("schedule", &self.schedules), ("subject", &self.subjects), ("bucket", &self.buckets)];
        if kinds.iter().all(|(_, given)| given.is_empty()) {
            return None;
        }
        let stays = |trigger: &&Value| {
            kinds.iter().any(|(kind, given)| given.is_empty() && trigger.get(kind).is_some())
        };
        let before = current.get("triggers").and_then(Value::as_array).into_iter().flatten();
        let mut triggers: Vec<Value> = before.filter(stays).cloned().collect();
        for (kind, given) in kinds {
            for (text, number) in given.iter().zip(1..) {
                triggers.push(json!({"name": format!("{kind}-{number}"), kind: text}));
            }
        }
        Some(triggers.into())
    }
}

/// `NAME=VALUE` sets, `NAME` or `NAME=` removes.
fn pairs_or_removals(pairs: &[String]) -> Value {
    let pairs = pairs.iter().map(|pair| match pair.split_once('=') {
        Some((name, value)) if !value.is_empty() => (name.to_owned(), Value::from(value)),
        Some((name, _)) => (name.to_owned(), Value::Null),
        None => (pair.clone(), Value::Null),
    });
    Value::Object(pairs.collect())
}

fn who(text: &str) -> Value {
    match text {
        "anyone" | "authenticated" => Value::from(text),
        roles => json!({"roles": roles.split(',').map(str::trim).collect::<Vec<_>>()}),
    }
}

/// The grants with some given and some taken away.
pub(super) fn grants(current: &Value, given: &[String], taken: &[String]) -> Outcome<Value> {
    let mut grants = current.get("grants").cloned().unwrap_or_else(|| json!({}));
    for (text, give) in given.iter().map(|text| (text, true)).chain(taken.iter().map(|text| (text, false))) {
        match text.split_once('=') {
            None if matches!(text.as_str(), "secrets" | "flags") => document::set(&mut grants, text, give),
            Some((kind @ ("outbound" | "keyvalue" | "publish"), of)) => change(&mut grants, kind, (of, give)),
            Some(("bucket" | "buckets", of)) => change(&mut grants, "buckets", (of, give)),
            _ => {
                return Err(Failure::usage(format!("`{text}` is no grant")).hint(
                    "write `secrets`, `flags`, `outbound=https://host`, `keyvalue=NAME`, `bucket=NAME` or \
                     `publish=SUBJECT`",
                ));
            }
        }
    }
    Ok(grants)
}

fn change(grants: &mut Value, kind: &str, (of, give): (&str, bool)) {
    let before = grants.get(kind).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut after: Vec<Value> = before.into_iter().filter(|one| one != of).collect();
    if give {
        after.push(of.into());
    }
    document::set(grants, kind, after);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_are_given_and_taken_one_by_one() {
        let current = json!({"grants": {"flags": true, "outbound": ["https://a.example.com"]}});
        let given = ["secrets".to_owned(), "outbound=https://b.example.com".to_owned()];
        let taken = ["outbound=https://a.example.com".to_owned(), "flags".to_owned()];
        assert_eq!(
            grants(&current, &given, &taken).unwrap(),
            json!({"flags": false, "secrets": true, "outbound": ["https://b.example.com"]})
        );
        assert!(grants(&current, &["everything".to_owned()], &[]).is_err());
    }

    #[test]
    fn triggers_of_one_kind_leave_the_others_alone() {
        let current =
            json!({"triggers": [{"name": "a", "subject": "x"}, {"name": "b", "schedule": "* * * * *"}]});
        let args = SetArgs { schedules: vec!["0 3 * * *".into()], ..SetArgs::default() };
        assert_eq!(
            args.patch(&current).unwrap(),
            json!({"triggers": [{"name": "a", "subject": "x"}, {"name": "schedule-1", "schedule": "0 3 * * *"}]})
        );
    }

    #[test]
    fn a_variable_without_a_value_is_removed() {
        assert_eq!(
            pairs_or_removals(&["A=1".into(), "B=".into(), "C".into()]),
            json!({"A": "1", "B": null, "C": null})
        );
    }

    #[test]
    fn nothing_to_change_says_so() {
        assert!(SetArgs::default().patch(&json!({"name": "x"})).is_err());
        assert_eq!(SetArgs::default().patch(&Value::Null).unwrap(), json!({}));
    }
}
