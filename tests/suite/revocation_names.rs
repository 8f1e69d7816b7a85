//! Revocations of callers, owners and tenants, and of subjects that have API keys.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Request, Response, request::Builder};
use http_body_util::Full;
use tower::{Layer, service_fn};
use tower_warden::{
    AuthMethod, Clock, Environment, Eventual, Identity, ManualClock, Principal, UnixTime,
    api_key::NewKey,
    jwt::Jwt,
    layer::AuthLayer,
    revocation::{MemoryRevocationList, Revocation, RevocationErrorKind, RevocationList, RevocationName},
};

use crate::{
    support::{self, START, Stack, bearer, seconds},
    tokens,
};

const ISSUER: &str = "https://auth.example.com";

fn list(clock: &ManualClock) -> MemoryRevocationList {
    MemoryRevocationList::default().environment(&Environment::default().with_clock(clock.clone()))
}

fn end() -> UnixTime {
    START + seconds(3600)
}

/// An API key of this owner, issued at `START`.
fn key(owner: &str) -> Identity {
    let mut identity = Identity::new(owner, AuthMethod::ApiKey);
    identity.key_id = Some("key-1".into());
    identity.issued_at = Some(START);
    identity
}

/// The caller that a layer admits.
async fn principal(layer: &AuthLayer, request: Builder) -> Principal {
    let seen = Arc::new(Mutex::new(None));
    let kept = Arc::clone(&seen);
    let service = layer.layer(service_fn(move |request: Request<Full<Bytes>>| {
        *kept.lock().unwrap() = request.extensions().get::<Principal>().cloned();
        std::future::ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
    }));
    support::send(service, request).await;
    let principal = seen.lock().unwrap().take();
    principal.expect("the request is admitted")
}

fn covers(revocation: &Revocation, identity: &Identity) -> bool {
    let list = list(&ManualClock::at(START));
    list.revoke(revocation.clone(), end()).unwrap();
    let Eventual::Now(is_revoked) = list.is_revoked(identity) else { panic!("a list in memory answers at once") };
    let is_revoked = is_revoked.unwrap();
    // A list that is a table of names decides the same.
    let in_time = identity.issued_at.is_none_or(|at| at <= revocation.issued_until());
    let found = RevocationName::all_of(identity).any(|name| revocation.names().any(|stored| stored == name));
    assert_eq!(found && in_time, is_revoked, "{revocation:?} {identity:?}");
    is_revoked
}

#[tokio::test]
async fn a_revoked_subject_is_refused_with_an_api_key_of_that_owner() {
    let list = MemoryRevocationList::default();
    let stack = Stack::with(|keys| keys, |layer| layer.revocations(list.clone()));
    let (record, alice) = stack.alice().await;
    let (_, bob) = stack.keys.mint(NewKey::new("bob")).await.unwrap();
    stack.bearer(alice.expose()).await.assert_subject("alice");
    list.revoke(Revocation::subject(ISSUER, "alice", record.created_at), None).unwrap();
    stack.bearer(alice.expose()).await.assert_invalid("revoked");
    stack.bearer(bob.expose()).await.assert_subject("bob");
    stack.clock.advance(seconds(1));
    let (_, later) = stack.alice().await;
    stack.bearer(later.expose()).await.assert_subject("alice");
}

#[test]
fn a_subject_of_any_issuer_covers_the_api_keys_of_that_name_and_no_tokens_of_other_issuers() {
    let revocation = Revocation::subject(ISSUER, "alice", START);
    assert!(covers(&revocation, &key("alice")));
    assert!(!covers(&revocation, &key("bob")));
    let mut later = key("alice");
    later.issued_at = Some(START + seconds(1));
    assert!(!covers(&revocation, &later));
    let mut token = Identity::new("alice", AuthMethod::Jwt);
    token.issuer = Some("https://other.example.com".into());
    assert!(!covers(&revocation, &token));
    // Neither key nor token.
    assert!(!covers(&revocation, &Identity::new("alice", AuthMethod::ClientCertificate)));
}

