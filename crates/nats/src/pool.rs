//! Buffers of the thread, so that no connection holds one while it waits.

use std::cell::RefCell;

/// Bytes read at once.
pub(crate) const READ: usize = 64 * 1024;
/// Buffers with more room than this are given back to the system.
const LARGEST: usize = 256 * 1024;
const KEPT: usize = 32;

thread_local! {
    static READING: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static WRITING: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Runs `f` with a buffer of [`READ`] bytes.
pub(crate) fn reading<T>(f: impl FnOnce(&mut [u8]) -> T) -> T {
    let mut buffer = READING.take();
    buffer.resize(READ, 0);
    let value = f(&mut buffer);
    READING.set(buffer);
    value
}

/// An empty buffer to write into.
pub(crate) fn take() -> Vec<u8> {
    WRITING.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// Gives one back.
pub(crate) fn give(mut buffer: Vec<u8>) {
    if (1..=LARGEST).contains(&buffer.capacity()) {
        WRITING.with_borrow_mut(|kept| {
            if kept.len() < KEPT {
                buffer.clear();
                kept.push(buffer);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_unless_it_grew_too_large() {
        give(Vec::with_capacity(100));
        give(Vec::with_capacity(LARGEST + 1));
        assert!((100..LARGEST).contains(&take().capacity()));
        assert_eq!(take().capacity(), 0);
    }

    #[test]
    fn a_read_within_a_read_gets_its_own_buffer() {
        let lengths = reading(|outer| (outer.len(), reading(|inner| inner.len())));
        assert_eq!(lengths, (READ, READ));
    }
}
