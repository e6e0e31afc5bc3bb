//! What is known of one caller.

use std::sync::Arc;

use crate::Slot;

/// How many slots need no heap: the well-known attributes and a few more.
const INLINE: usize = 16;

/// The value of an attribute. Borrowed, so that filling a context copies nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// Text.
    Str(&'a str),
    /// A number.
    Number(f64),
    /// A truth value.
    Bool(bool),
    /// Several texts, such as groups.
    List(&'a [Arc<str>]),
}

/// What is known of one caller, by slot. On the heap only beyond sixteen slots.
#[derive(Debug, Clone, Default)]
pub struct Context<'a> {
    inline: [Option<Value<'a>>; INLINE],
    more: Vec<Option<Value<'a>>>,
}

impl<'a> Context<'a> {
    /// A caller of whom nothing is known.
    pub fn new() -> Context<'a> {
        Context::default()
    }

    /// Sets or replaces the value of an attribute.
    pub fn set(&mut self, slot: Slot, value: Value<'a>) {
        let index = slot.index();
        if let Some(place) = self.inline.get_mut(index) {
            *place = Some(value);
            return;
        }
        let index = index - INLINE;
        if self.more.len() <= index {
            self.more.resize(index + 1, None);
        }
        if let Some(place) = self.more.get_mut(index) {
            *place = Some(value);
        }
    }

    /// The value of an attribute, if known.
    #[inline]
    pub fn get(&self, slot: Slot) -> Option<Value<'a>> {
        self.peek(slot).copied()
    }

    #[inline]
    pub(crate) fn peek(&self, slot: Slot) -> Option<&Value<'a>> {
        let index = slot.index();
        match self.inline.get(index) {
            Some(value) => value.as_ref(),
            None => self.more.get(index - INLINE)?.as_ref(),
        }
    }
}
