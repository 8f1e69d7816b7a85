//! What a request proves besides its credential.

use http::Extensions;

#[cfg(feature = "certificate")]
use crate::certificate::PeerCertificate;
use crate::{
    caller::{Confirmation, KeyDemand, KeyProof, KeyProver, Proof},
    digest::Digest,
    refusal::{Rejection, RejectionKind},
    request::Head,
    scheme::Credential,
    time::UnixTime,
};

/// What a request proves, taken from its head before the verdict about the credential is there.
pub(super) struct Evidence {
    certificate: Option<Digest>,
    /// Where the token came under the scheme `DPoP`.
    key: Option<Box<dyn KeyDemand>>,
}

/// Under which scheme a credential came.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scheme {
    Dpop,
    Other,
}

impl Scheme {
    pub(super) const fn of(credential: &Credential<'_>) -> Self {
        match credential {
            Credential::Dpop(_) => Self::Dpop,
            Credential::ApiKey(_) | Credential::Bearer(_) | Credential::Certificate => Self::Other,
        }
    }
}

impl Evidence {
    pub(super) fn of(head: &Head<'_>, credential: &Credential<'_>, prover: Option<&dyn KeyProver>) -> Self {
        let key = match (credential, prover) {
            (Credential::Dpop(token), Some(prover)) => Some(prover.demand(head, token)),
            _ => None,
        };
        Self { certificate: thumbprint(head.extensions), key }
    }

    pub(super) const fn scheme(&self) -> Scheme {
        match self.key {
            Some(_) => Scheme::Dpop,
            None => Scheme::Other,
        }
    }

    /// Verifies what there is to be verified, and compares it with what the credential is bound to.
    pub(super) fn confirm(
        &self,
        confirmation: Option<&Confirmation>,
        now: UnixTime,
    ) -> Result<Option<KeyProof>, Rejection> {
        let unconfirmed = |reason| Rejection::new(RejectionKind::Invalid, reason);
        let mut proof = Proof { certificate: self.certificate, key: None };
        let proved = match &self.key {
            // RFC 9449 §7.1: what is bound to no key has no place under the scheme.
            Some(_) if confirmation.and_then(Confirmation::key_thumbprint).is_none() => {
                return Err(unconfirmed("key_not_bound"));
            }
            Some(demand) => Some(demand.verify(now)?),
            None => None,
        };
        proof.key = proved.as_ref().map(|proved| proved.key);
        if let Some(confirmation) = confirmation {
            // RFC 8705 §3, RFC 9449 §7.2: what a credential is bound to is proved, or the credential is refused.
            confirmation.check(&proof).map_err(unconfirmed)?;
        }
        Ok(proved)
    }
}

/// Of the certificate by which the other end of the connection has proved to hold a key.
#[cfg(feature = "certificate")]
pub(super) fn thumbprint(extensions: &Extensions) -> Option<Digest> {
    PeerCertificate::of(extensions).map(|certificate| *certificate.thumbprint())
}

#[cfg(not(feature = "certificate"))]
pub(super) const fn thumbprint(_: &Extensions) -> Option<Digest> {
    None
}
