//! A note of every microVM, written before it starts, so that none outlives a crash of this process.
//!
//! A note that is not on disk when the machine itself fails does not matter: the microVM fails with it. So nothing
//! here waits for the disk.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    jail::Jail,
    process::{self, Identity},
};

/// The notes of one driver.
#[derive(Debug, Clone)]
pub(super) struct Records {
    directory: PathBuf,
}

/// What is noted of one microVM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    id: String,
    place: PathBuf,
    cgroup: Option<PathBuf>,
    /// Who started it.
    owner: Option<Identity>,
    /// `None` before it has started.
    process: Option<Identity>,
}

/// What was cleaned up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Notes of microVMs whose owner is gone.
    pub orphans: usize,
    /// Processes of them that still ran, and were killed.
    pub killed: usize,
    /// Notes that could not be done with: they are looked at again at the next start.
    pub left: usize,
}

impl Records {
    /// Notes in `directory`, which is made.
    pub(super) fn open(directory: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&directory)?;
        Ok(Self { directory })
    }

    /// Notes that `jail` is about to be used.
    pub(super) fn begin(&self, jail: &Jail) -> io::Result<()> {
        self.write(&Note::of(jail, None))
    }

    /// Notes which process runs in `jail`.
    pub(super) fn started(&self, jail: &Jail, pid: u32) -> io::Result<()> {
        let process = i32::try_from(pid).ok().and_then(Identity::of);
        self.write(&Note::of(jail, process))
    }

    /// Forgets the microVM in `jail`, of which nothing is left.
    pub(super) fn forget(&self, jail: &Jail) {
        // A note that stays is found at the next start, with nothing left to do.
        let _ = fs::remove_file(self.path(&jail.id));
    }

    /// Kills what is left of microVMs whose owner is gone, and removes what they had.
    pub(super) fn sweep(&self) -> io::Result<Swept> {
        let mut swept = Swept::default();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            match read(&path) {
                Some(note) if note.owner.is_some_and(Identity::is_alive) => {}
                Some(note) => {
                    swept.orphans += 1;
                    let (killed, clean) = note.clean_up();
                    swept.killed += killed;
                    if clean {
                        gone(&path)?;
                    } else {
                        swept.left += 1;
                    }
                }
                // Half a note: it was never finished, so nothing was started after it.
                None => gone(&path)?,
            }
        }
        Ok(swept)
    }

    fn write(&self, note: &Note) -> io::Result<()> {
        let path = self.path(&note.id);
        let beside = path.with_extension("new");
        fs::write(&beside, serde_json::to_vec(note)?)?;
        fs::rename(beside, path)
    }

    fn path(&self, id: &str) -> PathBuf {
        self.directory.join(format!("{id}.json"))
    }
}

impl Note {
    fn of(jail: &Jail, process: Option<Identity>) -> Self {
        Self {
            id: jail.id.clone(),
            place: jail.place.clone(),
            cgroup: jail.cgroup.clone(),
            owner: Identity::own(),
            process,
        }
    }

    /// Kills and removes. Returns how many processes were killed, and whether nothing is left.
    fn clean_up(&self) -> (usize, bool) {
        // The noted process when it is still that one, and whatever else carries the id on its command line: the
        // process may have started after the note was written and before it was written again.
        let noted = self.process.filter(|process| process.is_alive()).map(|process| process.pid);
        let mut pids = process::started_with(&self.id);
        pids.extend(noted.filter(|pid| !pids.contains(pid)));
        let killed = pids.into_iter().filter(|pid| process::kill_if_started_with(*pid, &self.id)).count();
        (killed, self.jail().remove().is_ok() || self.wait_and_remove())
    }

    /// A process that was killed needs a moment to let go of its cgroup.
    fn wait_and_remove(&self) -> bool {
        (0..100).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            self.jail().remove().is_ok()
        })
    }

    fn jail(&self) -> Jail {
        Jail {
            id: self.id.clone(),
            root: self.place.join("root"),
            place: self.place.clone(),
            cgroup: self.cgroup.clone(),
        }
    }
}

