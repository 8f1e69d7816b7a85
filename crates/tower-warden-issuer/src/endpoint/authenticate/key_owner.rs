//! Owners of API keys, as clients whose secret is the key.

use http::Request;
use tower_warden::{Credential, Head, RejectionKind, UnixTime, auth::Authenticator};

use super::{client::AuthenticatedClient, credential::ClientCredential};
use crate::{endpoint::OAuthError, issuer::Inner};

impl Inner {
    /// Authenticates the owner of an API key; `None` if the secret is not one that is accepted: of another form,
    /// unknown, revoked, expired, or of another owner.
    pub(super) async fn key_owner(
        &self,
        credential: &ClientCredential,
        now: UnixTime,
    ) -> Result<Option<AuthenticatedClient>, OAuthError> {
        let (Some(owners), Some(secret)) = (&self.api_keys, credential.secret()) else { return Ok(None) };
        let key = Credential::api_key(secret);
        if !owners.keys.accepts(&key) {
            return Ok(None);
        }
        let found = {
            let request = Request::new(());
            owners.keys.authenticate(&self.presented(key, Head::from(&request), now))
        };
        let identity = match found.wait().await {
            Ok(identity) => identity,
            Err(rejection) if rejection.kind() == RejectionKind::Unavailable => {
                tracing::warn!(%rejection, "no token was issued, because the key store does not respond");
                return Err(OAuthError::unavailable(rejection.wait().unwrap_or(std::time::Duration::from_secs(1))));
            }
            Err(_) => return Ok(None),
        };
        let is_expired = identity.expires_at.is_some_and(|end| end <= now);
        let is_of_owner = *identity.subject == *credential.client_id;
        // A token can be used from any network.
        let is_limited = !identity.networks.is_empty();
        if is_expired || !is_of_owner || is_limited || self.is_revoked(&identity).await? {
            return Ok(None);
        }
        Ok(owners.client(&identity).map(|client| AuthenticatedClient::owner(client, identity)))
    }
}
