//! Who is counted together, and who apart.

use std::{net::SocketAddr, num::NonZeroU32};

use axum::{Router, body::Body, routing::get};
use http::Request;
use tower::{ServiceBuilder, ServiceExt};
use tower_warden::{
    Reason, Rejection, RejectionKind,
    layer::{AuthLayer, ClientAddressLayer, PeerLayer, RateLimitLayer},
    rate_limit::{LimitBy, LocalRateLimiter},
    request::{Peer, TrustedProxies, UnixPeer},
};

use crate::{
    rate_limits::{Limited, Named, daily, from, inside},
    support::{bearer, request},
};

#[tokio::test]
async fn peers_are_counted_apart_and_their_ports_are_not() {
    let app = Limited::new(|limiter| RateLimitLayer::new("peers", limiter, LimitBy::peer(), daily(2)));
    let port = |port| request().extension(Peer::new(SocketAddr::new("192.0.2.1".parse().unwrap(), port)));
    assert_eq!(app.passing(10, |number| port(1_000 + u16::try_from(number).unwrap())).await, 2);
    assert_eq!(app.passing(10, |_| from(request(), "192.0.2.2")).await, 2);
    assert_eq!(app.passing(10, |_| from(request(), "::ffff:192.0.2.2")).await, 0, "the same, written as IPv6");
}

#[tokio::test]
async fn addresses_of_one_64_are_counted_together() {
    // (113)
    let app = Limited::new(|limiter| RateLimitLayer::new("peers", limiter, LimitBy::peer(), daily(2)));
    assert_eq!(app.passing(50, |number| from(request(), &format!("2001:db8:0:1:{number:x}::{number:x}"))).await, 2);
    assert_eq!(app.passing(50, |_| from(request(), "2001:db8:0:2::1")).await, 2);
}

#[tokio::test]
async fn a_forwarded_address_makes_no_new_quota() {
    // (112)
    let app = Limited::new(|limiter| RateLimitLayer::new("peers", limiter, LimitBy::peer(), daily(2)));
    let headers = ["x-forwarded-for", "forwarded", "x-real-ip", "client-ip", "cf-connecting-ip", "true-client-ip"];
    let spoofed = |number: usize| {
        let request = from(request(), "192.0.2.1");
        headers.iter().fold(request, |request, name| request.header(*name, format!("198.51.100.{number}")))
    };
    assert_eq!(app.passing(20, spoofed).await, 2);
}

#[tokio::test]
async fn ipv6_prefix_is_settable_for_each_kind_of_address() {
    let at = |number: usize, bits: u32| {
        let base = u128::from("2001:db8::7".parse::<std::net::Ipv6Addr>().unwrap());
        std::net::Ipv6Addr::from(base ^ u128::try_from(number).unwrap() << (128 - bits)).to_string()
    };
    let by: [(&str, fn() -> LimitBy); 4] = [
        ("peer", LimitBy::peer),
        ("client_address", LimitBy::client_address),
        ("forwarded", || LimitBy::forwarded(NonZeroU32::MIN)),
        ("principal", LimitBy::principal),
    ];
    for (name, by) in by {
        // Each pair differs in the last bit of the prefix, or in the first one after it.
        for prefix in [32_u8, 48, 56, 57, 64, 96, 128] {
            let app = Limited::new(|limiter| {
                let limit = RateLimitLayer::new("peers", limiter, by().ipv6_prefix(prefix).unwrap(), daily(2));
                ServiceBuilder::new().layer(AuthLayer::new(Named).optional()).layer(limit).into_inner()
            });
            let send = |number, bits| {
                let address = at(number, bits);
                let forwarded = from(request().header("x-forwarded-for", &address), "192.0.2.1");
                if name == "forwarded" { forwarded } else { from(request(), &address) }
            };
            if prefix < 128 {
                let bits = u32::from(prefix) + 1;
                assert_eq!(app.passing(10, |number| send(number % 2, bits)).await, 2, "{name} /{prefix}: one quota");
            } else {
                assert_eq!(app.passing(10, |_| send(0, 128)).await, 2, "{name} /{prefix}: one quota");
            }
            assert_eq!(app.passing(10, |_| send(1, prefix.into())).await, 2, "{name} /{prefix}: another quota");
        }
    }
    for length in [0, 129, 255] {
        let error = LimitBy::peer().ipv6_prefix(length).unwrap_err();
        assert_eq!(error.kind(), tower_warden::ConfigErrorKind::Network);
        assert_eq!(error.refused_value(), Some(&*length.to_string()));
    }
    // IPv4 addresses are not grouped by it.
    let by = LimitBy::peer().ipv6_prefix(1).unwrap();
    let app = Limited::new(|limiter| RateLimitLayer::new("peers", limiter, by, daily(1)));
    assert_eq!(app.passing(5, |number| from(request(), &format!("192.0.2.{number}"))).await, 5);
}

