//! Deploying: code becomes a version.
//!
//! The order is what makes a crash harmless: the code is durable before it is built, and built before anything names it.
//! Until the one commit at the end everything is as it was; what was stored for nothing is swept away later.

use serde_json::json;

use super::{Alias, Class, Functions, Refusal, definition, lost, needed, of_blobs};
use crate::{
    catalog::{Document, Expect},
    flags::Asked,
    functions::{
        Artifact, Body, BodyFault, Definition, MOST_VERSIONS, PrepareError, Prepared, Settings, Step,
        Version, code_name, is_function_name,
    },
    permissions::Permission,
    snapshot::EnvironmentSnapshot,
};

/// The longest name of a file, in bytes.
const LONGEST_FILE: usize = 255;

/// The longest note, in bytes.
const LONGEST_NOTE: usize = 1000;

/// What is to be deployed.
#[derive(Debug)]
pub struct Upload<'a> {
    /// The name of the file, such as `hello.js`; may be empty.
    pub file: &'a str,
    /// The code.
    pub code: Body,
    /// Whether it becomes the current version at once.
    pub promote: bool,
    /// What is to be said about it; may be empty.
    pub note: &'a str,
}

/// What became of it.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// The function.
    pub document: Document,
    /// Its new version.
    pub version: Version,
    /// Whether the function is new, too.
    pub new: bool,
}

/// Code that is stored and built, with the settings it was checked against.
struct Ready {
    artifact: Artifact,
    prepared: Prepared,
    settings: Settings,
}

impl Functions {
    /// Makes code a version of the function called `name`, and makes the function when there is none. `tell` hears of
    /// every step.
    pub async fn deploy(
        &self,
        asked: Asked<'_>,
        name: &str,
        upload: Upload<'_>,
        tell: &(dyn Fn(Step) + Send + Sync),
    ) -> Result<Deployment, Refusal> {
        self.feed.permitted(asked.caller, asked.environment, Permission::FunctionWrite)?;
        check(name, &upload)?;
        let Upload { file, code, promote, note } = upload;
        let _turn = self.deploying.acquire().await;
        let bytes = code.collect(self.most_code).await.map_err(|fault| bad_upload(&fault))?;
        if bytes.is_empty() {
            return Err(Refusal::fault("", "the file is empty; send the code as the body of the request"));
        }
        let artifact = Artifact::new(file, bytes);
        let _storing = self.storing.read().await;
        tell(Step { doing: "storing".to_owned(), percent: None });
        let parts = Body::Whole(artifact.bytes.clone()).into_stream();
        self.blobs.put(&code_name(&artifact.digest), parts).await.map_err(of_blobs)?;
        let mut settings = self.settings(asked.environment, name).await?;
        loop {
            let terms = (&settings.grants, &settings.limits);
            let prepared = self.runner.compute().prepare(&artifact, terms, tell).await.map_err(rejected)?;
            let ready = Ready { artifact: artifact.clone(), prepared, settings };
            match self.commit(asked, (name, note, promote), ready).await? {
                Ok(deployment) => return Ok(deployment),
                // Somebody changed what it may reach in the meantime: it is checked against that, too.
                Err(changed) => settings = changed,
            }
        }
    }

    /// Adds the version; gives back the settings when they are not those that the code was checked against.
    async fn commit(
        &self,
        asked: Asked<'_>,
        (name, note, promote): (&str, &str, bool),
        ready: Ready,
    ) -> Result<Result<Deployment, Settings>, Refusal> {
        let edit = self.feed.edit().await;
        let snapshot = self.feed.permitted(asked.caller, asked.environment, Permission::FunctionWrite)?;
        let current = self.documents.current(asked.environment, name).await?;
        let expect = current.as_ref().map_or(Expect::Absent, |document| Expect::At(document.revision));
        let mut function = match &current {
            Some(document) => definition(document)?,
            None => Definition::named(name),
        };
        if function.settings.grants != ready.settings.grants
            || function.settings.limits != ready.settings.limits
        {
            return Ok(Err(function.settings));
        }
        let version = self.version(asked, &function, note, ready);
        function.last_number = version.number;
        function.versions.push(version.clone());
        if promote {
            function.promote(version.number);
        }
        let environment = snapshot.require_environment(asked.environment)?;
        let alias = self.alias(environment, &function).await?;
        make_room(environment, &mut function, alias.as_ref(), version.number)?;
        let flag = alias.and_then(|alias| alias.follow(environment, &function, Some(version.number)));
        let new = expect == Expect::Absent;
        let detail = json!({"version": version.number, "digest": version.digest, "promoted": promote});
        let verb = if new { "created" } else { "deployed" };
        let draft = self.drafted(asked.environment, (&function, expect), (verb, detail));
        let drafts = std::iter::once(draft).chain(flag).collect();
        let document = self.store(&edit, asked, name, drafts).await?;
        Ok(Ok(Deployment { document, version, new }))
    }

