//! Files stay small enough to be read in one sitting.

use std::fmt;

use super::Source;

const HARD_LIMIT: usize = 800;
const NINETIETH_LIMIT: usize = 450;

/// How long the Rust files of the workspace are.
pub(super) struct Figures {
    files: Vec<(usize, String)>,
    lines_of_tests: usize,
}

impl Figures {
    pub(super) fn of(sources: &[Source]) -> Self {
        let rust = || sources.iter().filter(|source| source.is("rs"));
        let mut files: Vec<_> =
            rust().map(|source| (source.text.lines().count(), source.path.clone())).collect();
        files.sort();
        Self { files, lines_of_tests: rust().map(lines_of_tests).sum() }
    }

    pub(super) fn findings(&self) -> Vec<String> {
        let mut findings: Vec<String> = self
            .files
            .iter()
            .filter(|(lines, _)| *lines > HARD_LIMIT)
            .map(|(lines, path)| format!("{path}: {lines} lines, split it below {HARD_LIMIT}"))
            .collect();
        let ninetieth = self.percentile(90);
        if ninetieth > NINETIETH_LIMIT {
            findings.push(format!(
                "one Rust file in ten has more than {ninetieth} lines, the limit is {NINETIETH_LIMIT}"
            ));
        }
        findings
    }

    fn total(&self) -> usize {
        self.files.iter().map(|(lines, _)| lines).sum()
    }

    /// The length that `percent` of the files do not exceed; 0 without files.
    fn percentile(&self, percent: usize) -> usize {
        let rank = (self.files.len() * percent).div_ceil(100).saturating_sub(1);
        self.files.get(rank).map_or(0, |(lines, _)| *lines)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (longest, path) = self.files.last().cloned().unwrap_or_default();
        write!(
            out,
            "{} Rust files, {} lines, {} % tests; median {}, p90 {}, longest {longest} ({path})",
            self.files.len(),
            self.total(),
            self.lines_of_tests * 100 / self.total().max(1),
            self.percentile(50),
            self.percentile(90),
        )
    }
}

/// Test files count whole, others from their test module on: it stands last.
fn lines_of_tests(source: &Source) -> usize {
    let whole = source.path.contains("/tests/")
        || source.path.ends_with("/tests.rs")
        || source.path.starts_with("crates/testkit/");
    let lines = || source.text.lines();
    if whole {
        return lines().count();
    }
    let inline = |line: &str| line.starts_with("mod ") && line.ends_with('{');
    let marker = format!("#[cfg({})]", "test");
    let start = lines().zip(lines().skip(1)).position(|(line, next)| line == marker && inline(next));
    start.map_or(0, |start| lines().count() - start)
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    fn file(path: &str, lines: usize) -> Source {
        source(path, &"x\n".repeat(lines))
    }

    #[test]
    fn a_file_at_the_limit_passes_and_one_line_more_does_not() {
        let figures = Figures::of(&[file("a.rs", HARD_LIMIT), file("b.rs", HARD_LIMIT + 1)]);
        let findings = figures.findings();
        assert!(findings.iter().any(|finding| finding.starts_with("b.rs: 801 lines")));
        assert!(!findings.iter().any(|finding| finding.starts_with("a.rs")));
    }

    #[test]
    fn many_long_files_are_a_finding_although_each_is_within_the_hard_limit() {
        let mut files: Vec<_> = (0..8).map(|n| file(&format!("{n}.rs"), 10)).collect();
        files.push(file("x.rs", 500));
        assert_eq!(Figures::of(&files).findings().len(), 1);
        files.push(file("y.rs", 500));
        files.extend((10..30).map(|n| file(&format!("{n}.rs"), 10)));
        assert_eq!(Figures::of(&files).findings(), Vec::<String>::new());
    }

    #[test]
    fn other_languages_may_be_as_long_as_they_like() {
        assert_eq!(Figures::of(&[file("a.json", 5000)]).findings(), Vec::<String>::new());
    }

    #[test]
    fn a_test_module_counts_to_the_end_of_its_file() {
        let text = format!("fn a() {{}}\n\n#[cfg({})]\nmod tests {{\n}}\n", "test");
        assert_eq!(lines_of_tests(&source("src/a.rs", &text)), 3);
        assert_eq!(lines_of_tests(&source("src/a/tests.rs", "a\nb\n")), 2);
        assert_eq!(lines_of_tests(&source("src/a.rs", "fn a() {}\n")), 0);
    }

    #[test]
    fn the_figures_of_nothing_are_zero() {
        let figures = Figures::of(&[]);
        assert_eq!(figures.findings(), Vec::<String>::new());
        assert!(figures.to_string().starts_with("0 Rust files, 0 lines, 0 % tests"));
    }
}
