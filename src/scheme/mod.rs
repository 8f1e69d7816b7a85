//! Credential schemes: the places of credentials in requests, and the challenges of refusals.
//!
//! A [`Scheme`] says where a credential of its kind is [located](Location) in a request, which texts are well formed, and
//! what its challenge looks like. Authenticators declare the schemes they take;
//! [`AuthLayer::scheme`](crate::layer::AuthLayer::scheme) adds or replaces one. The layer itself guarantees, for all
//! schemes:
//!
//! 1. At most one credential across all locations. Occurrences are counted before any of them is read, so their order makes
//!    no difference; two of them are refused with 400.
//! 2. A credential has at most 16 KiB of visible ASCII, or what
//!    [`Authenticator::max_credential_bytes`](crate::Authenticator::max_credential_bytes) allows. Query and body are never read.
//! 3. An unknown scheme in `Authorization`, or a known one without a credential, is refused with 401, also under an
//!    [optional](crate::layer::AuthLayer::optional) layer. If no scheme is located in `Authorization`, that field is ignored.
//! 4. Each challenge is a field line of its own, in the order of [`Scheme::challenge_order`].
//!
//! # Examples
//!
//! A custom scheme: requests that are signed with a shared secret. Its authenticator reads the other field from
//! [`Presented::head`](crate::Presented::head).
//!
//! ```
//! use tower_warden::scheme::{ChallengeLine, ChallengeRequest, CredentialKind, Location, Scheme};
//!
//! #[derive(Debug)]
//! struct SignedRequest;
//!
//! impl Scheme for SignedRequest {
//!     fn name(&self) -> &str {
//!         "HMAC-SHA256"
//!     }
//!
//!     fn kind(&self) -> CredentialKind {
//!         CredentialKind::Custom("hmac")
//!     }
//!
//!     fn locations(&self) -> Vec<Location> {
//!         vec![Location::header("x-signature")]
//!     }
//!
//!     fn is_well_formed(&self, text: &str, _: &Location) -> bool {
//!         text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
//!     }
//!
//!     fn challenge(&self, request: &ChallengeRequest<'_>) -> Option<ChallengeLine> {
//!         let line = ChallengeLine::new("HMAC-SHA256").parameter("realm", request.realm);
//!         Some(line.parameter("headers", "x-timestamp x-signature").error(request.error.as_ref()))
//!     }
//! }
//!
//! let header = Location::header("x-signature");
//! assert!(SignedRequest.is_well_formed(&"0".repeat(64), &header));
//! assert!(!SignedRequest.is_well_formed("a guess", &header));
//! ```

use std::{fmt, sync::Arc};

use http::{HeaderName, HeaderValue};

pub use self::{
    api_key_header::ApiKeyHeader,
    bearer::Bearer,
    challenge::{Challenge, ChallengeError, ChallengeLine, ChallengePosition, ChallengeRequest},
    credential::{Credential, CredentialKind},
    location::Location,
};
pub(crate) use self::{
    challenges::{Challenges, Presented},
    locate::{LocateError, Located, Place, Schemes, is_in_query},
};

mod api_key_header;
mod bearer;
mod challenge;
mod challenges;
mod credential;
mod locate;
mod location;
mod reason;

/// Default length of the longest credential that a layer reads, in bytes.
pub(crate) const MAX_CREDENTIAL_BYTES: usize = 16 * 1024;

/// A credential scheme: the places of credentials of one kind, and their challenge. See the [module docs](self).
pub trait Scheme: fmt::Debug + Send + Sync + 'static {
    /// The name: that of the authentication scheme of
    /// [RFC 9110 §11.1](https://www.rfc-editor.org/rfc/rfc9110#section-11.1) where there is one. A layer has one scheme of
    /// each name, compared in any case.
    fn name(&self) -> &str;

    /// The kind of its credentials, by which authenticators accept them.
    fn kind(&self) -> CredentialKind;

    /// The places at which a request may carry a credential. A location belongs to one scheme of a layer: the one that was
    /// set last.
    fn locations(&self) -> Vec<Location>;

    /// Returns whether a text at this location has the syntax of a credential; others are refused with 400. By default that
    /// of
    /// `token68` ([RFC 9110 §11.2](https://www.rfc-editor.org/rfc/rfc9110#section-11.2)), which is `b64token` of RFC 6750.
    ///
    /// The text is not empty, visible ASCII with spaces, and not longer than the layer allows: 16 KiB by default.
    fn is_well_formed(&self, text: &str, location: &Location) -> bool {
        let _ = location;
        is_token68(text)
    }

    /// Header fields besides those of [`locations`](Self::locations) that inner layers must not print.
    fn sensitive_fields(&self) -> Vec<HeaderName> {
        Vec::new()
    }

    /// The challenge in `WWW-Authenticate`; `None` if it has no challenge of its own. If no scheme of a layer has one, the
    /// challenge of [`Bearer`] is written.
    fn challenge(&self, request: &ChallengeRequest<'_>) -> Option<ChallengeLine> {
        let line = ChallengeLine::new(self.name()).parameter("realm", request.realm);
        Some(line.error(request.error.as_ref()))
    }

    /// The place of its challenge among those of other schemes, the lowest first.
    fn challenge_order(&self) -> u16 {
        100
    }

    /// Header fields of responses with a challenge besides `WWW-Authenticate`, such as `Accept-Signature`. They are the same
    /// for every refusal, except for one that states the field itself: `Rejection::response_field`.
    fn challenge_fields(&self) -> Vec<(HeaderName, HeaderValue)> {
        Vec::new()
    }
}

