//! The manifest with which the published package is tested.

use std::path::Path;

/// Development dependencies of tests and benches that are not run; together they are as much to build
/// as everything else.
const UNUSED: [&str; 3] = ["criterion", "jsonschema", "reqwest"];

/// `published` without what is not tested, and with our launcher as the server's.
pub(super) fn of(published: &str, launcher: &Path, suites: &[&str]) -> String {
    let kept: String = tables(published).filter(|table| keeps(table, suites)).collect();
    let launcher = launcher.display();
    format!("{}\n\n[dev-dependencies.nats-server]\npath = '{launcher}'\n\n[workspace]\n", kept.trim_end())
}

/// A manifest out of the registry is written by cargo: every table starts on a line of its own.
fn tables(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.match_indices("\n[").map(|(at, _)| at + 1).next().unwrap_or(rest.len());
        let (table, after) = rest.split_at(end);
        rest = after;
        Some(table)
    })
}

fn keeps(table: &str, suites: &[&str]) -> bool {
    let mut lines = table.lines();
    let head = lines.next().unwrap_or_default();
    match head {
        "[[example]]" | "[[bench]]" => false,
        "[[test]]" => lines.any(|line| suites.iter().any(|suite| line == format!("name = \"{suite}\""))),
        _ => !UNUSED.iter().any(|name| head == format!("[dev-dependencies.{name}]")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLISHED: &str = "# By cargo\n\n[package]\nname = \"x\"\nkeywords = [\n    \"a\",\n]\n\n\
        [[example]]\nname = \"e\"\n\n[[test]]\nname = \"one\"\n\n[[test]]\nname = \"two\"\n\n\
        [dev-dependencies.criterion]\nversion = \"1\"\n\n[dev-dependencies.tokio]\nversion = \"1\"\n";

    #[test]
    fn what_is_not_tested_is_not_built() {
        let manifest = of(PUBLISHED, Path::new("/launcher"), &["two"]);
        assert!(!manifest.contains("example") && !manifest.contains("criterion"), "{manifest}");
        assert!(!manifest.contains("\"one\"") && manifest.contains("\"two\""), "{manifest}");
        assert!(manifest.contains("[package]\nname = \"x\"\nkeywords = [\n    \"a\",\n]\n"), "{manifest}");
        assert!(manifest.contains("[dev-dependencies.tokio]\nversion = \"1\"\n"), "{manifest}");
    }

    #[test]
    fn the_server_is_started_by_our_launcher() {
        let manifest = of(PUBLISHED, Path::new("/launcher"), &[]);
        let ours = "[dev-dependencies.nats-server]\npath = '/launcher'\n\n[workspace]\n";
        assert!(manifest.ends_with(ours), "{manifest}");
    }

    #[test]
    fn cutting_into_tables_loses_nothing() {
        assert_eq!(tables(PUBLISHED).collect::<String>(), PUBLISHED);
        assert_eq!(tables(PUBLISHED).count(), 7);
        assert_eq!(tables("").count(), 0);
    }
}
