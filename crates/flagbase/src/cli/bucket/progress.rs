//! How many bytes have gone over the line, for whoever watches.

use indicatif::{ProgressBar, ProgressStyle};

use crate::progress;

/// One bar for all transfers of a command.
#[derive(Debug, Clone)]
pub(super) struct Bytes(ProgressBar);

impl Bytes {
    /// A bar up to `total` bytes; hidden when nobody is watching.
    pub(super) fn new(total: u64, quiet: bool) -> Self {
        if quiet || !progress::is_watched() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::new(total);
        let form = "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
        Self(match ProgressStyle::with_template(form) {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        })
    }

    /// So many more.
    pub(super) fn add(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.0.finish_and_clear();
    }
}
