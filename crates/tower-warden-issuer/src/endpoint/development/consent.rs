use std::{fmt, sync::Arc, time::Duration};

use tower_warden::{ConfigError, scope::Scopes};

use super::{ClientProfile, clients::Documents};

/// An authorization request that is about to be granted.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ConsentRequest<'a> {
    /// The client.
    pub client_id: &'a str,
    /// The URI that the code is sent to.
    pub redirect_uri: &'a str,
    /// The resource of the access token.
    pub resource: &'a str,
    /// The scopes that are granted.
    pub scopes: &'a Scopes,
}

/// Grants authorization requests without asking anyone: the authorization code grant with PKCE
/// ([RFC 6749 §4.1](https://www.rfc-editor.org/rfc/rfc6749#section-4.1),
/// [RFC 7636](https://www.rfc-editor.org/rfc/rfc7636)), for development.
///
/// Interactive clients, such as those of MCP servers, obtain tokens only by this grant. Here every request of a
/// registered client is granted at once, as the subject that the application sets. That is for one machine, so
///
/// - the identifier of the issuer is a URL of `127.0.0.1`, `[::1]` or `localhost`,
/// - all endpoints, except those for keys and metadata, refuse requests whose [client
///   address](tower_warden::Head::client_address) is not loopback or is unknown, and those that were sent to another
///   host name, which is how pages of other sites reach this machine. The server has to insert the address: axum does
///   so by `into_make_service_with_connect_info::<SocketAddr>()`,
/// - authorization requests by images and frames of pages are refused.
///
/// A code is valid for up to a minute and once: its second use revokes the tokens that the first has yielded. It is
/// bound to its client, redirect URI, challenge (`S256` only), resource and scopes, and to a key if the request has
/// `dpop_jkt`. Codes are kept in the process, 2 000 at most. The client also gets a refresh token, if it and the issuer
/// may use them.
///
/// # Deployment caveat
///
/// Put no reverse proxy in front of it: what it passes on comes from this machine. A request with one of the fields
/// `Forwarded`, `Via`, `X-Forwarded-For` and `X-Real-IP` is refused, unless a
/// [`ClientAddressLayer`](tower_warden::request::ClientAddressLayer) has resolved the address, but not every proxy adds
/// one.
///
/// # Examples
///
/// ```
/// use tower_warden::{jwt::Algorithm, revocation::MemoryRevocationList};
/// use tower_warden_issuer::{AutoConsent, Client, GrantType, MemoryClientStore, SigningKeys, TokenIssuer};
///
/// let clients = MemoryClientStore::default();
/// let desktop = Client::new("desktop", "http://127.0.0.1:3000/mcp")?;
/// let desktop = desktop.public().redirect_uri("http://127.0.0.1/callback")?;
/// clients.insert(desktop.grants([GrantType::AuthorizationCode]).scopes("tools:call")?);
///
/// let builder = |name| {
///     let keys = SigningKeys::generate(Algorithm::ES256)?;
///     TokenIssuer::builder(name, clients.clone(), keys).map(|it| it.revocations(MemoryRevocationList::default()))
/// };
/// let issuer = builder("http://127.0.0.1:3001")?.auto_consent(AutoConsent::new("alice")?).build()?;
/// assert!(issuer.metadata().contains("authorization_endpoint"));
///
/// let error = builder("https://auth.example.com")?.auto_consent(AutoConsent::new("alice")?).build().unwrap_err();
/// assert!(error.to_string().contains("danger_beyond_loopback"));
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct AutoConsent {
    pub(super) code_lifetime: Duration,
    pub(super) documents: Option<Arc<dyn Documents>>,
    pub(super) reach: Reach,
    pub(super) registration: Option<ClientProfile>,
    pub(super) subject: Arc<Decision>,
}

pub(super) type Decision = dyn Fn(&ConsentRequest<'_>) -> Option<Box<str>> + Send + Sync;

/// The machines that may send authorization requests.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reach {
    Anywhere,
    Loopback,
}

impl AutoConsent {
    /// Grants all requests of registered clients, as this subject.
    ///
    /// # Errors
    ///
    /// If the subject is not 1 to 256 bytes long.
    pub fn new(subject: &str) -> Result<Self, ConfigError> {
        if !is_subject(subject) {
            return Err(ConfigError::custom("a subject is 1 to 256 bytes long").value(subject));
        }
        let subject: Box<str> = subject.into();
        Ok(Self::deciding(move |_| Some(subject.clone())))
    }

    /// Grants requests as the subject that a closure returns; `None` refuses the request, as `access_denied`, and so
    /// does a subject that is not 1 to 256 bytes long, or has the id of another client.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_warden_issuer::AutoConsent;
    ///
    /// let consent = AutoConsent::deciding(|request| (request.client_id == "desktop").then(|| "alice".into()));
    /// ```
    pub fn deciding(subject: impl Fn(&ConsentRequest<'_>) -> Option<Box<str>> + Send + Sync + 'static) -> Self {
        Self {
            code_lifetime: MAX_LIFETIME,
            documents: None,
            reach: Reach::Loopback,
            registration: None,
            subject: Arc::new(subject),
        }
    }

    /// Sets the lifetime of codes, in whole seconds: 60 by default.
    ///
    /// # Errors
    ///
    /// If it is not 1 to 60 seconds.
    pub fn code_lifetime(mut self, lifetime: Duration) -> Result<Self, ConfigError> {
        if !(1..=MAX_LIFETIME.as_secs()).contains(&lifetime.as_secs()) || lifetime > MAX_LIFETIME {
            let message = "the lifetime of authorization codes is 1 to 60 seconds";
            return Err(ConfigError::custom(message).value(format_args!("{lifetime:?}")));
        }
        self.code_lifetime = lifetime;
        Ok(self)
    }

    /// Also accepts issuers whose identifier is not loopback, and requests from other machines and to other host names.
    ///
    /// Everyone who reaches the endpoint obtains tokens of the subject, without a credential. Use it in a network whose
    /// machines are all trusted, such as that of a container.
    pub const fn danger_beyond_loopback(mut self) -> Self {
        self.reach = Reach::Anywhere;
        self
    }
}

/// The same length as that of subjects of refresh tokens.
pub(super) fn is_subject(text: &str) -> bool {
    (1..=256).contains(&text.len())
}

impl fmt::Debug for AutoConsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AutoConsent")
            .field("code_lifetime", &self.code_lifetime)
            .field("reach", &self.reach)
            .finish_non_exhaustive()
    }
}

const MAX_LIFETIME: Duration = Duration::from_secs(60);
