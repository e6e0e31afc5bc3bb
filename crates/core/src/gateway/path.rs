//! Paths, made unambiguous before anything is matched against them.
//!
//! What a route is matched against must be what the backend acts on; else `/public/../admin` would be admitted as
//! public and served as admin. So the cleaned path is matched *and* forwarded.

use std::borrow::Cow;

/// Why a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// Does not begin with `/`.
    #[error("the path must begin with `/`")]
    NotAbsolute,
    /// A `%` without two hex digits.
    #[error("the path holds a `%` that is not followed by two hex digits")]
    BadEscape,
    /// `%2F`, `%5C` or a backslash: servers disagree on whether that separates segments.
    #[error("the path holds an encoded slash or a backslash, which servers read differently; use `/`")]
    Separator,
    /// A control character, encoded or not.
    #[error("the path holds a control character")]
    Control,
    /// `..;` or `.;`, which some servers read as a dot segment.
    #[error("the path holds a dot segment with parameters")]
    DotParameter,
}

/// `path` (without query) with unreserved characters decoded, escapes in upper case, repeated slashes merged and dot
/// segments resolved. Borrowed when nothing had to change.
pub fn clean(path: &str) -> Result<Cow<'_, str>, PathFault> {
    if !path.starts_with('/') {
        return Err(PathFault::NotAbsolute);
    }
    if is_clean(path.as_bytes())? {
        return Ok(Cow::Borrowed(path));
    }
    let decoded = decode(path.as_bytes())?;
    resolve(&decoded).map(Cow::Owned)
}

/// Whether nothing needs a closer look: no escape, no `//`, no segment that begins with a dot.
fn is_clean(path: &[u8]) -> Result<bool, PathFault> {
    let mut before = 0;
    let mut clean = true;
    for &byte in path {
        match byte {
            b'\\' => return Err(PathFault::Separator),
            0..=0x20 | 0x7f => return Err(PathFault::Control),
            b'%' => clean = false,
            b'/' | b'.' if before == b'/' => clean = false,
            _ => {}
        }
        before = byte;
    }
    Ok(clean)
}

fn decode(path: &[u8]) -> Result<String, PathFault> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.iter();
    while let Some(&byte) = rest.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let (Some(high), Some(low)) = (hex(rest.next()), hex(rest.next())) else {
            return Err(PathFault::BadEscape);
        };
        match high << 4 | low {
            b'/' | b'\\' => return Err(PathFault::Separator),
            0..=0x1f | 0x7f => return Err(PathFault::Control),
            plain if plain.is_ascii_alphanumeric() || b"-._~".contains(&plain) => {
                decoded.push(plain);
            }
            other => decoded.extend(format!("%{other:02X}").bytes()),
        }
    }
    // The bytes come from a `str`, and only ASCII was put in the place of ASCII.
    String::from_utf8(decoded).map_err(|_| PathFault::BadEscape)
}

fn hex(digit: Option<&u8>) -> Option<u8> {
    let value = char::from(*digit?).to_digit(16)?;
    u8::try_from(value).ok()
}

fn resolve(path: &str) -> Result<String, PathFault> {
    let mut resolved = String::with_capacity(path.len());
    let mut ends_in_directory = false;
    for segment in path.split('/').skip(1) {
        ends_in_directory = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => resolved.truncate(resolved.rfind('/').unwrap_or(0)),
            _ if segment.starts_with(".;") || segment.starts_with("..;") => {
                return Err(PathFault::DotParameter);
            }
            _ => {
                resolved.push('/');
                resolved.push_str(segment);
            }
        }
    }
    if ends_in_directory || resolved.is_empty() {
        resolved.push('/');
    }
    Ok(resolved)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ordinary_paths_are_left_alone_and_not_copied() {
        for path in ["/", "/a", "/a/b.html", "/a/b/", "/a;b=c/d", "/~x/-_.!$&'()*+,=:@"] {
            assert!(matches!(clean(path), Ok(Cow::Borrowed(same)) if same == path), "{path}");
        }
    }

    #[test]
    fn dot_segments_are_resolved_however_they_are_written() {
        for (path, expected) in [
            ("/gateway/../admin", "/admin"),
            ("/gateway/%2e%2e/admin", "/admin"),
            ("/gateway/.%2E/admin", "/admin"),
            ("/gateway/./x", "/gateway/x"),
            ("/a/b/../../..", "/"),
            ("/../../etc/passwd", "/etc/passwd"),
            ("/a/..", "/"),
            ("/a/b/..", "/a/"),
            ("/a/.", "/a/"),
            ("/a//b///c", "/a/b/c"),
            ("//", "/"),
            ("/..a/.b", "/..a/.b"),
        ] {
            assert_eq!(clean(path).as_deref(), Ok(expected), "{path}");
        }
    }

    #[test]
    fn escapes_of_plain_characters_do_not_hide_a_path() {
        assert_eq!(clean("/%61dmin").as_deref(), Ok("/admin"));
        assert_eq!(clean("/caf%c3%a9%20x").as_deref(), Ok("/caf%C3%A9%20x"));
        assert_eq!(clean("/%252e%252e/x").as_deref(), Ok("/%252e%252e/x"));
    }

    #[test]
    fn what_servers_read_differently_is_refused() {
        for (path, fault) in [
            ("/a%2fb", PathFault::Separator),
            ("/a%5Cb", PathFault::Separator),
            ("/a\\b", PathFault::Separator),
            ("/a%00", PathFault::Control),
            ("/a%0d%0ab", PathFault::Control),
            ("/a%7f", PathFault::Control),
            ("/a%", PathFault::BadEscape),
            ("/a%2", PathFault::BadEscape),
            ("/a%zz", PathFault::BadEscape),
            ("/a%+1", PathFault::BadEscape),
            ("/a/..;/admin", PathFault::DotParameter),
            ("/a/.;x/admin", PathFault::DotParameter),
            ("a", PathFault::NotAbsolute),
            ("", PathFault::NotAbsolute),
            ("*", PathFault::NotAbsolute),
        ] {
            assert_eq!(clean(path), Err(fault), "{path}");
        }
    }

    proptest! {
        #[test]
        fn cleaning_never_panics(path in ".*") {
            let _ = clean(&path);
        }

        #[test]
        fn a_clean_path_stays_as_it_is(path in "/([a-z./%]|%2[eEfF]|\\.\\.){0,20}") {
            if let Ok(once) = clean(&path) {
                let twice = clean(&once);
                prop_assert_eq!(twice.as_deref(), Ok(once.as_ref()));
            }
        }

        #[test]
        fn nothing_clean_climbs(path in "(/(\\.|\\.\\.|%2e|%2E%2e|a|b%20|)){0,10}") {
            if let Ok(clean) = clean(&path) {
                prop_assert!(clean.split('/').all(|segment| segment != ".." && segment != "."));
                prop_assert!(!clean.contains("//"));
            }
        }
    }
}
