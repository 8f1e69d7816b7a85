//! The scopes and the resource of a request.

use tower_warden::scope::Scopes;

use super::{error::OAuthError, form::Form};
use crate::{Client, client::is_resource};

/// The scopes that are granted: those that are requested and allowed, RFC 6749 §3.3; all that are allowed, if none are
/// requested.
pub(super) fn scopes(form: &Form, allowed: &Scopes) -> Result<Scopes, OAuthError> {
    let Some(requested) = form.get("scope") else { return Ok(allowed.clone()) };
    let requested = Scopes::parse(requested).map_err(|_| OAuthError::invalid_scope())?;
    let granted: Scopes = requested.iter().filter(|scope| allowed.contains(scope)).cloned().collect();
    if granted.is_empty() { Err(OAuthError::invalid_scope()) } else { Ok(granted) }
}

/// The resource that the token is for, RFC 8707 §2. A token has one audience: a resource server that receives it could use
/// it at every other.
pub(super) fn resource<'a>(form: &'a Form, client: &'a Client) -> Result<&'a str, OAuthError> {
    let mut requested = form.get_all("resource");
    match (requested.next(), requested.next()) {
        (None, _) => client.resources().next().ok_or(OAuthError::invalid_target()),
        (Some(resource), None) if is_resource(resource) && client.has_resource(resource) => Ok(resource),
        (Some(_), _) => Err(OAuthError::invalid_target()),
    }
}

/// The audience of an exchanged token, RFC 8693 §2.1: `audience` and `resource` name one of the same set. If an
/// audience has to be kept, it is the only one.
pub(super) fn audience<'a>(form: &'a Form, client: &'a Client, kept: Option<&'a str>) -> Result<&'a str, OAuthError> {
    let mut named = form.get_all("resource").chain(form.get_all("audience"));
    let audience = named.next().or(kept).or_else(|| client.resources().next()).ok_or(OAuthError::invalid_target())?;
    let is_allowed = client.has_resource(audience) && kept.is_none_or(|kept| kept == audience);
    if is_allowed && named.all(|other| other == audience) { Ok(audience) } else { Err(OAuthError::invalid_target()) }
}
