//! Token exchange: subject tokens of other issuers.

use std::time::Duration;

use serde_json::{Value, json};
use tower_warden::{
    Environment, ManualClock,
    jwt::{Issuer, Jwt},
    testing::{TestIssuer, TokenBuilder},
};
use tower_warden_issuer::{Subjects, TokenExchange};

use crate::{
    support::{BILLING, ISSUER, NOW, ORDERS, claims},
    token_exchange::Exchange,
};

const PARTNER: &str = "https://login.partner.example";

struct Partner {
    issuer: TestIssuer,
    test: Exchange,
}

impl Partner {
    fn new() -> Self {
        Self::with(Subjects::prefixed("partner:"))
    }

    fn with(subjects: Subjects) -> Self {
        let issuer = TestIssuer::new(PARTNER).environment(&Environment::default().with_clock(ManualClock::at(NOW)));
        let rules = Issuer::new(PARTNER, ORDERS).unwrap().accept_audience(BILLING).unwrap();
        let exchange = TokenExchange::default().trust(Jwt::new(rules, issuer.clone()), subjects);
        Self { issuer, test: Exchange::with(|builder| builder.token_exchange(exchange)) }
    }

    /// A token of `alice` for `orders`.
    fn token(&self) -> TokenBuilder {
        self.issuer.token("alice").audience(ORDERS).client_id("orders").scope("orders:read orders:write")
    }
}

#[tokio::test]
async fn a_token_of_a_trusted_issuer_is_exchanged() {
    let partner = Partner::new();
    let reply = partner.test.exchange("orders", &partner.token().claim("sid", "1").sign(), "").await;
    let claims = claims(reply.token());
    assert_eq!((&claims["iss"], &claims["sub"]), (&ISSUER.into(), &"partner:alice".into()));
    assert_eq!((&claims["scope"], &claims["act"]), (&"orders:read".into(), &json!({ "sub": "orders" })));
    assert_eq!(claims["exp"], NOW.as_secs() + 300, "it expires with the subject token");
    assert!(claims.get("sid").is_none(), "the session is one of the other issuer");
}

#[tokio::test]
async fn a_token_for_an_api_that_the_client_does_not_serve_is_refused() {
    let partner = Partner::new();
    let token = partner.token().audience(BILLING).sign();
    partner.test.exchange("orders", &token, "").await.assert_error(400, "invalid_request");
    partner.test.exchange("billing", &token, "").await.token();
}

#[tokio::test]
async fn the_client_ids_of_the_other_issuer_are_not_those_of_this_one() {
    let partner = Partner::new();
    let token = partner.token().client_id("agent").sign();
    partner.test.exchange("agent", &token, "").await.assert_error(400, "invalid_request");
}

#[tokio::test]
async fn a_token_for_another_audience_is_refused() {
    let partner = Partner::new();
    let token = partner.token().audience("https://other.example.com").sign();
    partner.test.exchange("orders", &token, "").await.assert_error(400, "invalid_request");
}

#[tokio::test]
async fn a_token_that_has_expired_within_the_tolerated_difference_of_clocks_is_refused() {
    let partner = Partner::new();
    let token = partner.token().expires_in(Duration::ZERO).sign();
    partner.test.exchange("orders", &token, "").await.assert_error(400, "invalid_request");
}

#[tokio::test]
async fn a_subject_with_the_id_of_a_client_is_refused() {
    let partner = Partner::with(Subjects::unchanged());
    let token = partner.issuer.token("agent").audience(ORDERS).sign();
    partner.test.exchange("orders", &token, "").await.assert_error(400, "invalid_request");
    let reply = partner.test.exchange("orders", &partner.token().sign(), "").await;
    assert_eq!(claims(reply.token())["sub"], "alice");
}

#[tokio::test]
async fn a_subject_that_is_not_mapped_is_refused() {
    for subject in [None, Some(String::new()), Some("a".repeat(257))] {
        let partner = Partner::with(Subjects::by(move |_| subject.clone()));
        partner.test.exchange("orders", &partner.token().sign(), "").await.assert_error(400, "invalid_request");
    }
}

#[tokio::test]
async fn nothing_is_issued_while_the_keys_of_the_issuer_are_unavailable() {
    let partner = Partner::new();
    let token = partner.token().sign();
    partner.issuer.fail();
    partner.test.exchange("orders", &token, "").await.assert_error(503, "temporarily_unavailable");
}

#[tokio::test]
async fn the_actors_of_the_other_issuer_are_named_with_it() {
    let partner = Partner::new();
    let token = partner.token().claim("act", json!({ "sub": "gateway", "act": { "sub": "agent", "iss": ISSUER } }));
    let reply = partner.test.exchange("orders", &token.sign(), "").await;
    let expected = json!({ "sub": "orders", "act": { "sub": "gateway", "iss": PARTNER, "act": { "sub": "agent" } } });
    assert_eq!(claims(reply.token())["act"], expected);
}

async fn send_may_act(client: &str, may_act: Value) -> crate::support::Reply {
    let partner = Partner::new();
    let token = partner.token().claim("may_act", may_act).sign();
    partner.test.exchange(client, &token, "").await
}

#[tokio::test]
async fn may_act_of_another_issuer_names_the_party_with_this_one() {
    for party in [json!({ "iss": ISSUER, "sub": "agent" }), json!({ "iss": ISSUER, "client_id": "agent" })] {
        let reply = send_may_act("agent", party.clone()).await;
        assert_eq!(
            (&claims(reply.token())["sub"], &claims(reply.token())["act"]["sub"]),
            (&"partner:alice".into(), &"agent".into())
        );
        send_may_act("orders", party).await.assert_error(400, "invalid_request");
    }
    // The same name is another party there.
    send_may_act("agent", json!({ "sub": "agent" })).await.assert_error(400, "invalid_request");
    send_may_act("orders", json!({ "sub": "orders" })).await.assert_error(400, "invalid_request");
}

#[tokio::test]
async fn a_malformed_may_act_is_refused() {
    let parties = [
        json!(null),
        json!("orders"),
        json!([]),
        json!({}),
        json!({ "iss": ISSUER }),
        json!({ "iss": ISSUER, "sub": null }),
        json!({ "iss": ISSUER, "sub": "" }),
        json!({ "iss": ISSUER, "sub": ["orders"] }),
        json!({ "iss": null, "sub": "orders" }),
        json!({ "iss": ISSUER, "sub": "orders", "email": "orders@example.com" }),
    ];
    for party in parties {
        send_may_act("orders", party).await.assert_error(400, "invalid_request");
    }
}

#[tokio::test]
async fn a_bound_token_of_the_other_issuer_never_yields_a_bearer_token() {
    let partner = Partner::new();
    let token = partner.token().confirmation(&crate::binding::key().confirmation()).sign();
    partner.test.exchange("orders", &token, "").await.assert_error(400, "invalid_request");
}
