//! Documents point at things that exist.

use std::collections::BTreeSet;

use super::Source;

const BOOK: &str = "docs/src/";
const SUMMARY: &str = "docs/src/SUMMARY.md";

/// Broken relative links and anchors, and pages of the book that its summary forgot.
pub(super) fn findings(sources: &[Source], exists: &dyn Fn(&str) -> bool) -> Vec<String> {
    let pages: Vec<&Source> = sources.iter().filter(|source| source.is("md")).collect();
    let broken = pages.iter().flat_map(|page| of_page(page, &pages, exists));
    broken.chain(forgotten(&pages)).collect()
}

fn of_page(page: &Source, pages: &[&Source], exists: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut findings = Vec::new();
    for (number, target) in links(&page.text) {
        if target.is_empty() || is_external(&target) {
            continue;
        }
        if let Err(why) = follow(page, &target, pages, exists) {
            findings.push(format!("{}:{number}: link `{target}` {why}", page.path));
        }
    }
    findings
}

fn follow(
    page: &Source,
    target: &str,
    pages: &[&Source],
    exists: &dyn Fn(&str) -> bool,
) -> Result<(), &'static str> {
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = match path {
        "" => page.path.clone(),
        relative => joined(&page.path, relative).ok_or("leaves the repository")?,
    };
    if !exists(&path) {
        return Err("leads nowhere");
    }
    let document = pages.iter().find(|candidate| candidate.path == path);
    match document {
        Some(document) if !anchor.is_empty() && !anchors(&document.text).contains(anchor) => {
            Err("names a heading that is not there")
        }
        _ => Ok(()),
    }
}

fn is_external(target: &str) -> bool {
    ["http://", "https://", "mailto:", "/"].iter().any(|prefix| target.starts_with(prefix))
}

/// `relative` as seen from `page`, both from the root; `None` when it climbs out.
fn joined(page: &str, relative: &str) -> Option<String> {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// Line numbers and targets of `[text](target)`, outside code.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        let mut rest = without_code_spans(line);
        while let Some((_, after)) = rest.split_once("](") {
            let (target, tail) = after.split_once(')').unwrap_or((after, ""));
            let target = target.split_whitespace().next().unwrap_or_default();
            found.push((number, target.trim_matches(['<', '>']).to_owned()));
            rest = tail.to_owned();
        }
    }
    found
}

/// Numbered lines outside fenced code.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        (!fenced && !fence).then_some((index + 1, line))
    })
}

fn without_code_spans(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("_")
}

/// What the headings of a page are called in a link.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text).filter(|(_, line)| line.starts_with('#'));
    headings.map(|(_, line)| slug(line.trim_start_matches('#').trim())).collect()
}

fn slug(heading: &str) -> String {
    let kept = heading.chars().filter_map(|letter| match letter {
        ' ' => Some('-'),
        '-' | '_' => Some(letter),
        _ if letter.is_alphanumeric() => Some(letter),
        _ => None,
    });
    kept.flat_map(char::to_lowercase).collect()
}

fn forgotten(pages: &[&Source]) -> Vec<String> {
    let Some(summary) = pages.iter().find(|page| page.path == SUMMARY) else {
        return Vec::new();
    };
    let listed: BTreeSet<String> =
        links(&summary.text).iter().filter_map(|(_, target)| joined(SUMMARY, target)).collect();
    pages
        .iter()
        .filter(|page| page.path.starts_with(BOOK) && page.path != SUMMARY)
        .filter(|page| !listed.contains(&page.path))
        .map(|page| format!("{}: is not in `{SUMMARY}`", page.path))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    fn check(pages: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<Source> = pages.iter().map(|(path, text)| source(path, text)).collect();
        let exists = |path: &str| path == "LICENSE" || pages.iter().any(|(page, _)| *page == path);
        findings(&sources, &exists)
    }

    #[test]
    fn links_are_followed_from_the_page_they_stand_on() {
        let good = "[a](../../README.md) [b](./b.md) [c](https://example.com) [draft]() [d](../../LICENSE)";
        let summary = "[a](a.md)\n[b](b.md)";
        let pages = [(SUMMARY, summary), ("README.md", ""), ("docs/src/b.md", "")];
        assert_eq!(check(&[&pages[..], &[("docs/src/a.md", good)]].concat()), Vec::<String>::new());
        let bad = "fine\n[x](missing.md)";
        assert_eq!(
            check(&[&pages[..], &[("docs/src/a.md", bad)]].concat()),
            ["docs/src/a.md:2: link `missing.md` leads nowhere"]
        );
    }

    #[test]
    fn an_anchor_must_be_a_heading_of_the_page() {
        let text = "# The `flagbase` binary\n[up](#the-flagbase-binary)\n[no](#nothing)";
        let findings = check(&[("README.md", text)]);
        assert_eq!(findings, ["README.md:3: link `#nothing` names a heading that is not there"]);
    }

    #[test]
    fn code_is_not_searched_for_links() {
        let text = "`[x](missing.md)`\n```\n[x](missing.md)\n```\n";
        assert_eq!(check(&[("README.md", text)]), Vec::<String>::new());
    }

    #[test]
    fn a_page_that_the_summary_forgot_is_a_finding() {
        let findings = check(&[(SUMMARY, "[a](a.md)"), ("docs/src/a.md", ""), ("docs/src/b.md", "")]);
        assert_eq!(findings, ["docs/src/b.md: is not in `docs/src/SUMMARY.md`"]);
    }

    #[test]
    fn a_link_cannot_leave_the_repository() {
        let findings = check(&[("README.md", "[x](../other/README.md)")]);
        assert_eq!(findings, ["README.md:1: link `../other/README.md` leaves the repository"]);
    }
}