#[tokio::test]
async fn behind_trusted_proxies_the_clients_are_counted() {
    // (112)
    let proxies = TrustedProxies::new(["10.0.0.0/8".parse().unwrap()]);
    let app = Limited::new(|limiter| {
        ServiceBuilder::new().layer(ClientAddressLayer::new(proxies)).layer(RateLimitLayer::new(
            "peers",
            limiter,
            LimitBy::client_address(),
            daily(2),
        ))
    });
    let via = |forwarded: String, peer: &str| from(request().header("x-forwarded-for", forwarded), peer);
    // What stands before the last hop that is no proxy is the client's own word.
    assert_eq!(app.passing(20, |n| via(format!("1.1.1.{n}, 198.51.100.7"), "10.0.0.1")).await, 2);
    assert_eq!(app.passing(20, |n| via(format!("1.1.1.{n}, 198.51.100.8, 10.0.0.2"), "10.0.0.1")).await, 2);
    // From nobody else it is believed.
    assert_eq!(app.passing(20, |n| via(format!("1.1.1.{n}"), "203.0.113.9")).await, 2);
    // What is no address is counted as the proxy itself.
    assert_eq!(app.passing(20, |n| via(format!("unknown-{n}"), "10.0.0.3")).await, 2);
}

#[tokio::test]
async fn callers_without_a_credential_behind_a_proxy_do_not_share_a_quota() {
    let proxies = TrustedProxies::new(["10.0.0.0/8".parse().unwrap()]);
    for by in [LimitBy::principal(), LimitBy::tenant(), LimitBy::key()] {
        let app = Limited::new(|limiter| {
            let address = ClientAddressLayer::new(proxies.clone());
            let limit = RateLimitLayer::new("calls", limiter, by, daily(2));
            ServiceBuilder::new().layer(address).layer(AuthLayer::new(Named).optional()).layer(limit).into_inner()
        });
        let via = |client: &str| from(request().header("x-forwarded-for", client), "10.0.0.1");
        for client in ["198.51.100.7", "198.51.100.8"] {
            assert_eq!(app.passing(10, |n| via(&format!("1.1.1.{n}, {client}"))).await, 2);
        }
        // What is no address is counted as the proxy itself.
        assert_eq!(app.passing(10, |n| via(&format!("unknown-{n}"))).await, 2);
    }
}

#[tokio::test]
async fn only_the_declared_hop_is_counted() {
    // (112)
    let hops = NonZeroU32::new(2).unwrap();
    let app = Limited::new(|limiter| RateLimitLayer::new("calls", limiter, LimitBy::forwarded(hops), daily(2)));
    let via = |forwarded: String| from(request().header("x-forwarded-for", forwarded), "10.0.0.1");
    assert_eq!(app.passing(20, |n| via(format!("1.1.1.{n}, 198.51.100.7, 10.0.0.2"))).await, 2);
    assert_eq!(app.passing(20, |n| via(format!("198.51.100.8, 10.0.0.{n}"))).await, 2);
    // Too few hops, or no address: the peer.
    assert_eq!(app.passing(20, |n| via(format!("1.1.1.{n}"))).await, 2);
    assert_eq!(app.passing(20, |n| via(format!("odd-{n}, 10.0.0.2"))).await, 0);
}

#[tokio::test]
async fn a_server_that_does_not_tell_the_peer_is_told_so_and_lets_nobody_through() {
    for by in [LimitBy::peer(), LimitBy::client_address(), LimitBy::forwarded(NonZeroU32::MIN)] {
        let app = Limited::new(|limiter| RateLimitLayer::new("calls", limiter, by, daily(2)));
        let answer = app.send(request()).await;
        assert_eq!((answer.status.as_u16(), answer.reason), (500, Some("peer_unknown")));
    }
}

