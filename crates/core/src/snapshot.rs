//! The snapshot: everything the request path reads, compiled, immutable, swapped as a whole.

use std::sync::Arc;

use arc_swap::ArcSwap;
use flagbase_engine::{Attributes, Flag, Ruleset, Segment, Slot};
use hashbrown::HashMap;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    buckets::Bucket,
    catalog::{Catalog, CatalogError, Change, Document, DocumentId, Kind, Revision},
    environments::Environment,
    functions::{CompiledFunction, Definition},
    gateway::{Route, RouteTable},
    guards::Guard,
    keys::ApiKey,
    refusal::Refusal,
    roles::Role,
    webhooks::{Endpoint, Webhook},
};

/// The environment of the seed's flat API.
pub const DEFAULT_ENVIRONMENT: &str = "default";

/// Everything the request path reads, at one revision.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The last change it contains.
    pub revision: Revision,
    environments: HashMap<Arc<str>, Arc<EnvironmentSnapshot>>,
    roles: HashMap<Arc<str>, Arc<Role>>,
    keys: HashMap<Arc<str>, Arc<ApiKey>>,
    webhooks: Arc<HashMap<DocumentId, Arc<Endpoint>>>,
}

/// One environment, compiled.
#[derive(Debug, Clone)]
pub struct EnvironmentSnapshot {
    /// Its key, shared with what is measured in it.
    pub key: Arc<str>,
    /// As stored.
    pub definition: Environment,
    /// Flags and segments.
    pub rules: Ruleset,
    /// Gateway routes.
    pub routes: Arc<RouteTable>,
    /// Guards, by key.
    pub guards: HashMap<Arc<str>, Arc<Guard>>,
    /// Functions, by name.
    pub functions: HashMap<Arc<str>, Arc<CompiledFunction>>,
    /// Buckets, by name; what is in them is not here.
    pub buckets: HashMap<Arc<str>, Arc<Bucket>>,
    /// Declared request headers (lower case) and the attributes they fill.
    pub headers: Box<[(Box<str>, Slot)]>,
}

impl Snapshot {
    /// The built-in roles and nothing else, before the first change.
    pub fn empty() -> Self {
        let roles = Role::built_in().map(|role| (Arc::from(role.key.as_str()), Arc::new(role)));
        Self {
            revision: 0,
            environments: HashMap::new(),
            roles: roles.into_iter().collect(),
            keys: HashMap::new(),
            webhooks: Arc::default(),
        }
    }

    /// The environment called `key`.
    pub fn environment(&self, key: &str) -> Option<&Arc<EnvironmentSnapshot>> {
        self.environments.get(key)
    }

    /// The environment called `key`, or a refusal that names those there are.
    pub fn require_environment(&self, key: &str) -> Result<&Arc<EnvironmentSnapshot>, Refusal> {
        self.environment(key).ok_or_else(|| {
            let mut known: Vec<_> = self.environments.keys().map(|key| format!("`{key}`")).collect();
            known.sort();
            Refusal::not_found(
                "environment_not_found",
                format!("environment `{key}` does not exist; there is {}", known.join(", ")),
            )
        })
    }

    /// All environments, in no order.
    pub fn environments(&self) -> impl Iterator<Item = &Arc<EnvironmentSnapshot>> {
        self.environments.values()
    }

    /// The role called `key`, built in or stored.
    pub fn role(&self, key: &str) -> Option<&Arc<Role>> {
        self.roles.get(key)
    }

    /// All roles, in no order.
    pub fn roles(&self) -> impl Iterator<Item = &Arc<Role>> {
        self.roles.values()
    }

    /// The API key with this id.
    pub fn key(&self, id: &str) -> Option<&Arc<ApiKey>> {
        self.keys.get(id)
    }

    /// All API keys, in no order.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<ApiKey>> {
        self.keys.values()
    }

    /// All webhook endpoints, in no order.
    pub fn webhooks(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.webhooks.values()
    }

    /// Reads the whole catalog. Documents that no longer make sense are logged and left out: one bad flag must not
    /// keep a node from starting.
    pub async fn load(catalog: &dyn Catalog) -> Result<Self, CatalogError> {
        let mut loading = Loading::default();
        let revision = catalog.scan(&mut |document| loading.take(document)).await?;
        Ok(loading.finish(revision))
    }

    /// This snapshot with `change` applied.
    #[must_use]
    pub fn apply(mut self, change: &Change) -> Self {
        self.revision = change.revision;
        let key = &change.id.key;
        // A notice: it left the document, if there is one, as it was.
        if change.before.is_none() && change.after.is_none() {
            return self;
        }
        match change.id.kind {
            // A new definition changes what every flag is compiled against: the feed loads the snapshot anew.
            Kind::Environment | Kind::User | Kind::Session => {}
            Kind::Role => apply_to(&mut self.roles, change, |role| {
                Role::built_in().into_iter().find(|built_in| built_in.key == role)
            }),
            Kind::ApiKey => apply_to(&mut self.keys, change, |_| None),
            Kind::Webhook => self.apply_webhook(change),
            Kind::Flag | Kind::Segment | Kind::Guard | Kind::Route | Kind::Function | Kind::Bucket => {
                if let Some(environment) = self.environments.get_mut(&change.id.environment) {
                    // In place when this clone is the only holder, a shallow copy otherwise.
                    Arc::make_mut(environment).apply(change);
                } else {
                    tracing::warn!(document = %change.id, "change in an unknown environment, key `{key}`");
                }
            }
        }
        self
    }
}

