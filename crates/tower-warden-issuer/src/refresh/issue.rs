use tower_warden::{
    Digest, Unavailable, UnixTime,
    caller::{Confirmation, ConfirmationMethod},
    scope::Scopes,
};

use super::{
    family::{FamilyStatus, RefreshFamily},
    token::{FAMILY_BYTES, RefreshSecret, RefreshToken, random},
};
use crate::{GrantType, RefreshTokens, TokenBinding, TokenIssuer, signing::encode};

/// The refresh token that an application wants to have for a client.
///
/// See [`TokenIssuer::issue_refresh_token`].
#[derive(Clone, Debug)]
#[must_use]
pub struct RefreshTokenRequest {
    client_id: Box<str>,
    confirmation: Option<Confirmation>,
    resource: Option<Box<str>>,
    scopes: Option<Scopes>,
    subject: Box<str>,
}

impl RefreshTokenRequest {
    /// A token for a client, whose access tokens are about this subject.
    pub fn new(client_id: &str, subject: &str) -> Self {
        let (client_id, subject) = (client_id.into(), subject.into());
        Self { client_id, confirmation: None, resource: None, scopes: None, subject }
    }

    /// Binds the tokens of the family to a key or certificate of the client, which then proves for each refresh that it holds
    /// it. A lost response cannot be repeated. A certificate is possible for clients whose tokens are bound to certificates.
    pub fn bound_to(mut self, confirmation: Confirmation) -> Self {
        self.confirmation = Some(confirmation);
        self
    }

    /// Sets the resource of the access tokens: the client's first by default.
    pub fn resource(mut self, resource: &str) -> Self {
        self.resource = Some(resource.into());
        self
    }

    /// Sets the scopes: all that the client may have by default.
    pub fn scopes(mut self, scopes: Scopes) -> Self {
        self.scopes = Some(scopes);
        self
    }
}

/// The reason why no refresh token was issued.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// The issuer has no [`RefreshTokens`](crate::RefreshTokens).
    #[error("the issuer has no refresh tokens")]
    Disabled,
    /// The client is unknown, may not use the grant, may not have these scopes or this resource, or cannot prove what the
    /// token is bound to; or the subject is empty, longer than 256 bytes, or the id of another
    /// client.
    #[error("the client may not have this refresh token")]
    Refused,
    /// A store did not answer.
    #[error("no refresh token was issued")]
    Unavailable(#[from] Unavailable),
}

impl TokenIssuer {
    /// Issues the first refresh token of a family, for an application that has authenticated the subject and its consent
    /// itself: by a form of its own, or on behalf of an operator. The client uses it at the token endpoint.
    ///
    /// # Errors
    ///
    /// If the client may not have it, or a store does not answer.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_warden::{jwt::Algorithm, revocation::MemoryRevocationList};
    /// use tower_warden_issuer::{
    ///     Client, GrantType, MemoryClientStore, MemoryRefreshStore, RefreshTokenRequest, RefreshTokens, SigningKeys,
    ///     TokenIssuer,
    /// };
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let clients = MemoryClientStore::default();
    /// clients.insert(Client::new("agent-7", "https://orders.example.com")?.grants([GrantType::RefreshToken]));
    /// let refresh = RefreshTokens::new(MemoryRefreshStore::default(), MemoryRevocationList::default());
    /// let issuer = TokenIssuer::builder("https://auth.example.com", clients, SigningKeys::generate(Algorithm::ES256)?)?
    ///     .refresh_tokens(refresh)
    ///     .build()?;
    ///
    /// let token = issuer.issue_refresh_token(&RefreshTokenRequest::new("agent-7", "alice")).await?;
    /// assert!(token.expose().starts_with("rt_"));
    /// assert_eq!(format!("{token:?}"), "RefreshSecret(..)");
    ///
    /// assert!(issuer.issue_refresh_token(&RefreshTokenRequest::new("agent-8", "alice")).await.is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn issue_refresh_token(&self, request: &RefreshTokenRequest) -> Result<RefreshSecret, IssueError> {
        let refresh = self.0.refresh.as_ref().ok_or(IssueError::Disabled)?;
        let client = self.0.clients.find(&request.client_id).wait().await?;
        let client = client.filter(|client| client.may_use(GrantType::RefreshToken)).ok_or(IssueError::Refused)?;
        let scopes = request.scopes.as_ref().unwrap_or_else(|| client.allowed_scopes());
        let resource = request.resource.as_deref().or_else(|| client.resources().next());
        let resource = resource.filter(|resource| client.has_resource(resource)).ok_or(IssueError::Refused)?;
        if !client.allowed_scopes().contains_all(scopes) || !(1..=256).contains(&request.subject.len()) {
            return Err(IssueError::Refused);
        }
        if *request.subject != *client.id() && self.0.is_client(&request.subject).await? {
            return Err(IssueError::Refused);
        }
        // The token endpoint reads the certificates of such clients only.
        let is_provable = |method: &ConfirmationMethod| {
            let has_certificate = client.binding() == Some(TokenBinding::Certificate);
            *method == ConfirmationMethod::KEY || (*method == ConfirmationMethod::CERTIFICATE && has_certificate)
        };
        if !request.confirmation.iter().flat_map(Confirmation::iter).all(|member| is_provable(&member.method)) {
            return Err(IssueError::Refused);
        }
        let start = FamilyStart {
            client_id: &request.client_id,
            confirmation: request.confirmation.as_ref(),
            id: random()?,
            resource,
            scopes,
            subject: &request.subject,
        };
        Ok(refresh.begin(&start, self.0.clock.now()).await?)
    }
}

/// A family that is about to begin, with what was granted.
pub(crate) struct FamilyStart<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) confirmation: Option<&'a Confirmation>,
    pub(crate) id: [u8; FAMILY_BYTES],
    pub(crate) resource: &'a str,
    pub(crate) scopes: &'a Scopes,
    pub(crate) subject: &'a str,
}

impl RefreshTokens {
    /// Stores a new family, and returns its first token.
    pub(crate) async fn begin(&self, start: &FamilyStart<'_>, now: UnixTime) -> Result<RefreshSecret, Unavailable> {
        let key = Digest::from_bytes(random()?);
        let token = RefreshToken::first(start.id, &key)?;
        let expires_at = now + self.absolute;
        let family = RefreshFamily {
            id: encode(&start.id).into(),
            client_id: start.client_id.into(),
            subject: start.subject.into(),
            resource: start.resource.into(),
            scopes: start.scopes.clone(),
            confirmation: start.confirmation.cloned(),
            expires_at,
            idle_until: expires_at.min(now + self.idle),
            rotated_at: now,
            generation: 0,
            key,
            token: token.digest(),
            seed: None,
            status: FamilyStatus::Active,
        };
        self.store.begin(family, now).wait().await?;
        Ok(token.into_secret())
    }
}
