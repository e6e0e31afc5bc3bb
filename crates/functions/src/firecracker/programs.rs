//! Where programs are.

use std::{
    env,
    path::{Path, PathBuf},
};

/// The file behind `program`: a path as it is, a bare name from the directories in which programs are looked for.
/// `None` when there is no such file.
pub(super) fn located(program: &Path) -> Option<PathBuf> {
    let is_bare = program.components().count() == 1 && !program.has_root();
    if !is_bare {
        return std::path::absolute(program).ok().filter(|path| path.is_file());
    }
    // As starting a process by its name does; the jailer is told a path instead.
    let directories = env::var_os("PATH")?;
    env::split_paths(&directories).map(|directory| directory.join(program)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_for_and_a_path_is_taken() {
        let shell = located(Path::new("sh")).unwrap();
        assert!(shell.is_absolute() && shell.ends_with("sh"));
        assert_eq!(located(Path::new("no-such-program-here")), None);
        assert_eq!(located(&shell), Some(shell));
        assert_eq!(located(Path::new("/nowhere/firecracker")), None);
    }
}
