//! Sticky hashing: where a unit falls in a rollout.

/// Into how many buckets units are divided: one is a hundredth of a percent.
pub const BUCKETS: u32 = 10_000;

/// `MurmurHash3` x86 32 of `bytes`.
pub fn murmur3_32(bytes: &[u8], seed: u32) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX) ^ seed
}

/// The bucket, 0 to 9999, of a unit in the rollouts of a flag with this salt.
pub fn bucket(salt: &str, unit: &str) -> u32 {
    murmur3_32(unit.as_bytes(), murmur3_32(salt.as_bytes(), 0)) % BUCKETS
}
