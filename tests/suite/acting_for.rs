//! Two credentials together: the caller, and the subject that it acts for.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, request::Builder};
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_warden::{
    Challenge, ConfigErrorKind, Environment, ManualClock, Principal, StepUp, UnixTime,
    api_key::{ApiKeys, KeyFormat, NewKey, key_routes},
    audit::{AuditChannel, AuditLog, EventFormat, FlatJson, Ocsf},
    auth::CredentialSource,
    caller::{Confirmation, DelegatedScopes, SenderConstraint},
    certificate::{CertificateProof, ChainStatus, PeerCertificate},
    jwt::{Issuer, Jwt},
    layer::{AuditLayer, AuthLayer, AuthorizeLayer, RateLimitLayer},
    rate_limit::{LimitBy, LocalRateLimiter, Quota},
    revocation::{MemoryRevocationList, Revocation},
    scheme::{ApiKeyHeader, Bearer, Location},
    scope::{Scope, ScopeHierarchy},
    testing::TestIssuer,
};

use crate::{
    support::{Answer, App, Mode, START, TestStore, request, send},
    tokens::AUDIENCE,
};

/// An agent with an API key, for a user with a JWT in a header field of its own.
struct Pair {
    app: App,
    clock: ManualClock,
    issuer: TestIssuer,
    key: String,
    keys: ApiKeys,
    layer: AuthLayer,
    store: Arc<TestStore>,
}

impl Pair {
    async fn new() -> Self {
        Self::with(|layer| layer).await
    }

    async fn with(set_up: impl FnOnce(AuthLayer) -> AuthLayer) -> Self {
        let clock = ManualClock::at(START);
        let environment = Environment::default().with_clock(clock.clone());
        let store = Arc::new(TestStore::default());
        let keys = ApiKeys::builder(Arc::clone(&store), KeyFormat::new("sk_agent").unwrap());
        let keys = keys.environment(&environment).build();
        let agent = NewKey::new("agent-7").tenant("acme").scopes("billing:read tools:call");
        let (_, secret) = keys.mint(agent).await.unwrap();

        let issuer = TestIssuer::new("https://issuer.test").environment(&environment);
        let user = CredentialSource::new(Jwt::new(rules(&issuer), issuer.clone()));
        let user = user.scheme(Bearer::from(Location::header("x-user-token")));
        let layer = AuthLayer::new(keys.clone()).environment(&environment).acting_for(user).unwrap();
        let app = BoxCloneSyncService::new(set_up(layer.clone()).layer(service_fn(describe)));
        Self { app, clock, issuer, key: secret.expose().to_owned(), keys, layer, store }
    }

    fn rules(&self) -> Issuer {
        rules(&self.issuer)
    }

    fn layer(&self) -> AuthLayer {
        self.layer.clone()
    }

    fn token(&self) -> tower_warden::testing::TokenBuilder {
        let token = self.issuer.token("alice").audience(AUDIENCE).claim("tenant", "acme");
        token.scope("billing:read billing:write").claim("jti", "token-1")
    }

    async fn send(&self, request: Builder) -> Answer {
        send(self.app.clone(), request).await
    }

    async fn both(&self, token: &str) -> Answer {
        self.send(request().header("x-api-key", &self.key).header("x-user-token", token)).await
    }
}

fn rules(issuer: &TestIssuer) -> Issuer {
    Issuer::new(issuer.name(), AUDIENCE).unwrap().tenant_claim("tenant")
}

