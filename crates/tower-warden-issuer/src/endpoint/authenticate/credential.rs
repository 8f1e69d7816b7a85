//! The credential of a client, as its request has it.

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, header, request::Parts};
use serde::Deserialize;
use tower_warden::certificate::PeerCertificate;
use zeroize::Zeroizing;

use crate::{
    endpoint::{
        OAuthError,
        form::{Form, decode},
        presented::unverified,
    },
    issuer::Inner,
};

/// The credential of a client, which is not verified yet.
pub(super) struct ClientCredential {
    pub(super) client_id: String,
    pub(super) proof: Proof,
}

pub(super) enum Proof {
    /// A secret in JSON.
    Agent(Zeroizing<String>),
    Assertion(Zeroizing<String>),
    /// The certificate of the connection.
    Certificate(PeerCertificate),
    SecretBasic(Zeroizing<String>),
    SecretPost(Zeroizing<String>),
}

impl ClientCredential {
    pub(super) fn read(issuer: &Inner, head: &Parts, form: &Form) -> Result<Self, OAuthError> {
        let basic = basic(&head.headers)?;
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
            // RFC 8705 §2: the id in the form distinguishes it from a request without authentication.
            (None, None, None) => {
                let certificate = PeerCertificate::of(&head.extensions).filter(|_| issuer.has_mutual_tls);
                (form_id.clone(), Proof::Certificate(certificate.ok_or(OAuthError::invalid_client())?.clone()))
            }
        };
        let client_id = id.ok_or(OAuthError::invalid_client())?;
        // RFC 7521 §4.2: the id in the form identifies the same client.
        if form_id.is_some_and(|form_id| form_id != client_id) {
            return Err(OAuthError::invalid_request("The request names two clients."));
        }
        Ok(Self { client_id, proof })
    }

    /// The secret, if the method of authentication is one with a secret.
    pub(super) fn secret(&self) -> Option<&str> {
        match &self.proof {
            Proof::Assertion(_) | Proof::Certificate(_) => None,
            Proof::Agent(secret) | Proof::SecretBasic(secret) | Proof::SecretPost(secret) => Some(secret),
        }
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

/// RFC 7523 §2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