#[tokio::test]
async fn peers_on_unix_sockets_share_a_quota_and_the_clients_of_a_trusted_one_do_not() {
    for by in [LimitBy::peer(), LimitBy::client_address()] {
        let app = Limited::new(|limiter| RateLimitLayer::new("calls", limiter, by, daily(2)));
        assert_eq!(app.passing(10, |_| request().extension(UnixPeer)).await, 2);
        assert_eq!(app.passing(10, |_| from(request(), "192.0.2.1")).await, 2);
    }
    let app = Limited::new(|limiter| {
        let address = ClientAddressLayer::new(TrustedProxies::default().trust_unix_sockets());
        let limit = RateLimitLayer::new("calls", limiter, LimitBy::client_address(), daily(2));
        ServiceBuilder::new().layer(PeerLayer::unix_socket()).layer(address).layer(limit).into_inner()
    });
    for client in ["198.51.100.7", "[2001:db8::1]"] {
        assert_eq!(app.passing(10, |n| request().header("x-forwarded-for", format!("1.1.1.{n}, {client}"))).await, 2);
    }
}

#[tokio::test]
async fn principals_are_counted_by_tenant_and_subject_whatever_their_credential() {
    let app = inside(|limiter| RateLimitLayer::new("calls", limiter, LimitBy::principal(), daily(2)));
    assert_eq!(
        app.passing(20, |n| from(bearer(&format!("alice/acme/free/key-{n}")), &format!("192.0.2.{n}"))).await,
        2
    );
    assert_eq!(app.passing(20, |_| bearer("bob/acme")).await, 2);
    assert_eq!(app.passing(20, |_| bearer("alice/other")).await, 2);
    assert_eq!(app.passing(20, |_| bearer("alice")).await, 2);
}

#[tokio::test]
async fn a_principal_with_odd_characters_is_nobody_else() {
    // (118)
    let app = inside(|limiter| RateLimitLayer::new("calls", limiter, LimitBy::principal(), daily(1)));
    for name in ["a.b/c", "a/b.c", "a.b.c", "a~b", "a-b", "acme/alice", "alice/acme", &"x".repeat(10_000)] {
        assert_eq!(app.passing(2, |_| bearer(name)).await, 1, "{name}");
    }
}

#[tokio::test]
async fn tenants_keys_and_metadata_are_counted_together_or_else_the_principal() {
    for (by, alike, bare) in [
        (LimitBy::tenant(), ["alice/acme", "bob/acme"], ["alice", "bob"]),
        (LimitBy::key(), ["alice/a/b/key", "bob/a/b/key"], ["alice", "bob"]),
        (LimitBy::metadata("plan"), ["alice/a/b/c/pro", "bob/a/b/d/pro"], ["alice/a/b/c", "bob/a/b/c"]),
    ] {
        let app = inside(|limiter| RateLimitLayer::new("calls", limiter, by, daily(2)));
        assert_eq!(app.passing(10, |number| bearer(alike[number % 2])).await, 2, "{alike:?}");
        assert_eq!(app.passing(10, |number| bearer(bare[number % 2])).await, 4, "{bare:?}");
    }
}

#[tokio::test]
async fn callers_without_a_credential_are_counted_by_peer_under_an_optional_layer() {
    let app = Limited::new(|limiter| {
        let auth = AuthLayer::new(Named).optional();
        let limit = RateLimitLayer::new("calls", limiter, LimitBy::principal(), daily(2));
        ServiceBuilder::new().layer(auth).layer(limit).into_inner()
    });
    assert_eq!(app.passing(10, |_| from(request(), "192.0.2.1")).await, 2);
    assert_eq!(app.passing(10, |_| from(request(), "192.0.2.2")).await, 2);
    assert_eq!(app.passing(10, |_| from(bearer("alice"), "192.0.2.1")).await, 2);
    assert_eq!(app.send(request()).await.reason, Some("peer_unknown"));
}

