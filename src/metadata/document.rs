//! The declaration, and what is made of it.

use serde::Serialize;

use super::endpoint::MetadataEndpoint;
use crate::{
    error::{ConfigError, ConfigErrorKind},
    scheme::Challenge,
    scope::{self, Scope, Scopes},
    url,
};

/// RFC 9728 §3.
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// What a protected resource tells of itself, RFC 9728 §2. See the [module docs](super).
///
/// ```
/// use tower_warden::{metadata::ProtectedResourceMetadata, scope::Scopes};
///
/// let metadata = ProtectedResourceMetadata::new("https://api.example.com")?
///     .authorization_server("https://auth.example.com")?
///     .name("The billing API")
///     .scopes(Scopes::parse("billing:read billing:write")?)?;
/// assert_eq!(metadata.well_known_path(), "/.well-known/oauth-protected-resource");
/// assert_eq!(
///     metadata.to_json(),
///     r#"{"resource":"https://api.example.com","authorization_servers":["https://auth.example.com"],"#.to_owned()
///         + r#""scopes_supported":["billing:read","billing:write"],"bearer_methods_supported":["header"],"#
///         + r#""resource_name":"The billing API"}"#
/// );
///
/// assert!(ProtectedResourceMetadata::new("http://api.example.com").is_err());
/// assert!(metadata.scopes(Scopes::parse("billing:read offline_access")?).is_err());
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ProtectedResourceMetadata {
    document: Document,
    realm: Option<Box<str>>,
    /// The whole URL, and where its path begins.
    url: Box<str>,
    path: usize,
}

/// The members, in the order of RFC 9728 §2; zero values are left out, §3.2.
#[derive(Clone, Debug, Serialize)]
struct Document {
    resource: Box<str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    authorization_servers: Vec<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks_uri: Option<Box<str>>,
    #[serde(skip_serializing_if = "Scopes::is_empty")]
    scopes_supported: Scopes,
    bearer_methods_supported: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_name: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_documentation: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_policy_uri: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_tos_uri: Option<Box<str>>,
    #[serde(skip_serializing_if = "is_false")]
    tls_client_certificate_bound_access_tokens: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dpop_signing_alg_values_supported: Vec<Box<str>>,
    #[serde(skip_serializing_if = "is_false")]
    dpop_bound_access_tokens_required: bool,
}

impl ProtectedResourceMetadata {
    /// Describes the resource with this identifier: the URL that clients call, and the audience of their tokens.
    ///
    /// # Errors
    ///
    /// If it is no `https` URL, or has a user name or a fragment (RFC 9728 §1.2); `http` is accepted for a loopback host.
    pub fn new(resource: &str) -> Result<Self, ConfigError> {
        let refused = || error("a resource identifier is an https URL without user name and fragment");
        let scheme = resource.find("://").ok_or_else(refused)? + "://".len();
        if !url::is_secure(resource) || resource.contains('#') {
            return Err(refused());
        }
        let path = resource[scheme..].find(['/', '?']).map_or(resource.len(), |end| scheme + end);
        let (origin, tail) = resource.split_at(path);
        // RFC 9728 §3.1: a slash that ends the host is removed, and the rest follows what is inserted.
        let tail = if tail == "/" || tail.starts_with("/?") { &tail[1..] } else { tail };
        let document = Document {
            resource: resource.into(),
            authorization_servers: Vec::new(),
            jwks_uri: None,
            scopes_supported: Scopes::default(),
            bearer_methods_supported: ["header"],
            resource_name: None,
            resource_documentation: None,
            resource_policy_uri: None,
            resource_tos_uri: None,
            tls_client_certificate_bound_access_tokens: false,
            dpop_signing_alg_values_supported: Vec::new(),
            dpop_bound_access_tokens_required: false,
        };
        Ok(Self { document, realm: None, url: [origin, WELL_KNOWN, tail].concat().into(), path })
    }

    /// Names an issuer of tokens, one more with each call; an MCP client needs one at least.
    ///
    /// # Errors
    ///
    /// If it is no `https` URL (`http` on a loopback host), or has a user name, query or fragment (RFC 8414 §2).
    pub fn authorization_server(mut self, issuer: &str) -> Result<Self, ConfigError> {
        if issuer.contains(['?', '#']) {
            return Err(error("an issuer has no query and no fragment"));
        }
        self.document.authorization_servers.push(secure(issuer)?);
        Ok(self)
    }

    /// Where developers read about it.
    ///
    /// # Errors
    ///
    /// If it is no `https` URL; `http` is accepted for a loopback host.
    pub fn documentation(mut self, url: &str) -> Result<Self, ConfigError> {
        self.document.resource_documentation = Some(secure(url)?);
        Ok(self)
    }

    /// Says that tokens must be bound to a key by DPoP, RFC 9449.
    #[must_use]
    pub const fn dpop_bound_access_tokens_required(mut self) -> Self {
        self.document.dpop_bound_access_tokens_required = true;
        self
    }