impl<S: Scheme + ?Sized> Scheme for Arc<S> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn kind(&self) -> CredentialKind {
        (**self).kind()
    }

    fn locations(&self) -> Vec<Location> {
        (**self).locations()
    }

    fn is_well_formed(&self, text: &str, location: &Location) -> bool {
        (**self).is_well_formed(text, location)
    }

    fn sensitive_fields(&self) -> Vec<HeaderName> {
        (**self).sensitive_fields()
    }

    fn challenge(&self, request: &ChallengeRequest<'_>) -> Option<ChallengeLine> {
        (**self).challenge(request)
    }

    fn challenge_order(&self) -> u16 {
        (**self).challenge_order()
    }

    fn challenge_fields(&self) -> Vec<(HeaderName, HeaderValue)> {
        (**self).challenge_fields()
    }
}

/// RFC 9110 §11.2: `token68 = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`.
pub(crate) fn is_token68(text: &str) -> bool {
    let padding = text.bytes().rev().take_while(|byte| *byte == b'=').count();
    let token = &text.as_bytes()[..text.len() - padding];
    // `-`, `.`, `/` and the digits are adjacent.
    let is_allowed = |byte: u8| {
        let is_letter = (byte | 0x20).wrapping_sub(b'a') < 26;
        is_letter | (byte.wrapping_sub(b'-') < 13) | (byte == b'_') | (byte == b'~') | (byte == b'+')
    };
    !token.is_empty() & all_bytes(token, is_allowed)
}

/// Returns whether all bytes are allowed, by a test without branches: the compiler makes it one of 16 bytes at once.
#[inline]
pub(crate) fn all_bytes(bytes: &[u8], is_allowed: impl Fn(u8) -> bool) -> bool {
    let all = |bytes: &[u8]| bytes.iter().fold(true, |all, byte| all & is_allowed(*byte));
    let (chunks, rest) = bytes.as_chunks::<16>();
    // The last 16 bytes instead of the rest, some for a second time.
    let end = bytes.last_chunk::<16>().map_or(rest, |end| end);
    all(chunks.as_flattened()) & all(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_of_a_text_of_any_length_is_tested() {
        for length in 0..=70 {
            let mut bytes = vec![b'a'; length];
            assert!(all_bytes(&bytes, |byte| byte == b'a'), "{length}");
            for index in 0..length {
                bytes[index] = b'b';
                assert!(!all_bytes(&bytes, |byte| byte == b'a'), "{index} of {length}");
                bytes[index] = b'a';
            }
        }
    }

    #[test]
    fn a_token68_has_the_characters_of_rfc_9110_at_each_position() {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
        for (index, byte) in
            [0, 15, 16, 30, 31, 32, 39].into_iter().flat_map(|index| (0..128).map(move |byte| (index, byte)))
        {
            let mut bytes = [b'a'; 40];
            bytes[index] = byte;
            let is_allowed = plain(byte) || byte == b'=' && index == 39;
            assert_eq!(is_token68(std::str::from_utf8(&bytes).unwrap_or_default()), is_allowed, "{byte} at {index}");
        }
    }

    #[test]
    fn a_token68_has_padding_at_its_end_only() {
        for text in ["a", "-._~+/", "a=", "a==", &"Az09".repeat(20)] {
            assert!(is_token68(text), "{text}");
        }
        for text in ["", "=", "==", "a=a", "a b", "a,b", "a\u{7f}", "é", &format!("{}\"", "a".repeat(40))] {
            assert!(!is_token68(text), "{text}");
        }
    }
}
