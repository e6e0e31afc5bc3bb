//! Who may connect, as a configuration file says it.

use std::time::Duration;

use flagbase_nats::{Permissions, Responses, Rules, nkey::NKey};

use super::{
    ConfigError,
    section::{Problem, Section},
    syntax::Value,
};

/// Who may connect. Nobody is named: everybody may.
#[derive(Debug, Clone, Default)]
pub(crate) struct Authorization {
    pub(crate) users: Vec<User>,
}

/// One who may connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) secret: Secret,
    pub(crate) permissions: Permissions,
}

/// What proves who somebody is.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Secret {
    /// A name and a password, plain or hashed with bcrypt.
    Password { user: String, password: String },
    /// A text that only they know.
    Token(String),
    /// The private half of a key.
    NKey(NKey),
}

/// Whose word is trusted about accounts, and the accounts it named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Operator {
    /// The JWT of the operator.
    pub(crate) jwt: String,
    /// JWTs of accounts.
    pub(crate) accounts: Vec<String>,
}

/// Reads the block `authorization`: who may connect, and how long they may take to say who they are.
pub(super) fn read(mut section: Section) -> Result<(Authorization, Option<Duration>), ConfigError> {
    let timeout = section.duration(&["timeout"])?;
    let general = permissions(&mut section, &["default_permissions", "permissions"])?.unwrap_or_default();
    let mut users = Vec::new();
    if let Some(secret) = secret(&mut section)? {
        users.push(User { secret, permissions: general.clone() });
    }
    if let Some(list) = section.take(&["users"]) {
        let Value::List(list) = list else {
            return Err(section.wrong("users", Problem::Kind { found: list.kind(), expected: "a list" }));
        };
        for value in list {
            users.push(user(section.inner("users", value)?, &general)?);
        }
    }
    section.finish()?;
    Ok((Authorization { users }, timeout))
}

fn user(mut section: Section, general: &Permissions) -> Result<User, ConfigError> {
    let secret = secret(&mut section)?.ok_or_else(|| section.wrong("user", Problem::Missing))?;
    let permissions = permissions(&mut section, &["permissions", "permission", "authorization"])?
        .unwrap_or_else(|| general.clone());
    section.finish()?;
    Ok(User { secret, permissions })
}

fn secret(section: &mut Section) -> Result<Option<Secret>, ConfigError> {
    let user = section.text(&["user", "username"])?;
    let password = section.text(&["password", "pass"])?;
    if let Some(key) = section.text(&["nkey"])? {
        let key = key.parse().map_err(|error: flagbase_nats::nkey::InvalidNKey| {
            section.wrong("nkey", Problem::Unusable(error.to_string()))
        })?;
        return Ok(Some(Secret::NKey(key)));
    }
    if let Some(token) = section.text(&["token"])? {
        return Ok(Some(Secret::Token(token)));
    }
    match (user, password) {
        (None, None) => Ok(None),
        (Some(user), Some(password)) => Ok(Some(Secret::Password { user, password })),
        (Some(_), None) => Err(section.wrong("password", Problem::Missing)),
        (None, Some(_)) => Err(section.wrong("user", Problem::Missing)),
    }
}

fn permissions(section: &mut Section, names: &[&str]) -> Result<Option<Permissions>, ConfigError> {
    let Some(mut section) = section.block(names)? else { return Ok(None) };
    let mut permissions = Permissions {
        publish: rules(&mut section, &["publish", "pub", "import"])?,
        subscribe: rules(&mut section, &["subscribe", "sub", "export"])?,
        responses: responses(&mut section)?,
    };
    // Who may answer and is told nothing else may publish nothing else.
    if permissions.responses.is_some() {
        permissions.publish.allow.get_or_insert_default();
    }
    section.finish()?;
    Ok(Some(permissions))
}

fn rules(section: &mut Section, names: &[&str]) -> Result<Rules, ConfigError> {
    let name = names.first().copied().unwrap_or_default();
    match section.take(names) {
        None => Ok(Rules::default()),
        Some(value @ Value::Block(_)) => {
            let mut block = section.inner(name, value)?;
            let allow = block.texts(&["allow"])?;
            let deny = block.texts(&["deny"])?.unwrap_or_default();
            block.finish()?;
            Ok(Rules { allow, deny })
        }
        Some(value) => {
            let mut alone = Section::new(name, vec![("allow".to_owned(), value)]);
            Ok(Rules { allow: alone.texts(&["allow"])?, deny: Vec::new() })
        }
    }
}

fn responses(section: &mut Section) -> Result<Option<Responses>, ConfigError> {
    let value = match section.take(&["allow_responses", "allow_response"]) {
        None | Some(Value::Truth(false)) => return Ok(None),
        Some(Value::Truth(true)) => return Ok(Some(Responses::default())),
        Some(value) => value,
    };
    let mut block = section.inner("allow_responses", value)?;
    let default = Responses::default();
    let max = block.integer(&["max", "max_msgs"])?;
    let responses = Responses {
        // Below zero means any number.
        max: max.map_or(default.max, |max| usize::try_from(max).unwrap_or(usize::MAX)),
        expires_after: block.duration(&["expires", "expiration", "ttl"])?.unwrap_or(default.expires_after),
    };
    block.finish()?;
    Ok(Some(responses))
}

/// Reads the settings of an operator: who it is, and the accounts that are known.
pub(super) fn operator(section: &mut Section) -> Result<Option<Operator>, ConfigError> {
    let jwt = section.text(&["operator", "operators", "root", "roots"])?;
    let resolver = section.text(&["resolver", "account_resolver"])?;
    if resolver.is_some_and(|resolver| !resolver.eq_ignore_ascii_case("memory")) {
        return Err(section.wrong("resolver", Problem::Unusable("write `MEMORY`".to_owned())));
    }
    let preload = section.block(&["resolver_preload"])?;
    let mut accounts = Vec::new();
    for (key, value) in preload.map(Section::rest).unwrap_or_default() {
        match value {
            Value::Text(jwt) => accounts.push(jwt),
            other => {
                let problem = Problem::Kind { found: other.kind(), expected: "a text" };
                return Err(section.wrong(&format!("resolver_preload.{key}"), problem));
            }
        }
    }
    Ok(jwt.map(|jwt| Operator { jwt, accounts }))
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Password { user, .. } => {
                f.debug_struct("Password").field("user", user).finish_non_exhaustive()
            }
            Self::Token(_) => f.write_str("Token"),
            Self::NKey(key) => f.debug_tuple("NKey").field(key).finish(),
        }
    }
}