#[test]
fn an_owner_covers_api_keys_alone() {
    let revocation = Revocation::owner("alice", START);
    assert!(covers(&revocation, &key("alice")) && !covers(&revocation, &key("bob")));
    let mut token = Identity::new("alice", AuthMethod::Jwt);
    token.issuer = Some(ISSUER.into());
    assert!(!covers(&revocation, &token));
}

#[test]
fn a_tenant_covers_tokens_of_every_issuer_and_api_keys() {
    let revocation = Revocation::tenant("acme", START);
    let mut token = Identity::new("carol", AuthMethod::Introspection);
    (token.issuer, token.tenant) = (Some(ISSUER.into()), Some("acme".into()));
    assert!(covers(&revocation, &token));
    let mut alice = key("alice");
    assert!(!covers(&revocation, &alice), "without a tenant");
    alice.tenant = Some("acme".into());
    assert!(covers(&revocation, &alice));
    alice.tenant = Some("acme2".into());
    assert!(!covers(&revocation, &alice));
    // The name of a tenant is not an owner.
    assert!(!covers(&revocation, &key("acme")));
}

#[test]
fn a_subject_of_one_issuer_stays_revoked_when_that_of_another_has_expired() {
    let clock = ManualClock::at(START);
    let list = list(&clock);
    for (issuer, until) in [("https://one", START + seconds(10)), ("https://other", end())] {
        list.revoke(Revocation::subject(issuer, "alice", START), until).unwrap();
    }
    let purge = || list.revoke(Revocation::key("other"), end() + seconds(9999)).unwrap();
    let is_revoked = || matches!(list.is_revoked(&key("alice")), Eventual::Now(Ok(true)));
    clock.set(START + seconds(611));
    purge();
    assert!(is_revoked());
    clock.set(end() + seconds(601));
    purge();
    assert!(!is_revoked());
    assert_eq!(list.len(), 1);
}

#[test]
fn a_revocation_that_needs_an_issuer_and_has_none_is_an_error_that_names_what_to_use() {
    let list = list(&ManualClock::at(START));
    for revocation in [
        Revocation::subject("", "alice", START),
        Revocation::client("", "app", START),
        Revocation::session("", "session"),
        Revocation::subject_tokens("", "alice", START),
        Revocation::token("", "token"),
    ] {
        let error = list.revoke(revocation, end()).unwrap_err();
        assert_eq!(error.kind(), RevocationErrorKind::NoIssuer);
        assert!(error.to_string().contains("by owner"), "{error}");
    }
    assert!(list.is_empty());
}

#[test]
fn a_revocation_of_an_empty_name_is_an_error() {
    let list = list(&ManualClock::at(START));
    for revocation in [
        Revocation::client(ISSUER, "", START),
        Revocation::key(""),
        Revocation::owner("", START),
        Revocation::session(ISSUER, ""),
        Revocation::signature_key(""),
        Revocation::subject(ISSUER, "", START),
        Revocation::subject_tokens(ISSUER, "", START),
        Revocation::tenant("", START),
        Revocation::token(ISSUER, ""),
    ] {
        let error = list.revoke(revocation, end()).unwrap_err();
        assert_eq!(error.kind(), RevocationErrorKind::NoName);
    }
    assert!(list.is_empty());
}

#[test]
fn a_revocation_without_a_known_end_outlives_its_tokens_and_never_ends_for_keys() {
    for (revocation, is_for_ever) in [
        (Revocation::token(ISSUER, "1"), false),
        (Revocation::session(ISSUER, "1"), false),
        (Revocation::client(ISSUER, "1", START), false),
        (Revocation::subject_tokens(ISSUER, "1", START), false),
        (Revocation::key("1"), true),
        (Revocation::signature_key("1"), true),
        (Revocation::owner("1", START), true),
        (Revocation::subject(ISSUER, "1", START), true),
        (Revocation::tenant("1", START), true),
    ] {
        let clock = ManualClock::at(START);
        let list = list(&clock);
        list.revoke(revocation.clone(), None).unwrap();
        let purge = || list.revoke(Revocation::key("other"), clock.now() + seconds(1)).map(|()| list.len()).unwrap();
        clock.set(START + seconds(400 * 86_400));
        assert_eq!(purge(), 2, "{revocation:?}");
        clock.set(START + seconds(4_000 * 86_400));
        assert_eq!(purge(), if is_for_ever { 2 } else { 1 }, "{revocation:?}");
    }
}

