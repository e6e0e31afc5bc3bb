//! What the server tells a client of itself.

use serde::Serialize;

use crate::{
    Tls, ambient,
    client::{Origin, Transport},
    shared::Shared,
};

/// What INFO says.
#[derive(Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "this is what clients read")]
pub(crate) struct Info<'a> {
    server_id: &'a str,
    server_name: &'a str,
    version: &'a str,
    proto: u8,
    /// Some clients insist on it.
    go: &'a str,
    host: &'a str,
    port: u16,
    headers: bool,
    max_payload: usize,
    #[serde(skip_serializing_if = "is_false")]
    auth_required: bool,
    #[serde(skip_serializing_if = "is_false")]
    tls_required: bool,
    #[serde(skip_serializing_if = "is_false")]
    tls_available: bool,
    #[serde(skip_serializing_if = "is_false")]
    tls_verify: bool,
    #[serde(skip_serializing_if = "is_false")]
    jetstream: bool,
    client_id: u64,
    client_ip: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
    #[serde(rename = "ldm", skip_serializing_if = "is_false")]
    lame_duck: bool,
    /// Set once the client is connected.
    #[serde(rename = "connect_info", skip_serializing_if = "is_false")]
    connected: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_account: Option<&'a str>,
}

/// What a connection begins with.
pub(crate) struct Greeting {
    /// Number of the connection.
    pub(crate) id: u64,
    /// What the client signs with its key; empty where nobody has to say who he is.
    pub(crate) nonce: String,
    /// The INFO line, with its end. Whoever sends it himself leaves it empty.
    pub(crate) line: Vec<u8>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(value: &bool) -> bool {
    !value
}

impl Shared {
    /// The start of a new connection.
    pub(crate) fn greet(&self, origin: &Origin) -> Greeting {
        let id = self.next_id();
        let nonce = if self.options.access.required() { nonce() } else { String::new() };
        let line = self.info(id, origin, &nonce, false);
        Greeting { id, nonce, line }
    }

    /// One INFO line. `connected` when it follows CONNECT.
    pub(crate) fn info(&self, id: u64, origin: &Origin, nonce: &str, connected: bool) -> Vec<u8> {
        let options = &self.options;
        let tls = options.tls.as_ref().filter(|_| origin.transport != Transport::WebSocket);
        let info = Info {
            server_id: &self.id,
            server_name: options.server_name.as_deref().unwrap_or(&self.id),
            version: &options.version,
            proto: 1,
            go: "",
            host: &options.host,
            port: self.address.port(),
            headers: true,
            max_payload: options.limits.max_payload,
            auth_required: options.access.required(),
            tls_required: tls.is_some(),
            tls_available: tls.is_some(),
            tls_verify: tls.is_some_and(Tls::verifies),
            jetstream: options.jetstream.is_some(),
            client_id: id,
            client_ip: origin.peer.ip().to_string(),
            nonce: (!nonce.is_empty()).then_some(nonce),
            lame_duck: self.is_lame_duck(),
            connected,
            remote_account: connected.then_some("$G"),
        };
        let mut line = b"INFO ".to_vec();
        if let Err(error) = serde_json::to_writer(&mut line, &info) {
            tracing::error!(%error, "INFO cannot be written");
        }
        line.extend_from_slice(b" \r\n");
        line
    }
}

fn nonce() -> String {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    BASE64_URL_SAFE_NO_PAD.encode(ambient::random::<11>())
}
