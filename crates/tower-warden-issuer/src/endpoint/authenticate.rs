//! The authentication of clients.

use std::{sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, Request, header};
use serde::Deserialize;
use tower_warden::{
    Authenticator, Credential, Digest, Head, Presented, RejectionKind, UnixTime,
    api_key::KeyDigest,
    jwt::{Issuer, Jwt, KeySource},
    replay::{ReplayVerdict, UsedProof},
};
use zeroize::Zeroizing;

use super::{
    error::OAuthError,
    form::{Form, decode},
    presented::unverified,
};
use crate::{Client, ClientAuthentication, issuer::Inner};

/// The credential of a client.
struct ClientCredential {
    client_id: String,
    proof: Proof,
}

enum Proof {
    Assertion(Zeroizing<String>),
    SecretBasic(Zeroizing<String>),
    SecretPost(Zeroizing<String>),
}

/// Authenticates the client of a request.
pub(super) async fn authenticate(
    issuer: &Inner,
    headers: &HeaderMap,
    form: &Form,
    now: UnixTime,
) -> Result<Arc<Client>, OAuthError> {
    let credential = ClientCredential::read(headers, form)?;
    let client = issuer.clients.find(&credential.client_id).wait().await?;
    let is_valid = match &credential.proof {
        Proof::Assertion(assertion) => {
            accepts_assertion(issuer, client.as_deref(), &credential.client_id, assertion, now).await?
        }
        Proof::SecretBasic(secret) | Proof::SecretPost(secret) => {
            accepts_secret(issuer, client.as_deref(), &credential.proof, secret, now)
        }
    };
    client.filter(|_| is_valid).ok_or(OAuthError::invalid_client())
}

impl ClientCredential {
    fn read(headers: &HeaderMap, form: &Form) -> Result<Self, OAuthError> {
        let basic = basic(headers)?;
        let secret = form.get("client_secret");
        let assertion = form.get("client_assertion");
        // RFC 6749 §2.3: one method for each request.
        if usize::from(basic.is_some()) + usize::from(secret.is_some()) + usize::from(assertion.is_some()) > 1 {
            return Err(OAuthError::invalid_request("The client uses more than one method of authentication."));
        }
        let own = |text: &str| Zeroizing::new(text.to_owned());
        let form_id = form.get("client_id").map(str::to_owned);
        let (id, proof) = match (basic, secret, assertion) {
            (Some((id, secret)), ..) => (Some(id), Proof::SecretBasic(secret)),
            (None, Some(secret), _) => (form_id.clone(), Proof::SecretPost(own(secret))),
            (None, None, Some(assertion)) => {
                // RFC 7521 §4.2.
                if form.get("client_assertion_type") != Some(ASSERTION_TYPE) {
                    return Err(OAuthError::invalid_client());
                }
                (unverified_subject(assertion), Proof::Assertion(own(assertion)))
            }
            (None, None, None) => return Err(OAuthError::invalid_client()),
        };
        let client_id = id.ok_or(OAuthError::invalid_client())?;
        // RFC 7521 §4.2: the id in the form identifies the same client.
        if form_id.is_some_and(|form_id| form_id != client_id) {
            return Err(OAuthError::invalid_request("The request names two clients."));
        }
        Ok(Self { client_id, proof })
    }
}

/// The id and the secret in the field `Authorization`, RFC 6749 §2.3.1: each is form-encoded.
fn basic(headers: &HeaderMap) -> Result<Option<(String, Zeroizing<String>)>, OAuthError> {
    let mut lines = headers.get_all(header::AUTHORIZATION).iter();
    let Some(line) = lines.next() else { return Ok(None) };
    if lines.next().is_some() {
        return Err(OAuthError::invalid_request("The field Authorization is repeated."));
    }
    let read = || {
        let (scheme, credentials) = line.to_str().ok()?.split_once(' ')?;
        let encoded = Some(credentials.trim_start_matches(' ')).filter(|_| scheme.eq_ignore_ascii_case("Basic"))?;
        let pair = Zeroizing::new(BASE64_STANDARD.decode(encoded).ok()?);
        let colon = pair.iter().position(|byte| *byte == b':')?;
        Some((decode(&pair[..colon])?.to_string(), decode(&pair[colon + 1..])?))
    };
    // An invalid credential is never treated as absent.
    read().map(Some).ok_or(OAuthError::invalid_client())
}

