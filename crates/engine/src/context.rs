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
    #[inline]
    pub fn new() -> Context<'a> {
        Context::default()
    }

    /// Sets or replaces the value of an attribute.
    #[inline]
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Attributes;

    #[test]
    fn what_was_set_last_is_there_and_nothing_else() {
        let names: Vec<String> = (0..40).map(|number| format!("a{number}")).collect();
        let attributes = Attributes::new(names.iter().map(String::as_str));
        let far = attributes.slot("a39").expect("it was declared");
        let mut context = Context::new();
        context.set(Slot::ROLE, Value::Str("user"));
        context.set(Slot::ROLE, Value::Str("developer"));
        context.set(far, Value::Number(1.5));
        assert_eq!(context.get(Slot::ROLE), Some(Value::Str("developer")));
        assert_eq!(context.get(far), Some(Value::Number(1.5)));
        assert_eq!(context.get(Slot::NONE), None);
        let set = attributes.names().filter_map(|name| context.get(attributes.slot(name)?)).count();
        assert_eq!(set, 2);
    }
}
