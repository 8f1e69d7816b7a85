use std::{sync::Arc, time::Duration};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{AUTHORIZATION, COOKIE},
    request, response,
};
use sfv::{ItemSerializer, KeyRef, StringRef};

use super::{
    base::Values,
    component::Component,
    content_digest::{CONTENT_DIGEST, Content, DigestAlgorithm},
    field_type::{FieldType, FieldTypes},
    input::{self, SIGNATURE, SIGNATURE_INPUT},
    key::MessageKey,
    message::{Message, RequestHead},
    origin::{Origin, origin_form},
    policy::refused,
    requirement::{REPRESENTATION, covers_content},
    signing_error::SigningError,
};
use crate::{error::ConfigError, time::UnixTime};

/// Fields that carry credentials.
static CREDENTIALS: [HeaderName; 3] = [AUTHORIZATION, COOKIE, HeaderName::from_static("x-api-key")];

/// Signs messages ([RFC 9421 §3.1](https://www.rfc-editor.org/rfc/rfc9421#section-3.1)).
///
/// By default, a signature of a request covers `@method` and `@target-uri`, and `authorization`, `cookie` and `x-api-key` if the
/// request has them. Content is covered by a `Content-Digest`, with `content-type` and `content-encoding`. The parameters are `created`, `keyid`, and a random `nonce`.
///
/// The crate `tower-warden-client` has a layer that signs each request.
///
/// # Examples
///
/// ```
/// use http::Request;
/// use tower_warden::{UnixTime, signature::{HmacKey, MessageSigner}};
///
/// let signer = MessageSigner::new(HmacKey::new("billing-2026", b"a secret of thirty-two bytes ...")?);
/// let (mut parts, body) = Request::post("https://api.example.com/orders").body("{}")?.into_parts();
/// signer.sign_request(&mut parts, body.as_bytes(), UnixTime::from_secs(1_800_000_000))?;
///
/// let input = parts.headers["signature-input"].to_str()?;
/// assert!(input.starts_with(r#"sig1=("@method" "@target-uri" "content-digest");created=1800000000;keyid="billing-2026""#));
///
/// // The target of a signature is absolute.
/// let (mut parts, ()) = Request::get("/orders").body(())?.into_parts();
/// assert!(signer.sign_request(&mut parts, b"", UnixTime::now()).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct MessageSigner {
    /// `None` for the defaults.
    components: Option<Vec<Component>>,
    digest: DigestAlgorithm,
    expires: Option<Duration>,
    key: Arc<dyn MessageKey>,
    label: Box<str>,
    nonce: Nonce,
    tag: Option<Box<str>>,
    types: Arc<FieldTypes>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Nonce {
    None,
    Random,
}

impl MessageSigner {
    /// Signs with this key.
    pub fn new(key: impl MessageKey) -> Self {
        Self {
            components: None,
            digest: DigestAlgorithm::Sha256,
            expires: None,
            key: Arc::new(key),
            label: "sig1".into(),
            nonce: Nonce::Random,
            tag: None,
            types: Arc::default(),
        }
    }

