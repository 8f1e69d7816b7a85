use http::HeaderName;

use super::template::{Placeholder, Template};
use crate::error::{ConfigError, ConfigErrorKind};

/// The header fields of a signature, and the bytes that it covers.
///
/// [`custom`](Self::custom) declares a scheme; the other constructors are those of common senders. See the
/// [module docs](super) for the table.
///
/// # Examples
///
/// ```
/// use http::HeaderName;
/// use tower_warden::signature::payload::{PayloadScheme, SignatureEncoding, TimestampUnit};
///
/// let signature = HeaderName::from_static("x-acme-signature");
/// let scheme = PayloadScheme::custom(signature.clone(), "{id}:{timestamp}:{body}")?
///     .id(HeaderName::from_static("x-acme-delivery"))
///     .timestamp(HeaderName::from_static("x-acme-time"), TimestampUnit::Milliseconds)
///     .encoding(SignatureEncoding::Base64)?
///     .prefix("v1=")?;
///
/// // Where the values are not separated, two requests have one signature.
/// assert!(PayloadScheme::custom(signature, "{timestamp}{body}").is_err());
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct PayloadScheme {
    pub(super) name: &'static str,
    pub(super) signature: HeaderName,
    pub(super) format: Format,
    pub(super) timestamp: Option<TimestampField>,
    pub(super) id: Option<HeaderName>,
    pub(super) template: Template,
    pub(super) is_timeless: bool,
}

/// The form of the signature's header field.
#[derive(Clone, Debug)]
pub(super) enum Format {
    /// `v1,<base64> v1a,<base64>`: Standard Webhooks.
    List,
    /// `t=<seconds>,v1=<hex>`: Stripe, and others with other names.
    Pairs(PairNames),
    /// One signature after a fixed text.
    Single { prefix: Box<str>, encoding: SignatureEncoding },
}

/// The names of the pairs in a field, and the character between them.
#[derive(Clone, Copy, Debug)]
pub(super) struct PairNames {
    pub(super) timestamp: &'static str,
    pub(super) mac: &'static str,
    pub(super) separator: char,
}

/// The location of the timestamp.
#[derive(Clone, Debug)]
pub(super) enum TimestampField {
    Field(HeaderName, TimestampUnit),
    InSignature,
}

/// The encoding of a signature in its header field.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum SignatureEncoding {
    /// Base64 with padding ([RFC 4648 §4](https://www.rfc-editor.org/rfc/rfc4648#section-4)).
    Base64,
    /// Hexadecimal digits: lower-case ones are written, either case is read.
    Hex,
}

/// The unit of a timestamp, which is a decimal number since the Unix epoch.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum TimestampUnit {
    /// Milliseconds.
    Milliseconds,
    /// Seconds.
    Seconds,
}

impl PayloadScheme {
    /// `X-Timestamp` in seconds and `X-Signature: <hex>` over `<timestamp>.<body>`.
    #[must_use]
    pub fn timestamped() -> Self {
        Self::single("timestamped", "x-signature", "", "{timestamp}.{body}")
            .timestamp(HeaderName::from_static("x-timestamp"), TimestampUnit::Seconds)
    }

    /// `X-Timestamp` in seconds and `X-Signature: <hex>` over timestamp, method, path with query, and body, with a line break
    /// (`\n`) between them.
    ///
    /// Two equal requests of one second have one signature, and the second one is refused as replayed. Where clients send such
    /// requests, declare a [`timestamp`](Self::timestamp) in milliseconds, or a [`custom`](Self::custom) scheme with an `{id}`.
    #[must_use]
    pub fn timestamped_request() -> Self {
        Self::single("timestamped_request", "x-signature", "", "{timestamp}\n{method}\n{target}\n{body}")
            .timestamp(HeaderName::from_static("x-timestamp"), TimestampUnit::Seconds)
    }

    /// A signature in hexadecimal digits in this header field, over the bytes that a template describes.
    ///
    /// The template ends with `{body}`. Before it, `{id}` and `{timestamp}` are the values of header fields, `{method}` is the
    /// request's method, and `{target}` its path with the query. A request whose id contains the character that follows
    /// `{id}` is refused.
    ///
    /// # Errors
    ///
    /// If the template has something else in braces, a value twice, or a value that is not separated from what follows.
    pub fn custom(signature: HeaderName, template: &str) -> Result<Self, ConfigError> {
        let format = Format::Single { prefix: Box::default(), encoding: SignatureEncoding::Hex };
        let template = Template::parse(template)?;
        Ok(Self { name: "custom", signature, format, timestamp: None, id: None, template, is_timeless: false })
    }

