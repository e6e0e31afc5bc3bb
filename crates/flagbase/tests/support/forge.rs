//! Tokens made by hand, with any header, claims and signature: what an attacker would send.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use sha2::{Digest, Sha256, Sha384, Sha512};

/// The header of an ordinary token.
pub(crate) fn plain_header() -> Value {
    serde_json::json!({"alg": "HS256", "typ": "JWT"})
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// One part of a token, read.
pub(crate) fn decode(token: &str, part: usize) -> Value {
    let part = token.split('.').nth(part).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// A token whose signature is as good as `key`, by the algorithm that its header names: HS256, unless HS384 or HS512.
pub(crate) fn sign(header: &Value, claims: &Value, key: &[u8]) -> String {
    sign_text(&header.to_string(), &claims.to_string(), key)
}

/// The same with JSON that `serde_json` would not write.
pub(crate) fn sign_text(header: &str, claims: &str, key: &[u8]) -> String {
    let message = format!("{}.{}", encode(header), encode(claims));
    let signature = if header.contains("HS512") {
        hmac::<Sha512>(key, message.as_bytes(), 128)
    } else if header.contains("HS384") {
        hmac::<Sha384>(key, message.as_bytes(), 128)
    } else {
        hmac::<Sha256>(key, message.as_bytes(), 64)
    };
    format!("{message}.{}", encode(signature))
}

/// RFC 2104.
fn hmac<D: Digest>(key: &[u8], message: &[u8], block: usize) -> Vec<u8> {
    let mut padded = if key.len() > block { D::digest(key).to_vec() } else { key.to_vec() };
    padded.resize(block, 0);
    let pad = |with: u8| padded.iter().map(|byte| byte ^ with).collect::<Vec<_>>();
    let inner = D::new().chain_update(pad(0x36)).chain_update(message).finalize();
    D::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}

#[test]
fn a_forger_signs_as_rfc_7515_shows() {
    let key = URL_SAFE_NO_PAD
        .decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
        .unwrap();
    let header = "{\"typ\":\"JWT\",\r\n \"alg\":\"HS256\"}";
    let claims = "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}";
    let token = sign_text(header, claims, &key);
    assert!(token.ends_with(".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"), "{token}");
}
