use std::{fmt, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

use super::{
    fields::is_id,
    key::PayloadKey,
    scheme::{Format, PairNames, PayloadScheme, SignatureEncoding, TimestampField, TimestampUnit, refused},
    template::{Values, target},
};
use crate::{
    digest::hex,
    error::{ConfigError, Unavailable},
    time::Timestamp,
};

/// Signs payloads with a [scheme](PayloadScheme): the sender's side of webhooks, and of requests with a shared secret.
///
/// Where the signature's field has a list, further keys add further signatures: while a secret is rotated, receivers verify
/// either of the two. See the [module docs](super) for an example.
#[derive(Clone)]
pub struct PayloadSigner {
    scheme: PayloadScheme,
    keys: Vec<SigningKey>,
}

#[derive(Clone)]
enum SigningKey {
    Ed25519(Arc<dyn Fn(&[u8]) -> Result<[u8; 64], Unavailable> + Send + Sync>),
    Secret(PayloadKey),
}

impl PayloadSigner {
    /// A signer with a secret.
    ///
    /// # Errors
    ///
    /// If the key is a public one, or of a form that the scheme does not use, or if the scheme is incomplete.
    pub fn new(scheme: PayloadScheme, secret: PayloadKey) -> Result<Self, ConfigError> {
        scheme.check()?;
        Self { scheme, keys: Vec::new() }.and(secret)
    }

    /// A signer with a private Ed25519 key, which this function signs with: it returns the signature of a message.
    ///
    /// # Errors
    ///
    /// If the scheme has no Ed25519 signatures, as Stripe's and Paddle's, or is incomplete.
    pub fn ed25519(
        scheme: PayloadScheme,
        sign: impl Fn(&[u8]) -> Result<[u8; 64], Unavailable> + Send + Sync + 'static,
    ) -> Result<Self, ConfigError> {
        scheme.check()?;
        Self { scheme, keys: Vec::new() }.and_ed25519(sign)
    }

    /// Adds a signature with another secret.
    ///
    /// # Errors
    ///
    /// If the field has one signature only, and those of [`new`](Self::new).
    pub fn and(self, secret: PayloadKey) -> Result<Self, ConfigError> {
        if secret.is_public() {
            return Err(refused("a payload is signed with a secret, or with a private Ed25519 key"));
        }
        self.scheme.check_key(&secret)?;
        self.with(SigningKey::Secret(secret))
    }

    /// Adds a signature with a private Ed25519 key.
    ///
    /// # Errors
    ///
    /// If the field has one signature only, and those of [`ed25519`](Self::ed25519).
    pub fn and_ed25519(
        self,
        sign: impl Fn(&[u8]) -> Result<[u8; 64], Unavailable> + Send + Sync + 'static,
    ) -> Result<Self, ConfigError> {
        if matches!(self.scheme.format, Format::Pairs(_)) {
            return Err(refused("signatures of Stripe and Paddle are made with secrets"));
        }
        self.with(SigningKey::Ed25519(Arc::new(sign)))
    }

    fn with(mut self, key: SigningKey) -> Result<Self, ConfigError> {
        if !self.keys.is_empty() && matches!(self.scheme.format, Format::Single { .. }) {
            return Err(refused("the signature field of the scheme has one signature"));
        }
        self.keys.push(key);
        Ok(self)
    }

    /// Returns whether the scheme requires an id.
    #[must_use]
    pub fn requires_id(&self) -> bool {
        self.scheme.covers_id()
    }

    /// Signs a payload, and returns the header fields of its request.
    ///
    /// # Errors
    ///
    /// If the scheme requires an id and the payload has none, or one that is not 1 to 256 visible ASCII characters without the
    /// character that follows it in the template; if a body of [`discord`](PayloadScheme::discord) is empty or begins with a
    /// digit; and if a private key cannot be used.
    pub fn sign(&self, payload: &Payload<'_>) -> Result<HeaderMap, PayloadSigningError> {
        let scheme = &self.scheme;
        let id = payload.id.filter(|_| scheme.id.is_some());
        if id.is_some_and(|id| !is_id(id)) {
            return Err(PayloadSigningError(Cause::Id));
        }
        let number = match &scheme.timestamp {
            Some(TimestampField::Field(_, TimestampUnit::Milliseconds)) => payload.timestamp.as_millis(),
            _ => payload.timestamp.seconds().as_secs(),
        };
        let timestamp = number.to_string();
        let target = target(payload.uri);
        let values = Values { id, method: payload.method.as_str(), target: &target, timestamp: Some(&timestamp) };
        let covered = scheme.template.render(&values).ok_or(PayloadSigningError(Cause::Id))?;
        if !scheme.template.separation().permits(payload.body) {
            return Err(PayloadSigningError(Cause::Body));
        }
        let mut headers = HeaderMap::new();
        let mut insert = |name: &HeaderName, value: &str| {
            let value = HeaderValue::from_str(value).map_err(|_| PayloadSigningError(Cause::Id))?;
            headers.insert(name, value);
            Ok(())
        };
        insert(&scheme.signature, &self.field(&timestamp, &covered, payload.body)?)?;
        if let Some(TimestampField::Field(name, _)) = &scheme.timestamp {
            insert(name, &timestamp)?;
        }
        if let (Some(name), Some(id)) = (&scheme.id, id) {
            insert(name, id)?;
        }
        Ok(headers)
    }

    /// The value of the signature's field.
    fn field(&self, timestamp: &str, covered: &[u8], body: &[u8]) -> Result<String, PayloadSigningError> {
        let mut signatures = Vec::with_capacity(self.keys.len());
        for key in &self.keys {
            signatures.push(match key {
                SigningKey::Ed25519(sign) => {
                    let message = [covered, body].concat();
                    ("v1a", sign(&message).map_err(|error| PayloadSigningError(Cause::Key(error)))?.to_vec())
                }
                SigningKey::Secret(key) => {
                    let tag = key.tag(covered, body).expect("`and` refuses public keys");
                    ("v1", tag.as_bytes().to_vec())
                }
            });
        }
        let signatures = signatures.iter();
        Ok(match &self.scheme.format {
            Format::List => {
                let items = signatures.map(|(version, bytes)| format!("{version},{}", BASE64_STANDARD.encode(bytes)));
                items.collect::<Vec<_>>().join(" ")
            }
            Format::Pairs(PairNames { timestamp: name, mac, separator }) => {
                let items = signatures.map(|(_, bytes)| format!("{mac}={}", hex(bytes)));
                let pairs = [format!("{name}={timestamp}")].into_iter().chain(items);
                pairs.collect::<Vec<_>>().join(separator.encode_utf8(&mut [0; 4]))
            }
            Format::Single { prefix, encoding } => {
                let items = signatures.map(|(_, bytes)| match encoding {
                    SignatureEncoding::Base64 => BASE64_STANDARD.encode(bytes),
                    SignatureEncoding::Hex => hex(bytes),
                });
                format!("{prefix}{}", items.collect::<String>())
            }
        })
    }
}

impl fmt::Debug for PayloadSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PayloadSigner").field("scheme", &self.scheme.name).finish_non_exhaustive()
    }
}

