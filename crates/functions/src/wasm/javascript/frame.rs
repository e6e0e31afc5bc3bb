//! The component round the guest: made once, completed for each function with its memory.
//!
//! What tools make of a core module and an interface is a component that holds the module. This one imports it instead,
//! so that all functions share one compiled module, and gives it a memory that was filled before.

use std::convert::Infallible;

use wasm_encoder::{
    Component, ComponentImportSection, ComponentSectionId, ComponentTypeRef, CoreTypeSection, EntityType,
    InstanceSection, ModuleArg, ModuleType, RawSection,
    reencode::{Error, Reencode, ReencodeComponent, RoundtripReencoder, component_utils},
};
use wasmparser::{ExternalKind, Parser, Payload, TypeRef};
use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::Resolve;

use super::{
    IMPORT,
    parts::{self, INITIALIZE, MEMORY, Parts},
};

/// The interfaces that the guest is made for, each with the name of its file for messages.
const INTERFACES: [(&str, &str); 6] = [
    ("io.wit", include_str!("../../../guests/javascript/wasi/io.wit")),
    ("clocks.wit", include_str!("../../../guests/javascript/wasi/clocks.wit")),
    ("random.wit", include_str!("../../../guests/javascript/wasi/random.wit")),
    ("features.wit", include_str!("../../../wit/features.wit")),
    ("faas.wit", include_str!("../../../wit/faas.wit")),
    ("javascript.wit", include_str!("../../../guests/javascript/javascript.wit")),
];

/// A component without the memory of its guest.
pub(super) struct Frame {
    /// Everything after the memory.
    rest: Vec<u8>,
}

impl Frame {
    /// Round the core module `guest`, whose code alone is `code`.
    pub(super) fn new(guest: &[u8], parts: &Parts) -> Result<Self, String> {
        Self::build(guest, parts).map_err(|error| format!("{error:#}"))
    }

    fn build(guest: &[u8], parts: &Parts) -> wasmtime::anyhow::Result<Self> {
        let mut resolve = Resolve::default();
        for (name, text) in INTERFACES {
            resolve.push_str(name, text)?;
        }
        let packages: Vec<_> = resolve.package_names.values().copied().collect();
        let world = resolve.select_world(&packages, Some("flagbase:javascript/javascript"))?;
        // Without what begins to run by itself: it has run when the memory is taken.
        let mut module = parts::without_export(guest, INITIALIZE)?;
        wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
        let whole = ComponentEncoder::default().validate(false).module(&module)?.encode()?;
        let mut component = Component::new();
        let mut imported = Imported { parts, modules: 0, types: 0 };
        imported.parse_component(&mut component, Parser::new(0), &whole)?;
        let rest = component.finish();
        Ok(Self { rest: rest.get(HEADER..).unwrap_or_default().to_vec() })
    }

    /// The component whose guest begins with the memory of the core module `memory`.
    pub(super) fn around(&self, memory: &[u8]) -> Vec<u8> {
        let mut component = Component::new();
        component.section(&RawSection { id: ComponentSectionId::CoreModule.into(), data: memory });
        let mut instances = InstanceSection::new();
        instances.instantiate::<_, &str>(0, []);
        component.section(&instances);
        let mut bytes = component.finish();
        bytes.extend_from_slice(&self.rest);
        bytes
    }
}

/// Bytes that every component begins with.
const HEADER: usize = 8;

/// Writes a component anew, with one module and one instance (those of the memory) before all others, and with an import
/// instead of its first module.
struct Imported<'a> {
    parts: &'a Parts,
    modules: u32,
    types: u32,
}

impl Reencode for Imported<'_> {
    type Error = Infallible;
}

impl ReencodeComponent for Imported<'_> {
    fn module_index(&mut self, index: u32) -> u32 {
        index + 1
    }

    fn instance_index(&mut self, index: u32) -> u32 {
        index + 1
    }

    fn parse_component_payload(
        &mut self,
        component: &mut Component,
        payload: Payload<'_>,
        whole: &[u8],
    ) -> Result<(), Error<Infallible>> {
        match payload {
            Payload::CoreTypeSection(section) => {
                self.types += section.count();
                component_utils::parse_component_payload(
                    self,
                    component,
                    Payload::CoreTypeSection(section),
                    whole,
                )
            }
            // Notes of tools about themselves.
            Payload::CustomSection(_) => Ok(()),
            other => component_utils::parse_component_payload(self, component, other, whole),
        }
    }

    fn parse_component_submodule(
        &mut self,
        component: &mut Component,
        parser: Parser,
        module: &[u8],
    ) -> Result<(), Error<Infallible>> {
        self.modules += 1;
        if self.modules > 1 {
            return component_utils::parse_component_submodule(self, component, parser, module);
        }
        let mut types = CoreTypeSection::new();
        types.ty().module(&type_of(&self.parts.code, self.parts.pages)?);
        component.section(&types);
        let mut imports = ComponentImportSection::new();
        imports.import(IMPORT, ComponentTypeRef::Module(self.types));
        component.section(&imports);
        self.types += 1;
        Ok(())
    }

    fn parse_instance(
        &mut self,
        instances: &mut InstanceSection,
        instance: wasmparser::Instance<'_>,
    ) -> Result<(), Error<Infallible>> {
        match instance {
            wasmparser::Instance::Instantiate { module_index: 0, args } => {
                let mut all = vec![(MEMORY.0, ModuleArg::Instance(0))];
                all.extend(args.iter().map(|arg| (arg.name, ModuleArg::Instance(arg.index + 1))));
                instances.instantiate(1, all);
                Ok(())
            }
            other => component_utils::parse_instance(self, instances, other),
        }
    }
}

/// What a core module imports and exports, as a type.
fn type_of(code: &[u8], pages: u64) -> Result<ModuleType, Error<Infallible>> {
    let mut ty = ModuleType::new();
    let mut functions = Vec::new();
    for payload in Parser::new(0).parse_all(code) {
        match payload? {
            Payload::TypeSection(section) => {
                for function in section.into_iter_err_on_gc_types() {
                    let function = RoundtripReencoder.func_type(function?)?;
                    ty.ty().func_type(&function);
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    if let TypeRef::Func(index) = import.ty {
                        functions.push(index);
                    }
                    ty.import(import.module, import.name, RoundtripReencoder.entity_type(import.ty)?);
                }
            }
            Payload::FunctionSection(section) => {
                for index in section {
                    functions.push(index?);
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export?;
                    match (export.kind, functions.get(export.index as usize)) {
                        (ExternalKind::Func, Some(index)) => {
                            ty.export(export.name, EntityType::Function(*index));
                        }
                        (ExternalKind::Memory, _) => {
                            ty.export(export.name, EntityType::Memory(parts::of_pages(pages)));
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    Ok(ty)
}
