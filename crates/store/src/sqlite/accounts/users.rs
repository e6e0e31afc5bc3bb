//! Users.

use flagbase_core::accounts::{AccountsError, User, UserPage, UserRef};
use rusqlite::{Connection, Row, named_params, params};

use super::{Written, constraint, one};
use crate::sqlite::{
    columns::{count, folded, json, nanos, signed, text, time},
    fault::Fault,
};

/// The columns of a user, for a query that calls the table `users`.
pub(super) const COLUMNS: &str = "users.id AS user_id, email, password_hash, role, groups, grants, \
     disabled, users.created_at AS user_created_at, updated_at, version";

/// An owned [`UserRef`].
pub(super) enum Lookup {
    Id(String),
    Email(String),
}

impl From<UserRef<'_>> for Lookup {
    fn from(by: UserRef<'_>) -> Self {
        match by {
            UserRef::Id(id) => Self::Id(id.to_owned()),
            UserRef::Email(email) => Self::Email(folded(email)),
        }
    }
}

pub(super) fn find(connection: &Connection, by: &Lookup) -> Result<Option<User>, Fault> {
    let (column, value) = match by {
        Lookup::Id(id) => ("id", id),
        Lookup::Email(email) => ("email_key", email),
    };
    let sql = format!("SELECT {COLUMNS} FROM users WHERE users.{column} = ?1");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([value])?;
    rows.next()?.map(user).transpose()
}

pub(super) fn list(connection: &Connection, page: &UserPage) -> Result<Vec<User>, Fault> {
    let sql = format!(
        "SELECT {COLUMNS} FROM users WHERE email_key > ?1 \
         AND (?2 = '' OR instr(email_key, ?2) > 0) ORDER BY email_key LIMIT ?3"
    );
    let after = folded(page.after.as_deref().unwrap_or_default());
    let search = folded(page.search.as_deref().unwrap_or_default());
    let mut statement = connection.prepare_cached(&sql)?;
    statement.query_and_then(params![after, search, page.limit], user)?.collect()
}

pub(super) fn has_admin(connection: &Connection) -> Result<bool, Fault> {
    let sql = "SELECT EXISTS (SELECT 1 FROM users WHERE role = 'admin' AND disabled = 0)";
    Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

pub(super) fn create(connection: &Connection, user: &User) -> Written<()> {
    let sql = "INSERT INTO users (id, email, email_key, password_hash, role, groups, grants, \
         disabled, created_at, updated_at, version) \
         VALUES (:id, :email, :email_key, :password_hash, :role, :groups, :grants, \
         :disabled, :created_at, :updated_at, :version)";
    connection
        .prepare_cached(sql)?
        .execute(named_params! {
            ":id": user.id,
            ":email": user.email,
            ":email_key": folded(&user.email),
            ":password_hash": user.password_hash,
            ":role": user.role,
            ":groups": text(&user.groups)?,
            ":grants": text(&user.grants)?,
            ":disabled": user.disabled,
            ":created_at": nanos(user.created_at),
            ":updated_at": nanos(user.updated_at),
            ":version": signed(user.version),
        })
        .map_err(|error| constraint(error, AccountsError::Exists))?;
    Ok(())
}

pub(super) fn update(connection: &Connection, user: &User) -> Written<()> {
    let sql = "UPDATE users SET email = :email, email_key = :email_key, \
         password_hash = :password_hash, role = :role, groups = :groups, grants = :grants, \
         disabled = :disabled, updated_at = :updated_at, version = version + 1 \
         WHERE id = :id AND version = :version";
    let rows = connection
        .prepare_cached(sql)?
        .execute(named_params! {
            ":id": user.id,
            ":email": user.email,
            ":email_key": folded(&user.email),
            ":password_hash": user.password_hash,
            ":role": user.role,
            ":groups": text(&user.groups)?,
            ":grants": text(&user.grants)?,
            ":disabled": user.disabled,
            ":updated_at": nanos(user.updated_at),
            ":version": signed(user.version),
        })
        .map_err(|error| constraint(error, AccountsError::Exists))?;
    one(rows)
}

/// Removes a user; his sessions go with him (a foreign key sees to it).
pub(super) fn delete(connection: &Connection, id: &str, version: u64) -> Written<()> {
    let sql = "DELETE FROM users WHERE id = ?1 AND version = ?2";
    one(connection.prepare_cached(sql)?.execute(params![id, signed(version)])?)
}

pub(super) fn user(row: &Row<'_>) -> Result<User, Fault> {
    Ok(User {
        id: row.get("user_id")?,
        email: row.get("email")?,
        password_hash: row.get("password_hash")?,
        role: row.get("role")?,
        groups: json(row, "groups")?,
        grants: json(row, "grants")?,
        disabled: row.get("disabled")?,
        created_at: time(row, "user_created_at")?,
        updated_at: time(row, "updated_at")?,
        version: count(row, "version")?,
    })
}
