//! The declaration of a resource, and the challenge that it produces.

use super::{document::Document, endpoint::MetadataEndpoint};
use crate::{
    error::{ConfigError, ConfigErrorKind},
    scheme::Challenge,
    scope::Scopes,
    url,
};

/// RFC 9728 §3.
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// Metadata of a protected resource, [RFC 9728 §2](https://www.rfc-editor.org/rfc/rfc9728#section-2).
/// See the [module docs](super).
///
/// # Examples
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
    /// Further paths of the document.
    aliases: Vec<Box<str>>,
    pub(super) document: Document,
    /// The scopes of challenges, if they are not those of the document.
    challenged: Option<Scopes>,
    realm: Option<Box<str>>,
    /// The URL of the document, and the index at which its path begins.
    url: Box<str>,
    path: usize,
}

impl ProtectedResourceMetadata {
    /// Describes the resource with this identifier: the URL that clients call, and the audience of their tokens.
    ///
    /// # Errors
    ///
    /// If it is not an `https` URL without user information and fragment
    /// ([RFC 9728 §1.2](https://www.rfc-editor.org/rfc/rfc9728#section-1.2)); `http` is accepted for a loopback host.
    pub fn new(resource: &str) -> Result<Self, ConfigError> {
        Self::with_resource(resource, url::is_secure)
    }

    /// Describes the resource with this identifier, which may be a URL of plain `http`, such as one in a private network. The URL
    /// of the document has the same scheme.
    ///
    /// Anyone on the way can read the tokens of clients, and can send them to another authorization server.
    ///
    /// # Errors
    ///
    /// If it is not an `https` or `http` URL without user information and fragment.
    pub fn danger_plain_http(resource: &str) -> Result<Self, ConfigError> {
        Self::with_resource(resource, url::is_http)
    }

