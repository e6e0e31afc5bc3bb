//! What addresses, passwords and groups may look like.

use std::sync::Arc;

use flagbase_engine::Fault;

/// Passwords everybody tries first; shorter ones than eight characters are refused anyway.
const COMMON: &str = include_str!("common-passwords.txt");

const SHORTEST_PASSWORD: usize = 8;
const LONGEST_PASSWORD: usize = 256;
const LONGEST_EMAIL: usize = 254;
const LONGEST_LOCAL_PART: usize = 64;
const LONGEST_LABEL: usize = 63;
const MOST_GROUPS: usize = 32;
const LONGEST_GROUP: usize = 64;

/// The address in lower case; pushes a fault when it is none.
pub(super) fn email(text: &str, pointer: &str, faults: &mut Vec<Fault>) -> Arc<str> {
    if !is_email(text) {
        faults.push(fault(
            pointer,
            "expected an address such as `alice@example.com`, in ASCII, of at most 254 characters",
        ));
    }
    normal(text)
}

/// The form addresses are compared in.
pub(super) fn normal(email: &str) -> Arc<str> {
    email.to_ascii_lowercase().into()
}

fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let local_fits = (1..=LONGEST_LOCAL_PART).contains(&local.len())
        && local.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atom));
    let domain_fits = domain.split('.').all(|label| {
        (1..=LONGEST_LABEL).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    });
    text.len() <= LONGEST_EMAIL && local_fits && domain_fits
}

fn is_atom(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-".contains(&byte)
}

/// Pushes a fault when `password` is too easy to guess or too long.
pub(super) fn password(password: &str, email: &str, pointer: &str, faults: &mut Vec<Fault>) {
    let length = password.chars().count();
    let lower = password.to_lowercase();
    let local = email.split('@').next().unwrap_or_default();
    if !(SHORTEST_PASSWORD..=LONGEST_PASSWORD).contains(&length) {
        faults.push(fault(
            pointer,
            &format!(
                "is {length} characters long; use {SHORTEST_PASSWORD} to {LONGEST_PASSWORD}, any characters"
            ),
        ));
    } else if COMMON.lines().any(|common| common == lower) {
        faults.push(fault(
            pointer,
            "is one of the most common passwords; use another, such as a few random words",
        ));
    } else if lower == email || lower == local {
        faults.push(fault(pointer, "is the address itself; use another"));
    }
}

/// Whether a login with this password can be right at all; anything longer is not worth hashing.
pub(super) fn may_be_password(password: &str) -> bool {
    password.len() <= 4 * LONGEST_PASSWORD
}

/// The groups, each once; pushes a fault when one is no name.
pub(super) fn groups(names: &[String], pointer: &str, faults: &mut Vec<Fault>) -> Vec<Arc<str>> {
    if names.len() > MOST_GROUPS {
        faults.push(fault(pointer, &format!("has {} groups; {MOST_GROUPS} is the most", names.len())));
    }
    let mut groups: Vec<Arc<str>> = Vec::new();
    for (at, name) in names.iter().take(MOST_GROUPS).enumerate() {
        if !is_group(name) {
            faults.push(fault(
                &format!("{pointer}/{at}"),
                &format!(
                    "expected a name of 1 to {LONGEST_GROUP} characters without commas and control characters"
                ),
            ));
        } else if !groups.iter().any(|known| **known == **name) {
            groups.push(name.as_str().into());
        }
    }
    groups
}

fn is_group(name: &str) -> bool {
    (1..=LONGEST_GROUP).contains(&name.len())
        && name.trim() == name
        && !name.contains(|c: char| c == ',' || c.is_control())
}

/// A fault at `pointer`.
pub(super) fn fault(pointer: &str, message: &str) -> Fault {
    Fault { pointer: pointer.to_owned(), message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong_password(text: &str) -> bool {
        let mut faults = Vec::new();
        password(text, "alice@example.com", "/password", &mut faults);
        !faults.is_empty()
    }

    #[test]
    fn addresses_people_have_are_taken_in_lower_case() {
        for text in ["alice@example.com", "Alice.B+tag@Example.co.uk", "a@localhost", "o'neil@x-y.org"] {
            let mut faults = Vec::new();
            assert_eq!(*email(text, "/email", &mut faults), *text.to_lowercase());
            assert!(faults.is_empty(), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("{}@example.com", "a".repeat(65));
        let longer = format!("a@{}.com", "b.".repeat(140));
        for text in [
            "",
            "@",
            "alice",
            "alice@",
            "@example.com",
            "a b@example.com",
            "a@b@c",
            ".a@example.com",
            "a..b@example.com",
            "a@-x.com",
            "a@x..com",
            "a@example.com\n",
            "ä@example.com",
            "a@[127.0.0.1]",
            "\"a\"@example.com",
            &long,
            &longer,
        ] {
            let mut faults = Vec::new();
            email(text, "/email", &mut faults);
            assert_eq!(faults.len(), 1, "{text:?}");
        }
    }

    #[test]
    fn length_is_all_that_a_password_needs_besides_being_uncommon() {
        assert!(!wrong_password("xkqzwvjp"));
        assert!(!wrong_password(&"ä".repeat(256)));
        for text in
            ["", "short", &"a".repeat(257), "password1", "PassWord123", "12345678", "alice@example.com"]
        {
            assert!(wrong_password(text), "{text}");
        }
    }

    #[test]
    fn the_list_of_common_passwords_is_in_the_form_it_is_compared_in() {
        assert!(COMMON.lines().count() >= 150);
        for line in COMMON.lines() {
            assert!(line.len() >= SHORTEST_PASSWORD, "`{line}` is refused for its length already");
            assert_eq!(line, line.trim().to_lowercase());
        }
    }

    #[test]
    fn groups_are_names_each_kept_once() {
        let mut faults = Vec::new();
        let names = ["beta", "a b", "beta"].map(str::to_owned);
        assert_eq!(groups(&names, "/groups", &mut faults).len(), 2);
        assert!(faults.is_empty());
        let bad = ["", " x", "a,b", "a\nb"].map(str::to_owned);
        groups(&bad, "/groups", &mut faults);
        assert_eq!(faults.len(), 4);
        assert_eq!(faults[2].pointer, "/groups/2");
        faults.clear();
        groups(&vec!["g".to_owned(); 33], "/groups", &mut faults);
        assert_eq!(faults.len(), 1);
    }
}
