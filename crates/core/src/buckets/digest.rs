//! Digests of bytes that pass by: computed while they are written, compared before they are kept.

use std::{fmt, str::FromStr, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use crc_fast::CrcAlgorithm;
use futures_util::{StreamExt as _, stream};
use md5::{Digest as _, Md5};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::Sha256;

use super::Piece;
use crate::{
    functions::{BodyFault, BodyStream},
    refusal::{Class, Refusal},
};

/// How a checksum is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// CRC-32 of ISO-HDLC.
    Crc32,
    /// CRC-32 of Castagnoli.
    Crc32c,
    /// CRC-64 of NVM Express.
    Crc64Nvme,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// MD5, to compare with only.
    Md5,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Crc32, Self::Crc32c, Self::Crc64Nvme, Self::Sha1, Self::Sha256, Self::Md5];

    /// The word in headers and JSON, such as `crc64nvme`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Crc32 => "crc32",
            Self::Crc32c => "crc32c",
            Self::Crc64Nvme => "crc64nvme",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Md5 => "md5",
        }
    }

    /// How many bytes such a checksum has.
    pub const fn size(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Md5 => 16,
        }
    }

    /// Whether the checksum of a whole follows from those of its parts.
    pub const fn is_crc(self) -> bool {
        matches!(self, Self::Crc32 | Self::Crc32c | Self::Crc64Nvme)
    }

    const fn crc(self) -> Option<CrcAlgorithm> {
        match self {
            Self::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
            Self::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
            Self::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
            Self::Sha1 | Self::Sha256 | Self::Md5 => None,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = String;

    /// In any case, such as `CRC64NVME`.
    fn from_str(word: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|algorithm| algorithm.as_str().eq_ignore_ascii_case(word));
        found.ok_or_else(|| format!("unknown checksum `{}`", super::shown(word)))
    }
}

/// A checksum of bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checksum {
    /// How it was computed.
    pub algorithm: Algorithm,
    /// In base64; of parts' checksums with `-` and how many they are behind it.
    pub value: String,
    /// Whether it is a checksum of the checksums of parts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub composite: bool,
}

impl Checksum {
    /// The checksum of a whole with these bytes.
    pub fn of(algorithm: Algorithm, raw: &[u8]) -> Self {
        Self { algorithm, value: STANDARD.encode(raw), composite: false }
    }

    /// Its bytes; `None` when it is no base64 of that size.
    pub fn raw(&self) -> Option<Vec<u8>> {
        let text = self.value.split_once('-').map_or(self.value.as_str(), |(text, _)| text);
        STANDARD.decode(text).ok().filter(|raw| raw.len() == self.algorithm.size())
    }
}

/// Says, once all bytes have passed, what they should have been: for checksums that come behind the bytes.
pub type Late = Box<dyn FnOnce() -> Result<Vec<Checksum>, Refusal> + Send>;

/// What is computed of bytes beside CRC-64/NVME, and what must come out.
#[derive(Default)]
pub struct Digests {
    /// Whether the `ETag` is their MD5.
    pub md5: bool,
    /// The checksum that is kept with the object.
    pub keep: Option<Algorithm>,
    /// What must come out.
    pub expect: Vec<Checksum>,
    /// What must come out, too; `late_algorithms` says which are to be computed for it.
    pub late: Option<Late>,
    /// Computed for `late`.
    pub late_algorithms: Vec<Algorithm>,
    /// How many bytes there must be.
    pub size: Option<u64>,
}

impl fmt::Debug for Digests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digests")
            .field("md5", &self.md5)
            .field("keep", &self.keep)
            .field("expect", &self.expect)
            .finish_non_exhaustive()
    }
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digested {
    /// In bytes.
    pub size: u64,
    /// CRC-64/NVME.
    pub crc64: u64,
    /// When it was asked for.
    pub md5: Option<[u8; 16]>,
    /// When it was asked for.
    pub checksum: Option<Checksum>,
}

impl Digested {
    /// MD5 in hexadecimal; without one, CRC and size with a `-`, so that nobody takes it for an MD5.
    pub fn etag(&self) -> String {
        self.md5.map_or_else(|| opaque_etag(self.crc64, self.size), hex::encode)
    }
}

