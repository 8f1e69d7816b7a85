//! The header fields of a signature, read strictly.

use std::sync::Arc;

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderName};
use sha2::{Digest as _, Sha256};

use super::{
    key::PayloadKey,
    scheme::{Format, PairNames, PayloadScheme, SignatureEncoding, TimestampField, TimestampUnit},
    template::{Covered, Placeholder, Separation, Values, target},
};
use crate::{auth::Few, digest::Digest, reason::Reason, request::Head, scheme::all_bytes, time::UnixTime};

/// The longest header field of a signature, in bytes.
const MAX_FIELD: usize = 4096;

/// The longest id, in bytes.
const MAX_ID: usize = 256;

/// The largest number of signatures of a request: each costs a verification.
const MAX_SIGNATURES: usize = 8;

/// The signatures of a request, and what they cover besides the body.
pub(in crate::signature) struct SignatureFields {
    pub(in crate::signature) id: Option<Arc<str>>,
    pub(in crate::signature) timestamp: Option<UnixTime>,
    /// The covered bytes before the body.
    covered: Covered,
    signatures: Few<Signature>,
    has_covered_id: bool,
    separation: Separation,
}

/// A signature of a version that is supported.
enum Signature {
    Ed25519([u8; 64]),
    Mac(Digest),
}

impl SignatureFields {
    /// Reads the fields of a scheme. A field that is malformed is an error, never an absent one.
    pub(in crate::signature) fn read(scheme: &PayloadScheme, head: &Head<'_>) -> Result<Self, Reason> {
        let field = one(head.headers, &scheme.signature, Reason::PAYLOAD_SIGNATURE_SYNTAX)?;
        let field = field.ok_or(Reason::PAYLOAD_SIGNATURE_MISSING)?;
        if field.len() > MAX_FIELD {
            return Err(Reason::PAYLOAD_SIGNATURE_TOO_LONG);
        }
        let (in_signature, signatures) = match &scheme.format {
            Format::List => (None, list(field)?),
            Format::Pairs(names) => pairs(field, *names)?,
            Format::Single { prefix, encoding } => {
                let value = field.strip_prefix(&**prefix).ok_or(Reason::PAYLOAD_SIGNATURE_VERSION)?;
                (None, Few::One(decode(value, *encoding).ok_or(Reason::PAYLOAD_SIGNATURE_SYNTAX)?))
            }
        };
        match signatures.as_slice().len() {
            0 => return Err(Reason::PAYLOAD_SIGNATURE_VERSION),
            1..=MAX_SIGNATURES => {}
            _ => return Err(Reason::PAYLOAD_SIGNATURE_TOO_LONG),
        }
        let timestamp = match &scheme.timestamp {
            None => None,
            Some(TimestampField::InSignature) => Some((in_signature, TimestampUnit::Seconds)),
            Some(TimestampField::Field(name, unit)) => {
                Some((one(head.headers, name, Reason::PAYLOAD_TIMESTAMP_SYNTAX)?, *unit))
            }
        };
        let timestamp = match timestamp {
            None => None,
            Some((None, _)) => return Err(Reason::PAYLOAD_TIMESTAMP_MISSING),
            Some((Some(text), unit)) => Some((text, time(text, unit).ok_or(Reason::PAYLOAD_TIMESTAMP_SYNTAX)?)),
        };
        let id = match &scheme.id {
            None => None,
            Some(name) => one(head.headers, name, Reason::PAYLOAD_ID_SYNTAX)?,
        };
        if id.is_none() && scheme.covers_id() {
            return Err(Reason::PAYLOAD_ID_MISSING);
        }
        if id.is_some_and(|id| !is_id(id)) {
            return Err(Reason::PAYLOAD_ID_SYNTAX);
        }
        let target = if scheme.template.covers(Placeholder::Target) { target(head.original_uri()) } else { "".into() };
        let values =
            Values { id, method: head.method.as_str(), target: &target, timestamp: timestamp.map(|(text, _)| text) };
        // Of the values, only an id can contain what follows it.
        let covered = scheme.template.render(&values).ok_or(Reason::PAYLOAD_ID_SYNTAX)?;
        Ok(Self {
            id: id.map(Into::into),
            timestamp: timestamp.map(|(_, time)| time),
            covered,
            signatures,
            has_covered_id: scheme.covers_id() && timestamp.is_some(),
            separation: scheme.template.separation(),
        })
    }

    /// Verifies the signatures: one must be valid, by one of the keys.
    pub(in crate::signature) fn verify(&self, keys: &[PayloadKey], body: &[u8]) -> Option<Tags> {
        if !self.separation.permits(body) {
            return None;
        }
        let (mut tags, mut message) = (Tags::default(), None);
        let signatures = self.signatures.as_slice();
        let is_valid = keys.iter().any(|key| {
            let tag = key.tag(&self.covered, body);
            tags.0.push(tag);
            match tag {
                Some(tag) => signatures.iter().filter_map(Signature::mac).any(|mac| *mac == tag),
                None => signatures.iter().filter_map(Signature::ed25519).any(|signature| {
                    // Made once, and only where there is a signature for it.
                    let message = message.get_or_insert_with(|| [&*self.covered, body].concat());
                    key.verifies(message, signature)
                }),
            }
        });
        is_valid.then_some(tags)
    }

    /// The identity of a request among all, whatever key has signed it: its id and time, or everything that is covered.
    pub(in crate::signature) fn id(&self, body: &[u8]) -> Digest {
        let body = if self.has_covered_id { &body[..0] } else { body };
        Digest::from_bytes(Sha256::new().chain_update(&*self.covered).chain_update(body).finalize().into())
    }

