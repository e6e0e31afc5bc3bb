//! Archives in the `newc` format of cpio, which Linux unpacks as its first root file system.
//!
//! The same entries always make the same bytes: owner 0, time 0, numbers in order.

use std::collections::BTreeMap;
use std::io::{self, Read};

/// Longest name of an entry, in bytes.
const NAME_LIMIT: usize = 512;
const MAGIC: &[u8] = b"070701";
const HEADER: usize = 110;
const TRAILER: &str = "TRAILER!!!";

const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const CHARACTER: u32 = 0o020_000;
const KIND: u32 = 0o170_000;

/// What an archive holds, by path: relative, with `/`, without `.` and `..`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Archive {
    entries: BTreeMap<String, Entry>,
}

/// One thing in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A directory.
    Directory,
    /// A file.
    File {
        /// Whether everyone may run it.
        executable: bool,
        /// What is in it.
        bytes: Vec<u8>,
    },
    /// A character device, such as the console.
    Device {
        /// Which driver.
        major: u32,
        /// Which of its devices.
        minor: u32,
    },
}

/// Why an archive cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The name leads out of the archive, is empty or too long.
    #[error("`{0}` is no name for a file in an archive; expected a relative path without `..`")]
    Name(String),
    /// More than the format can say.
    #[error("`{0}` is larger than 4 GiB")]
    TooLarge(String),
    /// It is no archive, or a broken one.
    #[error("the archive is broken at byte {at}: {why}")]
    Broken {
        /// Where.
        at: u64,
        /// What is wrong.
        why: &'static str,
    },
    /// It cannot be read at all, or what is in it cannot be put where it belongs.
    #[error("the archive cannot be unpacked: {0}")]
    Io(#[from] io::Error),
}

/// One thing in an archive that is being read.
pub enum Found<'a> {
    /// As [`Entry::Directory`].
    Directory,
    /// As [`Entry::File`].
    File {
        /// Whether everyone may run it.
        executable: bool,
        /// What is in it; need not be read.
        content: io::Take<&'a mut dyn Read>,
    },
    /// As [`Entry::Device`].
    Device {
        /// Which driver.
        major: u32,
        /// Which of its devices.
        minor: u32,
    },
}

impl Archive {
    /// Adds an entry and the directories above it.
    ///
    /// # Errors
    /// When the name leads out of the archive.
    pub fn add(&mut self, name: &str, entry: Entry) -> Result<(), ArchiveError> {
        check(name)?;
        for (end, _) in name.match_indices('/') {
            let parent = name.get(..end).unwrap_or_default();
            self.entries.entry(parent.to_owned()).or_insert(Entry::Directory);
        }
        self.entries.insert(name.to_owned(), entry);
        Ok(())
    }

    /// Adds a file.
    ///
    /// # Errors
    /// As [`Archive::add`].
    pub fn file(&mut self, name: &str, executable: bool, bytes: Vec<u8>) -> Result<(), ArchiveError> {
        self.add(name, Entry::File { executable, bytes })
    }

    /// The entry under a name.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// All entries; a directory comes before what is in it.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(name, entry)| (name.as_str(), entry))
    }

    /// The bytes of the archive.
    ///
    /// # Errors
    /// When a file is larger than the format can say.
    pub fn write(&self) -> Result<Vec<u8>, ArchiveError> {
        let mut out = Vec::new();
        for (number, (name, entry)) in (1_u32..).zip(self.entries()) {
            append(&mut out, number, name, entry)?;
        }
        let end = Entry::File { executable: false, bytes: Vec::new() };
        append(&mut out, 0, TRAILER, &end)?;
        Ok(out)
    }

    /// Reads a whole archive into memory.
    ///
    /// # Errors
    /// As [`unpack`].
    pub fn read(bytes: &[u8]) -> Result<Self, ArchiveError> {
        let mut archive = Self::default();
        unpack(bytes, &mut |name, found| {
            let entry = match found {
                Found::Directory => Entry::Directory,
                Found::Device { major, minor } => Entry::Device { major, minor },
                Found::File { executable, mut content } => {
                    let mut bytes = Vec::new();
                    content.read_to_end(&mut bytes)?;
                    Entry::File { executable, bytes }
                }
            };
            archive.add(name, entry)
        })?;
        Ok(archive)
    }
}

