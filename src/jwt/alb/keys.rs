use std::{error::Error, fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri};
use tokio::runtime::Handle;

use super::{
    budget::{Budget, MAX_SIGNED},
    builder::AwsAlbKeysBuilder,
};
use crate::{
    Eventual,
    cache::{CredentialCache, Failure, Limits, Outcome, Tagged},
    digest::Digest,
    error::{ConfigError, ConfigErrorKind, Unavailable},
    fetch::{self, Fetch},
    jwt::{Algorithm, KeyRequest, KeySource, VerifyingKey, source::OwnedKeyRequest},
    log::{self, Causes},
    reason::Reason,
    time::{Arrival, UnixTime},
    warnings::Warnings,
};

/// The public keys of the Application Load Balancers of one AWS region, each fetched by its `kid` as PEM when it is
/// first needed.
///
/// **Limits.** Nothing is fetched for a `kid` that is not a UUID: the token is refused. A key has at most 4 KiB, and is
/// fetched over `https`, without redirects, within 5 seconds. At most 10 keys are fetched at once and then one in 6
/// seconds, whatever `kid`s clients make up; concurrent requests that need one key share a fetch. 100 keys are cached
/// and used for a day, and 1000 unknown `kid`s are cached for a minute.
///
/// **Renewal.** A key that is used after a day is fetched again, while requests go on with the old one, for one more
/// day at most. Each key that has signed a token can be fetched once a minute, whatever else is requested.
///
/// **Failures.** 404 means that there is no such key: one that was cached is [retired](VerifyingKey::retire). After
/// any other failure, tokens that need a key which is not cached are refused with 503.
///
/// # Examples
///
/// ```
/// use tower_warden::jwt::AwsAlbKeys;
///
/// # if cfg!(feature = "aws-lc-rs") {
/// let keys = AwsAlbKeys::new("eu-west-1")?;
/// let gov_cloud = "https://s3-us-gov-west-1.amazonaws.com/aws-elb-public-keys-prod-us-gov-west-1";
/// let keys = AwsAlbKeys::builder(gov_cloud).build()?;
///
/// assert!(AwsAlbKeys::new("us-gov-west-1").is_err());
/// assert!(AwsAlbKeys::new("evil.example/").is_err());
/// # }
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct AwsAlbKeys(Arc<Inner>);

struct Inner {
    /// A URL without a slash at its end.
    base: Box<str>,
    budget: Budget,
    cache: Arc<CredentialCache<FetchedKey>>,
    fetch: Arc<dyn Fetch>,
    timeout: Duration,
    warnings: Warnings,
}

#[derive(Clone)]
struct FetchedKey(Arc<VerifyingKey>);

/// A `kid` whose key is needed, and by which it is cached.
#[derive(Clone)]
struct Needed {
    kid: Arc<str>,
    digest: Digest,
    arrival: Arrival,
}

impl AwsAlbKeys {
    /// Creates a source of the keys of a region, such as `eu-west-1`, with the defaults of [`AwsAlbKeysBuilder`].
    ///
    /// # Errors
    ///
    /// If the region is not one of lower-case letters, digits and hyphens, is one of GovCloud, or if the HTTP client cannot be
    /// created: see [`HttpClient::new`](crate::fetch::HttpClient::new).
    pub fn new(region: &str) -> Result<Self, ConfigError> {
        let is_allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        if !(1..=32).contains(&region.len()) || !region.bytes().all(is_allowed) {
            let message = "a region of AWS is up to 32 lower-case letters, digits and hyphens, such as eu-west-1";
            return Err(ConfigError::new(ConfigErrorKind::KeySet, message).value(region));
        }
        if region.starts_with("us-gov-") {
            let message = "the keys of the regions of GovCloud have URLs of their own, for `AwsAlbKeys::builder`";
            return Err(ConfigError::new(ConfigErrorKind::KeySet, message).value(region));
        }
        Self::builder(&format!("https://public-keys.auth.elb.{region}.amazonaws.com")).build()
    }

