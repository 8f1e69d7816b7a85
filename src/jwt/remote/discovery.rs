//! Discovers the URL of a key set from the metadata of the issuer.

use http::{StatusCode, Uri};

use super::{
    failure::{FetchError, PlaceError, unusable},
    fetcher::{Fetcher, unexpected_status},
};
use crate::{
    fetch,
    json::{self, Json, Object},
    url,
};

impl Fetcher {
    /// Requests the metadata at the URL of RFC 8414 §3.1, then at that of OpenID Connect Discovery §4. Metadata of another
    /// issuer is not used (RFC 8414 §3.3).
    pub(super) async fn discover(&self, issuer: &str) -> Result<Uri, FetchError> {
        let mut errors = Vec::new();
        for location in metadata_urls(issuer) {
            match self.metadata(issuer, &location).await {
                Ok(uri) => return Ok(uri),
                Err(error) => errors.push((location, error)),
            }
        }
        Err(FetchError::Discovery(errors))
    }

    async fn metadata(&self, issuer: &str, location: &str) -> Result<Uri, PlaceError> {
        let location: Uri = location.parse().map_err(|_| unusable("the issuer is not a URL"))?;
        let response = self.get(&location, None).await?;
        if response.status() != StatusCode::OK {
            return Err(unexpected_status(&response).into());
        }
        let metadata = Object::parse(json::without_byte_order_mark(response.body()))
            .map_err(|_| unusable("the metadata is not a JSON object without duplicate members"))?;
        let text = |name| metadata.get(name).and_then(Json::as_str);
        let name = text("issuer").ok_or_else(|| unusable("the metadata has no issuer"))?;
        if name != issuer {
            return Err(PlaceError::IssuerMismatch { configured: issuer.into(), found: name.into() });
        }
        let keys = text("jwks_uri").ok_or_else(|| unusable("the metadata has no jwks_uri"))?;
        let uri = keys.parse::<Uri>().map_err(|_| unusable("the jwks_uri is not a URL"))?;
        // Only the metadata of an issuer on this machine may refer to this machine; plain http needs to be declared.
        let is_local = location.host().is_some_and(url::is_loopback_host);
        if !is_local && fetch::is_local(keys) {
            return Err(unusable(format!("the jwks_uri {:?} is one of this machine", url::redacted(keys))).into());
        }
        if !self.plain.accepts(keys) {
            let quoted = url::redacted(keys);
            return Err(unusable(format!(
                "the jwks_uri {quoted:?} is not an https URL; plain http in a private network is an option, \
                 `RemoteKeysBuilder::danger_plain_http`"
            ))
            .into());
        }
        Ok(uri)
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
}
