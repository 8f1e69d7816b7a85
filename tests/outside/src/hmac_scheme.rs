//! Requests signed with a shared secret: `X-Timestamp` and `X-Signature`.

use std::{collections::HashMap, sync::Arc};

use hmac::{Hmac, KeyInit, Mac};
use http::HeaderName;
use sha2::Sha256;
use tower_warden::{
    AuthMethod, Authenticator, Eventual, Head, Identity, Presented, Reason, Rejection, RejectionKind, UnixTime,
    scheme::{ChallengeLine, ChallengeRequest, Credential, CredentialKind, Location, Scheme},
};

pub const TIMESTAMP: HeaderName = HeaderName::from_static("x-timestamp");
const CLIENT: HeaderName = HeaderName::from_static("x-client");
const KIND: CredentialKind = CredentialKind::Custom("hmac");

/// How far the clocks of client and server may differ, in seconds.
const SKEW: u64 = 300;

const CLIENT_UNKNOWN: Reason = Reason::custom("hmac_client_unknown");
const SIGNATURE: Reason = Reason::custom("hmac_signature");
const TIMESTAMP_INVALID: Reason = Reason::custom("hmac_timestamp");

/// The scheme: 64 hexadecimal digits in `X-Signature`.
#[derive(Debug)]
pub struct HmacScheme;

impl Scheme for HmacScheme {
    fn name(&self) -> &str {
        "HMAC-SHA256"
    }

    fn kind(&self) -> CredentialKind {
        KIND
    }

    fn locations(&self) -> Vec<Location> {
        vec![Location::header("x-signature")]
    }

    fn is_well_formed(&self, text: &str, _: &Location) -> bool {
        text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    }

    fn sensitive_fields(&self) -> Vec<HeaderName> {
        vec![TIMESTAMP]
    }

    fn challenge(&self, request: &ChallengeRequest<'_>) -> Option<ChallengeLine> {
        let line = ChallengeLine::new(self.name()).parameter("realm", request.realm);
        Some(line.parameter("fields", "x-client x-timestamp x-signature").error(request.error.as_ref()))
    }
}

/// Verifies signatures of clients whose secrets it has.
pub struct HmacClients(HashMap<String, Vec<u8>>);

impl HmacClients {
    pub fn new(clients: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        Self(clients.into_iter().collect())
    }

    fn verify(&self, presented: &Presented<'_>) -> Result<Identity, Reason> {
        let field = |name: &HeaderName| presented.head.headers.get(name).and_then(|value| value.to_str().ok());
        let client = field(&CLIENT).ok_or(CLIENT_UNKNOWN)?;
        let secret = self.0.get(client).ok_or(CLIENT_UNKNOWN)?;
        let timestamp: u64 = field(&TIMESTAMP).and_then(|text| text.parse().ok()).ok_or(TIMESTAMP_INVALID)?;
        if presented.now.as_secs().abs_diff(timestamp) > SKEW {
            return Err(TIMESTAMP_INVALID);
        }
        let signature = from_hex(presented.credential.text()).ok_or(SIGNATURE)?;
        let mac = mac(secret, client, timestamp, &presented.head);
        // In constant time.
        mac.verify_slice(&signature).map_err(|_| SIGNATURE)?;
        let mut identity = Identity::new(client, AuthMethod::Custom("hmac"));
        identity.expires_at = Some(UnixTime::from_secs(timestamp + SKEW + 1));
        Ok(identity)
    }
}

impl Authenticator for HmacClients {
    fn schemes(&self) -> Vec<Arc<dyn Scheme>> {
        vec![Arc::new(HmacScheme)]
    }

    fn accepts(&self, credential: &Credential<'_>) -> bool {
        credential.kind() == KIND
    }

    fn authenticate(&self, presented: &Presented<'_>) -> Eventual<Result<Arc<Identity>, Rejection>> {
        let verified = self.verify(presented);
        Eventual::Now(verified.map(Arc::new).map_err(|reason| Rejection::new(RejectionKind::Invalid, reason)))
    }
}

/// The signature of a request, for clients.
pub fn sign(secret: &[u8], client: &str, timestamp: u64, head: &Head<'_>) -> String {
    let bytes = mac(secret, client, timestamp, head).finalize().into_bytes();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn mac(secret: &[u8], client: &str, timestamp: u64, head: &Head<'_>) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
    mac.update(format!("{client}\n{timestamp}\n{}\n{}", head.method, head.uri.path()).as_bytes());
    mac
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |index: usize| text.as_bytes().get(index).and_then(|byte| char::from(*byte).to_digit(16));
    (0..text.len() / 2).map(|index| u8::try_from(digit(index * 2)? * 16 + digit(index * 2 + 1)?).ok()).collect()
}
