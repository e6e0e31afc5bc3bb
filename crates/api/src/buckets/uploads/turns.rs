//! One request at a time goes on with an upload: two that append at once would write over each other.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use flagbase_core::refusal::{Class, Refusal};

/// Whose turn it is.
#[derive(Debug, Clone, Default)]
pub(super) struct Turns(Arc<Mutex<HashSet<String>>>);

/// The turn of an upload, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Turns,
    id: String,
}

impl Turns {
    /// Takes the turn of an upload, or refuses while somebody has it.
    pub(super) fn take(&self, id: &str) -> Result<Turn, Refusal> {
        if self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned()) {
            return Ok(Turn { turns: self.clone(), id: id.to_owned() });
        }
        let message =
            "another request is appending to this upload; wait until it has ended, and ask for the offset";
        Err(Refusal::new(Class::Conflict, "upload_busy", message))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_is_gone_on_with_by_one_at_a_time() {
        let turns = Turns::default();
        let turn = turns.take("a").unwrap();
        assert_eq!(turns.take("a").unwrap_err().code, "upload_busy");
        assert!(turns.take("b").is_ok());
        drop(turn);
        assert!(turns.take("a").is_ok());
    }
}
