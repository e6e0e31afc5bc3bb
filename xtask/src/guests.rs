//! The guest that runs JavaScript, and guests that the tests of functions run: C, compiled by Zig, made into components
//! where they are some.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::workspace::{Workspace, cargo};
use crate::{process, servers};

/// Each guest with its shape; a directory of the same name has `guest.c`, and components have `world.wit`.
const GUESTS: [(&str, Shape); 8] = [
    ("javascript", Shape::Interpreter),
    ("native", Shape::Component),
    ("misbehaving", Shape::Component),
    ("reaching", Shape::Component),
    ("drafts", Shape::Component),
    ("proxy", Shape::Component),
    ("caller", Shape::Component),
    ("command", Shape::Command),
];

/// Interfaces that guests import and export, those that others use first.
const WIT: [&str; 15] = [
    "wit/features.wit",
    "wit/faas.wit",
    "guests/wit/io.wit",
    "guests/wit/clocks.wit",
    "guests/wit/random.wit",
    "guests/wit/cli.wit",
    "guests/wit/http.wit",
    "guests/wit/sockets.wit",
    "guests/wit/filesystem.wit",
    "wit/deps/keyvalue.wit",
    "wit/deps/keyvalue2.wit",
    "wit/deps/config.wit",
    "wit/deps/logging.wit",
    "wit/deps/messaging.wit",
    "wit/deps/blobstore.wit",
];

/// What C is compiled with: small, and the same bytes on every machine.
const FLAGS: [&str; 8] =
    ["cc", "-target", "wasm32-wasi", "-Oz", "-g0", "-Wall", "-Wl,--strip-all", "-Wl,-z,stack-size=65536"];

/// What the interpreter is compiled with: quick rather than small, since it runs for every request.
const INTERPRETER_FLAGS: [&str; 10] = [
    "cc",
    "-target",
    "wasm32-wasi",
    "-O2",
    "-g0",
    "-DNDEBUG",
    "-w",
    "-mexec-model=reactor",
    "-Wl,--strip-all",
    "-Wl,--export-memory,-z,stack-size=1048576",
];

/// The crate that carries the C sources of `QuickJS`.
const INTERPRETER: &str = "rquickjs-sys";

/// Which guests to build, and whether to keep them.
#[derive(Args)]
pub(crate) struct Options {
    /// The guests; all of them when none is named
    names: Vec<String>,
    /// Build, and fail when what is committed is something else
    #[arg(long)]
    check: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Component,
    Command,
    /// `QuickJS` with what is ours round it: a core module.
    Interpreter,
}

/// Where everything is.
struct Yard {
    zig: PathBuf,
    tool: PathBuf,
    manifest: PathBuf,
    sources: PathBuf,
    work: PathBuf,
}

/// Builds the named guests into `crates/functions/guests/built`.
pub(crate) fn run(options: &Options) -> Result<()> {
    let workspace = Workspace::load()?;
    let yard = Yard::prepare(&workspace)?;
    for name in &options.names {
        ensure!(GUESTS.iter().any(|(known, _)| known == name), "there is no guest `{name}`");
    }
    let wanted = |name: &str| options.names.is_empty() || options.names.iter().any(|asked| asked == name);
    for (name, shape) in GUESTS.into_iter().filter(|(name, _)| wanted(name)) {
        let built = yard.build(name, shape).with_context(|| format!("build the guest `{name}`"))?;
        let kept = yard.sources.join("guests/built").join(format!("{name}.wasm"));
        if options.check {
            let same = fs::read(&kept).is_ok_and(|bytes| bytes == built);
            ensure!(
                same,
                "`{}` is not what its source builds; run `cargo xtask guests {name}`",
                workspace.relative(&kept).display()
            );
        } else {
            fs::write(&kept, &built).with_context(|| format!("write `{}`", kept.display()))?;
        }
        println!("{}: {} bytes", workspace.relative(&kept).display(), built.len());
    }
    Ok(())
}

impl Yard {
    fn prepare(workspace: &Workspace) -> Result<Self> {
        let zig = servers::zig(workspace)?;
        let target = workspace.target.join("suites").join("guests");
        let manifest = workspace.root.join("suites").join("guests").join("Cargo.toml");
        process::run(
            Command::new(cargo())
                .args(["build", "--locked", "--quiet", "--manifest-path"])
                .arg(&manifest)
                .arg("--target-dir")
                .arg(&target),
        )?;
        let work = target.join("c");
        fs::create_dir_all(&work).with_context(|| format!("make `{}`", work.display()))?;
        let sources = workspace.root.join("crates").join("functions");
        Ok(Self { zig, tool: target.join("debug").join("guests"), manifest, sources, work })
    }

    fn build(&self, name: &str, shape: Shape) -> Result<Vec<u8>> {
        let source = self.sources.join("guests").join(name);
        let module = self.work.join(format!("{name}.core.wasm"));
        if shape == Shape::Interpreter {
            let mut compile = self.compiler(&INTERPRETER_FLAGS);
            compile.arg("-I").arg(self.interpreter()?).arg("-I").arg(&source);
            process::capture(compile.arg(source.join("guest.c")).arg("-o").arg(&module))?;
            return read(&module);
        }
        let mut compile = self.compiler(&FLAGS);
        compile.arg(source.join("guest.c")).arg("-o").arg(&module);
        if shape == Shape::Command {
            process::capture(&mut compile)?;
            return read(&module);
        }
        let wit = WIT.iter().map(|file| self.sources.join(file));
        process::capture(
            Command::new(&self.tool)
                .arg("bind")
                .arg(&self.work)
                .arg(name)
                .args(wit)
                .arg(source.join("world.wit")),
        )?;
        compile
            .arg("-mexec-model=reactor")
            .arg("-I")
            .arg(&self.work)
            .arg(self.work.join(format!("{name}.c")))
            .arg(self.work.join(format!("{name}_component_type.o")));
        process::capture(&mut compile)?;
        let component = self.work.join(format!("{name}.wasm"));
        process::capture(Command::new(&self.tool).arg("wrap").arg(&module).arg(&component))?;
        read(&component)
    }

    /// Where cargo has put the sources of `QuickJS`.
    fn interpreter(&self) -> Result<PathBuf> {
        let mut command = Command::new(cargo());
        command.args(["metadata", "--format-version", "1", "--locked", "--all-features", "--manifest-path"]);
        let metadata: serde_json::Value =
            serde_json::from_str(&process::capture(command.arg(&self.manifest))?)?;
        let packages = metadata.get("packages").and_then(|packages| packages.as_array());
        packages
            .into_iter()
            .flatten()
            .find(|package| package.get("name").and_then(|name| name.as_str()) == Some(INTERPRETER))
            .and_then(|package| Path::new(package.get("manifest_path")?.as_str()?).parent())
            .map(|home| home.join("quickjs"))
            .with_context(|| format!("`{INTERPRETER}` is not among the dependencies of `suites/guests`"))
    }

    fn compiler(&self, flags: &[&str]) -> Command {
        let mut command = Command::new(&self.zig);
        // Its cache is ours, so that nothing is left in the home directory.
        command.args(flags).env("ZIG_GLOBAL_CACHE_DIR", self.work.join("cache"));
        command
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("read `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_guest_has_its_source_and_what_was_built_of_it() {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/functions/guests");
        for (name, shape) in GUESTS {
            assert!(sources.join(name).join("guest.c").is_file(), "{name}");
            assert!(sources.join("built").join(format!("{name}.wasm")).is_file(), "{name}");
            assert_eq!(sources.join(name).join("world.wit").is_file(), shape == Shape::Component, "{name}");
        }
    }
}
