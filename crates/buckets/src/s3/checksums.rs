//! Checksums as S3 sends them: in headers, in trailers, in XML.

use flagbase_core::{
    buckets::{Algorithm, Checksum, Digests, Late, Object},
    refusal::{Class, Refusal},
};
use http::HeaderMap;
use s3s::{S3Result, TrailingHeaders, dto, s3_error};

/// The order in which checksums stand in what this module takes and gives.
pub(super) const ORDER: [Algorithm; 5] =
    [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme, Algorithm::Sha1, Algorithm::Sha256];

/// Checksums in that order.
pub(super) type Five = [Option<String>; 5];

/// What a request says of its body.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// In its head.
    pub(super) sums: Five,
    /// `Content-MD5`.
    pub(super) md5: Option<String>,
    /// In `x-amz-sdk-checksum-algorithm`.
    pub(super) algorithm: Option<dto::ChecksumAlgorithm>,
    /// Will come behind the body.
    pub(super) trailers: Option<TrailingHeaders>,
    /// How many bytes.
    pub(super) size: Option<u64>,
}

impl Said {
    /// The checksum in the head.
    pub(super) fn checksum(&self) -> S3Result<Option<Checksum>> {
        one(&self.sums)
    }

    /// What is to be computed of the body and compared. `wanted` is the algorithm that is to be kept whatever is said.
    pub(super) fn digests(self, headers: &HeaderMap, wanted: Option<Algorithm>) -> S3Result<Digests> {
        let said = self.checksum()?;
        let mut expect: Vec<Checksum> = said.iter().cloned().collect();
        expect.extend(self.md5.map(|value| Checksum { algorithm: Algorithm::Md5, value, composite: false }));
        let announced = announced(headers)?;
        let named = self.algorithm.as_ref().and_then(algorithm);
        if let (Some(said), Some(named)) = (&said, named)
            && said.algorithm != named
        {
            return Err(s3_error!(
                InvalidRequest,
                "x-amz-sdk-checksum-algorithm is {named}, and the checksum is {}",
                said.algorithm
            ));
        }
        let late_algorithms: Vec<Algorithm> = announced.into_iter().collect();
        let keep = wanted.or_else(|| said.map(|said| said.algorithm)).or(announced);
        let late = self.trailers.filter(|_| announced.is_some()).zip(announced);
        Ok(Digests {
            md5: true,
            keep,
            expect,
            late: late.map(|(trailers, algorithm)| late_of(trailers, algorithm)),
            late_algorithms,
            size: self.size,
        })
    }
}

/// The only one of these that is there.
pub(super) fn one(sums: &Five) -> S3Result<Option<Checksum>> {
    let mut there =
        ORDER.iter().zip(sums).filter_map(|(algorithm, value)| Some((*algorithm, value.as_ref()?)));
    let first = there.next();
    if there.next().is_some() {
        return Err(s3_error!(InvalidRequest, "say one x-amz-checksum- header, not more"));
    }
    let Some((algorithm, value)) = first else { return Ok(None) };
    let checksum = Checksum { algorithm, value: value.clone(), composite: value.contains('-') };
    if checksum.raw().is_none() {
        return Err(s3_error!(InvalidRequest, "x-amz-checksum-{algorithm} is no {algorithm} in base64"));
    }
    Ok(Some(checksum))
}

/// The algorithm of the checksum that comes behind the body.
fn announced(headers: &HeaderMap) -> S3Result<Option<Algorithm>> {
    let Some(said) = headers.get("x-amz-trailer").and_then(|value| value.to_str().ok()) else {
        return Ok(None);
    };
    let names = said.split(',').map(|name| name.trim().to_ascii_lowercase());
    let mut sums = names.filter_map(|name| name.strip_prefix("x-amz-checksum-").map(str::to_owned));
    let Some(name) = sums.next() else { return Ok(None) };
    match name.parse::<Algorithm>() {
        Ok(algorithm) if ORDER.contains(&algorithm) => Ok(Some(algorithm)),
        _ => Err(s3_error!(InvalidRequest, "x-amz-trailer names a checksum that is not known here")),
    }
}

fn late_of(trailers: TrailingHeaders, algorithm: Algorithm) -> Late {
    Box::new(move || {
        let name = format!("x-amz-checksum-{algorithm}");
        let read =
            |headers: &HeaderMap| headers.get(&name).and_then(|value| value.to_str().ok().map(str::to_owned));
        let missing = || {
            let message = format!("`{name}` was announced and did not come behind the body");
            Refusal::new(Class::Malformed, "bad_body", message)
        };
        let value = trailers.read(read).flatten().ok_or_else(missing)?;
        Ok(vec![Checksum { algorithm, value, composite: false }])
    })
}

/// The algorithm that S3 calls so.
pub(super) fn algorithm(named: &dto::ChecksumAlgorithm) -> Option<Algorithm> {
    named.as_str().parse().ok().filter(|algorithm| ORDER.contains(algorithm))
}

/// What S3 calls an algorithm.
pub(super) fn named(algorithm: Algorithm) -> dto::ChecksumAlgorithm {
    dto::ChecksumAlgorithm::from(algorithm.as_str().to_ascii_uppercase())
}

/// A checksum at its place, and of what it is.
pub(super) fn told(checksum: Option<&Checksum>) -> (Five, Option<dto::ChecksumType>) {
    let Some(checksum) = checksum else { return (Five::default(), None) };
    let at = |algorithm: Algorithm| (checksum.algorithm == algorithm).then(|| checksum.value.clone());
    (ORDER.map(at), Some(kind(checksum.composite)))
}

