//! The first administrator: from the environment of a container, or by a one-time token that a start tells.

use flagbase_core::identity::{Credentials, Identity, Invited};

use crate::config::{Config, Environment};
use crate::exit::{Failure, Outcome};
use crate::private_file;

/// Makes sure that there is a way to the first administrator. Returns the setup token when one is needed; it is also
/// written to `<data_dir>/setup-token`, readable by its owner alone, for those who do not see the output.
pub(crate) async fn prepare(
    identity: &Identity,
    config: &Config,
    environment: &Environment,
) -> Outcome<Option<Invited>> {
    if identity.needs_setup().await?
        && let Some(credentials) = given(environment)?
    {
        let admin = identity.create_admin(credentials).await?;
        tracing::info!(email = %admin.email, "the administrator named by the environment was made");
    }
    if !identity.needs_setup().await? {
        forget(config);
        return Ok(None);
    }
    let invited = identity.setup_token().await?;
    keep(config, &invited)?;
    Ok(Some(invited))
}

/// Writes the token where the owner of the data directory finds it.
pub(crate) fn keep(config: &Config, invited: &Invited) -> Outcome {
    let path = config.server.data_dir.join("setup-token");
    private_file::write(&path, format!("{}\n", invited.token).as_bytes())
        .map_err(|error| Failure::plain(format!("`{}` cannot be written: {error}", path.display())))
}

/// Removes a token that is of no use any more.
pub(crate) fn forget(config: &Config) {
    let path = config.server.data_dir.join("setup-token");
    if path.exists() {
        // A token that stays is void, so that it does no harm.
        drop(std::fs::remove_file(path));
    }
}

/// `FLAGBASE_ADMIN_EMAIL` with `FLAGBASE_ADMIN_PASSWORD_FILE`, as container platforms offer them.
fn given(environment: &Environment) -> Outcome<Option<Credentials>> {
    let Some(email) = environment.get("FLAGBASE_ADMIN_EMAIL") else {
        return Ok(None);
    };
    let password =
        match (environment.get("FLAGBASE_ADMIN_PASSWORD_FILE"), environment.get("FLAGBASE_ADMIN_PASSWORD")) {
            (Some(file), _) => std::fs::read_to_string(file).map_err(|error| {
                Failure::usage(format!(
                    "`{file}`, named by FLAGBASE_ADMIN_PASSWORD_FILE, cannot be read: {error}"
                ))
            })?,
            (None, Some(password)) => password.to_owned(),
            (None, None) => {
                return Err(Failure::usage("FLAGBASE_ADMIN_EMAIL needs a password beside it")
                    .hint("set FLAGBASE_ADMIN_PASSWORD_FILE to a file that holds one"));
            }
        };
    let password = password.trim_end_matches(['\r', '\n']).to_owned();
    Ok(Some(Credentials { email: email.to_owned(), password }))
}