impl Snapshot {
    fn apply_webhook(&mut self, change: &Change) {
        let webhooks = Arc::make_mut(&mut self.webhooks);
        match change.after.as_ref().and_then(|body| read::<Webhook>(&change.id, body)) {
            Some(webhook) => {
                let endpoint = Endpoint::new(Arc::clone(&change.id.environment), webhook);
                drop(webhooks.insert(change.id.clone(), Arc::new(endpoint)));
            }
            None => drop(webhooks.remove(&change.id)),
        }
    }

    /// This snapshot with an environment more.
    #[cfg(test)]
    pub(crate) fn with_environment(mut self, environment: EnvironmentSnapshot) -> Self {
        drop(self.environments.insert(Arc::clone(&environment.key), Arc::new(environment)));
        self
    }

    /// This snapshot as it will be with `role` in place of what is called `key`; without one the built-in role, if any.
    #[must_use]
    pub(crate) fn with_role(mut self, key: &str, role: Option<Role>) -> Self {
        let built_in = || Role::built_in().into_iter().find(|built_in| built_in.key == key);
        match role.or_else(built_in) {
            Some(role) => drop(self.roles.insert(key.into(), Arc::new(role))),
            None => drop(self.roles.remove(key)),
        }
        self
    }
}

impl EnvironmentSnapshot {
    /// An environment without flags.
    pub fn new(definition: Environment) -> Self {
        let attributes = Arc::new(attributes_of(&definition));
        Self::with_rules(definition, Ruleset::new(attributes))
    }

    fn with_rules(definition: Environment, rules: Ruleset) -> Self {
        let headers = headers(&definition, rules.attributes());
        let key = definition.key.as_str().into();
        Self {
            key,
            definition,
            rules,
            routes: Arc::default(),
            guards: HashMap::new(),
            functions: HashMap::new(),
            buckets: HashMap::new(),
            headers,
        }
    }

    fn apply(&mut self, change: &Change) {
        let key = change.id.key.as_ref();
        match change.id.kind {
            Kind::Flag => {
                let next = match &change.after {
                    Some(body) => {
                        Flag::from_json(body).and_then(|flag| self.rules.put_flag(&flag, change.revision))
                    }
                    None => self.rules.remove_flag(key),
                };
                self.take_rules(&change.id, next);
            }
            Kind::Segment => {
                let next = match &change.after {
                    Some(body) => {
                        Segment::from_json(body).and_then(|segment| self.rules.put_segment(&segment))
                    }
                    None => self.rules.remove_segment(key),
                };
                self.take_rules(&change.id, next);
            }
            Kind::Guard => apply_to(&mut self.guards, change, |_| None),
            Kind::Route => {
                let route = change.after.as_ref().and_then(|body| read::<Route>(&change.id, body));
                self.routes = Arc::new(self.routes.with(key, route, change.revision));
            }
            Kind::Function => self.apply_function(change),
            Kind::Bucket => self.apply_bucket(change),
            _ => {}
        }
    }

    fn apply_function(&mut self, change: &Change) {
        let read = |body: &Value| {
            Definition::from_stored(body)
                .map_err(|faults| tracing::error!(document = %change.id, ?faults, "left out: {} makes no sense", change.id))
                .ok()
        };
        match change.after.as_ref().and_then(read) {
            Some(definition) => {
                let function = CompiledFunction::new(&self.key, &definition, change.revision);
                drop(self.functions.insert(Arc::clone(&change.id.key), Arc::new(function)));
            }
            None => drop(self.functions.remove(&change.id.key)),
        }
    }

