//! Tags of buckets and objects.

use std::collections::BTreeMap;

/// What is wrong with tags, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagFault(pub String);

/// Whether these can be tags: at most `most`, names of 1 to 128 characters, values of at most 256.
pub fn check_tags(tags: &BTreeMap<String, String>, most: usize) -> Result<(), TagFault> {
    if tags.len() > most {
        return Err(TagFault(format!("there are {} tags, and may be {most}; use fewer", tags.len())));
    }
    let plain = |text: &str| !text.chars().any(char::is_control);
    for (name, value) in tags {
        if !(1..=128).contains(&name.chars().count()) || !plain(name) {
            return Err(TagFault("the name of a tag has 1 to 128 characters".to_owned()));
        }
        if value.chars().count() > 256 || !plain(value) {
            return Err(TagFault(format!(
                "the value of tag `{name}` has more than 256 characters, or odd ones"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_few_and_short() {
        let tags = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        assert_eq!(check_tags(&tags("team", ""), 1), Ok(()));
        for (tags, most) in [
            (tags("team", "x"), 0),
            (tags("", "x"), 1),
            (tags("a\nb", "x"), 1),
            (tags(&"ä".repeat(129), "x"), 1),
            (tags("team", &"ä".repeat(257)), 1),
        ] {
            assert!(check_tags(&tags, most).is_err(), "{tags:?}");
        }
        assert_eq!(check_tags(&tags(&"ä".repeat(128), &"ä".repeat(256)), 1), Ok(()));
    }
}
