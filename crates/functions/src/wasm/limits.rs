//! How much memory an instance may have.

use wasmtime::ResourceLimiter;

/// Elements of one table at most.
const TABLE_ELEMENTS: usize = 100_000;

/// Counts what one instance has, and remembers when it asked for more than it may have.
#[derive(Debug)]
pub(crate) struct Meter {
    memory: u64,
    used: u64,
    refused: Option<String>,
}

impl Meter {
    /// For an instance that may have `memory` bytes in all its memories together.
    pub(crate) fn new(memory: u64) -> Self {
        Self { memory, used: 0, refused: None }
    }

    /// Whether little of the memory is left.
    pub(crate) fn is_nearly_full(&self) -> bool {
        self.used > self.memory / 4 * 3
    }

    /// What was refused at last, as a sentence; `None` when nothing was.
    pub(crate) fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let grown = self.used + desired.saturating_sub(current) as u64;
        if grown > self.memory {
            self.refused =
                Some(format!("memory: {} bytes were asked for, and it may have {}", grown, self.memory));
            return Ok(false);
        }
        if maximum.is_some_and(|most| desired > most) {
            return Ok(false);
        }
        self.used = grown;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if desired > TABLE_ELEMENTS {
            self.refused =
                Some(format!("tables: {desired} elements were asked for, and it may have {TABLE_ELEMENTS}"));
            return Ok(false);
        }
        Ok(maximum.is_none_or(|most| desired <= most))
    }
}
