//! Secrets of registered clients.

use tower_warden::{UnixTime, api_key::KeyDigest};

use super::credential::Proof;
use crate::{Client, ClientAuthentication, issuer::Inner};

impl Inner {
    /// Returns whether a secret is one that the client has for this method of authentication.
    pub(super) fn accepts_secret(&self, client: Option<&Client>, proof: &Proof, secret: &str, now: UnixTime) -> bool {
        let mut digests: Vec<_> = self.peppers.iter().map(|pepper| pepper.digest(secret)).collect();
        if digests.is_empty() {
            digests.push(KeyDigest::sha256(secret));
        }
        let methods = client.map_or(&[][..], Client::methods).iter();
        let mut secrets = methods
            .filter_map(|method| match (method, proof) {
                (ClientAuthentication::AgentSecret(secrets), Proof::Agent(_))
                | (ClientAuthentication::SecretBasic(secrets), Proof::SecretBasic(_))
                | (ClientAuthentication::SecretPost(secrets), Proof::SecretPost(_)) => Some(secrets),
                _ => None,
            })
            .peekable();
        if secrets.peek().is_none() {
            // The same work as for a client that is known.
            std::hint::black_box(self.decoy.secrets.accept(&digests, now));
            return false;
        }
        secrets.any(|secrets| secrets.accept(&digests, now))
    }
}
