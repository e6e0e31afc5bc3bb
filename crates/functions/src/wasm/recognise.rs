//! What was uploaded: its shape, what it imports and exports, and whether it is small enough to be looked at closer.
//!
//! This only walks over sections; whether the code is valid is found out in the child process that compiles it.

mod caps;

use std::collections::BTreeSet;

use flagbase_core::functions::{Artifact, Grants, Limits, PrepareError, Serves, Shape};
use wasmparser::{Encoding, Parser, Payload};

use super::{javascript, linker::Terms};

/// What walking over the code told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recognised {
    /// What it is.
    pub(crate) shape: Shape,
    /// Interfaces that it imports, without versions; sorted.
    pub(crate) imports: Vec<String>,
    /// What it exports for.
    pub(crate) serves: Vec<Serves>,
    /// Bytes of memory that an instance begins with, as far as modules define it.
    pub(crate) memory: u64,
}

/// Looks at what was uploaded.
pub(crate) fn recognise(artifact: &Artifact) -> Result<Recognised, PrepareError> {
    let bytes = &artifact.bytes;
    if bytes.is_empty() {
        return Err(rejected("the file is empty"));
    }
    if Parser::is_component(bytes) || Parser::is_core_wasm(bytes) {
        return wasm(bytes);
    }
    if bytes.starts_with(b"\x7fELF") {
        return Err(rejected(
            "this is an executable for Linux, which needs `compute.driver: firecracker`; build for `wasm32-wasip1` instead",
        ));
    }
    if javascript::is_source(&artifact.name) && std::str::from_utf8(bytes).is_ok() {
        return Ok(Recognised {
            shape: Shape::JavaScript,
            imports: Vec::new(),
            serves: Vec::new(),
            memory: 0,
        });
    }
    Err(rejected(
        "this is neither WebAssembly nor a source called `*.js` or `*.ts`; upload a component, a WASI command, or JavaScript",
    ))
}

/// Looks at WebAssembly.
pub(crate) fn wasm(bytes: &[u8]) -> Result<Recognised, PrepareError> {
    let mut found = Found::default();
    let mut caps = caps::Caps::default();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(invalid)?;
        caps.count(&payload)?;
        match payload {
            Payload::Version { encoding, .. } => {
                depth += 1;
                if depth == 1 {
                    found.is_component = encoding == Encoding::Component;
                }
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            payload if depth == 1 => found.note(payload)?,
            _ => {}
        }
        caps::nested(depth)?;
    }
    let mut recognised = found.shape()?;
    recognised.memory = caps.memory();
    Ok(recognised)
}

/// Fails when an instance would begin with more memory than it may have.
pub(crate) fn fits(memory: u64, limits: &Limits) -> Result<(), PrepareError> {
    if memory <= limits.memory {
        return Ok(());
    }
    let most = limits.memory;
    Err(PrepareError::TooMuch(format!(
        "the code begins with {memory} bytes of memory, and it may have {most}; raise the function's limit `memory`"
    )))
}

#[derive(Default)]
struct Found {
    is_component: bool,
    imports: BTreeSet<String>,
    exports: BTreeSet<String>,
}

