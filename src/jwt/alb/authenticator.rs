use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::{
    arn::check_load_balancers,
    keys::is_exhausted,
    scheme::{KIND, OidcData},
};
use crate::{
    Eventual,
    auth::{Authenticator, Presented},
    cache::{CredentialCache, Limits},
    caller::Identity,
    error::{ConfigError, Unavailable},
    json::{Json, Object},
    jwt::{
        Algorithm, Issuer, KeySource, TrustedIssuer, VerifyingKey,
        claims::Claims,
        fault::{Fault, OneOf},
        issuer::IssuerName,
        unverified::UnverifiedToken,
        verify::VerifiedToken,
    },
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    scheme::{Credential, Scheme},
    time::{Arrival, UnixTime},
    warnings::Warnings,
};

/// Verifies the JWT that an AWS Application Load Balancer sends in `x-amzn-oidc-data` after it has authenticated a user.
/// It has padded segments and no audience, and its key is fetched as PEM by its `kid`.
///
/// The order is that of [`Jwt`](super::super::Jwt). In the header of the token, `signer` must be one of the load
/// balancers: the keys of a region sign for the load balancers of all AWS accounts. `client` must be the client id, and `iss` the
/// issuer of the listener's action. `exp` is required, in the header or among the claims, and the earlier of
/// both applies. The algorithm is ES256. A segment without its padding, or with other padding, is refused.
///
/// Verified tokens are cached for five minutes. `Authorization` is ignored.
///
/// # Deployment caveat
///
/// The token is a bearer token: allow requests from the load balancer only. It also sends `x-amzn-oidc-accesstoken` and
/// `x-amzn-oidc-identity`, which are **not** credentials: the first is a token for the identity provider, not for this
/// service, and the second is not signed. Read the subject from the [`Principal`](crate::Principal).
///
/// # Examples
///
/// ```
/// use tower_warden::{jwt::{AwsAlb, AwsAlbKeys, Issuer}, layer::AuthLayer};
///
/// # if cfg!(feature = "aws-lc-rs") {
/// let load_balancer = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/web/50dc6c495c0c9188";
/// let rules = || Issuer::new("https://idp.example.com", "CLIENT-ID");
/// let layer = AuthLayer::new(AwsAlb::new([load_balancer], rules()?, AwsAlbKeys::new("eu-west-1")?)?);
///
/// assert!(AwsAlb::new(["web"], rules()?, AwsAlbKeys::new("eu-west-1")?).is_err(), "not the ARN of a load balancer");
/// # }
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct AwsAlb(Arc<Inner>);

struct Inner {
    cache: Arc<CredentialCache<VerifiedToken>>,
    clients: Vec<Box<str>>,
    /// The last key that was not available was one that a request waited for.
    last_failure_was_awaited: AtomicBool,
    signers: Vec<Box<str>>,
    trusted: TrustedIssuer,
    /// Those about tokens whose signature is verified.
    warnings: Warnings,
    /// Those about headers, which anybody can write.
    warnings_of_headers: Warnings,
}

impl AwsAlb {
    /// Accepts the tokens that these load balancers sign, named by their ARNs.
    ///
    /// The name of the issuer is that of the listener's action, and the audience the client id. The other rules apply
    /// to the claims, which are those of the provider's user info endpoint: [`tenant_claim`](Issuer::tenant_claim),
    /// [`require_claim`](Issuer::require_claim) and [`skew`](Issuer::skew), for example. Algorithms and kind are fixed.
    ///
    /// # Errors
    ///
    /// If there is no load balancer, if one is not the whole ARN of an Application Load Balancer, if the issuer accepts
    /// any audience, or if it is a template, a trust domain, or one of tokens without `iss`.
    pub fn new(
        load_balancers: impl IntoIterator<Item = impl Into<Box<str>>>,
        issuer: Issuer,
        keys: impl KeySource,
    ) -> Result<Self, ConfigError> {
        let signers: Vec<Box<str>> = load_balancers.into_iter().map(Into::into).collect();
        check_load_balancers(&signers)?;
        let (clients, rules) = issuer.for_load_balancer()?;
        Ok(Self(Arc::new(Inner {
            cache: CredentialCache::new("tokens", LIMITS),
            clients,
            last_failure_was_awaited: AtomicBool::new(false),
            signers,
            trusted: TrustedIssuer::new(rules, keys),
            warnings: Warnings::default(),
            warnings_of_headers: Warnings::default(),
        })))
    }
}

