//! The components that a signature must cover, and the field that names them.

use http::{
    HeaderName, HeaderValue,
    header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE},
};
use sfv::{ItemSerializer, StringRef};

use super::{
    agent_url::SIGNATURE_AGENT,
    candidate::Received,
    component::{Component, Form, Kind},
    content_digest::{CONTENT_DIGEST, Content, DigestAlgorithm},
    policy::SignaturePolicy,
};

/// Fields by which the same content has another meaning.
pub(super) static REPRESENTATION: [HeaderName; 2] = [CONTENT_TYPE, CONTENT_ENCODING];

/// Fields by which the same request is that of somebody else, whatever credentials the layer takes.
static REQUIRED_CREDENTIALS: [HeaderName; 1] = [AUTHORIZATION];

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
    /// `@method`, and the whole target in one of its forms; if the request has them, also the fields of credentials, and those by
    /// which content has its meaning.
    MethodAndTarget,
    /// Each of these, and no other.
    Only(Vec<Component>),
    /// Each of these, and the same fields.
    These(Vec<Component>),
}

impl SignaturePolicy {
    /// The value of `Accept-Signature` ([RFC 9421 §5](https://www.rfc-editor.org/rfc/rfc9421#section-5)), with this label, for
    /// signatures that cover these fields of a request as well, such as those of credentials.
    ///
    /// If it is not one of them, `content-encoding` is not named: few requests have it.
    pub(super) fn accept_signature<'a>(
        &self,
        label: &str,
        fields: impl IntoIterator<Item = &'a HeaderName>,
    ) -> HeaderValue {
        let mut components: Vec<String> = match &self.required {
            Required::Authority => vec!["\"@authority\"".to_owned()],
            Required::MethodAndTarget => vec!["\"@method\"".to_owned(), "\"@target-uri\"".to_owned()],
            Required::Only(components) | Required::These(components) => {
                components.iter().map(|component| component.to_string()).collect()
            }
        };
        let has = |name: &HeaderName| match &self.required {
            Required::Authority | Required::MethodAndTarget => false,
            Required::Only(components) | Required::These(components) => {
                components.iter().any(|component| component.is_field(name))
            }
        };
        if self.agent == AgentRule::Covered && !has(&SIGNATURE_AGENT) {
            components.push(format!("\"signature-agent\";key=\"{label}\""));
        }
        let quoted = |name: &HeaderName| format!("\"{name}\"");
        let mut fields: Vec<_> = fields.into_iter().map(quoted).collect();
        if self.content == ContentRule::Signed {
            fields.extend((!has(&CONTENT_DIGEST)).then(|| quoted(&CONTENT_DIGEST)));
            fields.extend((self.is_whole() && !has(&CONTENT_TYPE)).then(|| quoted(&CONTENT_TYPE)));
        }
        for field in fields {
            if !components.contains(&field) {
                components.push(field);
            }
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

    /// Returns whether a signature protects the request as a whole, with the fields that it may have.
    const fn is_whole(&self) -> bool {
        matches!(self.required, Required::MethodAndTarget | Required::These(_))
    }

    /// The fields, among those of another credential of the request, that the signature of a caller must cover.
    pub(super) const fn required_of<'a>(&self, other_fields: &'a [HeaderName]) -> &'a [HeaderName] {
        match self.required {
            Required::Only(_) => &[],
            Required::Authority | Required::MethodAndTarget | Required::These(_) => other_fields,
        }
    }

    /// Returns whether the required components are covered.
    pub(super) fn is_met_by(&self, components: &[Component]) -> bool {
        let has = |kind: Kind| components.iter().any(|component| component.is(&kind));
        match &self.required {
            Required::Authority => has(Kind::Authority) || has(Kind::TargetUri),
            Required::MethodAndTarget => {
                let path = has(Kind::RequestTarget) || has(Kind::Path) && has(Kind::Query);
                has(Kind::Method) && (has(Kind::TargetUri) || has(Kind::Authority) && path)
            }
            Required::Only(required) | Required::These(required) => {
                required.iter().all(|required| components.iter().any(|component| component.covers(required)))
            }
        }
    }

    /// Returns whether those fields are covered that the request has, and that anybody could have added or changed.
    pub(super) fn are_fields_covered(&self, components: &[Component], received: &Received<'_>) -> bool {
        self.fields(received).all(|name| components.iter().any(|component| component.is_whole_field(name)))
    }

    /// The fields of the request that must be covered: those of its credentials, and those by which its content has its meaning.
    pub(super) fn fields<'a>(&self, received: &Received<'a>) -> impl Iterator<Item = &'a HeaderName> + use<'a> {
        let Received { content, credential, headers, .. } = *received;
        // Without content, these fields have no meaning.
        let is_content =
            self.content == ContentRule::Signed && matches!(content, Some(Content::Streamed | Content::Verified));
        let of_credentials: &[_] = if self.is_whole() { &REQUIRED_CREDENTIALS } else { &[] };
        let of_content: &[_] = if self.is_whole() && is_content { &REPRESENTATION } else { &[] };
        let all = credential.iter().chain(of_credentials).chain(of_content);
        all.filter(|name| headers.contains_key(*name))
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
