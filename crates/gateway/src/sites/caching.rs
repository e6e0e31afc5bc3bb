//! How long browsers and caches on the way may keep what is sent.

use std::borrow::Cow;

use flagbase_core::gateway::{Choice, Require};
use http::HeaderValue;

/// Seconds that something may be kept whose address does not name its content.
const SHORT: &str = "max-age=300";

/// Seconds that something may be kept whose address names its content: a year.
const LONG: &str = "max-age=31536000, immutable";

/// Fewer characters are no hash.
const SHORTEST_HASH: usize = 8;

/// Who may be shown the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Caching {
    /// Whether a flag chose the release: somebody else, or the same person a moment later, may get another one.
    pub(super) chosen: bool,
    /// Whether everybody is let in.
    pub(super) open: bool,
}

impl Caching {
    pub(super) fn of(choice: &Choice) -> Self {
        Self { chosen: choice.variant.is_some(), open: choice.route.route.require == Require::Anyone }
    }

    /// `Cache-Control` of an object called `name`; `own` is what its writer said.
    pub(super) fn of_object(self, own: Option<&str>, name: &str, kind: &str) -> HeaderValue {
        let value = self.control(own.map(str::trim).filter(|own| !own.is_empty()), name, kind);
        HeaderValue::try_from(value.as_ref()).unwrap_or(HeaderValue::from_static("private, no-cache"))
    }

    /// `Cache-Control` of what stands at an address only for now.
    pub(super) fn of_what_may_change(self) -> HeaderValue {
        HeaderValue::from_static(if self.is_personal() { "private, no-cache" } else { "no-cache" })
    }

    fn is_personal(self) -> bool {
        self.chosen || !self.open
    }

    fn control<'a>(self, own: Option<&'a str>, name: &str, kind: &str) -> Cow<'a, str> {
        let hashed = is_hashed(name);
        match own {
            Some(own) if !self.is_personal() || (self.open && hashed) => own.into(),
            Some(own) if has(own, "no-store") => "no-store".into(),
            // A page that a browser kept would show a release that was taken back.
            _ if self.chosen && !hashed && (own.is_none() || is_page(kind)) => "private, no-cache".into(),
            Some(own) => personal(own).into(),
            None if hashed => format!("{}, {LONG}", self.word()).into(),
            None if is_page(kind) => if self.open { "no-cache" } else { "private, no-cache" }.into(),
            None => format!("{}, {SHORT}", self.word()).into(),
        }
    }

    fn word(self) -> &'static str {
        if self.open { "public" } else { "private" }
    }
}

/// The same for the browser alone.
fn personal(own: &str) -> String {
    let kept = own.split(',').map(str::trim).filter(|word| {
        let lower = word.to_ascii_lowercase();
        !(lower.is_empty() || lower == "public" || lower == "private" || lower.starts_with("s-maxage"))
    });
    ["private"].into_iter().chain(kept).collect::<Vec<_>>().join(", ")
}

fn has(own: &str, directive: &str) -> bool {
    own.split(',').any(|word| word.trim().eq_ignore_ascii_case(directive))
}

/// Whether a media type is one of pages, which lead to everything else.
pub(super) fn is_page(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("text/html") || kind.eq_ignore_ascii_case("application/xhtml+xml")
}

/// Whether a file name carries a hash of the content, as bundlers write it: `app.3f2a8c91.js`, `index-BkzRx9zO.js`. A hash
/// that is not recognised is only kept for a shorter time; what merely looks like one would be kept for too long, so years
/// and words with a digit do not count.
fn is_hashed(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or_default();
    let Some((stem, _)) = file.rsplit_once('.') else { return false };
    stem.split(['.', '-', '_']).any(|word| {
        let any = |is: fn(&u8) -> bool| word.as_bytes().iter().any(is);
        let all = |is: fn(&u8) -> bool| word.as_bytes().iter().all(is);
        let digit = any(u8::is_ascii_digit);
        let hex =
            all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte)) && any(u8::is_ascii_lowercase);
        let mixed =
            all(u8::is_ascii_alphanumeric) && any(u8::is_ascii_lowercase) && any(u8::is_ascii_uppercase);
        word.len() >= SHORTEST_HASH && digit && (hex || mixed)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Caching = Caching { chosen: false, open: true };
    const CHOSEN: Caching = Caching { chosen: true, open: true };
    const ROLES: Caching = Caching { chosen: false, open: false };

    fn control(caching: Caching, own: Option<&str>, name: &str) -> String {
        let kind = flagbase_core::buckets::media_type(name).unwrap_or("application/octet-stream");
        caching.of_object(own, name, kind).to_str().unwrap().to_owned()
    }

    #[test]
    fn pages_are_asked_for_again_and_hashed_names_never() {
        for (name, open, chosen, roles) in [
            ("r/index.html", "no-cache", "private, no-cache", "private, no-cache"),
            ("r/app.js", "public, max-age=300", "private, no-cache", "private, max-age=300"),
            (
                "r/app.3f2a8c91.js",
                "public, max-age=31536000, immutable",
                "public, max-age=31536000, immutable",
                "private, max-age=31536000, immutable",
            ),
        ] {
            assert_eq!(control(OPEN, None, name), open, "{name}");
            assert_eq!(control(CHOSEN, None, name), chosen, "{name}");
            assert_eq!(control(ROLES, None, name), roles, "{name}");
        }
    }

    #[test]
    fn what_the_writer_said_counts_unless_it_would_show_one_persons_release_to_another() {
        let said = Some("public, max-age=60, s-maxage=600");
        assert_eq!(control(OPEN, said, "a.js"), "public, max-age=60, s-maxage=600");
        assert_eq!(control(CHOSEN, said, "a.js"), "private, max-age=60");
        assert_eq!(control(ROLES, said, "a.html"), "private, max-age=60");
        assert_eq!(control(CHOSEN, said, "a.html"), "private, no-cache");
        assert_eq!(control(CHOSEN, Some("No-Store"), "a.html"), "no-store");
        assert_eq!(control(CHOSEN, Some("public, immutable"), "a-BkzRx9zO.js"), "public, immutable");
        assert_eq!(control(OPEN, Some(" "), "a.js"), "public, max-age=300");
    }

    #[test]
    fn a_hash_is_told_from_words_and_years() {
        for name in
            ["app.3f2a8c91.js", "index-BkzRx9zO.js", "a/3f2a8c91d0aa.css", "x.0123456789abcdef.chunk.js"]
        {
            assert!(is_hashed(name), "{name}");
        }
        for name in [
            "app.js",
            "jquery-3.6.0.min.js",
            "report-20240101.pdf",
            "photo-img12345.jpg",
            "photo.12345678",
            "deadbeef-cafe.js",
            "README",
            "3f2a8c91.d/app.js",
        ] {
            assert!(!is_hashed(name), "{name}");
        }
    }
}
