//! Authorization codes at the token endpoint.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tower_warden::{
    Digest, Eventual, Identity, Unavailable, UnixTime,
    jwt::Algorithm,
    revocation::{MemoryRevocationList, Revocation, RevocationList},
    testing::{SigningKey, TokenBuilder},
};
use tower_warden_issuer::{
    AutoConsent, ClaimsError, ClaimsRequest, ClientAuthentication, ClientSecrets, ExtraClaims, GrantType,
    MemoryRefreshStore, RefreshFamily, RefreshStore, RefreshTokens, Revoker, Rotation, RotationOutcome,
};

use crate::{
    code_support::{CHALLENGE, Changes, CodeFlow, LOCAL, VERIFIER, interactive, redemption},
    support::{BILLING, NOW, ORDERS, Reply, basic_request, claims, client, form_request},
};

fn consent() -> AutoConsent {
    AutoConsent::new("alice").unwrap()
}

fn refresh_token(reply: &Reply) -> &str {
    reply.token();
    reply.body["refresh_token"].as_str().unwrap()
}

#[tokio::test]
async fn a_code_yields_tokens_of_the_subject_for_the_granted_scopes_and_resource() {
    let flow = CodeFlow::new();
    let code = flow.code(&[("resource", Some(BILLING)), ("scope", Some("orders:read admin"))]).await;
    let reply = flow.redeem(&code, &[("resource", Some(BILLING))]).await;
    let claims = claims(reply.token());
    assert_eq!((&claims["sub"], &claims["client_id"]), (&"alice".into(), &"desktop".into()));
    assert_eq!((&claims["aud"], &claims["scope"]), (&BILLING.into(), &"orders:read".into()));
    assert_eq!((&reply.body["scope"], &reply.body["token_type"]), (&"orders:read".into(), &"Bearer".into()));
    assert_eq!(reply.headers["cache-control"], "no-store");
    let form = format!("grant_type=refresh_token&client_id=desktop&refresh_token={}", refresh_token(&reply));
    let refreshed = flow.post("/oauth/token", &form).await;
    let refreshed = crate::support::claims(refreshed.token());
    assert_eq!((&refreshed["aud"], &refreshed["sid"]), (&BILLING.into(), &claims["sid"]));
}

#[tokio::test]
async fn a_client_that_may_not_refresh_gets_no_refresh_token() {
    let flow = CodeFlow::new();
    flow.clients.insert(interactive(client("desktop")).public().grants([GrantType::AuthorizationCode]));
    let reply = flow.redeem(&flow.code(&[]).await, &[]).await;
    reply.token();
    assert!(reply.body.get("refresh_token").is_none());
}

// (261)
#[tokio::test]
async fn a_second_use_is_refused_and_revokes_what_the_first_has_yielded() {
    let flow = CodeFlow::new();
    let code = flow.code(&[]).await;
    let first = flow.redeem(&code, &[]).await;
    let form = format!("grant_type=refresh_token&client_id=desktop&refresh_token={}", refresh_token(&first));
    let refreshed = flow.post("/oauth/token", &form).await;
    assert!(!flow.is_revoked(first.token()).await);
    flow.redeem(&code, &[]).await.assert_error(400, "invalid_grant");
    assert!(flow.is_revoked(first.token()).await && flow.is_revoked(refreshed.token()).await);
    let form = format!("grant_type=refresh_token&client_id=desktop&refresh_token={}", refresh_token(&refreshed));
    flow.post("/oauth/token", &form).await.assert_error(400, "invalid_grant");
}

#[tokio::test]
async fn a_second_use_after_the_code_has_expired_revokes_as_well() {
    let flow = CodeFlow::new();
    let code = flow.code(&[]).await;
    let first = flow.redeem(&code, &[]).await;
    flow.advance(14 * 60);
    flow.redeem(&code, &[]).await.assert_error(400, "invalid_grant");
    assert!(flow.is_revoked(first.token()).await);
}

