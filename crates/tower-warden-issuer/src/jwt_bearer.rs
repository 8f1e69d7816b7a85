//! The settings of the grant of assertions.

use std::{fmt, sync::Arc, time::Duration};

use tower_warden::{
    ConfigError,
    jwt::{Issuer, Jwt, KeySource},
};

use crate::Subjects;

/// The settings of the grant of assertions ([RFC 7523 §2.1](https://www.rfc-editor.org/rfc/rfc7523#section-2.1)): a client
/// exchanges a JWT of another issuer, such as the identity of a workload or of an employee, for an access token about its
/// subject.
///
/// # Rules
///
/// 1. The client authenticates, and has the [grant](crate::GrantType::JwtBearer).
/// 2. The only audience of the assertion is the identifier of this issuer, never the token endpoint. It is valid for ten
///    minutes or less, and its `jti` is accepted once: the [guard](crate::TokenIssuerBuilder::replay_guard) records it after
///    all other checks.
/// 3. The scopes and the resource of the token are those that the client may have. If the assertion has a scope claim or
///    `resource`, they are also among those.
/// 4. `act` of the assertion is kept, and names no actor of this issuer; `may_act` names the client if present, and a
///    confirmation is proved by the request. An assertion with `authorization_details` ([RFC
///    9396](https://www.rfc-editor.org/rfc/rfc9396)) is refused: the token would not have these limits.
/// 5. An identity assertion (ID-JAG) names the client in `client_id`. The response states the granted `resource`, and the
///    metadata that such assertions are supported.
///
/// # Examples
///
/// ```
/// use tower_warden::jwt::{Algorithm, StaticKeys, VerifyingKey};
/// use tower_warden_issuer::{JwtBearer, MemoryClientStore, SigningKeys, Subjects, TokenIssuer};
///
/// # let keys_of = |name| StaticKeys::new([VerifyingKey::hmac(Algorithm::HS256, b"a secret of thirty-two bytes ...")?]);
/// // In production, `RemoteKeys` fetches the keys of each issuer.
/// let grants = JwtBearer::default()
///     .trust("https://workloads.example.com", keys_of("workloads")?, Subjects::prefixed("workload:"))?
///     .trust_identity_assertions("https://login.example.com", keys_of("login")?, Subjects::unchanged())?;
/// assert!(grants.clone().trust("https://login.example.com", keys_of("login")?, Subjects::unchanged()).is_err());
/// assert!(grants.clone().trust("", keys_of("login")?, Subjects::unchanged()).is_err());
///
/// let (clients, keys) = (MemoryClientStore::default(), SigningKeys::generate(Algorithm::ES256)?);
/// let issuer = TokenIssuer::builder("https://auth.example.com", clients, keys)?.jwt_bearer(grants).build()?;
/// assert!(issuer.metadata().contains("urn:ietf:params:oauth:grant-type:jwt-bearer"));
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct JwtBearer {
    trusted: Vec<Trusted>,
}

/// An issuer whose assertions are accepted.
#[derive(Clone)]
struct Trusted {
    keys: Arc<dyn KeySource>,
    kind: AssertionKind,
    name: Box<str>,
    subjects: Subjects,
}

/// The kind of an issuer's assertions.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum AssertionKind {
    /// `typ` is `JWT` or absent.
    Common,
    /// `typ` is `oauth-id-jag+jwt`.
    Identity,
}

impl JwtBearer {
    /// Accepts assertions of an issuer that are signed with these keys, and maps its subjects. The name is the `iss` of the
    /// assertions, any text: nothing is fetched from it.
    ///
    /// # Errors
    ///
    /// If the name is empty, or that of an issuer that is trusted already.
    pub fn trust(self, name: &str, keys: impl KeySource, subjects: Subjects) -> Result<Self, ConfigError> {
        self.add(name, Arc::new(keys), subjects, AssertionKind::Common)
    }

    /// Accepts identity assertions (ID-JAG,
    /// [draft](https://datatracker.ietf.org/doc/draft-ietf-oauth-identity-assertion-authz-grant/)) of an identity provider that
    /// are signed with these keys, and maps its subjects. Its other tokens are refused.
    ///
    /// # Errors
    ///
    /// See [`trust`](Self::trust).
    pub fn trust_identity_assertions(
        self,
        name: &str,
        keys: impl KeySource,
        subjects: Subjects,
    ) -> Result<Self, ConfigError> {
        self.add(name, Arc::new(keys), subjects, AssertionKind::Identity)
    }

    fn add(
        mut self,
        name: &str,
        keys: Arc<dyn KeySource>,
        subjects: Subjects,
        kind: AssertionKind,
    ) -> Result<Self, ConfigError> {
        // Checks the name. The audience is known when the issuer is built.
        Issuer::authorization_grant(name, "audience")?;
        if self.trusted.iter().any(|known| *known.name == *name) {
            return Err(ConfigError::custom("each issuer of assertions is trusted once").value(name));
        }
        self.trusted.push(Trusted { keys, kind, name: name.into(), subjects });
        Ok(self)
    }

    /// The verifiers of assertions for the issuer with this name.
    pub(crate) fn verify_for(self, own_name: &str) -> Result<AssertionGrants, ConfigError> {
        let verified = |trusted: Trusted| {
            let Trusted { keys, kind, name, subjects } = trusted;
            // The issuer would issue tokens for its own assertions, with scopes that they may not have had.
            if *name == *own_name {
                return Err(ConfigError::custom("an issuer does not accept its own assertions").value(name));
            }
            let rules = match kind {
                AssertionKind::Common => Issuer::authorization_grant(&name, own_name)?,
                AssertionKind::Identity => Issuer::identity_assertion(&name, own_name)?,
            };
            // They are used once, so they are not cached.
            let verifier = Jwt::builder(rules, keys).positive_ttl(Duration::ZERO).build()?;
            Ok(TrustedAssertions { kind, name, subjects, verifier })
        };
        self.trusted.into_iter().map(verified).collect::<Result<_, _>>().map(AssertionGrants)
    }
}

impl fmt::Debug for JwtBearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.trusted.iter().map(|trusted| &trusted.name).collect();
        f.debug_struct("JwtBearer").field("trusted", &names).finish_non_exhaustive()
    }
}

/// The issuers whose assertions are accepted.
pub(crate) struct AssertionGrants(Vec<TrustedAssertions>);

/// An issuer whose assertions are accepted, and what verifies them.
pub(crate) struct TrustedAssertions {
    pub(crate) kind: AssertionKind,
    name: Box<str>,
    pub(crate) subjects: Subjects,
    pub(crate) verifier: Jwt,
}

impl AssertionGrants {
    /// Returns whether identity assertions of an issuer are accepted.
    pub(crate) fn has_identity_assertions(&self) -> bool {
        self.0.iter().any(|trusted| trusted.kind == AssertionKind::Identity)
    }

    pub(crate) fn find(&self, name: &str) -> Option<&TrustedAssertions> {
        self.0.iter().find(|trusted| *trusted.name == *name)
    }
}
