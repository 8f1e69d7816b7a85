//! Names and small texts of configurations and records: what is parsed is written in the same way.

use std::{fmt::Display, net::IpAddr, str::FromStr};

use tower_warden::{
    ConfigError, Namespace,
    jwt::Issuer,
    request::Network,
    scheme::Challenge,
    scope::{Scope, Scopes},
};

pub fn run(input: &[u8]) -> bool {
    let text = String::from_utf8_lossy(input);
    let names = [stays::<Namespace>, stays::<Network>, stays::<Scope>, stays::<Scopes>];
    let accepted = names.map(|stays| stays(&text));
    if let Ok(scopes) = Scopes::parse(&text) {
        assert!(scopes.to_string().split(' ').all(|scope| scope.is_empty() || text.contains(scope)));
    }
    if let Ok(network) = text.parse::<Network>() {
        assert!(network.includes(&network));
        assert!(text.parse().ok().is_none_or(|address: IpAddr| network.contains(address)));
    }
    for issuer in [Issuer::new(&text, "api"), Issuer::named(&text, "api")].into_iter().flatten() {
        assert_eq!(issuer.name(), text);
    }
    // A configured text cannot end the parameter or the field.
    if let Ok(challenge) = Challenge::new(&text) {
        assert!(!text.contains(['\r', '\n', '\0']), "{challenge:?}");
    }
    let _ = Issuer::template(&text, "api");
    let _ = Issuer::jwt_svid(&text, "api");
    let _ = Issuer::new("https://issuer.test", &text);
    accepted.contains(&true)
}

/// What is parsed and written is parsed as the same value.
fn stays<T: Display + FromStr<Err = ConfigError>>(text: &str) -> bool {
    let Ok(value) = text.parse::<T>() else { return false };
    let written = value.to_string();
    let again = written.parse::<T>().unwrap_or_else(|error| panic!("{written:?}: {error}"));
    assert_eq!(again.to_string(), written);
    true
}
