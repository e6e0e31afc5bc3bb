//! Reading and changing routes: the use cases behind the API and the command line.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    buckets::{Act, Action, Visitor, may},
    caller::Caller,
    catalog::{Document, Expect, Kind, Page},
    documents::{DocumentKind, Documents},
    engine::{Fault, ValueKind},
    feed::Feed,
    flags::Asked,
    gateway::{AddressPolicy, CompiledRoute, Route},
    permissions::Permission,
    refusal::{Class, Precondition, Refusal},
    snapshot::{EnvironmentSnapshot, Snapshot},
};

static ROUTE: DocumentKind = DocumentKind {
    kind: Kind::Route,
    noun: "route",
    read: Permission::RouteRead,
    create: Permission::RouteWrite,
    update: Permission::RouteWrite,
    delete: Permission::RouteWrite,
    missing: not_found,
};

/// Reads and changes gateway routes.
pub struct Routes {
    pub(super) feed: Arc<Feed>,
    documents: Documents,
    addresses: AddressPolicy,
}

/// A route that was registered, and how.
#[derive(Debug)]
pub struct Registered {
    /// As stored.
    pub document: Document,
    /// Whether it is new; the first API's form replaces a route of the same pattern.
    pub new: bool,
}

impl Routes {
    /// Routes kept in `feed`'s catalog, with upstreams where `addresses` allows.
    pub fn new(feed: Arc<Feed>, addresses: AddressPolicy) -> Self {
        Self { documents: Documents::new(Arc::clone(&feed), &ROUTE), feed, addresses }
    }

    /// Routes of an environment, by id.
    pub async fn list(
        &self,
        caller: &Caller,
        environment: &str,
        page: Page,
    ) -> Result<Vec<Document>, Refusal> {
        self.documents.list(caller, environment, page).await
    }

    /// One route.
    pub async fn get(&self, caller: &Caller, environment: &str, id: &str) -> Result<Document, Refusal> {
        self.documents.get(caller, environment, id).await
    }

    /// Makes a route. A body that says `pattern` (the first API's form) replaces the route of that pattern; otherwise
    /// a route that takes the same requests, or has the same id, is a conflict.
    pub async fn register(&self, asked: Asked<'_>, body: &Value) -> Result<Registered, Refusal> {
        self.feed.permitted(asked.caller, asked.environment, Permission::RouteWrite)?;
        let mut route = Route::from_json(body, self.addresses).map_err(Refusal::invalid)?;
        let edit = self.feed.edit().await;
        let snapshot = self.feed.snapshots().get();
        let environment = snapshot.require_environment(asked.environment)?;
        let by_pattern = body.get("pattern").is_some() && body.get("path").is_none();
        let twin = twin(environment, &route);
        match twin {
            Some(twin) if by_pattern => route.id = twin.route.id.clone(),
            Some(twin) => return Err(exists(&twin.route)),
            None if route.id.is_empty() => route.id = self.feed.random().hex(16),
            None if environment.routes.route(&route.id).is_some() => return Err(taken(&route.id)),
            None => {}
        }
        check_flag(environment, &route)?;
        check_buckets(&snapshot, environment, asked, &route)?;
        let current = self.documents.current(asked.environment, &route.id).await?;
        let expect = current.map_or(Expect::Absent, |document| Expect::At(document.revision));
        let document = self.documents.store(&edit, asked, (&route.id, route.to_json()), expect).await?;
        Ok(Registered { document, new: expect == Expect::Absent })
    }

    /// Replaces a route, or makes it. Returns it and whether it is new.
    pub async fn put(
        &self,
        asked: Asked<'_>,
        id: &str,
        mut body: Value,
        seen: Precondition,
    ) -> Result<Registered, Refusal> {
        self.feed.permitted(asked.caller, asked.environment, Permission::RouteWrite)?;
        identify(&mut body, id)?;
        let route = Route::from_json(&body, self.addresses).map_err(Refusal::invalid)?;
        let fits = |environment: &EnvironmentSnapshot| match twin(environment, &route) {
            Some(twin) if *twin.id != *id => Err(exists(&twin.route)),
            _ => {
                check_flag(environment, &route)?;
                check_buckets(&self.feed.snapshots().get(), environment, asked, &route)
            }
        };
        let (document, new) = self.documents.put(asked, (id, route.to_json()), seen, fits).await?;
        Ok(Registered { document, new })
    }

    /// Removes a route.
    pub async fn delete(&self, asked: Asked<'_>, id: &str, seen: Precondition) -> Result<(), Refusal> {
        self.documents.delete(asked, id, seen, |_| Ok(())).await
    }
}

fn not_found(environment: &EnvironmentSnapshot, id: &str) -> Refusal {
    let message = format!("route not found: `{id}` in environment `{}`", environment.definition.key);
    Refusal::not_found("route_not_found", message)
}

/// A route as it is shown: as stored, its pattern in the first API's form, and what the catalog knows of it.
pub fn view(document: &Document) -> Value {
    let mut body = document.body.clone();
    let pattern = serde_json::from_value::<Route>(body.clone()).map(|route| route.pattern());
    if let (Some(members), Ok(pattern)) = (body.as_object_mut(), pattern) {
        members.insert("pattern".to_owned(), pattern.into());
        members.insert("environment".to_owned(), json!(document.id.environment));
        members.insert("revision".to_owned(), document.revision.into());
        members.insert("created_at".to_owned(), json!(document.created_at));
        members.insert("updated_at".to_owned(), json!(document.updated_at));
    }
    body
}

