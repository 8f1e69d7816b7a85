//! The extensions, in a layer and against the conformance suites.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use bytes::Bytes;
use http::{Request, Response, request::Builder};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt, service_fn};
use tower_warden::{
    Authenticator, Clock, Digest, Environment, Head, ManualClock, Principal, Rejection, UnixTime,
    api_key::{ApiKeys, KeyDigest, KeyErrorKind, KeyFormat, KeyId, KeyRecord, KeyStore, NewKey},
    auth::CredentialSource,
    caller::Confirmation,
    jwt::{Issuer, Jwt},
    layer::AuthLayer,
    scheme::{Bearer, Location},
    testing::{
        TestIssuer,
        conformance::{
            RevocationEntry, RevokedBy, key_store, key_store_changes, key_store_management,
            key_store_management_changes, revocation_list,
        },
    },
};
use tower_warden_outside::{
    file_store::FileKeyStore,
    gateway_proof::{GatewayProof, SignedBy},
    hmac_scheme::{HmacClients, HmacScheme, sign},
    revoked_ids::RevokedIds,
};

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
const SECRET: &[u8] = b"a secret that client and server share";

/// Status, reason, challenges and body of a response.
async fn send(layer: &AuthLayer, request: Builder) -> (u16, String, Vec<String>, String) {
    let handler = service_fn(async |request: Request<()>| {
        let caller = request.extensions().get::<Principal>();
        let subject = caller.map_or("anonymous", Principal::subject);
        let user = caller.and_then(Principal::acting_for).map(|user| format!(" for {}", user.subject()));
        let text = format!("{subject}{}", user.unwrap_or_default());
        assert!(!format!("{:?}", request.headers()).contains("secret-"), "a credential is printed");
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(text)))
    });
    let response = layer.layer(handler).oneshot(request.body(()).unwrap()).await.unwrap();
    let reason = response.extensions().get().map(|rejection: &Rejection| rejection.reason().to_string());
    let challenges = response.headers().get_all("www-authenticate").iter();
    let challenges = challenges.map(|line| line.to_str().unwrap().to_owned()).collect();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, reason.unwrap_or_default(), challenges, String::from_utf8(body.to_vec()).unwrap())
}

fn environment() -> Environment {
    Environment::default().with_clock(ManualClock::at(NOW))
}

fn jwt() -> (TestIssuer, Jwt) {
    let issuer = TestIssuer::new("https://issuer.test").environment(&environment());
    let jwt = Jwt::new(Issuer::new(issuer.name(), "https://api.test").unwrap(), issuer.clone());
    (issuer, jwt)
}

fn signed(timestamp: u64, path: &str) -> Builder {
    let request = Request::builder().uri(path).body(()).unwrap();
    let signature = sign(SECRET, "agent", timestamp, &Head::from(&request));
    Request::builder()
        .uri(path)
        .header("x-client", "agent")
        .header("x-timestamp", timestamp.to_string())
        .header("x-signature", signature)
}

fn hmac_layer() -> AuthLayer {
    AuthLayer::new(HmacClients::new([("agent".to_owned(), SECRET.to_vec())])).environment(&environment())
}

#[tokio::test]
async fn a_signed_request_is_admitted_and_another_is_challenged_under_the_custom_scheme() {
    let layer = hmac_layer();
    let now = NOW.as_secs();
    assert_eq!(send(&layer, signed(now, "/a")).await.3, "agent");
    assert_eq!(send(&layer, signed(now - 300, "/a")).await.3, "agent");

    let (status, reason, challenges, _) = send(&layer, signed(now - 301, "/a")).await;
    assert_eq!((status, &*reason), (401, "hmac_timestamp"));
    assert_eq!(
        challenges,
        ["HMAC-SHA256 realm=\"api\", fields=\"x-client x-timestamp x-signature\", error=\"invalid_token\", \
          error_description=\"The credential is invalid, expired or revoked.\""]
    );
    let other_path = signed(now, "/a").uri("/b");
    assert_eq!(send(&layer, other_path).await.1, "hmac_signature");

    let (status, reason, challenges, _) = send(&layer, Request::builder()).await;
    assert_eq!((status, &*reason), (401, "credential_missing"));
    assert_eq!(challenges, ["HMAC-SHA256 realm=\"api\", fields=\"x-client x-timestamp x-signature\""]);
}

#[tokio::test]
async fn a_malformed_or_second_signature_is_400_also_under_an_optional_layer() {
    for layer in [hmac_layer(), hmac_layer().optional()] {
        let malformed = Request::builder().header("x-signature", "a guess");
        assert_eq!((send(&layer, malformed).await.0, 400), (400, 400));
        let twice = signed(NOW.as_secs(), "/").header("x-signature", "0".repeat(64));
        let (status, reason, ..) = send(&layer, twice).await;
        assert_eq!((status, &*reason), (400, "several_credentials"));
        let invalid = Request::builder().header("x-signature", "0".repeat(64));
        assert_eq!(send(&layer, invalid).await.0, 401);
    }
    assert_eq!(send(&hmac_layer().optional(), Request::builder()).await.3, "anonymous");
}