/// Names the caller, the subject, and the scopes that are held.
async fn describe(request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, std::convert::Infallible> {
    let text = match request.extensions().get::<Principal>() {
        None => "nobody".to_owned(),
        Some(caller) => {
            let user = caller.acting_for().map_or("nobody", Principal::subject);
            let scopes = ["billing:read", "billing:write", "tools:call"];
            let held = scopes.into_iter().filter(|scope| caller.holds(&Scope::parse(scope).unwrap()));
            format!("{} for {user}: {}", caller.subject(), held.collect::<Vec<_>>().join(" "))
        }
    };
    Ok(Response::new(Full::from(text)))
}

#[tokio::test]
async fn the_principal_is_the_caller_and_knows_the_subject_and_holds_what_both_hold() {
    let pair = Pair::new().await;
    let answer = pair.both(&pair.token().sign()).await;
    assert_eq!((answer.status.as_u16(), &*answer.body), (200, "agent-7 for alice: billing:read"));
}

#[tokio::test]
async fn the_audit_event_attributes_each_credential_to_its_owner() {
    let pair = Pair::new().await;
    let (sink, mut events) = AuditChannel::new(1);
    let service = AuditLayer::new(AuditLog::new(sink)).layer(pair.app.clone());
    let request = request().header("x-api-key", &pair.key).header("x-user-token", pair.token().sign());
    drop(service.oneshot(request.body(Full::default()).unwrap()).await);
    let event = events.try_recv().unwrap();
    let line = |format: &dyn EventFormat| {
        let mut line = Vec::new();
        format.write(&event, &mut line);
        serde_json::from_slice::<serde_json::Value>(&line).unwrap()
    };

    let flat = line(&FlatJson::default());
    let key = flat["key_id"].as_str().unwrap();
    assert_eq!((&flat["subject"], &flat["acting_for"]), (&"agent-7".into(), &"alice".into()));
    let subject = (&flat["acting_for_issuer"], &flat["acting_for_token_id"], flat.get("acting_for_key_id"));
    assert_eq!(subject, (&"https://issuer.test".into(), &"token-1".into(), None));

    let ocsf = line(&Ocsf::new("test"));
    let actor = &ocsf["actor"];
    assert_eq!(actor["user"], serde_json::json!({ "type_id": 0, "uid": "alice", "credential_uid": "token-1" }));
    assert_eq!(actor["idp"]["name"], "https://issuer.test");
    assert_eq!(ocsf["unmapped"]["agent_credential_uid"], key);
    assert!(ocsf["unmapped"].get("agent_issuer").is_none());
}

#[tokio::test]
async fn scopes_are_those_of_the_caller_or_of_the_subject_if_declared() {
    let cases = [
        (DelegatedScopes::Both, "agent-7 for alice: billing:read"),
        (DelegatedScopes::Caller, "agent-7 for alice: billing:read tools:call"),
        (DelegatedScopes::Subject, "agent-7 for alice: billing:read billing:write"),
    ];
    for (scopes, expected) in cases {
        let pair = Pair::with(|layer| layer.delegated_scopes(scopes)).await;
        assert_eq!(pair.both(&pair.token().sign()).await.body, expected);
    }
}

#[tokio::test]
async fn neither_credential_alone_is_enough() {
    let pair = Pair::new().await;
    let agent = pair.send(request().header("x-api-key", &pair.key)).await;
    agent.assert_reason(401, "subject_credential_missing");
    let user = pair.send(request().header("x-user-token", pair.token().sign())).await;
    user.assert_reason(401, "credential_missing");
    pair.send(request()).await.assert_reason(401, "credential_missing");
}

#[tokio::test]
async fn an_optional_layer_admits_neither_but_not_one_of_the_two() {
    let pair = Pair::with(AuthLayer::optional).await;
    assert_eq!(pair.send(request()).await.body, "nobody");
    let agent = pair.send(request().header("x-api-key", &pair.key)).await;
    agent.assert_reason(401, "subject_credential_missing");
    let user = pair.send(request().header("x-user-token", pair.token().sign())).await;
    assert_eq!(user.status, 401);
}

#[tokio::test]
async fn an_invalid_credential_of_either_is_refused_as_any_other() {
    let pair = Pair::new().await;
    let token = pair.token();
    pair.both(&token.clone().audience("https://elsewhere.test").sign()).await.assert_reason(401, "audience_mismatch");
    pair.both(&token.clone().claim("exp", START.as_secs() - 61).sign()).await.assert_reason(401, "expired");
    let guess = request().header("x-api-key", crate::support::unknown_key().expose());
    pair.send(guess.header("x-user-token", token.sign())).await.assert_reason(401, "key_unknown");
}

#[tokio::test]
async fn two_credentials_of_one_source_are_malformed() {
    let pair = Pair::new().await;
    let twice = request().header("x-api-key", &pair.key).header("x-api-key", &pair.key);
    let answer = pair.send(twice.header("x-user-token", pair.token().sign())).await;
    answer.assert_reason(400, "several_credentials");
    let twice = request().header("x-user-token", "a").header("x-user-token", "b");
    pair.send(twice.header("x-api-key", &pair.key)).await.assert_reason(400, "several_credentials");
}

#[tokio::test]
async fn caller_and_subject_are_of_one_tenant() {
    let pair = Pair::new().await;
    let other = pair.both(&pair.token().claim("tenant", "globex").sign()).await;
    other.assert_reason(401, "tenant_mismatch");
}

#[tokio::test]
async fn either_is_refused_once_it_is_revoked_or_has_expired() {
    let clock = ManualClock::at(START);
    let list = MemoryRevocationList::default().environment(&Environment::default().with_clock(clock));
    let pair = Pair::with(|layer| layer.revocations(list.clone())).await;
    let token = pair.token().expires_in(Duration::from_secs(600)).sign();
    assert_eq!(pair.both(&token).await.status, 200);

    let until = UnixTime::from_secs(START.as_secs() + 600);
    list.revoke(Revocation::token("https://issuer.test", "token-1"), until).unwrap();
    pair.both(&token).await.assert_reason(401, "revoked");
    let fresh = pair.token().claim("jti", "token-2").sign();
    assert_eq!(pair.both(&fresh).await.status, 200);

    let page = pair.keys.list(&Default::default()).await.unwrap();
    pair.keys.revoke(&page.keys[0].id).await.unwrap();
    pair.both(&fresh).await.assert_reason(401, "key_revoked");
}

#[tokio::test]
async fn a_token_that_expires_between_requests_is_refused_though_its_agent_is_valid() {
    let pair = Pair::new().await;
    let token = pair.token().expires_in(Duration::from_secs(60)).sign();
    assert_eq!(pair.both(&token).await.status, 200);
    pair.clock.advance(Duration::from_secs(121));
    pair.both(&token).await.assert_reason(401, "expired");
}

#[tokio::test]
async fn a_store_that_is_down_is_503_also_if_the_subject_is_valid() {
    let pair = Pair::new().await;
    pair.store.set(Mode::Fail);
    pair.both(&pair.token().sign()).await.assert_unavailable("key_store_unavailable");
}

#[tokio::test]
async fn sources_that_share_a_location_are_refused_at_start() {
    let pair = Pair::new().await;
    let keys = CredentialSource::new(pair.keys.clone());
    let error = AuthLayer::new(pair.keys).acting_for(keys).unwrap_err();
    assert_eq!(error.kind(), ConfigErrorKind::CredentialSource);
    assert!(error.refused_value().is_some(), "{error}");
}

#[tokio::test]
async fn refusals_of_either_have_the_challenge_that_the_layer_was_configured_with() {
    let challenge = || Challenge::new("agents").unwrap().resource_metadata("https://api.test/metadata").unwrap();
    let expected = "Bearer realm=\"agents\", resource_metadata=\"https://api.test/metadata\"";
    let before = Pair::with(|layer| layer.challenge(challenge())).await;
    let missing = before.send(request()).await;
    assert_eq!(missing.header("www-authenticate"), Some(expected));
    let missing = before.send(request().header("x-api-key", &before.key)).await;
    assert_eq!(missing.header("www-authenticate"), Some(expected));
    let invalid = before.both("not-a-token").await;
    assert_eq!(invalid.status, 401);
    assert!(invalid.header("www-authenticate").unwrap().starts_with(&format!("{expected}, error=\"invalid_token\"")));

    let of_keys = before.send(request().header("x-api-key", "sk_agent_guess").header("x-user-token", "a.b.c")).await;
    let of_tenant = before.both(&before.token().claim("tenant", "globex").sign()).await;
    assert_eq!(of_keys.header("www-authenticate"), of_tenant.header("www-authenticate"));
}

#[tokio::test]
async fn a_caller_without_a_tenant_has_that_of_the_subject() {
    let pair = Pair::new().await;
    let admin = NewKey::new("operator").scopes("keys:admin");
    let (_, secret) = pair.keys.mint(admin).await.unwrap();
    let (_, other) = pair.keys.mint(NewKey::new("bob").tenant("globex")).await.unwrap();
    let routes = axum::Router::<()>::new().nest("/keys", key_routes(pair.keys.clone()));
    let app = routes.layer(pair.layer().delegated_scopes(DelegatedScopes::Caller));
    let end = START.as_secs() + 600;
    let token = pair.token().claim("exp", end).sign();
    let call = |method: &str, path: &str, body: &'static str| {
        let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        let request = request.header("x-api-key", secret.expose()).header("x-user-token", &token);
        app.clone().oneshot(request.body(axum::body::Body::from(body)).unwrap())
    };

    let page = Answer::read(call("GET", "/keys", "").await.unwrap()).await.json();
    let tenants: Vec<_> = page["keys"].as_array().unwrap().iter().map(|key| key["tenant"].as_str()).collect();
    assert_eq!(tenants, [Some("acme")]);
    assert!(!other.expose().is_empty());
    assert_eq!(call("GET", "/keys?tenant=globex", "").await.unwrap().status(), 403);
    let elsewhere = r#"{"name":"n","owner":"o","scopes":["keys:admin"],"tenant":"globex"}"#;
    assert_eq!(call("POST", "/keys", elsewhere).await.unwrap().status(), 403);

    let minted = call("POST", "/keys", r#"{"name":"n","owner":"o","scopes":["keys:admin"]}"#).await.unwrap();
    let minted = Answer::read(minted).await;
    assert_eq!((minted.status.as_u16(), &minted.json()["tenant"]), (201, &"acme".into()), "{minted:?}");
    assert_eq!(minted.json()["expires_at"], end, "a minted key does not outlive the user's token");
}

#[tokio::test]
async fn a_scheme_that_is_added_later_does_not_give_one_credential_both_roles() {
    let pair = Pair::new().await;
    let jwt = || Jwt::new(Issuer::new(pair.issuer.name(), AUDIENCE).unwrap(), pair.issuer.clone());
    let environment = Environment::default().with_clock(pair.clock.clone());
    let layer = AuthLayer::new(jwt()).environment(&environment).scheme(Bearer::from(Location::header("x-agent")));
    let layer = layer.acting_for(CredentialSource::new(jwt())).unwrap().scheme(Bearer::default());
    let token = format!("Bearer {}", pair.token().sign());
    let answer = send(crate::support::app(&layer), request().header("authorization", token)).await;
    answer.assert_reason(400, "several_credentials");
}

#[tokio::test]
async fn sources_share_authorization_whatever_the_scheme_and_protocols_by_prefix() {
    let pair = Pair::new().await;
    let jwt = || CredentialSource::new(Jwt::new(Issuer::new("https://i.test", AUDIENCE).unwrap(), pair.issuer.clone()));
    // By default, keys are also located in `Authorization: Bearer` and `Authorization: ApiKey`.
    assert!(AuthLayer::new(pair.keys.clone()).acting_for(jwt()).is_err());
    let header = || ApiKeyHeader::from(Location::header("x-api-key"));
    assert!(AuthLayer::new(pair.keys.clone()).scheme(header()).acting_for(jwt()).is_err());
    let keys = || AuthLayer::new(pair.keys.clone()).without_scheme("bearer").scheme(header());
    assert!(keys().acting_for(jwt()).is_ok());

    let protocol = |prefix: &'static str| Bearer::from(Location::web_socket_protocol(prefix));
    let agent = keys().scheme(protocol("bearer."));
    assert!(agent.clone().acting_for(jwt().scheme(protocol("bearer.user."))).is_err());
    assert!(agent.acting_for(jwt().scheme(protocol("user."))).is_ok());
}

#[tokio::test]
async fn a_key_in_its_own_field_goes_with_a_token_in_authorization() {
    let pair = Pair::new().await;
    let jwt = Jwt::new(Issuer::new(pair.issuer.name(), AUDIENCE).unwrap(), pair.issuer.clone());
    let layer = AuthLayer::new(pair.keys.clone())
        .environment(&Environment::default().with_clock(pair.clock.clone()))
        .without_scheme("Bearer")
        .scheme(ApiKeyHeader::from(Location::header("x-api-key")))
        .acting_for(CredentialSource::new(jwt))
        .unwrap();
    let app = BoxCloneSyncService::new(layer.layer(service_fn(describe)));
    let call = |key: &str, token: &str| {
        send(app.clone(), request().header("x-api-key", key).header("authorization", format!("Bearer {token}")))
    };
    let token = pair.token().sign();
    assert_eq!(call(&pair.key, &token).await.body, "agent-7 for alice: billing:read");
    // Neither is the other.
    assert_eq!(call(&token, &pair.key).await.status, 401);
}

#[tokio::test]
async fn step_up_and_sender_constraints_of_routes_apply_to_the_subject() {
    let pair = Pair::new().await;
    let app = |policy: AuthorizeLayer| {
        let service = policy.layer(service_fn(describe));
        BoxCloneSyncService::new(pair.layer().layer(service))
    };
    let both = |token: String| request().header("x-api-key", &pair.key).header("x-user-token", token);
    let at = |seconds: u64| pair.token().claim("auth_time", START.as_secs() - seconds).sign();

    let recent = app(AuthorizeLayer::step_up(StepUp::recent(Duration::from_secs(300))));
    assert_eq!(send(recent.clone(), both(at(10))).await.status, 200);
    send(recent.clone(), both(at(86_400))).await.assert_reason(401, "auth_time_too_old");
    send(recent, both(pair.token().sign())).await.assert_reason(401, "auth_time_missing");

    let bound = app(AuthorizeLayer::sender_constrained(SenderConstraint::Any));
    send(bound, both(pair.token().sign())).await.assert_reason(401, "not_sender_constrained");
}

#[tokio::test]
async fn sender_constraint_of_the_layer_applies_to_both_credentials_in_either_order() {
    let pair = Pair::new().await;
    let thumbprint = tower_warden::Digest::of(b"a certificate");
    let bound = Confirmation::certificate(thumbprint);
    let certificate = PeerCertificate::from_thumbprint(thumbprint, ChainStatus::Unverified);
    let agent = NewKey::new("agent-7").tenant("acme").confirmation(bound.clone());
    let (_, agent) = pair.keys.mint(agent).await.unwrap();

    let constrained = |layer: AuthLayer| layer.sender_constrained(SenderConstraint::Certificate);
    let jwt = || Jwt::new(pair.rules(), pair.issuer.clone());
    let user = || CredentialSource::new(jwt()).scheme(Bearer::from(Location::header("x-user-token")));
    let user = || user().proof(CertificateProof);
    let auth = || {
        let environment = Environment::default().with_clock(pair.clock.clone());
        AuthLayer::new(pair.keys.clone()).environment(&environment).proof(CertificateProof)
    };
    for layer in [constrained(auth()).acting_for(user()).unwrap(), constrained(auth().acting_for(user()).unwrap())] {
        let app = BoxCloneSyncService::new(layer.layer(service_fn(describe)));
        let both = |key: &str, token: String| {
            let request = request().header("x-api-key", key).header("x-user-token", token);
            send(app.clone(), request.extension(certificate.clone()))
        };
        let token = || pair.token().confirmation(&bound).sign();
        assert_eq!(both(agent.expose(), token()).await.status, 200);
        both(agent.expose(), pair.token().sign()).await.assert_reason(401, "not_sender_constrained");
        both(&pair.key, token()).await.assert_reason(401, "not_sender_constrained");
    }
}

#[tokio::test]
async fn scopes_are_implied_whether_the_hierarchy_is_set_before_or_after() {
    let hierarchy = || {
        let implied = "billing:read".parse().unwrap();
        ScopeHierarchy::new([(Scope::from_static("billing:write"), implied)]).unwrap()
    };
    for is_first in [true, false] {
        let pair = Pair::new().await;
        let jwt = Jwt::new(Issuer::new(pair.issuer.name(), AUDIENCE).unwrap(), pair.issuer.clone());
        let user = CredentialSource::new(jwt).scheme(Bearer::from(Location::header("x-user-token")));
        let layer = AuthLayer::new(pair.keys.clone())
            .environment(&Environment::default().with_clock(pair.clock.clone()))
            .delegated_scopes(DelegatedScopes::Subject);
        let layer = if is_first {
            layer.scope_hierarchy(hierarchy()).acting_for(user).unwrap()
        } else {
            layer.acting_for(user).unwrap().scope_hierarchy(hierarchy())
        };
        let app = BoxCloneSyncService::new(layer.layer(service_fn(describe)));
        let token = pair.issuer.token("alice").audience(AUDIENCE).scope("billing:write").sign();
        let answer = send(app, request().header("x-api-key", &pair.key).header("x-user-token", token)).await;
        assert_eq!(answer.body, "agent-7 for alice: billing:read billing:write");
    }
}

#[tokio::test]
async fn a_key_that_is_minted_for_a_users_tenant_has_the_users_tier() {
    let pair = Pair::new().await;
    let admin = NewKey::new("operator").tier("internal").scopes("keys:admin");
    let (_, secret) = pair.keys.mint(admin).await.unwrap();
    let config = Issuer::new(pair.issuer.name(), AUDIENCE).unwrap().tenant_claim("tenant").tier_claim("tier");
    let user = CredentialSource::new(Jwt::new(config, pair.issuer.clone()));
    let layer = AuthLayer::new(pair.keys.clone())
        .environment(&Environment::default().with_clock(pair.clock.clone()))
        .delegated_scopes(DelegatedScopes::Caller)
        .acting_for(user.scheme(Bearer::from(Location::header("x-user-token"))))
        .unwrap();
    let app = axum::Router::<()>::new().nest("/keys", key_routes(pair.keys.clone())).layer(layer);
    let token = pair.token().claim("tier", "free").sign();
    let mint = |body: &'static str| {
        let request = Request::post("/keys").header("content-type", "application/json");
        let request = request.header("x-api-key", secret.expose()).header("x-user-token", &token);
        app.clone().oneshot(request.body(axum::body::Body::from(body)).unwrap())
    };
    let internal = r#"{"name":"n","owner":"o","scopes":["keys:admin"],"tier":"internal"}"#;
    assert_eq!(mint(internal).await.unwrap().status(), 403);
    let minted = mint(r#"{"name":"n","owner":"o","scopes":["keys:admin"]}"#).await.unwrap();
    assert_eq!(Answer::read(minted).await.json()["tier"], "free");
}

#[tokio::test]
async fn the_quota_of_a_tenant_is_that_of_its_issuer_whoever_acts_for_it() {
    let pair = Pair::new().await;
    let (_, secret) = pair.keys.mint(NewKey::new("agent-8")).await.unwrap();
    let direct =
        Jwt::new(Issuer::new(pair.issuer.name(), AUDIENCE).unwrap().tenant_claim("tenant"), pair.issuer.clone());
    let limiter = LocalRateLimiter::default();
    let limit =
        || RateLimitLayer::new("tenants", limiter.clone(), LimitBy::tenant(), Quota::per_day(1).named("tenant"));
    let environment = Environment::default().with_clock(pair.clock.clone());
    let composed = BoxCloneSyncService::new(pair.layer().layer(limit().layer(service_fn(describe))));
    let direct = AuthLayer::new(direct).environment(&environment);
    let direct = BoxCloneSyncService::new(direct.layer(limit().layer(service_fn(describe))));

    let token = pair.token().sign();
    let agent = request().header("x-api-key", secret.expose()).header("x-user-token", &token);
    assert_eq!(send(composed, agent).await.status, 200);
    let user = request().header("authorization", format!("Bearer {token}"));
    send(direct, user).await.assert_reason(429, "quota_exceeded");
}
