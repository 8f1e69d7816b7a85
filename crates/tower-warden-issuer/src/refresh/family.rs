use serde::{Deserialize, Serialize};
use tower_warden::{Digest, UnixTime, caller::Confirmation, scope::Scopes};

/// The refresh tokens that follow from one another, as a [`RefreshStore`](super::RefreshStore) keeps them. It has no token.
///
/// `Serialize` and `Deserialize` are for stores: they include the digest and the key, which `Debug` does not print. A member
/// that this version does not have is an error, because it may be a restriction.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
#[serde(deny_unknown_fields)]
pub struct RefreshFamily {
    /// The id, which is the `sid` of its access tokens.
    pub id: Box<str>,
    /// The client that the tokens were issued to.
    pub client_id: Box<str>,
    /// The subject of its access tokens.
    pub subject: Box<str>,
    /// The resource of its access tokens.
    pub resource: Box<str>,
    /// The scopes that were granted; an access token may have fewer.
    pub scopes: Scopes,
    /// The key or certificate that its tokens are bound to; `None` for bearer tokens.
    pub confirmation: Option<Confirmation>,
    /// The second from which on its tokens are refused, however often they are used.
    pub expires_at: UnixTime,
    /// The second from which on its tokens are refused unless it is rotated before; not later than `expires_at`. It can be
    /// removed then.
    pub idle_until: UnixTime,
    /// The time of the last rotation, or of the beginning.
    pub rotated_at: UnixTime,
    /// The number of rotations: the current token has this number, the first token is number zero.
    pub generation: u64,
    /// The key of the tags by which tokens that were replaced are recognized.
    #[serde(with = "base64url")]
    pub key: Digest,
    /// The digest of the current token.
    #[serde(with = "base64url")]
    pub token: Digest,
    /// The seed that the current token was derived from, together with the token before it.
    #[serde(with = "base64url::optional")]
    pub seed: Option<Digest>,
    /// The state, which decides whether its tokens may be used.
    pub status: FamilyStatus,
}

/// The state of a family.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
#[serde(rename_all = "snake_case")]
pub enum FamilyStatus {
    /// Its tokens may be used.
    Active,
    /// Its tokens are refused.
    Revoked,
}

/// The replacement of the current token of a family.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Rotation {
    /// The family.
    pub family_id: Box<str>,
    /// The number of the token that is replaced.
    pub from: u64,
    /// The digest of the new token.
    pub token: Digest,
    /// The seed that the new token was derived from.
    pub seed: Digest,
    /// The second until which the new token can be used.
    pub idle_until: UnixTime,
    /// The time of the request.
    pub now: UnixTime,
}

impl Rotation {
    /// Returns the family after the rotation; `None` if the token is not the current one any more, or the family is revoked.
    ///
    /// A store calls it in the step that compares and changes.
    #[must_use]
    pub fn apply(&self, family: &RefreshFamily) -> Option<RefreshFamily> {
        if family.generation != self.from || family.status != FamilyStatus::Active {
            return None;
        }
        Some(RefreshFamily {
            generation: family.generation.checked_add(1)?,
            idle_until: self.idle_until,
            rotated_at: self.now,
            seed: Some(self.seed),
            token: self.token,
            ..family.clone()
        })
    }
}

/// The result of a rotation.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RotationOutcome {
    /// The token was not the current one any more, or the family is revoked: nothing was changed. The family, as it is now.
    Lost(Box<RefreshFamily>),
    /// The family does not exist any more.
    Missing,
    /// The new token is the current one.
    Rotated,
}

/// Digests in records.
mod base64url {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error};
    use tower_warden::Digest;

    pub(super) fn serialize<S: Serializer>(digest: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&digest.to_base64url())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        parse(&String::deserialize(deserializer)?)
    }

    fn parse<E: Error>(text: &str) -> Result<Digest, E> {
        // The text is not in the error.
        Digest::from_base64url(text).ok_or_else(|| E::custom("a digest is 43 characters of base64url"))
    }

    pub(super) mod optional {
        use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};
        use tower_warden::Digest;

        pub(in super::super) fn serialize<S: Serializer>(
            digest: &Option<Digest>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            digest.map(|digest| digest.to_base64url()).serialize(serializer)
        }

        pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<Digest>, D::Error> {
            let text = Option::<String>::deserialize(deserializer)?;
            text.map(|text| super::parse(&text)).transpose()
        }
    }
}
