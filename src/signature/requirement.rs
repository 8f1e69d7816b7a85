//! The components that a signature must cover, and the field that names them.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};
use sfv::{ItemSerializer, StringRef};

use super::{
    agent_url::SIGNATURE_AGENT,
    component::{Component, Form, Kind},
    content_digest::{CONTENT_DIGEST, Content, DigestAlgorithm},
    policy::SignaturePolicy,
};

/// Fields by which the same content has another meaning.
pub(super) static REPRESENTATION: [HeaderName; 2] = [CONTENT_TYPE, CONTENT_ENCODING];

/// The treatment of `Signature-Agent`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum AgentRule {
    /// A signature covers the directory of its key.
    Covered,
    Ignored,
}

/// The content that must be covered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ContentRule {
    /// All, by a digest.
    Signed,
    /// None.
    Unsigned,
}

/// The requirement of a parameter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Presence {
    Optional,
    Required,
}

/// The components that must be covered.
#[derive(Clone, Debug)]
pub(super) enum Required {
    /// `@authority`, or `@target-uri`.
    Authority,
    /// `@method`, and the whole target in one of its forms; with content, also the fields by which it has its meaning.
    MethodAndTarget,
    /// Each of these.
    These(Vec<Component>),
}

impl SignaturePolicy {
    /// The value of `Accept-Signature` ([RFC 9421 §5](https://www.rfc-editor.org/rfc/rfc9421#section-5)), with this label, for
    /// signatures that cover the field of a credential, if there is one.
    ///
    /// `content-encoding` is not named: few requests have it.
    pub(super) fn accept_signature(&self, label: &str, credential: Option<&HeaderName>) -> HeaderValue {
        let mut components: Vec<String> = match &self.required {
            Required::Authority => vec!["\"@authority\"".to_owned()],
            Required::MethodAndTarget => vec!["\"@method\"".to_owned(), "\"@target-uri\"".to_owned()],
            Required::These(components) => components.iter().map(|component| component.to_string()).collect(),
        };
        let has = |name: &HeaderName| match &self.required {
            Required::Authority | Required::MethodAndTarget => false,
            Required::These(components) => components.iter().any(|component| component.is_field(name)),
        };
        if self.agent == AgentRule::Covered && !has(&SIGNATURE_AGENT) {
            components.push(format!("\"signature-agent\";key=\"{label}\""));
        }
        let quoted = |name: &HeaderName| format!("\"{name}\"");
        let credential = credential.map(quoted).filter(|field| !components.contains(field));
        components.extend(credential);
        if self.content == ContentRule::Signed {
            components.extend((!has(&CONTENT_DIGEST)).then(|| quoted(&CONTENT_DIGEST)));
            let is_default = matches!(self.required, Required::MethodAndTarget);
            components.extend(is_default.then(|| quoted(&CONTENT_TYPE)));
        }
        let mut text = format!("{label}=({});created", components.join(" "));
        if self.expires == Presence::Required {
            text.push_str(";expires");
        }
        if self.nonce == Presence::Required {
            text.push_str(";nonce");
        }
        if let Some(tag) = self.tag.as_deref().and_then(|tag| StringRef::from_str(tag).ok()) {
            text.extend([";tag=", &ItemSerializer::new().bare_item(tag).finish()]);
        }
        HeaderValue::try_from(text).expect("a structured field is visible ASCII")
    }

    /// Returns whether the required components are covered, and those of the given fields that the request has.
    pub(super) fn is_covered_by(
        &self,
        components: &[Component],
        headers: &HeaderMap,
        content: Option<Content>,
        credential: &[HeaderName],
    ) -> bool {
        let is_whole = |name: &HeaderName| {
            !headers.contains_key(name) || components.iter().any(|component| component.is_whole_field(name))
        };
        if !credential.iter().all(is_whole) {
            return false;
        }
        let has = |kind: Kind| components.iter().any(|component| component.is(&kind));
        match &self.required {
            Required::Authority => has(Kind::Authority) || has(Kind::TargetUri),
            Required::MethodAndTarget => {
                let path = has(Kind::RequestTarget) || has(Kind::Path) && has(Kind::Query);
                // Without content, these fields have no meaning.
                let is_content = self.content == ContentRule::Signed
                    && matches!(content, Some(Content::Streamed | Content::Verified));
                has(Kind::Method)
                    && (has(Kind::TargetUri) || has(Kind::Authority) && path)
                    && (!is_content || REPRESENTATION.iter().all(is_whole))
            }
            Required::These(required) => {
                required.iter().all(|required| components.iter().any(|component| component.covers(required)))
            }
        }
    }
}

/// Returns whether the digest of the content is covered: the field, or its member of a suitable algorithm.
pub(super) fn covers_content(components: &[Component]) -> bool {
    let is_suitable =
        |key: &str| [DigestAlgorithm::Sha256, DigestAlgorithm::Sha512].iter().any(|known| key == known.as_str());
    components.iter().any(|component| match &component.kind {
        Kind::Field(name, Form::Member(key)) => *name == CONTENT_DIGEST && !component.is_of_request && is_suitable(key),
        _ => component.is_whole_field(&CONTENT_DIGEST),
    })
}