    /// Returns a builder for a source of the keys below this URL, such as that of the regions of GovCloud.
    pub fn builder(url: &str) -> AwsAlbKeysBuilder {
        AwsAlbKeysBuilder::new(url)
    }

    pub(super) fn of(base: &str, fetch: Arc<dyn Fetch>, timeout: Duration) -> Self {
        let (budget, cache) = (Budget::default(), CredentialCache::new("load balancer keys", LIMITS));
        let warnings = Warnings::default();
        Self(Arc::new(Inner { base: base.into(), budget, cache, fetch, timeout, warnings }))
    }
}

impl KeySource for AwsAlbKeys {
    fn find(&self, request: &KeyRequest<'_>) -> Eventual<Result<Option<Arc<VerifyingKey>>, Unavailable>> {
        // It becomes a part of a URL.
        let Some(kid) = request.kid.filter(|kid| is_uuid(kid)) else { return Eventual::Now(Ok(None)) };
        let needed = Needed { kid: kid.into(), digest: Digest::of(kid.as_bytes()), arrival: request.arrival() };
        match self.0.cache.get(&needed.digest, needed.arrival) {
            Some(Ok(FetchedKey(key))) => {
                self.0.note_use(&needed, request, &key);
                Eventual::Now(Ok(Some(key)))
            }
            Some(Err(_)) => Eventual::Now(Ok(None)),
            None => {
                let (inner, request) = (Arc::clone(&self.0), OwnedKeyRequest::from(request));
                // Waits for the key.
                Eventual::later(async move { inner.load(needed, &request).await })
            }
        }
    }
}

impl Inner {
    async fn load(
        self: Arc<Self>,
        needed: Needed,
        request: &OwnedKeyRequest,
    ) -> Result<Option<Arc<VerifyingKey>>, Unavailable> {
        let look_up = || Arc::clone(&self).look_up(needed.clone());
        match Arc::clone(&self.cache).load(needed.digest, needed.arrival, look_up).await {
            Outcome::Found(FetchedKey(key)) => {
                self.note_use(&needed, &request.borrow(), &key);
                Ok(Some(key))
            }
            Outcome::Refused(_) => Ok(None),
            Outcome::Down(failure) if *failure.cause == *EXHAUSTED => Err(unavailable(Exhausted)),
            Outcome::Down(failure) => Err(unavailable(&*failure.cause)),
            Outcome::Panicked => Err(unavailable("the client panicked")),
        }
    }

    /// Notes the first token that a key has signed, from then on without a verification, and renews a key that is old.
    fn note_use(self: &Arc<Self>, needed: &Needed, request: &KeyRequest<'_>, key: &Arc<VerifyingKey>) {
        let (kid, now) = (&needed.digest, needed.arrival.now);
        if self.budget.has_signed(kid) {
            if self.budget.take_renewal(kid, now) {
                self.renew(needed.clone(), key);
            }
        } else if request.is_signed_with(key) {
            self.budget.note_signed(*kid, now);
        }
    }

    async fn look_up(self: Arc<Self>, needed: Needed) -> Outcome<FetchedKey> {
        let Needed { kid, digest, arrival } = needed;
        if !self.budget.take(&digest, arrival.now) {
            if self.warnings.is_due(Reason::KEYS_UNAVAILABLE, "", arrival.now) {
                log::warning!(
                    "more keys of load balancers were requested than are fetched, perhaps by made-up tokens: tokens that \
                     need another key are refused with 503; this is logged once an hour"
                );
            }
            return Outcome::Down(Failure::new(Reason::KEYS_UNAVAILABLE, EXHAUSTED));
        }
        match self.get(&kid).await {
            Ok(Some(key)) => {
                self.budget.note_found(&digest, arrival.now);
                Outcome::Found(FetchedKey(Arc::new(key)))
            }
            Ok(None) => Outcome::Refused(Reason::KEY_UNKNOWN),
            Err(error) => Outcome::Down(Failure::new(Reason::KEYS_UNAVAILABLE, Causes(&error))),
        }
    }

