//! The drive with a function: what was uploaded, and how it is started.

use std::{fs, path::Path};

use flagbase_agent::{
    archive::{Archive, Entry},
    drive,
    manifest::{self, Manifest, Mode},
};
use flagbase_core::functions::{Artifact, Shape};

use super::ImageError;

/// `\0asm` and version 1.
const MODULE: &[u8] = b"\0asm\x01\0\0\0";
const WASM: &[u8] = b"\0asm";
const ELF: &[u8] = b"\x7fELF";
/// What archives begin with.
const CPIO: &[u8] = b"070701";
/// The program header that names a program's interpreter, which loads its libraries.
const INTERPRETER: usize = 3;

/// Recognises the code and writes the drive to `to`.
///
/// A static executable becomes a server, a WASI command a program for each call. An archive (cpio, `newc`) is taken as
/// it is: its `manifest.json` says what is started and how.
///
/// # Errors
/// When it is none of these; the sentence says what to do.
pub fn build(artifact: &Artifact, to: &Path) -> Result<Shape, ImageError> {
    let (shape, archive) = contents(artifact)?;
    let bytes = drive::write(&archive).map_err(|error| ImageError::Rejected(error.to_string()))?;
    fs::write(to, bytes)?;
    Ok(shape)
}

fn contents(artifact: &Artifact) -> Result<(Shape, Archive), ImageError> {
    let bytes = &artifact.bytes;
    if bytes.starts_with(CPIO) {
        return prepared(bytes);
    }
    let (shape, mode) = recognised(bytes)?;
    let manifest = Manifest { name: artifact.name.clone(), mode, ..Manifest::default() };
    let text = serde_json::to_vec(&manifest).map_err(std::io::Error::other)?;
    let mut archive = Archive::default();
    let filled = archive
        .file(&manifest.entry, true, bytes.to_vec())
        .and_then(|()| archive.file(manifest::NAME, false, text));
    filled.map_err(|error| ImageError::Rejected(error.to_string()))?;
    Ok((shape, archive))
}

fn recognised(bytes: &[u8]) -> Result<(Shape, Mode), ImageError> {
    let rejected = |sentence: &str| Err(ImageError::Rejected(sentence.to_owned()));
    if bytes.starts_with(ELF) {
        check_executable(bytes)?;
        return Ok((Shape::Binary, Mode::Server));
    }
    if bytes.starts_with(MODULE) {
        return match exports(bytes, "_start") {
            Some(true) => Ok((Shape::Command, Mode::Wasm)),
            Some(false) => rejected(
                "the module is no WASI command: it does not export `_start`; microVMs run commands, \
                 `compute.driver: wasm` runs components too",
            ),
            None => rejected("the module is damaged"),
        };
    }
    if bytes.starts_with(WASM) {
        return rejected(
            "this is a component; microVMs run static executables and WASI preview 1 commands, \
             `compute.driver: wasm` runs components",
        );
    }
    if bytes.starts_with(b"#!") {
        return rejected("this is a script, and a microVM has no interpreter; upload a static executable");
    }
    rejected(
        "microVMs run static executables for Linux, WASI preview 1 commands, and cpio archives with a \
         `manifest.json`; `compute.driver: wasm` runs JavaScript and components",
    )
}

/// An archive that somebody made: what it starts must be in it.
fn prepared(bytes: &[u8]) -> Result<(Shape, Archive), ImageError> {
    let rejected = |sentence: String| ImageError::Rejected(sentence);
    let archive = Archive::read(bytes).map_err(|error| rejected(error.to_string()))?;
    let manifest: Manifest = match archive.get(manifest::NAME) {
        Some(Entry::File { bytes, .. }) => serde_json::from_slice(bytes)
            .map_err(|error| rejected(format!("`{}` makes no sense: {error}", manifest::NAME)))?,
        _ => Manifest::default(),
    };
    let Some(Entry::File { bytes: entry, executable }) = archive.get(&manifest.entry) else {
        return Err(rejected(format!("there is no file `{}` in the archive", manifest.entry)));
    };
    match (recognised(entry)?, manifest.mode) {
        ((Shape::Command, _), Mode::Wasm) => Ok((Shape::Command, archive)),
        ((Shape::Binary, _), Mode::Server | Mode::Cgi) if *executable => Ok((Shape::Binary, archive)),
        ((Shape::Binary, _), Mode::Server | Mode::Cgi) => {
            Err(rejected(format!("`{}` is not marked as executable", manifest.entry)))
        }
        (_, mode) => Err(rejected(format!("`{}` cannot be started as `{}`", manifest.entry, mode.word()))),
    }
}

