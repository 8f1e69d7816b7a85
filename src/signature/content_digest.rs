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
    /// The content is compared while the handler reads it, which receives an error in the place of its end if it was changed.
    Streamed,
    /// There is content, or a digest, but no digest by an algorithm that is suitable.
    Unprotected,
    /// It is the content that was digested.
    Verified,
}

impl Content {
    /// Compares the content with all digests whose algorithm is suitable: each of them must match.
    pub(super) fn compare(headers: &HeaderMap, content: &[u8]) -> Self {
        match Comparison::begin(headers) {
            Err(Malformed) => Self::Changed,
            // With a digest that is not compared, the content may have been removed.
            Ok(None) if content.is_empty() && !headers.contains_key(CONTENT_DIGEST) => Self::Empty,
            Ok(None) => Self::Unprotected,
            Ok(Some(mut comparison)) => {
                comparison.update(content);
                if comparison.matches() { Self::Verified } else { Self::Changed }
            }
        }
    }
}

/// The comparison of content that arrives in parts with all its digests by suitable algorithms: one or two.
pub(super) struct Comparison {
    sha256: Option<(Sha256, [u8; 32])>,
    sha512: Option<(Sha512, [u8; 64])>,
}

/// A `Content-Digest` that no content has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Malformed;

impl Comparison {
    /// Begins with the digests of a message; `None` if it has none by a suitable algorithm.
    pub(super) fn begin(headers: &HeaderMap) -> Result<Option<Self>, Malformed> {
        if !headers.contains_key(CONTENT_DIGEST) {
            return Ok(None);
        }
        let digests = digests(headers).ok_or(Malformed)?;
        let sha256 = expected(&digests, DigestAlgorithm::Sha256)?.map(|digest| (Sha256::new(), digest));
        let sha512 = expected(&digests, DigestAlgorithm::Sha512)?.map(|digest| (Sha512::new(), digest));
        Ok((sha256.is_some() || sha512.is_some()).then_some(Self { sha256, sha512 }))
    }

    /// Adds a part of the content.
    pub(super) fn update(&mut self, part: &[u8]) {
        if let Some((sha256, _)) = &mut self.sha256 {
            sha256.update(part);
        }
        if let Some((sha512, _)) = &mut self.sha512 {
            sha512.update(part);
        }
    }

    /// Returns whether all parts together have each of the digests.
    pub(super) fn matches(self) -> bool {
        let sha256 = self.sha256.map(|(computed, expected)| computed.finalize().as_slice().ct_eq(&expected[..]));
        let sha512 = self.sha512.map(|(computed, expected)| computed.finalize().as_slice().ct_eq(&expected[..]));
        sha256.into_iter().chain(sha512).all(bool::from)
    }
}

/// The digest by an algorithm. One of another type or length is that of no content.
fn expected<const N: usize>(digests: &Dictionary, algorithm: DigestAlgorithm) -> Result<Option<[u8; N]>, Malformed> {
    match digests.get(algorithm.as_str()) {
        None => Ok(None),
        Some(ListEntry::Item(item)) => {
            let digest = item.bare_item.as_byte_sequence().and_then(|bytes| bytes.try_into().ok());
            digest.map(Some).ok_or(Malformed)
        }
        Some(ListEntry::InnerList(_)) => Err(Malformed),
    }
}

fn digests(headers: &HeaderMap) -> Option<Dictionary> {
    let value = combined(headers, &CONTENT_DIGEST).filter(|value| value.len() <= MAX_LENGTH)?;
    Parser::new(&*value).parse().ok()
}
