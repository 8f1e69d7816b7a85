//! Fingerprints of credentials, by which a thread finds what it has cached.

use siphasher::{sip, sip128};
use subtle::ConstantTimeEq;

use crate::digest::Digest;

/// The length of the end of a credential that is hashed a second time, in bytes.
const END: usize = 32;

/// The fingerprint of a credential in one cache of this process: what remains of it in the slots of threads.
///
/// It takes less than half of the time of a SHA-256. It is no digest to store or to send.
#[derive(Clone, Copy)]
pub(crate) struct Fingerprint([u64; 4]);

/// The secret keys of fingerprints.
///
/// Invariant: a cached value is returned for the credential that it was stored for, and for no other. To be taken for an
/// unknown credential, another one needs the same 128 bits of SipHash-1-3, the same 64 bits of a second one of its end, and
/// the same length. The keys are independent, and never leave the process: a collision of one of the hashes alone is a miss.
pub(super) struct Fingerprints {
    whole: sip128::SipHasher13,
    end: sip::SipHasher13,
}

impl Fingerprints {
    /// Fingerprints under new keys.
    ///
    /// # Panics
    ///
    /// If the system's random generator fails.
    pub(super) fn new() -> Self {
        let mut keys = [[0; 16]; 2];
        getrandom::fill(keys.as_flattened_mut()).expect("the system has a random generator");
        let [whole, end] = keys;
        Self { whole: sip128::SipHasher13::new_with_key(&whole), end: sip::SipHasher13::new_with_key(&end) }
    }

    /// Computes the fingerprint of a credential.
    pub(super) fn of(&self, credential: &[u8]) -> Fingerprint {
        let whole = self.whole.hash(credential);
        let end = credential.last_chunk::<END>().map_or(credential, |end| end);
        Fingerprint([whole.h1, whole.h2, self.end.hash(end), credential.len() as u64])
    }
}

/// All of the digest, for what is found by its digest only. Its last word is not the length of a credential.
impl From<&Digest> for Fingerprint {
    fn from(digest: &Digest) -> Self {
        Self(digest.words())
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
    fn a_collision_of_one_of_the_hashes_alone_is_no_match() {
        let fingerprint = Fingerprints::new().of(b"sk_agent_1");
        assert!(fingerprint == Fingerprint(fingerprint.0));
        for word in 0..4 {
            for bit in 0..64 {
                let mut other = fingerprint;
                other.0[word] ^= 1 << bit;
                assert!(fingerprint != other, "bit {bit} of word {word}");
            }
        }
    }

    #[test]
    fn each_hash_depends_on_every_bit_that_it_covers() {
        let (fingerprints, credential) = (Fingerprints::new(), vec![b'a'; 100]);
        let Fingerprint([first, second, end, _]) = fingerprints.of(&credential);
        for (index, bit) in (0..credential.len()).flat_map(|index| (0..8).map(move |bit| (index, bit))) {
            let mut other = credential.clone();
            other[index] ^= 1 << bit;
            let Fingerprint(other) = fingerprints.of(&other);
            assert!([other[0], other[1]] != [first, second], "bit {bit} of byte {index}");
            assert_eq!(other[2] != end, index >= credential.len() - END, "bit {bit} of byte {index}");
        }
    }

    #[test]
    fn texts_of_another_length_have_other_fingerprints() {
        let (fingerprints, credential) = (Fingerprints::new(), [0; 100]);
        let fingerprint = fingerprints.of(&credential);
        for length in 0..credential.len() {
            assert!(fingerprints.of(&credential[..length]).0[..2] != fingerprint.0[..2], "{length} bytes");
        }
    }

    #[test]
    fn two_caches_have_keys_of_their_own() {
        let [one, other] = [(); 2].map(|()| Fingerprints::new().of(b"sk_agent_1"));
        assert!((0..3).all(|word| one.0[word] != other.0[word]));
    }

    #[test]
    fn every_word_of_a_digest_counts() {
        let digest = Digest::of(b"sk_agent_1");
        for word in 0..4 {
            let mut bytes = *digest.as_bytes();
            bytes[word * 8] ^= 1;
            assert!(Fingerprint::from(&Digest::from_bytes(bytes)) != Fingerprint::from(&digest));
        }
    }
}
