//! Reading members of a JSON object, noting every fault instead of stopping at the first.

use serde_json::{Map, Value};

use crate::fault::{At, Faults, hint, quote};

/// Written by the server into what it answers; a client may send it back unread.
const SERVER_OWNED: [&str; 7] =
    ["id", "created_at", "updated_at", "revision", "environment", "flag_key", "status"];

/// An object being read.
#[derive(Clone, Copy)]
pub(crate) struct Object<'a> {
    members: &'a Map<String, Value>,
    /// Where it is.
    pub(crate) at: &'a At<'a>,
}

impl<'a> Object<'a> {
    /// `value` as an object; `what` names it in the fault otherwise.
    pub(crate) fn new(
        value: &'a Value,
        what: &str,
        at: &'a At<'a>,
        faults: &mut Faults,
    ) -> Option<Object<'a>> {
        if let Value::Object(members) = value {
            return Some(Object { members, at });
        }
        faults.add(at, format!("{what} is a JSON object, not {}", kind_of(value)));
        None
    }

    /// A member, unless it is absent or null.
    pub(crate) fn get(&self, name: &str) -> Option<&'a Value> {
        self.members.get(name).filter(|value| !value.is_null())
    }

    /// Whether the member is there and not null.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Notes every member that is neither known nor the server's own.
    pub(crate) fn refuse_unknown(&self, known: &[&str], faults: &mut Faults) {
        for name in self.members.keys() {
            if !known.contains(&name.as_str()) && !SERVER_OWNED.contains(&name.as_str()) {
                let hint = hint(name, known.iter().copied());
                faults.add(&self.at.member(name), format!("unknown member {}{hint}", quote(name)));
            }
        }
    }

    /// A text.
    pub(crate) fn text(&self, name: &str, faults: &mut Faults) -> Option<String> {
        let value = self.get(name)?;
        match value {
            Value::String(text) => Some(text.clone()),
            other => self.wrong(name, "a string", other, faults),
        }
    }

    /// A truth value.
    pub(crate) fn truth(&self, name: &str, faults: &mut Faults) -> Option<bool> {
        let value = self.get(name)?;
        match value {
            Value::Bool(truth) => Some(*truth),
            other => self.wrong(name, "true or false", other, faults),
        }
    }

    /// A whole number.
    pub(crate) fn integer(&self, name: &str, faults: &mut Faults) -> Option<i64> {
        let value = self.get(name)?;
        match value.as_i64() {
            Some(integer) => Some(integer),
            None => self.wrong(name, "a whole number", value, faults),
        }
    }

    /// A number.
    pub(crate) fn number(&self, name: &str, faults: &mut Faults) -> Option<f64> {
        let value = self.get(name)?;
        match value.as_f64() {
            Some(number) => Some(number),
            None => self.wrong(name, "a number", value, faults),
        }
    }

    /// The elements of an array; of a longer one than `most`, only so many. None when absent.
    pub(crate) fn items(&self, name: &str, most: usize, faults: &mut Faults) -> Option<&'a [Value]> {
        let value = self.get(name)?;
        let Value::Array(items) = value else {
            return self.wrong(name, "an array", value, faults);
        };
        if items.len() > most {
            let message = format!("at most {most} are possible here, these are {}", items.len());
            faults.add(&self.at.member(name), message);
        }
        Some(items.get(..most).unwrap_or(items))
    }

    /// An array of texts.
    pub(crate) fn texts(&self, name: &str, most: usize, faults: &mut Faults) -> Vec<String> {
        let items = self.items(name, most, faults).unwrap_or_default();
        let at = self.at.member(name);
        let mut texts = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match item {
                Value::String(text) => texts.push(text.clone()),
                other => {
                    faults.add(&at.item(index), format!("this has to be a string, not {}", kind_of(other)));
                }
            }
        }
        texts
    }

    fn wrong<T>(&self, name: &str, expected: &str, value: &Value, faults: &mut Faults) -> Option<T> {
        let message = format!("`{name}` has to be {expected}, not {}", kind_of(value));
        faults.add(&self.at.member(name), message);
        None
    }
}

/// What kind of JSON this is, and the value itself when it is short.
pub(crate) fn kind_of(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(truth) => format!("`{truth}`"),
        Value::Number(number) => format!("the number `{number}`"),
        Value::String(text) => format!("the string {}", quote(text)),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_wrong_member_is_noted_and_reading_goes_on() {
        let body = json!({ "name": 1, "enabled": "yes", "priority": 1.5, "tags": ["a", 2] });
        let mut faults = Faults::default();
        let object = Object::new(&body, "a flag", &At::ROOT, &mut faults).unwrap();
        assert_eq!(object.text("name", &mut faults), None);
        assert_eq!(object.truth("enabled", &mut faults), None);
        assert_eq!(object.integer("priority", &mut faults), None);
        assert_eq!(object.texts("tags", 5, &mut faults), ["a"]);
        let found: Vec<String> = faults.into_vec().iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "/name: `name` has to be a string, not the number `1`",
                "/enabled: `enabled` has to be true or false, not the string `yes`",
                "/priority: `priority` has to be a whole number, not the number `1.5`",
                "/tags/1: this has to be a string, not the number `2`",
            ]
        );
    }

    #[test]
    fn null_is_the_same_as_absent() {
        let body = json!({ "name": null });
        let mut faults = Faults::default();
        let object = Object::new(&body, "a flag", &At::ROOT, &mut faults).unwrap();
        assert_eq!(object.text("name", &mut faults), None);
        assert_eq!(faults.len(), 0);
    }

    #[test]
    fn what_the_server_wrote_itself_may_come_back() {
        let body = json!({ "id": "1", "created_at": "x", "kye": 1 });
        let mut faults = Faults::default();
        let object = Object::new(&body, "a flag", &At::ROOT, &mut faults).unwrap();
        object.refuse_unknown(&["key", "name"], &mut faults);
        let found = faults.into_vec();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].message, "unknown member `kye`; did you mean `key`?");
    }
}
