use http::HeaderName;

use super::{
    Scheme,
    challenge::{ChallengeLine, ChallengeRequest},
    credential::CredentialKind,
    location::Location,
};

pub(super) const NAME: &str = "Bearer";

/// Bearer tokens ([RFC 6750](https://www.rfc-editor.org/rfc/rfc6750)): from `Authorization: Bearer` by default.
///
/// # Examples
///
/// A token in the header field of an identity-aware proxy, whatever `Authorization` holds:
///
/// ```
/// use tower_warden::scheme::{Bearer, Location};
///
/// let scheme = Bearer::from(Location::header("cf-access-jwt-assertion"));
/// ```
#[derive(Clone, Debug)]
pub struct Bearer(Vec<Location>);

impl Bearer {
    /// Tokens in `Authorization: Bearer` and at a second location; exactly one of them may have a token.
    #[must_use]
    pub fn or(mut self, location: Location) -> Self {
        self.0.push(location);
        self
    }
}

impl Default for Bearer {
    fn default() -> Self {
        Self(vec![Location::authorization(NAME)])
    }
}

/// Tokens at this location alone.
impl From<Location> for Bearer {
    fn from(location: Location) -> Self {
        Self(vec![location])
    }
}

/// Tokens in this header field alone.
impl From<HeaderName> for Bearer {
    fn from(name: HeaderName) -> Self {
        Self::from(Location::Header(name))
    }
}

impl Scheme for Bearer {
    fn name(&self) -> &str {
        NAME
    }

    fn kind(&self) -> CredentialKind {
        CredentialKind::AccessToken
    }

    fn locations(&self) -> Vec<Location> {
        self.0.clone()
    }

    /// [RFC 6750 §3](https://www.rfc-editor.org/rfc/rfc6750#section-3), and `resource_metadata` of
    /// [RFC 9728 §5.1](https://www.rfc-editor.org/rfc/rfc9728#section-5.1).
    fn challenge(&self, request: &ChallengeRequest<'_>) -> Option<ChallengeLine> {
        let mut line = ChallengeLine::new(NAME).parameter("realm", request.realm);
        if let Some(url) = request.resource_metadata {
            line = line.parameter("resource_metadata", url);
        }
        if let Some(scope) = request.scope {
            line = line.parameter("scope", &scope.to_string());
        }
        Some(line.error(request.error.as_ref()))
    }

    /// First: some clients read no other challenge.
    fn challenge_order(&self) -> u16 {
        0
    }
}
