//! The client's address: what a client sends does not change what a proxy appends.

use std::net::IpAddr;

use http::Request;
use tower_warden::{
    Head,
    request::{AddressField, Peer, TrustedProxies},
};

use super::with_fields;

const CLIENT: &str = "203.0.113.9";

/// The lines of header fields, as the client sends them.
pub fn run(input: &[u8]) -> bool {
    let text = String::from_utf8_lossy(input);
    let client = Some(CLIENT.parse().unwrap());
    let line = text.replace(|c: char| c.is_ascii_control() && c != '\t', "");
    let mut is_resolved = false;
    for (field, name, [near, far]) in [
        (AddressField::XForwardedFor, "x-forwarded-for", [CLIENT.to_owned(), format!("{CLIENT}:99, 10.0.0.3")]),
        (
            AddressField::Forwarded,
            "forwarded",
            [format!("for={CLIENT};proto=https"), format!("by=_a;For=\"{CLIENT}:99\", for=10.0.0.3")],
        ),
    ] {
        let proxies = TrustedProxies::new(["10.0.0.0/28".parse().unwrap()]).field(field);
        assert_eq!(resolve(&proxies, &text, CLIENT), client, "the peer is no proxy");
        // Of the client's own choice; it is any address or none.
        let alone = resolve(&proxies, &text, "10.0.0.2");
        assert!(alone.is_none_or(|address| address == address.to_canonical()));
        is_resolved |= alone.is_some_and(|address| address.to_string() != "10.0.0.2");
        for appended in [near, far] {
            // By a proxy that adds a line.
            assert_eq!(resolve(&proxies, &format!("{text}\n{name}: {appended}"), "10.0.0.2"), client, "{text:?}");
            // By a proxy that extends the line. A quote that the client has opened leaves no address.
            let found = resolve(&proxies, &format!("{name}: {line}, {appended}"), "10.0.0.2");
            let is_refused = field == AddressField::Forwarded && found.is_none();
            assert!(found == client || is_refused, "{line:?} {found:?}");
        }
    }
    is_resolved
}

fn resolve(proxies: &TrustedProxies, fields: &str, peer: &str) -> Option<IpAddr> {
    let mut request = with_fields(Request::new(()), fields);
    request.extensions_mut().insert(Peer::new(format!("{peer}:1").parse().unwrap()));
    proxies.client(&Head::from(&request))
}