impl Authenticator for AwsAlb {
    fn schemes(&self) -> Vec<Arc<dyn Scheme>> {
        vec![Arc::new(OidcData)]
    }

    fn accepts(&self, credential: &Credential<'_>) -> bool {
        credential.kind() == KIND
    }

    fn authenticate(&self, presented: &Presented<'_>) -> Eventual<Result<Arc<Identity>, Rejection>> {
        if !self.accepts(&presented.credential) {
            return Eventual::Now(Err(invalid(Reason::CREDENTIAL_KIND)));
        }
        let (token, arrival) = (presented.credential.text(), presented.arrival());
        let digest = match presented.cached(&self.0.cache, || Ok(())) {
            Ok(Ok(verified)) => {
                #[cfg(feature = "audit")]
                if verified.names_keys {
                    crate::trail::note(presented.head.extensions, crate::trail::Notes::observe_key);
                }
                return Eventual::Now(Ok(verified.identity));
            }
            Ok(Err(reason)) => return Eventual::Now(Err(invalid(reason))),
            Err(digest) => digest,
        };
        #[cfg(feature = "audit")]
        crate::trail::note(presented.head.extensions, |notes| {
            if names_keys(token) {
                notes.observe_key();
            }
        });
        // Read before the verification begins: see `CredentialCache`.
        let generation = self.0.cache.generation();
        let finish = move |inner: &Inner, token: &str, found| {
            let verified = inner.verify_with(found, token, arrival.now)?;
            let identity = Arc::clone(&verified.identity);
            inner.cache.insert(digest, verified, generation, arrival);
            Ok(identity)
        };
        match self.0.find_key(token, arrival) {
            Err(fault) => Eventual::Now(Err(self.0.refuse_header(fault, arrival.now))),
            Ok(Eventual::Now(found)) => {
                let found = self.0.note(found, Waited::No);
                Eventual::Now(found.and_then(|key| finish(&self.0, token, key)))
            }
            Ok(Eventual::Later(found)) => {
                let (inner, token) = (Arc::clone(&self.0), token.to_owned());
                // Waits for the key.
                Eventual::later(async move { finish(&inner, &token, inner.note(found.await, Waited::Yes)?) })
            }
        }
    }

    #[cfg(feature = "audit")]
    fn observed_by(&self, observer: &Arc<dyn crate::notice::Observer>) {
        self.0.trusted.outage.observed_by(observer);
    }
}

type FoundKey = Result<Option<Arc<VerifyingKey>>, Unavailable>;

impl Inner {
    /// Finds the key of a token. One of another load balancer, client or issuer causes no fetch.
    fn find_key(&self, token: &str, arrival: Arrival) -> Result<Eventual<FoundKey>, Fault> {
        let token = UnverifiedToken::parse_padded(token)?;
        self.check_header(&token, &token.header_members()?)?;
        Ok(self.trusted.keys.find(&token.key_request(arrival)))
    }

    /// Notes whether the source of the keys responds. A key that is found at once may come from a cache: it ends no
    /// outage in which a request has waited.
    fn note(&self, found: FoundKey, waited: Waited) -> Result<Option<Arc<VerifyingKey>>, Rejection> {
        let has_waited = matches!(waited, Waited::Yes);
        match found {
            Ok(key) => {
                if has_waited || !self.last_failure_was_awaited.load(Ordering::Relaxed) {
                    self.last_failure_was_awaited.store(false, Ordering::Relaxed);
                    self.trusted.outage.end();
                }
                Ok(key)
            }
            // The source was not contacted.
            Err(error) if is_exhausted(&error) => {
                Err(Rejection::new(RejectionKind::Unavailable, Reason::KEYS_UNAVAILABLE))
            }
            Err(error) => {
                self.last_failure_was_awaited.store(has_waited, Ordering::Relaxed);
                Err(self.trusted.unavailable(&error))
            }
        }
    }

    fn verify_with(
        &self,
        key: Option<Arc<VerifyingKey>>,
        token: &str,
        now: UnixTime,
    ) -> Result<VerifiedToken, Rejection> {
        let key = key.ok_or_else(|| invalid(Reason::KEY_UNKNOWN))?;
        let identity = self.verify(token, &key, now).map_err(|fault| {
            fault.warn(&self.warnings, self.trusted.issuer.name(), now);
            fault.into_rejection()
        })?;
        Ok(VerifiedToken { names_keys: names_keys(token), ..VerifiedToken::new(identity, key) })
    }

