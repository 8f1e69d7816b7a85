use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri};
use tokio::time::timeout;

use super::{budget::Budget, builder::AwsAlbKeysBuilder};
use crate::{
    Eventual,
    cache::{CredentialCache, Failure, Limits, Outcome, Tagged},
    digest::Digest,
    error::{ConfigError, ConfigErrorKind, Unavailable},
    fetch::Fetch,
    jwt::{Algorithm, KeyRequest, KeySource, VerifyingKey},
    log::Causes,
    reason::Reason,
    time::{Arrival, UnixTime},
};

/// The public keys of the Application Load Balancers of one AWS region, each fetched by its `kid` as PEM when it is
/// first needed.
///
/// **Limits.** A `kid` is a UUID, or there is no such key, and nothing is fetched. A key has at most 4 KiB, and is
/// fetched over `https`, without redirects, within 5 seconds. At most 10 keys are fetched at once and then one in 6
/// seconds, whatever `kid`s clients make up; concurrent requests that need one key share a fetch. 100 keys are cached
/// for a day, and 1000 unknown `kid`s for a minute.
///
/// **Failures.** 404 means that there is no such key. After any other failure, tokens that need the key are refused
/// with 503.
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
}

#[derive(Clone)]
struct FetchedKey(Arc<VerifyingKey>);

impl AwsAlbKeys {
    /// Creates a source of the keys of a region, such as `eu-west-1`, with the defaults of [`AwsAlbKeysBuilder`].
    ///
    /// # Errors
    ///
    /// If the region is not one of lower-case letters, digits and hyphens, or if the HTTP client cannot be created: see
    /// [`HttpClient::new`](crate::fetch::HttpClient::new).
    pub fn new(region: &str) -> Result<Self, ConfigError> {
        let is_allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        if !(1..=32).contains(&region.len()) || !region.bytes().all(is_allowed) {
            let message = "a region of AWS is up to 32 lower-case letters, digits and hyphens, such as eu-west-1";
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
        Self(Arc::new(Inner { base: base.into(), budget, cache, fetch, timeout }))
    }
}

impl KeySource for AwsAlbKeys {
    fn find(&self, request: &KeyRequest<'_>) -> Eventual<Result<Option<Arc<VerifyingKey>>, Unavailable>> {
        // It becomes a part of a URL.
        let Some(kid) = request.kid.filter(|kid| is_uuid(kid)) else { return Eventual::Now(Ok(None)) };
        let (digest, now) = (Digest::of(kid.as_bytes()), request.now);
        let arrival = Arrival { now, steady: now };
        match self.0.cache.get(&digest, arrival) {
            Some(Ok(key)) => Eventual::Now(Ok(Some(key.0))),
            Some(Err(_)) => Eventual::Now(Ok(None)),
            None => {
                let (inner, kid) = (Arc::clone(&self.0), Arc::<str>::from(kid));
                let look_up = move || Arc::clone(&inner).look_up(Arc::clone(&kid), now);
                let loaded = Arc::clone(&self.0.cache).load(digest, arrival, look_up);
                // Waits for the key.
                Eventual::later(async move {
                    match loaded.await {
                        Outcome::Found(key) => Ok(Some(key.0)),
                        Outcome::Refused(_) => Ok(None),
                        Outcome::Down(failure) => Err(unavailable(&*failure.cause)),
                        Outcome::Panicked => Err(unavailable("the client panicked")),
                    }
                })
            }
        }
    }
}

impl Inner {
    async fn look_up(self: Arc<Self>, kid: Arc<str>, now: UnixTime) -> Outcome<FetchedKey> {
        let down = |cause: &dyn fmt::Display| Outcome::Down(Failure::new(Reason::KEYS_UNAVAILABLE, cause));
        if !self.budget.take(now) {
            return down(&"too many different keys were requested");
        }
        let response = match self.get(&kid).await {
            Ok(response) => response,
            Err(error) => return down(&Causes(&error)),
        };
        match response.status() {
            StatusCode::OK => {}
            StatusCode::GONE | StatusCode::NOT_FOUND => return Outcome::Refused(Reason::KEY_UNKNOWN),
            status => return down(&format_args!("status {}", status.as_u16())),
        }
        let pem = std::str::from_utf8(response.body()).unwrap_or_default();
        match VerifyingKey::from_pem(Algorithm::ES256, pem) {
            Ok(key) => Outcome::Found(FetchedKey(Arc::new(key.with_kid(&*kid)))),
            Err(error) => down(&error),
        }
    }

    async fn get(&self, kid: &str) -> Result<Response<Bytes>, Unavailable> {
        let uri: Uri = format!("{}/{kid}", self.base).parse().map_err(unavailable)?;
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = uri;
        let response = timeout(self.timeout, self.fetch.fetch(request, MAX_PEM_BYTES).wait()).await;
        let response = response.map_err(|_| unavailable("no response in time"))??;
        // A custom implementation may ignore the limit.
        let is_short = response.body().len() <= MAX_PEM_BYTES;
        if is_short { Ok(response) } else { Err(unavailable("the response is too long")) }
    }
}

impl Tagged for FetchedKey {
    fn tag(&self) -> &str {
        self.0.kid().unwrap_or_default()
    }

    fn size(&self) -> usize {
        size_of::<VerifyingKey>() + MAX_KEY_BYTES
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

fn unavailable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Unavailable {
    Unavailable::new("the public keys of AWS load balancers").because(cause)
}

/// The longest key in PEM.
const MAX_PEM_BYTES: usize = 4 * 1024;

/// The approximate size of a prepared key.
const MAX_KEY_BYTES: usize = 256;

const LIMITS: Limits = Limits {
    positive_capacity: 100,
    positive_ttl: Duration::from_secs(24 * 60 * 60),
    negative_capacity: 1_000,
    negative_ttl: Duration::from_secs(60),
};
