//! What people upload: JavaScript as it is, TypeScript without its types.

use flagbase_core::functions::PrepareError;

use super::erase;

/// Bytes that a source may have.
const LIMIT: usize = 1 << 20;

/// What a source is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    /// JavaScript: `.js`, `.mjs`.
    JavaScript,
    /// TypeScript: `.ts`, `.mts`.
    TypeScript,
    /// What is refused, and why.
    Foreign(&'static str),
}

impl Language {
    /// Which language a file of this name is in.
    pub(super) fn of(name: &str) -> Option<Self> {
        let (_, extension) = name.rsplit_once('.')?;
        Some(match extension.to_ascii_lowercase().as_str() {
            "js" | "mjs" => Self::JavaScript,
            "ts" | "mts" => Self::TypeScript,
            "jsx" | "tsx" => Self::Foreign(
                "JSX is not understood; build it first, as with `npx esbuild index.jsx --bundle --format=esm --external:flagbase --outfile=bundle.js`",
            ),
            "cjs" | "cts" => Self::Foreign(
                "modules of CommonJS are not understood; write `export` instead of `module.exports`",
            ),
            _ => return None,
        })
    }
}

/// The source as JavaScript, each line where it was.
pub(super) fn plain(name: &str, source: &[u8]) -> Result<String, PrepareError> {
    if source.len() > LIMIT {
        return Err(PrepareError::TooMuch(format!(
            "`{name}` has {} bytes; a source may have {LIMIT}. Bundle less, or minify it",
            source.len()
        )));
    }
    let text = std::str::from_utf8(source).map_err(|error| {
        let line = source.iter().take(error.valid_up_to()).filter(|byte| **byte == b'\n').count() + 1;
        PrepareError::Rejected(format!("{name}:{line}: the source is not UTF-8; save it as UTF-8"))
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match Language::of(name) {
        Some(Language::TypeScript) => erase::strip(name, text),
        Some(Language::Foreign(why)) => {
            Err(PrepareError::Rejected(format!("`{name}` cannot be deployed: {why}")))
        }
        Some(Language::JavaScript) | None => Ok(text.to_owned()),
    }
}
