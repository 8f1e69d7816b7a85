use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use http::{HeaderName, Uri, request, response};

use super::{
    algorithm::SignatureAlgorithm,
    candidate::{self, Received},
    component::{Component, Kind},
    content_digest::Content,
    field_type::FieldType,
    input,
    message::{Message, RequestHead},
    origin::{Origin, origin_form},
    policy::{SignaturePolicy, refused},
    requirement::Required,
};
use crate::{error::ConfigError, jwt::VerifyingKey, reason::Reason, time::UnixTime};

/// Verifies the signatures of responses, for clients.
///
/// By default, a signature covers `@status`, `@method` and `@target-uri` of the request, and `content-digest` if there is
/// content. So that it is no response to another request, it covers the first signature of a signed request, or else the
/// `content-digest` of a request that has one ([RFC 9421 §2.4](https://www.rfc-editor.org/rfc/rfc9421#section-2.4)): pass the
/// request as it was sent. A request without both should be signed if it is not always the same: for 300 seconds after
/// `created`, a response can be replayed to another request with this method and target.
///
/// # Examples
///
/// ```
/// use http::{Request, Response};
/// use tower_warden::{
///     Reason, UnixTime,
///     jwt::Algorithm,
///     signature::{MessageSigner, ResponseVerifier},
///     testing::SigningKey,
/// };
///
/// let key = SigningKey::named(Algorithm::EdDSA, "server-2026");
/// let (signer, now) = (MessageSigner::new(key.clone()), UnixTime::from_secs(1_800_000_000));
/// let (request, ()) = Request::get("https://api.example.com/balance").body(())?.into_parts();
/// let (mut response, content) = Response::new("12 EUR").into_parts();
/// signer.sign_response(&mut response, content.as_bytes(), &request, now)?;
///
/// let verifier = ResponseVerifier::new([("server-2026", key.verifying_key())]);
/// assert_eq!(verifier.verify(&response, b"12 EUR", &request, now), Ok(()));
/// assert_eq!(verifier.verify(&response, b"99 EUR", &request, now), Err(Reason::SIGNATURE_CONTENT_CHANGED));
/// let (other, ()) = Request::get("https://api.example.com/debts").body(())?.into_parts();
/// assert_eq!(verifier.verify(&response, b"12 EUR", &other, now), Err(Reason::SIGNATURE_WRONG));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct ResponseVerifier {
    keys: HashMap<Box<str>, Arc<VerifyingKey>>,
    policy: SignaturePolicy,
    /// `None` for the defaults, which depend on the request.
    required: Option<Vec<Component>>,
}

/// The components that a signature covers by default, besides the one that binds the response to its request.
const DEFAULT: [&str; 3] = ["@status", "\"@method\";req", "\"@target-uri\";req"];

impl ResponseVerifier {
    /// Accepts signatures of these keys, by the values of `keyid`.
    pub fn new<I: Into<Box<str>>, K: Into<Arc<VerifyingKey>>>(keys: impl IntoIterator<Item = (I, K)>) -> Self {
        // The origin is that of each request.
        let origin = Origin::of(&Uri::from_static("https://localhost")).expect("it is an absolute URI");
        let mut policy = SignaturePolicy::of(origin);
        policy.replay = None;
        let keys = keys.into_iter().map(|(id, key)| (id.into(), key.into())).collect();
        Self { keys, policy, required: None }
    }

    /// Sets the components that a signature must cover, instead of the status, the method and target of the request, and its
    /// signatures or digest.
    ///
    /// # Errors
    ///
    /// If one is not a component, or is there twice, or if `@status` is missing.
    pub fn components<'a>(mut self, components: impl IntoIterator<Item = &'a str>) -> Result<Self, ConfigError> {
        let components = Component::parse_all(components)?;
        if !components.iter().any(|component| component.is(&Kind::Status)) {
            return Err(refused("a signature of a response covers `@status`"));
        }
        self.required = Some(components);
        Ok(self)
    }

    /// Sets for how long a signature is accepted after `created`, in whole seconds: 300 by default.
    ///
    /// # Errors
    ///
    /// If it is more than 24 hours.
    pub fn max_age(mut self, age: Duration) -> Result<Self, ConfigError> {
        self.policy = self.policy.max_age(age)?;
        Ok(self)
    }

    /// Sets by how much the clock of the server may be ahead, in whole seconds: 60 by default.
    ///
    /// # Errors
    ///
    /// If it is more than 300 seconds.
    pub fn skew(mut self, skew: Duration) -> Result<Self, ConfigError> {
        self.policy = self.policy.skew(skew)?;
        Ok(self)
    }

    /// Sets the allowed algorithms of keys: all by default.
    ///
    /// # Errors
    ///
    /// If the list is empty.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = SignatureAlgorithm>) -> Result<Self, ConfigError> {
        self.policy = self.policy.algorithms(algorithms)?;
        Ok(self)
    }

    /// Declares the type of a structured field: see [`SignaturePolicy::structured_field`].
    pub fn structured_field(mut self, name: HeaderName, field_type: FieldType) -> Self {
        self.policy = self.policy.structured_field(name, field_type);
        self
    }

    /// Sets the tag that a signature needs.
    ///
    /// # Errors
    ///
    /// If it has a character that is not visible ASCII or a space.
    pub fn tag(mut self, tag: impl Into<Box<str>>) -> Result<Self, ConfigError> {
        self.policy = self.policy.tag(tag)?;
        Ok(self)
    }

    /// Verifies a response with its content, to a request with an absolute URI.
    ///
    /// # Errors
    ///
    /// The reason why no signature is valid.
    pub fn verify(
        &self,
        response: &response::Parts,
        content: &[u8],
        request: &request::Parts,
        now: UnixTime,
    ) -> Result<(), Reason> {
        let (origin, uri) = (Origin::of(&request.uri), origin_form(&request.uri));
        let request = origin.as_ref().map(|_| {
            let (headers, method) = (&request.headers, &request.method);
            RequestHead { headers, method, prefix: "", uri: &uri }
        });
        let (headers, status) = (&response.headers, response.status);
        let content = Some(Content::compare(headers, content));
        let received = Received { content, credential: &[], headers, now: Some(now) };
        let message = Message::Response { headers, request, status };
        let (origins, required) = (Vec::from_iter(origin), Required::Only(self.required(request)));
        let policy = SignaturePolicy { origins, required, ..self.policy.clone() };
        let mut failure = None;
        let candidates = candidate::select_from(&policy, &received, message)?;
        for candidate in candidates.iter().filter(|candidate| candidate.shortfall.is_none()) {
            let key = self.keys.get(&candidate.key_id).ok_or(Reason::SIGNATURE_KEY_UNKNOWN);
            match key.and_then(|key| candidate.verify(&policy, key, now)) {
                Ok(()) => return Ok(()),
                Err(reason) => failure = failure.or(Some(reason)),
            }
        }
        Err(failure.unwrap_or(Reason::SIGNATURE_KEY_UNKNOWN))
    }
}

impl ResponseVerifier {
    fn required(&self, request: Option<RequestHead<'_>>) -> Vec<Component> {
        if let Some(required) = &self.required {
            return required.clone();
        }
        let parsed = |text: &str| text.parse().expect("a component of RFC 9421");
        let binding = request.and_then(|request| input::binding(request.headers));
        DEFAULT.into_iter().map(parsed).chain(binding).collect()
    }
}

impl fmt::Debug for ResponseVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ids: Vec<_> = self.keys.keys().collect();
        ids.sort();
        f.debug_struct("ResponseVerifier").field("keys", &ids).field("policy", &self.policy).finish()
    }
}