#[tokio::test]
async fn a_second_use_without_refresh_tokens_revokes_by_the_list_of_the_issuer() {
    let list = MemoryRevocationList::default();
    let mut flow = CodeFlow::with(consent(), |builder| builder.revocations(list.clone()));
    flow.list = list.environment(&tower_warden::Environment::default().with_clock(flow.clock.clone()));
    flow.clients.insert(interactive(client("desktop")).public().grants([GrantType::AuthorizationCode]));
    let code = flow.code(&[]).await;
    let first = flow.redeem(&code, &[]).await;
    flow.redeem(&code, &[]).await.assert_error(400, "invalid_grant");
    assert!(flow.is_revoked(first.token()).await);
}

// (261)
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hundred_concurrent_uses_one_yields_tokens_which_are_revoked() {
    let flow = Arc::new(CodeFlow::new());
    let code = flow.code(&[]).await;
    let mut uses = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (flow, code) = (Arc::clone(&flow), code.clone());
        uses.spawn(async move { flow.redeem(&code, &[]).await });
    }
    let replies = uses.join_all().await;
    let (issued, refused): (Vec<_>, Vec<_>) = replies.into_iter().partition(|reply| reply.status == 200);
    assert_eq!((issued.len(), refused.len()), (1, 99));
    refused.iter().for_each(|reply| reply.assert_error(400, "invalid_grant"));
    assert!(flow.is_revoked(issued[0].token()).await);
}

#[tokio::test]
async fn a_code_expires_after_its_lifetime() {
    let consent = consent().code_lifetime(Duration::from_secs(30)).unwrap();
    for (seconds, is_valid) in [(29, true), (30, false)] {
        let flow = CodeFlow::with(consent.clone(), |builder| builder);
        let code = flow.code(&[]).await;
        flow.advance(seconds);
        assert_eq!(flow.redeem(&code, &[]).await.status == 200, is_valid, "{seconds}");
    }
}

/// Asserts that a request is refused, and that the code can still be used by its client.
async fn assert_refused(flow: &CodeFlow, code: &str, changes: Changes<'_>, error: &str) {
    flow.redeem(code, changes).await.assert_error(400, error);
    flow.redeem(code, &[]).await.token();
}

// (262)
#[tokio::test]
async fn a_code_of_another_client_is_refused() {
    let flow = CodeFlow::new();
    let code = flow.code(&[]).await;
    assert_refused(&flow, &code, &[("client_id", Some("web")), ("client_secret", Some("s3cret"))], "invalid_grant")
        .await;
    // Nor does its second use end the session.
    flow.redeem(&code, &[("client_id", Some("web")), ("client_secret", Some("s3cret"))])
        .await
        .assert_error(400, "invalid_grant");
    let code = flow.code(&[]).await;
    let first = flow.redeem(&code, &[]).await;
    let other = [("client_id", Some("web")), ("client_secret", Some("s3cret"))];
    flow.redeem(&code, &other).await.assert_error(400, "invalid_grant");
    assert!(!flow.is_revoked(first.token()).await);
}

// (262)
#[tokio::test]
async fn another_redirect_uri_than_that_of_the_request_is_refused() {
    let flow = CodeFlow::new();
    for uri in [None, Some("http://127.0.0.1:5001/callback"), Some("https://evil.example.com")] {
        let code = flow.code(&[]).await;
        assert_refused(&flow, &code, &[("redirect_uri", uri)], "invalid_grant").await;
    }
}

// (262)
#[tokio::test]
async fn a_verifier_that_is_not_that_of_the_challenge_is_refused() {
    let flow = CodeFlow::new();
    let (other, short) = (VERIFIER.replace('d', "e"), &VERIFIER[..42]);
    for verifier in [None, Some(""), Some(&*other), Some(short), Some(CHALLENGE)] {
        let code = flow.code(&[]).await;
        assert_refused(&flow, &code, &[("code_verifier", verifier)], "invalid_grant").await;
    }
}

