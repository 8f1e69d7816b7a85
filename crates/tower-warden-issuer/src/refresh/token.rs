use std::fmt;

use aws_lc_rs::{hmac, rand};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use tower_warden::{Digest, Unavailable};
use zeroize::Zeroizing;

use crate::signing::encode;

/// A refresh token, to be given to its client once.
///
/// It is erased from memory when dropped, and its `Debug` prints none of it.
pub struct RefreshSecret(Zeroizing<String>);

impl RefreshSecret {
    /// The token in the clear.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RefreshSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshSecret(..)")
    }
}

/// The content of a refresh token: `rt_` and, in base64url, the id of its family, its number, a secret of 256 bits and a tag.
///
/// The secret is what its client holds, and is compared by its digest if the token is the current one. The tag, an HMAC with
/// the key of the family, shows that a token with a smaller number was issued: nothing is stored of such a token, and the id
/// of a family, which is the `sid` of its access tokens, does not suffice to make one up.
pub(crate) struct RefreshToken {
    family: [u8; FAMILY_BYTES],
    number: u64,
    secret: Zeroizing<[u8; 32]>,
    tag: Digest,
}

impl RefreshToken {
    /// A new one, number zero of the family with this id and key.
    pub(crate) fn first(family: [u8; FAMILY_BYTES], key: &Digest) -> Result<Self, Unavailable> {
        Ok(Self::tagged(family, 0, Zeroizing::new(random()?), key))
    }

    fn tagged(family: [u8; FAMILY_BYTES], number: u64, secret: Zeroizing<[u8; 32]>, key: &Digest) -> Self {
        let tag = tag(&family, number, &secret, key);
        Self { family, number, secret, tag }
    }

    /// Parses a token; `None` for any other text.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix(PREFIX).filter(|text| text.len() == LENGTH)?;
        let bytes = Zeroizing::new(BASE64_URL_SAFE_NO_PAD.decode(text).ok()?);
        let (family, rest) = bytes.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (secret, tag) = rest.split_first_chunk()?;
        Some(Self {
            family: *family,
            number: u64::from_be_bytes(*number),
            secret: Zeroizing::new(*secret),
            tag: Digest::from_bytes(tag.try_into().ok()?),
        })
    }

    /// The id of the family that it claims to be of.
    pub(crate) fn family_id(&self) -> String {
        encode(&self.family)
    }

    /// Its number in the family.
    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    /// The digest by which it is stored.
    pub(crate) fn digest(&self) -> Digest {
        Digest::of(&*self.secret)
    }

    /// Returns whether it was issued for the family with this key.
    pub(crate) fn is_tagged_with(&self, key: &Digest) -> bool {
        self.tag == tag(&self.family, self.number, &self.secret, key)
    }

    /// The token after this one. Neither the token nor what is stored yields it alone: the store knows no secret, and the
    /// client whose response was lost gets the same one again.
    pub(crate) fn successor(&self, seed: &Digest, key: &Digest) -> Self {
        let next = hmac::Key::new(hmac::HMAC_SHA256, &*self.secret);
        let message = [b"tower-warden refresh token", &seed.as_bytes()[..]].concat();
        let mut secret = Zeroizing::new([0; 32]);
        secret.copy_from_slice(hmac::sign(&next, &message).as_ref());
        Self::tagged(self.family, self.number.saturating_add(1), secret, key)
    }

    pub(crate) fn into_secret(self) -> RefreshSecret {
        let (number, tag) = (self.number.to_be_bytes(), self.tag.as_bytes());
        let bytes = Zeroizing::new([&self.family[..], &number, &self.secret[..], tag].concat());
        let body = Zeroizing::new(encode(&bytes));
        RefreshSecret(Zeroizing::new([PREFIX, body.as_str()].concat()))
    }
}

fn tag(family: &[u8; FAMILY_BYTES], number: u64, secret: &[u8; 32], key: &Digest) -> Digest {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()));
    context.update(b"tower-warden refresh token tag");
    context.update(family);
    context.update(&number.to_be_bytes());
    context.update(secret);
    let tag = context.sign();
    Digest::from_bytes(tag.as_ref().try_into().expect("HMAC-SHA-256 has 32 bytes"))
}

/// Random bits.
pub(crate) fn random<const LENGTH: usize>() -> Result<[u8; LENGTH], Unavailable> {
    let mut bytes = [0; LENGTH];
    rand::fill(&mut bytes).map_err(|_| Unavailable::new("the system's random generator"))?;
    Ok(bytes)
}

const PREFIX: &str = "rt_";

/// The length of the id of a family.
pub(crate) const FAMILY_BYTES: usize = 16;

/// The length of a token without its prefix.
const LENGTH: usize = (FAMILY_BYTES + 8 + 32 + 32) * 4 / 3 + 1;
