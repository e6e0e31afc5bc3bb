//! The secret that signs session tokens: configured, or generated once and kept. Other secrets are kept likewise.

use std::io;
use std::path::{Path, PathBuf};

use flagbase_core::identity;
use flagbase_core::random::Random;

use crate::config::{Config, Mode, SecretStrength};
use crate::exit::{Exit, Failure, Outcome};
use crate::{output, private_file};

/// Bytes of a generated secret: the size of an HS256 key.
const GENERATED_BYTES: usize = 32;

/// Where a generated secret is kept.
pub(crate) fn path(config: &Config) -> PathBuf {
    config.server.data_dir.join("secret.key")
}

/// The secret to sign with. Local mode without one of its own makes one and uses it again at the next start; other
/// modes have been refused without a good one when the configuration was checked.
pub(crate) fn secret(config: &Config, random: &dyn Random) -> Outcome<identity::Secret> {
    let given = config.iam.jwt_secret.as_ref();
    match (given, SecretStrength::of(given)) {
        (Some(secret), SecretStrength::Good | SecretStrength::Weak) => {
            Ok(identity::Secret::new(secret.reveal().as_bytes()))
        }
        _ if config.mode == Mode::Local => {
            let lost = "remove it: a new one is made at the next start, and everyone logs in again";
            let text = kept(&path(config), lost, || random.hex(GENERATED_BYTES))?;
            Ok(identity::Secret::new(text.into_bytes()))
        }
        _ => Err(Failure::new(Exit::Configuration, "`iam.jwt_secret` must be set outside local mode")),
    }
}

/// The secret that is kept in a file, made by `generate` when there is no such file; `lost` says what to do about one that
/// is damaged.
pub(crate) fn kept(path: &Path, lost: &'static str, generate: impl FnOnce() -> String) -> Outcome<String> {
    match std::fs::read_to_string(path) {
        Ok(text) if text.trim().len() >= GENERATED_BYTES => {
            if private_file::is_exposed(path).unwrap_or(false) {
                let name = path.display();
                output::warn(&format!("others can read `{name}`; run `chmod 600 {name}`"));
            }
            Ok(text.trim().to_owned())
        }
        Ok(_) => Err(Failure::plain(format!("`{}` holds no usable secret", path.display())).hint(lost)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => keep(path, generate()),
        Err(error) => Err(Failure::plain(format!("`{}` cannot be read: {error}", path.display()))
            .hint("make it readable for the user the server runs as")),
    }
}

fn keep(path: &Path, text: String) -> Outcome<String> {
    private_file::write(path, format!("{text}\n").as_bytes()).map_err(|error| {
        Failure::plain(format!("`{}` cannot be written: {error}", path.display()))
            .hint("make `server.data_dir` writable, or choose another directory")
    })?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use flagbase_core::random::{Random, SystemRandom};

    use super::*;

    fn kept(path: &Path) -> Outcome<String> {
        let random: &dyn Random = &SystemRandom;
        super::kept(path, "remove it", || random.hex(GENERATED_BYTES))
    }

    #[test]
    fn a_generated_secret_is_private_and_used_again() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("secret.key");
        let first = kept(&path).unwrap();
        assert!(!private_file::is_exposed(&path).unwrap());
        assert_eq!(std::fs::read_to_string(&path).unwrap().trim().len(), 64);
        assert!(first == kept(&path).unwrap());
        std::fs::remove_file(&path).unwrap();
        assert!(first != kept(&path).unwrap());
    }

    #[test]
    fn a_damaged_secret_is_not_replaced_silently() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("secret.key");
        std::fs::write(&path, "short").unwrap();
        let failure = kept(&path).unwrap_err();
        assert!(failure.to_string().contains("remove it"), "{failure}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "short");
    }
}
