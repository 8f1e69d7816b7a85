//! Token exchange, RFC 8693.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};
use tower_warden::{Identity, UnixTime, caller::Actor, scope::Scopes};

use super::{
    binding::is_proved,
    delegation::{Delegation, MAX_ACTORS, Party},
    error::OAuthError,
    form::Form,
    presented::unverified,
    response::TokenResponse,
    target,
    token::GrantRequest,
};
use crate::{ClaimsRequest, Client, GrantType, TokenExchange, access_token::TokenTerms, issuer::Inner};

/// The token of the party on whose behalf the new token is requested.
struct SubjectToken {
    delegation: Delegation,
    identity: Arc<Identity>,
    origin: Origin,
    /// The subject, as this issuer names it.
    subject: Box<str>,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Origin {
    /// Another issuer, which is trusted.
    Other,
    /// This issuer.
    Own,
}

pub(super) async fn respond(
    issuer: &Inner,
    exchange: &TokenExchange,
    request: &GrantRequest<'_>,
) -> Result<TokenResponse, OAuthError> {
    let &GrantRequest { client, confirmation, form, now } = request;
    let issued_type = requested_type(form)?;
    let subject = issuer.subject_token(exchange, form, now).await?;
    let actor = issuer.actor_token(request).await?;
    let acting = actor.as_ref().map_or_else(|| client.id(), |actor| &*actor.subject);
    let party = Party { client_id: client.id(), issuer: &issuer.name, subject: acting };
    subject.check_presenter(client, &party)?;
    let holds = subject.is_issued_to(client);
    if let Some(bound) = &subject.identity.confirmation
        && !(if holds { is_proved(bound, confirmation) } else { confirmation.is_some() })
    {
        let text =
            "The subject token is bound to a key or certificate, and the request does not prove the one that it needs.";
        return Err(OAuthError::invalid_request(text));
    }
    let Delegation { actors, may_act } = &subject.delegation;
    let mut actors = actors.clone();
    if actor.is_some() || !holds {
        actors.insert(0, Actor::new(acting));
    }
    if actors.len() > MAX_ACTORS {
        return Err(OAuthError::invalid_request("The subject token has too many actors."));
    }
    let scopes = scopes(form, client, &subject.identity.scopes)?;
    let tokens = [Some(&subject.identity), actor.as_ref()];
    let ends = tokens.into_iter().flatten().filter_map(|token| token.expires_at);
    let expires_at = issuer.expiry(now, ends);
    let terms = TokenTerms { defaults: subject.kept_claims(), expires_at, may_act: may_act.as_ref() };
    let request = ClaimsRequest {
        actors: &actors,
        client_id: client.id(),
        confirmation,
        grant: GrantType::TokenExchange,
        presented: Some(&subject.identity),
        resource: target::audience(form, client, subject.kept_audience(client))?,
        scopes: &scopes,
        // If the session is revoked, so is the new token.
        session_id: subject.identity.session_id.as_deref().filter(|_| subject.origin == Origin::Own),
        subject: &subject.subject,
    };
    let access_token = issuer.access_token(&request, terms, now).await?;
    let response = TokenResponse::new(access_token, confirmation, scopes, expires_at, now);
    Ok(TokenResponse { issued_token_type: Some(issued_type), ..response })
}

impl Inner {
    /// Verifies the subject token: by its own keys if it names this issuer, and otherwise by the verifier of others.
    async fn subject_token(
        &self,
        exchange: &TokenExchange,
        form: &Form,
        now: UnixTime,
    ) -> Result<SubjectToken, OAuthError> {
        #[derive(Deserialize)]
        struct Claims {
            iss: String,
        }
        let token = typed_token(form, "subject_token", "subject_token_type")?;
        let token = token.ok_or(OAuthError::invalid_request("The parameter subject_token is missing."))?;
        let refused = OAuthError::invalid_subject_token;
        let name = unverified(token).map(|claims: Claims| claims.iss).ok_or_else(refused)?;
        let other = if name == *self.name { None } else { Some(exchange.find(&name).ok_or_else(refused)?) };
        let verifier = other.map_or(&self.own, |other| &other.verifier);
        let identity = self.verified(verifier, token, now).await?.ok_or_else(refused)?;
        if identity.issuer.as_deref() != Some(&*name) || self.is_revoked(&identity).await? {
            return Err(refused());
        }
        let delegation = Delegation::read(&identity, &self.name).ok_or_else(refused)?;
        let (origin, subject) = match other {
            Some(other) => (Origin::Other, self.local_subject(&other.subjects, &identity).await?),
            None => (Origin::Own, Some(identity.subject.clone())),
        };
        Ok(SubjectToken { delegation, subject: subject.ok_or_else(refused)?, identity, origin })
    }

