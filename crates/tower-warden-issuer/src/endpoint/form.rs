//! Strict parsing of `application/x-www-form-urlencoded` requests.

use std::collections::BTreeMap;

use http::{HeaderMap, header};
use zeroize::Zeroizing;

use super::error::OAuthError;

/// The parameters of a request.
pub(crate) struct Form(BTreeMap<String, Vec<Zeroizing<String>>>);

impl Form {
    /// The longest form that is read, in bytes.
    pub(crate) const MAX_BYTES: usize = 64 * 1024;

    const MAX_PARAMETERS: usize = 64;

    /// Checks that the body is a form.
    pub(crate) fn check_type(headers: &HeaderMap) -> Result<(), OAuthError> {
        if is_of_type(headers, "application/x-www-form-urlencoded") {
            Ok(())
        } else {
            Err(OAuthError::invalid_request("The body is not application/x-www-form-urlencoded in UTF-8."))
        }
    }

    /// Parses a body.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, OAuthError> {
        let malformed = || OAuthError::invalid_request("The form is malformed.");
        let mut parameters: BTreeMap<String, Vec<Zeroizing<String>>> = BTreeMap::new();
        let pairs = body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
        for (index, pair) in pairs.enumerate() {
            if index == Self::MAX_PARAMETERS {
                return Err(OAuthError::invalid_request("The form has too many parameters."));
            }
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let (name, value) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
            let (name, value) = (decode(name).ok_or_else(malformed)?, decode(value).ok_or_else(malformed)?);
            let values = parameters.entry(name.to_string()).or_default();
            // RFC 6749 §3.2: a parameter occurs once; RFC 8707 §2 and RFC 8693 §2.1 except these.
            if !values.is_empty() && !["audience", "resource"].contains(&name.as_str()) {
                return Err(OAuthError::invalid_request("A parameter is repeated."));
            }
            values.push(value);
        }
        Ok(Self(parameters))
    }

    /// The parameters of a request in another form.
    pub(super) fn of<const COUNT: usize>(parameters: [(&str, Option<Zeroizing<String>>); COUNT]) -> Self {
        let present = parameters.into_iter().filter_map(|(name, value)| Some((name.to_owned(), vec![value?])));
        Self(present.collect())
    }

    /// The value of a parameter. An empty one is as good as none, RFC 6749 §3.2.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.get_all(name).next()
    }

    /// All values of a parameter that are not empty.
    pub(crate) fn get_all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.0.get(name).into_iter().flatten().map(|value| value.as_str()).filter(|value| !value.is_empty())
    }
}

/// Returns whether the body has a media type, in UTF-8: RFC 6749 appendix B.
pub(super) fn is_of_type(headers: &HeaderMap, media_type: &str) -> bool {
    let mut lines = headers.get_all(header::CONTENT_TYPE).iter();
    let line = lines.next().filter(|_| lines.next().is_none()).and_then(|line| line.to_str().ok());
    let mut parts = line.unwrap_or_default().split(';').map(str::trim);
    let is_of_type = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case(media_type));
    let is_utf8 = |parameter: &str| parameter.replace('"', "").eq_ignore_ascii_case("charset=utf-8");
    is_of_type && parts.all(|parameter| parameter.is_empty() || is_utf8(parameter))
}

/// Decodes a name or value; `None` if it has other characters than a form has, or is not UTF-8.
pub(crate) fn decode(text: &[u8]) -> Option<Zeroizing<String>> {
    let mut decoded = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next().unwrap_or_default()).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            b'+' => b' ',
            0x21..=0x7e => byte,
            _ => return None,
        });
    }
    std::str::from_utf8(&decoded).ok().map(|text| Zeroizing::new(text.to_owned()))
}