    /// Sets the components that a signature covers, instead of `@method` and `@target-uri`. It covers the fields of a request that
    /// it covers by default as well, as [`SignaturePolicy::components`](super::SignaturePolicy::components) requires. The
    /// signature of a response covers these, and `content-digest` if there is content.
    ///
    /// # Errors
    ///
    /// If one is not a component, or is there twice.
    pub fn components<'a>(mut self, components: impl IntoIterator<Item = &'a str>) -> Result<Self, ConfigError> {
        self.components = Some(Component::parse_all(components)?);
        Ok(self)
    }

    /// Sets the algorithm of `Content-Digest`: SHA-256 by default.
    pub const fn digest(mut self, algorithm: DigestAlgorithm) -> Self {
        self.digest = algorithm;
        self
    }

    /// Adds `expires`, this time after `created`, in whole seconds.
    pub const fn expires_after(mut self, time: Duration) -> Self {
        self.expires = Some(time);
        self
    }

    /// Sets the label in the two fields: `sig1` by default. It has no meaning, but differs from those of other signatures.
    ///
    /// # Errors
    ///
    /// If it is not a key of a structured field.
    pub fn label(mut self, label: &str) -> Result<Self, ConfigError> {
        KeyRef::from_str(label).map_err(|_| refused("a label is a key of a structured field").value(label))?;
        self.label = label.into();
        Ok(self)
    }

    /// Adds the tag of the application.
    ///
    /// # Errors
    ///
    /// If it has a character that is not visible ASCII or a space.
    pub fn tag(mut self, tag: &str) -> Result<Self, ConfigError> {
        StringRef::from_str(tag).map_err(|_| refused("a tag is visible ASCII").value(tag))?;
        self.tag = Some(tag.into());
        Ok(self)
    }

    /// Declares the type of a structured field, so that a signature may cover it with `sf`. Those of fields that are registered
    /// by HTTP are known.
    pub fn structured_field(mut self, name: HeaderName, field_type: FieldType) -> Self {
        Arc::make_mut(&mut self.types).declare(name, field_type);
        self
    }

    /// Adds no nonce. Servers that accept a signature once then refuse the second of two equal requests in one second.
    pub const fn without_nonce(mut self) -> Self {
        self.nonce = Nonce::None;
        self
    }

    /// Adds `Content-Digest` if there is content, `Signature-Input` and `Signature`. A `Content-Digest` that matches the content is
    /// kept, whatever its algorithm is: other signatures may cover it.
    ///
    /// # Errors
    ///
    /// If the URI is not absolute, if a component is absent, if the label is taken, or if the key cannot be used.
    pub fn sign_request(&self, parts: &mut request::Parts, content: &[u8], now: UnixTime) -> Result<(), SigningError> {
        let origin = Origin::of(&parts.uri).ok_or(SigningError::of("the URI of a request is absolute"))?;
        self.add_digest(&mut parts.headers, content);
        let mut components = self.components.clone().unwrap_or_else(|| ["@method", "@target-uri"].map(parsed).into());
        cover_fields(&mut components, &parts.headers, content);
        cover_content(&mut components, content);
        let fields = {
            let (headers, method, uri) = (&parts.headers, &parts.method, &origin_form(&parts.uri));
            let message = Message::Request(RequestHead { headers, method, prefix: "", uri });
            self.sign(message, &origin, &components, now)?
        };
        self.add(&mut parts.headers, fields)
    }

    /// Adds the same to a response. By default, the signature covers `@status`, and of the request, which has an absolute URI,
    /// `@method`, `@target-uri`, and its first signature, or else its `content-digest`, if it has one.
    ///
    /// # Errors
    ///
    /// See [`sign_request`](Self::sign_request).
    pub fn sign_response(
        &self,
        parts: &mut response::Parts,
        content: &[u8],
        request: &request::Parts,
        now: UnixTime,
    ) -> Result<(), SigningError> {
        let origin = Origin::of(&request.uri).ok_or(SigningError::of("the URI of a request is absolute"))?;
        let (headers, method, uri) = (&request.headers, &request.method, &origin_form(&request.uri));
        self.sign_response_to(RequestHead { headers, method, prefix: "", uri }, &origin, parts, content, now)
    }

    /// A signer with a label that no signature in these fields has, for a message that somebody else may have signed. Fields to
    /// which no signature can be added, because they are malformed or full, are removed: nobody could verify those in them.
    pub fn with_free_label(&self, headers: &mut HeaderMap) -> Self {
        Self { label: input::free_label(headers, &self.label), ..self.clone() }
    }

    pub(super) fn sign_response_to(
        &self,
        request: RequestHead<'_>,
        origin: &Origin,
        parts: &mut response::Parts,
        content: &[u8],
        now: UnixTime,
    ) -> Result<(), SigningError> {
        self.add_digest(&mut parts.headers, content);
        let default = ["@status", "\"@method\";req", "\"@target-uri\";req"];
        let mut components = self.components.clone().unwrap_or_else(|| default.map(parsed).into());
        if self.components.is_none() {
            cover_fields(&mut components, &parts.headers, content);
            components.extend(input::binding(request.headers));
        }
        cover_content(&mut components, content);
        let fields = {
            let (headers, status) = (&parts.headers, parts.status);
            self.sign(Message::Response { headers, request: Some(request), status }, origin, &components, now)?
        };
        self.add(&mut parts.headers, fields)
    }

    fn add_digest(&self, headers: &mut HeaderMap, content: &[u8]) {
        if !content.is_empty() && Content::compare(headers, content) != Content::Verified {
            headers.insert(CONTENT_DIGEST, self.digest.content_digest(content));
        }
    }

    /// The values of the two fields.
    fn sign(
        &self,
        message: Message<'_>,
        origin: &Origin,
        components: &[Component],
        now: UnixTime,
    ) -> Result<[HeaderValue; 2], SigningError> {
        let names: Vec<_> = components.iter().map(Component::to_string).collect();
        let parameters = format!("({}){}", names.join(" "), self.parameters(now)?);
        let base = Values::own(message, &self.types).base(components, &parameters, std::slice::from_ref(origin));
        let absent = |_| SigningError::of("a component that is to be covered is absent, or is not ASCII");
        let base = base.map_err(absent)?.into_text();
        let failed = |error| SigningError::of("the key cannot be used").because(error);
        let signature = STANDARD.encode(self.key.sign(base.as_bytes()).map_err(failed)?);
        let value = |text: String| {
            HeaderValue::try_from(text).map_err(|_| SigningError::of("the id of the key is not visible ASCII"))
        };
        Ok([value(format!("{}={parameters}", self.label))?, value(format!("{}=:{signature}:", self.label))?])
    }

    fn parameters(&self, now: UnixTime) -> Result<String, SigningError> {
        let text = |value: &str| {
            let value = StringRef::from_str(value).map_err(|_| SigningError::of("the id of the key is not ASCII"))?;
            Ok::<_, SigningError>(ItemSerializer::new().bare_item(value).finish())
        };
        let mut parameters = format!(";created={now}");
        if let Some(time) = self.expires {
            parameters.push_str(&format!(";expires={}", now + time));
        }
        parameters.push_str(&format!(";keyid={}", text(self.key.key_id())?));
        if self.nonce == Nonce::Random {
            let mut bytes = [0; 16];
            getrandom::fill(&mut bytes).map_err(|_| SigningError::of("the system's random generator failed"))?;
            parameters.push_str(&format!(";nonce=\"{}\"", URL_SAFE_NO_PAD.encode(bytes)));
        }
        if let Some(tag) = &self.tag {
            parameters.push_str(&format!(";tag={}", text(tag)?));
        }
        Ok(parameters)
    }

    /// Adds the fields to those of other signatures.
    fn add(&self, headers: &mut HeaderMap, [input, signature]: [HeaderValue; 2]) -> Result<(), SigningError> {
        match input::labels(headers) {
            None => return Err(SigningError::of("the signatures of the message are malformed")),
            Some(taken) if taken.iter().any(|label| **label == *self.label) => {
                return Err(SigningError::of("the message has a signature with this label"));
            }
            Some(_) => {}
        }
        headers.append(SIGNATURE_INPUT, input);
        headers.append(SIGNATURE, signature);
        Ok(())
    }
}

/// Adds the fields that a signature covers if the message has them.
fn cover_fields(components: &mut Vec<Component>, headers: &HeaderMap, content: &[u8]) {
    let of_content: &[HeaderName] = if content.is_empty() { &[] } else { &REPRESENTATION };
    for name in CREDENTIALS.iter().chain(of_content).filter(|name| headers.contains_key(*name)) {
        if !components.iter().any(|component| component.is_whole_field(name)) {
            components.push(parsed(name.as_str()));
        }
    }
}

fn cover_content(components: &mut Vec<Component>, content: &[u8]) {
    if !content.is_empty() && !covers_content(components) {
        components.push(parsed("content-digest"));
    }
}

fn parsed(component: &str) -> Component {
    component.parse().expect("a component of RFC 9421")
}
