//! The field `Content-Digest`, RFC 9530.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue};
use sfv::{Dictionary, ListEntry, Parser};
use sha2::{Digest as _, Sha256, Sha512};
use subtle::ConstantTimeEq;

use super::message::combined;

pub(super) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");

/// The longest value of the field, in bytes.
const MAX_LENGTH: usize = 4 * 1024;

/// A hash algorithm of `Content-Digest` that is suitable against attackers
/// ([RFC 9530 §5](https://www.rfc-editor.org/rfc/rfc9530#section-5)).
///
/// # Examples
///
/// ```
/// use tower_warden::signature::DigestAlgorithm;
///
/// // RFC 9530 appendix B.
/// let field = DigestAlgorithm::Sha256.content_digest(b"{\"hello\": \"world\"}\n");
/// assert_eq!(field, "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:");
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum DigestAlgorithm {
    /// `sha-256`.
    Sha256,
    /// `sha-512`.
    Sha512,
}

impl DigestAlgorithm {
    const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// The name in the field.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha-256",
            Self::Sha512 => "sha-512",
        }
    }

    /// The value of `Content-Digest` for this content.
    #[must_use]
    pub fn content_digest(self, content: &[u8]) -> HeaderValue {
        let text = format!("{}=:{}:", self.as_str(), STANDARD.encode(self.digest(content)));
        HeaderValue::try_from(text).expect("base64 is visible ASCII")
    }

    fn digest(self, content: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(content).to_vec(),
            Self::Sha512 => Sha512::digest(content).to_vec(),
        }
    }
}

/// The relation of a message's content to its `Content-Digest`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Content {
    /// It is not the content that was digested, the field is malformed, or there are trailer fields.
    Changed,
    /// There is no content, and no digest.
    Empty,
    /// There is content without a digest by an algorithm that is suitable.
    Unprotected,
    /// It is the content that was digested.
    Verified,
}

impl Content {
    /// Compares the content with all digests whose algorithm is suitable: each of them must match.
    pub(super) fn compare(headers: &HeaderMap, content: &[u8]) -> Self {
        let undigested = if content.is_empty() { Self::Empty } else { Self::Unprotected };
        if !headers.contains_key(CONTENT_DIGEST) {
            return undigested;
        }
        let Some(digests) = digests(headers) else { return Self::Changed };
        let mut verdict = undigested;
        for algorithm in DigestAlgorithm::ALL {
            match digests.get(algorithm.as_str()) {
                None => {}
                Some(ListEntry::Item(item)) => {
                    let expected = item.bare_item.as_byte_sequence().unwrap_or_default();
                    if !bool::from(algorithm.digest(content).ct_eq(expected)) {
                        return Self::Changed;
                    }
                    verdict = Self::Verified;
                }
                Some(ListEntry::InnerList(_)) => return Self::Changed,
            }
        }
        verdict
    }
}

fn digests(headers: &HeaderMap) -> Option<Dictionary> {
    let value = combined(headers, &CONTENT_DIGEST).filter(|value| value.len() <= MAX_LENGTH)?;
    Parser::new(&*value).parse().ok()
}