/// Whether a microVM of this host can start it: for this processor, and without libraries.
fn check_executable(program: &[u8]) -> Result<(), ImageError> {
    let rejected = |sentence: &str| Err(ImageError::Rejected(sentence.to_owned()));
    let machine = if cfg!(target_arch = "aarch64") { 183 } else { 62 };
    let (kind, found) = (number(program, 16, 2), number(program, 18, 2));
    if program.get(4..6) != Some(&[2, 1]) || found != Some(machine) || !matches!(kind, Some(2 | 3)) {
        return rejected("this is no executable for Linux on this machine's processor");
    }
    let (Some(start), Some(size), Some(count)) =
        (number(program, 32, 8), number(program, 54, 2), number(program, 56, 2))
    else {
        return rejected("the executable is damaged");
    };
    let asks = |index: usize| number(program, start.saturating_add(index * size), 4) == Some(INTERPRETER);
    if (0..count).any(asks) {
        return rejected(
            "the executable needs libraries, and a microVM has none; link it statically, such as with \
             `-C target-feature=+crt-static` (Rust), `CGO_ENABLED=0` (Go), `-static` (C)",
        );
    }
    Ok(())
}

/// A number of the lowest byte first.
fn number(bytes: &[u8], at: usize, size: usize) -> Option<usize> {
    let bytes = bytes.get(at..at.checked_add(size)?)?;
    Some(bytes.iter().rev().fold(0, |number: usize, byte| number << 8 | usize::from(*byte)))
}

/// Whether a module exports something under a name; `None` when it cannot be read.
fn exports(module: &[u8], name: &str) -> Option<bool> {
    const EXPORTS: u8 = 7;
    let mut rest = module.get(MODULE.len()..)?;
    while let Some((id, tail)) = rest.split_first() {
        rest = tail;
        let length = leb(&mut rest)?;
        let section = rest.get(..length)?;
        rest = rest.get(length..)?;
        if *id == EXPORTS {
            return listed(section, name);
        }
    }
    Some(false)
}

fn listed(mut section: &[u8], name: &str) -> Option<bool> {
    for _ in 0..leb(&mut section)? {
        let length = leb(&mut section)?;
        let found = section.get(..length)?;
        section = section.get(length + 1..)?;
        leb(&mut section)?;
        if found == name.as_bytes() {
            return Some(true);
        }
    }
    Some(false)
}

