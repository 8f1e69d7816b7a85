use std::{collections::HashMap, fmt, sync::Arc};

use super::{
    agent_url,
    keys::{KnownKey, SignatureKeyRequest, SignatureKeys},
    policy::refused,
};
use crate::{
    Environment, Eventual,
    caller::Identity,
    error::{ConfigError, Unavailable},
    fetch::Fetch,
    jwt::{Algorithm, KeyRequest, KeySource as _, RemoteKeys},
};

/// The thumbprints of the test keys of RFC 9421 appendix B.1, whose private keys everybody has: `test-key-rsa`,
/// `test-key-rsa-pss`, `test-key-ecc-p256` and `test-key-ed25519`.
const TEST_KEYS: [&str; 4] = [
    "BHj8s0GPnMEQtkaULIM-PLgEhLBbuGUQ1vMxmBWZzEo",
    "oD0HwocPBSfpNy5W3bpJeyFGY_IQ_YpqxSjQ3Yd-CLA",
    "ydQXMtvbsOsZyFir-Y7A8t7fKEM1gbKPvyFkdpu4fvI",
    "poqkLGiymh_W0uP6PZFw-dvez3QJT5SolqXBCW38r0U",
];

/// The keys of agents, from the directories that they publish
/// ([Web Bot Auth](https://datatracker.ietf.org/doc/draft-ietf-webbotauth-httpsig-protocol/)).
///
/// A signature names a directory by the field `Signature-Agent`, and a key by its thumbprint. Directories that are not
/// declared are not fetched, and a key counts only in its own directory. They are fetched as [`RemoteKeys`] are: over `https`
/// without redirects, within limits of time, size and number of keys; a key that leaves its directory is refused at once, and
/// a directory that does not respond keeps its keys. A key is used between its `nbf` and its `exp`, if it has them, in seconds or
/// milliseconds, with the [skew](super::SignaturePolicy::skew) of the policy. A key that a directory lists twice with different
/// times is ambiguous, and is not used. The test keys of RFC 9421 are refused.
///
/// A request is refused if one of its signatures for agents is by a key that is not known, also next to a valid one: once the
/// directory has that key, the request could be sent again.
///
/// # Examples
///
/// ```
/// use tower_warden::{
///     AuthMethod, Identity,
///     signature::{SignatureAgents, SignaturePolicy, Signatures},
/// };
///
/// # if cfg!(feature = "aws-lc-rs") {
/// let agents = SignatureAgents::builder()
///     .agent("https://crawler.example/jwks.json", Identity::new("crawler", AuthMethod::Signature))
///     .build()?;
/// let signatures = Signatures::new(SignaturePolicy::web_bot_auth("https://www.example.com")?, agents);
///
/// let plain = Identity::new("crawler", AuthMethod::Signature);
/// assert!(SignatureAgents::builder().agent("http://crawler.example/jwks.json", plain).build().is_err());
/// # }
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct SignatureAgents(Arc<HashMap<Box<str>, Agent>>);

struct Agent {
    identity: Arc<Identity>,
    keys: RemoteKeys,
}

/// Configures [`SignatureAgents`].
#[derive(Default)]
#[must_use]
pub struct SignatureAgentsBuilder {
    agents: Vec<(Box<str>, Identity)>,
    environment: Environment,
    fetch: Option<Arc<dyn Fetch>>,
}

impl SignatureAgents {
    /// Returns a builder without agents.
    pub fn builder() -> SignatureAgentsBuilder {
        SignatureAgentsBuilder::default()
    }
}

impl SignatureAgentsBuilder {
    /// Declares an agent: the URL of its directory, or the origin, whose directory is at
    /// `/.well-known/http-message-signatures-directory`, and who it is.
    pub fn agent(mut self, directory: &str, identity: Identity) -> Self {
        self.agents.push((directory.into(), identity));
        self
    }

    /// Uses the clock of this environment instead of the system clock. Pass the same environment to the layer.
    pub fn environment(mut self, environment: &Environment) -> Self {
        self.environment = environment.clone();
        self
    }

    /// Sets the client that fetches directories: an [`HttpClient`](crate::fetch::HttpClient) for public addresses by default.
    pub fn fetch(mut self, fetch: impl Fetch) -> Self {
        self.fetch = Some(Arc::new(fetch));
        self
    }

    /// Builds the source, which starts to fetch the directories immediately, or when it is first used within a tokio runtime.
    ///
    /// # Errors
    ///
    /// If the URL of a directory is not an `https` URL whose path has only letters, digits and `-._~/` (`http` is accepted for
    /// a loopback host), if two agents have the same one, or if the default client cannot be created: see
    /// [`HttpClient::new`](crate::fetch::HttpClient::new).
    pub fn build(self) -> Result<SignatureAgents, ConfigError> {
        let mut agents = HashMap::with_capacity(self.agents.len());
        for (directory, identity) in self.agents {
            let url = agent_url::normalised(&directory).ok_or_else(|| {
                refused("a directory has an https URL with a plain path").value(crate::url::redacted(&directory))
            })?;
            let builder = RemoteKeys::builder(&url).environment(&self.environment);
            let builder = builder.rsa_algorithm(Algorithm::PS512).named_by_thumbprint();
            let keys = match &self.fetch {
                Some(fetch) => builder.fetch(Arc::clone(fetch)),
                None => builder,
            };
            let agent = Agent { identity: Arc::new(identity), keys: keys.build()? };
            if agents.insert(url, agent).is_some() {
                return Err(refused("two agents have the same directory").value(crate::url::redacted(&directory)));
            }
        }
        Ok(SignatureAgents(Arc::new(agents)))
    }
}

impl SignatureKeys for SignatureAgents {
    fn find(&self, request: &SignatureKeyRequest<'_>) -> Eventual<Result<Option<KnownKey>, Unavailable>> {
        let agent = request.agent.and_then(|agent| self.0.get(agent));
        let Some(Agent { identity, keys }) = agent.filter(|_| !TEST_KEYS.contains(&request.key_id)) else {
            return Eventual::Now(Ok(None));
        };
        let identity = Arc::clone(identity);
        // A key is found by its name, whatever its algorithm is.
        let wanted = KeyRequest::new(Some(request.key_id), Algorithm::EdDSA, request.now);
        keys.find(&wanted).map(move |found| Ok(found?.map(|key| KnownKey::new(key, identity))))
    }
}

impl fmt::Debug for SignatureAgents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut urls: Vec<_> = self.0.keys().collect();
        urls.sort();
        f.debug_tuple("SignatureAgents").field(&urls).finish()
    }
}

impl fmt::Debug for SignatureAgentsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let urls: Vec<_> = self.agents.iter().map(|(url, _)| url).collect();
        f.debug_struct("SignatureAgentsBuilder").field("agents", &urls).finish_non_exhaustive()
    }
}