#[tokio::test]
async fn a_signature_beside_a_token_is_two_credentials_unless_both_are_required() {
    let (issuer, jwt) = jwt();
    let token = issuer.token("alice").audience("https://api.test").sign();
    let clients = || HmacClients::new([("agent".to_owned(), SECRET.to_vec())]);
    let both = || signed(NOW.as_secs(), "/").header("authorization", format!("Bearer {token}"));

    let either = AuthLayer::new((clients(), jwt.clone())).environment(&environment());
    assert_eq!(send(&either, both()).await.0, 400);

    let composed = AuthLayer::new(clients()).environment(&environment());
    let composed = composed.acting_for(CredentialSource::new(jwt.clone())).unwrap();
    assert_eq!(send(&composed, both()).await.3, "agent for alice");
    let (status, reason, ..) = send(&composed, signed(NOW.as_secs(), "/")).await;
    assert_eq!((status, &*reason), (401, "subject_credential_missing"));
    let user_alone = Request::builder().header("authorization", format!("Bearer {token}"));
    assert_eq!(send(&composed, user_alone).await.1, "credential_missing");

    let shared = AuthLayer::new(jwt.clone()).acting_for(CredentialSource::new(jwt));
    assert!(shared.is_err(), "both would be in Authorization");
}

#[tokio::test]
async fn a_token_in_a_proxys_header_field_is_found_next_to_an_unrelated_authorization() {
    let (issuer, jwt) = jwt();
    let scheme = Bearer::from(Location::header("cf-access-jwt-assertion"));
    let layer = AuthLayer::new(jwt).scheme(scheme).environment(&environment());
    let token = issuer.token("alice").audience("https://api.test").sign();
    let request = || Request::builder().header("authorization", "Basic secret-YTpi");
    assert_eq!(send(&layer, request().header("cf-access-jwt-assertion", &token)).await.3, "alice");
    assert_eq!(send(&layer, request()).await.1, "credential_missing");
    let other = issuer.token("alice").audience("https://other.test").sign();
    assert_eq!(send(&layer, request().header("cf-access-jwt-assertion", other)).await.1, "audience_mismatch");
}

#[tokio::test]
async fn a_token_in_a_cookie_is_found_among_others_and_two_are_refused() {
    let (issuer, jwt) = jwt();
    let layer = AuthLayer::new(jwt).scheme(Bearer::from(Location::cookie("session"))).environment(&environment());
    let token = issuer.token("alice").audience("https://api.test").sign();
    let cookie = |text: String| Request::builder().header("cookie", text);
    assert_eq!(send(&layer, cookie(format!("theme=dark; session={token}; session2=x"))).await.3, "alice");
    let (status, reason, ..) = send(&layer, cookie(format!("session={token}; session={token}"))).await;
    assert_eq!((status, &*reason), (400, "several_credentials"));
    let lines = cookie(format!("session={token}")).header("cookie", "session=x");
    assert_eq!(send(&layer, lines).await.1, "several_credentials");
    assert_eq!(send(&layer, cookie("session=".to_owned())).await.1, "credential_empty");
    assert_eq!(send(&layer, cookie("my-session=x".to_owned())).await.1, "credential_missing");
    assert_eq!(send(&layer, cookie("session=\"x\"".to_owned())).await.1, "credential_syntax");
}

#[tokio::test]
async fn a_token_in_a_web_socket_protocol_is_found_by_its_prefix() {
    let (issuer, jwt) = jwt();
    let scheme = Bearer::default().or(Location::web_socket_protocol("bearer."));
    let layer = AuthLayer::new(jwt).scheme(scheme).environment(&environment());
    let token = issuer.token("alice").audience("https://api.test").sign();
    let protocols = format!("mcp, bearer.{token}");
    let request = || Request::builder().header("sec-websocket-protocol", &protocols);
    assert_eq!(send(&layer, request()).await.3, "alice");
    let both = request().header("authorization", format!("Bearer {token}"));
    assert_eq!(send(&layer, both).await.1, "several_credentials");
}

