//! Fingerprints of credentials, by which a thread finds what it has cached.

use std::hash::{BuildHasher, RandomState};

use siphasher::sip128::SipHasher13;
use subtle::ConstantTimeEq;

use crate::digest::Digest;

/// The fingerprint of a credential in this process: what remains of it in the slots of threads.
///
/// It takes a third of the time of a SHA-256, or less. It is no digest to store or to send: its keys are those of one cache.
#[derive(Clone, Copy)]
pub(crate) struct Fingerprint([u64; 3]);

/// The secret keys of fingerprints.
///
/// Invariant: a cached value is returned for the credential that it was stored for, and for no other. To be taken for an
/// unknown credential, another one needs the same 128 bits of SipHash-1-3 under a key that never leaves the process, and
/// the same last bytes: a collision of either alone is a miss. Requests reveal nothing of the key, since no one sees a
/// fingerprint, and a comparison takes the same time whatever differs.
pub(super) struct Fingerprints {
    hash: SipHasher13,
    /// The mask of the last bytes, which hides them in the memory of the process.
    mask: u64,
}

impl Fingerprints {
    /// Fingerprints under new keys, which are derived from those of [`RandomState`]: from the system's random generator.
    pub(super) fn new() -> Self {
        let keys = RandomState::new();
        let hash = SipHasher13::new_with_keys(keys.hash_one("first"), keys.hash_one("second"));
        Self { hash, mask: keys.hash_one("mask") }
    }

    /// Computes the fingerprint of a credential.
    pub(super) fn of(&self, credential: &[u8]) -> Fingerprint {
        let hash = self.hash.hash(credential);
        let end = credential.last_chunk().map_or(0, |end| u64::from_ne_bytes(*end));
        Fingerprint([hash.h1, hash.h2, end ^ self.mask])
    }
}

/// That of what is found by its digest only: the digest is not that of anything else.
impl From<&Digest> for Fingerprint {
    fn from(digest: &Digest) -> Self {
        let [first, second, third, _] = digest.words();
        Self([first, second, third])
    }
}

/// Compares in constant time.
impl PartialEq for Fingerprint {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Fingerprint {
    /// A number below `bound`, the same for each use of the credential.
    pub(super) fn number(&self, bound: usize) -> usize {
        usize::try_from(self.0[0] % bound as u64).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collision_of_the_hash_or_of_the_end_alone_is_no_match() {
        let fingerprint = Fingerprints::new().of(b"sk_agent_1");
        let Fingerprint([first, second, end]) = fingerprint;
        for other in [[first, second, !end], [!first, second, end], [first, !second, end]] {
            assert!(fingerprint != Fingerprint(other));
        }
        assert!(fingerprint == Fingerprint([first, second, end]));
    }

    #[test]
    fn every_bit_and_the_length_of_a_credential_count() {
        let (fingerprints, credential) = (Fingerprints::new(), vec![b'a'; 814]);
        let fingerprint = fingerprints.of(&credential);
        for index in 0..credential.len() {
            let mut other = credential.clone();
            other[index] ^= 1;
            assert!(fingerprints.of(&other) != fingerprint, "byte {index}");
        }
        for length in 0..credential.len() {
            assert!(fingerprints.of(&credential[..length]) != fingerprint, "{length} bytes");
        }
    }

    #[test]
    fn two_caches_have_keys_of_their_own() {
        assert!(Fingerprints::new().of(b"sk_agent_1") != Fingerprints::new().of(b"sk_agent_1"));
    }
}
