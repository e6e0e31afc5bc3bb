//! JSON bodies, read strictly: bounded, in time, no member twice, and errors that say where.

use std::fmt;

use axum::{
    body::to_bytes,
    extract::{FromRequest, Request},
};
use flagbase_core::{
    refusal::{Class, Refusal},
    shape::shape,
};
use serde::{
    Deserialize,
    de::{DeserializeOwned, Deserializer, Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

use crate::{
    problem::Problem,
    router::{ApiSettings, Handles},
};

/// A JSON body of shape `T`. Any content type is taken for JSON, because the first API did.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Handles> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, handles: &Handles) -> Result<Self, Problem> {
        let value = read(request, &handles.settings).await?;
        Ok(Self(shape(&value)?))
    }
}

/// The body as a value: 400 when it is not JSON, 413 when too large, 408 when too slow.
async fn read(request: Request, settings: &ApiSettings) -> Result<Value, Refusal> {
    let (most, time) = (settings.max_body, settings.body_timeout);
    let declared = request
        .headers()
        .get(axum::http::header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > most) {
        return Err(too_large(most));
    }
    let bytes = tokio::time::timeout(time, to_bytes(request.into_body(), most))
        .await
        .map_err(|_| {
            malformed("request_timeout", "the body did not arrive in time; send it faster, or less at once")
        })?
        .map_err(|error| {
            let source = std::error::Error::source(&error);
            if matches!(source, Some(source) if source.is::<http_body_util::LengthLimitError>()) {
                too_large(most)
            } else {
                malformed("bad_body", "the body broke off; send it again")
            }
        })?;
    parse(&bytes)
}

fn parse(bytes: &[u8]) -> Result<Value, Refusal> {
    if bytes.is_empty() {
        return Err(malformed("bad_json", "invalid request body: it is empty, send JSON"));
    }
    let Unique(value) = serde_json::from_slice(bytes)
        .map_err(|error| malformed("bad_json", format!("invalid request body: {error}")))?;
    Ok(value)
}

fn malformed(code: &'static str, message: impl Into<String>) -> Refusal {
    Refusal::new(Class::Malformed, code, message)
}

fn too_large(most: usize) -> Refusal {
    malformed("body_too_large", format!("the body is larger than {most} bytes; send less at once"))
}

/// A JSON value in which no object names a member twice.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor).map(Self)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Unique(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((name, Unique(value))) = members.next_entry::<String, Unique>()? {
            if object.contains_key(&name) {
                return Err(A::Error::custom(format_args!("member `{name}` is given twice")));
            }
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_given_twice_is_refused_wherever_it_is() {
        let refusal = parse(br#"{"rules":[{"a":1,"a":2}]}"#).unwrap_err();
        assert!(refusal.message.contains("member `a` is given twice"), "{refusal}");
    }

    #[test]
    fn json_of_every_kind_survives() {
        let text = r#"{"a":[1,-2,2.5,"x",null,true,{"b":{}}]}"#;
        assert_eq!(parse(text.as_bytes()).unwrap().to_string(), text);
    }

    #[test]
    fn nothing_and_nonsense_are_malformed() {
        for text in ["", "{", "nope", "{\"a\":}"] {
            assert_eq!(parse(text.as_bytes()).unwrap_err().class, Class::Malformed, "{text}");
        }
    }
}
