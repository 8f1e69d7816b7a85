//! Token exchange: subject tokens of other issuers.

use std::time::Duration;

use serde_json::{Value, json};
use tower_warden::{
    Environment, ManualClock,
    jwt::{Algorithm, Issuer, Jwt},
    testing::{TestIssuer, TokenBuilder},
};
use tower_warden_issuer::{MemoryClientStore, SigningKeys, Subjects, TokenExchange, TokenIssuer};

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
        let exchange = TokenExchange::default().trust(PARTNER, Jwt::new(rules, issuer.clone()), subjects).unwrap();
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
async fn the_name_of_a_trusted_issuer_may_be_an_http_url() {
    let name = "http://fs.partner.example/adfs/services/trust";
    let issuer = TestIssuer::new(name).environment(&Environment::default().with_clock(ManualClock::at(NOW)));
    let verifier = Jwt::new(Issuer::named(name, ORDERS).unwrap(), issuer.clone());
    assert!(TokenExchange::default().trust("", verifier.clone(), Subjects::unchanged()).is_err());
    let exchange = TokenExchange::default().trust(name, verifier, Subjects::unchanged()).unwrap();
    let test = Exchange::with(|builder| builder.token_exchange(exchange));
    let reply = test.exchange("orders", &issuer.token("alice").audience(ORDERS).scope("orders:read").sign(), "").await;
    assert_eq!(claims(reply.token())["sub"], "alice");
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
    let token = partner.token().claim("act", json!({ "sub": "gateway", "act": { "sub": "agent" } }));
    let reply = partner.test.exchange("orders", &token.sign(), "").await;
    let before = json!({ "sub": "gateway", "iss": PARTNER, "act": { "sub": "agent", "iss": PARTNER } });
    assert_eq!(claims(reply.token())["act"], json!({ "sub": "orders", "act": before }));
}

#[tokio::test]
async fn another_issuer_does_not_name_an_actor_of_this_one() {
    let partner = Partner::new();
    let agent = json!({ "sub": "agent", "iss": ISSUER });
    for act in [agent.clone(), json!({ "sub": "gateway", "act": agent })] {
        let token = partner.token().claim("act", act).sign();
        partner.test.exchange("orders", &token, "").await.assert_error(400, "invalid_request");
    }
}

#[tokio::test]
async fn a_token_with_authorization_details_is_refused() {
    let partner = Partner::new();
    for details in [json!([{ "type": "payments", "limit": 50 }]), json!([]), json!(null)] {
        let token = partner.token().claim("authorization_details", details).sign();
        partner.test.exchange("orders", &token, "").await.assert_error(400, "invalid_request");
    }
}

#[tokio::test]
async fn subjects_of_two_issuers_are_mapped_apart() {
    const OTHER: &str = "https://login.other.example";
    let environment = Environment::default().with_clock(ManualClock::at(NOW));
    let issuers = [PARTNER, OTHER].map(|name| TestIssuer::new(name).environment(&environment));
    let verifier = |name: &str, issuer: &TestIssuer| Jwt::new(Issuer::new(name, ORDERS).unwrap(), issuer.clone());
    let exchange = TokenExchange::default()
        .trust(PARTNER, verifier(PARTNER, &issuers[0]), Subjects::prefixed("partner:"))
        .and_then(|exchange| exchange.trust(OTHER, verifier(OTHER, &issuers[1]), Subjects::prefixed("other:")));
    let test = Exchange::with(|builder| builder.token_exchange(exchange.unwrap()));
    for (issuer, subject) in issuers.iter().zip(["partner:alice", "other:alice"]) {
        let token = issuer.token("alice").audience(ORDERS).sign();
        assert_eq!(claims(test.exchange("orders", &token, "").await.token())["sub"], subject);
    }
}

#[tokio::test]
async fn further_issuers_of_a_verifier_are_not_trusted_by_the_name_of_the_first() {
    const OTHER: &str = "https://login.other.example";
    let environment = Environment::default().with_clock(ManualClock::at(NOW));
    let [partner, other] = [PARTNER, OTHER].map(|name| TestIssuer::new(name).environment(&environment));
    let rules = |name| Issuer::new(name, ORDERS).unwrap();
    let both = Jwt::builder(rules(PARTNER), partner.clone()).issuer(rules(OTHER), other.clone()).build().unwrap();
    let exchange = TokenExchange::default().trust(PARTNER, both, Subjects::prefixed("partner:")).unwrap();
    let test = Exchange::with(|builder| builder.token_exchange(exchange));
    let token = |issuer: &TestIssuer| issuer.token("alice").audience(ORDERS).sign();
    test.exchange("orders", &token(&other), "").await.assert_error(400, "invalid_request");
    test.exchange("orders", &token(&partner), "").await.token();
}

#[test]
fn an_issuer_that_is_trusted_twice_or_by_its_own_name_is_refused() {
    let issuer = TestIssuer::new(PARTNER);
    let trust = |exchange: TokenExchange, name: &str| {
        let verifier = Jwt::new(Issuer::new(PARTNER, ORDERS).unwrap(), issuer.clone());
        exchange.trust(name, verifier, Subjects::unchanged())
    };
    let once = trust(TokenExchange::default(), PARTNER).unwrap();
    assert!(trust(once, PARTNER).is_err() && trust(TokenExchange::default(), "").is_err());
    let own = trust(TokenExchange::default(), ISSUER).unwrap();
    let keys = SigningKeys::generate(Algorithm::ES256).unwrap();
    let builder = TokenIssuer::builder(ISSUER, MemoryClientStore::default(), keys).unwrap();
    assert!(builder.token_exchange(own).build().is_err());
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