    fn apply_bucket(&mut self, change: &Change) {
        let read = |body: &Value| {
            Bucket::from_stored(change.id.clone(), change.revision, body)
                .map_err(|error| tracing::error!(document = %change.id, %error, "left out: {} makes no sense", change.id))
                .ok()
        };
        match change.after.as_ref().and_then(read) {
            Some(bucket) => drop(self.buckets.insert(Arc::clone(&change.id.key), Arc::new(bucket))),
            None => drop(self.buckets.remove(&change.id.key)),
        }
    }

    fn take_rules(&mut self, id: &DocumentId, next: Result<Ruleset, Vec<flagbase_engine::Fault>>) {
        match next {
            Ok(rules) => self.rules = rules,
            Err(faults) => {
                tracing::error!(document = %id, ?faults, "left out: {id} makes no sense");
            }
        }
    }
}

fn apply_to<T: DeserializeOwned>(
    map: &mut HashMap<Arc<str>, Arc<T>>,
    change: &Change,
    fallback: impl Fn(&str) -> Option<T>,
) {
    let key = &change.id.key;
    let next = match &change.after {
        Some(body) => read::<T>(&change.id, body),
        None => fallback(key),
    };
    match next {
        Some(value) => drop(map.insert(Arc::clone(key), Arc::new(value))),
        None => drop(map.remove(key)),
    }
}

fn read<T: DeserializeOwned>(id: &DocumentId, body: &Value) -> Option<T> {
    T::deserialize(body)
        .map_err(|error| tracing::error!(document = %id, %error, "left out: {id} makes no sense"))
        .ok()
}

fn report(environment: &str, faults: &[(String, Vec<flagbase_engine::Fault>)]) {
    for (key, faults) in faults {
        tracing::error!(%environment, %key, ?faults, "left out: `{key}` makes no sense");
    }
}

fn attributes_of(definition: &Environment) -> Attributes {
    Attributes::new(definition.attributes.iter().map(|attribute| attribute.name.as_str()))
}

fn headers(definition: &Environment, attributes: &Attributes) -> Box<[(Box<str>, Slot)]> {
    let declared = definition.attributes.iter().filter_map(|attribute| {
        let header = attribute.header.as_ref()?.to_ascii_lowercase().into_boxed_str();
        Some((header, attributes.slot(&attribute.name)?))
    });
    declared.collect()
}

/// Documents on their way into a snapshot: flags and segments compile together, in any order.
#[derive(Default)]
struct Loading {
    definitions: Vec<Environment>,
    flags: HashMap<Arc<str>, Vec<(Flag, Revision)>>,
    segments: HashMap<Arc<str>, Vec<Segment>>,
    rest: Vec<Document>,
}

impl Loading {
    fn take(&mut self, document: Document) {
        let Document { id, revision, body, .. } = &document;
        let environment = Arc::clone(&id.environment);
        let faults = match id.kind {
            Kind::Environment => {
                self.definitions.extend(read::<Environment>(id, body));
                return;
            }
            Kind::Flag => match Flag::from_json(body) {
                Ok(flag) => {
                    self.flags.entry(environment).or_default().push((flag, *revision));
                    return;
                }
                Err(faults) => faults,
            },
            Kind::Segment => match Segment::from_json(body) {
                Ok(segment) => {
                    self.segments.entry(environment).or_default().push(segment);
                    return;
                }
                Err(faults) => faults,
            },
            _ => return self.rest.push(document),
        };
        report(&id.environment, &[(id.key.to_string(), faults)]);
    }

    fn finish(mut self, revision: Revision) -> Snapshot {
        let mut snapshot = Snapshot::empty();
        for definition in self.definitions {
            let key: Arc<str> = definition.key.as_str().into();
            let flags = self.flags.remove(&key).unwrap_or_default();
            let segments = self.segments.remove(&key).unwrap_or_default();
            let attributes = Arc::new(attributes_of(&definition));
            let (rules, faults) = Ruleset::load(attributes, segments.into_iter(), flags.into_iter());
            report(&key, &faults);
            snapshot.environments.insert(key, Arc::new(EnvironmentSnapshot::with_rules(definition, rules)));
        }
        for document in self.rest {
            snapshot = snapshot.apply(&Change::of_document(document));
        }
        snapshot.revision = revision;
        snapshot
    }
}

/// The current snapshot; reading it takes no lock.
#[derive(Debug)]
pub struct Snapshots {
    current: ArcSwap<Snapshot>,
}

impl Snapshots {
    /// Starts with `first`.
    pub fn new(first: Snapshot) -> Self {
        Self { current: ArcSwap::from_pointee(first) }
    }

    /// The current one, cheaply; hold it for one request at most.
    pub fn load(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.current.load()
    }

    /// The current one, to keep across awaits.
    pub fn get(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    pub(crate) fn swap(&self, next: Snapshot) {
        self.current.store(Arc::new(next));
    }
}
