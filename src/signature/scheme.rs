use std::borrow::Cow;

use http::{HeaderName, HeaderValue};

use super::input::{SIGNATURE, SIGNATURE_INPUT};
use crate::scheme::{ChallengeLine, ChallengeRequest, CredentialKind, Location, Scheme};

pub(super) const KIND: CredentialKind = CredentialKind::SIGNATURE;

/// The label in `Accept-Signature` of signatures that are credentials.
pub(super) const LABEL: &str = "sig1";

const NAME: &str = "Signature";

/// No scheme of credentials, so that it replaces none.
const PROOF_NAME: &str = "SignatureProof";

pub(super) const ACCEPT_SIGNATURE: HeaderName = HeaderName::from_static("accept-signature");

pub(super) static FIELDS: [HeaderName; 2] = [SIGNATURE, SIGNATURE_INPUT];

/// The signature of a request in `Signature` and `Signature-Input`.
///
/// RFC 9421 defines no authentication scheme, but RFC 9110 §15.5.2 requires a challenge. Clients that read
/// `Accept-Signature` need not understand it.
#[derive(Debug)]
pub(super) struct SignatureScheme {
    accept_signature: Vec<HeaderValue>,
    role: Role,
}

/// The role of a signature.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Role {
    Credential,
    /// A proof of another credential: it is located nowhere.
    Proof,
}

impl SignatureScheme {
    pub(super) fn new(accept_signature: HeaderValue) -> Self {
        Self { accept_signature: vec![accept_signature], role: Role::Credential }
    }

    pub(super) const fn of_proof(accept_signature: Vec<HeaderValue>) -> Self {
        Self { accept_signature, role: Role::Proof }
    }
}

impl Scheme for SignatureScheme {
    fn name(&self) -> &str {
        match self.role {
            Role::Credential => NAME,
            Role::Proof => PROOF_NAME,
        }
    }

    fn kind(&self) -> CredentialKind {
        KIND
    }

    fn locations(&self) -> Vec<Location> {
        match self.role {
            Role::Credential => vec![Location::Fields(Cow::Borrowed(&FIELDS))],
            Role::Proof => Vec::new(),
        }
    }

    fn challenge(&self, request: &ChallengeRequest<'_>) -> Option<ChallengeLine> {
        if self.role == Role::Proof {
            return None;
        }
        let line = ChallengeLine::new(NAME).parameter("realm", request.realm);
        Some(line.error(request.error.as_ref()))
    }

    fn challenge_order(&self) -> u16 {
        75
    }

    fn challenge_fields(&self) -> Vec<(HeaderName, HeaderValue)> {
        self.accept_signature.iter().map(|value| (ACCEPT_SIGNATURE, value.clone())).collect()
    }
}
