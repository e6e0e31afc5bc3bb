//! What the kernel knows about a process and its children.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Seconds of CPU time that the process and all its descendants have used, threads that ended not counted.
pub(crate) fn seconds(process: u32) -> Result<f64> {
    let mut nanoseconds = 0.0;
    for process in tree(process)? {
        let tasks = format!("/proc/{process}/task");
        // A child that ended between listing and looking takes nothing with it that matters here.
        let Ok(tasks) = fs::read_dir(&tasks) else {
            continue;
        };
        for task in tasks.flatten() {
            nanoseconds += on_processor(&task.path()).unwrap_or(0.0);
        }
    }
    Ok(nanoseconds / 1e9)
}

/// Megabytes (10⁶ bytes) of memory that the process has resident.
pub(crate) fn resident(process: u32) -> Result<f64> {
    memory(process, "VmRSS:")
}

/// From now on the peak is counted anew.
pub(crate) fn forget_peak(process: u32) -> Result<()> {
    let path = format!("/proc/{process}/clear_refs");
    fs::write(&path, "5").with_context(|| format!("write `{path}`"))
}

/// The most megabytes that it ever had, or had since that was forgotten.
pub(crate) fn peak(process: u32) -> Result<f64> {
    memory(process, "VmHWM:")
}

fn memory(process: u32, line: &str) -> Result<f64> {
    let path = format!("/proc/{process}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("read `{path}`"))?;
    let found = status.lines().find_map(|text| text.strip_prefix(line));
    let kilobytes = found.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kilobytes.with_context(|| format!("find {line} in `{path}`"))? * 1024.0 / 1e6)
}

fn on_processor(task: &Path) -> Option<f64> {
    fs::read_to_string(task.join("schedstat")).ok()?.split_whitespace().next()?.parse().ok()
}

/// The process and its descendants.
fn tree(root: u32) -> Result<BTreeSet<u32>> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .context("list `/proc`")?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|process| Some((process, parent(process)?)))
        .collect();
    let mut tree = BTreeSet::from([root]);
    loop {
        let before = tree.len();
        tree.extend(
            parents
                .iter()
                .filter(|(_, parent)| tree.contains(parent))
                .map(|(child, _)| child)
                .collect::<Vec<_>>(),
        );
        if tree.len() == before {
            return Ok(tree);
        }
    }
}

fn parent(process: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name before it may hold anything, even parentheses.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_child_belongs_to_the_tree_of_its_parent() {
        let mut child = Command::new("sleep").arg("30").spawn().unwrap();
        let tree = tree(std::process::id()).unwrap();
        assert!(tree.contains(&child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn this_process_has_used_processor_and_memory() {
        assert!(seconds(std::process::id()).unwrap() > 0.0);
        assert!(resident(std::process::id()).unwrap() > 0.1);
    }

    #[test]
    fn a_process_that_does_not_exist_has_no_memory() {
        assert!(resident(u32::MAX).is_err());
    }
}
