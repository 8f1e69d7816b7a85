//! The grant of assertions, RFC 7523 §2.1, and identity assertions.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tower_warden::{
    Authenticator, Credential, Environment, Head, ManualClock, Presented,
    jwt::{Algorithm, Issuer, Jwt},
    replay::ReplayVerdict,
    revocation::{MemoryRevocationList, Revocation},
    testing::{TestIssuer, TokenBuilder},
};
use tower_warden_issuer::{
    ClaimsError, ClaimsRequest, ExtraClaims, GrantType, JwtBearer, MemoryClientStore, SigningKeys, Subjects,
    TokenIssuer, TokenIssuerBuilder,
};

use crate::{
    binding::{key, proof},
    support::{BILLING, ISSUER, NOW, ORDERS, Reply, Setup, claims, form_request},
    used_once::Guard,
};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const WORKLOADS: &str = "https://workloads.example.com";
const LOGIN: &str = "https://login.example.com";

pub(crate) struct Grants {
    login: TestIssuer,
    setup: Setup,
    workloads: TestIssuer,
}

impl Grants {
    pub(crate) fn new() -> Self {
        Self::with(|builder| builder)
    }

    pub(crate) fn with(configure: impl FnOnce(TokenIssuerBuilder) -> TokenIssuerBuilder) -> Self {
        let environment = Environment::default().with_clock(ManualClock::at(NOW));
        let [workloads, login] = [WORKLOADS, LOGIN].map(|name| TestIssuer::new(name).environment(&environment));
        let grants = JwtBearer::default()
            .trust(WORKLOADS, workloads.clone(), Subjects::prefixed("workload:"))
            .and_then(|grants| grants.trust_identity_assertions(LOGIN, login.clone(), Subjects::unchanged()));
        let setup = Setup::with(|builder| configure(builder.jwt_bearer(grants.unwrap())));
        for id in ["post", "basic"] {
            let client = (*setup.clients.remove(id).unwrap()).clone();
            setup.clients.insert(client.grants([GrantType::JwtBearer]));
        }
        Self { login, setup, workloads }
    }

    /// A valid assertion.
    pub(crate) fn workload(&self) -> TokenBuilder {
        self.workloads.token("job-7").header("typ", "JWT").audience(ISSUER)
    }

    /// A valid identity assertion.
    pub(crate) fn employee(&self) -> TokenBuilder {
        let token = self.login.token("alice").header("typ", "oauth-id-jag+jwt").audience(ISSUER);
        token.client_id("post").scope("orders:read")
    }

    pub(crate) async fn send(&self, assertion: &str, more: &str) -> Reply {
        self.setup.post(&format!("grant_type={GRANT}&assertion={assertion}&{more}")).await
    }
}

#[tokio::test]
async fn an_assertion_yields_a_token_about_its_subject() {
    let grants = Grants::new();
    let reply = grants.send(&grants.workload().sign(), &format!("resource={BILLING}")).await;
    let claims = claims(reply.token());
    assert_eq!((&claims["sub"], &claims["client_id"]), (&"workload:job-7".into(), &"post".into()));
    assert_eq!((&claims["iss"], &claims["aud"]), (&ISSUER.into(), &BILLING.into()));
    assert_eq!((&claims["scope"], &claims["exp"]), (&"orders:read orders:write".into(), &(NOW.as_secs() + 900).into()));
    assert!(reply.body.get("refresh_token").is_none() && reply.body.get("issued_token_type").is_none());
    assert!(grants.setup.verify(reply.token(), BILLING).await.is_ok());
}

#[tokio::test]
async fn the_name_of_an_issuer_of_assertions_may_be_an_http_url() {
    let name = "http://fs.example.com/adfs/services/trust";
    let issuer = TestIssuer::new(name).environment(&Environment::default().with_clock(ManualClock::at(NOW)));
    let mut grants = Grants::with(|builder| {
        let trusted = JwtBearer::default().trust(name, issuer.clone(), Subjects::unchanged());
        builder.jwt_bearer(trusted.unwrap())
    });
    grants.workloads = issuer;
    assert_eq!(claims(grants.send(&grants.workload().sign(), "").await.token())["sub"], "job-7");
}

#[tokio::test]
async fn an_assertion_is_accepted_once() {
    let grants = Grants::new();
    let assertion = grants.workload().sign();
    grants.send(&assertion, "").await.token();
    grants.send(&assertion, "").await.assert_error(400, "invalid_grant");
    // Also in the last second in which it is valid, with the tolerated difference of clocks, and at another client.
    grants.setup.advance(359);
    grants.send(&assertion, "").await.assert_error(400, "invalid_grant");
    let form = format!("grant_type={GRANT}&assertion={assertion}");
    grants.setup.basic("basic:s3cret", &form).await.assert_error(400, "invalid_grant");
}

