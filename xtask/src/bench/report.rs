//! What a bench found: rows of figures, and targets that are met or missed.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;

/// The result of one bench.
#[derive(Default, Serialize)]
pub(crate) struct Report {
    machine: Machine,
    rows: Vec<Row>,
    targets: Vec<Target>,
}

/// One measured figure.
#[derive(Serialize)]
struct Row {
    subject: String,
    unit: &'static str,
    median: f64,
    lowest: f64,
    highest: f64,
    samples: Vec<f64>,
}

/// A figure that was promised.
#[derive(Serialize)]
struct Target {
    what: String,
    bound: Bound,
    found: f64,
    met: bool,
}

/// On which side of a number a figure must lie.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// Where the figures come from.
#[derive(Serialize)]
struct Machine {
    cores: usize,
    processor: String,
    load_average: String,
}

impl Report {
    /// Adds the samples of one subject and returns their median.
    pub(crate) fn row(&mut self, subject: &str, unit: &'static str, samples: &[f64]) -> f64 {
        let mut samples = samples.to_vec();
        samples.sort_by(f64::total_cmp);
        let median = median(&samples);
        self.rows.push(Row {
            subject: subject.to_owned(),
            unit,
            median,
            lowest: samples.first().copied().unwrap_or(f64::NAN),
            highest: samples.last().copied().unwrap_or(f64::NAN),
            samples,
        });
        median
    }

    /// Compares a figure with what was promised.
    pub(crate) fn target(&mut self, what: impl Into<String>, found: f64, bound: Bound) {
        let met = match bound {
            Bound::AtMost(limit) => found <= limit,
            Bound::AtLeast(limit) => found >= limit,
        };
        self.targets.push(Target { what: what.into(), bound, found, met });
    }

    /// How many targets were missed.
    pub(crate) fn missed(&self) -> usize {
        self.targets.iter().filter(|target| !target.met).count()
    }

    /// Writes `<name>.json` and returns its path.
    pub(crate) fn save(&self, directory: &Path, name: &str) -> Result<PathBuf> {
        fs::create_dir_all(directory).with_context(|| format!("make `{}`", directory.display()))?;
        let path = directory.join(format!("{name}.json"));
        let text = serde_json::to_string_pretty(self).context("write the report")?;
        fs::write(&path, text).with_context(|| format!("write `{}`", path.display()))?;
        Ok(path)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { cores, processor, load_average } = &self.machine;
        writeln!(out, "{cores} × {processor}, load average {load_average}\n")?;
        for Row { subject, unit, median, lowest, highest, samples } in &self.rows {
            let count = samples.len();
            writeln!(
                out,
                "{subject:<44}{median:>12.3} {unit:<16} ({lowest:.3} to {highest:.3}, {count} samples)"
            )?;
        }
        writeln!(out)?;
        for Target { what, bound, found, met } in &self.targets {
            let verdict = if *met { "met" } else { "MISSED" };
            let bound = match bound {
                Bound::AtMost(limit) => format!("≤ {limit}"),
                Bound::AtLeast(limit) => format!("≥ {limit}"),
            };
            writeln!(out, "{what:<44}{found:>12.3} {bound:<16} {verdict}")?;
        }
        Ok(())
    }
}

impl Default for Machine {
    fn default() -> Self {
        let information = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let processor = information.lines().find_map(|line| line.strip_prefix("model name"));
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            processor: processor
                .map_or("unknown", |name| name.trim_start_matches(['\t', ':', ' ']))
                .to_owned(),
            load_average: load.split_whitespace().take(3).collect::<Vec<_>>().join(" "),
        }
    }
}

/// The middle of sorted samples; not a number when there are none.
fn median(sorted: &[f64]) -> f64 {
    let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 1 { at(half) } else { f64::midpoint(at(half.wrapping_sub(1)), at(half)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_two_middle_ones() {
        let mut report = Report::default();
        assert!((report.row("odd", "s", &[9.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((report.row("even", "s", &[4.0, 1.0, 9.0, 2.0]) - 3.0).abs() < 1e-9);
        assert!(report.row("none", "s", &[]).is_nan());
    }

    #[test]
    fn a_target_is_met_on_the_right_side_of_its_bound() {
        let mut report = Report::default();
        report.target("low enough", 1.0, Bound::AtMost(1.0));
        report.target("high enough", 1.0, Bound::AtLeast(1.0));
        assert_eq!(report.missed(), 0);
        report.target("too high", 1.1, Bound::AtMost(1.0));
        report.target("too low", 0.9, Bound::AtLeast(1.0));
        report.target("nothing measured", f64::NAN, Bound::AtMost(1.0));
        assert_eq!(report.missed(), 3);
        assert_eq!(report.to_string().matches("MISSED").count(), 3);
    }
}
