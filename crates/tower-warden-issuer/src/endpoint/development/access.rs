//! The requests that are accepted at all.

use std::net::IpAddr;

use http::{HeaderMap, StatusCode, header, request::Parts, uri::Authority};
use tower_warden::{Head, request::ClientAddress};

use super::redirect::is_loopback_host;
use crate::endpoint::error::OAuthError;

/// Checks that a request comes from this machine, and was sent to it by its own name.
pub(super) fn check(head: &Parts) -> Result<(), OAuthError> {
    if !Head::from(head).client_address().is_some_and(|address| IpAddr::is_loopback(&address)) {
        return Err(refused(
            "The address of the client is not loopback, or the server has not inserted it into the request: this issuer \
             is for development on one machine.",
        ));
    }
    // Without the layer that resolves the address of the client, it would be that of a proxy on this machine.
    let is_forwarded = FORWARDING.iter().any(|name| head.headers.contains_key(*name));
    if is_forwarded && head.extensions.get::<ClientAddress>().is_none() {
        return Err(refused("A proxy has passed the request on: this issuer is for development on one machine."));
    }
    // A page of another site that has resolved its name to this machine (DNS rebinding) sends its own name.
    if is_loopback_target(head) {
        Ok(())
    } else {
        Err(refused("The request was not sent to localhost, 127.0.0.1 or [::1]."))
    }
}

/// Checks that an authorization request is a navigation: an image or a frame of a page of another site sends it unseen.
pub(super) fn check_navigation(headers: &HeaderMap) -> Result<(), OAuthError> {
    // Browsers send the field, and pages cannot change it.
    if headers.get_all("sec-fetch-dest").iter().all(|destination| destination == "document") {
        Ok(())
    } else {
        Err(refused("The request is not the navigation of a browser."))
    }
}

/// Returns whether each name that the request gives to the server is a loopback host, and there is one.
fn is_loopback_target(head: &Parts) -> bool {
    let of_target = head.uri.host().map(is_loopback_host);
    let of_field = field(&head.headers).map(|host| host.is_some_and(|host| is_loopback_host(host.host())));
    let mut names = of_target.into_iter().chain(of_field).peekable();
    names.peek().is_some() && names.all(|is_loopback| is_loopback)
}

/// The field `Host`: `Some(None)` if it is repeated or malformed.
fn field(headers: &HeaderMap) -> Option<Option<Authority>> {
    let mut lines = headers.get_all(header::HOST).iter();
    let line = lines.next()?;
    Some(lines.next().is_none().then(|| line.to_str().ok()?.parse().ok()).flatten())
}

const fn refused(description: &'static str) -> OAuthError {
    OAuthError { code: "access_denied", description, retry_after: None, status: StatusCode::FORBIDDEN }
}

/// The fields that proxies add.
const FORWARDING: [&str; 4] = ["forwarded", "via", "x-forwarded-for", "x-real-ip"];