/// A request that is signed.
///
/// Its [`Debug`](fmt::Debug) shows the size of the body, not its bytes.
#[derive(Clone, Copy)]
pub struct Payload<'a> {
    body: &'a [u8],
    id: Option<&'a str>,
    method: &'a Method,
    timestamp: Timestamp,
    uri: &'a Uri,
}

impl<'a> Payload<'a> {
    /// A body that is sent to this URI by this method, at this time.
    #[must_use]
    pub const fn new(method: &'a Method, uri: &'a Uri, body: &'a [u8], timestamp: Timestamp) -> Self {
        Self { body, id: None, method, timestamp, uri }
    }

    /// Sets the id of the message, which is the same when the message is sent again.
    #[must_use]
    pub const fn id(mut self, id: &'a str) -> Self {
        self.id = Some(id);
        self
    }
}

impl fmt::Debug for Payload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payload").field("bytes", &self.body.len()).field("id", &self.id).finish_non_exhaustive()
    }
}

/// A payload that could not be signed.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct PayloadSigningError(Cause);

#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error("a body after a timestamp does not begin with a digit, and is not empty")]
    Body,
    #[error("the scheme requires an id of visible ASCII characters, without the one that follows it")]
    Id,
    #[error("the private key cannot be used")]
    Key(#[source] Unavailable),
}
