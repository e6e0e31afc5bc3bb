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
