//! The tokens that requests present: at the endpoints of revocation and introspection, and to exchange them.

use std::{sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::Request;
use serde::de::DeserializeOwned;
use tower_warden::{
    Authenticator, ConfigError, Credential, Head, Identity, Presented, RejectionKind, Unavailable, UnixTime,
    jwt::{Issuer, Jwt},
};

use super::error::OAuthError;
use crate::{
    SigningKeys, Subjects,
    issuer::Inner,
    refresh::{FoundToken, RefreshToken},
};

/// A token of this issuer. Everything else is none, whatever `token_type_hint` says: RFC 7009 §2.1, RFC 7662 §2.1.
pub(super) enum IssuedToken {
    Access(Arc<Identity>),
    Refresh(Box<FoundToken>),
}

impl Inner {
    /// Finds a token; `None` if it is not one, has expired, or is of another issuer.
    pub(super) async fn issued(&self, token: &str, now: UnixTime) -> Result<Option<IssuedToken>, OAuthError> {
        if let Some(token) = RefreshToken::parse(token) {
            let Some(refresh) = &self.refresh else { return Ok(None) };
            return Ok(refresh.find(token).await?.map(|found| IssuedToken::Refresh(Box::new(found))));
        }
        Ok(self.verified(&self.own, token, now).await?.map(IssuedToken::Access))
    }

    /// Returns whether a token is revoked. Families are revoked in the list of the refresh tokens, which may be another one.
    pub(super) async fn is_revoked(&self, identity: &Identity) -> Result<bool, OAuthError> {
        let of_families = self.refresh.as_ref().map(|refresh| &refresh.revoker);
        for list in self.revocations.iter().chain(of_families) {
            if list.is_revoked(identity).wait().await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The subject of another issuer, as this one names it; `None` if it is refused.
    pub(super) async fn local_subject(
        &self,
        subjects: &Subjects,
        identity: &Identity,
    ) -> Result<Option<Box<str>>, OAuthError> {
        let subject = subjects.map(identity).filter(|subject| (1..=256).contains(&subject.len()));
        let Some(subject) = subject else { return Ok(None) };
        let is_client = self.is_client(&subject).await?;
        Ok(Some(subject.into()).filter(|_| !is_client))
    }

    /// Returns whether a subject has the id of a registered client. RFC 9068 §5, RFC 9700 §4.15: it is confused with
    /// that.
    pub(crate) async fn is_client(&self, subject: &str) -> Result<bool, Unavailable> {
        // Not those with a metadata document: a subject may be a URL, and would have it fetched.
        Ok(self.registered.find(subject).wait().await?.is_some())
    }

    /// Verifies a JWT; `None` if it is not valid. The expiry is exact, whatever difference of clocks the verifier tolerates.
    pub(super) async fn verified(
        &self,
        verifier: &Jwt,
        token: &str,
        now: UnixTime,
    ) -> Result<Option<Arc<Identity>>, OAuthError> {
        let verified = self.verified_within_skew(verifier, token, now).await?;
        Ok(verified.filter(|identity| identity.expires_at.is_some_and(|end| now < end)))
    }

    /// Verifies a JWT; `None` if it is not valid. It may have expired within the tolerated difference of clocks.
    pub(super) async fn verified_within_skew(
        &self,
        verifier: &Jwt,
        token: &str,
        now: UnixTime,
    ) -> Result<Option<Arc<Identity>>, OAuthError> {
        let credential = Credential::access_token(token);
        if !verifier.accepts(&credential) {
            return Ok(None);
        }
        let verified = {
            let request = Request::new(());
            verifier.authenticate(&self.presented(credential, Head::from(&request), now))
        };
        match verified.wait().await {
            Ok(identity) => Ok(Some(identity)),
            Err(rejection) if rejection.kind() == RejectionKind::Unavailable => {
                tracing::warn!(%rejection, "no token was issued, because the keys of a token are unavailable");
                Err(OAuthError::unavailable(rejection.wait().unwrap_or(Duration::from_secs(1))))
            }
            Err(_) => Ok(None),
        }
    }

    /// A credential, with both times: what verifies it may share its cache with a layer.
    pub(super) fn presented<'a>(&self, credential: Credential<'a>, head: Head<'a>, now: UnixTime) -> Presented<'a> {
        let mut presented = Presented::new(credential, head, now);
        presented.steady = self.clock.steady();
        presented
    }
}

/// Claims of a JWT that is not verified yet, by which its verifier is selected.
pub(super) fn unverified<T: DeserializeOwned>(token: &str) -> Option<T> {
    let payload = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&payload).ok()
}

/// Verifies the access tokens of the issuer itself, for whatever resource.
pub(crate) fn own_tokens(name: &str, keys: SigningKeys) -> Result<Jwt, ConfigError> {
    let rules = Issuer::new(name, name)?.danger_any_audience().strict().skew(Duration::ZERO)?;
    // Not cached: what the endpoints report is exact.
    Jwt::builder(rules, keys).positive_ttl(Duration::ZERO).build()
}
