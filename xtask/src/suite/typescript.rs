//! What the manual and the template show, as the compiler of TypeScript sees it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::workspace::Workspace;
use crate::{process, tool};

const VERSION: &str = "5.9.3";

/// As an editor has it that is told nothing else, and as strict as the template. Types are taken out at deploy, so that nothing
/// may need to become code.
const SETTINGS: &str = r#"{
  "compilerOptions": {
    "strict": true, "noImplicitAny": false, "noEmit": true, "allowJs": true, "checkJs": true, "types": [],
    "target": "ES2024", "lib": ["ES2024", "DOM", "DOM.Iterable", "DOM.AsyncIterable"],
    "module": "ESNext", "moduleResolution": "bundler", "moduleDetection": "force",
    "erasableSyntaxOnly": true, "verbatimModuleSyntax": true
  },
  "include": ["*"]
}
"#;

/// Pages with the language of their examples.
const PAGES: [(&str, &str); 2] = [("javascript", "js"), ("typescript", "ts")];

/// Checks the templates and every example of the pages.
pub(super) fn check(workspace: &Workspace) -> Result<()> {
    let home = workspace.target.join("suites").join(format!("typescript-{VERSION}"));
    let compiler = compiler(&home)?;
    let place = home.join("examples");
    if place.exists() {
        fs::remove_dir_all(&place).with_context(|| format!("remove `{}`", place.display()))?;
    }
    fs::create_dir_all(&place).with_context(|| format!("make `{}`", place.display()))?;
    let write = |name: &str, text: &str| {
        let path = place.join(name);
        fs::write(&path, text).with_context(|| format!("write `{}`", path.display()))
    };
    write("tsconfig.json", SETTINGS)?;
    let templates = workspace.root.join("crates/flagbase/templates/functions");
    for (name, source) in [
        ("flagbase.d.ts", "typescript/flagbase.d.ts"),
        ("template.ts", "typescript/hello.ts"),
        ("template.js", "javascript/hello.js"),
    ] {
        write(name, &read(&templates.join(source))?)?;
    }
    for (page, language) in PAGES {
        let text = read(&workspace.root.join(format!("docs/src/functions/{page}.md")))?;
        let found = blocks(&text, language);
        ensure!(!found.is_empty(), "`{page}.md` has no examples");
        for (number, code) in found.into_iter().enumerate() {
            write(&format!("{page}-{number}.{language}"), code)?;
        }
    }
    process::run(Command::new(compiler).arg("-p").arg(&place))
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("read `{}`", path.display()))
}

/// The blocks of code in a language.
fn blocks<'t>(page: &'t str, language: &str) -> Vec<&'t str> {
    let fence = format!("```{language}\n");
    page.split(&fence).skip(1).filter_map(|rest| rest.split_once("```")).map(|(code, _)| code).collect()
}

/// Fetches the compiler, once.
fn compiler(home: &Path) -> Result<PathBuf> {
    let program = home.join("node_modules/.bin/tsc");
    if !program.is_file() {
        let npm = tool::required("npm", "get Node.js from https://nodejs.org")?;
        fs::create_dir_all(home).with_context(|| format!("make `{}`", home.display()))?;
        let options = ["--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
        process::run(
            Command::new(npm)
                .current_dir(home)
                .arg("install")
                .args(options)
                .args(["--prefix", "."])
                .arg(format!("typescript@{VERSION}")),
        )?;
    }
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_found_by_their_language() {
        let page = "a\n```ts\none\n```\n```js\ntwo\n```\n```ts\nthree\n```\n";
        assert_eq!(blocks(page, "ts"), ["one\n", "three\n"]);
        assert_eq!(blocks(page, "js"), ["two\n"]);
    }

    #[test]
    fn the_settings_are_json() {
        let settings: serde_json::Value = serde_json::from_str(SETTINGS).unwrap();
        assert_eq!(settings["compilerOptions"]["erasableSyntaxOnly"], true);
    }
}