#[tokio::test]
async fn a_custom_proof_verifies_a_custom_confirmation_method() {
    let (issuer, jwt) = jwt();
    let thumbprint = Digest::of(b"a hardware key");
    let bound = Confirmation::new(GatewayProof::METHOD, thumbprint);
    let token = issuer.token("alice").audience("https://api.test").confirmation(&bound).sign();
    let request = || Request::builder().header("authorization", format!("Bearer {token}"));
    let without = AuthLayer::new(jwt.clone()).environment(&environment());
    let with = AuthLayer::new(jwt).proof(GatewayProof).environment(&environment());

    assert_eq!(send(&with, request().extension(SignedBy(thumbprint))).await.3, "alice");
    assert_eq!(send(&with, request().extension(SignedBy(Digest::of(b"another")))).await.1, "proof_mismatch");
    assert_eq!(send(&with, request()).await.1, "proof_missing");
    // A method that no proof verifies is never ignored.
    assert_eq!(send(&without, request().extension(SignedBy(thumbprint))).await.1, "proof_missing");
}

#[tokio::test]
async fn a_custom_revocation_list_refuses_a_cached_token() {
    let (issuer, jwt) = jwt();
    let list = RevokedIds::default();
    let layer = AuthLayer::new(jwt).revocations(list.clone()).environment(&environment());
    let token = issuer.token("alice").audience("https://api.test").claim("jti", "4711").sign();
    let request = || Request::builder().header("authorization", format!("Bearer {token}"));
    assert_eq!(send(&layer, request()).await.3, "alice");
    list.revoke("https://other.test", "4711");
    assert_eq!(send(&layer, request()).await.3, "alice");
    list.revoke(issuer.name(), "4711");
    assert_eq!(send(&layer, request()).await.1, "revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_revocation_list_conforms() {
    let revoke = async |list: &RevokedIds, entry: RevocationEntry<'_>| list.revoke(entry.issuer, entry.id);
    revocation_list(&[RevokedBy::Token], async || RevokedIds::default(), revoke).await;
}

#[tokio::test]
async fn keys_in_a_file_are_verified_revoked_and_read_by_the_next_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.jsonl");
    let keys = |path: &std::path::Path| ApiKeys::new(FileKeyStore::new(path), KeyFormat::new("sk").unwrap());
    let first = keys(&path);
    let (record, secret) = first.mint(NewKey::new("alice")).await.unwrap();
    let layer = AuthLayer::new(first.clone());
    let request = || Request::builder().header("x-api-key", secret.expose());
    assert_eq!(send(&layer, request()).await.3, "alice");
    first.revoke(&record.id).await.unwrap();
    assert_eq!(send(&layer, request()).await.1, "key_revoked");
    assert_eq!(send(&AuthLayer::new(keys(&path)), request()).await.1, "key_revoked");
    assert!(!std::fs::read_to_string(&path).unwrap().contains(secret.expose()), "the file holds digests only");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_store_in_a_file_conforms() {
    let (folder, number) = (tempfile::tempdir().unwrap(), AtomicU32::new(0));
    let make = async || {
        let name = format!("{}.jsonl", number.fetch_add(1, Ordering::Relaxed));
        FileKeyStore::new(folder.path().join(name))
    };
    key_store(make).await;
    key_store_changes(make).await;
    key_store_management(make).await;
    key_store_management_changes(make).await;
}

#[tokio::test]
async fn a_change_that_cannot_be_written_to_the_file_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileKeyStore::new(folder.path().join("absent").join("keys.jsonl"));
    let id = KeyId::parse("key").unwrap();
    let record = KeyRecord::new(id.clone(), KeyDigest::sha256("key"), "alice", NOW);
    assert_eq!(store.insert(record).wait().await.unwrap_err().kind(), KeyErrorKind::Unavailable);
    assert_eq!(store.get(&id).wait().await.unwrap(), None);
}

#[tokio::test]
async fn a_file_with_two_records_of_one_id_is_unavailable() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.jsonl");
    let line = |key| format!(r#"{{"id":"key","digest":"{}","owner":"alice","created_at":1}}"#, KeyDigest::sha256(key));
    std::fs::write(&path, [line("one"), line("two")].join("\n")).unwrap();
    let store = FileKeyStore::new(&path);
    assert!(store.find(&KeyDigest::sha256("one")).wait().await.is_err());
    std::fs::write(&path, line("one")).unwrap();
    assert!(store.find(&KeyDigest::sha256("one")).wait().await.unwrap().is_some());
}

#[tokio::test]
async fn any_number_of_authenticators_is_one_layer() {
    let (issuer, jwt) = jwt();
    let mut authenticators: Vec<Arc<dyn Authenticator>> = (0..20)
        .map(|number| Arc::new(HmacClients::new([(format!("client-{number}"), SECRET.to_vec())])) as _)
        .collect();
    authenticators.push(Arc::new(jwt));
    let layer = AuthLayer::new(authenticators).environment(&environment());
    let token = issuer.token("alice").audience("https://api.test").sign();
    assert_eq!(send(&layer, Request::builder().header("authorization", format!("Bearer {token}"))).await.3, "alice");
    assert!(ManualClock::at(NOW).now() == NOW && format!("{:?}", HmacScheme) == "HmacScheme");
}