    /// Fetches a cached key again, while requests go on with the old one. Without a runtime, a later request does.
    fn renew(self: &Arc<Self>, needed: Needed, old: &Arc<VerifyingKey>) {
        let Ok(runtime) = Handle::try_current() else { return };
        let (this, old, generation) = (Arc::clone(self), Arc::clone(old), self.cache.generation());
        runtime.spawn(async move {
            let Needed { kid, digest, arrival } = needed;
            let key = match this.get(&kid).await {
                // Cached tokens, and streams, hold the old one.
                Ok(Some(key)) if key.is_same(&old) => old,
                Ok(Some(key)) => {
                    old.retire();
                    Arc::new(key)
                }
                Ok(None) => return old.retire(),
                Err(error) => return this.warn_of_renewal(&error, arrival.now),
            };
            this.budget.note_found(&digest, arrival.now);
            this.cache.insert(digest, FetchedKey(key), generation, arrival);
        });
    }

    fn warn_of_renewal(&self, error: &Unavailable, now: UnixTime) {
        if self.warnings.is_due(Reason::KEYS_UNAVAILABLE, "renewal", now) {
            log::warning!(
                error = %Causes(error),
                "a key of a load balancer could not be renewed: it is used until it is two days old, and fetched once a \
                 minute; this is logged once an hour"
            );
        }
    }

    /// Fetches a key; `None` if there is none with this `kid`.
    async fn get(&self, kid: &str) -> Result<Option<VerifyingKey>, Unavailable> {
        let uri: Uri = format!("{}/{kid}", self.base).parse().map_err(unavailable)?;
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = uri;
        let response: Response<Bytes> = fetch::fetch_within(self.timeout, &*self.fetch, request, MAX_PEM_BYTES).await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::GONE | StatusCode::NOT_FOUND => return Ok(None),
            status => return Err(unavailable(format!("status {}", status.as_u16()))),
        }
        let pem = std::str::from_utf8(response.body()).unwrap_or_default();
        let key = VerifyingKey::from_pem(Algorithm::ES256, pem).map_err(unavailable)?;
        Ok(Some(key.with_kid(kid)))
    }
}

impl Tagged for FetchedKey {
    fn tag(&self) -> &str {
        self.0.kid().unwrap_or_default()
    }

    fn size(&self) -> usize {
        size_of::<VerifyingKey>() + MAX_KEY_BYTES
    }

    fn is_current(&self, now: UnixTime) -> bool {
        self.0.is_usable(now)
    }
}

impl fmt::Debug for AwsAlbKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsAlbKeys").field("base", &self.0.base).finish_non_exhaustive()
    }
}

/// RFC 9562 §4: hexadecimal digits in groups of 8, 4, 4, 4 and 12.
fn is_uuid(kid: &str) -> bool {
    kid.len() == 36
        && kid.bytes().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// The error of a key that was not fetched, because too many were.
#[derive(Debug, thiserror::Error)]
#[error("{EXHAUSTED}")]
struct Exhausted;

/// Returns whether a key is not available because too many were requested: the endpoint was not contacted.
pub(super) fn is_exhausted(error: &Unavailable) -> bool {
    error.source().is_some_and(<dyn Error>::is::<Exhausted>)
}

fn unavailable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Unavailable {
    Unavailable::new("the public keys of AWS load balancers").because(cause)
}

/// The cause of a look-up that was not made.
const EXHAUSTED: &str = "too many different keys were requested";

/// The longest key in PEM.
const MAX_PEM_BYTES: usize = 4 * 1024;

/// The approximate size of a prepared key.
const MAX_KEY_BYTES: usize = 256;

const LIMITS: Limits = Limits {
    positive_capacity: MAX_SIGNED as u64,
    // A key is used for a day, and for another one while it cannot be renewed.
    positive_ttl: Duration::from_secs(2 * 24 * 60 * 60),
    negative_capacity: 1_000,
    negative_ttl: Duration::from_secs(60),
};
