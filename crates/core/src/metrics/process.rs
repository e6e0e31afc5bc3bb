//! What the kernel says of this process.

use std::fs;

/// Clock ticks per second in `/proc`: part of Linux's interface to programs, the same on every architecture.
const TICKS: f64 = 100.0;

/// What the kernel says of this process, as far as it says anything.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Process {
    /// User and system time, in seconds.
    pub(super) cpu_seconds: Option<f64>,
    /// When it began, in seconds since the epoch.
    pub(super) start_seconds: Option<f64>,
    /// Memory in RAM, in bytes.
    pub(super) resident_bytes: Option<u64>,
    /// Open files and sockets.
    pub(super) open_files: Option<u64>,
}

impl Process {
    /// Reads `/proc`; on systems without it nothing is known.
    pub(super) fn read() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let boot = fs::read_to_string("/proc/stat").unwrap_or_default();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let files = fs::read_dir("/proc/self/fd").ok().map(Iterator::count);
        Self { open_files: files.and_then(|n| u64::try_from(n).ok()), ..Self::parse(&stat, &boot, &status) }
    }

    fn parse(stat: &str, boot: &str, status: &str) -> Self {
        // The program's name comes second, in brackets, and may itself hold blanks and brackets.
        let fields: Vec<&str> =
            stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
        // Counted after the name: field 14 of the manual is the twelfth here.
        let field = |manual: usize| fields.get(manual - 3)?.parse::<f64>().ok();
        let boot = line(boot, "btime").and_then(|text| text.parse::<f64>().ok());
        let resident =
            line(status, "VmRSS:").and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
        Self {
            cpu_seconds: field(14).zip(field(15)).map(|(user, system)| (user + system) / TICKS),
            start_seconds: boot.zip(field(22)).map(|(boot, start)| boot + start / TICKS),
            resident_bytes: resident.map(|kib| kib * 1024),
            open_files: None,
        }
    }
}

fn line<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_blanks_does_not_shift_the_fields() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 9 0 1200 1 2";
        let process = Process::parse(stat, "cpu 1\nbtime 1000\n", "VmPeak: 9 kB\nVmRSS:\t  2048 kB\n");
        assert_eq!(process.cpu_seconds, Some(3.0));
        assert_eq!(process.start_seconds, Some(1012.0));
        assert_eq!(process.resident_bytes, Some(2048 * 1024));
    }

    #[test]
    fn nothing_is_known_where_the_kernel_says_nothing() {
        assert_eq!(Process::parse("", "", ""), Process::default());
    }
}