    /// Verifies the actor token, which is one of the client itself.
    async fn actor_token(&self, request: &GrantRequest<'_>) -> Result<Option<Arc<Identity>>, OAuthError> {
        let &GrantRequest { client, confirmation, form, now } = request;
        let Some(token) = typed_token(form, "actor_token", "actor_token_type")? else { return Ok(None) };
        let actor = self.verified(&self.own, token, now).await?.ok_or(OAuthError::invalid_actor_token())?;
        let is_of_client = actor.client_id.as_deref() == Some(client.id());
        let is_held = actor.confirmation.as_ref().is_none_or(|bound| is_proved(bound, confirmation));
        // An actor that acts for another party itself is not the one that acts here.
        if !is_of_client || !is_held || !actor.actors.is_empty() || self.is_revoked(&actor).await? {
            return Err(OAuthError::invalid_actor_token());
        }
        Ok(Some(actor))
    }
}

impl SubjectToken {
    fn is_issued_to(&self, client: &Client) -> bool {
        self.origin == Origin::Own && self.identity.client_id.as_deref() == Some(client.id())
    }

    /// The audience that the new token has as well: what was granted to a client for another party is for one resource,
    /// RFC 8707 §2.2, and the client becomes no actor. By client credentials, it can request tokens about itself for
    /// all of its resources.
    fn kept_audience(&self, client: &Client) -> Option<&str> {
        let may_have_any = *self.subject == *client.id() && client.may_use(GrantType::ClientCredentials);
        (self.is_issued_to(client) && !may_have_any).then(|| self.identity.audience.as_deref().unwrap_or_default())
    }

    /// The claims that the new token has as well, unless the application sets them: by the tenant, APIs distinguish
    /// owners of API keys that have one name.
    fn kept_claims(&self) -> Map<String, Value> {
        let text = self.identity.claims.as_deref().filter(|_| self.origin == Origin::Own);
        let claims: Option<Map<String, Value>> = text.and_then(|text| serde_json::from_str(text).ok());
        claims.into_iter().flatten().filter(|(name, _)| matches!(&**name, "tenant" | "tier")).collect()
    }

    /// Checks that the token was meant for the client: otherwise a client could use whatever token it came by.
    fn check_presenter(&self, client: &Client, party: &Party<'_>) -> Result<(), OAuthError> {
        let is_sent_to = || self.identity.audience.as_deref().is_some_and(|audience| client.serves(audience));
        let is_meant = match &self.delegation.may_act {
            Some(may_act) => may_act.permits(party),
            None => self.is_issued_to(client) || is_sent_to(),
        };
        if is_meant { Ok(()) } else { Err(OAuthError::invalid_subject_token()) }
    }
}

/// A token and its type, RFC 8693 §2.1: each requires the other one.
fn typed_token<'a>(form: &'a Form, token: &str, kind: &str) -> Result<Option<&'a str>, OAuthError> {
    match (form.get(token), form.get(kind)) {
        (None, None) => Ok(None),
        (Some(token), Some(kind)) if TYPES.contains(&kind) => Ok(Some(token)),
        (Some(_), Some(_)) => Err(OAuthError::invalid_request("The type of a token is not supported.")),
        _ => Err(OAuthError::invalid_request("A token or its type is missing.")),
    }
}

/// The type of the new token, RFC 8693 §2.2.1: an access token, or what the client has requested it as.
fn requested_type(form: &Form) -> Result<&'static str, OAuthError> {
    let Some(requested) = form.get("requested_token_type") else { return Ok(ACCESS_TOKEN) };
    let supported = TYPES.into_iter().find(|kind| *kind == requested);
    supported.ok_or(OAuthError::invalid_request("The requested type of token is not supported."))
}

/// The scopes that are requested, that the client may have, and that the subject token has.
fn scopes(form: &Form, client: &Client, held: &Scopes) -> Result<Scopes, OAuthError> {
    let allowed: Scopes = held.iter().filter(|scope| client.allowed_scopes().contains(scope)).cloned().collect();
    let scopes = target::scopes(form, &allowed)?;
    if scopes.is_empty() && !held.is_empty() { Err(OAuthError::invalid_scope()) } else { Ok(scopes) }
}

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// RFC 8693 §3. The access tokens of this crate are JWTs.
const TYPES: [&str; 2] = [ACCESS_TOKEN, "urn:ietf:params:oauth:token-type:jwt"];
