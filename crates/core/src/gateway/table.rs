//! All routes of an environment, arranged for matching.

use std::{
    hash::{BuildHasher, Hash},
    sync::{Arc, OnceLock},
};

use hashbrown::HashMap;
use http::{HeaderMap, Method};

use crate::{
    catalog::Revision,
    gateway::{CompiledRoute, Route},
};

/// So many parts share what an edit leaves alone: an edit copies one of them.
const PARTS: usize = 64;

/// All routes of an environment. Never changes: an edit gives a new one that shares what was not edited.
#[derive(Debug)]
pub struct RouteTable {
    parts: Box<[Arc<Vec<Arc<CompiledRoute>>>]>,
    /// Made when it is first asked for, so that loading many routes stays linear.
    index: OnceLock<Index>,
}

/// What a request matches.
#[derive(Debug)]
pub enum Found<'t> {
    /// This route.
    Route(&'t Arc<CompiledRoute>),
    /// Routes of this path, but none for its method; those they take, upper case, sorted.
    WrongMethod(Vec<String>),
    /// Nothing.
    Nothing,
}

#[derive(Debug, Default)]
struct Index {
    hosts: HashMap<Box<str>, Paths, foldhash::fast::FixedState>,
    any_host: Paths,
}

#[derive(Debug, Default)]
struct Paths {
    exact: HashMap<Box<str>, Vec<Arc<CompiledRoute>>, foldhash::fast::FixedState>,
    prefixes: HashMap<Box<str>, Vec<Arc<CompiledRoute>>, foldhash::fast::FixedState>,
    /// The lengths that prefixes have, longest first.
    lengths: Vec<usize>,
}

impl Default for RouteTable {
    fn default() -> Self {
        Self { parts: (0..PARTS).map(|_| Arc::default()).collect(), index: OnceLock::new() }
    }
}

impl RouteTable {
    /// This table with route `id` replaced, or removed when `None`.
    #[must_use]
    pub fn with(&self, id: &str, route: Option<Route>, revision: Revision) -> Self {
        let compiled = route.and_then(|route| {
            let compiled = CompiledRoute::new(route, revision);
            if compiled.is_none() {
                tracing::error!(route = id, "left out: route `{id}` makes no sense");
            }
            compiled
        });
        let mut parts = self.parts.clone();
        if let Some(part) = parts.get_mut(part_of(id)) {
            let others = part.iter().filter(|other| *other.id != *id).cloned();
            *part = Arc::new(others.chain(compiled.map(Arc::new)).collect());
        }
        Self { parts, index: OnceLock::new() }
    }

    /// All routes, in no particular order.
    pub fn routes(&self) -> impl Iterator<Item = &Arc<CompiledRoute>> {
        self.parts.iter().flat_map(|part| part.iter())
    }

    /// The route of this id.
    pub fn route(&self, id: &str) -> Option<&Arc<CompiledRoute>> {
        self.parts.get(part_of(id))?.iter().find(|route| *route.id == *id)
    }

    /// Whether there is no route.
    pub fn is_empty(&self) -> bool {
        self.parts.iter().all(|part| part.is_empty())
    }

    /// The route a request takes: by host, then exact path, then longest prefix, then headers and method. `host` is
    /// lower case and without port, `path` is clean.
    pub fn find(&self, host: &str, path: &str, method: &Method, headers: &HeaderMap) -> Found<'_> {
        let index = self.index.get_or_init(|| Index::of(self));
        let mut allowed = Vec::new();
        let own = if index.hosts.is_empty() { None } else { index.hosts.get(host) };
        for paths in own.into_iter().chain([&index.any_host]) {
            for candidates in paths.candidates(path) {
                for route in candidates.iter().filter(|route| route.takes_headers(headers)) {
                    if route.route.takes_method(method.as_str()) {
                        return Found::Route(route);
                    }
                    allowed.extend(route.route.methods.iter().cloned());
                }
            }
        }
        if allowed.is_empty() {
            return Found::Nothing;
        }
        allowed.sort();
        allowed.dedup();
        Found::WrongMethod(allowed)
    }
}

impl Index {
    fn of(table: &RouteTable) -> Self {
        let mut index = Self::default();
        for route in table.routes() {
            let paths = match &route.route.host {
                Some(host) => index.hosts.entry(host.as_str().into()).or_default(),
                None => &mut index.any_host,
            };
            paths.add(route);
        }
        for paths in index.hosts.values_mut().chain([&mut index.any_host]) {
            paths.arrange();
        }
        index
    }
}

impl Paths {
    fn add(&mut self, route: &Arc<CompiledRoute>) {
        let path = route.route.path.as_str();
        let map = if route.is_prefix() { &mut self.prefixes } else { &mut self.exact };
        map.entry(path.into()).or_default().push(Arc::clone(route));
    }

    fn arrange(&mut self) {
        for routes in self.exact.values_mut().chain(self.prefixes.values_mut()) {
            routes.sort_by(|left, right| left.rank().cmp(&right.rank()));
        }
        self.lengths = self.prefixes.keys().map(|prefix| prefix.len()).collect();
        self.lengths.sort_unstable_by(|left, right| right.cmp(left));
        self.lengths.dedup();
    }

    /// Routes whose path matches, the best first.
    fn candidates<'t, 'p>(
        &'t self,
        path: &'p str,
    ) -> impl Iterator<Item = &'t Vec<Arc<CompiledRoute>>> + use<'t, 'p> {
        let prefixes = self.lengths.iter().filter_map(move |&length| {
            let prefix = path.get(..length)?;
            let whole = matches!(path.as_bytes().get(length), None | Some(b'/')) || prefix == "/";
            if whole { self.prefixes.get(prefix) } else { None }
        });
        self.exact.get(path).into_iter().chain(prefixes)
    }
}

fn part_of(id: &str) -> usize {
    let mut hasher = foldhash::fast::FixedState::default().build_hasher();
    id.hash(&mut hasher);
    usize::try_from(std::hash::Hasher::finish(&hasher) % PARTS as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests;
