use tower_warden::{ConfigError, scope::Scopes};

use crate::{Client, GrantType};

/// The rights of clients that the application has not registered: those that register themselves, and those that have a
/// metadata document.
///
/// They may use authorization codes and refresh tokens only, and request all of these scopes: a `scope` of their
/// metadata does not restrict them, because clients such as those of MCP register with the scopes of their first
/// request.
///
/// # Examples
///
/// ```
/// use tower_warden_issuer::{AutoConsent, ClientProfile};
///
/// let profile = ClientProfile::new("http://127.0.0.1:3000/mcp")?.scopes("tools:list tools:call")?;
/// let consent = AutoConsent::new("alice")?.registration(profile);
///
/// assert!(ClientProfile::new("mcp").is_err(), "not a URI");
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ClientProfile {
    resources: Vec<Box<str>>,
    scopes: Scopes,
}

impl ClientProfile {
    /// Clients of one resource, which have no scopes.
    ///
    /// # Errors
    ///
    /// If it is not an absolute URI without a fragment.
    pub fn new(resource: &str) -> Result<Self, ConfigError> {
        Self { resources: Vec::new(), scopes: Scopes::default() }.resource(resource)
    }

    /// Adds a resource that they may request tokens for. The first is the default.
    ///
    /// # Errors
    ///
    /// If it is not an absolute URI without a fragment.
    pub fn resource(mut self, resource: &str) -> Result<Self, ConfigError> {
        // The same check as for a client.
        Client::new("any", resource)?;
        self.resources.push(resource.into());
        Ok(self)
    }

    /// Sets the scopes that they may request. A request without `scope` is granted all of them.
    ///
    /// # Errors
    ///
    /// If a scope is not a token of [RFC 6749 §3.3](https://www.rfc-editor.org/rfc/rfc6749#section-3.3).
    pub fn scopes(mut self, scopes: impl TryInto<Scopes, Error: Into<ConfigError>>) -> Result<Self, ConfigError> {
        self.scopes = scopes.try_into().map_err(Into::into)?;
        Ok(self)
    }

    pub(super) const fn allowed_scopes(&self) -> &Scopes {
        &self.scopes
    }

    /// A client with this id, these grants and this profile.
    pub(super) fn client(&self, id: &str, grants: &[GrantType]) -> Result<Client, ConfigError> {
        let mut resources = self.resources.iter();
        let first = resources.next().expect("a profile has a resource");
        let client = Client::new(id, first)?.grants(grants.iter().copied()).scopes(self.scopes.clone())?;
        resources.try_fold(client, |client, resource| client.resource(resource))
    }
}
