use http::HeaderName;

use crate::scheme::{ChallengeLine, ChallengeRequest, CredentialKind, Location, Scheme};

/// The kind of these tokens: no other authenticator takes them for access tokens.
pub(super) const KIND: CredentialKind = CredentialKind::Custom("aws_alb");

const OIDC_DATA: HeaderName = HeaderName::from_static("x-amzn-oidc-data");

/// The access token of the user at the identity provider, beside the claims.
const ACCESS_TOKEN: HeaderName = HeaderName::from_static("x-amzn-oidc-accesstoken");

/// Tokens in `x-amzn-oidc-data`, whose segments are padded.
#[derive(Debug)]
pub(super) struct OidcData;

impl Scheme for OidcData {
    fn name(&self) -> &str {
        "AwsAlb"
    }

    fn kind(&self) -> CredentialKind {
        KIND
    }

    fn locations(&self) -> Vec<Location> {
        vec![Location::Header(OIDC_DATA)]
    }

    fn is_well_formed(&self, text: &str, _: &Location) -> bool {
        text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'='))
    }

    fn sensitive_fields(&self) -> Vec<HeaderName> {
        vec![ACCESS_TOKEN]
    }

    fn challenge(&self, _: &ChallengeRequest<'_>) -> Option<ChallengeLine> {
        None
    }
}