#[tokio::test]
async fn the_credential_of_a_caller_is_revoked_and_no_other() {
    let list = MemoryRevocationList::default();
    let stack = Stack::with(|keys| keys, |layer| layer.revocations(list.clone()));
    let ((record, one), (_, other)) = (stack.alice().await, stack.alice().await);
    let caller = principal(&AuthLayer::new(stack.keys.clone()), bearer(one.expose())).await;
    assert_eq!(caller.key_id(), Some(record.id.as_str()));
    list.revoke(Revocation::of(&caller).unwrap(), caller.expires_at()).unwrap();
    stack.bearer(one.expose()).await.assert_invalid("revoked");
    stack.bearer(other.expose()).await.assert_subject("alice");
}

#[tokio::test]
async fn the_token_of_a_caller_is_named_by_its_id_or_session_or_subject() {
    let stack = tokens::Stack::new();
    let jwt = Jwt::new(tokens::rules(&stack.issuer), stack.issuer.clone());
    let layer = AuthLayer::new(jwt).environment(&Environment::default().with_clock(stack.clock.clone()));
    let issuer = stack.issuer.name().to_owned();
    let caller = async |token: String| principal(&layer, bearer(&token)).await;

    let with_both = caller(stack.token().claim("jti", "token-1").claim("sid", "session-1").sign()).await;
    assert_eq!(Revocation::of(&with_both), Some(Revocation::token(&*issuer, "token-1")));
    let with_session = caller(stack.token().without("jti").claim("sid", "session-1").sign()).await;
    assert_eq!(Revocation::of(&with_session), Some(Revocation::session(&*issuer, "session-1")));
    let with_neither = caller(stack.token().without("jti").without("sid").sign()).await;
    let issued_at = with_neither.issued_at().unwrap();
    let revocation = Revocation::of(&with_neither).unwrap();
    assert_eq!(revocation, Revocation::subject_tokens(&*issuer, "alice", issued_at));
    assert!(!covers(&revocation, &key("alice")), "an API key of another owner who has this name");
}

#[test]
fn the_tokens_of_a_subject_are_covered_up_to_a_second_and_no_api_key_or_token_of_another_issuer() {
    let revocation = Revocation::subject_tokens(ISSUER, "alice", START);
    let token = |subject: &str, issuer: &str, issued_at| {
        let mut token = Identity::new(subject, AuthMethod::Jwt);
        (token.issuer, token.issued_at) = (Some(issuer.into()), Some(issued_at));
        token
    };
    assert!(covers(&revocation, &token("alice", ISSUER, START)));
    assert!(!covers(&revocation, &token("alice", ISSUER, START + seconds(1))));
    assert!(!covers(&revocation, &token("bob", ISSUER, START)));
    assert!(!covers(&revocation, &token("alice", "https://other.example.com", START)));
    assert!(!covers(&revocation, &key("alice")));
}

#[test]
fn an_api_key_and_a_key_that_signs_requests_with_one_id_are_revoked_separately() {
    let mut signing = key("alice");
    signing.method = AuthMethod::Signature;
    let (api_key, signature_key) = (Revocation::key("key-1"), Revocation::signature_key("key-1"));
    assert!(covers(&api_key, &key("alice")) && !covers(&api_key, &signing));
    assert!(covers(&signature_key, &signing) && !covers(&signature_key, &key("alice")));
    assert!(covers(&Revocation::owner("alice", START), &signing), "an owner covers both");
}

#[test]
fn each_kind_of_name_is_decoded_as_it_was_encoded() {
    for revocation in [
        Revocation::client(ISSUER, "1", START),
        Revocation::key("1"),
        Revocation::owner("1", START),
        Revocation::session(ISSUER, "1"),
        Revocation::signature_key("1"),
        Revocation::subject(ISSUER, "1", START),
        Revocation::subject_tokens(ISSUER, "1", START),
        Revocation::tenant("1", START),
        Revocation::token(ISSUER, "1"),
    ] {
        assert_eq!(RevocationName::from_bytes(&revocation.name().to_bytes()).as_ref(), Some(revocation.name()));
    }
}
