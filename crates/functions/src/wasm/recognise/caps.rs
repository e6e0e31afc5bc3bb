//! How large code may be, in everything that makes compiling or instantiating it expensive.

use flagbase_core::functions::PrepareError;
use wasmparser::Payload;

/// Functions with a body, in all modules together.
const FUNCTIONS: u64 = 100_000;
/// One body, in bytes.
const BODY: u64 = 2 << 20;
/// Variables of one function, beside its parameters.
const LOCALS: u64 = 10_000;
/// Imports, exports, types, globals, data and element segments: of each, in all modules together.
const ITEMS: u64 = 100_000;
/// Modules and components inside a component.
const MODULES: u64 = 64;
/// A page of memory.
const PAGE: u64 = 64 << 10;
/// How deep they are nested.
const DEPTH: usize = 8;

/// Counts what is in the code.
#[derive(Default)]
pub(super) struct Caps {
    functions: u64,
    items: u64,
    modules: u64,
    memory: u64,
}

impl Caps {
    /// Counts what one payload brings; fails when there is too much of it.
    pub(super) fn count(&mut self, payload: &Payload<'_>) -> Result<(), PrepareError> {
        let items = match payload {
            Payload::CodeSectionEntry(body) => return self.body(body),
            Payload::Version { .. } => {
                self.modules += 1;
                return within("modules and components", self.modules, MODULES);
            }
            Payload::TypeSection(section) => section.count(),
            Payload::ImportSection(section) => section.count(),
            Payload::GlobalSection(section) => section.count(),
            Payload::ExportSection(section) => section.count(),
            Payload::ElementSection(section) => section.count(),
            Payload::DataSection(section) => section.count(),
            Payload::TableSection(section) => section.count(),
            Payload::MemorySection(section) => {
                for memory in section.clone() {
                    let pages = memory.map_err(super::invalid)?.initial;
                    self.memory = self.memory.saturating_add(pages.saturating_mul(PAGE));
                }
                section.count()
            }
            Payload::ComponentTypeSection(section) => section.count(),
            Payload::ComponentImportSection(section) => section.count(),
            Payload::ComponentExportSection(section) => section.count(),
            Payload::ComponentAliasSection(section) => section.count(),
            Payload::ComponentInstanceSection(section) => section.count(),
            Payload::InstanceSection(section) => section.count(),
            Payload::ComponentCanonicalSection(section) => section.count(),
            _ => 0,
        };
        self.items += u64::from(items);
        within("types, imports, exports, globals and segments", self.items, ITEMS)
    }

    /// Bytes of memory that all modules together begin with.
    pub(super) fn memory(&self) -> u64 {
        self.memory
    }

    fn body(&mut self, body: &wasmparser::FunctionBody<'_>) -> Result<(), PrepareError> {
        self.functions += 1;
        within("functions", self.functions, FUNCTIONS)?;
        let range = body.range();
        within("bytes in one function", (range.end - range.start) as u64, BODY)?;
        let mut locals = 0_u64;
        for group in body.get_locals_reader().map_err(super::invalid)? {
            locals += u64::from(group.map_err(super::invalid)?.0);
            within("variables in one function", locals, LOCALS)?;
        }
        Ok(())
    }
}

/// Fails when components are nested too deeply.
pub(super) fn nested(depth: usize) -> Result<(), PrepareError> {
    within("levels of components", depth as u64, DEPTH as u64)
}

fn within(what: &str, count: u64, most: u64) -> Result<(), PrepareError> {
    if count <= most {
        return Ok(());
    }
    Err(PrepareError::TooMuch(format!("the code has more than {most} {what}; make it smaller, or split it")))
}
