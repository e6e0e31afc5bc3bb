//! What functions need: a place for what is compiled of their code, and the key of their secrets.

use std::io;
use std::path::Path;

use super::Finding;
use crate::app::functions::{cache, key_path};
use crate::config::{Config, Driver};
use crate::{place, private_file};

/// All findings about functions.
pub(super) fn checks(config: &Config) -> Vec<Finding> {
    let mut findings = vec![key(config)];
    match config.compute.driver {
        Driver::Wasm => findings.push(compiled(config)),
        Driver::None => {
            findings.push(Finding::good("functions", "`compute.driver` is `none`: they are not run"));
        }
        Driver::Firecracker => {}
    }
    findings
}

/// Whether files can be written to a directory, or to where it will be made.
pub(super) fn directory(check: &'static str, path: &Path, key: &str) -> Finding {
    let shown = place::absolute(path).display().to_string();
    if !path.exists() {
        return Finding::good(check, format!("`{shown}` is made at the first start"));
    }
    match tempfile::tempfile_in(path) {
        Ok(_) => Finding::good(check, format!("`{shown}` is writable")),
        Err(error) => Finding::bad(
            check,
            format!("`{shown}` cannot be written ({error}); make it writable, or choose another with {key}"),
        ),
    }
}

/// Compiled code is run as it is: nobody else may write there.
fn compiled(config: &Config) -> Finding {
    let path = cache(config);
    match exposed(&path) {
        Ok(true) => {
            let shown = path.display();
            Finding::bad("compiled code", format!("others can write to `{shown}`; run `chmod go-w {shown}`"))
        }
        Ok(false) => directory("compiled code", &path, "`functions.cache_path`"),
        Err(error) if is_absent(&error) => {
            Finding::good("compiled code", format!("`{}` is made when it is needed", path.display()))
        }
        Err(error) => Finding::bad("compiled code", format!("`{}`: {error}", path.display())),
    }
}

fn exposed(path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(std::fs::metadata(path)?.permissions().mode() & 0o022 != 0)
}

fn key(config: &Config) -> Finding {
    const CHECK: &str = "key of secrets";
    let path = key_path(config);
    let shown = place::absolute(&path).display().to_string();
    if !config.functions.secrets_key.reveal().is_empty() {
        return Finding::good(CHECK, "configured");
    }
    match private_file::is_exposed(&path) {
        Ok(false) => Finding::good(CHECK, format!("kept in `{shown}`; keep a copy beside your backups")),
        Ok(true) => Finding::bad(CHECK, format!("others can read it; run `chmod 600 {shown}`")),
        Err(error) if is_absent(&error) => {
            Finding::good(CHECK, format!("is made at the first start, in `{shown}`"))
        }
        Err(error) => Finding::bad(CHECK, format!("`{shown}`: {error}")),
    }
}

/// A data directory that is none is told by another check.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_directory_that_others_write_to_is_no_place_for_compiled_code() {
        let place = tempfile::tempdir().unwrap();
        std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(exposed(place.path()).unwrap());
        std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        assert!(!exposed(place.path()).unwrap());
        assert!(exposed(&place.path().join("nothing")).is_err());
    }

    #[test]
    fn a_directory_is_good_when_it_can_be_written_or_made() {
        let place = tempfile::tempdir().unwrap();
        assert_eq!(directory("storage", place.path(), "").verdict, Verdict::Good);
        assert_eq!(directory("storage", &place.path().join("later"), "").verdict, Verdict::Good);
        let file = place.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(directory("storage", &file, "`storage.base_path`").verdict, Verdict::Bad);
    }
}
