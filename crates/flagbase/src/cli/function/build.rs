//! `flagbase fn build`: runs what `function.yaml` says, in the function's own directory.

use std::path::PathBuf;
use std::process::Stdio;

use clap::Args;

use super::manifest::Local;
use crate::cli::client::ClientArgs;
use crate::exit::{Failure, Outcome};
use crate::output::{self, Format, Printer};

#[derive(Debug, Args)]
pub(super) struct BuildArgs {
    /// The directory with the `function.yaml`
    #[arg(default_value = ".")]
    path: PathBuf,
}

pub(super) async fn run(args: &BuildArgs, client: &ClientArgs) -> Outcome {
    let printer = Printer { format: client.output, quiet: client.quiet };
    let local = Local::find(&args.path, None)?;
    if local.build.is_empty() {
        printer.done(&format!("nothing to build: `{}` is deployed as it is", local.file.display()));
        return Ok(());
    }
    build_if_needed(&local, printer).await?;
    if printer.format == Format::Table { Ok(()) } else { output::line(&local.file.display().to_string()) }
}

/// Runs the commands, one after the other; there are none for what is deployed as it is. What they print goes to standard
/// error.
pub(super) async fn build_if_needed(local: &Local, printer: Printer) -> Outcome {
    if local.build.is_empty() {
        return Ok(());
    }
    for command in &local.build {
        printer.done(&format!("$ {command}"));
        let mut shell = tokio::process::Command::new("sh");
        shell.args(["-c", command]).current_dir(&local.directory).stdin(Stdio::null()).kill_on_drop(true);
        // Standard output is for data, and theirs is none.
        shell.stdout(std::io::stderr());
        let status = shell
            .status()
            .await
            .map_err(|error| Failure::plain(format!("no shell to run `{command}` with: {error}")))?;
        if !status.success() {
            return Err(Failure::plain(format!("`{command}` failed: {status}"))
                .hint("what it said stands above; the commands are those of `function.yaml`"));
        }
    }
    let size = std::fs::metadata(&local.file).map(|file| file.len()).map_err(|error| {
        Failure::plain(format!("the build did not make `{}`: {error}", local.file.display()))
            .hint("`file` in `function.yaml` names what the commands of `build` make")
    })?;
    printer.done(&format!("built `{}` ({} KB)", local.file.display(), size.div_ceil(1024)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(directory: &std::path::Path, build: &[&str]) -> Local {
        Local {
            name: "x".into(),
            directory: directory.to_owned(),
            file: directory.join("x.wasm"),
            build: build.iter().map(|command| (*command).to_owned()).collect(),
            watch: Vec::new(),
            settings: None,
        }
    }

    const QUIET: Printer = Printer { format: Format::Table, quiet: true };

    #[tokio::test]
    async fn commands_run_in_the_directory_of_the_function() {
        let place = tempfile::tempdir().unwrap();
        build_if_needed(&local(place.path(), &["echo a > part", "cat part > x.wasm"]), QUIET).await.unwrap();
        assert_eq!(std::fs::read_to_string(place.path().join("x.wasm")).unwrap(), "a\n");
    }

    #[tokio::test]
    async fn a_command_that_fails_ends_the_build_and_is_named() {
        let place = tempfile::tempdir().unwrap();
        let failure =
            build_if_needed(&local(place.path(), &["exit 3", "touch x.wasm"]), QUIET).await.unwrap_err();
        assert!(failure.to_string().contains("exit 3"), "{failure}");
        assert!(!place.path().join("x.wasm").exists());
        let failure = build_if_needed(&local(place.path(), &["true"]), QUIET).await.unwrap_err();
        assert!(failure.to_string().contains("did not make"), "{failure}");
    }
}