impl Found {
    fn note(&mut self, payload: Payload<'_>) -> Result<(), PrepareError> {
        match payload {
            Payload::ComponentImportSection(section) => {
                for import in section {
                    self.imports.insert(unversioned(import.map_err(invalid)?.name.name));
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section {
                    self.exports.insert(export.map_err(invalid)?.name.name.to_owned());
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    self.imports.insert(import.map_err(invalid)?.module.to_owned());
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    self.exports.insert(export.map_err(invalid)?.name.to_owned());
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn shape(self) -> Result<Recognised, PrepareError> {
        if !self.is_component {
            return self.command();
        }
        let has = |name: &str| self.exports.contains(name);
        let serves: Vec<_> = [
            ("flagbase:faas/handler@1.0.0", Serves::Requests),
            ("flagbase:faas/subscriber@1.0.0", Serves::Events),
            ("flagbase:faas/timer@1.0.0", Serves::Schedules),
        ]
        .into_iter()
        .filter(|(name, _)| has(name))
        .map(|(_, serves)| serves)
        .collect();
        let imports = self.imports.iter().cloned().collect();
        if !serves.is_empty() {
            return Ok(Recognised { shape: Shape::Component, imports, serves, memory: 0 });
        }
        if self.exports.iter().any(|name| name.starts_with("wasi:http/incoming-handler@0.2.")) {
            return Ok(Recognised { shape: Shape::Http, imports, serves: vec![Serves::Requests], memory: 0 });
        }
        if self.exports.iter().any(|name| name.starts_with("wasi:messaging/")) {
            return Err(rejected(
                "the component exports `wasi:messaging/incoming-handler`, which is not called here: events come to \
                 `flagbase:faas/subscriber@1.0.0`; `wasi:messaging` is for sending only",
            ));
        }
        let found = self.exports.into_iter().collect::<Vec<_>>().join("`, `");
        Err(rejected(&format!(
            "the component exports `{found}`; one of `flagbase:faas/handler@1.0.0`, `flagbase:faas/subscriber@1.0.0`, \
             `flagbase:faas/timer@1.0.0` and `wasi:http/incoming-handler@0.2` is needed"
        )))
    }

    fn command(self) -> Result<Recognised, PrepareError> {
        if let Some(other) = self.imports.iter().find(|module| *module != "wasi_snapshot_preview1") {
            return Err(rejected(&format!(
                "the module imports from `{other}`, which is not there; a WASI command imports from `wasi_snapshot_preview1` \
                 only"
            )));
        }
        if !self.exports.contains("_start") {
            return Err(rejected(
                "the module exports no `_start`, so it is no command; build for `wasm32-wasip1`, or make a component",
            ));
        }
        let imports = self.imports.into_iter().collect();
        Ok(Recognised { shape: Shape::Command, imports, serves: vec![Serves::Requests], memory: 0 })
    }
}

/// Fails for the first import that is not granted, and says what to grant.
pub(crate) fn check(imports: &[String], grants: &Grants) -> Result<(), PrepareError> {
    let terms = Terms::from(grants);
    for import in imports {
        if let Some((granted, how)) = needed(import, terms)
            && !granted
        {
            return Err(rejected(&format!(
                "the code imports `{import}`, which is not granted; add {how} to the function's grants, or take the import out"
            )));
        }
    }
    Ok(())
}

/// Whether what an interface needs is granted, and how it is written.
fn needed(import: &str, terms: Terms) -> Option<(bool, &'static str)> {
    let (package, interface) = import.split_once('/').unwrap_or((import, ""));
    let grant = match (package, interface) {
        ("flagbase:features", _) => (terms.flags, "`\"flags\": true`"),
        ("flagbase:faas", "keyvalue") | ("wasi:keyvalue", _) => {
            (terms.keyvalue, "`\"keyvalue\": [\"default\"]`")
        }
        ("flagbase:faas", "buckets") | ("wasi:blobstore", _) => {
            (terms.buckets, "`\"buckets\": [\"<bucket>\"]`")
        }
        ("flagbase:faas", "bus") | ("wasi:messaging", _) => (terms.publish, "`\"publish\": [\"<subject>\"]`"),
        ("flagbase:faas", "fetch") | ("wasi:http", "outgoing-handler") => {
            (terms.outbound, "`\"outbound\": [\"https://<host>\"]`")
        }
        ("flagbase:faas", "secrets") => (terms.secrets, "`\"secrets\": true`"),
        _ => return None,
    };
    Some(grant)
}

fn unversioned(name: &str) -> String {
    name.split_once('@').map_or(name, |(name, _)| name).to_owned()
}

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` hands it over")]
fn invalid(error: wasmparser::BinaryReaderError) -> PrepareError {
    rejected(&format!("this is no valid WebAssembly: {} (at byte {})", error.message(), error.offset()))
}

fn rejected(why: &str) -> PrepareError {
    PrepareError::Rejected(why.to_owned())
}

#[cfg(test)]
mod tests;
