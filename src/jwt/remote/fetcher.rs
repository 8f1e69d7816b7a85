//! Fetches a key set, after its URL was discovered from the metadata of the issuer where necessary.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header, uri::Scheme};

use crate::{
    error::Unavailable,
    fetch::{self, Fetch},
    json::{Json, Object},
    jwt::{
        algorithm::Algorithm,
        source::{KeySet, MissingKid},
    },
    time::UnixTime,
    url,
};

/// The time-out of each HTTP request, and of a request that waits for a key.
pub(super) const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// The time after which the URL of the keys is discovered again.
const DISCOVERY_TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// Fetches one key set.
pub(super) struct Fetcher {
    pub(super) fetch: Arc<dyn Fetch>,
    pub(super) missing_kid: MissingKid,
    /// The algorithm of RSA keys without `alg`.
    pub(super) rsa: Algorithm,
    pub(super) source: KeySetSource,
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
    /// The URL of the keys, and the time of its discovery.
    location: Option<(Uri, UnixTime)>,
    /// The `ETag` of the keys at that URL.
    etag: Option<HeaderValue>,
}

/// The result of a fetch.
pub(super) struct FetchedKeys {
    /// `None` if the keys are unchanged.
    pub(super) keys: Option<KeySet>,
    pub(super) validators: CacheValidators,
    /// The lifetime according to `Cache-Control`.
    pub(super) ttl: Option<Duration>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("the metadata names another issuer")]
    IssuerMismatch,
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl KeySetSource {
    /// The server that is queried, for logs. The path and query of a URL may contain a secret.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Issuer(issuer) => issuer,
            Self::Uri(uri) => uri.host().unwrap_or_default(),
        }
    }
}

impl CacheValidators {
    /// Makes the next fetch discover the URL again, because a failure may mean that the keys have moved.
    pub(super) fn require_discovery(&mut self) {
        if let Some((_, since)) = &mut self.location {
            *since = UnixTime::default();
        }
    }
}

impl Fetcher {
    pub(super) async fn fetch(&self, validators: CacheValidators, now: UnixTime) -> Result<FetchedKeys, FetchError> {
        let (uri, since) = self.locate(&validators, now).await?;
        // An `ETag` identifies a representation at one URL only.
        let is_same_location = validators.location.is_some_and(|(known, _)| known == uri);
        let etag = validators.etag.filter(|_| is_same_location);
        let response = self.get(&uri, etag.as_ref()).await?;
        let ttl = max_age(response.headers());
        let location = Some((uri, since));
        match response.status() {
            StatusCode::OK => {
                let mut keys = KeySet::fetched(response.body(), self.rsa).map_err(unusable)?;
                if keys.keys.is_empty() {
                    return Err(unusable("the key set contains no usable key").into());
                }
                keys.missing_kid = self.missing_kid;
                let etag = response.headers().get(header::ETAG).cloned();
                Ok(FetchedKeys { keys: Some(keys), validators: CacheValidators { location, etag }, ttl })
            }
            StatusCode::NOT_MODIFIED if etag.is_some() => {
                Ok(FetchedKeys { keys: None, validators: CacheValidators { location, etag }, ttl })
            }
            status => Err(unusable(format!("status {}", status.as_u16())).into()),
        }
    }

    /// The URL of the keys, and the time of its discovery.
    async fn locate(&self, validators: &CacheValidators, now: UnixTime) -> Result<(Uri, UnixTime), FetchError> {
        let issuer = match &self.source {
            KeySetSource::Issuer(issuer) => issuer,
            KeySetSource::Uri(uri) => return Ok((uri.clone(), now)),
        };
        match &validators.location {
            Some((uri, since)) if now < *since + DISCOVERY_TTL => Ok((uri.clone(), *since)),
            known => match (self.discover(issuer).await, known) {
                // The keys may be available while the metadata is not.
                (Err(FetchError::Unavailable(_)), Some((uri, since))) => Ok((uri.clone(), *since)),
                (found, _) => found.map(|uri| (uri, now)),
            },
        }
    }

