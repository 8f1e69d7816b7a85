//! One fetch: where the keys are, if that must be found first, and then the keys.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header, uri::Scheme};

use crate::{
    error::Unavailable,
    fetch::{self, Fetch},
    json::{Json, Object},
    jwt::{
        algorithm::Algorithm,
        source::{KeySet, MissingId},
    },
    time::UnixTime,
    url,
};

/// How long a server may take for an answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// After which time it is looked again where the keys are.
const REDISCOVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// Who is asked, and for what.
pub(super) struct Errand {
    pub(super) fetch: Arc<dyn Fetch>,
    pub(super) missing_id: MissingId,
    /// What RSA keys without `alg` are used for.
    pub(super) rsa: Algorithm,
    pub(super) source: Source,
}

/// Where keys come from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// The metadata of this issuer tells.
    Issuer(Box<str>),
    /// This URL.
    Uri(Uri),
}

/// What a fetch leaves for the next one.
#[derive(Clone, Debug, Default)]
pub(super) struct Trail {
    /// Where the keys were, and when that was found out.
    place: Option<(Uri, UnixTime)>,
    /// Of the keys there.
    etag: Option<HeaderValue>,
}

/// What a fetch brings.
pub(super) struct Haul {
    /// `None` if the keys have not changed.
    pub(super) keys: Option<KeySet>,
    pub(super) trail: Trail,
    pub(super) ttl: Option<Duration>,
}

/// Why a fetch brings nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Down(#[from] Unavailable),
    #[error("the metadata is of another issuer")]
    OtherIssuer,
}

impl Source {
    /// For logs: who is asked.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Issuer(issuer) => issuer,
            Self::Uri(uri) => uri.host().unwrap_or_default(),
        }
    }
}

impl Trail {
    /// After a failure it is looked again where the keys are.
    pub(super) fn doubt(&mut self) {
        if let Some((_, since)) = &mut self.place {
            *since = UnixTime::default();
        }
    }
}

impl Errand {
    pub(super) async fn run(&self, trail: Trail, now: UnixTime) -> Result<Haul, Failure> {
        let (uri, since) = self.place(&trail, now).await?;
        let known = trail.place.is_some_and(|(known, _)| known == uri);
        let etag = trail.etag.filter(|_| known);
        let answer = self.get(&uri, etag.as_ref()).await?;
        let ttl = max_age(answer.headers());
        let place = Some((uri, since));
        match answer.status() {
            StatusCode::OK => {
                let mut keys = KeySet::fetched(answer.body(), self.rsa).map_err(unusable)?;
                if keys.keys.is_empty() {
                    return Err(unusable("no key that can be used").into());
                }
                keys.missing_id = self.missing_id;
                let etag = answer.headers().get(header::ETAG).cloned();
                Ok(Haul { keys: Some(keys), trail: Trail { place, etag }, ttl })
            }
            StatusCode::NOT_MODIFIED if etag.is_some() => Ok(Haul { keys: None, trail: Trail { place, etag }, ttl }),
            status => Err(unusable(format!("status {}", status.as_u16())).into()),
        }
    }

    /// Where the keys are.
    async fn place(&self, trail: &Trail, now: UnixTime) -> Result<(Uri, UnixTime), Failure> {
        let issuer = match &self.source {
            Source::Issuer(issuer) => issuer,
            Source::Uri(uri) => return Ok((uri.clone(), now)),
        };
        match &trail.place {
            Some((uri, since)) if now < *since + REDISCOVERY => Ok((uri.clone(), *since)),
            known => match (self.discover(issuer).await, known) {
                // The keys may be there while the metadata is not.
                (Err(Failure::Down(_)), Some((uri, since))) => Ok((uri.clone(), *since)),
                (found, _) => found.map(|uri| (uri, now)),
            },
        }
    }

    /// Asks for the metadata where RFC 8414 §3.1 has it, then where OpenID Connect Discovery §4 has it. What names another
    /// issuer is not used (RFC 8414 §3.3).
    async fn discover(&self, issuer: &str) -> Result<Uri, Failure> {
        let mut failure = None;
        for place in metadata_places(issuer) {
            match self.metadata(issuer, &place).await {
                Ok(uri) => return Ok(uri),
                Err(other @ Failure::OtherIssuer) => failure = Some(other),
                Err(down) => failure = failure.or(Some(down)),
            }
        }
        Err(failure.unwrap_or(Failure::OtherIssuer))
    }