/// The `ETag` of bytes whose MD5 was not computed. The same bytes have the same one.
pub fn opaque_etag(crc64: u64, size: u64) -> String {
    format!("{crc64:016x}{size:016x}-1")
}

/// The `ETag` of parts with these MD5s.
pub fn etag_of_parts(md5s: &[[u8; 16]]) -> String {
    let mut all = Md5::new();
    for md5 in md5s {
        all.update(md5);
    }
    format!("{}-{}", hex::encode(all.finalize()), md5s.len())
}

/// CRC-64/NVME of the bytes of all pieces, one after another.
pub fn crc64_of(pieces: &[Piece]) -> u64 {
    let combine = |all, piece: &Piece| combined(CrcAlgorithm::Crc64Nvme, all, piece.crc64, piece.size);
    pieces.iter().fold(0, combine)
}

/// CRC-64/NVME of `bytes`.
pub fn crc64(bytes: &[u8]) -> u64 {
    crc_fast::checksum(CrcAlgorithm::Crc64Nvme, bytes)
}

fn combined(algorithm: CrcAlgorithm, before: u64, after: u64, size: u64) -> u64 {
    crc_fast::checksum_combine(algorithm, before, after, size)
}

/// The checksum of the whole that is made of these parts, each with its size; `None` when it does not follow from them.
pub fn checksum_of_parts(
    algorithm: Algorithm,
    composite: bool,
    parts: &[(Checksum, u64)],
) -> Option<Checksum> {
    let raws: Vec<Vec<u8>> = parts
        .iter()
        .map(|(part, _)| part.raw().filter(|_| part.algorithm == algorithm))
        .collect::<Option<_>>()?;
    if composite {
        let mut all = Running::new(algorithm);
        for raw in &raws {
            all.update(raw);
        }
        let value = format!("{}-{}", STANDARD.encode(all.finish()), raws.len());
        return Some(Checksum { algorithm, value, composite });
    }
    let crc = algorithm.crc()?;
    let number = |raw: &[u8]| raw.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    let sizes = parts.iter().map(|(_, size)| *size);
    let whole = raws.iter().zip(sizes).fold(0, |all, (raw, size)| combined(crc, all, number(raw), size));
    Some(Checksum::of(algorithm, &crc_bytes(algorithm, whole)))
}

fn crc_bytes(algorithm: Algorithm, crc: u64) -> Vec<u8> {
    let bytes = crc.to_be_bytes();
    bytes.get(bytes.len() - algorithm.size().min(8)..).unwrap_or_default().to_vec()
}

/// A checksum being computed.
enum Running {
    Crc(Algorithm, crc_fast::Digest),
    Sha1(Sha1),
    Sha256(Sha256),
    Md5(Md5),
}

