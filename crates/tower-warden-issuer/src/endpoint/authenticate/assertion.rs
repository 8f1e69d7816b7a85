//! Assertions of registered clients, RFC 7523 §2.2.

use std::{sync::Arc, time::Duration};

use tower_warden::{
    Digest, UnixTime,
    jwt::{Issuer, Jwt, KeySource},
    replay::{ReplayVerdict, UsedProof},
};

use crate::{Client, ClientAuthentication, endpoint::OAuthError, issuer::Inner};

impl Inner {
    /// Verifies an assertion by the rules of RFC 7523 §3; `None` if it is refused. It is not recorded as used yet.
    pub(super) async fn client_assertion(
        &self,
        client: Option<&Client>,
        client_id: &str,
        assertion: &str,
        now: UnixTime,
    ) -> Result<Option<UsedProof>, OAuthError> {
        let own_keys = client.map_or(&[][..], Client::methods).iter().find_map(|method| match method {
            ClientAuthentication::PrivateKeyJwt(keys) => Some(&keys.source),
            _ => None,
        });
        let keys: Arc<dyn KeySource> = Arc::clone(own_keys.unwrap_or(&self.decoy.keys));
        let Ok(rules) = Issuer::client_assertion(client_id, &self.name) else { return Ok(None) };
        // It is used once, so it is not cached.
        let jwt = Jwt::builder(rules, keys).positive_ttl(Duration::ZERO).max_token_bytes(MAX_ASSERTION_BYTES);
        let Ok(jwt) = jwt.build() else { return Ok(None) };
        let identity = self.verified_within_skew(&jwt, assertion, now).await?.filter(|_| own_keys.is_some());
        let Some(identity) = identity else { return Ok(None) };
        let (Some(id), Some(expires_at)) = (&identity.token_id, identity.expires_at) else { return Ok(None) };
        let (key, id) = (Digest::of(client_id.as_bytes()), Digest::of(id.as_bytes()));
        Ok(Some(UsedProof::new(key, id, expires_at + identity.skew, now).with_window(LONGEST_VALIDITY)))
    }

    /// Records that an assertion is used; `false` if it was used before.
    pub(in crate::endpoint) async fn use_once(&self, assertion: &UsedProof) -> Result<bool, OAuthError> {
        let (verdict, wait) = self.guard.record_or_wait(assertion).wait().await?;
        match verdict {
            ReplayVerdict::New => Ok(true),
            ReplayVerdict::Full => Err(OAuthError::unavailable(wait)),
            ReplayVerdict::KeyFull => Err(OAuthError::throttled(wait)),
            _ => Ok(false),
        }
    }
}

const MAX_ASSERTION_BYTES: usize = 8 * 1024;

/// The maximum lifetime of an assertion, and twice the tolerated difference of clocks.
const LONGEST_VALIDITY: Duration = Duration::from_secs(12 * 60);
