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

    /// Position in a context.
    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Names every environment knows, in slot order.
const WELL_KNOWN: [&str; 9] = [
    "user_id",
    "email",
    "role",
    "groups",
    "tenant_id",
    "session_id",
    "anonymous",
    "environment",
    "ip",
];

/// Other names of `user_id`.
const ALIASES: [&str; 5] = ["userId", "key", "sub", "targeting_key", "targetingKey"];

/// The declared attributes of an environment: the well-known ones and its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes {
    custom: Vec<Box<str>>,
}

impl Attributes {
    /// The well-known attributes and these; repeated and well-known names are taken once.
    pub fn new<'a>(custom: impl IntoIterator<Item = &'a str>) -> Attributes {
        let mut attributes = Attributes { custom: Vec::new() };
        for name in custom {
            if attributes.slot(name).is_none() && !name.is_empty() {
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
