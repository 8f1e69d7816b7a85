//! The key (DPoP, RFC 9449) or certificate (RFC 8705) that tokens are bound to.

use std::time::Duration;

use http::{HeaderName, HeaderValue, request::Parts};
use tower_warden::{
    Digest, Head, Rejection, RejectionKind, UnixTime,
    auth::{PresentedProof, ProofOfPossession, VerifiedProof},
    caller::{Confirmation, ConfirmationMethod},
    certificate::PeerCertificate,
};

use super::error::OAuthError;
use crate::{Client, TokenBinding, issuer::Inner};

/// Header fields that are added to the response, such as the nonce for the next proof.
pub(super) type ResponseFields = Vec<(HeaderName, HeaderValue)>;

/// The key and the certificate that the sender has proved to possess. The proof is not recorded as used yet.
pub(super) struct Possession {
    certificate: Option<Digest>,
    proof: Option<VerifiedProof>,
}

impl Possession {
    /// Verifies what the sender proves. A proof is verified whether the client needs one or not: a token is never less bound
    /// than the client asks for.
    pub(super) fn verify(
        issuer: &Inner,
        head: &Parts,
        client: &Client,
        now: UnixTime,
        fields: &mut ResponseFields,
    ) -> Result<Self, OAuthError> {
        let proof = match issuer.dpop.read_token_request(&Head::from(head)) {
            PresentedProof::Absent => None,
            PresentedProof::Unverified(proof) => {
                Some(proof.verify(now).map_err(|rejection| refused(&rejection, fields))?)
            }
            _ => return Err(OAuthError::invalid_dpop_proof()),
        };
        if proof.is_none() && client.binding() == Some(TokenBinding::Key) {
            return Err(OAuthError::invalid_dpop_proof());
        }
        let certificate = match client.binding() {
            Some(TokenBinding::Certificate) => Some(certificate(issuer, head, now)?),
            Some(TokenBinding::Key) | None => None,
        };
        Ok(Self { certificate, proof })
    }

    /// Records the proof as used, and returns what the token is bound to.
    pub(super) async fn use_once(
        self,
        issuer: &Inner,
        now: UnixTime,
        fields: &mut ResponseFields,
    ) -> Result<Option<Confirmation>, OAuthError> {
        let key = self.proof.as_ref().map(|proof| proof.thumbprint);
        if let Some(proof) = self.proof {
            let used = issuer.dpop.mark_used(&proof, now).wait().await;
            used.map_err(|rejection| refused(&rejection, fields))?;
            fields.extend(proof.response_fields);
        }
        let members = [(ConfirmationMethod::KEY, key), (ConfirmationMethod::CERTIFICATE, self.certificate)];
        let texts: Vec<_> = members
            .iter()
            .filter_map(|(method, thumbprint)| Some((method.as_str(), thumbprint.as_ref()?.to_base64url())))
            .collect();
        if texts.is_empty() {
            return Ok(None);
        }
        let parsed = Confirmation::parse(texts.iter().map(|(name, text)| (*name, Some(&**text))), &[]);
        // They were thumbprints before.
        parsed.map(Some).map_err(|_| OAuthError::invalid_dpop_proof())
    }
}

/// Returns whether all that a token is bound to was proved.
pub(super) fn is_proved(bound: &Confirmation, proved: Option<&Confirmation>) -> bool {
    bound.iter().all(|needed| proved.and_then(|proved| proved.thumbprint(&needed.method)) == Some(&needed.thumbprint))
}

fn refused(rejection: &Rejection, fields: &mut ResponseFields) -> OAuthError {
    fields.extend_from_slice(rejection.response_fields());
    let wait = rejection.wait().unwrap_or(Duration::from_secs(1));
    match rejection.kind() {
        RejectionKind::NonceRequired => OAuthError::use_dpop_nonce(),
        RejectionKind::Throttled => OAuthError::throttled(wait),
        RejectionKind::Unavailable => OAuthError::unavailable(wait),
        _ => OAuthError::invalid_dpop_proof(),
    }
}

/// RFC 8705 §3: the certificate of the connection. Its chain need not be verified, because the token is bound to this one.
fn certificate(issuer: &Inner, head: &Parts, now: UnixTime) -> Result<Digest, OAuthError> {
    let missing = OAuthError::invalid_request("The client needs a valid certificate, and the connection has none.");
    let certificate = PeerCertificate::of(&head.extensions).filter(|_| issuer.has_mutual_tls).ok_or(missing)?;
    let is_early = certificate.not_before().is_some_and(|begin| now < begin);
    let is_late = certificate.not_after().is_some_and(|end| end < now);
    if is_early || is_late { Err(missing) } else { Ok(*certificate.thumbprint()) }
}

/// The `token_type` of a token with this confirmation: RFC 9449 §5, RFC 8705 §3.
pub(super) fn token_type(confirmation: Option<&Confirmation>) -> &'static str {
    match confirmation.and_then(|confirmation| confirmation.thumbprint(&ConfirmationMethod::KEY)) {
        Some(_) => "DPoP",
        None => "Bearer",
    }
}