    fn verify(&self, token: &str, key: &VerifyingKey, now: UnixTime) -> Result<Identity, Fault> {
        let rules = &self.trusted.issuer;
        let token = UnverifiedToken::parse_padded(token)?;
        let (members, claims) = (token.header_members()?, token.claims()?);
        let (client, issuer) = self.check_header(&token, &members)?;
        let mut identity = token.verify(rules, &claims, key, now)?;
        // Claims of the provider may name it as well.
        if claims.get("iss").is_some_and(|issuer| *issuer != Json::Null) {
            issuer_of(rules, &claims)?;
        }
        let ends = identity.expires_at.into_iter().chain(Claims::new(&members).time("exp")?);
        let expires_at = ends.min().ok_or(Reason::EXPIRY_MISSING)?;
        let refused = |reason| Fault::new(reason, format_args!("exp: {expires_at}, with the local clock at {now}"));
        if expires_at + rules.tolerance() <= now {
            return Err(refused(Reason::EXPIRED));
        }
        if now + rules.max_lifetime < expires_at {
            return Err(refused(Reason::LIFETIME));
        }
        identity.expires_at = Some(expires_at);
        identity.audience = Some(client.into());
        identity.client_id = Some(client.into());
        identity.issuer = Some(issuer.into());
        Ok(identity)
    }

    /// Checks that one of the load balancers signed the token, for one of the clients of the issuer. Returns client and
    /// issuer.
    fn check_header<'a>(
        &'a self,
        token: &UnverifiedToken<'_>,
        members: &'a Object<'_>,
    ) -> Result<(&'a str, &'a str), Fault> {
        if token.header.algorithm != Algorithm::ES256 {
            let explanation = format_args!("alg: expected ES256, received {}", token.header.algorithm);
            return Err(Fault::new(Reason::ALGORITHM_NOT_ALLOWED, explanation));
        }
        let one_of = |name, known: &[Box<str>], reason| {
            let received = Claims::new(members).text(name)?.filter(|text| known.iter().any(|known| **known == **text));
            received.ok_or_else(|| Fault::mismatch(reason, name, OneOf(known), members.get(name)))
        };
        one_of("signer", &self.signers, Reason::LOAD_BALANCER_MISMATCH)?;
        let client = one_of("client", &self.clients, Reason::AUDIENCE_MISMATCH)?;
        Ok((client, issuer_of(&self.trusted.issuer, members)?))
    }

    /// Refuses a token whose signature is not verified. A warning quotes nothing of it.
    fn refuse_header(&self, fault: Fault, now: UnixTime) -> Rejection {
        let unquoted = Fault::new(fault.reason, "by its header, which is not verified: the level debug shows it");
        unquoted.warn(&self.warnings_of_headers, self.trusted.issuer.name(), now);
        fault.into_rejection()
    }
}

/// A request has waited for its key.
#[derive(Clone, Copy, Debug)]
enum Waited {
    No,
    Yes,
}

/// Returns whether the header of a token names keys of its own, which are ignored.
fn names_keys(token: &str) -> bool {
    UnverifiedToken::parse_padded(token).is_ok_and(|token| token.header.names_keys)
}

/// The `iss` of a header or of claims, which must be that of the rules.
fn issuer_of<'a>(rules: &'a Issuer, members: &'a Object<'_>) -> Result<&'a str, Fault> {
    let name: &IssuerName = &rules.name;
    name.of_token(members).ok_or_else(|| match members.get("iss") {
        None => Reason::ISSUER_MISSING.into(),
        received => Fault::mismatch(Reason::ISSUER_UNKNOWN, "iss", OneOf(&[rules.name()]), received),
    })
}

fn invalid(reason: Reason) -> Rejection {
    Rejection::new(RejectionKind::Invalid, reason)
}

impl fmt::Debug for AwsAlb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsAlb")
            .field("issuer", &self.0.trusted.issuer)
            .field("signers", &self.0.signers)
            .finish_non_exhaustive()
    }
}

const LIMITS: Limits = Limits {
    positive_capacity: 10_000,
    positive_ttl: Duration::from_secs(300),
    negative_capacity: 0,
    negative_ttl: Duration::ZERO,
};
