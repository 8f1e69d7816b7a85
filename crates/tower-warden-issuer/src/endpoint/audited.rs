//! Notes for the audit event of a request; without the feature `audit`, they are discarded.

use http::Extensions;
#[cfg(feature = "audit")]
use tower_warden::audit::AuditNote;

use crate::access_token::AccessToken;

/// Notes about one request.
pub(super) struct Notes {
    #[cfg(feature = "audit")]
    note: AuditNote,
}

#[cfg_attr(not(feature = "audit"), expect(clippy::unused_self, reason = "nothing is noted"))]
impl Notes {
    /// The notes about the request with these extensions. The endpoints decide themselves who may call them.
    pub(super) fn of(extensions: &Extensions) -> Self {
        #[cfg(feature = "audit")]
        let this = Self { note: AuditNote::of(extensions).decided().clone() };
        #[cfg(not(feature = "audit"))]
        let this = Self {};
        let _ = extensions;
        this
    }

    /// Notes the client: it has authenticated, unless it is a public one.
    pub(super) fn client(&self, id: &str) {
        #[cfg(feature = "audit")]
        self.note.field("client_id", id);
        let _ = id;
    }

    /// Notes a token that is issued.
    pub(super) fn issued(&self, token: &AccessToken) {
        #[cfg(feature = "audit")]
        self.note
            .field("grant_type", token.grant.as_str())
            .field("sub", &token.subject)
            .field("aud", &token.resource)
            .field("jti", &token.id);
        let _ = token;
    }
}