    fn version(&self, asked: Asked<'_>, function: &Definition, note: &str, ready: Ready) -> Version {
        let Ready { artifact, prepared, .. } = ready;
        Version {
            number: function.last_number.saturating_add(1),
            digest: artifact.digest,
            shape: prepared.shape,
            size: artifact.bytes.len() as u64,
            file: artifact.name,
            serves: prepared.serves,
            imports: prepared.imports,
            created_at: self.feed.clock().now(),
            created_by: asked.caller.email.as_ref().to_owned(),
            note: note.to_owned(),
        }
    }

    async fn settings(&self, environment: &str, name: &str) -> Result<Settings, Refusal> {
        Ok(match self.documents.current(environment, name).await? {
            Some(document) => definition(&document)?.settings,
            None => Definition::named(name).settings,
        })
    }

    /// Checks every version against settings that allow less than they did.
    pub(super) async fn recheck(&self, old: &Definition, next: &Definition) -> Result<(), Refusal> {
        if !is_narrower(&old.settings, &next.settings) {
            return Ok(());
        }
        let mut checked = Vec::new();
        for version in &next.versions {
            if checked.contains(&version.digest) {
                continue;
            }
            let code = self.blobs.whole(&code_name(&version.digest), self.most_code.max(version.size)).await;
            let bytes = code.map_err(of_blobs)?.ok_or_else(|| lost(&next.name, version.number))?;
            let artifact = Artifact { name: version.file.clone(), bytes, digest: version.digest };
            let terms = (&next.settings.grants, &next.settings.limits);
            let prepared = self.runner.compute().prepare(&artifact, terms, &|_| {}).await;
            prepared.map_err(|error| match error {
                PrepareError::Unavailable(_) => rejected(error),
                error => Refusal::fault(
                    "/grants",
                    format!(
                        "version {} would not run any more: {error}; delete the version first, or leave it what it \
                         needs",
                        version.number
                    ),
                ),
            })?;
            checked.push(version.digest);
        }
        Ok(())
    }
}

/// Whether code that ran with `old` might not run with `next`. What is imported is granted or not as a whole; which
/// stores, buckets and addresses are meant is asked at each use.
fn is_narrower(old: &Settings, next: &Settings) -> bool {
    let lost = |old: &[String], next: &[String]| !old.is_empty() && next.is_empty();
    let (was, is) = (&old.grants, &next.grants);
    was.flags && !is.flags
        || was.secrets && !is.secrets
        || lost(&was.keyvalue, &is.keyvalue)
        || lost(&was.buckets, &is.buckets)
        || lost(&was.publish, &is.publish)
        || lost(&was.outbound, &is.outbound)
        || next.limits.memory < old.limits.memory
}

/// Drops the oldest version that nothing names when there are too many.
fn make_room(
    environment: &EnvironmentSnapshot,
    function: &mut Definition,
    alias: Option<&Alias>,
    fresh: u32,
) -> Result<(), Refusal> {
    while function.versions.len() > MOST_VERSIONS {
        let spare =
            |number: &u32| *number != fresh && needed(environment, function, alias, *number).is_none();
        let oldest = function.versions.iter().map(|version| version.number).find(spare);
        let Some(oldest) = oldest else {
            let message = format!(
                "function `{}` has {MOST_VERSIONS} versions, and flags or routes name all of them; let some of them go \
                 first",
                function.name
            );
            return Err(Refusal::new(Class::Conflict, "too_many_versions", message));
        };
        function.forget(oldest);
    }
    Ok(())
}

fn check(name: &str, upload: &Upload<'_>) -> Result<(), Refusal> {
    if !is_function_name(name) {
        let message = format!(
            "`{name}` cannot be the name of a function; use 1 to 63 lower-case letters, digits and `-`, not beginning \
             with `-`"
        );
        return Err(Refusal::fault("/name", message));
    }
    if upload.file.len() > LONGEST_FILE || upload.file.chars().any(|c| c.is_control() || c == '/') {
        return Err(Refusal::fault("/file", "is the name of a file, without directories, at most 255 bytes"));
    }
    if upload.note.len() > LONGEST_NOTE {
        return Err(Refusal::fault("/note", format!("at most {LONGEST_NOTE} bytes")));
    }
    Ok(())
}

fn bad_upload(fault: &BodyFault) -> Refusal {
    match fault {
        BodyFault::TooLarge(most) => Refusal::new(
            Class::Malformed,
            "body_too_large",
            format!("the code is larger than {most} bytes; set `functions.max_code` to allow more"),
        ),
        BodyFault::TooSlow | BodyFault::Broken(_) => {
            Refusal::new(Class::Malformed, "bad_body", fault.to_string())
        }
    }
}

fn rejected(error: PrepareError) -> Refusal {
    match error {
        PrepareError::Rejected(message) => Refusal::new(Class::Invalid, "code_rejected", message),
        PrepareError::TooMuch(message) => Refusal::new(Class::Invalid, "code_too_much", message),
        PrepareError::Unavailable(source) => Refusal::new(
            Class::Unavailable,
            "compute_unavailable",
            "the code cannot be built now; nothing was changed, try again later",
        )
        .because(source),
    }
}
