//! The published description of the API: which calls there are, and what their bodies may hold.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

const TEXT: &str = include_str!("../../data/firecracker/description.json");

/// Calls and bodies.
#[derive(Debug, Deserialize)]
pub struct Description {
    /// Of the description.
    pub version: String,
    calls: BTreeMap<String, Option<String>>,
    bodies: BTreeMap<String, Schema>,
}

#[derive(Debug, Deserialize)]
struct Schema {
    is: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(rename = "enum", default)]
    values: Vec<Value>,
    #[serde(default)]
    required: Vec<String>,
    #[serde(default)]
    properties: BTreeMap<String, Schema>,
    items: Option<Box<Schema>>,
    #[serde(rename = "additionalProperties")]
    more: Option<Value>,
}

impl Description {
    /// The one in `data/firecracker`.
    pub fn published() -> Self {
        serde_json::from_str(TEXT).unwrap()
    }

    /// Whether there is such a call, and what its body is called.
    fn call(&self, method: &str, path: &str) -> Option<&Option<String>> {
        self.calls.iter().find(|(call, _)| fits(call, method, path)).map(|(_, body)| body)
    }

    /// Checks the body of a call.
    ///
    /// # Errors
    /// Says what the description does not allow.
    pub fn check(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(), String> {
        let name = self.call(method, path).ok_or_else(|| format!("there is no `{method} {path}`"))?;
        match (name, body) {
            (Some(name), Some(body)) => self.fits(name, self.bodies.get(name), body),
            (Some(name), None) => Err(format!("`{method} {path}` needs a body, `{name}`")),
            (None, Some(_)) => Err(format!("`{method} {path}` has no body")),
            (None, None) => Ok(()),
        }
    }

    fn fits(&self, place: &str, schema: Option<&Schema>, value: &Value) -> Result<(), String> {
        let Some(schema) = schema else { return Ok(()) };
        if let Some(name) = &schema.is {
            return self.fits(place, self.bodies.get(name), value);
        }
        if !schema.values.is_empty() && !schema.values.contains(value) {
            return Err(format!("{place}: {value} is none of the values"));
        }
        let right = match schema.kind.as_deref() {
            Some("string") => value.is_string(),
            Some("integer") => value.is_u64() || value.is_i64(),
            Some("boolean") => value.is_boolean(),
            Some("array") => value.is_array(),
            Some("object") => value.is_object(),
            _ => true,
        };
        if !right {
            return Err(format!("{place}: {value} is of another type than {:?}", schema.kind));
        }
        for (index, item) in value.as_array().into_iter().flatten().enumerate() {
            self.fits(&format!("{place}[{index}]"), schema.items.as_deref(), item)?;
        }
        let Some(members) = value.as_object() else { return Ok(()) };
        if let Some(missing) = schema.required.iter().find(|name| !members.contains_key(*name)) {
            return Err(format!("{place}: `{missing}` is required"));
        }
        for (name, value) in members {
            match schema.properties.get(name) {
                Some(schema) => self.fits(&format!("{place}.{name}"), Some(schema), value)?,
                None if schema.more.is_some() => {}
                None => return Err(format!("{place}: `{name}` is not described")),
            }
        }
        Ok(())
    }
}

fn fits(call: &str, method: &str, path: &str) -> bool {
    let Some((known, pattern)) = call.split_once(' ') else { return false };
    let (mut parts, mut pattern) = (path.split('/'), pattern.split('/'));
    known == method
        && loop {
            match (parts.next(), pattern.next()) {
                (None, None) => break true,
                (Some(_), Some(any)) if any.starts_with('{') => {}
                (Some(part), Some(wanted)) if part == wanted => {}
                _ => break false,
            }
        }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_body_is_checked_field_by_field() {
        let published = Description::published();
        let check = |body: &Value| published.check("PUT", "/machine-config", Some(body));
        assert_eq!(check(&json!({"vcpu_count": 1, "mem_size_mib": 128, "smt": false})), Ok(()));
        let complaint = |body| check(&body).unwrap_err();
        assert!(complaint(json!({"vcpu_count": 1})).contains("`mem_size_mib` is required"));
        assert!(complaint(json!({"vcpu_count": "1", "mem_size_mib": 1})).contains("another type"));
        assert!(
            complaint(json!({"vcpu_count": 1, "mem_size_mib": 1, "x": 1})).contains("`x` is not described")
        );
        let pages = json!({"vcpu_count": 1, "mem_size_mib": 1, "huge_pages": "4K"});
        assert!(complaint(pages).contains("none of the values"));
    }

    #[test]
    fn paths_with_names_in_them_are_found_and_others_are_not() {
        let published = Description::published();
        let drive = json!({"drive_id": "a", "path_on_host": "b", "is_root_device": true});
        assert_eq!(published.check("PUT", "/drives/a", Some(&drive)), Ok(()));
        assert!(published.check("PUT", "/drives/a/b", Some(&drive)).is_err());
        assert!(published.check("PUT", "/nope", None).is_err());
        assert!(published.check("GET", "/version", Some(&json!({}))).is_err());
        assert!(published.check("PUT", "/actions", None).is_err());
    }
}