/// The client that an assertion names: used to find the keys, with which it is verified.
fn unverified_subject(assertion: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Claims {
        sub: String,
    }
    unverified(assertion).map(|claims: Claims| claims.sub)
}

fn accepts_secret(issuer: &Inner, client: Option<&Client>, proof: &Proof, secret: &str, now: UnixTime) -> bool {
    let mut digests: Vec<_> = issuer.peppers.iter().map(|pepper| pepper.digest(secret)).collect();
    if digests.is_empty() {
        digests.push(KeyDigest::sha256(secret));
    }
    let methods = client.map_or(&[][..], Client::methods).iter();
    let mut secrets = methods
        .filter_map(|method| match (method, proof) {
            (ClientAuthentication::SecretBasic(secrets), Proof::SecretBasic(_))
            | (ClientAuthentication::SecretPost(secrets), Proof::SecretPost(_)) => Some(secrets),
            _ => None,
        })
        .peekable();
    if secrets.peek().is_none() {
        // The same work as for a client that is known.
        std::hint::black_box(issuer.decoy.secrets.accept(&digests, now));
        return false;
    }
    secrets.any(|secrets| secrets.accept(&digests, now))
}

/// Verifies an assertion by the rules of RFC 7523 §3, and records that it was used.
async fn accepts_assertion(
    issuer: &Inner,
    client: Option<&Client>,
    client_id: &str,
    assertion: &str,
    now: UnixTime,
) -> Result<bool, OAuthError> {
    let own_keys = client.map_or(&[][..], Client::methods).iter().find_map(|method| match method {
        ClientAuthentication::PrivateKeyJwt(keys) => Some(keys),
        ClientAuthentication::SecretBasic(_) | ClientAuthentication::SecretPost(_) => None,
    });
    let keys: Arc<dyn KeySource> = Arc::clone(own_keys.unwrap_or(&issuer.decoy.keys));
    let Ok(rules) = Issuer::client_assertion(client_id, &issuer.name) else { return Ok(false) };
    // It is used once, so it is not cached.
    let jwt = Jwt::builder(rules, keys).positive_ttl(Duration::ZERO).max_token_bytes(MAX_ASSERTION_BYTES);
    let Ok(jwt) = jwt.build() else { return Ok(false) };
    let verified = {
        let request = Request::new(());
        jwt.authenticate(&Presented::new(Credential::access_token(assertion), Head::from(&request), now))
    };
    let identity = match verified.wait().await {
        Ok(identity) if own_keys.is_some() => identity,
        Err(rejection) if rejection.kind() == RejectionKind::Unavailable => {
            tracing::warn!(%rejection, client = client_id, "the keys of a client are unavailable");
            return Err(OAuthError::unavailable(Duration::from_secs(1)));
        }
        _ => return Ok(false),
    };
    let (Some(id), Some(expires_at)) = (&identity.token_id, identity.expires_at) else { return Ok(false) };
    let (key, id) = (Digest::of(client_id.as_bytes()), Digest::of(id.as_bytes()));
    let used = UsedProof::new(key, id, expires_at + identity.skew, now).with_window(LONGEST_VALIDITY);
    let (verdict, wait) = issuer.guard.record_or_wait(&used).wait().await?;
    match verdict {
        ReplayVerdict::New => Ok(true),
        ReplayVerdict::Full | ReplayVerdict::KeyFull => Err(OAuthError::unavailable(wait)),
        _ => Ok(false),
    }
}

/// RFC 7523 §2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

const MAX_ASSERTION_BYTES: usize = 8 * 1024;

/// The maximum lifetime of an assertion, and twice the tolerated difference of clocks.
const LONGEST_VALIDITY: Duration = Duration::from_secs(12 * 60);