#[tokio::test]
async fn of_concurrent_requests_with_one_assertion_one_succeeds() {
    let grants = Arc::new(Grants::new());
    let assertion: Arc<str> = grants.workload().sign().into();
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let (grants, assertion) = (Arc::clone(&grants), Arc::clone(&assertion));
            tokio::spawn(async move { grants.send(&assertion, "").await.status.as_u16() })
        })
        .collect();
    let mut statuses = Vec::new();
    for task in tasks {
        statuses.push(task.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!((statuses[0], statuses[1]), (200, 400));
}

#[tokio::test]
async fn a_request_that_fails_does_not_use_up_the_assertion() {
    let grants = Grants::new();
    let assertion = grants.workload().sign();
    grants.send(&assertion, "scope=billing:write").await.assert_error(400, "invalid_scope");
    grants.send(&assertion, "resource=https://other.example.com").await.assert_error(400, "invalid_target");
    grants.send(&assertion, "").await.token();
}

#[tokio::test]
async fn assertions_for_other_audiences_are_refused() {
    for audience in [
        json!(format!("{ISSUER}/oauth/token")),
        json!("https://other.example.com"),
        json!([ISSUER, "https://other.example.com"]),
        json!(format!("{ISSUER}/")),
        json!([]),
    ] {
        let grants = Grants::new();
        let assertion = grants.workload().claim("aud", audience).sign();
        grants.send(&assertion, "").await.assert_error(400, "invalid_grant");
    }
}

#[tokio::test]
async fn assertions_without_required_claims_are_refused() {
    for claim in ["aud", "exp", "iss", "jti", "sub"] {
        let grants = Grants::new();
        grants.send(&grants.workload().without(claim).sign(), "").await.assert_error(400, "invalid_grant");
    }
}

#[tokio::test]
async fn an_expired_assertion_and_one_that_is_valid_for_long_are_refused() {
    let grants = Grants::new();
    let long = grants.workload().expires_in(Duration::from_secs(601)).sign();
    grants.send(&long, "").await.assert_error(400, "invalid_grant");
    let assertion = grants.workload().sign();
    grants.setup.advance(360);
    grants.send(&assertion, "").await.assert_error(400, "invalid_grant");
}

#[tokio::test]
async fn an_assertion_of_another_issuer_is_refused() {
    let grants = Grants::new();
    let environment = Environment::default().with_clock(ManualClock::at(NOW));
    for name in ["https://other.example.com", WORKLOADS, ISSUER] {
        let other = TestIssuer::new(name).environment(&environment);
        let assertion = other.token("job-7").header("typ", "JWT").audience(ISSUER).sign();
        grants.send(&assertion, "").await.assert_error(400, "invalid_grant");
    }
    // The keys of one issuer do not sign for another one.
    let forged = grants.workload().key(&grants.login.key()).sign();
    grants.send(&forged, "").await.assert_error(400, "invalid_grant");
}

#[tokio::test]
async fn tokens_of_other_kinds_are_not_assertions() {
    for kind in ["at+jwt", "client-authentication+jwt", "oauth-id-jag+jwt", "dpop+jwt", "JOSE", "logout+jwt"] {
        let grants = Grants::new();
        let assertion = grants.workload().header("typ", kind).sign();
        grants.send(&assertion, "").await.assert_error(400, "invalid_grant");
    }
    let grants = Grants::new();
    let id_token = grants.workload().claim("nonce", "1").sign();
    grants.send(&id_token, "").await.assert_error(400, "invalid_grant");
    for text in ["a", "a.b.c", "..", "e30.e30.c2ln", &"a".repeat(20_000)] {
        grants.send(text, "").await.assert_error(400, "invalid_grant");
    }
}

#[tokio::test]
async fn a_request_without_an_assertion_is_refused() {
    Grants::new().send("", "").await.assert_error(400, "invalid_request");
}

#[tokio::test]
async fn scopes_are_those_of_the_client_and_of_the_assertion() {
    let grants = Grants::new();
    let scoped = |scope: &str| grants.workload().scope(scope).sign();
    let reply = grants.send(&scoped("orders:write billing:write"), "").await;
    assert_eq!(claims(reply.token())["scope"], "orders:write");
    grants.send(&scoped("orders:write"), "scope=orders:read").await.assert_error(400, "invalid_scope");
    // An empty or malformed claim is not the same as none.
    grants.send(&scoped(""), "").await.assert_error(400, "invalid_scope");
    let malformed = grants.workload().claim("scope", json!({ "a": 1 })).sign();
    grants.send(&malformed, "").await.assert_error(400, "invalid_scope");
}

#[tokio::test]
async fn the_resource_is_one_of_the_client_and_of_the_assertion() {
    let grants = Grants::new();
    let named = |resource: Value| grants.workload().claim("resource", resource).sign();
    let reply = grants.send(&named(json!(BILLING)), "").await;
    assert_eq!(claims(reply.token())["aud"], BILLING);
    let reply = grants.send(&named(json!(["https://other.example.com", BILLING])), "").await;
    assert_eq!(claims(reply.token())["aud"], BILLING);
    for resource in [json!("https://other.example.com"), json!([]), json!(null), json!([BILLING, 1])] {
        grants.send(&named(resource), "").await.assert_error(400, "invalid_target");
    }
    let reply = grants.send(&named(json!(BILLING)), &format!("resource={ORDERS}")).await;
    reply.assert_error(400, "invalid_target");
}

#[tokio::test]
async fn the_actors_are_kept_and_may_act_names_the_client() {
    let grants = Grants::new();
    let assertion = grants.workload().actor("pipeline").claim("may_act", json!({ "iss": ISSUER, "client_id": "post" }));
    let claims = claims(grants.send(&assertion.sign(), "").await.token());
    assert_eq!(claims["act"], json!({ "iss": WORKLOADS, "sub": "pipeline" }));
    assert_eq!(claims["may_act"], json!({ "client_id": "post" }));
    for party in [json!({ "iss": ISSUER, "client_id": "basic" }), json!({ "sub": "post" }), json!(null)] {
        let assertion = grants.workload().claim("may_act", party).sign();
        grants.send(&assertion, "").await.assert_error(400, "invalid_grant");
    }
    let chain = (0..9).fold(Value::Null, |inner, number| {
        let mut actor = json!({ "sub": format!("actor-{number}") });
        if !inner.is_null() {
            actor["act"] = inner;
        }
        actor
    });
    let assertion = grants.workload().claim("act", chain).sign();
    grants.send(&assertion, "").await.assert_error(400, "invalid_grant");
}

#[tokio::test]
async fn a_bound_assertion_needs_the_proof_of_its_key() {
    let (grants, key) = (Grants::new(), key());
    let assertion = grants.workload().confirmation(&key.confirmation()).sign();
    grants.send(&assertion, "").await.assert_error(400, "invalid_grant");
    let form = format!("client_id=post&client_secret=s3cret&grant_type={GRANT}&assertion={assertion}");
    let mut request = form_request(&form);
    request.headers_mut().insert("dpop", proof(&key, "1", |_| {}).parse().unwrap());
    let reply = grants.setup.send(request).await;
    let thumbprint = key.confirmation().key_thumbprint().unwrap().to_base64url();
    assert_eq!(claims(reply.token())["cnf"]["jkt"], thumbprint);
}

#[tokio::test]
async fn a_subject_with_the_id_of_a_client_is_refused() {
    let grants = Grants::new();
    let assertion = grants.employee().claim("sub", "basic").sign();
    grants.send(&assertion, "").await.assert_error(400, "invalid_grant");
}

#[tokio::test]
async fn a_revoked_assertion_is_refused() {
    let list = MemoryRevocationList::default().environment(&Environment::default().with_clock(ManualClock::at(NOW)));
    let grants = Grants::with(|builder| builder.revocations(list.clone()));
    list.revoke(Revocation::subject(WORKLOADS, "job-7", NOW), None).unwrap();
    grants.send(&grants.workload().sign(), "").await.assert_error(400, "invalid_grant");
}

#[tokio::test]
async fn an_identity_assertion_is_accepted_for_the_client_that_it_names() {
    let grants = Grants::new();
    let reply = grants.send(&grants.employee().sign(), "").await;
    let claims = claims(reply.token());
    assert_eq!((&claims["sub"], &claims["scope"]), (&"alice".into(), &"orders:read".into()));
    for other in [grants.employee().client_id("basic"), grants.employee().without("client_id")] {
        grants.send(&other.sign(), "").await.assert_error(400, "invalid_grant");
    }
    let azp = grants.employee().without("client_id").claim("azp", "post");
    grants.send(&azp.sign(), "").await.assert_error(400, "invalid_grant");
}

#[tokio::test]
async fn the_response_to_an_identity_assertion_states_the_granted_resource() {
    let grants = Grants::new();
    let reply = grants.send(&grants.employee().claim("resource", json!([BILLING, ORDERS])).sign(), "").await;
    assert_eq!((&reply.body["resource"], &claims(reply.token())["aud"]), (&json!(BILLING), &json!(BILLING)));
    let reply = grants.send(&grants.employee().sign(), "").await;
    assert_eq!((&reply.body["resource"], &claims(reply.token())["aud"]), (&json!(ORDERS), &json!(ORDERS)));
    let reply = grants.send(&grants.workload().claim("resource", BILLING).sign(), "").await;
    assert!(reply.body.get("resource").is_none());
}

#[test]
fn the_metadata_states_the_profile_of_identity_assertions_only_if_an_issuer_of_them_is_trusted() {
    let profiles = |issuer: &TokenIssuer| {
        let metadata: Value = serde_json::from_str(&issuer.metadata()).unwrap();
        metadata.get("authorization_grant_profiles_supported").cloned()
    };
    let identity = Grants::new().setup.issuer;
    assert_eq!(profiles(&identity), Some(json!(["urn:ietf:params:oauth:grant-profile:id-jag"])));
    let common = JwtBearer::default().trust(WORKLOADS, TestIssuer::new(WORKLOADS), Subjects::unchanged()).unwrap();
    assert_eq!(profiles(&Setup::with(|builder| builder.jwt_bearer(common)).issuer), None);
}

#[tokio::test]
async fn an_identity_assertion_is_no_access_token() {
    let grants = Grants::new();
    let jwt = Jwt::new(Issuer::new(LOGIN, ISSUER).unwrap(), grants.login.clone());
    let request = http::Request::new(());
    for (kind, is_accepted) in [("oauth-id-jag+jwt", false), ("at+jwt", true)] {
        let token = grants.employee().header("typ", kind).sign();
        let presented = Presented::new(Credential::access_token(&token), Head::from(&request), NOW);
        assert_eq!(jwt.authenticate(&presented).wait().await.is_ok(), is_accepted, "{kind}");
    }
}

#[tokio::test]
async fn other_tokens_of_an_identity_provider_are_refused() {
    for kind in ["JWT", "at+jwt", "client-authentication+jwt"] {
        let grants = Grants::new();
        let assertion = grants.employee().header("typ", kind).sign();
        grants.send(&assertion, "").await.assert_error(400, "invalid_grant");
    }
}

#[tokio::test]
async fn a_client_that_does_not_authenticate_is_refused() {
    let grants = Grants::new();
    let form = format!("client_id=post&grant_type={GRANT}&assertion={}", grants.workload().sign());
    grants.setup.send(form_request(&form)).await.assert_error(401, "invalid_client");
}

#[tokio::test]
async fn a_client_without_the_grant_is_refused() {
    let grants = Grants::new();
    let client = (*grants.setup.clients.remove("post").unwrap()).clone();
    grants.setup.clients.insert(client.grants([GrantType::ClientCredentials]));
    grants.send(&grants.workload().sign(), "").await.assert_error(400, "unauthorized_client");
}

#[tokio::test]
async fn the_grant_is_supported_and_stated_only_with_settings() {
    let (with, without) = (Grants::new(), Setup::new());
    assert!(with.setup.issuer.metadata().contains(GRANT) && !without.issuer.metadata().contains(GRANT));
    let form = format!("grant_type={GRANT}&assertion={}", with.workload().sign());
    without.post(&form).await.assert_error(400, "unsupported_grant_type");
}

#[tokio::test]
async fn a_suspended_subject_gets_no_token() {
    let grants = Grants::with(|builder| {
        builder.claims(|request: &ClaimsRequest<'_>| match request.presented.map(|identity| &*identity.subject) {
            Some("job-7") => Err(ClaimsError::Refused),
            _ => Ok(ExtraClaims::default()),
        })
    });
    grants.send(&grants.workload().sign(), "").await.assert_error(400, "invalid_grant");
}

#[tokio::test]
async fn nothing_is_issued_while_the_keys_or_the_guard_are_unavailable() {
    let grants = Grants::new();
    let assertion = grants.workload().sign();
    grants.workloads.fail();
    grants.send(&assertion, "").await.assert_error(503, "temporarily_unavailable");
    for (verdict, status) in [(None, 503), (Some(ReplayVerdict::Full), 503), (Some(ReplayVerdict::KeyFull), 429)] {
        let grants = Grants::with(|builder| builder.replay_guard(Guard(verdict)));
        let reply = grants.send(&grants.workload().sign(), "").await;
        reply.assert_error(status, "temporarily_unavailable");
    }
}

#[test]
fn an_issuer_that_trusts_its_own_assertions_is_not_built() {
    let keys = SigningKeys::generate(Algorithm::ES256).unwrap();
    let own = JwtBearer::default().trust(ISSUER, keys.clone(), Subjects::unchanged()).unwrap();
    let builder = TokenIssuer::builder(ISSUER, MemoryClientStore::default(), keys).unwrap();
    assert!(builder.jwt_bearer(own).build().is_err());
}