    async fn metadata(&self, issuer: &str, place: &str) -> Result<Uri, Failure> {
        let place: Uri = place.parse().map_err(|_| unusable("the issuer is no URL"))?;
        let answer = self.get(&place, None).await?;
        if answer.status() != StatusCode::OK {
            return Err(unusable(format!("status {}", answer.status().as_u16())).into());
        }
        let metadata = Object::parse(answer.body()).map_err(|_| unusable("metadata that is no JSON object"))?;
        let text = |name| metadata.get(name).and_then(Json::as_str);
        if text("issuer").ok_or_else(|| unusable("metadata that names no issuer"))? != issuer {
            return Err(Failure::OtherIssuer);
        }
        let keys = text("jwks_uri").ok_or_else(|| unusable("metadata that names no jwks_uri"))?;
        let uri = keys.parse::<Uri>().map_err(|_| unusable("a jwks_uri that is no URL"))?;
        // An issuer of this machine may keep its keys here; nobody else's metadata leads here, or to plain http.
        let is_local = place.host().is_some_and(url::is_loopback_host);
        if !url::is_secure(keys) || !is_local && (uri.scheme() != Some(&Scheme::HTTPS) || fetch::is_local(keys)) {
            return Err(unusable("a jwks_uri that is no https URL, or of this machine").into());
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
        fetch::ask(&*self.fetch, request, PATIENCE).await
    }
}

/// The URLs at which an issuer's metadata may be.
fn metadata_places(issuer: &str) -> [String; 2] {
    let issuer = issuer.strip_suffix('/').unwrap_or(issuer);
    let start = issuer.find("://").map_or(0, |scheme| scheme + 3);
    let (origin, path) = issuer.split_at(issuer[start..].find('/').map_or(issuer.len(), |slash| start + slash));
    [
        format!("{origin}/.well-known/oauth-authorization-server{path}"),
        format!("{issuer}/.well-known/openid-configuration"),
    ]
}

/// RFC 9111 §5.2.2.1, less what a cache on the way has used up (§5.1). What is there but cannot be read is over (§4.2.1).
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let seconds = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if is_number { text.parse().unwrap_or(u64::MAX) } else { 0 }
    };
    let lines = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|line| line.to_str().ok());
    let mut directives = lines.flat_map(|line| line.split(',')).filter_map(|directive| directive.split_once('='));
    let (_, said) = directives.find(|(name, _)| name.trim().eq_ignore_ascii_case("max-age"))?;
    let age = headers.get(header::AGE).and_then(|age| age.to_str().ok()).map_or(0, |age| seconds(age.trim()));
    Some(Duration::from_secs(seconds(said.trim().trim_matches('"')).saturating_sub(age)))
}

fn unusable(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Unavailable {
    Unavailable::new("the key set of an issuer").because(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_where_the_standards_have_it() {
        let oauth = |place: &str| format!("https://a.example/.well-known/oauth-authorization-server{place}");
        for (issuer, first, second) in [
            ("https://a.example", oauth(""), "https://a.example/.well-known/openid-configuration"),
            ("https://a.example/", oauth(""), "https://a.example/.well-known/openid-configuration"),
            (
                "https://a.example/realms/x",
                oauth("/realms/x"),
                "https://a.example/realms/x/.well-known/openid-configuration",
            ),
        ] {
            assert_eq!(metadata_places(issuer), [first, second.to_owned()]);
        }
    }

    // (75)
    #[test]
    fn max_age_is_read_whatever_is_said() {
        let mut headers = HeaderMap::new();
        assert_eq!(max_age(&headers), None);
        for (said, seconds) in [
            ("max-age=900", Some(900)),
            ("public, Max-Age=\"900\", must-revalidate", Some(900)),
            ("max-age=0", Some(0)),
            ("max-age=-5", Some(0)),
            ("max-age=1e9", Some(0)),
            ("max-age=99999999999999999999999", Some(u64::MAX)),
            ("no-store", None),
            ("s-maxage=900", None),
        ] {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(said));
            assert_eq!(max_age(&headers), seconds.map(Duration::from_secs), "{said}");
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=900"));
        headers.insert(header::AGE, HeaderValue::from_static("300"));
        assert_eq!(max_age(&headers), Some(Duration::from_secs(600)));
    }
}
