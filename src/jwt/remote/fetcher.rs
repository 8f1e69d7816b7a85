//! Fetches a key set, after its URL was discovered from the metadata of the issuer where necessary.

use std::{borrow::Cow, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header};

use super::{
    failure::{FetchError, unusable},
    refresh_schedule::FetchCause,
};
use crate::{
    digest::Digest,
    error::Unavailable,
    fetch::{self, Fetch, PlainHttp},
    jwt::{
        algorithm::Algorithm,
        key::VerifyingKey,
        key_set::{KeySelection, KeySet},
    },
    log::{self, Causes},
    time::UnixTime,
    url,
};

/// The time after which the URL of the keys is discovered again.
const DISCOVERY_TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// Fetches one key set.
pub(super) struct Fetcher {
    pub(super) fetch: Arc<dyn Fetch>,
    /// The networks in which the URLs may be ones of plain `http`.
    pub(super) plain: PlainHttp,
    /// The algorithm of RSA keys without `alg`.
    pub(super) rsa: Algorithm,
    pub(super) selection: KeySelection,
    pub(super) source: KeySetSource,
    /// The time-out of each HTTP request, and of a request that waits for a key.
    pub(super) timeout: Duration,
}

/// The source of a key set.
#[derive(Clone, Debug)]
pub(super) enum KeySetSource {
    /// The URL in the metadata of this issuer.
    Issuer(Box<str>),
    /// This URL.
    Uri(Uri),
}

/// The values of a fetch that the next one reuses.
#[derive(Clone, Debug, Default)]
pub(super) struct CacheValidators {
    location: Option<Location>,
    /// The `ETag` of the keys at that URL.
    etag: Option<HeaderValue>,
}

/// The URL of the keys, and the time of its discovery.
#[derive(Clone, Debug)]
struct Location {
    uri: Uri,
    since: UnixTime,
}

/// The result of a fetch.
pub(super) struct FetchedKeys {
    /// `None` if the keys are unchanged.
    pub(super) keys: Option<KeySet>,
    pub(super) validators: CacheValidators,
    /// The lifetime according to `Cache-Control`.
    pub(super) ttl: Option<Duration>,
}

/// The reason for a fetch, and what earlier ones have found.
pub(super) struct FetchRequest {
    pub(super) cause: FetchCause,
    pub(super) now: UnixTime,
    pub(super) validators: CacheValidators,
    /// The name and the algorithm of the key that a token needs, if one does.
    pub(super) wanted: Option<(Box<str>, Algorithm)>,
}

impl KeySetSource {
    /// The server that is queried, for logs. The path and query of a URL may contain a secret.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Issuer(issuer) => issuer,
            Self::Uri(uri) => uri.host().unwrap_or_default(),
        }
    }

    /// The name in metrics, which differs between sets of one host.
    pub(super) fn label(&self) -> Cow<'_, str> {
        match self {
            Self::Issuer(issuer) => Cow::Borrowed(issuer),
            Self::Uri(uri) => format!("{}#{:.8}", self.name(), Digest::of(uri.to_string().as_bytes()).to_hex()).into(),
        }
    }
}

impl FetchedKeys {
    /// Returns whether the set is well formed, and contains no key that can be used.
    pub(super) fn is_empty(&self) -> bool {
        self.keys.as_ref().is_some_and(|set| set.keys.is_empty())
    }
}

impl Fetcher {
    /// Fetches the keys at the known URL. If that fails, or if a token needs a key that is not there, the metadata of the
    /// issuer may refer to another URL by now.
    pub(super) async fn fetch(&self, request: FetchRequest) -> Result<FetchedKeys, FetchError> {
        let known = request.validators.location.clone();
        let location = self.locate(known.as_ref(), request.now).await?;
        let fetched = self.fetch_from(location.clone(), &request.validators).await;
        let KeySetSource::Issuer(issuer) = &self.source else { return fetched };
        let is_settled = match &fetched {
            // The URL has been discovered just now.
            _ if known.as_ref().is_none_or(|known| known.since != location.since) => true,
            Ok(fetched) => request.cause == FetchCause::Schedule || request.is_answered_by(fetched),
            Err(_) => false,
        };
        if is_settled {
            return fetched;
        }
        match self.discover(issuer).await {
            Ok(uri) if uri != location.uri => {
                let moved = self.fetch_from(Location { uri, since: request.now }, &request.validators).await;
                moved.or_else(|error| fetched.inspect(|_| log_unusable_metadata(issuer, &error)))
            }
            Ok(_) => fetched,
            Err(error) => {
                log_unusable_metadata(issuer, &error);
                fetched
            }
        }
    }