fn twin<'s>(environment: &'s EnvironmentSnapshot, route: &Route) -> Option<&'s Arc<CompiledRoute>> {
    environment.routes.routes().find(|other| other.route.takes_same(route))
}

fn exists(twin: &Route) -> Refusal {
    Refusal::new(
        Class::Conflict,
        "route_exists",
        format!("route `{}` takes the same requests already; change it, or narrow this one", twin.id),
    )
}

fn taken(id: &str) -> Refusal {
    let message = format!("route `{id}` exists already; change it, or leave the id out");
    Refusal::new(Class::Conflict, "route_exists", message)
}

/// Puts the id of the address into the body; refuses a body that says another.
fn identify(body: &mut Value, id: &str) -> Result<(), Refusal> {
    let Some(members) = body.as_object_mut() else {
        return Err(Refusal::fault("", "expected an object, the route"));
    };
    match members.get("id").and_then(Value::as_str) {
        Some(said) if said != id => Err(Refusal::fault(
            "/id",
            format!("the body says `{said}`, the address `{id}`; an id cannot be changed"),
        )),
        _ => {
            members.insert("id".to_owned(), id.into());
            Ok(())
        }
    }
}

/// A route can only lead to functions that exist, and to versions that they have.
fn check_functions(environment: &EnvironmentSnapshot, route: &Route) -> Result<(), Refusal> {
    for target in route.functions() {
        let place = &environment.definition.key;
        let Some(function) = environment.functions.get(&target.name) else {
            let names = environment.functions.keys().map(|name| &**name);
            let hint = nearest(&target.name, names)
                .map_or_else(|| "deploy it first".to_owned(), |near| format!("did you mean `{near}`?"));
            let message =
                format!("function `{}` does not exist in environment `{place}`; {hint}", target.name);
            return Err(Refusal::fault("/function", message));
        };
        if let Some(number) = target.version.filter(|number| function.version(*number).is_none()) {
            let known: Vec<_> = function.versions().iter().map(|it| it.version.to_string()).collect();
            let message =
                format!("function `{}` has no version {number}; it has {}", target.name, known.join(", "));
            return Err(Refusal::fault("/function", message));
        }
    }
    Ok(())
}

/// A route can only lead to buckets that exist, and only whoever may read a release can put it before others.
fn check_buckets(
    snapshot: &Snapshot,
    environment: &EnvironmentSnapshot,
    asked: Asked<'_>,
    route: &Route,
) -> Result<(), Refusal> {
    for target in route.buckets() {
        let place = &environment.definition.key;
        let Some(bucket) = environment.buckets.get(&target.name) else {
            let names = environment.buckets.keys().map(|name| &**name);
            let hint = nearest(&target.name, names)
                .map_or_else(|| "create it first".to_owned(), |near| format!("did you mean `{near}`?"));
            let message = format!("bucket `{}` does not exist in environment `{place}`; {hint}", target.name);
            return Err(Refusal::fault("/bucket", message));
        };
        may(snapshot, bucket, &Visitor::from(asked), Act::new(Action::GetObject, &target.prefix))?;
    }
    Ok(())
}

/// A route can only ask a flag that exists, for variants that it has.
fn check_flag(environment: &EnvironmentSnapshot, route: &Route) -> Result<(), Refusal> {
    check_functions(environment, route)?;
    let Some(key) = &route.flag_key else {
        return Ok(());
    };
    let Some(flag) = environment.rules.flag(key) else {
        let keys = environment.rules.flags().take(10_000).map(|flag| &**flag.key());
        let hint = nearest(key, keys)
            .map_or_else(|| "create it first".to_owned(), |near| format!("did you mean `{near}`?"));
        let place = &environment.definition.key;
        let message = format!("flag `{key}` does not exist in environment `{place}`; {hint}");
        return Err(Refusal::fault("/flag_key", message));
    };
    let unknown = route.variants.keys().filter(|variant| flag.variant(variant).is_none());
    let mut faults: Vec<Fault> = unknown
        .map(|variant| {
            let known: Vec<_> = flag.variants().map(|v| format!("`{}`", v.name)).collect();
            let message = format!("flag `{key}` has no variant `{variant}`; it has {}", known.join(", "));
            Fault::new(format!("/variants/{}", variant.replace('~', "~0").replace('/', "~1")), message)
        })
        .collect();
    let boolean = flag.kind() == ValueKind::Boolean;
    let own = !route.backend_url.is_empty() || route.function.is_some() || route.bucket.is_some();
    if faults.is_empty() && !own && !boolean {
        let left = flag.variants().filter(|v| !route.variants.contains_key(&*v.name));
        faults.extend(left.take(1).map(|variant| {
            let message = format!("variant `{}` of flag `{key}` goes nowhere; give it an upstream in `variants`, or set `backend_url`", variant.name);
            Fault::new("/variants", message)
        }));
    }
    if faults.is_empty() { Ok(()) } else { Err(Refusal::invalid(faults)) }
}

/// The known name that `given` was most likely meant to be.
pub(crate) fn nearest<'k>(given: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    known
        .map(|name| (strsim::jaro_winkler(given, name), name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, name)| name)
}
