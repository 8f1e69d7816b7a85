//! The metadata that a client states about itself, RFC 7591 §2.

use http::{HeaderMap, header};
use serde::Deserialize;

use crate::{Client, GrantType, endpoint::error::OAuthError};

/// Members that are not known are ignored, RFC 7591 §2; known ones of another type, or twice, are errors.
#[derive(Deserialize)]
pub(super) struct ClientMetadata {
    pub(super) client_name: Option<String>,
    grant_types: Option<Vec<String>>,
    pub(super) redirect_uris: Option<Vec<String>>,
    response_types: Option<Vec<String>>,
    pub(super) token_endpoint_auth_method: Option<String>,
}

impl ClientMetadata {
    /// Parses JSON.
    pub(super) fn parse(json: &[u8]) -> Result<Self, OAuthError> {
        let metadata: Option<Self> = serde_json::from_slice(json).ok();
        let metadata = metadata.ok_or(invalid("The metadata is not a JSON object with members of the right types."))?;
        // It occurs in responses.
        if metadata.client_name.as_ref().is_some_and(|name| name.len() > MAX_NAME_BYTES) {
            return Err(invalid("The name of the client is too long."));
        }
        Ok(metadata)
    }

    /// The grants that the client gets: those that it states, of those that are for such clients. RFC 7591 §2: the
    /// server may leave out others.
    pub(super) fn grants(&self, has_refresh_tokens: bool) -> Result<Vec<GrantType>, OAuthError> {
        let states = |names: &Option<Vec<String>>, name: &str, default: bool| {
            names.as_ref().map_or(default, |names| names.iter().any(|stated| stated == name))
        };
        if !states(&self.response_types, "code", true) || !states(&self.grant_types, "authorization_code", true) {
            return Err(invalid("A client has the response type code and the grant authorization_code."));
        }
        let may_refresh = has_refresh_tokens && states(&self.grant_types, "refresh_token", false);
        Ok([GrantType::AuthorizationCode].into_iter().chain(may_refresh.then_some(GrantType::RefreshToken)).collect())
    }

    /// Adds the redirect URIs to the client.
    pub(super) fn add_redirect_uris(&self, mut client: Client) -> Result<Client, OAuthError> {
        let uris = self.redirect_uris.as_deref().unwrap_or_default();
        if uris.is_empty() || uris.len() > MAX_REDIRECT_URIS {
            return Err(invalid_redirect_uri("A client has 1 to 16 redirect URIs."));
        }
        for uri in uris {
            let refused = |_| {
                invalid_redirect_uri("A redirect URI is an https URL, or http for a loopback host, without a fragment.")
            };
            client = client.redirect_uri(uri).map_err(refused)?;
        }
        Ok(client)
    }
}

/// The media type of a body in lower case, without parameters; empty if it is absent, repeated or malformed.
pub(super) fn media_type(headers: &HeaderMap) -> String {
    let mut lines = headers.get_all(header::CONTENT_TYPE).iter();
    let line = lines.next().filter(|_| lines.next().is_none()).and_then(|line| line.to_str().ok());
    line.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// RFC 7591 §3.2.2.
pub(super) const fn invalid(description: &'static str) -> OAuthError {
    OAuthError { code: "invalid_client_metadata", ..OAuthError::invalid_request(description) }
}

const fn invalid_redirect_uri(description: &'static str) -> OAuthError {
    OAuthError { code: "invalid_redirect_uri", ..OAuthError::invalid_request(description) }
}

const MAX_NAME_BYTES: usize = 256;

const MAX_REDIRECT_URIS: usize = 16;
