//! Reading a JSON document into a type, strictly, and saying what is wrong in the words of JSON.
//!
//! Two things are left to nobody: an object is never taken from a list of its members in order, and no message names a
//! type of ours. Every fault says where, by a JSON pointer.

use std::fmt::{self, Display};

use flagbase_engine::Fault;
use serde::{
    Deserializer,
    de::{
        self, DeserializeOwned, DeserializeSeed, Expected, IntoDeserializer as _, MapAccess, SeqAccess,
        Unexpected, Visitor, value::StrDeserializer,
    },
    forward_to_deserialize_any,
};
use serde_json::{Map, Value};

use crate::refusal::Refusal;

/// `value` as a `T`, or 422 with the place of the first thing that does not fit.
pub fn shape<T: DeserializeOwned>(value: &Value) -> Result<T, Refusal> {
    T::deserialize(Strict(value)).map_err(|wrong| Refusal::invalid(vec![wrong.into_fault()]))
}

/// The name among `known` that `given` was most likely meant to be.
pub fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let short: String = given.chars().take(64).collect();
    let likeness = |name: &str| strsim::normalized_damerau_levenshtein(&short.to_lowercase(), name);
    let scored = known.into_iter().map(|name| (likeness(name), name));
    scored
        .filter(|(likeness, _)| *likeness >= 0.5)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, name)| name)
}

/// What does not fit.
#[derive(Debug)]
struct Wrong {
    /// The names on the way to it, innermost first.
    place: Vec<String>,
    message: String,
}

impl Wrong {
    fn here(message: impl Into<String>) -> Self {
        Self { place: Vec::new(), message: message.into() }
    }

    fn below(mut self, name: impl Into<String>) -> Self {
        self.place.push(name.into());
        self
    }

    fn into_fault(self) -> Fault {
        let escaped = |name: &String| format!("/{}", name.replace('~', "~0").replace('/', "~1"));
        Fault { pointer: self.place.iter().rev().map(escaped).collect(), message: self.message }
    }
}

impl Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Wrong {}

impl de::Error for Wrong {
    fn custom<T: Display>(message: T) -> Self {
        Self::here(message.to_string())
    }

    fn invalid_type(given: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::here(format!("expected {}, got {}", wanted(expected), got(given)))
    }

    fn invalid_value(given: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(given, expected)
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Self::here(format!("expected {}, got {length} of them", wanted(expected)))
    }

    fn unknown_variant(given: &str, known: &'static [&'static str]) -> Self {
        Self::here(format!("`{}` is not known here{}", cut(given), hint(given, known)))
    }

    fn unknown_field(given: &str, known: &'static [&'static str]) -> Self {
        Self::here(format!("unknown member `{}`{}", cut(given), hint(given, known))).below(given)
    }

    fn missing_field(name: &'static str) -> Self {
        Self::here(format!("`{name}` is missing")).below(name)
    }
}

fn hint(given: &str, known: &[&str]) -> String {
    if let Some(name) = nearest(given, known.iter().copied()) {
        return format!("; did you mean `{name}`?");
    }
    let names: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() { String::new() } else { format!("; known are {}", names.join(", ")) }
}

/// What was expected, without the names of our types.
fn wanted(expected: &dyn Expected) -> String {
    let text = expected.to_string();
    match text.as_str() {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" => "`true` or `false`".to_owned(),
        "a sequence" => "an array".to_owned(),
        "a map" => "an object".to_owned(),
        "unit" => "null".to_owned(),
        text if text.starts_with("tuple ") => "an array".to_owned(),
        text if text.contains("enum ") || text.contains("struct ") => "an object".to_owned(),
        _ => text,
    }
}

fn got(given: Unexpected<'_>) -> String {
    match given {
        Unexpected::Bool(value) => format!("`{value}`"),
        Unexpected::Unsigned(value) => format!("`{value}`"),
        Unexpected::Signed(value) => format!("`{value}`"),
        Unexpected::Float(value) => format!("`{value}`"),
        Unexpected::Str(text) => format!("`\"{}\"`", cut(text)),
        Unexpected::Unit | Unexpected::Option => "null".to_owned(),
        Unexpected::Seq => "an array".to_owned(),
        Unexpected::Map => "an object".to_owned(),
        _ => "something else".to_owned(),
    }
}

fn cut(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut shown: String =
        text.chars().take(LONGEST).map(|c| if c.is_control() || c == '`' { '\'' } else { c }).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

/// A value, of which an object must be an object.
#[derive(Clone, Copy)]
struct Strict<'v>(&'v Value);

impl Strict<'_> {
    fn kind(self) -> Unexpected<'static> {
        match self.0 {
            Value::Null => Unexpected::Unit,
            Value::Bool(value) => Unexpected::Bool(*value),
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(value), _) => Unexpected::Unsigned(value),
                (_, Some(value)) => Unexpected::Signed(value),
                _ => Unexpected::Float(number.as_f64().unwrap_or_default()),
            },
            Value::String(_) => Unexpected::Other("a string"),
            Value::Array(_) => Unexpected::Seq,
            Value::Object(_) => Unexpected::Map,
        }
    }

    fn refuse(self, expected: &str) -> Wrong {
        let given = match self.0 {
            Value::String(text) => format!("`\"{}\"`", cut(text)),
            _ => got(self.kind()),
        };
        Wrong::here(format!("expected {expected}, got {given}"))
    }
}

impl<'de> Deserializer<'de> for Strict<'_> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(value), _) => visitor.visit_u64(value),
                (_, Some(value)) => visitor.visit_i64(value),
                _ => visitor.visit_f64(number.as_f64().unwrap_or_default()),
            },
            Value::String(text) => visitor.visit_str(text),
            Value::Array(items) => visitor.visit_seq(Items(items.iter().enumerate())),
            Value::Object(members) => visitor.visit_map(Members { left: members.iter(), open: None }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        if self.0.is_object() { self.deserialize_any(visitor) } else { Err(self.refuse("an object")) }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        match self.0 {
            Value::String(text) => {
                let text: StrDeserializer<'_, Wrong> = text.as_str().into_deserializer();
                text.deserialize_enum(name, variants, visitor)
            }
            Value::Object(_) => {
                self.0.clone().deserialize_enum(name, variants, visitor).map_err(de::Error::custom)
            }
            _ => Err(self.refuse("a string")),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq
        tuple tuple_struct map identifier ignored_any
    }
}

struct Items<'v>(std::iter::Enumerate<std::slice::Iter<'v, Value>>);

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Wrong;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Wrong> {
        let Some((at, item)) = self.0.next() else { return Ok(None) };
        seed.deserialize(Strict(item)).map(Some).map_err(|wrong| wrong.below(at.to_string()))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

struct Members<'v> {
    left: serde_json::map::Iter<'v>,
    open: Option<(&'v String, &'v Value)>,
}

impl<'de> MapAccess<'de> for Members<'_> {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Wrong> {
        self.open = self.left.next();
        let Some((name, _)) = self.open else { return Ok(None) };
        seed.deserialize(name.as_str().into_deserializer()).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Wrong> {
        let Some((name, value)) = self.open.take() else {
            return Err(Wrong::here("a member has no value"));
        };
        seed.deserialize(Strict(value)).map_err(|wrong| wrong.below(name))
    }
}

/// The object in `value`, or what to say when it is none.
pub fn object(value: &Value) -> Result<&Map<String, Value>, Refusal> {
    value.as_object().ok_or_else(|| Refusal::invalid(vec![Strict(value).refuse("an object").into_fault()]))
}

#[cfg(test)]
mod tests;
