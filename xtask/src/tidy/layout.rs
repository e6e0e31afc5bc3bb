//! Where things are and what their files are called.

use super::Source;

/// Names that say nothing and so collect everything.
const SINKS: [&str; 3] = ["utils", "common", "types"];
const FORBID_UNSAFE: &str = "#![forbid(unsafe_code)]";
/// Loads machine code, which no compiler can vouch for. It is denied there as everywhere, and each use says why.
const UNSAFE_NEEDED: &str = "crates/functions/src/lib.rs";

/// Badly named Rust files, and members whose first file does not forbid unsafe code.
pub(super) fn findings(sources: &[Source], roots: &[String]) -> Vec<String> {
    let rust = || sources.iter().filter(|source| source.is("rs"));
    let names = rust().filter_map(|source| badly_named(&source.path));
    let unsafe_roots = rust()
        .filter(|source| roots.contains(&source.path) && source.path != UNSAFE_NEEDED)
        .filter(|source| !source.text.lines().any(|line| line == FORBID_UNSAFE))
        .map(|source| format!("{}: must start with `{FORBID_UNSAFE}`", source.path));
    names.chain(unsafe_roots).collect()
}

fn badly_named(path: &str) -> Option<String> {
    let mut parts = path.trim_end_matches(".rs").split('/');
    if path.ends_with("/mod.rs") {
        return Some(format!("{path}: write `foo.rs` beside `foo/`, not `foo/mod.rs`"));
    }
    parts
        .find(|part| SINKS.contains(part))
        .map(|part| format!("{path}: `{part}` says nothing, name it after what it does"))
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    #[test]
    fn files_are_named_after_what_they_do() {
        assert_eq!(badly_named("crates/core/src/flags.rs"), None);
        assert!(badly_named("crates/core/src/flags/mod.rs").is_some());
        for name in SINKS {
            assert!(badly_named(&format!("crates/core/src/{name}.rs")).is_some());
            assert!(badly_named(&format!("crates/core/src/{name}/flag.rs")).is_some());
        }
        assert_eq!(badly_named("crates/core/src/subtypes.rs"), None);
    }

    #[test]
    fn every_member_forbids_unsafe_code_in_its_first_file() {
        let roots = ["src/lib.rs".to_owned(), UNSAFE_NEEDED.to_owned()];
        let with = source("src/lib.rs", "//! Doc.\n#![forbid(unsafe_code)]\n");
        let without = source("src/lib.rs", "//! Says `#![forbid(unsafe_code)]` but does not\n");
        let other = source("src/other.rs", "//! Not a root.\n");
        let needed = source(UNSAFE_NEEDED, "//! Doc.\n");
        assert_eq!(findings(&[with, other, needed], &roots), Vec::<String>::new());
        assert_eq!(findings(&[without], &roots).len(), 1);
    }
}