#[tokio::test]
async fn a_verifier_with_a_length_or_characters_that_are_not_allowed_is_refused() {
    let flow = CodeFlow::new();
    for (verifier, is_valid) in [
        ("a".repeat(43), true),
        ("-._~".repeat(32), true),
        ("a".repeat(42), false),
        ("a".repeat(129), false),
        ("a".repeat(43) + "+", false),
        ("a".repeat(43) + "\u{e4}", false),
    ] {
        let challenge = Digest::of(verifier.as_bytes()).to_base64url();
        let code = flow.code(&[("code_challenge", Some(&challenge))]).await;
        let reply = flow.redeem(&code, &[("code_verifier", Some(&verifier))]).await;
        assert_eq!(reply.status == 200, is_valid, "{verifier}");
    }
}

#[tokio::test]
async fn another_resource_than_that_of_the_request_is_refused() {
    let flow = CodeFlow::new();
    let code = flow.code(&[("resource", Some(ORDERS))]).await;
    assert_refused(&flow, &code, &[("resource", Some(BILLING))], "invalid_target").await;
}

#[tokio::test]
async fn an_unknown_and_a_missing_code_are_refused() {
    let flow = CodeFlow::new();
    flow.redeem(&"a".repeat(43), &[]).await.assert_error(400, "invalid_grant");
    flow.redeem("", &[]).await.assert_error(400, "invalid_request");
}

#[tokio::test]
async fn a_code_in_the_url_and_a_repeated_code_are_refused() {
    let flow = CodeFlow::new();
    let code = flow.code(&[]).await;
    let form = redemption(&code, &[]);
    flow.post(&format!("/oauth/token?{form}"), &form).await.assert_error(400, "invalid_request");
    flow.post("/oauth/token", &format!("{form}&code={code}")).await.assert_error(400, "invalid_request");
    flow.redeem(&code, &[]).await.token();
}

#[tokio::test]
async fn a_client_with_a_secret_has_to_authenticate() {
    let flow = CodeFlow::new();
    let code = flow.code(&[("client_id", Some("web"))]).await;
    let web = ("client_id", Some("web"));
    flow.redeem(&code, &[web]).await.assert_error(401, "invalid_client");
    flow.redeem(&code, &[web, ("client_secret", Some("guess"))]).await.assert_error(401, "invalid_client");
    // PKCE is not optional for it either.
    let reply = flow.redeem(&code, &[web, ("client_secret", Some("s3cret")), ("code_verifier", None)]).await;
    reply.assert_error(400, "invalid_grant");
    flow.redeem(&code, &[web, ("client_secret", Some("s3cret"))]).await.token();
}

#[tokio::test]
async fn a_client_that_is_declared_public_and_has_a_secret_is_not_public() {
    let flow = CodeFlow::new();
    let secret =
        ClientAuthentication::SecretPost(ClientSecrets::new(tower_warden::api_key::KeyDigest::sha256("s3cret")));
    flow.clients.insert(interactive(client("desktop")).public().authentication(secret));
    let code = flow.code(&[]).await;
    flow.redeem(&code, &[]).await.assert_error(401, "invalid_client");
}

// (263)
#[tokio::test]
async fn a_public_client_that_sends_a_credential_is_refused() {
    let flow = CodeFlow::new();
    let code = flow.code(&[]).await;
    for credential in
        [("client_secret", Some("s3cret")), ("client_assertion", Some("a.b.c")), ("client_assertion_type", Some("x"))]
    {
        flow.redeem(&code, &[credential]).await.assert_error(401, "invalid_client");
    }
    flow.send_form(basic_request("desktop:", &redemption(&code, &[]))).await.assert_error(401, "invalid_client");
    let mut request = form_request(&redemption(&code, &[]));
    request.headers_mut().insert("authorization", "Bearer x".parse().unwrap());
    flow.send_form(request).await.assert_error(401, "invalid_client");
    flow.redeem(&code, &[]).await.token();
}

// (263)
#[tokio::test]
async fn a_public_client_may_not_use_other_grants_nor_introspect() {
    let flow = CodeFlow::new();
    flow.clients.insert(interactive(client("desktop")).public().grants(all_grants()));
    let reply = flow.post("/oauth/token", "grant_type=client_credentials&client_id=desktop").await;
    reply.assert_error(400, "unauthorized_client");
    let token = flow.redeem(&flow.code(&[]).await, &[]).await;
    let form = format!("client_id=desktop&token={}", token.token());
    flow.post("/oauth/introspect", &form).await.assert_error(401, "invalid_client");
}

