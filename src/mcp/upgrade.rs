//! Offers of another protocol on the same connection.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::header::Field;

/// The settings of an offered HTTP/2 connection, RFC 7540 §3.2.1.
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// Returns whether a request offers nothing but HTTP/2 or TLS, as HTTP clients do with any request.
pub(super) fn is_ignored(upgrade: Field<'_>) -> bool {
    let is_http = |protocol: &str| {
        let name = protocol.split('/').next().unwrap_or_default();
        protocol.eq_ignore_ascii_case("h2c") || name.eq_ignore_ascii_case("tls")
    };
    match upgrade.text() {
        Ok(None) => true,
        Ok(Some(protocols)) => protocols.split(',').map(str::trim_ascii).all(is_http),
        Err(_) => false,
    }
}

/// Removes the offer, so that the server does not accept it.
pub(super) fn ignore(headers: &mut HeaderMap) {
    // RFC 9110 §7.8: a server may ignore the field.
    if headers.remove(header::UPGRADE).is_none() {
        return;
    }
    headers.remove(HTTP2_SETTINGS);
    let is_kept = |option: &&str| {
        let names = [header::UPGRADE, HTTP2_SETTINGS];
        !option.is_empty() && !names.iter().any(|name| option.eq_ignore_ascii_case(name.as_str()))
    };
    let fields = headers.get_all(header::CONNECTION).iter().filter_map(|field| field.to_str().ok());
    let options: Vec<_> = fields.flat_map(|field| field.split(',')).map(str::trim_ascii).filter(is_kept).collect();
    let options = HeaderValue::try_from(options.join(", ")).ok().filter(|options| !options.is_empty());
    headers.remove(header::CONNECTION);
    if let Some(options) = options {
        headers.insert(header::CONNECTION, options);
    }
}
