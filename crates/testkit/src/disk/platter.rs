//! What is on the disk and what is only on its way.

use std::{collections::HashMap, fs, path::Path};

use super::{Operation, clear};

/// What a disk writes at once or not at all.
const SECTOR: usize = 512;

/// The state of a disk, as operations come in.
#[derive(Debug, Default)]
pub struct Platter {
    files: HashMap<u64, File>,
    /// Which file an inode number means now: numbers are used again.
    numbers: HashMap<u64, u64>,
    names: Vec<Naming>,
    made: u64,
}

#[derive(Debug, Default)]
struct File {
    on_disk: Vec<u8>,
    /// Changes in order, of which the first is not on disk.
    changes: Vec<Pending>,
}

#[derive(Debug)]
struct Pending {
    change: Change,
    state: State,
}

#[derive(Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Underway,
    /// A sync of it failed: the kernel takes it for written, and the disk may not have it.
    InDoubt,
    OnDisk,
}

#[derive(Debug)]
struct Naming {
    change: NameChange,
    on_disk: bool,
}

#[derive(Debug)]
enum NameChange {
    File(String, u64),
    Directory(String),
    Remove(String),
    Rename(String, String),
    Link(String, String),
}

impl Platter {
    /// One more thing happened.
    pub fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::Create { inode, name } => {
                self.made += 1;
                self.numbers.insert(*inode, self.made);
                self.files.insert(self.made, File::default());
                self.name(NameChange::File(name.clone(), self.made));
            }
            Operation::CreateDirectory(name) => self.name(NameChange::Directory(name.clone())),
            Operation::Write { inode, offset, bytes } => {
                self.change(*inode, Change::Write(*offset, bytes.clone()));
            }
            Operation::Truncate { inode, length } => self.change(*inode, Change::Truncate(*length)),
            Operation::Sync(inode) => self.settle(*inode, State::OnDisk),
            Operation::SyncFailed(inode) => self.settle(*inode, State::InDoubt),
            Operation::SyncDirectory(directory) => {
                let there = |naming: &&mut Naming| naming.change.is_in(directory);
                self.names.iter_mut().filter(there).for_each(|naming| naming.on_disk = true);
            }
            Operation::Remove(name) => self.name(NameChange::Remove(name.clone())),
            Operation::Rename(from, to) => self.name(NameChange::Rename(from.clone(), to.clone())),
            Operation::Link(from, to) => self.name(NameChange::Link(from.clone(), to.clone())),
            Operation::Said(_) => {}
        }
    }

    /// Leaves in `directory`, which is emptied before, what the power cut left: what was synced, and of every other
    /// sector and name what `survives` says.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn cut(&self, survives: &mut dyn FnMut() -> bool, directory: &Path) {
        clear(directory);
        let mut files: HashMap<&str, u64> = HashMap::new();
        for Naming { change, on_disk } in &self.names {
            if !on_disk && !survives() {
                continue;
            }
            match change {
                NameChange::File(name, id) => drop(files.insert(name, *id)),
                // Without its directory, a file cannot be found.
                NameChange::Directory(name) => drop(fs::create_dir(directory.join(name))),
                NameChange::Remove(name) => drop(files.remove(name.as_str())),
                NameChange::Rename(from, to) => {
                    if let Some(id) = files.remove(from.as_str()) {
                        files.insert(to, id);
                    }
                }
                NameChange::Link(from, to) => {
                    if let Some(id) = files.get(from.as_str()).copied() {
                        files.insert(to, id);
                    }
                }
            }
        }
        for (name, id) in files {
            let path = directory.join(name);
            if path.parent().is_some_and(Path::is_dir) {
                let content = self.files.get(&id).map(|file| file.after_cut(survives)).unwrap_or_default();
                fs::write(path, content).unwrap();
            }
        }
    }

    fn name(&mut self, change: NameChange) {
        self.names.push(Naming { change, on_disk: false });
    }

    fn file(&mut self, inode: u64) -> Option<&mut File> {
        self.files.get_mut(self.numbers.get(&inode)?)
    }

    fn change(&mut self, inode: u64, change: Change) {
        if let Some(file) = self.file(inode) {
            file.changes.push(Pending { change, state: State::Underway });
        }
    }

    fn settle(&mut self, inode: u64, state: State) {
        if let Some(file) = self.file(inode) {
            file.settle(state);
        }
    }
}

impl NameChange {
    fn is_in(&self, directory: &str) -> bool {
        let (Self::File(name, _)
        | Self::Directory(name)
        | Self::Remove(name)
        | Self::Rename(name, _)
        | Self::Link(_, name)) = self;
        name.rsplit_once('/').map_or("", |(parent, _)| parent) == directory
    }
}

impl File {
    fn settle(&mut self, state: State) {
        let underway = |pending: &&mut Pending| pending.state == State::Underway;
        self.changes.iter_mut().filter(underway).for_each(|pending| pending.state = state);
        // What is in doubt holds back what came after it, because the order decides what is read.
        let settled = self.changes.iter().take_while(|pending| pending.state == State::OnDisk).count();
        for pending in self.changes.drain(..settled) {
            pending.change.apply(&mut self.on_disk, &mut || true);
        }
    }

    fn after_cut(&self, survives: &mut dyn FnMut() -> bool) -> Vec<u8> {
        let mut content = self.on_disk.clone();
        for Pending { change, state } in &self.changes {
            match state {
                State::OnDisk => change.apply(&mut content, &mut || true),
                State::Underway | State::InDoubt => change.apply(&mut content, survives),
            }
        }
        content
    }
}

impl Change {
    /// Makes the change, sector by sector as far as `survives` says.
    fn apply(&self, content: &mut Vec<u8>, survives: &mut dyn FnMut() -> bool) {
        match self {
            Self::Truncate(length) if survives() => content.resize(*length, 0),
            Self::Truncate(_) => {}
            Self::Write(offset, bytes) => {
                let (mut at, mut rest) = (*offset, bytes.as_slice());
                while !rest.is_empty() {
                    let (sector, after) = rest.split_at(rest.len().min(SECTOR - at % SECTOR));
                    if survives() {
                        let end = at + sector.len();
                        content.resize(content.len().max(end), 0);
                        if let Some(place) = content.get_mut(at..end) {
                            place.copy_from_slice(sector);
                        }
                    }
                    (at, rest) = (at + sector.len(), after);
                }
            }
        }
    }
}
