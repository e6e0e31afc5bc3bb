//! The options of CONNECT.

use serde::Deserialize;
use serde_json::{Map, Value};

/// What a client says in CONNECT. What it leaves out, or sets to null, is as for a client that never sent one.
#[derive(Deserialize, Default, Clone)]
#[serde(default)]
pub(super) struct Connect {
    verbose: Option<bool>,
    pedantic: Option<bool>,
    echo: Option<bool>,
    headers: Option<bool>,
    no_responders: Option<bool>,
    protocol: Option<i64>,
    pub(super) user: Option<String>,
    #[serde(rename = "pass")]
    pub(super) password: Option<String>,
    #[serde(rename = "auth_token")]
    pub(super) token: Option<String>,
    pub(super) jwt: Option<String>,
    pub(super) nkey: Option<String>,
    #[serde(rename = "sig")]
    pub(super) signature: Option<String>,
    pub(super) name: Option<String>,
    pub(super) lang: Option<String>,
    pub(super) version: Option<String>,
}

impl Connect {
    /// Reads the options. Neither the case of their names nor an odd encoding of values is a reason to refuse a client.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let said: Map<String, Value> = serde_json::from_str(&String::from_utf8_lossy(bytes)).ok()?;
        let said = said.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
        serde_json::from_value(Value::Object(said)).ok()
    }

    /// Whether `+OK` is wanted.
    pub(super) fn verbose(&self) -> bool {
        self.verbose.unwrap_or(true)
    }

    /// Whether subjects are to be checked when something is published.
    pub(super) fn pedantic(&self) -> bool {
        self.pedantic.unwrap_or(true)
    }

    /// Whether the client gets what it publishes itself.
    pub(super) fn echo(&self) -> bool {
        self.echo.unwrap_or(true)
    }

    /// Whether it knows headers.
    pub(super) fn headers(&self) -> bool {
        self.headers.unwrap_or(false)
    }

    /// Whether it wants to be told that nobody listens.
    pub(super) fn no_responders(&self) -> bool {
        self.no_responders.unwrap_or(false)
    }

    /// Level of the protocol; `None` when there is no such.
    pub(super) fn protocol(&self) -> Option<u8> {
        u8::try_from(self.protocol.unwrap_or(0)).ok().filter(|level| *level <= 1)
    }

    /// What a client said before, where it does not say it again.
    pub(super) fn over(self, before: &Self) -> Self {
        Self {
            verbose: self.verbose.or(before.verbose),
            pedantic: self.pedantic.or(before.pedantic),
            echo: self.echo.or(before.echo),
            headers: self.headers.or(before.headers),
            no_responders: self.no_responders.or(before.no_responders),
            protocol: self.protocol.or(before.protocol),
            user: self.user.or_else(|| before.user.clone()),
            name: self.name.or_else(|| before.name.clone()),
            lang: self.lang.or_else(|| before.lang.clone()),
            version: self.version.or_else(|| before.version.clone()),
            ..self
        }
    }

    /// Drops what has done its work, and should not stay in memory.
    pub(super) fn forget_secrets(&mut self) {
        (self.password, self.token, self.jwt, self.signature) = (None, None, None, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_as_if_connect_never_came() {
        let said: Connect = serde_json::from_str(r#"{"verbose":null,"unknown":1}"#).unwrap();
        assert_eq!((said.verbose(), said.pedantic(), said.echo(), said.headers()), (true, true, true, false));
        assert_eq!(said.protocol(), Some(0));
    }

    #[test]
    fn a_second_connect_changes_only_what_it_says() {
        let said = |text| serde_json::from_str::<Connect>(text).unwrap();
        let both = said(r#"{"echo":false}"#).over(&said(r#"{"verbose":false,"echo":true}"#));
        assert_eq!((both.verbose(), both.echo()), (false, false));
    }

    #[test]
    fn names_are_known_in_any_case_and_values_in_any_encoding() {
        let said = Connect::read(b"{\"Verbose\":false,\"name\":\"\xff\"}").unwrap();
        assert_eq!((said.verbose(), said.name.as_deref()), (false, Some("\u{fffd}")));
        assert!(Connect::read(b"{\"VERBOSE\":\"yes\"}").is_none());
    }

    #[test]
    fn there_are_two_levels_of_the_protocol() {
        let level = |protocol| Connect { protocol: Some(protocol), ..Connect::default() }.protocol();
        assert_eq!([-1, 0, 1, 2].map(level), [None, Some(0), Some(1), None]);
    }
}
