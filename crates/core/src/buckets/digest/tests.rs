use bytes::Bytes;
use futures_util::FutureExt as _;
use proptest::prelude::*;

use super::*;
use crate::functions::Body;

const CHECK: &[u8] = b"123456789";

fn stream_of(parts: &[&[u8]]) -> BodyStream {
    let parts: Vec<_> = parts.iter().map(|part| Ok(Bytes::copy_from_slice(part))).collect();
    Box::pin(stream::iter(parts))
}

fn digest(parts: &[&[u8]], asked: Digests) -> (Result<Bytes, BodyFault>, Option<Result<Digested, Refusal>>) {
    let (stream, outcome) = digesting(stream_of(parts), asked);
    let bytes = Body::Stream(stream, None).collect(u64::MAX).now_or_never().unwrap();
    (bytes, outcome.take())
}

fn keeping(algorithm: Algorithm) -> Digests {
    Digests { keep: Some(algorithm), ..Digests::default() }
}

#[test]
fn every_algorithm_gives_its_published_check_value() {
    for (algorithm, expected) in [
        (Algorithm::Crc32, "cbf43926"),
        (Algorithm::Crc32c, "e3069283"),
        (Algorithm::Crc64Nvme, "ae8b14860a799888"),
        (Algorithm::Sha1, "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
        (Algorithm::Sha256, "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"),
        (Algorithm::Md5, "25f9e794323b453885f5181f1b624d0b"),
    ] {
        let (bytes, outcome) = digest(&[b"1234", b"", b"56789"], keeping(algorithm));
        assert_eq!(bytes.unwrap(), CHECK, "they pass unchanged");
        let found = outcome.unwrap().unwrap();
        assert_eq!((found.size, found.crc64), (9, 0xae8b_1486_0a79_9888));
        assert_eq!(hex::encode(found.checksum.unwrap().raw().unwrap()), expected, "{algorithm}");
        assert_eq!(algorithm.to_string().to_uppercase().parse(), Ok(algorithm));
    }
}

#[test]
fn an_etag_is_an_md5_or_cannot_be_taken_for_one() {
    let md5 = Digests { md5: true, ..Digests::default() };
    assert_eq!(digest(&[b"abc"], md5).1.unwrap().unwrap().etag(), "900150983cd24fb0d6963f7d28e17f72");
    let plain = digest(&[b"abc"], Digests::default()).1.unwrap().unwrap().etag();
    assert!(
        plain.ends_with("-1")
            && plain == digest(&[b"a", b"bc"], Digests::default()).1.unwrap().unwrap().etag()
    );
}

#[test]
fn what_is_not_as_it_was_said_ends_with_a_fault_in_place_of_the_end() {
    let good = Checksum::of(Algorithm::Sha1, &Sha1::digest(b"abc"));
    let bad_md5 = Checksum::of(Algorithm::Md5, &[7; 16]);
    let nonsense = Checksum { algorithm: Algorithm::Crc32, value: "AAAA".into(), composite: false };
    for (expect, size, code) in [
        (vec![good.clone(), bad_md5], None, "bad_digest"),
        (vec![Checksum::of(Algorithm::Crc64Nvme, &[0; 8])], None, "checksum_mismatch"),
        (vec![nonsense], None, "invalid_digest"),
        (vec![good.clone()], Some(4), "incomplete_body"),
    ] {
        let (bytes, outcome) = digest(&[b"abc"], Digests { expect, size, ..Digests::default() });
        assert!(bytes.is_err(), "{code}");
        assert_eq!(outcome.unwrap().unwrap_err().code, code);
    }
    let (bytes, outcome) =
        digest(&[b"abc"], Digests { expect: vec![good], size: Some(3), ..Digests::default() });
    assert!(bytes.is_ok() && outcome.unwrap().is_ok());
}

#[test]
fn a_checksum_that_comes_behind_the_bytes_is_compared_too() {
    let late = |value: [u8; 4]| Digests {
        late: Some(Box::new(move || Ok(vec![Checksum::of(Algorithm::Crc32, &value)]))),
        late_algorithms: vec![Algorithm::Crc32],
        ..Digests::default()
    };
    assert!(digest(&[CHECK], late([0xcb, 0xf4, 0x39, 0x26])).1.unwrap().is_ok());
    assert_eq!(digest(&[CHECK], late([0; 4])).1.unwrap().unwrap_err().code, "checksum_mismatch");
    let refusing = Digests {
        late: Some(Box::new(|| Err(Refusal::new(Class::Malformed, "bad_body", "no trailer")))),
        ..Digests::default()
    };
    assert_eq!(digest(&[CHECK], refusing).1.unwrap().unwrap_err().code, "bad_body");
}

#[test]
fn a_stream_that_breaks_off_has_no_outcome() {
    let broken = stream::iter([Ok(Bytes::from_static(b"a")), Err(BodyFault::TooSlow)]);
    let (stream, outcome) = digesting(Box::pin(broken), Digests::default());
    let end = Body::Stream(stream, None).collect(9).now_or_never().unwrap();
    assert_eq!(end.unwrap_err(), BodyFault::TooSlow);
    assert!(outcome.take().is_none());
}

proptest! {
    #[test]
    fn checksums_of_parts_make_that_of_the_whole(parts in proptest::collection::vec(
        proptest::collection::vec(any::<u8>(), 0..300), 1..6)) {
        let whole = parts.concat();
        for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme] {
            let of = |bytes: &[u8]| {
                digest(&[bytes], keeping(algorithm)).1.unwrap().unwrap().checksum.unwrap()
            };
            let told: Vec<_> = parts.iter().map(|part| (of(part), part.len() as u64)).collect();
            prop_assert_eq!(checksum_of_parts(algorithm, false, &told), Some(of(&whole)));
        }
        let piece = |part: &Vec<u8>| Piece { blob: String::new(), size: part.len() as u64, crc64: crc64(part) };
        let pieces: Vec<_> = parts.iter().map(piece).collect();
        prop_assert_eq!(crc64_of(&pieces), crc64(&whole));
    }

    #[test]
    fn a_checksum_of_checksums_says_how_many(parts in 1_usize..5) {
        let one = Checksum::of(Algorithm::Sha256, &Sha256::digest(b"x"));
        let told = vec![(one, 1); parts];
        let all = checksum_of_parts(Algorithm::Sha256, true, &told).unwrap();
        let expected = Sha256::digest(Sha256::digest(b"x").to_vec().repeat(parts));
        prop_assert_eq!(all.value, format!("{}-{parts}", STANDARD.encode(expected)));
        prop_assert_eq!(checksum_of_parts(Algorithm::Sha256, false, &told), None);
        prop_assert_eq!(checksum_of_parts(Algorithm::Sha1, true, &told), None);
    }
}
