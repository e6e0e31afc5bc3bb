//! Which versions of Firecracker there are, and what each can do.

use std::{fmt, path::Path, process::Stdio, str::FromStr, time::Duration};

/// The oldest version that is supported.
pub const OLDEST: Version = Version { major: 1, minor: 10, patch: 0 };
/// The first version that can move a restored guest's clock on.
const MOVES_CLOCK: Version = Version { major: 1, minor: 16, patch: 0 };
/// How long a program may take to say its version.
const PATIENCE: Duration = Duration::from_secs(10);

/// A version of Firecracker or its jailer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Raised when what worked does not work any more.
    pub major: u32,
    /// Raised with what is new.
    pub minor: u32,
    /// Raised with repairs.
    pub patch: u32,
}

impl Version {
    /// Whether it is one that we know how to use.
    pub fn is_supported(self) -> bool {
        self >= OLDEST && self.major == OLDEST.major
    }

    /// Whether `clock_realtime` may be asked for when a snapshot is loaded.
    pub fn moves_clock(self) -> bool {
        self >= MOVES_CLOCK && cfg!(target_arch = "x86_64")
    }

    /// Asks `program` for its version.
    ///
    /// # Errors
    /// Says in a sentence what went wrong, and names the program.
    pub async fn of(program: &Path) -> Result<Self, String> {
        let shown = program.display();
        let output = tokio::process::Command::new(program)
            .arg("--version")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(PATIENCE, output)
            .await
            .map_err(|_| format!("`{shown} --version` does not end"))?
            .map_err(|error| format!("`{shown}` cannot be run: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        text.lines()
            .find_map(|line| line.split_whitespace().find_map(|word| word.parse().ok()))
            .ok_or_else(|| format!("`{shown} --version` does not say a version"))
    }
}

impl FromStr for Version {
    type Err = ();

    /// `v1.16.1`, `1.16.1` or `1.17.0-dev`.
    fn from_str(text: &str) -> Result<Self, ()> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let text = text.split_once('-').map_or(text, |(numbers, _)| numbers);
        let mut numbers = text.split('.').map(str::parse::<u32>);
        match (numbers.next(), numbers.next(), numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch)), None) => Ok(Self { major, minor, patch }),
            _ => Err(()),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_they_are_printed() {
        for text in ["v1.16.1", "1.16.1", "1.16.1-dev"] {
            assert_eq!(text.parse(), Ok(Version { major: 1, minor: 16, patch: 1 }), "{text}");
        }
        for text in ["", "Firecracker", "1.16", "1.16.1.2", "v1.x.1"] {
            assert_eq!(text.parse::<Version>(), Err(()), "{text}");
        }
    }

    #[test]
    fn versions_are_compared_as_numbers_and_another_major_is_unknown() {
        let version = |text: &str| text.parse::<Version>().unwrap();
        assert!(version("1.9.9") < version("1.10.0"));
        assert!(!version("1.9.9").is_supported());
        assert!(version("1.10.0").is_supported() && version("1.99.0").is_supported());
        assert!(!version("2.0.0").is_supported());
        assert!(!version("1.15.1").moves_clock());
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_or_says_nothing_is_named() {
        let error = Version::of(Path::new("/nowhere/firecracker")).await.unwrap_err();
        assert!(error.starts_with("`/nowhere/firecracker` cannot be run"), "{error}");
        let error = Version::of(Path::new("/bin/false")).await.unwrap_err();
        assert_eq!(error, "`/bin/false --version` does not say a version");
    }
}
