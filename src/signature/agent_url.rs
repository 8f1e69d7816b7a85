//! The field `Signature-Agent`, draft-ietf-webbotauth-httpsig-protocol.

use http::{HeaderMap, HeaderName, Uri};
use sfv::{Dictionary, Item, ListEntry, Parser};

use super::{
    component::{Component, Form, Kind},
    message::combined,
    origin::Origin,
};
use crate::url;

pub(super) const SIGNATURE_AGENT: HeaderName = HeaderName::from_static("signature-agent");

/// The path of a directory whose URL is only an origin.
pub(super) const WELL_KNOWN: &str = "/.well-known/http-message-signatures-directory";

/// The longest URL of a directory, in bytes.
const MAX_LENGTH: usize = 1024;

/// The longest value of the field, in bytes.
const MAX_FIELD: usize = 4 * 1024;

/// The normalised URL of the directory that a signature covers: a member of the dictionary, or the only string of the earlier
/// form, which is the origin of the directory.
pub(super) fn covered(components: &[Component], headers: &HeaderMap) -> Option<Box<str>> {
    let mut forms = components.iter().filter(|component| !component.is_of_request).filter_map(|component| {
        let Kind::Field(name, form) = &component.kind else { return None };
        (*name == SIGNATURE_AGENT).then_some(form)
    });
    let (form, None) = (forms.next()?, forms.next()) else { return None };
    let lines = headers.get_all(SIGNATURE_AGENT).iter();
    if lines.map(|line| line.len()).sum::<usize>() > MAX_FIELD {
        return None;
    }
    let value = combined(headers, &SIGNATURE_AGENT)?;
    let item = match form {
        Form::Member(key) => {
            let mut members: Dictionary = Parser::new(&*value).parse().ok()?;
            match members.swap_remove(&**key)? {
                ListEntry::Item(item) => item,
                ListEntry::InnerList(_) => return None,
            }
        }
        Form::Bytes | Form::Combined | Form::Strict => Parser::new(&*value).parse::<Item>().ok()?,
    };
    let text = item.bare_item.as_string().filter(|_| item.params.is_empty())?;
    normalised(text.as_str())
}

/// The identifier of a directory: without query, and with the path of the directory if it is only an origin.
pub(super) fn normalised(text: &str) -> Option<Box<str>> {
    let uri: Uri = url::parse(text).filter(|_| text.len() <= MAX_LENGTH && url::is_secure(text))?;
    let origin = Origin::of(&uri)?;
    let path = match uri.path() {
        "" | "/" => WELL_KNOWN,
        path => path,
    };
    // What has several forms is not compared.
    let is_plain =
        path.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/'));
    let is_normal = is_plain && !path.split('/').any(|segment| matches!(segment, "." | ".."));
    is_normal.then(|| format!("{}{path}", origin.as_str()).into())
}