/// The checksum of an object: the one its writer asked for, or CRC-64.
pub(super) fn of_object(object: &Object) -> Checksum {
    let own = || Checksum::of(Algorithm::Crc64Nvme, &object.crc64.to_be_bytes());
    object.checksum.clone().unwrap_or_else(own)
}

/// What S3 calls it.
pub(super) fn kind(composite: bool) -> dto::ChecksumType {
    let name = if composite { dto::ChecksumType::COMPOSITE } else { dto::ChecksumType::FULL_OBJECT };
    dto::ChecksumType::from_static(name)
}

/// Which checksum an upload is to have.
pub(super) fn of_upload(
    algorithm_said: Option<&dto::ChecksumAlgorithm>,
    kind_said: Option<&dto::ChecksumType>,
) -> S3Result<Option<(Algorithm, bool)>> {
    let Some(said) = algorithm_said else {
        return match kind_said {
            None => Ok(None),
            Some(_) => Err(s3_error!(InvalidRequest, "x-amz-checksum-type needs x-amz-checksum-algorithm")),
        };
    };
    let algorithm = algorithm(said);
    let algorithm = algorithm.ok_or_else(|| s3_error!(InvalidRequest, "unknown x-amz-checksum-algorithm"))?;
    let composite = match kind_said.map(dto::ChecksumType::as_str) {
        None => algorithm != Algorithm::Crc64Nvme,
        Some(dto::ChecksumType::COMPOSITE) => true,
        Some(dto::ChecksumType::FULL_OBJECT) => false,
        Some(_) => return Err(s3_error!(InvalidRequest, "x-amz-checksum-type is COMPOSITE or FULL_OBJECT")),
    };
    if composite && algorithm == Algorithm::Crc64Nvme || !composite && !algorithm.is_crc() {
        let kind = kind(composite);
        return Err(s3_error!(InvalidRequest, "there is no {} checksum of {algorithm}", kind.as_str()));
    }
    Ok(Some((algorithm, composite)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(at: usize, value: &str) -> Five {
        let mut sums = Five::default();
        sums[at] = Some(value.to_owned());
        sums
    }

    #[test]
    fn one_checksum_is_taken_and_more_are_refused() {
        assert_eq!(one(&Five::default()).unwrap(), None);
        let crc32 = one(&sums(0, "NSRBwg==")).unwrap().unwrap();
        assert_eq!((crc32.algorithm, crc32.composite), (Algorithm::Crc32, false));
        let mut both = sums(0, "NSRBwg==");
        both[3] = Some("2jmj7l5rSw0yVb/vlWAYkK/YBwk=".to_owned());
        assert_eq!(one(&both).unwrap_err().code().as_str(), "InvalidRequest");
        assert_eq!(one(&sums(0, "nonsense")).unwrap_err().code().as_str(), "InvalidRequest");
        assert_eq!(one(&sums(4, "NSRBwg==")).unwrap_err().code().as_str(), "InvalidRequest");
    }

    #[test]
    fn what_is_announced_for_the_trailer_is_computed_and_kept() {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-trailer", "x-amz-checksum-crc32c".parse().unwrap());
        let digests = Said::default().digests(&headers, None).unwrap();
        assert!(digests.md5);
        assert_eq!(
            (digests.keep, digests.late_algorithms),
            (Some(Algorithm::Crc32c), vec![Algorithm::Crc32c])
        );
        headers.insert("x-amz-trailer", "x-amz-checksum-md4".parse().unwrap());
        assert!(Said::default().digests(&headers, None).is_err());
    }

    #[test]
    fn the_algorithm_that_is_named_is_the_one_of_the_checksum() {
        let said = |name: &str| Said {
            sums: sums(0, "NSRBwg=="),
            algorithm: Some(dto::ChecksumAlgorithm::from(name.to_owned())),
            ..Said::default()
        };
        assert!(said("CRC32").digests(&HeaderMap::new(), None).is_ok());
        assert!(said("SHA256").digests(&HeaderMap::new(), None).is_err());
    }

    #[test]
    fn uploads_have_only_checksums_that_can_be() {
        let ask = |name: Option<&str>, kind: Option<&'static str>| {
            let name = name.map(|name| dto::ChecksumAlgorithm::from(name.to_owned()));
            of_upload(name.as_ref(), kind.map(dto::ChecksumType::from_static).as_ref())
        };
        assert_eq!(ask(None, None).unwrap(), None);
        assert_eq!(ask(Some("CRC32"), None).unwrap(), Some((Algorithm::Crc32, true)));
        assert_eq!(ask(Some("CRC32"), Some("FULL_OBJECT")).unwrap(), Some((Algorithm::Crc32, false)));
        assert_eq!(ask(Some("CRC64NVME"), None).unwrap(), Some((Algorithm::Crc64Nvme, false)));
        for (name, kind) in [
            (Some("SHA1"), Some("FULL_OBJECT")),
            (Some("CRC64NVME"), Some("COMPOSITE")),
            (Some("MD5"), None),
            (None, Some("COMPOSITE")),
            (Some("CRC32"), Some("SOME")),
        ] {
            assert!(ask(name, kind).is_err(), "{name:?} {kind:?}");
        }
    }

    #[test]
    fn an_object_without_a_checksum_of_its_own_has_its_crc64() {
        let object = Object { crc64: 0xb90e_f4f8_5a1c_b0e0, ..Object::default() };
        let (five, kind) = told(Some(&of_object(&object)));
        assert!(five[2].is_some() && five[0].is_none());
        assert_eq!(kind.unwrap().as_str(), "FULL_OBJECT");
    }
}
