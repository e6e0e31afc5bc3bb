//! Sticky hashing: where a unit falls in a rollout.
//!
//! The hash is `MurmurHash3` x86 32 with seed 0 over the UTF-8 bytes of `<salt>:<unit>`, and the bucket is
//! `(hash * 10000) >> 32`. Other implementations can check theirs against `tests/vectors/bucketing.json`.

use std::fmt;

/// Into how many buckets units are divided: one is a hundredth of a percent.
pub const BUCKETS: u32 = 10_000;

const C1: u32 = 0xcc9e_2d51;
const C2: u32 = 0x1b87_3593;

/// `MurmurHash3` x86 32 of `bytes`.
pub fn murmur3_32(bytes: &[u8], seed: u32) -> u32 {
    let mut hash = Murmur::new(seed);
    hash.update(bytes);
    hash.finish()
}

/// The bucket, 0 to 9999, of a unit in the rollouts of a flag with this salt.
pub fn bucket(salt: &str, unit: &str) -> u32 {
    Salted::new(salt).bucket(unit)
}

/// A hash that has already taken in a salt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Salted(Murmur);

impl Salted {
    pub(crate) fn new(salt: &str) -> Salted {
        let mut hash = Murmur::new(0);
        hash.update(salt.as_bytes());
        hash.update(b":");
        Salted(hash)
    }

    #[inline]
    pub(crate) fn bucket(self, unit: &str) -> u32 {
        let mut hash = self.0;
        hash.update(unit.as_bytes());
        in_buckets(hash.finish())
    }

    /// As [`Salted::bucket`] of the displayed unit, which is never put together in memory.
    pub(crate) fn bucket_of(self, unit: &impl fmt::Display) -> u32 {
        let mut hash = self.0;
        // Writing into a hash cannot fail.
        let _ = fmt::write(&mut hash, format_args!("{unit}"));
        in_buckets(hash.finish())
    }
}

#[inline]
fn in_buckets(hash: u32) -> u32 {
    let scaled = (u64::from(hash) * u64::from(BUCKETS)) >> 32;
    u32::try_from(scaled).unwrap_or(BUCKETS - 1)
}

/// `MurmurHash3` x86 32, fed piece by piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Murmur {
    hash: u32,
    /// The up to three bytes that do not fill a block yet, lowest first.
    tail: u32,
    /// How many bytes came so far, modulo 2^32 as the algorithm has it.
    length: u32,
}

impl Murmur {
    pub(crate) fn new(seed: u32) -> Murmur {
        Murmur { hash: seed, tail: 0, length: 0 }
    }

    #[inline]
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !self.length.is_multiple_of(4) {
            let Some((byte, others)) = rest.split_first() else {
                return;
            };
            self.push(*byte);
            rest = others;
        }
        let (blocks, rest) = rest.as_chunks::<4>();
        for block in blocks {
            self.block(u32::from_le_bytes(*block));
            self.length = self.length.wrapping_add(4);
        }
        for byte in rest {
            self.push(*byte);
        }
    }

    #[inline]
    fn push(&mut self, byte: u8) {
        let filled = self.length % 4;
        self.tail |= u32::from(byte) << (8 * filled);
        self.length = self.length.wrapping_add(1);
        if filled == 3 {
            self.block(self.tail);
            self.tail = 0;
        }
    }

    #[inline]
    fn block(&mut self, block: u32) {
        let mixed = block.wrapping_mul(C1).rotate_left(15).wrapping_mul(C2);
        self.hash = (self.hash ^ mixed).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }

    #[inline]
    pub(crate) fn finish(self) -> u32 {
        let mut hash = self.hash ^ self.tail.wrapping_mul(C1).rotate_left(15).wrapping_mul(C2);
        hash ^= self.length;
        hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
        hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
        hash ^ (hash >> 16)
    }
}

impl fmt::Write for Murmur {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.update(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn our_murmur_is_everybodys_murmur(bytes in prop::collection::vec(any::<u8>(), 0..80), seed: u32) {
            let theirs = murmur3::murmur3_32(&mut std::io::Cursor::new(&bytes), seed).unwrap();
            prop_assert_eq!(murmur3_32(&bytes, seed), theirs);
        }

        #[test]
        fn it_does_not_matter_in_which_pieces_bytes_come(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..9),
        ) {
            let mut hash = Murmur::new(7);
            for piece in &pieces {
                hash.update(piece);
            }
            prop_assert_eq!(hash.finish(), murmur3_32(&pieces.concat(), 7));
        }

        #[test]
        fn a_number_falls_where_its_text_falls(salt: String, number: i32) {
            prop_assert_eq!(
                Salted::new(&salt).bucket_of(&f64::from(number)),
                bucket(&salt, &number.to_string())
            );
        }

        #[test]
        fn a_bucket_is_below_ten_thousand(salt: String, unit: String) {
            prop_assert!(bucket(&salt, &unit) < BUCKETS);
        }
    }

    #[test]
    fn the_ends_of_the_hash_are_the_ends_of_the_buckets() {
        assert_eq!(in_buckets(0), 0);
        assert_eq!(in_buckets(u32::MAX), BUCKETS - 1);
    }
}
