use std::fmt;

use aws_lc_rs::{hmac, rand};
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

/// The value of a refresh token: `rt_` and 256 random bits in base64url.
pub(crate) struct RefreshToken(Zeroizing<[u8; 32]>);

impl RefreshToken {
    /// A new one.
    pub(crate) fn generate() -> Result<Self, Unavailable> {
        random().map(|bytes| Self(Zeroizing::new(bytes)))
    }

    /// Parses a token; `None` for any other text.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digest = Digest::from_base64url(text.strip_prefix(PREFIX)?)?;
        Some(Self(Zeroizing::new(*digest.as_bytes())))
    }

    /// The digest by which it is stored.
    pub(crate) fn digest(&self) -> Digest {
        Digest::of(&*self.0)
    }

    pub(crate) fn into_secret(self) -> RefreshSecret {
        let body = Zeroizing::new(encode(&*self.0));
        RefreshSecret(Zeroizing::new([PREFIX, body.as_str()].concat()))
    }
}

/// The successor of a token. Neither the token nor the stored seed alone yields it: the store knows no token, and the client
/// whose response was lost gets the same one again.
pub(crate) fn successor(token: &RefreshToken, seed: &Digest) -> RefreshToken {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &*token.0);
    let message = [b"tower-warden refresh token", &seed.as_bytes()[..]].concat();
    let mut bytes = Zeroizing::new([0; 32]);
    bytes.copy_from_slice(hmac::sign(&key, &message).as_ref());
    RefreshToken(bytes)
}

/// 256 random bits.
pub(crate) fn random() -> Result<[u8; 32], Unavailable> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| Unavailable::new("the system's random generator"))?;
    Ok(bytes)
}

const PREFIX: &str = "rt_";
