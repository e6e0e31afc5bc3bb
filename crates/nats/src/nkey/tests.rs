use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use proptest::prelude::*;

use super::*;

fn pair(seed: u8) -> (Ed25519KeyPair, NKey) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
    let bytes = pair.public_key().as_ref().try_into().unwrap();
    (pair, NKey::new(Kind::User, bytes))
}

#[test]
fn the_checksum_is_the_one_of_the_catalogue() {
    assert_eq!(crc16(b"123456789"), 0x31c3);
}

#[test]
fn a_published_key_is_read_and_written_back() {
    let text = "UAFHG6FUD2UU4SDFVAFUL5LDFO2XM4WYM76UNXTPJYJK7EEMYRBHT2VE";
    let key: NKey = text.parse().unwrap();
    assert_eq!((key.kind(), key.to_string()), (Kind::User, text.to_owned()));
}

#[test]
fn the_first_letter_tells_the_kind() {
    let letter = |kind| NKey::new(kind, [7; 32]).to_string().chars().next().unwrap();
    let letters: String = Kind::ALL.into_iter().map(letter).collect();
    assert_eq!(letters, "OAUNC");
}

#[test]
fn what_is_no_key_says_why() {
    let parse = |text: &str| text.parse::<NKey>().unwrap_err();
    assert_eq!(parse(""), InvalidNKey::Form);
    assert_eq!(parse("UAFHG6"), InvalidNKey::Form);
    assert_eq!(parse("UAFHG6FUD2UU4SDFVAFUL5LDFO2XM4WYM76UNXTPJYJK7EEMYRBHT2V!"), InvalidNKey::Form);
    assert_eq!(parse("UAFHG6FUD2UU4SDFVAFUL5LDFO2XM4WYM76UNXTPJYJK7EEMYRBHT2VA"), InvalidNKey::Checksum);
    let mut curve = vec![23 << 3];
    curve.extend([7; 32]);
    curve.extend(crc16(&curve).to_le_bytes());
    assert_eq!(parse(&BASE32_NOPAD.encode(&curve)), InvalidNKey::Kind);
}

#[test]
fn only_the_private_half_signs_and_only_what_it_signed() {
    let (pair, key) = pair(1);
    let signature = pair.sign(b"nonce");
    assert!(key.verifies(b"nonce", signature.as_ref()));
    assert!(!key.verifies(b"other", signature.as_ref()));
    assert!(!key.verifies(b"nonce", &[]));
    assert!(!self::pair(2).1.verifies(b"nonce", signature.as_ref()));
}

#[test]
fn both_alphabets_of_base64_are_taken() {
    let (pair, key) = pair(3);
    let signature = pair.sign(b"nonce");
    assert!(key.verifies_text("nonce", &URL_SAFE_NO_PAD.encode(signature.as_ref())));
    assert!(key.verifies_text("nonce", &STANDARD.encode(signature.as_ref())));
    assert!(!key.verifies_text("nonce", "no base64 at all"));
}

proptest! {
    #[test]
    fn every_key_is_read_back(bytes: [u8; 32], kind in 0_usize..5) {
        let key = NKey::new(Kind::ALL[kind], bytes);
        prop_assert_eq!(key.to_string().parse(), Ok(key));
    }

    #[test]
    fn one_changed_character_is_noticed(bytes: [u8; 32], at in 0_usize..56) {
        let text = NKey::new(Kind::User, bytes).to_string();
        let mut changed = text.into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        prop_assert!(String::from_utf8(changed).unwrap().parse::<NKey>().is_err());
    }

    #[test]
    fn any_text_is_refused_without_a_panic(text: String) {
        let _ = text.parse::<NKey>();
    }
}