    async fn fetch_from(&self, location: Location, known: &CacheValidators) -> Result<FetchedKeys, FetchError> {
        // An `ETag` identifies a representation at one URL only.
        let is_known = known.location.as_ref().is_some_and(|known| known.uri == location.uri);
        let etag = known.etag.clone().filter(|_| is_known);
        let response = self.get(&location.uri, etag.as_ref()).await?;
        let ttl = max_age(response.headers());
        let location = Some(location);
        match response.status() {
            StatusCode::OK => {
                let name = self.source.name();
                let keys = KeySet::fetched(response.body(), self.rsa, self.selection, name).map_err(unusable)?;
                // Without usable keys, the set is requested again as a whole.
                let etag = response.headers().get(header::ETAG).filter(|_| !keys.keys.is_empty()).cloned();
                Ok(FetchedKeys { keys: Some(keys), validators: CacheValidators { location, etag }, ttl })
            }
            StatusCode::NOT_MODIFIED if etag.is_some() => {
                Ok(FetchedKeys { keys: None, validators: CacheValidators { location, etag }, ttl })
            }
            _ => Err(unexpected_status(&response).into()),
        }
    }

    async fn locate(&self, known: Option<&Location>, now: UnixTime) -> Result<Location, FetchError> {
        let issuer = match &self.source {
            KeySetSource::Issuer(issuer) => issuer,
            KeySetSource::Uri(uri) => return Ok(Location { uri: uri.clone(), since: now }),
        };
        match known {
            Some(known) if now < known.since + DISCOVERY_TTL => Ok(known.clone()),
            known => match (self.discover(issuer).await, known) {
                // The keys may be available while the metadata is not.
                (Err(error), Some(known)) if !error.is_issuer_mismatch() => Ok(known.clone()),
                (found, _) => found.map(|uri| Location { uri, since: now }),
            },
        }
    }

    /// Sends a request within the time-out.
    pub(super) async fn get(&self, uri: &Uri, etag: Option<&HeaderValue>) -> Result<Response<Bytes>, Unavailable> {
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = uri.clone();
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, HeaderValue::from_static(self.selection.names.media_types()));
        if let Some(etag) = etag {
            headers.insert(header::IF_NONE_MATCH, etag.clone());
        }
        fetch::fetch_within(self.timeout, &*self.fetch, request, fetch::MAX_BODY_BYTES).await
    }
}

impl FetchRequest {
    /// Returns whether a set contains the key that a token needs.
    fn is_answered_by(&self, fetched: &FetchedKeys) -> bool {
        let keys = fetched.keys.iter().flat_map(|set| &set.keys);
        let is_wanted = |key: &VerifyingKey, (name, algorithm): &(Box<str>, Algorithm)| {
            key.has_name(name) && key.algorithm() == *algorithm
        };
        self.wanted.as_ref().is_some_and(|wanted| keys.into_iter().any(|key| is_wanted(key, wanted)))
    }
}

fn log_unusable_metadata(issuer: &str, error: &FetchError) {
    log::warning!(issuer = %issuer, error = %Causes(error), "the metadata of an issuer could not be read again");
}

/// A response with another status than expected. Redirects are not followed.
pub(super) fn unexpected_status(response: &Response<Bytes>) -> Unavailable {
    let status = response.status().as_u16();
    let target = response.headers().get(header::LOCATION).and_then(|target| target.to_str().ok());
    match target.filter(|_| response.status().is_redirection()) {
        Some(target) => {
            let target: String = url::redacted(target).chars().take(200).collect();
            unusable(format!("status {status}, a redirect to {target:?}, which is not followed"))
        }
        None => unusable(format!("status {status}")),
    }
}

/// The `max-age` of RFC 9111 §5.2.2.1, minus the `Age` in a cache on the way (§5.1). A value that is invalid is zero (§4.2.1).
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let seconds = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if is_number { text.parse().unwrap_or(u64::MAX) } else { 0 }
    };
    let lines = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|line| line.to_str().ok());
    let mut directives = lines.flat_map(|line| line.split(',')).filter_map(|directive| directive.split_once('='));
    let (_, value) = directives.find(|(name, _)| name.trim().eq_ignore_ascii_case("max-age"))?;
    let age = headers.get(header::AGE).and_then(|age| age.to_str().ok()).map_or(0, |age| seconds(age.trim()));
    Some(Duration::from_secs(seconds(value.trim().trim_matches('"')).saturating_sub(age)))
}

#[cfg(test)]
mod tests {
    use super::*;

    // (75)
    #[test]
    fn max_age_is_read_from_any_field_value() {
        let mut headers = HeaderMap::new();
        assert_eq!(max_age(&headers), None);
        for (value, seconds) in [
            ("max-age=900", Some(900)),
            ("public, Max-Age=\"900\", must-revalidate", Some(900)),
            ("max-age=0", Some(0)),
            ("max-age=-5", Some(0)),
            ("max-age=1e9", Some(0)),
            ("max-age=99999999999999999999999", Some(u64::MAX)),
            ("no-store", None),
            ("s-maxage=900", None),
        ] {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(value));
            assert_eq!(max_age(&headers), seconds.map(Duration::from_secs), "{value}");
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=900"));
        headers.insert(header::AGE, HeaderValue::from_static("300"));
        assert_eq!(max_age(&headers), Some(Duration::from_secs(600)));
    }
}