fn read(path: &Path) -> Option<Note> {
    let note: Note = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    // Notes are ours, but what they name is removed: an id that is too short could be anybody's.
    (note.id.len() >= Jail::ID_LENGTH && note.place.ends_with(&note.id)).then_some(note)
}

fn gone(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use tempfile::TempDir;

    use super::*;

    const ID: &str = "vm-00112233445566778899aabbccddeeff";

    struct Home(TempDir);

    impl Home {
        fn new() -> (Self, Records, Jail) {
            let home = TempDir::new().unwrap();
            let records = Records::open(home.path().join("notes")).unwrap();
            let place = home.path().join("firecracker").join(ID);
            let jail = Jail { id: ID.to_owned(), root: place.join("root"), place, cgroup: None };
            jail.make().unwrap();
            (Self(home), records, jail)
        }

        /// Makes it look as if the process that wrote the notes had ended.
        fn crash(&self) {
            let path = self.0.path().join("notes").join(format!("{ID}.json"));
            let mut note: Note = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            note.owner = note.owner.map(|owner| Identity { started: owner.started + 1, ..owner });
            fs::write(&path, serde_json::to_vec(&note).unwrap()).unwrap();
        }
    }

    fn sleeper(word: &str) -> Child {
        // It waits for a line that nobody writes, and ends with this test.
        let mut command = Command::new("sh");
        let child = command.args(["-c", "read line", word]).stdin(Stdio::piped()).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        while !process::was_started_with(pid, word) {
            std::thread::yield_now();
        }
        child
    }

    #[test]
    fn what_a_crash_leaves_is_killed_and_removed() {
        let (home, records, jail) = Home::new();
        records.begin(&jail).unwrap();
        let mut child = sleeper(ID);
        records.started(&jail, child.id()).unwrap();
        home.crash();
        assert_eq!(records.sweep().unwrap(), Swept { orphans: 1, killed: 1, left: 0 });
        assert!(!child.wait().unwrap().success());
        assert!(!jail.place.exists());
        assert_eq!(records.sweep().unwrap(), Swept::default());
    }

    #[test]
    fn a_process_that_was_not_noted_yet_is_found_by_its_id() {
        let (home, records, jail) = Home::new();
        records.begin(&jail).unwrap();
        let mut child = sleeper(ID);
        home.crash();
        assert_eq!(records.sweep().unwrap().killed, 1);
        child.wait().unwrap();
    }

    #[test]
    fn another_process_with_the_noted_number_is_left_alone() {
        let (home, records, jail) = Home::new();
        let mut stranger = sleeper("somebody-else");
        records.started(&jail, stranger.id()).unwrap();
        home.crash();
        assert_eq!(records.sweep().unwrap(), Swept { orphans: 1, killed: 0, left: 0 });
        assert!(stranger.try_wait().unwrap().is_none());
        stranger.kill().unwrap();
        stranger.wait().unwrap();
    }

    #[test]
    fn what_belongs_to_a_living_process_is_left_alone() {
        let (_home, records, jail) = Home::new();
        records.begin(&jail).unwrap();
        assert_eq!(records.sweep().unwrap(), Swept::default());
        assert!(jail.place.exists());
        records.forget(&jail);
    }

    #[test]
    fn half_a_note_and_a_note_of_something_else_are_thrown_away() {
        let (home, records, jail) = Home::new();
        let notes = home.0.path().join("notes");
        fs::write(notes.join("half.json"), r#"{"id":"#).unwrap();
        let root = r#"{"id":"etc","place":"/etc","cgroup":null,"owner":null,"process":null}"#;
        fs::write(notes.join("root.json"), root).unwrap();
        assert_eq!(records.sweep().unwrap(), Swept::default());
        assert_eq!(fs::read_dir(notes).unwrap().count(), 0);
        assert!(Path::new("/etc").exists() && jail.place.exists());
    }
}