    /// The identities of a request that was verified, among those with each of the keys, in their order: its mac by that key, for
    /// which a long body is not read again.
    ///
    /// It is recorded for all of them, and does not depend on which signature is valid: otherwise the request could be sent again
    /// with another one, or once the keys are in another order, or one of them is removed.
    pub(in crate::signature) fn ids(&self, keys: &[PayloadKey], body: &[u8], Tags(tags): &Tags) -> Few<Digest> {
        let mut ids = Few::default();
        let mut of_request = None;
        for (index, key) in keys.iter().enumerate() {
            let tag = match tags.as_slice().get(index) {
                _ if self.has_covered_id => None,
                Some(tag) => *tag,
                None => key.tag(&self.covered, body),
            };
            ids.push(tag.unwrap_or_else(|| *of_request.get_or_insert_with(|| self.id(body))));
        }
        ids
    }
}

/// The macs of a request by the keys that were tried; `None` for one by a public key.
#[derive(Default)]
pub(in crate::signature) struct Tags(Few<Option<Digest>>);

impl Signature {
    const fn ed25519(&self) -> Option<&[u8; 64]> {
        match self {
            Self::Ed25519(signature) => Some(signature),
            Self::Mac(_) => None,
        }
    }

    const fn mac(&self) -> Option<&Digest> {
        match self {
            Self::Ed25519(_) => None,
            Self::Mac(mac) => Some(mac),
        }
    }
}

/// The only value of a field; `None` if there is none.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName, malformed: Reason) -> Result<Option<&'a str>, Reason> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Reason::PAYLOAD_FIELD_REPEATED);
    }
    let is_text = all_bytes(value.as_bytes(), |byte| matches!(byte, b'\t' | b' '..=b'~'));
    let text = if is_text { std::str::from_utf8(value.as_bytes()).ok() } else { None };
    text.map(Some).ok_or(malformed)
}

/// `v1,<base64> v1a,<base64>`.
fn list(field: &str) -> Result<Few<Signature>, Reason> {
    let mut signatures = Few::default();
    for item in field.split(' ') {
        let (version, value) = item.split_once(',').ok_or(Reason::PAYLOAD_SIGNATURE_SYNTAX)?;
        let signature = match version {
            "v1" => mac_in_base64(value),
            "v1a" => ed25519_in_base64(value),
            "" => None,
            _ => continue,
        };
        signatures.push(signature.ok_or(Reason::PAYLOAD_SIGNATURE_SYNTAX)?);
    }
    Ok(signatures)
}

/// `t=<timestamp>,v1=<hex>`, with these names.
fn pairs(field: &str, names: PairNames) -> Result<(Option<&str>, Few<Signature>), Reason> {
    let (mut timestamp, mut signatures) = (None, Few::default());
    for item in field.split(names.separator) {
        match item.split_once('=').ok_or(Reason::PAYLOAD_SIGNATURE_SYNTAX)? {
            (name, _) if name == names.timestamp && timestamp.is_some() => return Err(Reason::PAYLOAD_FIELD_REPEATED),
            (name, value) if name == names.timestamp => timestamp = Some(value),
            (name, value) if name == names.mac => {
                let mac = Digest::from_hex(value).ok_or(Reason::PAYLOAD_SIGNATURE_SYNTAX)?;
                signatures.push(Signature::Mac(mac));
            }
            ("", _) => return Err(Reason::PAYLOAD_SIGNATURE_SYNTAX),
            _ => {}
        }
    }
    Ok((timestamp, signatures))
}

/// A signature by its length.
fn decode(value: &str, encoding: SignatureEncoding) -> Option<Signature> {
    match encoding {
        SignatureEncoding::Base64 => mac_in_base64(value).or_else(|| ed25519_in_base64(value)),
        SignatureEncoding::Hex => Digest::from_hex(value).map(Signature::Mac).or_else(|| ed25519_in_hex(value)),
    }
}

fn mac_in_base64(value: &str) -> Option<Signature> {
    // As many bytes as whole groups of base64 may need.
    let mut bytes = [0; 33];
    let length = BASE64_STANDARD.decode_slice(value, &mut bytes).ok()?;
    bytes[..length].try_into().ok().map(|bytes| Signature::Mac(Digest::from_bytes(bytes)))
}

fn ed25519_in_base64(value: &str) -> Option<Signature> {
    let mut bytes = [0; 66];
    let length = BASE64_STANDARD.decode_slice(value, &mut bytes).ok()?;
    bytes[..length].try_into().ok().map(Signature::Ed25519)
}

fn ed25519_in_hex(value: &str) -> Option<Signature> {
    let (one, other) = value.split_at_checked(64)?;
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(Digest::from_hex(one)?.as_bytes());
    bytes[32..].copy_from_slice(Digest::from_hex(other)?.as_bytes());
    Some(Signature::Ed25519(bytes))
}

/// A decimal number without a sign.
fn time(text: &str, unit: TimestampUnit) -> Option<UnixTime> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = text.parse().ok()?;
    Some(UnixTime::from_secs(match unit {
        TimestampUnit::Milliseconds => number / 1_000,
        TimestampUnit::Seconds => number,
    }))
}

/// Returns whether a text is 1 to 256 visible ASCII characters.
pub(super) fn is_id(text: &str) -> bool {
    (1..=MAX_ID).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}
