//! The grant of assertions, RFC 7523 §2.1.

use std::{sync::Arc, time::Duration};

use serde::Deserialize;
use serde_json::{Map, Value};
use tower_warden::{Digest, Identity, UnixTime, replay::UsedProof, scope::Scopes};

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
use crate::{
    ClaimsRequest, Client, GrantType,
    access_token::TokenTerms,
    issuer::Inner,
    jwt_bearer::{AssertionGrants, AssertionKind, TrustedAssertions},
};

/// An assertion that was verified, and is not recorded as used yet.
struct Assertion<'a> {
    claims: Map<String, Value>,
    delegation: Delegation,
    identity: Arc<Identity>,
    trusted: &'a TrustedAssertions,
    used: UsedProof,
}

pub(super) async fn respond(
    issuer: &Inner,
    grants: &AssertionGrants,
    request: &GrantRequest<'_>,
) -> Result<TokenResponse, OAuthError> {
    let &GrantRequest { client, confirmation, form, now } = request;
    let refused = OAuthError::invalid_assertion;
    let text = form.get("assertion").ok_or(OAuthError::invalid_request("The parameter assertion is missing."))?;
    let assertion = issuer.assertion(grants, text, now).await?.ok_or_else(refused)?;
    let identity = &assertion.identity;
    let Delegation { actors, may_act } = &assertion.delegation;
    let is_proved = identity.confirmation.as_ref().is_none_or(|bound| is_proved(bound, confirmation));
    if !assertion.may_be_used_by(client, &issuer.name) || !is_proved || actors.len() > MAX_ACTORS {
        return Err(refused());
    }
    let subject = issuer.local_subject(&assertion.trusted.subjects, identity).await?.ok_or_else(refused)?;
    if issuer.is_revoked(identity).await? {
        return Err(refused());
    }
    let scopes = assertion.scopes(form, client)?;
    let resource = assertion.resource(form, client)?;
    let request = ClaimsRequest {
        actors,
        client_id: client.id(),
        confirmation,
        grant: GrantType::JwtBearer,
        presented: Some(identity),
        resource,
        scopes: &scopes,
        session_id: None,
        subject: &subject,
    };
    let expires_at = issuer.expiry(now, None);
    let terms = TokenTerms { may_act: may_act.as_ref(), ..TokenTerms::until(expires_at) };
    let access_token = issuer.access_token(&request, terms, now).await?;
    // Last: a request that fails for another reason does not use it up.
    if !issuer.use_once(&assertion.used).await? {
        return Err(refused());
    }
    // Draft of ID-JAG, processing rules of the access token request: the response states the granted resource.
    let is_identity = assertion.trusted.kind == AssertionKind::Identity;
    let resource = is_identity.then(|| resource.into());
    Ok(TokenResponse { resource, ..TokenResponse::new(access_token, confirmation, scopes, expires_at, now) })
}

impl Inner {
    /// Verifies an assertion, by the rules and keys of the issuer that it names; `None` if it is refused.
    async fn assertion<'a>(
        &self,
        grants: &'a AssertionGrants,
        text: &str,
        now: UnixTime,
    ) -> Result<Option<Assertion<'a>>, OAuthError> {
        #[derive(Deserialize)]
        struct Claims {
            iss: String,
        }
        let named = unverified(text).map(|claims: Claims| claims.iss);
        let Some(trusted) = named.and_then(|name| grants.find(&name)) else { return Ok(None) };
        let Some(identity) = self.verified_within_skew(&trusted.verifier, text, now).await? else { return Ok(None) };
        let read = || {
            let (issuer, id) = (identity.issuer.as_deref()?, identity.token_id.as_deref()?);
            // One subject cannot use up the room of all others. The id of a client, by which its own assertions are
            // recorded, does not begin with this character, and the name of an issuer does not contain it.
            let key = Digest::of(format!("\0{issuer}\0{}", identity.subject).as_bytes());
            let until = identity.expires_at? + identity.skew;
            let used = UsedProof::new(key, Digest::of(id.as_bytes()), until, now).with_window(LONGEST_VALIDITY);
            let claims = serde_json::from_str(identity.claims.as_deref()?).ok()?;
            let delegation = Delegation::read(&identity, &self.name)?;
            Some(Assertion { claims, delegation, identity: Arc::clone(&identity), trusted, used })
        };
        Ok(read())
    }
}

impl Assertion<'_> {
    fn may_be_used_by(&self, client: &Client, own_name: &str) -> bool {
        let party = Party { client_id: client.id(), issuer: own_name, subject: client.id() };
        let is_permitted = self.delegation.may_act.as_ref().is_none_or(|may_act| may_act.permits(&party));
        let is_named = match self.trusted.kind {
            AssertionKind::Common => true,
            AssertionKind::Identity => {
                self.claims.get("client_id").and_then(Value::as_str).is_some_and(|id| id == client.id())
            }
        };
        is_permitted && is_named
    }

    /// The scopes that are requested, that the client may have, and that the assertion has if it has a claim for them.
    fn scopes(&self, form: &Form, client: &Client) -> Result<Scopes, OAuthError> {
        let is_limited = ["scope", "scp", "scopes"].iter().any(|name| self.claims.contains_key(*name));
        if !is_limited {
            return target::scopes(form, client.allowed_scopes());
        }
        let held = self.identity.scopes.iter();
        let allowed: Scopes = held.filter(|scope| client.allowed_scopes().contains(scope)).cloned().collect();
        if allowed.is_empty() { Err(OAuthError::invalid_scope()) } else { target::scopes(form, &allowed) }
    }

    /// The resource that is requested, or the first that the assertion names. The client may have it, and the assertion names it
    /// if it names any.
    fn resource<'b>(&'b self, form: &'b Form, client: &'b Client) -> Result<&'b str, OAuthError> {
        let refused = OAuthError::invalid_target;
        let named = match self.claims.get("resource") {
            None => return target::resource(form, client),
            Some(Value::String(one)) => vec![&**one],
            Some(Value::Array(several)) => {
                several.iter().map(Value::as_str).collect::<Option<Vec<_>>>().ok_or_else(refused)?
            }
            Some(_) => return Err(refused()),
        };
        if form.get("resource").is_some() {
            return target::resource(form, client).ok().filter(|resource| named.contains(resource)).ok_or_else(refused);
        }
        named.into_iter().find(|resource| client.has_resource(resource)).ok_or_else(refused)
    }
}

/// The maximum lifetime of an assertion, and twice the tolerated difference of clocks.
const LONGEST_VALIDITY: Duration = Duration::from_secs(12 * 60);