    fn with_resource(resource: &str, is_accepted: impl Fn(&str) -> bool) -> Result<Self, ConfigError> {
        let refused = || {
            url_error(
                "a resource identifier is an https URL without user information and fragment; http is for a loopback host, \
                 or for `ProtectedResourceMetadata::danger_plain_http`",
                resource,
            )
        };
        let scheme = resource.find("://").ok_or_else(refused)? + "://".len();
        if !is_accepted(resource) || resource.contains('#') {
            return Err(refused());
        }
        let path = resource[scheme..].find(['/', '?']).map_or(resource.len(), |end| scheme + end);
        let (origin, tail) = resource.split_at(path);
        // RFC 9728 §3.1: a slash that terminates the host is removed; path and query follow the inserted text.
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
            dpop_bound_access_tokens_required: None,
        };
        Ok(Self {
            aliases: Vec::new(),
            challenged: None,
            document,
            realm: None,
            url: [origin, WELL_KNOWN, tail].concat().into(),
            path,
        })
    }

    /// Adds an issuer of tokens. MCP clients need at least one.
    ///
    /// # Errors
    ///
    /// If it is not an `https` URL without user information, query and fragment
    /// ([RFC 8414 §2](https://www.rfc-editor.org/rfc/rfc8414#section-2)); `http` is accepted for a loopback host.
    pub fn authorization_server(self, issuer: &str) -> Result<Self, ConfigError> {
        self.with_authorization_server(issuer, url::is_secure)
    }

    /// Adds an issuer of tokens, whose identifier may be a URL of plain `http`, such as one in a private network.
    ///
    /// Anyone on the way can read the credentials that clients and users send there.
    ///
    /// # Errors
    ///
    /// If it is not an `https` or `http` URL without user information, query and fragment.
    pub fn danger_plain_http_authorization_server(self, issuer: &str) -> Result<Self, ConfigError> {
        self.with_authorization_server(issuer, url::is_http)
    }

    fn with_authorization_server(
        mut self,
        issuer: &str,
        is_accepted: impl Fn(&str) -> bool,
    ) -> Result<Self, ConfigError> {
        if issuer.contains(['?', '#']) {
            return Err(url_error("the issuer of an authorization server is a URL without query and fragment", issuer));
        }
        if !is_accepted(issuer) {
            return Err(url_error(
                "an authorization server is an https URL without user information; http is for a loopback host, or for \
                 `ProtectedResourceMetadata::danger_plain_http_authorization_server`",
                issuer,
            ));
        }
        self.document.authorization_servers.push(issuer.into());
        Ok(self)
    }

    /// Sets the realm of the challenge: the resource identifier by default.
    ///
    /// # Errors
    ///
    /// If it contains a character that [`Challenge::new`] refuses.
    pub fn realm(mut self, realm: &str) -> Result<Self, ConfigError> {
        Challenge::new(realm)?;
        self.realm = Some(realm.into());
        Ok(self)
    }

    /// Serves the document at `/.well-known/oauth-protected-resource` as well, where some clients look for that of any resource
    /// of the host. For a host with one resource only.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_warden::metadata::ProtectedResourceMetadata;
    ///
    /// let metadata = ProtectedResourceMetadata::new("https://api.example.com/mcp")?.also_at_root().also_with_slash();
    /// // Also at /.well-known/oauth-protected-resource and /.well-known/oauth-protected-resource/mcp/
    /// assert_eq!(metadata.well_known_path(), "/.well-known/oauth-protected-resource/mcp");
    /// # Ok::<(), tower_warden::ConfigError>(())
    /// ```
    #[must_use]
    pub fn also_at_root(mut self) -> Self {
        self.add_alias(WELL_KNOWN.to_owned());
        self
    }

    /// Serves the document with a slash at the end of the path as well, or without it if the identifier ends with one: for
    /// clients that are configured with the other spelling of the identifier.
    #[must_use]
    pub fn also_with_slash(mut self) -> Self {
        let own = self.well_known_path();
        let (path, query) = own.find('?').map_or((own, ""), |query| own.split_at(query));
        let alias = path.strip_suffix('/').map_or_else(|| format!("{path}/{query}"), |path| format!("{path}{query}"));
        self.add_alias(alias);
        self
    }

    fn add_alias(&mut self, path: String) {
        if path != self.well_known_path() && self.aliases.iter().all(|alias| **alias != path) {
            self.aliases.push(path.into());
        }
    }

    /// The paths at which the document is served.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.well_known_path()).chain(self.aliases.iter().map(|alias| &**alias))
    }

    /// The resource identifier, byte for byte as configured.
    #[must_use]
    pub fn resource(&self) -> &str {
        &self.document.resource
    }

    /// The names of the algorithms of DPoP proofs.
    #[cfg(feature = "dpop")]
    pub(crate) fn dpop_algorithms(&self) -> impl Iterator<Item = &str> {
        self.document.dpop_signing_alg_values_supported.iter().map(|name| &**name)
    }

    /// Returns whether tokens must be bound to a key.
    #[cfg(feature = "dpop")]
    pub(crate) const fn requires_dpop(&self) -> bool {
        matches!(self.document.dpop_bound_access_tokens_required, Some(true))
    }

    /// The path of the document: `/.well-known/oauth-protected-resource`, then path and query of the identifier.
    #[must_use]
    pub fn well_known_path(&self) -> &str {
        &self.url[self.path..]
    }

    /// The URL of the document, [RFC 9728 §3.1](https://www.rfc-editor.org/rfc/rfc9728#section-3.1).
    #[must_use]
    pub fn well_known_url(&self) -> &str {
        &self.url
    }

    /// The challenge of refusals: the realm, the URL of the document, and the scopes.
    #[must_use]
    pub fn challenge(&self) -> Challenge {
        let realm = self.realm.as_deref().unwrap_or_else(|| self.resource());
        let challenge = Challenge::new(realm).expect("the realm was parsed when it was set");
        let scopes = self.challenged.as_ref().unwrap_or(&self.document.scopes_supported);
        challenge.with_metadata_url(&self.url).scope(scopes.clone())
    }

    /// Sets the scopes that challenges name: those of the document by default.
    ///
    /// A client that has no token yet requests the scopes of the challenge. Where few operations need more than a basic scope,
    /// name that one: a refusal for a missing scope names what the operation needs.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_warden::{metadata::ProtectedResourceMetadata, scope::Scopes};
    ///
    /// let metadata = ProtectedResourceMetadata::new("https://api.example.com")?
    ///     .scopes(Scopes::parse("files:read files:write")?)?
    ///     .challenge_scopes(Scopes::parse("files:read")?);
    /// assert!(metadata.to_json().contains("files:write"));
    /// # Ok::<(), tower_warden::ConfigError>(())
    /// ```
    #[must_use]
    pub fn challenge_scopes(mut self, scopes: Scopes) -> Self {
        self.challenged = Some(scopes);
        self
    }

    /// Creates a service that responds with the document as it is now; `B` is the body type of the responses.
    #[must_use]
    pub fn endpoint<B>(&self) -> MetadataEndpoint<B> {
        MetadataEndpoint::new(self.paths(), self.to_json())
    }

    /// The document as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.document).expect("strings, lists of strings and booleans serialize as JSON")
    }
}

pub(super) fn url_error(message: &'static str, url: &str) -> ConfigError {
    error(message).value(url::redacted(url))
}

pub(super) const fn error(message: &'static str) -> ConfigError {
    ConfigError::new(ConfigErrorKind::Metadata, message)
}
