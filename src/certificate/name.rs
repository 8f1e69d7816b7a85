//! The names of certificates.

#[cfg(feature = "serde")]
use std::borrow::Cow;
use std::fmt::Write;

use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use crate::digest::{Digest, hex};

/// A name that identifies a certificate's holder, or the thumbprint of the certificate.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct CertificateName(Kind);

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Kind {
    Dns(Box<str>),
    Email(Box<str>),
    Subject(Box<str>),
    Thumbprint(Digest),
    Uri(Box<str>),
}

impl CertificateName {
    /// A host name among the subject's alternative names, compared without regard to case. `*` is not a wildcard.
    #[must_use]
    pub fn dns(name: impl AsRef<str>) -> Self {
        Self(Kind::Dns(name.as_ref().to_ascii_lowercase().into()))
    }

    /// An email address among the subject's alternative names, compared byte for byte.
    #[must_use]
    pub fn email(address: impl Into<Box<str>>) -> Self {
        Self(Kind::Email(address.into()))
    }

    /// The subject's whole distinguished name, compared byte for byte.
    ///
    /// It has the form of [RFC 4514](https://www.rfc-editor.org/rfc/rfc4514), which
    /// `openssl x509 -noout -subject -nameopt RFC2253` prints: `CN=agent-7,O=Acme,C=DE`. Attributes without a short name in
    /// [RFC 4514 §3](https://www.rfc-editor.org/rfc/rfc4514#section-3) are written with their object identifier and their
    /// value in hexadecimal.
    #[must_use]
    pub fn subject(name: impl Into<Box<str>>) -> Self {
        Self(Kind::Subject(name.into()))
    }

    /// The SHA-256 thumbprint of the certificate's DER encoding.
    #[must_use]
    pub const fn thumbprint(thumbprint: Digest) -> Self {
        Self(Kind::Thumbprint(thumbprint))
    }

    /// A URI among the subject's alternative names, compared byte for byte.
    ///
    /// A SPIFFE ID matches only if it is the certificate's only URI.
    #[must_use]
    pub fn uri(uri: impl Into<Box<str>>) -> Self {
        Self(Kind::Uri(uri.into()))
    }

    pub(super) fn as_dns(&self) -> Option<&str> {
        match &self.0 {
            Kind::Dns(name) => Some(name),
            Kind::Email(_) | Kind::Subject(_) | Kind::Thumbprint(_) | Kind::Uri(_) => None,
        }
    }

    pub(super) fn as_email(&self) -> Option<&str> {
        match &self.0 {
            Kind::Email(address) => Some(address),
            Kind::Dns(_) | Kind::Subject(_) | Kind::Thumbprint(_) | Kind::Uri(_) => None,
        }
    }

    pub(super) const fn as_thumbprint(&self) -> Option<&Digest> {
        match &self.0 {
            Kind::Thumbprint(thumbprint) => Some(thumbprint),
            Kind::Dns(_) | Kind::Email(_) | Kind::Subject(_) | Kind::Uri(_) => None,
        }
    }

    pub(super) fn as_uri(&self) -> Option<&str> {
        match &self.0 {
            Kind::Uri(uri) => Some(uri),
            Kind::Dns(_) | Kind::Email(_) | Kind::Subject(_) | Kind::Thumbprint(_) => None,
        }
    }
}

/// The form of a name in configurations: an object with one member, whose name is the kind.
#[cfg(feature = "serde")]
#[derive(serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
enum NameRecord<'a> {
    Dns(Cow<'a, str>),
    Email(Cow<'a, str>),
    Subject(Cow<'a, str>),
    Thumbprint(Cow<'a, str>),
    Uri(Cow<'a, str>),
}

/// As an object with one member: `{"dns": "agent-7.example.com"}`, with `email`, `subject`, `thumbprint` (in base64url) or `uri`
/// for the other kinds.
#[cfg(feature = "serde")]
impl serde::Serialize for CertificateName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let record = match &self.0 {
            Kind::Dns(name) => NameRecord::Dns((&**name).into()),
            Kind::Email(address) => NameRecord::Email((&**address).into()),
            Kind::Subject(name) => NameRecord::Subject((&**name).into()),
            Kind::Thumbprint(thumbprint) => NameRecord::Thumbprint(thumbprint.to_base64url().into()),
            Kind::Uri(uri) => NameRecord::Uri((&**uri).into()),
        };
        record.serialize(serializer)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for CertificateName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match NameRecord::deserialize(deserializer)? {
            NameRecord::Dns(name) => Self::dns(name),
            NameRecord::Email(address) => Self::email(address),
            NameRecord::Subject(name) => Self::subject(name),
            NameRecord::Thumbprint(text) => {
                let thumbprint = Digest::from_base64url(&text);
                let refused = || serde::de::Error::custom("a thumbprint is 43 characters of canonical base64url");
                Self::thumbprint(thumbprint.ok_or_else(refused)?)
            }
            NameRecord::Uri(uri) => Self::uri(uri),
        })
    }
}

/// Formats a distinguished name by RFC 4514 §2. The parser's own formatting does not escape values: a comma in one value
/// would look like the start of the next attribute.
pub(super) fn distinguished(name: &X509Name<'_>) -> Box<str> {
    let parts: Vec<_> = name.iter_rdn().map(|part| part.iter().map(attribute).collect::<Vec<_>>().join("+")).collect();
    // RFC 4514 §2.1: in reverse order.
    parts.into_iter().rev().collect::<Vec<_>>().join(",").into()
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let number = attribute.attr_type().to_id_string();
    let short = SHORT_NAMES.iter().find(|(known, _)| *known == number).map(|(_, short)| *short);
    match (short, attribute.as_str()) {
        (Some(short), Ok(value)) => format!("{short}={}", escaped(value)),
        // RFC 4514 §2.4: `#`, and the encoded value in hexadecimal.
        (short, _) => {
            let value = attribute.attr_value();
            let (tag, bytes) = (value.header.tag().0, value.data);
            format!("{}=#{tag:02x}{}{}", short.unwrap_or(&number), length(bytes.len()), hex(bytes))
        }
    }
}

/// Escapes a value by RFC 4514 §2.4.
fn escaped(value: &str) -> String {
    let last = value.chars().count().saturating_sub(1);
    let mut text = String::with_capacity(value.len());
    for (index, c) in value.chars().enumerate() {
        match c {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => text.extend(['\\', c]),
            ' ' if index == 0 || index == last => text.push_str("\\ "),
            '#' if index == 0 => text.push_str("\\#"),
            c if c.is_ascii_control() => {
                let _ = write!(text, "\\{:02X}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text
}

/// The DER encoding of a length, in hexadecimal.
fn length(bytes: usize) -> String {
    if bytes < 128 {
        return format!("{bytes:02x}");
    }
    let octets = bytes.to_be_bytes();
    let octets: Vec<_> = octets.into_iter().skip_while(|octet| *octet == 0).collect();
    format!("{:02x}{}", 0x80 + octets.len(), hex(&octets))
}

/// The short names of attributes, RFC 4514 §3.
const SHORT_NAMES: [(&str, &str); 9] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
];
