use crate::scheme::{ChallengeLine, ChallengeRequest, CredentialKind, Location, Scheme};

/// The challenge of webhooks: `Webhook realm="api"`. RFC 9110 §15.5.2: a 401 has one.
#[derive(Clone, Copy, Debug)]
pub(super) struct WebhookChallenge;

impl Scheme for WebhookChallenge {
    fn name(&self) -> &str {
        NAME
    }

    fn kind(&self) -> CredentialKind {
        CredentialKind::Custom(NAME)
    }

    /// None: the signature is located in fields that the scheme of the signature names.
    fn locations(&self) -> Vec<Location> {
        Vec::new()
    }

    fn challenge(&self, request: &ChallengeRequest<'_>) -> Option<ChallengeLine> {
        Some(ChallengeLine::new(NAME).parameter("realm", request.realm).error(request.error.as_ref()))
    }
}

const NAME: &str = "Webhook";