    /// Requests the metadata at the URL of RFC 8414 §3.1, then at that of OpenID Connect Discovery §4. Metadata of another
    /// issuer is not used (RFC 8414 §3.3).
    async fn discover(&self, issuer: &str) -> Result<Uri, FetchError> {
        let mut error = None;
        for location in metadata_urls(issuer) {
            match self.metadata(issuer, &location).await {
                Ok(uri) => return Ok(uri),
                // A mismatch is reported even if the other URL fails in another way.
                Err(mismatch @ FetchError::IssuerMismatch) => error = Some(mismatch),
                Err(unavailable) => error = error.or(Some(unavailable)),
            }
        }
        Err(error.unwrap_or(FetchError::IssuerMismatch))
    }

    async fn metadata(&self, issuer: &str, location: &str) -> Result<Uri, FetchError> {
        let location: Uri = location.parse().map_err(|_| unusable("the issuer is not a URL"))?;
        let response = self.get(&location, None).await?;
        if response.status() != StatusCode::OK {
            return Err(unusable(format!("status {}", response.status().as_u16())).into());
        }
        let metadata = Object::parse(response.body()).map_err(|_| unusable("the metadata is not a JSON object"))?;
        let text = |name| metadata.get(name).and_then(Json::as_str);
        if text("issuer").ok_or_else(|| unusable("the metadata has no issuer"))? != issuer {
            return Err(FetchError::IssuerMismatch);
        }
        let keys = text("jwks_uri").ok_or_else(|| unusable("the metadata has no jwks_uri"))?;
        let uri = keys.parse::<Uri>().map_err(|_| unusable("the jwks_uri is not a URL"))?;
        // Only the metadata of an issuer on this machine may refer to this machine, or to plain http.
        let is_local = location.host().is_some_and(url::is_loopback_host);
        if !url::is_secure(keys) || !is_local && (uri.scheme() != Some(&Scheme::HTTPS) || fetch::is_local(keys)) {
            return Err(unusable("the jwks_uri is not an https URL of another machine").into());
        }
        Ok(uri)
    }

    async fn get(&self, uri: &Uri, etag: Option<&HeaderValue>) -> Result<Response<Bytes>, Unavailable> {
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = uri.clone();
        let headers = request.headers_mut();
        headers
            .insert(header::ACCEPT, const { HeaderValue::from_static("application/json, application/jwk-set+json") });
        if let Some(etag) = etag {
            headers.insert(header::IF_NONE_MATCH, etag.clone());
        }
        fetch::fetch_within(FETCH_TIMEOUT, &*self.fetch, request).await
    }
}

/// The URLs of an issuer's metadata.
fn metadata_urls(issuer: &str) -> [String; 2] {
    let issuer = issuer.strip_suffix('/').unwrap_or(issuer);
    let start = issuer.find("://").map_or(0, |scheme| scheme + 3);
    let (origin, path) = issuer.split_at(issuer[start..].find('/').map_or(issuer.len(), |slash| start + slash));
    [
        format!("{origin}/.well-known/oauth-authorization-server{path}"),
        format!("{issuer}/.well-known/openid-configuration"),
    ]
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

fn unusable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Unavailable {
    Unavailable::new("the key set of an issuer").because(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_urls_are_those_of_the_standards() {
        let oauth = |path: &str| format!("https://a.example/.well-known/oauth-authorization-server{path}");
        for (issuer, first, second) in [
            ("https://a.example", oauth(""), "https://a.example/.well-known/openid-configuration"),
            ("https://a.example/", oauth(""), "https://a.example/.well-known/openid-configuration"),
            (
                "https://a.example/realms/x",
                oauth("/realms/x"),
                "https://a.example/realms/x/.well-known/openid-configuration",
            ),
        ] {
            assert_eq!(metadata_urls(issuer), [first, second.to_owned()]);
        }
    }

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
