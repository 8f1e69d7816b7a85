//! Callers that act for a subject with a credential of its own.

use super::{layer::AuthLayer, source::CredentialSource};
use crate::{
    caller::DelegatedScopes,
    error::{ConfigError, ConfigErrorKind},
};

/// Two credentials.
impl<R> AuthLayer<R> {
    /// Requires a second credential from a source of its own: the caller acts for the subject that it authenticates, such as
    /// an agent with an API key for a user with a JWT.
    ///
    /// Without this, two credentials in one request are refused with 400. The [`Principal`](crate::Principal) is the caller;
    /// [`Principal::acting_for`](crate::Principal::acting_for) is the subject. Both are checked in full, and must be of one
    /// tenant if both have one.
    ///
    /// Set the schemes of this layer first. `Authorization` can be a location of one of the two sources only, whatever their
    /// schemes: by default it is one of API keys and of tokens.
    ///
    /// # Errors
    ///
    /// If both sources take credentials from one location: a request could not say which of the two it carries.
    ///
    /// # Examples
    ///
    /// ```
    /// use bytes::Bytes;
    /// use http::{Request, Response};
    /// use http_body_util::Full;
    /// use tower::{ServiceBuilder, ServiceExt};
    /// use tower_warden::{
    ///     Principal,
    ///     api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey},
    ///     auth::CredentialSource,
    ///     jwt::{Issuer, Jwt},
    ///     layer::AuthLayer,
    ///     scheme::{Bearer, Location},
    ///     testing::TestIssuer,
    /// };
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
    /// let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent")?);
    /// let (_, key) = keys.mint(NewKey::new("agent-7")).await?;
    /// let issuer = TestIssuer::new("https://auth.example.com");
    /// let jwt = Jwt::new(Issuer::new(issuer.name(), "https://api.example.com")?, issuer.clone());
    ///
    /// let user = CredentialSource::new(jwt).scheme(Bearer::from(Location::header("x-user-token")));
    /// let service = ServiceBuilder::new().layer(AuthLayer::new(keys).acting_for(user)?).service_fn(
    ///     async |request: Request<()>| {
    ///         let agent = request.extensions().get::<Principal>().expect("the layer admits no other request");
    ///         let user = agent.acting_for().expect("the layer requires both");
    ///         let text = format!("{} for {}", agent.subject(), user.subject());
    ///         Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from(text)))
    ///     },
    /// );
    /// let request = || Request::builder().header("x-api-key", key.expose());
    ///
    /// let token = issuer.token("alice").audience("https://api.example.com").sign();
    /// let both = request().header("x-user-token", token).body(())?;
    /// assert_eq!(service.clone().oneshot(both).await?.status(), 200);
    /// assert_eq!(service.oneshot(request().body(())?).await?.status(), 401);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn acting_for(mut self, subject: CredentialSource) -> Result<Self, ConfigError> {
        if let Some(location) = self.authentication.caller.schemes().shared_location(subject.schemes()) {
            let message = "each of two credential sources has locations of its own, and one of them has `Authorization`: \
                           `scheme` moves a scheme of the layer or the source to another location, `without_scheme` removes it";
            let error = ConfigError::new(ConfigErrorKind::CredentialSource, message);
            return Err(error.value(format_args!("{location:?}")));
        }
        let authentication = self.authentication_mut();
        authentication.subject = Some(subject.with_settings_of(&authentication.caller));
        Ok(self)
    }

    /// Sets which scopes a caller holds that [acts for](Self::acting_for) a subject: those that both hold by default.
    #[must_use]
    pub fn delegated_scopes(self, scopes: DelegatedScopes) -> Self {
        self.caller(|caller| caller.delegated_scopes(scopes))
    }
}