fn all_grants() -> [GrantType; 3] {
    [GrantType::AuthorizationCode, GrantType::ClientCredentials, GrantType::RefreshToken]
}

#[tokio::test]
async fn a_public_client_may_revoke_its_own_tokens_only() {
    let flow = CodeFlow::new();
    let token = flow.redeem(&flow.code(&[]).await, &[]).await;
    flow.clients.insert(interactive(client("other")).public());
    let form = |id| format!("client_id={id}&token={}", token.token());
    flow.post("/oauth/revoke", &form("other")).await.assert_error(400, "unauthorized_client");
    assert_eq!(flow.post("/oauth/revoke", &form("desktop")).await.status, 200);
    assert!(flow.is_revoked(token.token()).await);
}

/// A proof for the token endpoint. Each has another id.
pub(crate) fn proof(key: &SigningKey, id: &str) -> String {
    let mut jwk = key.jwk();
    jwk.as_object_mut().unwrap().retain(|name, _| !matches!(name.as_str(), "kid" | "alg" | "use"));
    let header = json!({ "alg": "ES256", "typ": "dpop+jwt", "jwk": jwk });
    let claims = json!({ "htm": "POST", "htu": format!("{LOCAL}/oauth/token"), "iat": NOW.as_secs(), "jti": id });
    TokenBuilder::sign_text(&header.to_string(), &claims.to_string(), key)
}

pub(crate) async fn prove(flow: &CodeFlow, form: &str, proof: &str) -> Reply {
    let mut request = form_request(form);
    request.headers_mut().insert("dpop", proof.parse().unwrap());
    flow.send_form(request).await
}

// (262)
#[tokio::test]
async fn a_code_for_a_key_is_refused_without_its_proof() {
    let (flow, key, other) =
        (CodeFlow::new(), SigningKey::generate(Algorithm::ES256), SigningKey::generate(Algorithm::ES256));
    let thumbprint = key.confirmation().key_thumbprint().unwrap().to_base64url();
    let code = flow.code(&[("dpop_jkt", Some(&thumbprint))]).await;
    let form = redemption(&code, &[]);
    flow.post("/oauth/token", &form).await.assert_error(400, "invalid_grant");
    prove(&flow, &form, &proof(&other, "1")).await.assert_error(400, "invalid_grant");
    let reply = prove(&flow, &form, &proof(&key, "2")).await;
    assert_eq!(reply.body["token_type"], "DPoP");
    assert_eq!(claims(reply.token())["cnf"]["jkt"], thumbprint);
}

#[tokio::test]
async fn the_refresh_token_of_a_public_client_is_bound_to_the_key_of_its_proof() {
    let (flow, key) = (CodeFlow::new(), SigningKey::generate(Algorithm::ES256));
    let reply = prove(&flow, &redemption(&flow.code(&[]).await, &[]), &proof(&key, "1")).await;
    let form = format!("grant_type=refresh_token&client_id=desktop&refresh_token={}", refresh_token(&reply));
    flow.post("/oauth/token", &form).await.assert_error(400, "invalid_grant");
    prove(&flow, &form, &proof(&SigningKey::generate(Algorithm::ES256), "2")).await.assert_error(400, "invalid_grant");
    prove(&flow, &form, &proof(&key, "3")).await.token();
}