/// Reads what [`Archive::write`] or any other writer of this format wrote, one entry after the other; links are
/// refused. The names that `take` gets are checked.
///
/// # Errors
/// When it is broken, or an entry leads out of it; and the errors of `take`.
pub fn unpack(
    from: impl Read,
    take: &mut dyn FnMut(&str, Found<'_>) -> Result<(), ArchiveError>,
) -> Result<(), ArchiveError> {
    let mut from = Counted { from, at: 0 };
    loop {
        let header = Header::read(&mut from)?;
        if header.name == TRAILER {
            return Ok(());
        }
        let end = from.at + u64::from(header.size);
        if header.name != "." {
            check(&header.name)?;
            let content = (&mut from as &mut dyn Read).take(u64::from(header.size));
            let found = header.found(content)?;
            take(&header.name, found)?;
        }
        from.skip_to(end.next_multiple_of(4))?;
    }
}

fn check(name: &str) -> Result<(), ArchiveError> {
    let good = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\0');
    if name.len() <= NAME_LIMIT && name.split('/').all(good) {
        return Ok(());
    }
    Err(ArchiveError::Name(name.to_owned()))
}

fn append(out: &mut Vec<u8>, number: u32, name: &str, entry: &Entry) -> Result<(), ArchiveError> {
    let (mode, bytes, device): (u32, &[u8], (u32, u32)) = match entry {
        Entry::Directory => (DIRECTORY | 0o755, &[], (0, 0)),
        Entry::File { executable: true, bytes } => (FILE | 0o755, bytes, (0, 0)),
        Entry::File { executable: false, bytes } => (FILE | 0o644, bytes, (0, 0)),
        Entry::Device { major, minor } => (CHARACTER | 0o600, &[], (*major, *minor)),
    };
    let too_large = |_| ArchiveError::TooLarge(name.to_owned());
    let size = u32::try_from(bytes.len()).map_err(too_large)?;
    let name_size = u32::try_from(name.len() + 1).map_err(too_large)?;
    let links = if matches!(entry, Entry::Directory) { 2 } else { 1 };
    // inode, mode, uid, gid, links, time, size, device of the file system (2), device (2), size of the name, checksum
    let fields = [number, mode, 0, 0, links, 0, size, 0, 0, device.0, device.1, name_size, 0];
    out.extend_from_slice(MAGIC);
    for field in fields {
        out.extend_from_slice(format!("{field:08x}").as_bytes());
    }
    out.extend_from_slice(name.as_bytes());
    out.push(0);
    pad(out);
    out.extend_from_slice(bytes);
    pad(out);
    Ok(())
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

/// Knows how far it has read.
struct Counted<R> {
    from: R,
    at: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(into)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl<R: Read> Counted<R> {
    fn broken(&self, why: &'static str) -> ArchiveError {
        ArchiveError::Broken { at: self.at, why }
    }

    fn exactly(&mut self, length: usize, why: &'static str) -> Result<Vec<u8>, ArchiveError> {
        let mut bytes = Vec::with_capacity(length);
        self.by_ref().take(length as u64).read_to_end(&mut bytes)?;
        if bytes.len() < length { Err(self.broken(why)) } else { Ok(bytes) }
    }

    fn skip_to(&mut self, end: u64) -> Result<(), ArchiveError> {
        let left = end - self.at;
        let skipped = io::copy(&mut self.by_ref().take(left), &mut io::sink())?;
        if skipped < left { Err(self.broken("it ends in a file")) } else { Ok(()) }
    }
}

struct Header {
    name: String,
    mode: u32,
    links: u32,
    size: u32,
    device: (u32, u32),
    at: u64,
}

impl Header {
    fn read<R: Read>(from: &mut Counted<R>) -> Result<Self, ArchiveError> {
        let at = from.at;
        let bytes = from.exactly(HEADER, "it ends in a header")?;
        let digits = bytes.strip_prefix(MAGIC).ok_or(from.broken("there is no header"))?;
        let mut fields = [0_u32; 13];
        for (field, digits) in fields.iter_mut().zip(digits.chunks_exact(8)) {
            let number = std::str::from_utf8(digits).ok().and_then(|text| u32::from_str_radix(text, 16).ok());
            *field = number.ok_or(from.broken("a field is no number"))?;
        }
        let [_, mode, _, _, links, _, size, _, _, major, minor, name_size, _] = fields;
        let name_size = name_size as usize;
        if name_size > NAME_LIMIT + 1 {
            return Err(from.broken("a name is too long"));
        }
        let mut name = from.exactly(name_size, "it ends in a name")?;
        if name.pop() != Some(0) {
            return Err(from.broken("a name does not end"));
        }
        let name = String::from_utf8(name).map_err(|_| from.broken("a name is no text"))?;
        from.skip_to(from.at.next_multiple_of(4))?;
        Ok(Self { name, mode, links, size, device: (major, minor), at })
    }

    fn found<'a>(&self, content: io::Take<&'a mut dyn Read>) -> Result<Found<'a>, ArchiveError> {
        let broken = |why| ArchiveError::Broken { at: self.at, why };
        match self.mode & KIND {
            DIRECTORY => Ok(Found::Directory),
            // Writers store what is linked once, and leave the other names empty.
            FILE if self.links > 1 => Err(broken("it has a hard link")),
            FILE => Ok(Found::File { executable: self.mode & 0o111 != 0, content }),
            CHARACTER => Ok(Found::Device { major: self.device.0, minor: self.device.1 }),
            _ => Err(broken("it has a link or another special file")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> Archive {
        let mut archive = Archive::default();
        archive.file("init", true, b"#!".to_vec()).unwrap();
        archive.file("etc/motd", false, b"hello\n".to_vec()).unwrap();
        archive.add("dev/console", Entry::Device { major: 5, minor: 1 }).unwrap();
        archive
    }

    #[test]
    fn directories_above_a_file_are_made_and_come_first() {
        let archive = sample();
        let names: Vec<&str> = archive.entries().map(|(name, _)| name).collect();
        assert_eq!(names, ["dev", "dev/console", "etc", "etc/motd", "init"]);
        assert_eq!(archive.get("etc"), Some(&Entry::Directory));
    }

    #[test]
    fn what_was_written_is_read_back() {
        let bytes = sample().write().unwrap();
        assert_eq!(Archive::read(&bytes).unwrap(), sample());
        assert_eq!(bytes, sample().write().unwrap());
        assert_eq!(bytes.len() % 4, 0);
    }

    #[test]
    fn the_header_is_as_the_kernel_reads_it() {
        let mut archive = Archive::default();
        archive.file("a", true, b"xyz".to_vec()).unwrap();
        let bytes = archive.write().unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let expected = concat!(
            "070701", "00000001", "000081ed", "00000000", "00000000", "00000001", "00000000", "00000003",
            "00000000", "00000000", "00000000", "00000000", "00000002", "00000000", "a\0xyz\0",
        );
        assert!(text.starts_with(expected), "{text:?}");
    }

    #[test]
    fn a_name_cannot_lead_out() {
        for name in ["", "/etc/passwd", "../x", "a/../b", "a//b", "./a", "a/", "a\0b", &"x".repeat(513)] {
            let error = Archive::default().add(name, Entry::Directory).unwrap_err();
            assert!(matches!(&error, ArchiveError::Name(found) if found == name), "{error}");
        }
    }

    #[test]
    fn an_archive_of_another_writer_cannot_lead_out_either() {
        let mut bytes = Vec::new();
        append(&mut bytes, 1, "../evil", &Entry::Directory).unwrap();
        let error = Archive::read(&bytes).unwrap_err();
        assert!(matches!(&error, ArchiveError::Name(name) if name == "../evil"), "{error}");
    }

    #[test]
    fn a_cut_archive_is_broken_wherever_it_is_cut() {
        let bytes = sample().write().unwrap();
        let whole = bytes.len() - 1;
        for cut in 0..whole {
            let read = Archive::read(&bytes[..cut]);
            // Only the padding after the trailer may be missing.
            assert!(read.is_err() || cut + 4 > whole, "cut at {cut}");
        }
    }

    #[test]
    fn links_are_refused() {
        let mut bytes = sample().write().unwrap();
        bytes[14..22].copy_from_slice(b"0000a1ff");
        let error = Archive::read(&bytes).unwrap_err();
        assert!(error.to_string().contains("special file"), "{error}");
    }

    proptest! {
        #[test]
        fn any_files_come_back(files in prop::collection::btree_map("[a-z]{1,8}(/[a-z]{9,12}){0,2}", (any::<bool>(), prop::collection::vec(any::<u8>(), 0..64)), 0..8)) {
            let mut archive = Archive::default();
            for (name, (executable, bytes)) in files {
                archive.file(&name, executable, bytes).unwrap();
            }
            prop_assert_eq!(Archive::read(&archive.write().unwrap()).unwrap(), archive);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(Archive::read(&bytes).is_err());
        }

        #[test]
        fn no_changed_byte_makes_it_panic(at in 0..500_usize, with in any::<u8>()) {
            let mut bytes = sample().write().unwrap();
            let at = at % bytes.len();
            bytes[at] = with;
            if let Ok(archive) = Archive::read(&bytes) {
                prop_assert!(archive.entries().all(|(name, _)| check(name).is_ok()));
            }
        }
    }
}
