//! Types taken out of TypeScript: each becomes blanks, so that everything else stays where it was.

mod remove;

use flagbase_core::functions::PrepareError;
use oxc_allocator::Allocator;
use oxc_ast_visit::Visit as _;
use oxc_parser::Parser;
use oxc_span::SourceType;

use remove::Remover;

/// TypeScript as JavaScript with the same lines and columns.
pub(super) fn strip(name: &str, source: &str) -> Result<String, PrepareError> {
    let arena = Allocator::default();
    let parsed = Parser::new(&arena, source, SourceType::ts().with_module(true)).parse();
    if let Some(wrong) = parsed.diagnostics.first() {
        let at = wrong.labels.first().map_or(0, |label| label.offset() as usize);
        return Err(refuse(name, source, (at, &wrong.message)));
    }
    let mut remover = Remover::new(source);
    remover.visit_program(&parsed.program);
    match remover.refused.first() {
        Some((at, why)) => Err(refuse(name, source, (*at, why))),
        None => Ok(blanked(source, remover.blanks)),
    }
}

/// Where, and what.
fn refuse(name: &str, source: &str, (at, why): (usize, &str)) -> PrepareError {
    let before = source.get(..at).unwrap_or(source);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    PrepareError::Rejected(format!("{name}:{line}:{column}: {why}"))
}

/// A piece of the source that goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Blank {
    start: usize,
    end: usize,
    /// What is written in place of its first byte.
    first: Option<char>,
    /// What is written in place of its last byte.
    last: Option<char>,
}

fn blanked(source: &str, mut blanks: Vec<Blank>) -> String {
    blanks.sort_unstable();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    for blank in blanks {
        if blank.end <= at {
            continue;
        }
        let start = blank.start.max(at);
        out.push_str(source.get(at..start).unwrap_or_default());
        let gone = source.get(start..blank.end).unwrap_or_default();
        for (index, character) in gone.char_indices() {
            let is_last = index + character.len_utf8() == gone.len();
            out.push(match (character, blank.first, blank.last) {
                (_, Some(first), _) if index == 0 => first,
                (_, _, Some(last)) if is_last => last,
                ('\n' | '\r', ..) => character,
                _ => ' ',
            });
        }
        at = blank.end;
    }
    out.push_str(source.get(at..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests;
