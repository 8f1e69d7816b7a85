//! The fields `Signature-Input` and `Signature`, RFC 9421 §4.

use std::{borrow::Cow, error::Error, fmt};

use http::{HeaderMap, HeaderName};
use sfv::{
    Dictionary, InnerList, KeyRef, ListEntry, ListSerializer, Parser,
    visitor::{DictionaryVisitor, EntryVisitor},
};

use super::{canonical, component::Component, content_digest::CONTENT_DIGEST, message::combined};
use crate::{reason::Reason, time::UnixTime};

pub(super) const SIGNATURE: HeaderName = HeaderName::from_static("signature");
pub(super) const SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");

/// The longest value of each of the two fields, in bytes.
pub(super) const MAX_LENGTH: usize = 16 * 1024;

/// The largest number of signatures of a message.
pub(super) const MAX_SIGNATURES: usize = 8;

/// The largest number of components that a signature covers.
pub(super) const MAX_COMPONENTS: usize = 32;

/// The longest `keyid` and `nonce`, in bytes.
pub(super) const MAX_TEXT: usize = 256;

/// One signature of a message, which is not verified.
pub(super) struct ClaimedSignature<'a> {
    pub(super) components: Vec<Component>,
    pub(super) parameters: Parameters,
    /// The components and the parameters: the value of `@signature-params`.
    pub(super) parameters_text: Cow<'a, str>,
    pub(super) signature: Vec<u8>,
}

/// The parameters that RFC 9421 §2.3 defines; others are covered by the signature, and have no effect.
#[derive(Default)]
pub(super) struct Parameters {
    pub(super) algorithm: Option<Box<str>>,
    pub(super) created: Option<UnixTime>,
    pub(super) expires: Option<UnixTime>,
    pub(super) key_id: Option<Box<str>>,
    pub(super) nonce: Option<Box<str>>,
    pub(super) tag: Option<Box<str>>,
}

/// Returns whether a message has signatures, or a part of them.
pub(super) fn is_signed(headers: &HeaderMap) -> bool {
    headers.contains_key(SIGNATURE) || headers.contains_key(SIGNATURE_INPUT)
}

/// The labels of the signatures of a message; `None` if the two fields cannot be read, or do not have the same ones.
pub(super) fn labels(headers: &HeaderMap) -> Option<Vec<String>> {
    let (inputs, signatures) = (dictionary(headers, &SIGNATURE_INPUT).ok()?, dictionary(headers, &SIGNATURE).ok()?);
    let is_both = inputs.len() == signatures.len() && inputs.keys().all(|label| signatures.contains_key(label));
    is_both.then(|| inputs.keys().map(|label| label.as_str().to_owned()).collect())
}

/// Makes room for a further signature, and returns a label for it, which is `wanted` or derived of it. Fields to which none can
/// be added, because they are malformed or full, are removed: nobody could verify the signatures in them.
pub(super) fn free_label(headers: &mut HeaderMap, wanted: &str) -> Box<str> {
    let Some(taken) = labels(headers).filter(|taken| taken.len() < MAX_SIGNATURES) else {
        headers.remove(SIGNATURE_INPUT);
        headers.remove(SIGNATURE);
        return wanted.into();
    };
    let mut label = wanted.to_owned();
    let mut number = 1;
    while taken.contains(&label) {
        number += 1;
        label = format!("{wanted}-{number}");
    }
    label.into()
}

/// The component of a request that binds a response to it (RFC 9421 §2.4): its first signature, to which a proxy may have added
/// others, or else the digest of its content.
pub(super) fn binding(request: &HeaderMap) -> Option<Component> {
    let parsed = |text: String| text.parse().expect("a component of RFC 9421");
    if let Some(label) = labels(request).unwrap_or_default().first() {
        return Some(parsed(format!("\"signature\";req;key=\"{label}\"")));
    }
    let is_text = |value: Cow<'_, str>| value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let has_digest = combined(request, &CONTENT_DIGEST).is_some_and(is_text);
    has_digest.then(|| parsed("\"content-digest\";req".to_owned()))
}

/// The signatures of a message, of which one is unusable by itself if it has a component or a parameter that is not understood.
pub(super) type ClaimedSignatures<'a> = Vec<Result<ClaimedSignature<'a>, Reason>>;

/// Reads the signatures of a message. One with a component or parameter that is not understood is an
/// error of its own: another one may be valid.
pub(super) fn read(headers: &HeaderMap) -> Result<ClaimedSignatures<'_>, Reason> {
    match canonical::read(headers) {
        Some(signature) => Ok(vec![Ok(signature)]),
        None => parsed(headers),
    }
}

