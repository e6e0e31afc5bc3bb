//! Argon2id with memory that goes back to the operating system as soon as a hash is done.

use allocator_api2::{alloc::System, vec::Vec};
use argon2::{
    Algorithm, Argon2, Block, Params, PasswordHash, Version,
    password_hash::phc::{Output, ParamsString, Salt},
};
use subtle::ConstantTimeEq as _;

use crate::catalog::BoxError;

/// Room reserved for one hash, in blocks of 1 KiB, of which only what a hash needs (19 MiB) is ever touched.
///
/// The program's own allocator keeps freed memory for later, which for blocks of this size is memory that an idle server
/// would hold for nothing. The system's gives a reservation above 32 MiB a mapping of its own, always, and takes it away
/// when it is freed.
const ROOM: usize = 33 * 1024;

type Blocks = Vec<Block, System>;

/// The hash of `password` with this salt and the present parameters.
pub(super) fn hash(password: &[u8], salt: &[u8]) -> Result<PasswordHash, BoxError> {
    let params = Params::default();
    let size = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
    let (algorithm, version) = (Algorithm::default(), Version::default());
    let output = derive(&Argon2::new(algorithm, version, params.clone()), password, salt, size)?;
    Ok(PasswordHash {
        algorithm: algorithm.ident(),
        version: Some(version.into()),
        params: ParamsString::try_from(&params)?,
        salt: Some(Salt::new(salt)?),
        hash: Some(output),
    })
}

/// Whether `password` has this hash. Fails for a hash that is not of this kind.
pub(super) fn is_right(password: &[u8], hash: &PasswordHash) -> Result<bool, BoxError> {
    let (Some(salt), Some(expected)) = (&hash.salt, &hash.hash) else {
        return Err("a stored password hash has no salt or no output".into());
    };
    let version = hash.version.map(Version::try_from).transpose()?.unwrap_or_default();
    let argon = Argon2::new(Algorithm::try_from(hash.algorithm.as_str())?, version, Params::try_from(hash)?);
    let output = derive(&argon, password, salt, expected.len())?;
    Ok(output.as_bytes().ct_eq(expected.as_bytes()).into())
}

fn derive(argon: &Argon2<'_>, password: &[u8], salt: &[u8], size: usize) -> Result<Output, BoxError> {
    let mut blocks = memory(argon.params().block_count())?;
    let mut buffer = [0; Output::MAX_LENGTH];
    let output = buffer.get_mut(..size).ok_or("the hash is longer than any")?;
    argon.hash_password_into_with_memory(password, salt, output, blocks.as_mut_slice())?;
    Ok(Output::new(output)?)
}

fn memory(count: usize) -> Result<Blocks, BoxError> {
    let mut blocks = Blocks::new_in(System);
    blocks.try_reserve_exact(count.max(ROOM)).map_err(|_| "there is no memory for a password hash")?;
    blocks.resize(count, Block::default());
    Ok(blocks)
}

#[cfg(test)]
mod tests {
    use argon2::{PasswordHasher as _, PasswordVerifier as _};

    use super::*;

    #[test]
    fn hashes_are_those_of_the_library_both_ways() {
        let ours = hash(b"correct horse", &[7; 16]).unwrap();
        let theirs = Argon2::default().hash_password_with_salt(b"correct horse", &[7; 16]).unwrap();
        assert_eq!(ours.to_string(), theirs.to_string());
        assert!(Argon2::default().verify_password(b"correct horse", &ours).is_ok());
        assert!(is_right(b"correct horse", &theirs).unwrap());
        assert!(!is_right(b"correct hors", &theirs).unwrap());
    }

    #[test]
    fn a_hash_of_another_kind_is_an_error() {
        for text in ["$pbkdf2$i=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo", "$argon2id$v=19$m=19456,t=2,p=1"] {
            let hash = PasswordHash::new(text).unwrap();
            assert!(is_right(b"correct horse", &hash).is_err(), "{text}");
        }
    }

    /// What is resident, in KiB.
    #[cfg(target_os = "linux")]
    fn resident() -> u64 {
        let status = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
        let line = status.lines().find(|line| line.starts_with("Rss:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_memory_of_a_hash_is_the_systems_again_when_it_is_done() {
        // Other tests of this process hash at the same time, a few at once: many more are needed to tell a leak.
        let mut held: std::vec::Vec<_> = (0..40).map(|_| memory(19_456).unwrap()).collect();
        let before = resident();
        held.clear();
        let after = resident();
        assert!(before > 40 * 19_456 / 2, "{before}");
        assert!(after + 20 * 19_456 < before, "{before} KiB, and then {after}");
    }
}