impl Running {
    fn new(algorithm: Algorithm) -> Self {
        match (algorithm, algorithm.crc()) {
            (_, Some(crc)) => Self::Crc(algorithm, crc_fast::Digest::new(crc)),
            (Algorithm::Sha1, _) => Self::Sha1(Sha1::new()),
            (Algorithm::Sha256, _) => Self::Sha256(Sha256::new()),
            _ => Self::Md5(Md5::new()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc(_, digest) => digest.update(bytes),
            Self::Sha1(digest) => digest.update(bytes),
            Self::Sha256(digest) => digest.update(bytes),
            Self::Md5(digest) => digest.update(bytes),
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Self::Crc(algorithm, digest) => crc_bytes(algorithm, digest.finalize()),
            Self::Sha1(digest) => digest.finalize().to_vec(),
            Self::Sha256(digest) => digest.finalize().to_vec(),
            Self::Md5(digest) => digest.finalize().to_vec(),
        }
    }
}

/// What is being computed of one stream, and how it ended.
struct Work {
    size: u64,
    crc64: crc_fast::Digest,
    others: Vec<(Algorithm, Running)>,
    asked: Digests,
    outcome: Option<Result<Digested, Refusal>>,
}

/// Gives what came out of a stream, once it ended.
pub struct Outcome(Arc<Mutex<Work>>);

impl Outcome {
    /// What came out; a refusal when it was not what was expected; `None` when the stream did not come to its end.
    pub fn take(self) -> Option<Result<Digested, Refusal>> {
        self.0.lock().outcome.take()
    }
}

/// The same bytes, digested while they pass. The stream ends with a fault instead of its end when they are not what was
/// expected, so that whoever keeps them does not.
pub fn digesting(bytes: BodyStream, asked: Digests) -> (BodyStream, Outcome) {
    let mut wanted: Vec<Algorithm> = asked.expect.iter().map(|checksum| checksum.algorithm).collect();
    wanted.extend(asked.keep);
    wanted.extend(asked.late_algorithms.iter().copied());
    wanted.extend(asked.md5.then_some(Algorithm::Md5));
    let mut others: Vec<(Algorithm, Running)> = Vec::new();
    for algorithm in wanted {
        // CRC-64 is computed anyway.
        if algorithm != Algorithm::Crc64Nvme && !others.iter().any(|(known, _)| *known == algorithm) {
            others.push((algorithm, Running::new(algorithm)));
        }
    }
    let crc64 = crc_fast::Digest::new(CrcAlgorithm::Crc64Nvme);
    let work = Arc::new(Mutex::new(Work { size: 0, crc64, others, asked, outcome: None }));
    let outcome = Outcome(Arc::clone(&work));
    let stream = stream::unfold(Some((bytes, work)), |state| async move {
        let (mut bytes, work) = state?;
        match bytes.next().await {
            Some(Ok(part)) => {
                work.lock().take(&part);
                Some((Ok(part), Some((bytes, work))))
            }
            Some(Err(fault)) => Some((Err(fault), None)),
            None => work.lock().end().map(|fault| (Err(fault), None)),
        }
    });
    (Box::pin(stream), outcome)
}

impl Work {
    fn take(&mut self, part: &[u8]) {
        self.size = self.size.saturating_add(part.len() as u64);
        self.crc64.update(part);
        for (_, running) in &mut self.others {
            running.update(part);
        }
    }

    /// Compares; the fault with which the stream ends, if it does.
    fn end(&mut self) -> Option<BodyFault> {
        let outcome = self.compare();
        let fault = outcome.as_ref().err().map(|refusal| BodyFault::Broken(refusal.message.clone()));
        self.outcome = Some(outcome);
        fault
    }

    fn compare(&mut self) -> Result<Digested, Refusal> {
        if let Some(expected) = self.asked.size.filter(|size| *size != self.size) {
            let message =
                format!("{} bytes came of {expected} that were announced; send it again", self.size);
            return Err(Refusal::new(Class::Malformed, "incomplete_body", message));
        }
        let crc64 = self.crc64.clone().finalize();
        let mut all: Vec<(Algorithm, Vec<u8>)> =
            self.others.drain(..).map(|(algorithm, running)| (algorithm, running.finish())).collect();
        all.push((Algorithm::Crc64Nvme, crc64.to_be_bytes().to_vec()));
        let of = |wanted: Algorithm| all.iter().find(|(known, _)| *known == wanted).map(|(_, raw)| raw);
        let mut expected = std::mem::take(&mut self.asked.expect);
        if let Some(late) = self.asked.late.take() {
            expected.extend(late()?);
        }
        for checksum in &expected {
            check(checksum, of(checksum.algorithm))?;
        }
        Ok(Digested {
            size: self.size,
            crc64,
            md5: of(Algorithm::Md5).filter(|_| self.asked.md5).and_then(|raw| raw.as_slice().try_into().ok()),
            checksum: self.asked.keep.and_then(|keep| Some(Checksum::of(keep, of(keep)?))),
        })
    }
}

fn check(expected: &Checksum, computed: Option<&Vec<u8>>) -> Result<(), Refusal> {
    let name = expected.algorithm;
    let code = if name == Algorithm::Md5 { "bad_digest" } else { "checksum_mismatch" };
    let Some(raw) = expected.raw() else {
        let message = format!("`{}` is no {name} in base64", super::shown(&expected.value));
        return Err(Refusal::new(Class::Malformed, "invalid_digest", message));
    };
    let Some(computed) = computed else {
        let message = format!("{name} was not computed; say before the bytes that it will come");
        return Err(Refusal::new(Class::Malformed, code, message));
    };
    if raw == *computed {
        return Ok(());
    }
    let message = format!(
        "the {name} of the bytes that came is {}, not {}; send them again",
        STANDARD.encode(computed),
        STANDARD.encode(&raw)
    );
    Err(Refusal::new(Class::Malformed, code, message))
}

#[cfg(test)]
mod tests;