    pub(super) fn single(name: &'static str, signature: &'static str, prefix: &str, template: &str) -> Self {
        let template = Template::parse(template).expect("the templates of this crate are valid");
        let format = Format::Single { prefix: prefix.into(), encoding: SignatureEncoding::Hex };
        let signature = HeaderName::from_static(signature);
        Self { name, signature, format, timestamp: None, id: None, template, is_timeless: false }
    }

    /// Sets the encoding of the signature.
    ///
    /// # Errors
    ///
    /// If the field has a list of signatures, whose encoding is fixed.
    pub fn encoding(mut self, new: SignatureEncoding) -> Result<Self, ConfigError> {
        let (_, encoding) = self.single_format()?;
        *encoding = new;
        Ok(self)
    }

    /// Sets the text before the signature, such as `sha256=`.
    ///
    /// # Errors
    ///
    /// If the field has a list of signatures, whose form is fixed.
    pub fn prefix(mut self, new: &str) -> Result<Self, ConfigError> {
        let (prefix, _) = self.single_format()?;
        *prefix = new.into();
        Ok(self)
    }

    /// Sets the header field of the request's id, which is unique to a message. It is required if the template has `{id}`.
    #[must_use]
    pub fn id(mut self, field: HeaderName) -> Self {
        self.id = Some(field);
        self
    }

    /// Sets the header field of the timestamp, which the template must cover.
    #[must_use]
    pub fn timestamp(mut self, field: HeaderName, unit: TimestampUnit) -> Self {
        self.timestamp = Some(TimestampField::Field(field, unit));
        self
    }

    /// Accepts signatures without a timestamp. An attacker who has recorded a request can send it again as soon as its record
    /// has expired: see [`replay_window`](crate::signature::webhook::WebhookVerifier::replay_window).
    #[must_use]
    pub const fn danger_without_timestamp(mut self) -> Self {
        self.is_timeless = true;
        self
    }
}

impl PayloadScheme {
    fn single_format(&mut self) -> Result<(&mut Box<str>, &mut SignatureEncoding), ConfigError> {
        match &mut self.format {
            Format::Single { prefix, encoding } => Ok((prefix, encoding)),
            Format::List | Format::Pairs(_) => {
                Err(refused("the form of the signatures of this scheme is fixed").value(self.name))
            }
        }
    }

    /// Refuses a scheme whose fields and template do not agree.
    pub(in crate::signature) fn check(&self) -> Result<(), ConfigError> {
        let covers_timestamp = self.template.covers(Placeholder::Timestamp);
        match &self.timestamp {
            Some(_) if !covers_timestamp => Err(refused("a template with a timestamp field has `{timestamp}`")),
            None if covers_timestamp => Err(refused("a template with `{timestamp}` needs a timestamp field")),
            None if !self.is_timeless => Err(refused(
                "a signature covers a timestamp: `{timestamp}` in the template, and its field; without one, \
                 recorded requests are valid forever: see `danger_without_timestamp`",
            )),
            _ if self.covers_id() && self.id.is_none() => Err(refused("a template with `{id}` needs an id field")),
            _ => Ok(()),
        }
    }

    /// Returns whether the signature covers the id.
    pub(in crate::signature) fn covers_id(&self) -> bool {
        self.template.covers(Placeholder::Id)
    }

    /// Returns whether the signature covers what the request asks for: time, method and target.
    pub(in crate::signature) fn covers_request(&self) -> bool {
        [Placeholder::Method, Placeholder::Target, Placeholder::Timestamp]
            .into_iter()
            .all(|placeholder| self.template.covers(placeholder))
    }

    pub(in crate::signature) const fn has_timestamp(&self) -> bool {
        self.timestamp.is_some()
    }

    pub(in crate::signature) const fn name(&self) -> &'static str {
        self.name
    }
}

pub(super) fn refused(message: &'static str) -> ConfigError {
    ConfigError::new(ConfigErrorKind::PayloadSignature, message)
}