    /// By which algorithms DPoP proofs may be signed.
    ///
    /// # Errors
    ///
    /// If one is no name, or is none of a public key: `none`, or an HMAC (RFC 9449 §4.3).
    pub fn dpop_signing_algorithms<'a>(
        mut self,
        algorithms: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, ConfigError> {
        let algorithms: Vec<&str> = algorithms.into_iter().collect();
        let is_asymmetric =
            |name: &&str| scope::is_token(name) && !name.eq_ignore_ascii_case("none") && !name.starts_with("HS");
        if !algorithms.iter().all(is_asymmetric) {
            return Err(error("DPoP proofs are signed by an algorithm of a public key"));
        }
        self.document.dpop_signing_alg_values_supported = algorithms.into_iter().map(Into::into).collect();
        Ok(self)
    }

    /// Where the resource's own public keys stand, for what it signs itself.
    ///
    /// # Errors
    ///
    /// If it is no `https` URL; `http` is accepted for a loopback host.
    pub fn jwks_uri(mut self, url: &str) -> Result<Self, ConfigError> {
        self.document.jwks_uri = Some(secure(url)?);
        Ok(self)
    }

    /// What people call it.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.document.resource_name = Some(name).filter(|name| !name.is_empty()).map(Into::into);
        self
    }

    /// Where people read how clients may use its data.
    ///
    /// # Errors
    ///
    /// If it is no `https` URL; `http` is accepted for a loopback host.
    pub fn policy(mut self, url: &str) -> Result<Self, ConfigError> {
        self.document.resource_policy_uri = Some(secure(url)?);
        Ok(self)
    }

    /// The realm of the challenge: the resource identifier by default.
    ///
    /// # Errors
    ///
    /// If it has a character that [`Challenge::new`] refuses.
    pub fn realm(mut self, realm: &str) -> Result<Self, ConfigError> {
        Challenge::new(realm)?;
        self.realm = Some(realm.into());
        Ok(self)
    }

    /// What clients may ask for. The challenge names them too; if a client should begin with less, narrow it with
    /// [`Challenge::scope`].
    ///
    /// # Errors
    ///
    /// If `offline_access` is among them: whether a client gets a refresh token is no matter of the resource (MCP
    /// authorization, 2026-07-28).
    pub fn scopes(mut self, scopes: Scopes) -> Result<Self, ConfigError> {
        if scopes.contains(&const { Scope::from_static("offline_access") }) {
            return Err(error("offline_access is no scope of a resource"));
        }
        self.document.scopes_supported = scopes;
        Ok(self)
    }

    /// Where people read the terms of its use.
    ///
    /// # Errors
    ///
    /// If it is no `https` URL; `http` is accepted for a loopback host.
    pub fn terms_of_service(mut self, url: &str) -> Result<Self, ConfigError> {
        self.document.resource_tos_uri = Some(secure(url)?);
        Ok(self)
    }

    /// Says that tokens may be bound to a client's certificate, RFC 8705 §3.3.
    #[must_use]
    pub const fn tls_client_certificate_bound_access_tokens(mut self) -> Self {
        self.document.tls_client_certificate_bound_access_tokens = true;
        self
    }

    /// The resource identifier, as it was given.
    #[must_use]
    pub fn resource(&self) -> &str {
        &self.document.resource
    }

    /// Where the document stands: `/.well-known/oauth-protected-resource`, then path and query of the identifier.
    #[must_use]
    pub fn well_known_path(&self) -> &str {
        &self.url[self.path..]
    }

    /// The whole URL of the document, RFC 9728 §3.1.
    #[must_use]
    pub fn well_known_url(&self) -> &str {
        &self.url
    }

    /// What refusals tell clients: the realm, where the document stands, and the scopes.
    #[must_use]
    pub fn challenge(&self) -> Challenge {
        let realm = self.realm.as_deref().unwrap_or_else(|| self.resource());
        let challenge = Challenge::new(realm).and_then(|challenge| challenge.resource_metadata(&self.url));
        challenge.expect("both were parsed already").scope(self.document.scopes_supported.clone())
    }

    /// Answers with the document, as it is now; `B` is the body of the responses.
    #[must_use]
    pub fn endpoint<B>(&self) -> MetadataEndpoint<B> {
        MetadataEndpoint::new(self.well_known_path(), self.to_json())
    }

    /// The document.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.document).expect("texts, lists of them and flags can be written as JSON")
    }
}

fn secure(text: &str) -> Result<Box<str>, ConfigError> {
    if url::is_secure(text) { Ok(text.into()) } else { Err(error("not an https URL without user name")) }
}

const fn error(message: &'static str) -> ConfigError {
    ConfigError::new(ConfigErrorKind::Metadata, message)
}

const fn is_false(flag: &bool) -> bool {
    !*flag
}
