//! The line that an error is about, shown below it with a mark under the place.

use flagbase_core::functions::PrepareError;

/// Characters of a line that are shown at most: bundles have lines without end.
const SHOWN: usize = 100;

/// What people do who have several files, or packages.
const BUNDLE: &str = "`npx esbuild … --bundle --format=esm --external:flagbase`";

/// Names of `CommonJS` that modules do not have.
const FOREIGN: [&str; 5] = ["require", "module", "exports", "__dirname", "process"];

/// `error` with the line of `source` that it names, and with what to do where that is known.
pub(super) fn shown(error: PrepareError, name: &str, source: &str) -> PrepareError {
    let PrepareError::Rejected(text) = error else { return error };
    let said = place(&text, name);
    let found = if said.is_none() { imported(&text, source) } else { None };
    let parts = [
        text.clone(),
        found.map(|(line, column)| format!("\n    at {name}:{line}:{column}")).unwrap_or_default(),
        advice(&text).unwrap_or_default(),
        said.or(found).and_then(|at| excerpt(source, at)).unwrap_or_default(),
    ];
    PrepareError::Rejected(parts.concat())
}

/// The first `name:line:column` in a text.
fn place(text: &str, name: &str) -> Option<(usize, usize)> {
    let (_, rest) = text.split_once(&format!("{name}:"))?;
    let (line, rest) = rest.split_once(':')?;
    let column: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((line.parse().ok()?, column.parse().ok()?))
}

/// Where the module is named that cannot be imported: the interpreter does not say.
fn imported(text: &str, source: &str) -> Option<(usize, usize)> {
    let (_, rest) = text.split_once(": `")?;
    let (module, _) = rest.split_once("` cannot be imported")?;
    let at = ['\'', '"'].iter().filter_map(|quote| source.find(&format!("{quote}{module}{quote}"))).min()?;
    let before = source.get(..at)?;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Some((before.matches('\n').count() + 1, column))
}

fn advice(text: &str) -> Option<String> {
    let name = text.strip_prefix("ReferenceError: ")?.split(' ').next()?;
    FOREIGN.contains(&name).then(|| {
        format!(
            "\n`{name}` belongs to Node: a function is a module that has `import` and `export`, and only what the web \
             has; {BUNDLE} makes one of packages"
        )
    })
}

/// The line, and a mark below the column.
fn excerpt(source: &str, (line, column): (usize, usize)) -> Option<String> {
    let whole: Vec<char> = source.lines().nth(line.checked_sub(1)?)?.chars().collect();
    let at = column.checked_sub(1)?.min(whole.len());
    let from = if whole.len() <= SHOWN { 0 } else { at.saturating_sub(SHOWN / 2) };
    let part: String = whole.iter().skip(from).take(SHOWN).collect();
    // A tab is as wide below as above.
    let indent: String =
        whole.iter().skip(from).take(at - from).map(|c| if *c == '\t' { '\t' } else { ' ' }).collect();
    let number = line.to_string();
    let margin = " ".repeat(number.len());
    Some(format!("\n\n{number} | {}\n{margin} | {indent}^", part.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, source: &str) -> String {
        shown(PrepareError::Rejected(text.to_owned()), "a.js", source).to_string()
    }

    #[test]
    fn the_line_is_shown_with_a_mark_under_the_place() {
        let text = said("SyntaxError: no\n    at a.js:2:11", "let a;\n\tlet b = = 1;\n");
        assert_eq!(text, "SyntaxError: no\n    at a.js:2:11\n\n2 | \tlet b = = 1;\n  | \t         ^");
    }

    #[test]
    fn of_an_endless_line_only_what_is_near_is_shown() {
        let text = said("x\n    at a.js:1:5001", &format!("{}!{}", "a".repeat(5000), "b".repeat(5000)));
        let lines: Vec<_> = text.lines().skip(3).collect();
        assert_eq!(lines[0].chars().count(), SHOWN + 4);
        assert_eq!(lines[0].find('!'), lines[1].find('^'));
    }

    #[test]
    fn a_module_that_cannot_be_imported_is_found_where_it_is_named() {
        let text = said("SyntaxError: `b` cannot be imported: bundle", "// hm\nimport b from 'b';");
        assert_eq!(
            text,
            "SyntaxError: `b` cannot be imported: bundle\n    at a.js:2:15\n\n2 | import b from 'b';\n  |               ^"
        );
    }

    #[test]
    fn what_only_node_has_is_explained() {
        assert!(said("ReferenceError: require is not defined", "require('a')").contains("belongs to Node"));
        assert!(!said("ReferenceError: foo is not defined", "foo").contains("Node"));
    }

    #[test]
    fn a_place_that_is_not_there_is_not_shown() {
        for text in ["x", "x at a.js:9:1", "x at a.js:0:0", "x at a.js:1", "x at b.js:1:1"] {
            assert_eq!(said(text, "let a;"), text);
        }
    }
}
