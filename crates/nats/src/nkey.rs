//! `NKeys`: ed25519 public keys written as text, and signatures made with them.

use std::{fmt, str::FromStr};

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use data_encoding::BASE32_NOPAD;

/// Bytes of a key as text stands for: kind, key, checksum.
const LENGTH: usize = 35;

/// A public key: what it is of, and the key itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct NKey {
    kind: Kind,
    bytes: [u8; 32],
}

/// What a key is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An operator, who vouches for accounts; its text starts with `O`.
    Operator,
    /// An account, which vouches for users; `A`.
    Account,
    /// A user; `U`.
    User,
    /// A server; `N`.
    Server,
    /// A cluster; `C`.
    Cluster,
}

/// A text that is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNKey {
    /// It has characters or a length that no key has.
    #[error("not a public NKey: it has 56 characters of base32, such as `UA…`")]
    Form,
    /// Something in it was mistyped.
    #[error("the checksum of the NKey does not fit: copy it again")]
    Checksum,
    /// It is secret, or of a kind that signs nothing.
    #[error("not a public NKey: give the public key, not the seed")]
    Kind,
}

impl NKey {
    /// What it is of.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether `signature` is of `message`, made with the private half of this key.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.bytes).verify(message, signature).is_ok()
    }

    /// The same with a signature as it stands in CONNECT: base64 of either alphabet.
    pub fn verifies_text(&self, message: &str, signature: &str) -> bool {
        let decoded = URL_SAFE_NO_PAD.decode(signature).or_else(|_| STANDARD.decode(signature));
        decoded.is_ok_and(|signature| self.verifies(message.as_bytes(), &signature))
    }

    /// The key of `kind` with these bytes.
    pub fn new(kind: Kind, bytes: [u8; 32]) -> Self {
        Self { kind, bytes }
    }
}

impl FromStr for NKey {
    type Err = InvalidNKey;

    fn from_str(text: &str) -> Result<Self, InvalidNKey> {
        let decoded = BASE32_NOPAD.decode(text.as_bytes()).map_err(|_| InvalidNKey::Form)?;
        let decoded: [u8; LENGTH] = decoded.try_into().map_err(|_| InvalidNKey::Form)?;
        let (body, checksum) = decoded.split_last_chunk::<2>().ok_or(InvalidNKey::Form)?;
        if crc16(body) != u16::from_le_bytes(*checksum) {
            return Err(InvalidNKey::Checksum);
        }
        let (prefix, bytes) = body.split_first().ok_or(InvalidNKey::Form)?;
        let kind = Kind::of(*prefix).ok_or(InvalidNKey::Kind)?;
        let bytes = bytes.try_into().map_err(|_| InvalidNKey::Form)?;
        Ok(Self { kind, bytes })
    }
}

impl fmt::Display for NKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut body = vec![self.kind.prefix()];
        body.extend(self.bytes);
        body.extend(crc16(&body).to_le_bytes());
        f.write_str(&BASE32_NOPAD.encode(&body))
    }
}

impl fmt::Debug for NKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Kind {
    const ALL: [Self; 5] = [Self::Operator, Self::Account, Self::User, Self::Server, Self::Cluster];

    fn of(prefix: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.prefix() == prefix)
    }

    /// The five bits that become the first letter.
    fn prefix(self) -> u8 {
        match self {
            Self::Operator => 14 << 3,
            Self::Account => 0,
            Self::User => 20 << 3,
            Self::Server => 13 << 3,
            Self::Cluster => 2 << 3,
        }
    }
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc: u16, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}

#[cfg(test)]
mod tests;
