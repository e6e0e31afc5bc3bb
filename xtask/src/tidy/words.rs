//! Text that must not be in the repository.

use super::Source;

/// What is looked for, where, and why. The texts are cut in two so that this file passes its own rule.
struct Rule {
    text: &'static str,
    rust_only: bool,
    why: &'static str,
}

const RULES: [Rule; 6] = [
    Rule { text: concat!("/wo", "rk/"), rust_only: false, why: "is a path of one machine" },
    Rule { text: concat!("/ro", "ot/"), rust_only: false, why: "is a path of one machine" },
    Rule {
        text: concat!("#[al", "low("), rust_only: true, why: "hides a lint: use `#[expect(…, reason)]`"
    },
    Rule {
        text: concat!("#![al", "low("),
        rust_only: true,
        why: "hides a lint: use `#![expect(…, reason)]`",
    },
    Rule { text: concat!("TO", "DO"), rust_only: false, why: "promises: do it or leave it out" },
    Rule { text: concat!("FIX", "ME"), rust_only: false, why: "promises: do it or leave it out" },
];

/// Files written by a machine, in which a random word means nothing.
const GENERATED: [&str; 3] = ["Cargo.lock", "package-lock.json", "go.sum"];

/// Every line that holds one of the texts.
pub(super) fn findings(sources: &[Source]) -> Vec<String> {
    sources
        .iter()
        .filter(|source| !GENERATED.iter().any(|name| source.path.ends_with(name)))
        .flat_map(of_file)
        .collect()
}

fn of_file(source: &Source) -> Vec<String> {
    let rust = source.is("rs");
    let rules = || RULES.iter().filter(move |rule| rust || !rule.rust_only);
    let mut findings = Vec::new();
    for (number, line) in source.text.lines().enumerate() {
        for rule in rules().filter(|rule| line.contains(rule.text)) {
            let Rule { text, why, .. } = rule;
            findings.push(format!("{}:{}: `{text}` {why}", source.path, number + 1));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    #[test]
    fn each_forbidden_text_is_found_with_its_line() {
        for rule in &RULES {
            let text = format!("fine\nhere it is: {}dead_code)]\n", rule.text);
            let findings = findings(&[source("src/a.rs", &text)]);
            assert_eq!(findings.len(), 1, "{}", rule.text);
            assert!(findings[0].starts_with("src/a.rs:2: "), "{findings:?}");
        }
    }

    #[test]
    fn an_attribute_of_rust_means_nothing_in_prose() {
        let text = concat!("never write #[al", "low(dead_code)]");
        assert_eq!(findings(&[source("docs/a.md", text)]), Vec::<String>::new());
    }

    #[test]
    fn a_lock_file_may_hold_any_letters() {
        let text = concat!("checksum TO", "DO");
        assert_eq!(findings(&[source("Cargo.lock", text)]), Vec::<String>::new());
        assert_eq!(findings(&[source("a.toml", text)]).len(), 1);
    }
}
