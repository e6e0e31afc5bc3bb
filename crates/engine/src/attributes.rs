//! What the callers of an environment can be told apart by.

/// Where a [`crate::Context`] keeps the value of one attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub(crate) u16);

impl Slot {
    /// Who the caller is.
    pub const USER_ID: Slot = Slot(0);
    /// The caller's address for mail.
    pub const EMAIL: Slot = Slot(1);
    /// The caller's role.
    pub const ROLE: Slot = Slot(2);
    /// The caller's groups, a list.
    pub const GROUPS: Slot = Slot(3);
    /// The caller's tenant.
    pub const TENANT_ID: Slot = Slot(4);
    /// The caller's session.
    pub const SESSION_ID: Slot = Slot(5);
    /// Whether the caller is nobody known.
    pub const ANONYMOUS: Slot = Slot(6);
    /// The environment the request is for.
    pub const ENVIRONMENT: Slot = Slot(7);
    /// The address the caller comes from.
    pub const IP: Slot = Slot(8);

    /// Where nothing is ever kept: the slot of conditions that ask about segments.
    pub(crate) const NONE: Slot = Slot(u16::MAX);

    /// Position in a context.
    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Names every environment knows, in slot order.
const WELL_KNOWN: [&str; 9] =
    ["user_id", "email", "role", "groups", "tenant_id", "session_id", "anonymous", "environment", "ip"];

/// Other names of `user_id`.
const ALIASES: [&str; 5] = ["userId", "key", "sub", "targeting_key", "targetingKey"];

/// The most attributes an environment can declare besides.
const MOST_CUSTOM: usize = 1000;

/// The declared attributes of an environment: the well-known ones and its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes {
    custom: Vec<Box<str>>,
}

impl Attributes {
    /// The well-known attributes and these, at most 1000; repeated and well-known names are taken once.
    pub fn new<'a>(custom: impl IntoIterator<Item = &'a str>) -> Attributes {
        let mut attributes = Attributes { custom: Vec::new() };
        for name in custom {
            let room = attributes.custom.len() < MOST_CUSTOM;
            if room && attributes.slot(name).is_none() && !name.is_empty() {
                attributes.custom.push(name.into());
            }
        }
        attributes
    }

    /// Where the attribute of this name, or of which this is another name, is kept.
    pub fn slot(&self, name: &str) -> Option<Slot> {
        if ALIASES.contains(&name) {
            return Some(Slot::USER_ID);
        }
        let position = self.names().position(|known| known == name)?;
        u16::try_from(position).ok().map(Slot)
    }

    /// All names, in slot order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        WELL_KNOWN.into_iter().chain(self.custom.iter().map(AsRef::as_ref))
    }

    /// The name kept in this slot.
    pub fn name(&self, slot: Slot) -> Option<&str> {
        self.names().nth(slot.index())
    }
}

impl Default for Attributes {
    fn default() -> Attributes {
        Attributes::new([])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_under_all_its_names() {
        let attributes = Attributes::default();
        for name in ["user_id", "userId", "key", "sub", "targeting_key", "targetingKey"] {
            assert_eq!(attributes.slot(name), Some(Slot::USER_ID), "{name}");
        }
    }

    #[test]
    fn well_known_attributes_are_where_the_constants_say() {
        let attributes = Attributes::default();
        assert_eq!(attributes.slot("email"), Some(Slot::EMAIL));
        assert_eq!(attributes.slot("role"), Some(Slot::ROLE));
        assert_eq!(attributes.slot("groups"), Some(Slot::GROUPS));
        assert_eq!(attributes.slot("tenant_id"), Some(Slot::TENANT_ID));
        assert_eq!(attributes.slot("session_id"), Some(Slot::SESSION_ID));
        assert_eq!(attributes.slot("anonymous"), Some(Slot::ANONYMOUS));
        assert_eq!(attributes.slot("environment"), Some(Slot::ENVIRONMENT));
        assert_eq!(attributes.slot("ip"), Some(Slot::IP));
        assert_eq!(attributes.name(Slot::IP), Some("ip"));
    }

    #[test]
    fn own_attributes_come_after_the_well_known_and_only_once() {
        let attributes = Attributes::new(["plan", "role", "userId", "", "plan", "country"]);
        let own: Vec<&str> = attributes.names().skip(9).collect();
        assert_eq!(own, ["plan", "country"]);
        assert_eq!(attributes.slot("country").and_then(|slot| attributes.name(slot)), Some("country"));
        assert_eq!(attributes.slot("colour"), None);
    }

    #[test]
    fn more_attributes_than_there_are_slots_are_not_taken() {
        let names: Vec<String> = (0..2000).map(|number| format!("a{number}")).collect();
        let attributes = Attributes::new(names.iter().map(String::as_str));
        assert!(attributes.slot("a999").is_some());
        assert!(attributes.slot("a1000").is_none());
    }
}
