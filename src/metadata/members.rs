//! The optional members of the document.

use super::protected_resource::{ProtectedResourceMetadata, error, url_error};
use crate::{
    error::ConfigError,
    scope::{self, Scope, Scopes},
    url,
};

/// Optional members.
impl ProtectedResourceMetadata {
    /// Sets the URL of the documentation for developers.
    ///
    /// # Errors
    ///
    /// If it is not an `https` URL without user information; `http` is accepted for a loopback host.
    pub fn documentation_uri(mut self, url: &str) -> Result<Self, ConfigError> {
        self.document.resource_documentation = Some(secure(url)?);
        Ok(self)
    }

    /// Declares that tokens must be bound to a key by DPoP, [RFC 9449](https://www.rfc-editor.org/rfc/rfc9449). The layer of a
    /// verifier [for this resource](crate::dpop::Dpop::for_resource) requires it.
    #[must_use]
    pub const fn dpop_bound_access_tokens_required(mut self) -> Self {
        self.document.dpop_bound_access_tokens_required = Some(true);
        self
    }

    /// Sets the algorithms that DPoP proofs may be signed with. They must be those of the layer:
    /// [`Dpop::for_resource`](crate::dpop::Dpop::for_resource) makes the verifier of the metadata.
    ///
    /// # Errors
    ///
    /// If one is not a name, or not an algorithm with a public key, but `none` or an HMAC
    /// ([RFC 9449 §4.3](https://www.rfc-editor.org/rfc/rfc9449#section-4.3)).
    pub fn dpop_signing_algorithms<'a>(
        mut self,
        algorithms: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, ConfigError> {
        let algorithms: Vec<&str> = algorithms.into_iter().collect();
        let is_asymmetric =
            |name: &&str| scope::is_token(name) && !name.eq_ignore_ascii_case("none") && !name.starts_with("HS");
        if let Some(refused) = algorithms.iter().find(|name| !is_asymmetric(name)) {
            let error = error("DPoP proofs are signed with an algorithm that has a public key, such as ES256");
            return Err(error.value(refused));
        }
        let required = self.document.dpop_bound_access_tokens_required.filter(|required| *required);
        self.document.dpop_bound_access_tokens_required =
            required.or(if algorithms.is_empty() { None } else { Some(false) });
        self.document.dpop_signing_alg_values_supported = algorithms.into_iter().map(Into::into).collect();
        Ok(self)
    }

    #[cfg(feature = "mcp")]
    pub(crate) fn has_authorization_server(&self) -> bool {
        !self.document.authorization_servers.is_empty()
    }

    /// Sets the URL of the resource's own public keys, which verify what the resource signs.
    ///
    /// # Errors
    ///
    /// If it is not an `https` URL without user information; `http` is accepted for a loopback host.
    pub fn jwks_uri(mut self, url: &str) -> Result<Self, ConfigError> {
        self.document.jwks_uri = Some(secure(url)?);
        Ok(self)
    }

    /// Sets the name of the resource for people.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.document.resource_name = Some(name).filter(|name| !name.is_empty()).map(Into::into);
        self
    }

    /// Sets the URL of the policy on how clients may use the resource's data.
    ///
    /// # Errors
    ///
    /// If it is not an `https` URL without user information; `http` is accepted for a loopback host.
    pub fn policy_uri(mut self, url: &str) -> Result<Self, ConfigError> {
        self.document.resource_policy_uri = Some(secure(url)?);
        Ok(self)
    }

    /// Sets the scopes that clients may request. The challenge contains them as well; to let clients start with fewer, use
    /// [`Challenge::scope`](crate::Challenge::scope).
    ///
    /// # Errors
    ///
    /// If `offline_access` is one of them: refresh tokens are a matter between client and authorization server, not of the
    /// resource (MCP authorization, 2026-07-28).
    pub fn scopes(mut self, scopes: impl TryInto<Scopes, Error: Into<ConfigError>>) -> Result<Self, ConfigError> {
        let scopes = scopes.try_into().map_err(Into::into)?;
        if scopes.contains(&const { Scope::from_static("offline_access") }) {
            let error = error("the scopes of a resource do not include offline_access, which requests a refresh token");
            return Err(error.value(&scopes));
        }
        self.document.scopes_supported = scopes;
        Ok(self)
    }

    /// Sets the URL of the terms of service.
    ///
    /// # Errors
    ///
    /// If it is not an `https` URL without user information; `http` is accepted for a loopback host.
    pub fn terms_of_service_uri(mut self, url: &str) -> Result<Self, ConfigError> {
        self.document.resource_tos_uri = Some(secure(url)?);
        Ok(self)
    }

    /// Declares that tokens may be bound to a client certificate,
    /// [RFC 8705 §3.3](https://www.rfc-editor.org/rfc/rfc8705#section-3.3).
    #[must_use]
    pub const fn tls_client_certificate_bound_access_tokens(mut self) -> Self {
        self.document.tls_client_certificate_bound_access_tokens = true;
        self
    }
}

fn secure(text: &str) -> Result<Box<str>, ConfigError> {
    if url::is_secure(text) {
        Ok(text.into())
    } else {
        Err(url_error(
            "a URL of the metadata is an https URL (http for a loopback host) without user information",
            text,
        ))
    }
}