/// A number of up to 32 bits in groups of seven.
fn leb(rest: &mut &[u8]) -> Option<usize> {
    let mut number = 0;
    for shift in [0, 7, 14, 21, 28] {
        let (byte, tail) = rest.split_first()?;
        *rest = tail;
        number |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// The smallest header of an executable, with these program headers.
    fn executable(machine: u8, headers: &[u32]) -> Vec<u8> {
        let mut program = vec![0; 64];
        program[..6].copy_from_slice(b"\x7fELF\x02\x01");
        (program[16], program[18], program[32], program[54]) = (2, machine, 64, 56);
        program[56] = u8::try_from(headers.len()).unwrap();
        for kind in headers {
            program.extend(kind.to_le_bytes());
            program.extend([0; 52]);
        }
        program
    }

    fn ours() -> u8 {
        if cfg!(target_arch = "aarch64") { 183 } else { 62 }
    }

    fn found(bytes: Vec<u8>) -> Result<(Shape, Archive), String> {
        contents(&Artifact::new("hello", Bytes::from(bytes))).map_err(|error| error.to_string())
    }

    fn manifest_of(archive: &Archive) -> Manifest {
        let Some(Entry::File { bytes, .. }) = archive.get("manifest.json") else { panic!("no manifest") };
        serde_json::from_slice(bytes).unwrap()
    }

    #[test]
    fn a_static_executable_becomes_a_server() {
        let program = executable(ours(), &[1, 2]);
        let (shape, archive) = found(program.clone()).unwrap();
        assert_eq!(shape, Shape::Binary);
        assert_eq!(archive.get("function"), Some(&Entry::File { executable: true, bytes: program }));
        let manifest = manifest_of(&archive);
        assert_eq!((manifest.mode, manifest.name.as_str()), (Mode::Server, "hello"));
    }

    #[test]
    fn an_executable_with_libraries_is_told_how_to_do_without() {
        let error = found(executable(ours(), &[1, 3])).unwrap_err();
        assert!(error.contains("link it statically"), "{error}");
        let error = found(std::fs::read("/proc/self/exe").unwrap()).unwrap_err();
        assert!(error.contains("link it statically"), "{error}");
    }

    #[test]
    fn an_executable_for_another_processor_is_refused() {
        let error = found(executable(40, &[])).unwrap_err();
        assert!(error.contains("processor"), "{error}");
        assert!(found(b"\x7fELF".to_vec()).is_err());
    }

    #[test]
    fn a_command_becomes_a_program_for_each_call_and_other_modules_are_refused() {
        let module = |text: &str| wat::parse_str(text).unwrap();
        let command = module(r#"(module (func $f) (export "x" (func $f)) (export "_start" (func $f)))"#);
        let (shape, archive) = found(command).unwrap();
        assert_eq!((shape, manifest_of(&archive).mode), (Shape::Command, Mode::Wasm));
        for other in ["(module)", r#"(module (func (export "run")))"#] {
            let error = found(module(other)).unwrap_err();
            assert!(error.contains("`_start`"), "{error}");
        }
        let error = found(module("(component)")).unwrap_err();
        assert!(error.contains("component"), "{error}");
        assert!(found([MODULE, &[7, 200]].concat()).unwrap_err().contains("damaged"));
    }

    #[test]
    fn scripts_and_sources_are_told_where_they_run() {
        assert!(found(b"#!/bin/sh\n".to_vec()).unwrap_err().contains("script"));
        assert!(found(b"export default {}".to_vec()).unwrap_err().contains("compute.driver"));
        assert!(found(Vec::new()).is_err());
    }

    fn packed(manifest: &str, executable_bit: bool) -> Vec<u8> {
        let mut archive = Archive::default();
        archive.file("bin/app", executable_bit, executable(ours(), &[])).unwrap();
        archive.file("manifest.json", false, manifest.as_bytes().to_vec()).unwrap();
        archive.file("data.txt", false, b"data".to_vec()).unwrap();
        archive.write().unwrap()
    }

    #[test]
    fn an_archive_says_itself_how_it_is_started() {
        let (shape, archive) = found(packed(r#"{"entry":"bin/app","mode":"cgi"}"#, true)).unwrap();
        assert_eq!(shape, Shape::Binary);
        assert_eq!((manifest_of(&archive).mode, archive.get("data.txt").is_some()), (Mode::Cgi, true));
    }

    #[test]
    fn an_archive_that_cannot_be_started_is_refused_with_the_reason() {
        for (manifest, executable_bit, why) in [
            ("{}", true, "no file `function`"),
            (r#"{"entry":"bin/app"}"#, false, "not marked as executable"),
            (r#"{"entry":"bin/app","mode":"wasm"}"#, true, "cannot be started as `wasm`"),
            (r#"{"entry":"data.txt"}"#, true, "microVMs run"),
            (r#"{"enter":"bin/app"}"#, true, "makes no sense"),
        ] {
            let error = found(packed(manifest, executable_bit)).unwrap_err();
            assert!(error.contains(why), "{manifest}: {error}");
        }
        assert!(found(b"070701 and so on".to_vec()).unwrap_err().contains("broken"));
    }

    #[test]
    fn the_same_code_makes_the_same_drive() {
        let directory = tempfile::tempdir().unwrap();
        let artifact = Artifact::new("hello", Bytes::from(executable(ours(), &[])));
        let (one, two) = (directory.path().join("one"), directory.path().join("two"));
        assert_eq!(build(&artifact, &one).unwrap(), Shape::Binary);
        build(&artifact, &two).unwrap();
        let (one, two) = (std::fs::read(one).unwrap(), std::fs::read(two).unwrap());
        assert_eq!(one, two);
        let mut names = Vec::new();
        drive::read(std::io::Cursor::new(one), &mut |name, _| {
            names.push(name.to_owned());
            Ok(())
        })
        .unwrap();
        assert_eq!(names, ["function", "manifest.json"]);
    }
}