#[tokio::test]
async fn a_code_stays_valid_while_claims_are_refused_or_unavailable() {
    let state = Arc::new(AtomicBool::new(true));
    let seen = Arc::clone(&state);
    let flow = CodeFlow::with(consent(), |builder| {
        builder.claims(move |request: &ClaimsRequest<'_>| {
            match (request.scopes.is_empty(), seen.load(Ordering::Relaxed)) {
                (_, false) => Ok(ExtraClaims::default()),
                (true, true) => Err(ClaimsError::Refused),
                (false, true) => Err(ClaimsError::Unavailable(Unavailable::new("the directory"))),
            }
        })
    });
    let code = flow.code(&[]).await;
    flow.redeem(&code, &[]).await.assert_error(503, "temporarily_unavailable");
    state.store(false, Ordering::Relaxed);
    flow.redeem(&code, &[]).await.token();

    state.store(true, Ordering::Relaxed);
    let plain = tower_warden_issuer::Client::new("desktop", ORDERS).unwrap();
    flow.clients.insert(interactive(plain).public());
    let code = flow.code(&[("scope", None)]).await;
    flow.redeem(&code, &[]).await.assert_error(400, "invalid_grant");
}

/// A store that does not begin families for a while.
struct Failing(AtomicBool, MemoryRefreshStore);

impl RefreshStore for Failing {
    fn begin(&self, family: RefreshFamily, now: UnixTime) -> Eventual<Result<(), Unavailable>> {
        match self.0.load(Ordering::Relaxed) {
            true => Eventual::Now(Err(Unavailable::new("the store"))),
            false => self.1.begin(family, now),
        }
    }

    fn find(&self, family_id: &str) -> Eventual<Result<Option<RefreshFamily>, Unavailable>> {
        self.1.find(family_id)
    }

    fn revoke(&self, family_id: &str) -> Eventual<Result<(), Unavailable>> {
        self.1.revoke(family_id)
    }

    fn rotate(&self, rotation: Rotation) -> Eventual<Result<RotationOutcome, Unavailable>> {
        self.1.rotate(rotation)
    }
}

#[tokio::test]
async fn nothing_is_issued_while_the_store_of_refresh_tokens_does_not_respond() {
    let store = Arc::new(Failing(AtomicBool::new(true), MemoryRefreshStore::default()));
    let refresh = RefreshTokens::new(Arc::clone(&store), MemoryRevocationList::default());
    let flow = CodeFlow::with(consent(), |builder| builder.refresh_tokens(refresh));
    let code = flow.code(&[]).await;
    flow.redeem(&code, &[]).await.assert_error(503, "temporarily_unavailable");
    store.0.store(false, Ordering::Relaxed);
    flow.redeem(&code, &[]).await.token();
}

#[tokio::test]
async fn a_second_use_is_503_while_tokens_cannot_be_revoked() {
    struct Down(AtomicBool, MemoryRevocationList);
    impl RevocationList for Down {
        fn is_revoked(&self, identity: &Identity) -> Eventual<Result<bool, Unavailable>> {
            self.1.is_revoked(identity)
        }
    }
    impl Revoker for Down {
        fn revoke(&self, revocation: Revocation, until: UnixTime) -> Eventual<Result<(), Unavailable>> {
            match self.0.load(Ordering::Relaxed) {
                true => Eventual::Now(Err(Unavailable::new("the list"))),
                false => Revoker::revoke(&self.1, revocation, until),
            }
        }
    }
    let list = MemoryRevocationList::default();
    let down = Arc::new(Down(AtomicBool::new(true), list.clone()));
    let mut flow = CodeFlow::with(consent(), |builder| builder.revocations(Arc::clone(&down)));
    flow.list = list;
    let code = flow.code(&[]).await;
    let first = flow.redeem(&code, &[]).await;
    flow.redeem(&code, &[]).await.assert_error(503, "temporarily_unavailable");
    down.0.store(false, Ordering::Relaxed);
    flow.redeem(&code, &[]).await.assert_error(400, "invalid_grant");
    assert!(flow.is_revoked(first.token()).await, "the next request has revoked them");
}

#[tokio::test]
async fn each_code_is_another_one_and_none_is_in_debug_output() {
    let flow = CodeFlow::new();
    let mut codes = BTreeSet::new();
    for _ in 0..100 {
        assert!(codes.insert(flow.code(&[]).await));
    }
    let text = format!("{:?} {:?}", flow.issuer, consent());
    assert!(codes.iter().all(|code| !text.contains(code)) && !text.contains("alice"), "{text}");
}
