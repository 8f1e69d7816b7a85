use http::HeaderName;

use super::{
    Scheme,
    challenge::{ChallengeLine, ChallengeRequest},
    credential::CredentialKind,
    location::Location,
};

pub(super) const NAME: &str = "ApiKey";

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// API keys in a header field, `X-API-Key` by default, and under `Authorization: ApiKey`.
///
/// It has no challenge of its own: `ApiKey` is not a registered scheme.
#[derive(Clone, Debug)]
pub struct ApiKeyHeader(Vec<Location>);

impl ApiKeyHeader {
    /// Keys in this header field, and under `Authorization: ApiKey`. For keys in `Authorization` without a scheme, use
    /// `ApiKeyHeader::from(Location::header("authorization"))`.
    #[must_use]
    pub fn new(name: HeaderName) -> Self {
        Self(vec![Location::authorization(NAME), Location::Header(name)])
    }

    /// Under `Authorization: ApiKey` alone.
    #[must_use]
    pub fn authorization_only() -> Self {
        Self(vec![Location::authorization(NAME)])
    }
}

impl Default for ApiKeyHeader {
    fn default() -> Self {
        Self::new(X_API_KEY)
    }
}

/// Keys at this location alone.
impl From<Location> for ApiKeyHeader {
    fn from(location: Location) -> Self {
        Self(vec![location])
    }
}

impl Scheme for ApiKeyHeader {
    fn name(&self) -> &str {
        NAME
    }

    fn kind(&self) -> CredentialKind {
        CredentialKind::ApiKey
    }

    fn locations(&self) -> Vec<Location> {
        self.0.clone()
    }

    /// No list. Under `Authorization`, no space either: `ApiKey a b` is two things. In a field of its own, a key with a
    /// space is one that nobody has.
    fn is_well_formed(&self, text: &str, location: &Location) -> bool {
        let has_space = matches!(location, Location::Authorization(_)) && text.contains(' ');
        !has_space && !text.contains(',')
    }

    fn challenge(&self, _: &ChallengeRequest<'_>) -> Option<ChallengeLine> {
        None
    }
}
