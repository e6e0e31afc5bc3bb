//! The manual, as its readers get it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::tool;
use crate::workspace::Workspace;

/// Builds the manual into the target directory; a page that is missing or a line that cannot be included fails it.
pub(super) fn build(workspace: &Workspace) -> Result<()> {
    let program = tool::mdbook(workspace)?;
    let place = workspace.target.join("book");
    let built =
        Command::new(&program).arg("build").arg(workspace.root.join("docs")).arg("-d").arg(&place).output();
    let built = built.with_context(|| format!("start `{}`", program.display()))?;
    let said = String::from_utf8_lossy(&built.stderr);
    ensure!(built.status.success() && complaints(&said).is_empty(), "the manual does not build:\n{said}");
    println!("the manual is in {}", shown(&place, workspace));
    Ok(())
}

/// What mdBook only tells and does not fail for.
fn complaints(said: &str) -> Vec<&str> {
    let serious = |line: &&str| line.split_whitespace().any(|word| matches!(word, "WARN" | "ERROR"));
    said.lines().filter(serious).collect()
}

fn shown(place: &Path, workspace: &Workspace) -> String {
    workspace.relative(place).join("index.html").display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_book_only_warns_of_is_noticed() {
        let said = " INFO Book building has started\n WARN nothing is there\nERROR no such file\n";
        assert_eq!(complaints(said), [" WARN nothing is there", "ERROR no such file"]);
        assert!(complaints(" INFO Running the html backend, no WARNING\n").is_empty());
    }
}
