//! Two steps that a C compiler does not do: bindings from WIT, before it, and a component from its module, after it.
//!
//! ```text
//! guests bind <out> <world> <file.wit>…     writes <world>.c, <world>.h and <world>_component_type.o
//! guests wrap <module.wasm> <component.wasm>
//! ```

use std::{env, fs, path::Path};

use anyhow::{Context, Result, bail};
use wit_bindgen_core::{Files, wit_parser::Resolve};
use wit_component::ComponentEncoder;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["bind", out, world, wit @ ..] => bind(Path::new(out), world, wit),
        ["wrap", module, component] => wrap(Path::new(module), Path::new(component)),
        _ => {
            bail!("usage: guests bind <out> <world> <file.wit>… | guests wrap <module.wasm> <component.wasm>")
        }
    }
}

/// Writes the C files for `world`, which is in the last of `wit`; a file may use the packages before it.
fn bind(out: &Path, world: &str, wit: &[&str]) -> Result<()> {
    let mut resolve = Resolve::default();
    let mut last = None;
    for file in wit {
        let text = fs::read_to_string(file).with_context(|| format!("read `{file}`"))?;
        // Only the name goes into what is generated, so that it is the same on every machine.
        let name = Path::new(file).file_name().unwrap_or_default();
        last = Some(resolve.push_str(Path::new(name), &text).with_context(|| format!("read `{file}`"))?);
    }
    let package = last.context("no WIT was named")?;
    let world = resolve.select_world(&[package], Some(world))?;
    let mut files = Files::default();
    wit_bindgen_c::Opts::default().build().generate(&mut resolve, world, &mut files)?;
    fs::create_dir_all(out)?;
    for (name, bytes) in files.iter() {
        fs::write(out.join(name), bytes).with_context(|| format!("write `{name}`"))?;
    }
    Ok(())
}

/// Makes a component of a module that carries its types.
fn wrap(module: &Path, component: &Path) -> Result<()> {
    let bytes = fs::read(module).with_context(|| format!("read `{}`", module.display()))?;
    let made = ComponentEncoder::default().module(&bytes)?.validate(true).encode()?;
    fs::write(component, made).with_context(|| format!("write `{}`", component.display()))
}
