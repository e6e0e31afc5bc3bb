//! The guest in two parts: its code, which all functions share, and the memory it begins with.

use std::convert::Infallible;

use wasm_encoder::{
    DataSection, EntityType, ExportKind, ExportSection, ImportSection, MemorySection, MemoryType, Module,
    RawSection,
    reencode::{Error, Reencode, RoundtripReencoder},
};
use wasmparser::{DataKind, DataSectionReader, Operator, Parser, Payload};

/// Bytes of a page of memory.
pub(super) const PAGE: usize = 65_536;

/// Where the code takes its memory from: module and name.
pub(super) const MEMORY: (&str, &str) = ("env", "memory");

/// What begins to run before anything else, once; the C compiler adds it.
pub(super) const INITIALIZE: &str = "_initialize";

/// What a core module is made of.
#[derive(Debug)]
pub(super) struct Parts {
    /// A core module without data, which imports its memory.
    pub(super) code: Vec<u8>,
    /// Pages of memory it begins with.
    pub(super) pages: u64,
    /// What is in that memory: address and bytes.
    pub(super) data: Vec<(usize, Vec<u8>)>,
}

/// Takes apart a core module that has one memory of its own.
pub(super) fn split(module: &[u8]) -> Result<Parts, Error<Infallible>> {
    let mut parts = Parts { code: Vec::new(), pages: pages(module)?, data: Vec::new() };
    let mut out = Module::new();
    for payload in Parser::new(0).parse_all(module) {
        match payload? {
            Payload::ImportSection(section) => {
                let mut imports = ImportSection::new();
                RoundtripReencoder.parse_import_section(&mut imports, section)?;
                imports.import(MEMORY.0, MEMORY.1, EntityType::Memory(of_pages(parts.pages)));
                out.section(&imports);
            }
            // No memory and no data of its own; and no names.
            Payload::MemorySection(_) | Payload::DataCountSection { .. } | Payload::CustomSection(_) => {}
            Payload::DataSection(section) => parts.data = data(section)?,
            other => {
                if let Some((id, range)) = other.as_section() {
                    out.section(&RawSection { id, data: module.get(range).unwrap_or_default() });
                }
            }
        }
    }
    parts.code = out.finish();
    Ok(parts)
}

/// A core module with nothing but a memory of so many pages, which holds `data` from the beginning.
pub(super) fn memory(pages: u64, data: &[(usize, Vec<u8>)]) -> Vec<u8> {
    let mut memories = MemorySection::new();
    memories.memory(of_pages(pages));
    let mut exports = ExportSection::new();
    exports.export(MEMORY.1, ExportKind::Memory, 0);
    let mut section = DataSection::new();
    for (address, bytes) in data {
        // Addresses are those of 32 bits, written as the machine has them: signed.
        let address = u32::try_from(*address).unwrap_or(u32::MAX).cast_signed();
        section.active(0, &wasm_encoder::ConstExpr::i32_const(address), bytes.iter().copied());
    }
    let mut module = Module::new();
    module.section(&memories).section(&exports).section(&section);
    module.finish()
}

/// The module without the export `name`.
pub(super) fn without_export(module: &[u8], name: &str) -> Result<Vec<u8>, Error<Infallible>> {
    let mut out = Module::new();
    for payload in Parser::new(0).parse_all(module) {
        match payload? {
            Payload::ExportSection(section) => {
                let mut exports = ExportSection::new();
                for export in section {
                    let export = export?;
                    if export.name != name {
                        RoundtripReencoder.parse_export(&mut exports, export)?;
                    }
                }
                out.section(&exports);
            }
            other => {
                if let Some((id, range)) = other.as_section() {
                    out.section(&RawSection { id, data: module.get(range).unwrap_or_default() });
                }
            }
        }
    }
    Ok(out.finish())
}

/// A memory of so many pages at the beginning.
pub(super) fn of_pages(pages: u64) -> MemoryType {
    MemoryType { minimum: pages, maximum: None, memory64: false, shared: false, page_size_log2: None }
}

fn pages(module: &[u8]) -> Result<u64, Error<Infallible>> {
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::MemorySection(section) = payload?
            && let Some(memory) = section.into_iter().next()
        {
            return Ok(memory?.initial);
        }
    }
    Ok(0)
}

fn data(section: DataSectionReader<'_>) -> Result<Vec<(usize, Vec<u8>)>, Error<Infallible>> {
    let mut all = Vec::new();
    for segment in section {
        let segment = segment?;
        if let DataKind::Active { offset_expr, .. } = segment.kind
            && let Operator::I32Const { value } = offset_expr.get_operators_reader().read()?
        {
            all.push((value.cast_unsigned() as usize, segment.data.to_vec()));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODULE: &str = r#"(module
        (import "a" "b" (func))
        (memory (export "memory") 2)
        (global (mut i32) (i32.const 65536))
        (func (export "_initialize"))
        (func (export "get") (result i32) (i32.load (i32.const 8)))
        (data (i32.const 8) "\2a\00\00\00"))"#;

    #[test]
    fn code_and_memory_come_apart_and_fit_together_again() {
        let parts = split(&wat::parse_str(MODULE).unwrap()).unwrap();
        assert_eq!((parts.pages, parts.data.as_slice()), (2, &[(8, vec![42, 0, 0, 0])][..]));

        let engine = wasmtime::Engine::default();
        let mut store = wasmtime::Store::new(&engine, ());
        let mut linker = wasmtime::Linker::new(&engine);
        linker.func_wrap("a", "b", || {}).unwrap();
        let filled = wasmtime::Module::new(&engine, memory(parts.pages, &parts.data)).unwrap();
        let filled = linker.instantiate(&mut store, &filled).unwrap();
        linker.instance(&mut store, MEMORY.0, filled).unwrap();
        let code = wasmtime::Module::new(&engine, &parts.code).unwrap();
        assert!(code.imports().any(|import| (import.module(), import.name()) == MEMORY));
        let code = linker.instantiate(&mut store, &code).unwrap();
        let get = code.get_typed_func::<(), i32>(&mut store, "get").unwrap();
        assert_eq!(get.call(&mut store, ()).unwrap(), 42);
    }

    #[test]
    fn an_export_goes_and_the_others_stay() {
        let module = without_export(&wat::parse_str(MODULE).unwrap(), INITIALIZE).unwrap();
        let module = wasmtime::Module::new(&wasmtime::Engine::default(), module).unwrap();
        let names: Vec<_> = module.exports().map(|export| export.name().to_owned()).collect();
        assert_eq!(names, ["memory", "get"]);
    }

    #[test]
    fn what_is_no_module_is_an_error() {
        assert!(split(b"nonsense").is_err() && without_export(b"\0asm", "a").is_err());
    }
}
