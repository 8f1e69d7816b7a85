//! Opaque tokens, about which their issuer was asked.

use std::time::Duration;

use http::Request;
use tower::layer::util::Identity;
use tower_warden::{
    Authenticator, Clock, Credential, Eventual, Head, Presented, SystemClock, introspection::Introspection,
    jwt::Issuer, layer::AuthLayer,
};

use crate::{
    counting::Endpoint,
    fixture::{Floor, cycle, runtime, secrets},
    measure::{Budget, Effort, medians, row, side, table},
    paths::{KEYS, requests},
};

const HIT: &str = "SHA-256 of 58 bytes + moka hit";

/// A token that is in the cache.
pub(crate) fn cached(effort: Effort) {
    // As long as a key, so that the floor is the same.
    let (runtime, tokens, endpoint) = (runtime(), secrets(KEYS), Endpoint::default());
    let issuer = Issuer::new("https://auth.example", "https://api.example").unwrap();
    let introspection = Introspection::builder(issuer, "https://auth.example/introspect", "api", "secret")
        .positive_ttl(Duration::from_secs(3600))
        .fetch(endpoint.clone())
        .build()
        .unwrap();
    let request = Request::new(());
    let present =
        |token| Presented::new(Credential::access_token(token), Head::from(&request), SystemClock::default().now());
    for token in &tokens {
        runtime.block_on(introspection.authenticate(&present(token)).wait()).unwrap();
    }
    let floor = Floor::new(&tokens, &[]);
    let (mut hit, mut verified) = (cycle(&tokens), cycle(&tokens));
    let [hit, verified, bare, layered] = medians(
        effort.rounds,
        [
            side(|| floor.hit(hit())),
            side(|| match introspection.authenticate(&present(verified())) {
                Eventual::Now(verdict) => verdict.unwrap(),
                Eventual::Later(_) => panic!("it is not cached"),
            }),
            requests(&tokens, Identity::new()),
            requests(&tokens, AuthLayer::new(introspection.clone())),
        ],
    );
    assert_eq!(endpoint.asked(), KEYS);

    table("An introspected token that is cached");
    row("Introspection::authenticate, clock read", verified, HIT, hit, Budget::AtMost(2.0));
    row("AuthLayer, above the bare service", layered - bare, HIT, hit, Budget::AtMost(1.5));
}
