//! How far a command is, for whoever watches.

use indicatif::{ProgressBar, ProgressStyle};

use crate::progress;

/// One bar for all that a command does.
#[derive(Debug, Clone)]
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// A bar up to `total` bytes; hidden when nobody is watching.
    pub(super) fn new(total: u64, quiet: bool) -> Self {
        Self::with(
            total,
            quiet,
            "{wide_bar} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}",
        )
    }

    /// A bar up to `total` things.
    pub(super) fn counting(total: usize, quiet: bool) -> Self {
        Self::with(total as u64, quiet, "{wide_bar} {human_pos}/{human_len} {eta}")
    }

    fn with(total: u64, quiet: bool, form: &str) -> Self {
        if quiet || !progress::is_watched() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::new(total);
        Self(match ProgressStyle::with_template(form) {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        })
    }

    /// So many more.
    pub(super) fn add(&self, count: u64) {
        self.0.inc(count);
    }

    /// Says something above the bar.
    pub(super) fn aside(&self, say: impl FnOnce()) {
        self.0.suspend(say);
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.0.finish_and_clear();
    }
}
