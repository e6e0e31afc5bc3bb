//! The life of a function: the use cases behind the API, the command line and the console.

mod alias;
mod deploy;
mod invoke;
mod promote;
mod sweep;

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::{RwLock, Semaphore};

use super::{Definition, Digest, LogLine, LogsAsked, Runner, VersionCalls, code_name};
use crate::{
    blobs::{BlobError, Blobs, Reading},
    caller::Caller,
    catalog::{Document, Draft, Expect, Kind, Page, Write},
    documents::{DocumentKind, Documents},
    feed::{Edit, Feed},
    flags::{Asked, merge},
    gateway::nearest,
    permissions::Permission,
    refusal::{Class, Precondition, Refusal},
    snapshot::EnvironmentSnapshot,
};

use alias::Alias;
pub use deploy::{Deployment, Upload};
pub use invoke::{Invocation, Invoked, Outcome};

/// Deployments at once: each holds its code in memory, and has it built.
const MOST_DEPLOYMENTS: usize = 8;

/// Log lines of one answer, at most.
const MOST_LINES: usize = 1000;

static FUNCTION: DocumentKind = DocumentKind {
    kind: Kind::Function,
    noun: "function",
    read: Permission::FunctionRead,
    create: Permission::FunctionWrite,
    update: Permission::FunctionWrite,
    delete: Permission::FunctionWrite,
    missing: not_found,
};

/// Deploys, promotes, changes, calls and deletes functions.
pub struct Functions {
    feed: Arc<Feed>,
    documents: Documents,
    blobs: Arc<dyn Blobs>,
    runner: Arc<Runner>,
    most_code: u64,
    /// Held for reading from the moment code is stored until a document names it, and for writing while code that no
    /// document names is swept away.
    storing: RwLock<()>,
    deploying: Semaphore,
}

/// What [`Functions`] need.
pub struct FunctionsParts {
    /// Where functions are kept.
    pub feed: Arc<Feed>,
    /// Where their code is kept.
    pub blobs: Arc<dyn Blobs>,
    /// Runs them.
    pub runner: Arc<Runner>,
    /// The largest code, in bytes.
    pub most_code: u64,
}

/// The code of a version, to be downloaded.
pub struct Download {
    /// The name of the file as it was uploaded; may be empty.
    pub file: String,
    /// Its digest.
    pub digest: Digest,
    /// Its bytes.
    pub reading: Reading,
}

impl Functions {
    /// Functions made of `parts`.
    pub fn new(parts: FunctionsParts) -> Self {
        let FunctionsParts { feed, blobs, runner, most_code } = parts;
        let documents = Documents::new(Arc::clone(&feed), &FUNCTION);
        let (storing, deploying) = (RwLock::default(), Semaphore::new(MOST_DEPLOYMENTS));
        Self { feed, documents, blobs, runner, most_code, storing, deploying }
    }

    /// Functions of an environment, by name.
    pub async fn list(
        &self,
        caller: &Caller,
        environment: &str,
        page: Page,
    ) -> Result<Vec<Document>, Refusal> {
        self.documents.list(caller, environment, page).await
    }

    /// One function.
    pub async fn get(&self, caller: &Caller, environment: &str, name: &str) -> Result<Document, Refusal> {
        self.documents.get(caller, environment, name).await
    }

    /// Replaces all settings of the function, or makes one that has no version yet. Returns it and whether it is new.
    pub async fn put(
        &self,
        asked: Asked<'_>,
        name: &str,
        body: &Value,
        seen: Precondition,
    ) -> Result<(Document, bool), Refusal> {
        self.change(asked, name, seen, &|before| {
            let base = before.cloned().unwrap_or_else(|| Definition::named(name));
            base.with_settings(body).map_err(Refusal::invalid)
        })
        .await
    }

    /// Merges `patch` into the function's settings (RFC 7396).
    pub async fn patch(
        &self,
        asked: Asked<'_>,
        name: &str,
        patch: &Value,
        seen: Precondition,
    ) -> Result<Document, Refusal> {
        self.feed.permitted(asked.caller, asked.environment, FUNCTION.update)?;
        self.documents.find(asked.environment, name).await?;
        let patched = |before: Option<&Definition>| {
            let base = before.cloned().unwrap_or_else(|| Definition::named(name));
            let mut body = Value::Object(base.settings_json());
            merge(&mut body, patch);
            base.with_settings(&body).map_err(Refusal::invalid)
        };
        self.change(asked, name, seen, &patched).await.map(|(document, _)| document)
    }

    /// Removes the function with all its versions, secrets and logs. Refused while a route leads to it.
    pub async fn delete(&self, asked: Asked<'_>, name: &str, seen: Precondition) -> Result<(), Refusal> {
        let unused = |environment: &EnvironmentSnapshot| {
            let leads = |target: crate::gateway::FunctionTarget| *target.name == *name;
            match environment.routes.routes().find(|route| route.route.functions().any(leads)) {
                Some(route) => Err(in_use(format!(
                    "route `{}` leads to function `{name}`; change the route, or delete it first",
                    route.id
                ))),
                None => Ok(()),
            }
        };
        self.documents.delete(asked, name, seen, unused).await?;
        self.runner.forget(asked.environment, name);
        Ok(())
    }

