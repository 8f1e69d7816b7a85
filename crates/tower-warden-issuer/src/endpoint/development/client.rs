//! The part of a client that is for authorization codes.

use std::sync::Arc;

use http::{header, request::Parts};
use tower_warden::{ConfigError, UnixTime};

use super::redirect::RedirectUri;
use crate::{
    Client,
    endpoint::{authenticate::authenticate, error::OAuthError, form::Form},
    issuer::Inner,
};

/// The part of a client that is for authorization codes only.
#[derive(Clone, Debug, Default)]
pub(crate) struct CodeClient {
    is_public: bool,
    redirect_uris: Vec<RedirectUri>,
}

impl CodeClient {
    pub(crate) const fn is_public(&self) -> bool {
        self.is_public
    }

    pub(crate) fn redirect_uris(&self) -> impl Iterator<Item = &str> {
        self.redirect_uris.iter().map(RedirectUri::as_str)
    }

    pub(super) fn accepts(&self, redirect_uri: &str) -> bool {
        self.redirect_uris.iter().any(|own| own.accepts(redirect_uri))
    }
}

impl Client {
    /// Declares a public client, which has no credential: the method `none`
    /// ([RFC 6749 §2.1](https://www.rfc-editor.org/rfc/rfc6749#section-2.1)).
    ///
    /// It may use authorization codes and refresh tokens, and no other grant, whatever its [`grants`](Self::grants)
    /// are; and only at an issuer with [`AutoConsent`](crate::AutoConsent). A client that has a method of
    /// authentication is not public.
    #[must_use]
    pub fn public(mut self) -> Self {
        self.code.is_public = true;
        self
    }

    /// Adds a URI that authorization codes may be sent to.
    ///
    /// Requests have to name it exactly; the port of `http` URIs of the hosts `127.0.0.1`, `[::1]` and `localhost` may
    /// differ ([RFC 8252 §7.3](https://www.rfc-editor.org/rfc/rfc8252#section-7.3)).
    ///
    /// # Errors
    ///
    /// If it is not an `https` URL, or an `http` URL of one of these hosts, without user information and fragment, of
    /// up to 512 bytes.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_warden_issuer::{Client, GrantType};
    ///
    /// let client = Client::new("desktop", "https://mcp.example.com")?
    ///     .public()
    ///     .grants([GrantType::AuthorizationCode])
    ///     .redirect_uri("http://127.0.0.1/callback")?;
    /// assert!(client.may_use(GrantType::AuthorizationCode));
    ///
    /// assert!(client.redirect_uri("http://app.example.com/callback").is_err(), "the code can be read on the way");
    /// # Ok::<(), tower_warden::ConfigError>(())
    /// ```
    pub fn redirect_uri(mut self, uri: &str) -> Result<Self, ConfigError> {
        self.code.redirect_uris.push(RedirectUri::parse(uri)?);
        Ok(self)
    }

    /// Returns whether it has no credential, and is identified by its id only.
    pub(crate) fn is_public(&self) -> bool {
        self.code.is_public && self.methods().is_empty()
    }
}

/// Authenticates the client of a request. A public one is identified by its id, RFC 6749 §3.2.1.
pub(in crate::endpoint) async fn identify(
    issuer: &Inner,
    head: &Parts,
    form: &Form,
    now: UnixTime,
) -> Result<Arc<Client>, OAuthError> {
    match public_client(issuer, head, form).await? {
        Some(client) => Ok(client),
        None => authenticate(issuer, head, form, now).await,
    }
}

/// The public client of a request without a credential; `None` if it is not one of such a client.
pub(in crate::endpoint) async fn public_client(
    issuer: &Inner,
    head: &Parts,
    form: &Form,
) -> Result<Option<Arc<Client>>, OAuthError> {
    const CREDENTIALS: [&str; 3] = ["client_secret", "client_assertion", "client_assertion_type"];
    let has_credential =
        head.headers.contains_key(header::AUTHORIZATION) || CREDENTIALS.iter().any(|name| form.get(name).is_some());
    let id = form.get("client_id").filter(|_| issuer.development.is_some() && !has_credential);
    let Some(id) = id else { return Ok(None) };
    Ok(issuer.clients.find(id).wait().await?.filter(|client| client.is_public()))
}