#[tokio::test]
async fn a_limit_by_principal_without_an_auth_layer_lets_nobody_through() {
    for by in [LimitBy::principal(), LimitBy::tenant(), LimitBy::key(), LimitBy::metadata("plan")] {
        let app = Limited::new(|limiter| RateLimitLayer::new("calls", limiter, by, daily(2)));
        let answer = app.send(from(bearer("alice"), "192.0.2.1")).await;
        assert_eq!((answer.status.as_u16(), answer.reason), (500, Some("auth_layer_missing")));
    }
}

#[tokio::test]
async fn routes_are_counted_as_they_are_matched_and_not_as_they_are_spelled() {
    let limiter = LocalRateLimiter::default();
    let by = LimitBy::peer().and(LimitBy::route());
    let app = Router::new()
        .route("/items/{id}", get(async || "item"))
        .route("/search", get(async || "found"))
        .fallback(async || "nothing")
        .layer(RateLimitLayer::new("calls", limiter, by, daily(2)));
    let mut passing = Vec::new();
    for path in ["/items/1", "/items/2", "/items/3", "/search", "/search?q=1", "/search", "/a", "/b", "/c"] {
        let request = from(Request::get(path), "192.0.2.1").body(Body::empty()).unwrap();
        passing.push(app.clone().oneshot(request).await.unwrap().status().as_u16());
    }
    assert_eq!(passing, [200, 200, 429, 200, 200, 429, 200, 200, 429]);
}

#[tokio::test]
async fn a_key_of_ones_own_is_possible() {
    let by = LimitBy::with(|head, key| {
        key.push(
            "host",
            head.uri.host().ok_or_else(|| Rejection::new(RejectionKind::Malformed, Reason::custom("no_host")))?,
        );
        Ok(())
    });
    let app = Limited::new(|limiter| RateLimitLayer::new("calls", limiter, by, daily(2)));
    let to = |host: &str| Request::builder().uri(format!("http://{host}/"));
    assert_eq!(app.passing(10, |_| to("one.example")).await, 2);
    assert_eq!(app.passing(10, |_| to("other.example")).await, 2);
    assert_eq!(app.send(request()).await.reason, Some("no_host"));
}

#[tokio::test]
async fn callers_of_two_issuers_are_two_and_clients_and_claims_are_counted_within_one() {
    use std::sync::Arc;

    use tower_warden::{AuthMethod, Authenticator, Credential, Eventual, Identity, Presented};

    /// Believes a bearer that is `issuer/subject/client/org`.
    struct Issued;

    impl Authenticator for Issued {
        fn schemes(&self) -> Vec<Arc<dyn tower_warden::scheme::Scheme>> {
            vec![Arc::new(tower_warden::scheme::Bearer::default())]
        }

        fn accepts(&self, _: &Credential<'_>) -> bool {
            true
        }

        fn authenticate(&self, presented: &Presented<'_>) -> Eventual<Result<Arc<Identity>, Rejection>> {
            let text = presented.credential.text();
            let mut parts = text.split('/').map(Box::<str>::from);
            let issuer = parts.next();
            let mut identity = Identity::new(parts.next().unwrap_or_default(), AuthMethod::Jwt);
            (identity.issuer, identity.client_id) = (issuer, parts.next());
            identity.claims = parts.next().map(|org| format!("{{\"org\": {org}}}").into());
            Eventual::Now(Ok(Arc::new(identity)))
        }
    }

    let app = |by| {
        let limit = |limiter| RateLimitLayer::new("calls", limiter, by, daily(2));
        Limited::new(|limiter| ServiceBuilder::new().layer(AuthLayer::new(Issued)).layer(limit(limiter)).into_inner())
    };
    for (by, alike, apart) in [
        (LimitBy::principal(), ["one/alice/web", "one/alice/app"], ["two/alice/web", "one/bob/web"]),
        (LimitBy::client(), ["one/alice/web", "one/bob/web"], ["two/alice/web", "one/alice/app"]),
        (LimitBy::claim("org"), ["one/alice/web/7", "one/bob/app/7"], ["two/alice/web/7", "one/alice/web/8"]),
    ] {
        let app = app(by);
        assert_eq!(app.passing(10, |number| bearer(alike[number % 2])).await, 2, "{alike:?}");
        for other in apart {
            assert_eq!(app.passing(10, |_| bearer(other)).await, 2, "{other}");
        }
    }
}