    /// The code of a version, as it was uploaded.
    pub async fn code(
        &self,
        caller: &Caller,
        environment: &str,
        (name, number): (&str, u32),
    ) -> Result<Download, Refusal> {
        let document = self.get(caller, environment, name).await?;
        let definition = definition(&document)?;
        let version = definition.version(number).ok_or_else(|| no_version(&definition, number))?;
        let reading = self.blobs.get(&code_name(&version.digest), None).await.map_err(of_blobs)?;
        let reading = reading.ok_or_else(|| lost(&definition.name, number))?;
        Ok(Download { file: version.file.clone(), digest: version.digest, reading })
    }

    /// The last lines of the function's log, oldest first.
    pub fn logs(
        &self,
        caller: &Caller,
        environment: &str,
        name: &str,
        (asked, limit): (LogsAsked<'_>, usize),
    ) -> Result<Vec<Arc<LogLine>>, Refusal> {
        self.readable(caller, environment, name)?;
        Ok(self.runner.logs().read(environment, name, asked, limit.min(MOST_LINES)))
    }

    /// Every line of the function's log from now on.
    pub fn follow(
        &self,
        caller: &Caller,
        environment: &str,
        name: &str,
    ) -> Result<tokio::sync::broadcast::Receiver<Arc<LogLine>>, Refusal> {
        self.readable(caller, environment, name)?;
        Ok(self.runner.logs().follow(environment, name))
    }

    /// Calls of the function on this node since it started, by version.
    pub fn metrics(
        &self,
        caller: &Caller,
        environment: &str,
        name: &str,
    ) -> Result<Vec<VersionCalls>, Refusal> {
        self.readable(caller, environment, name)?;
        Ok(self.runner.calls().of(environment, name))
    }

    /// What runs functions.
    pub fn runner(&self) -> &Arc<Runner> {
        &self.runner
    }

    fn readable(&self, caller: &Caller, environment: &str, name: &str) -> Result<(), Refusal> {
        let snapshot = self.feed.permitted(caller, environment, FUNCTION.read)?;
        let environment = snapshot.require_environment(environment)?;
        if environment.functions.contains_key(name) { Ok(()) } else { Err(not_found(environment, name)) }
    }

    /// Changes settings. Versions are checked against what is narrower than it was, outside of the turn to edit, because
    /// that takes time; when the function changed meanwhile, everything begins anew.
    async fn change(
        &self,
        asked: Asked<'_>,
        name: &str,
        seen: Precondition,
        next: &(dyn Fn(Option<&Definition>) -> Result<Definition, Refusal> + Send + Sync),
    ) -> Result<(Document, bool), Refusal> {
        self.feed.permitted(asked.caller, asked.environment, FUNCTION.update)?;
        loop {
            let before = self.documents.current(asked.environment, name).await?;
            let revision = before.as_ref().map(|document| document.revision);
            let expect = seen.expect(&self.documents.called(name), revision)?;
            let old = before.as_ref().map(definition).transpose()?;
            let next = next(old.as_ref())?;
            if let Some(old) = &old {
                self.recheck(old, &next).await?;
            }
            let edit = self.feed.edit().await;
            let now = self.documents.current(asked.environment, name).await?;
            if now.map(|document| document.revision) != revision {
                continue;
            }
            let snapshot = self.feed.permitted(asked.caller, asked.environment, FUNCTION.update)?;
            check_flag(snapshot.require_environment(asked.environment)?, old.as_ref(), &next)?;
            let document = self.documents.store(&edit, asked, (name, next.to_json()), expect).await?;
            return Ok((document, expect == Expect::Absent));
        }
    }

    /// What became of a function, as a change to be stored.
    fn drafted(
        &self,
        environment: &str,
        (definition, expect): (&Definition, Expect),
        (verb, detail): (&'static str, Value),
    ) -> Draft {
        let body = definition.to_json();
        Draft { verb, detail, ..self.documents.draft(environment, (&definition.name, body), expect) }
    }

    /// Stores what became of the function called `name`, and of its flag, in the caller's turn to edit.
    async fn store(
        &self,
        edit: &Edit<'_>,
        asked: Asked<'_>,
        name: &str,
        drafts: Vec<Draft>,
    ) -> Result<Document, Refusal> {
        edit.commit(asked.caller.actor(), asked.reason, drafts).await?;
        self.documents.find(asked.environment, name).await
    }

    /// Removes a version that nothing names any more.
    pub async fn delete_version(
        &self,
        asked: Asked<'_>,
        (name, number): (&str, u32),
        seen: Precondition,
    ) -> Result<Document, Refusal> {
        self.feed.permitted(asked.caller, asked.environment, FUNCTION.delete)?;
        let edit = self.feed.edit().await;
        let current = self.documents.find(asked.environment, name).await?;
        let expect = seen.expect(&self.documents.called(name), Some(current.revision))?;
        let mut definition = definition(&current)?;
        let version = definition.version(number).ok_or_else(|| no_version(&definition, number))?;
        let detail = json!({"version": number, "digest": version.digest});
        let snapshot = self.feed.snapshots().get();
        let environment = snapshot.require_environment(asked.environment)?;
        let alias = self.alias(environment, &definition).await?;
        if let Some(why) = needed(environment, &definition, alias.as_ref(), number) {
            return Err(in_use(why));
        }
        definition.forget(number);
        let flag = alias.and_then(|alias| alias.follow(environment, &definition, None));
        let draft = Draft {
            id: current.id,
            verb: "updated",
            expect,
            write: Write::Put(definition.to_json()),
            detail,
        };
        let drafts = std::iter::once(draft).chain(flag).collect();
        edit.commit(asked.caller.actor(), asked.reason, drafts).await?;
        self.documents.find(asked.environment, name).await
    }
}

/// The function as it is shown: as stored, and what the catalog knows of it. (`environment` are its variables.)
pub fn view(document: &Document) -> Value {
    let mut body = document.body.clone();
    if let Some(members) = body.as_object_mut() {
        members.insert("revision".to_owned(), document.revision.into());
        members.insert("created_at".to_owned(), json!(document.created_at));
        members.insert("updated_at".to_owned(), json!(document.updated_at));
    }
    body
}

/// There is no such function; names one that is nearly called so.
pub fn not_found(environment: &EnvironmentSnapshot, name: &str) -> Refusal {
    let near = nearest(name, environment.functions.keys().map(|name| &**name));
    let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    let place = &environment.definition.key;
    Refusal::not_found(
        "function_not_found",
        format!("function `{name}` not found in environment `{place}`{hint}"),
    )
}

/// There is no such version; names those there are.
fn no_version(definition: &Definition, number: u32) -> Refusal {
    let name = &definition.name;
    let mut known: Vec<_> =
        definition.versions.iter().rev().take(10).map(|it| it.number.to_string()).collect();
    known.reverse();
    let known = if known.is_empty() {
        "it has none; deploy one first".to_owned()
    } else {
        format!("it has {}", known.join(", "))
    };
    Refusal::not_found("version_not_found", format!("function `{name}` has no version {number}; {known}"))
}

fn lost(name: &str, number: u32) -> Refusal {
    let message =
        format!("the code of version {number} of function `{name}` is not there any more; deploy it again");
    Refusal::new(Class::Internal, "code_lost", message)
}

fn definition(document: &Document) -> Result<Definition, Refusal> {
    Definition::from_stored(&document.body).map_err(|faults| {
        let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
        Refusal::corrupt(faults.join("; ").into())
    })
}

fn in_use(why: String) -> Refusal {
    Refusal::new(Class::Conflict, "function_in_use", why)
}

/// Why a version must stay: it is current, or a flag or a route names it.
fn needed(
    environment: &EnvironmentSnapshot,
    definition: &Definition,
    alias: Option<&Alias>,
    number: u32,
) -> Option<String> {
    let name = &definition.name;
    if definition.current == Some(number) {
        return Some(format!(
            "version {number} is the current one of function `{name}`; promote another one first"
        ));
    }
    if let Some((alias, variant)) = alias.and_then(|alias| Some((alias, alias.keeps(number)?))) {
        return Some(format!(
            "variant `{variant}` of flag `{}` names version {number} of function `{name}`; change the flag first",
            alias.key()
        ));
    }
    let names =
        |target: crate::gateway::FunctionTarget| *target.name == **name && target.version == Some(number);
    let mut routes = environment.routes.routes();
    let route = routes.find(|route| route.route.functions().any(names))?;
    Some(format!(
        "route `{}` leads to version {number} of function `{name}`; change the route first",
        route.id
    ))
}

/// A function can only ask a flag that exists. A flag that went away since does not keep its other settings from being
/// changed.
fn check_flag(
    environment: &EnvironmentSnapshot,
    old: Option<&Definition>,
    next: &Definition,
) -> Result<(), Refusal> {
    let Some(key) = &next.flag_key else { return Ok(()) };
    let known = old.is_some_and(|old| old.flag_key.as_ref() == Some(key));
    if known || environment.rules.flag(key).is_some() {
        return Ok(());
    }
    let keys = environment.rules.flags().take(10_000).map(|flag| &**flag.key());
    let hint = nearest(key, keys)
        .map_or_else(|| "create it first".to_owned(), |near| format!("did you mean `{near}`?"));
    let place = &environment.definition.key;
    Err(Refusal::fault("/flag_key", format!("flag `{key}` does not exist in environment `{place}`; {hint}")))
}

fn of_blobs(error: BlobError) -> Refusal {
    match error {
        BlobError::Full => Refusal::new(
            Class::Unavailable,
            "storage_full",
            "there is no room left to store code; free some and try again",
        ),
        BlobError::Source(fault) => Refusal::new(Class::Malformed, "bad_body", fault.to_string()),
        BlobError::Unavailable(source) => Refusal::unavailable(source),
    }
}
