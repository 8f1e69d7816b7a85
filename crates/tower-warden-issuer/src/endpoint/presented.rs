//! The token that a request to the endpoints of revocation and introspection names.

use std::{sync::Arc, time::Duration};

use http::Request;
use tower_warden::{
    Authenticator, ConfigError, Credential, Head, Identity, Presented, RejectionKind, UnixTime,
    jwt::{Issuer, Jwt},
};

use super::error::OAuthError;
use crate::{
    SigningKeys,
    issuer::Inner,
    refresh::{FoundToken, RefreshToken},
};

/// A token of this issuer. Everything else is none, whatever `token_type_hint` says: RFC 7009 §2.1, RFC 7662 §2.1.
pub(super) enum IssuedToken {
    Access(Arc<Identity>),
    Refresh(FoundToken),
}

impl Inner {
    /// Finds a token; `None` if it is not one, has expired, or is of another issuer.
    pub(super) async fn issued(&self, token: &str, now: UnixTime) -> Result<Option<IssuedToken>, OAuthError> {
        if let Some(token) = RefreshToken::parse(token) {
            let Some(refresh) = &self.refresh else { return Ok(None) };
            return Ok(refresh.find(token).await?.map(IssuedToken::Refresh));
        }
        let credential = Credential::access_token(token);
        if !self.own.accepts(&credential) {
            return Ok(None);
        }
        let verified = {
            let request = Request::new(());
            self.own.authenticate(&Presented::new(credential, Head::from(&request), now))
        };
        match verified.wait().await {
            Ok(identity) => Ok(Some(IssuedToken::Access(identity))),
            Err(rejection) if rejection.kind() == RejectionKind::Unavailable => {
                Err(OAuthError::unavailable(Duration::from_secs(1)))
            }
            Err(_) => Ok(None),
        }
    }
}

/// Verifies the access tokens of the issuer itself, for whatever resource.
pub(crate) fn own_tokens(name: &str, keys: SigningKeys) -> Result<Jwt, ConfigError> {
    let rules = Issuer::new(name, name)?.danger_any_audience().strict().skew(Duration::ZERO)?;
    // Not cached: what the endpoints report is exact.
    Jwt::builder(rules, keys).positive_ttl(Duration::ZERO).build()
}
