//! `flagbase fn new`: the beginnings of a function, in the language of one's choice.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::cli::client::ClientArgs;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{self, Format, Printer};

#[derive(Debug, Args)]
pub(super) struct NewArgs {
    /// The function's name: lower-case letters, digits and `-`
    name: String,
    /// The language it is written in
    #[arg(long, value_enum, default_value = "js")]
    lang: Language,
    /// The directory to make [default: the name]
    #[arg(long, value_name = "DIRECTORY")]
    to: Option<PathBuf>,
}

/// Languages there is a beginning in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Language {
    /// JavaScript; needs no tools
    #[value(alias = "javascript")]
    Js,
    /// TypeScript; needs no tools
    #[value(alias = "typescript")]
    Ts,
    /// Python, built by componentize-py
    #[value(alias = "py")]
    Python,
    /// Rust, for wasm32-wasip1
    Rust,
    /// Go, for wasip1
    Go,
    /// C, built by Zig's compiler
    C,
    /// `AssemblyScript`, built by asc
    #[value(alias = "as")]
    Assemblyscript,
}

/// A file of a template: where it goes, and what is in it. Templates are functions that work as they are, called
/// [`HELLO`]: the manual shows them, and the name of the new function is put in its place.
type Template = (&'static str, &'static str);

/// What the function of every template is called; the word stands for nothing else in them.
const HELLO: &str = "hello";

macro_rules! template {
    ($path:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/templates/functions/", $path))
    };
}

const FAAS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../functions/wit/faas.wit"));
const FEATURES: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../functions/wit/features.wit"));

impl Language {
    const fn files(self) -> &'static [Template] {
        match self {
            Self::Js => &[
                ("function.yaml", template!("javascript/function.yaml")),
                ("hello.js", template!("javascript/hello.js")),
            ],
            Self::Ts => &[
                ("function.yaml", template!("typescript/function.yaml")),
                ("hello.ts", template!("typescript/hello.ts")),
                ("flagbase.d.ts", template!("typescript/flagbase.d.ts")),
            ],
            Self::Python => &[
                ("function.yaml", template!("python/function.yaml")),
                ("app.py", template!("python/app.py")),
                ("requirements.txt", template!("python/requirements.txt")),
                (".gitignore", template!("python/gitignore")),
                ("wit/world.wit", template!("python/wit/world.wit")),
                ("wit/deps/faas/faas.wit", FAAS),
                ("wit/deps/features/features.wit", FEATURES),
            ],
            Self::Rust => &[
                ("function.yaml", template!("rust/function.yaml")),
                ("Cargo.toml", template!("rust/Cargo.toml")),
                ("src/main.rs", template!("rust/src/main.rs")),
                (".gitignore", template!("rust/gitignore")),
            ],
            Self::Go => &[
                ("function.yaml", template!("go/function.yaml")),
                ("go.mod", template!("go/go.mod")),
                ("main.go", template!("go/main.go")),
                (".gitignore", template!("go/gitignore")),
            ],
            Self::C => &[
                ("function.yaml", template!("c/function.yaml")),
                ("hello.c", template!("c/hello.c")),
                ("requirements.txt", template!("c/requirements.txt")),
                (".gitignore", template!("c/gitignore")),
            ],
            Self::Assemblyscript => &[
                ("function.yaml", template!("assemblyscript/function.yaml")),
                ("package.json", template!("assemblyscript/package.json")),
                ("assembly/index.ts", template!("assemblyscript/assembly/index.ts")),
                (".gitignore", template!("assemblyscript/gitignore")),
            ],
        }
    }
}

pub(super) fn run(args: &NewArgs, client: &ClientArgs) -> Outcome {
    let printer = Printer { format: client.output, quiet: client.quiet };
    check(&args.name)?;
    let directory = args.to.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    let shown = directory.display();
    let taken = std::fs::read_dir(&directory).is_ok_and(|mut entries| entries.next().is_some());
    if taken {
        return Err(Failure::new(Exit::Conflict, format!("`{shown}` exists and is not empty"))
            .hint("choose another directory with --to"));
    }
    for (path, content) in args.lang.files() {
        write(&directory.join(named(path, &args.name)), &named(content, &args.name))?;
    }
    if printer.format != Format::Table {
        return output::line(&shown.to_string());
    }
    printer.done(&format!("made `{shown}`"));
    printer.hint(&format!(
        "try it with `flagbase fn dev {shown}`, put it on the server with `flagbase fn deploy {shown}`"
    ));
    Ok(())
}

fn named(text: &str, name: &str) -> String {
    text.replace(HELLO, name)
}

fn write(path: &Path, content: &str) -> Outcome {
    let made =
        path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(path, content));
    made.map_err(|error| Failure::plain(format!("`{}` cannot be written: {error}", path.display())))
}

/// The same names that the server takes.
fn check(name: &str) -> Outcome {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > 63 || name.starts_with('-') || !name.chars().all(fits) {
        return Err(Failure::usage(format!("`{name}` cannot be the name of a function"))
            .hint("take up to 63 lower-case letters, digits and `-`, such as `send-mail`"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::manifest::Local;
    use super::*;

    #[test]
    fn every_language_makes_a_directory_that_can_be_deployed() {
        for language in Language::value_variants() {
            let place = tempfile::tempdir().unwrap();
            for (path, content) in language.files() {
                let text = named(content, "greeter");
                assert!(!text.contains(HELLO), "{language:?} {path}: {text}");
                write(&place.path().join(named(path, "greeter")), &text).unwrap();
            }
            let local = Local::find(place.path(), None).unwrap();
            assert_eq!(local.name, "greeter", "{language:?}");
            let built = !local.build.is_empty();
            assert_eq!(local.code().is_err(), built, "{language:?} is built, or deployed as it is");
            assert!(local.watch.iter().all(|path| path.exists()), "{language:?}: {:?}", local.watch);
        }
    }

    #[test]
    fn names_that_the_server_would_refuse_are_refused_at_once() {
        for name in ["", "Hello", "-x", "a/b", "a.b", &"x".repeat(64)] {
            assert!(check(name).is_err(), "{name}");
        }
        assert!(check("send-mail-2").is_ok());
    }
}