/// The same, of fields in any form.
pub(super) fn parsed(headers: &HeaderMap) -> Result<ClaimedSignatures<'_>, Reason> {
    let inputs = dictionary(headers, &SIGNATURE_INPUT)?;
    let mut signatures = dictionary(headers, &SIGNATURE)?;
    // RFC 9421 §4: each label is in both.
    if inputs.len() != signatures.len() || inputs.is_empty() {
        return Err(Reason::SIGNATURE_LABELS);
    }
    let mut read = Vec::with_capacity(inputs.len());
    for (label, input) in &inputs {
        let (input, signature) = match (input, signatures.swap_remove(label)) {
            (ListEntry::InnerList(input), Some(ListEntry::Item(signature))) => (input, signature),
            (_, None) => return Err(Reason::SIGNATURE_LABELS),
            _ => return Err(Reason::SIGNATURE_SYNTAX),
        };
        let signature = signature.bare_item.as_byte_sequence().ok_or(Reason::SIGNATURE_SYNTAX)?.to_vec();
        read.push(ClaimedSignature::read(input, signature));
    }
    Ok(read)
}

impl ClaimedSignature<'_> {
    fn read(input: &InnerList, signature: Vec<u8>) -> Result<Self, Reason> {
        if input.items.len() > MAX_COMPONENTS {
            return Err(Reason::SIGNATURE_TOO_LONG);
        }
        let mut components: Vec<Component> = Vec::with_capacity(input.items.len());
        for item in &input.items {
            let component = Component::from_item(item).ok_or(Reason::SIGNATURE_COMPONENT)?;
            // RFC 9421 §2: each component once.
            if components.contains(&component) {
                return Err(Reason::SIGNATURE_COMPONENT);
            }
            components.push(component);
        }
        let parameters = Parameters::read(&input.params).ok_or(Reason::SIGNATURE_PARAMETER)?;
        // RFC 9421 §2.5: serialized from what was received, so that the order of components and parameters is kept.
        let mut serializer = ListSerializer::new();
        serializer.members([&ListEntry::InnerList(input.clone())]);
        let parameters_text = serializer.finish().unwrap_or_default();
        Ok(Self { components, parameters, parameters_text: parameters_text.into(), signature })
    }
}

impl Parameters {
    fn read(parameters: &sfv::Parameters) -> Option<Self> {
        let mut this = Self::default();
        for (name, value) in parameters {
            let text = || value.as_string().map(|text| text.as_str()).filter(|text| text.len() <= MAX_TEXT);
            let time = || u64::try_from(value.as_integer()?).ok().map(UnixTime::from_secs);
            match name.as_str() {
                "alg" => this.algorithm = Some(text()?.into()),
                "created" => this.created = Some(time()?),
                "expires" => this.expires = Some(time()?),
                "keyid" => this.key_id = Some(text()?.into()),
                "nonce" => this.nonce = Some(text()?.into()),
                "tag" => this.tag = Some(text()?.into()),
                _ => {}
            }
        }
        Some(this).filter(Self::is_ordered)
    }

    /// Returns whether the signature expires after it was made.
    pub(super) fn is_ordered(&self) -> bool {
        self.created.zip(self.expires).is_none_or(|(created, expires)| created <= expires)
    }
}

/// A field that is a dictionary, in any number of lines; an absent one is empty.
fn dictionary(headers: &HeaderMap, name: &HeaderName) -> Result<Dictionary, Reason> {
    let length: usize = headers.get_all(name).iter().map(|line| line.len() + 2).sum();
    if length > MAX_LENGTH {
        return Err(Reason::SIGNATURE_TOO_LONG);
    }
    if length == 0 {
        return Ok(Dictionary::new());
    }
    let value = combined(headers, name).ok_or(Reason::SIGNATURE_SYNTAX)?;
    let mut members = Dictionary::new();
    let parsed = Parser::new(&*value).parse_dictionary_with_visitor(Distinct(&mut members));
    parsed.map(|()| members).map_err(|_| Reason::SIGNATURE_SYNTAX)
}

/// The members of a dictionary, each of which occurs once. Parsers of structured fields keep the last one of several.
struct Distinct<'a>(&'a mut Dictionary);

impl<'de> DictionaryVisitor<'de> for Distinct<'_> {
    type Out = ();
    type Error = NotDistinct;

    fn entry(&mut self, key: &'de KeyRef) -> Result<impl EntryVisitor<'de>, NotDistinct> {
        if self.0.contains_key(key) || self.0.len() == MAX_SIGNATURES {
            return Err(NotDistinct);
        }
        let Ok(entry) = DictionaryVisitor::entry(&mut *self.0, key);
        Ok(entry)
    }

    fn finish(self) -> Result<(), NotDistinct> {
        Ok(())
    }
}

/// A label that occurs twice, or too many labels.
#[derive(Debug)]
struct NotDistinct;

impl fmt::Display for NotDistinct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a label occurs twice, or there are too many")
    }
}

impl Error for NotDistinct {}
