//! Revocation lists: the credentials that they cover, the query on each request, and their bounds.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::FutureExt;
use tokio::sync::Notify;
use tower::Layer;
use tower_warden::{
    AuthMethod, Authenticator, Credential, Digest, Environment, Eventual, Identity, ManualClock, Presented, Rejection,
    Unavailable, UnixTime,
    api_key::NewKey,
    caller::Confirmation,
    jwt::Jwt,
    layer::AuthLayer,
    request::Peer,
    revocation::{MemoryRevocationList, Revocation, RevocationErrorKind, RevocationList, RevocationName},
};

use crate::{
    support::{Answer, App, START, Stack, answer, app, bearer, request, seconds, send},
    tokens,
};

const ISSUER: &str = "https://auth.example.com";

/// An authenticator that returns a cached identity for any credential.
struct Cached(Arc<Identity>);

impl Authenticator for Cached {
    fn schemes(&self) -> Vec<Arc<dyn tower_warden::scheme::Scheme>> {
        vec![Arc::new(tower_warden::scheme::Bearer::default())]
    }

    fn accepts(&self, _: &Credential<'_>) -> bool {
        true
    }

    fn authenticate(&self, _: &Presented<'_>) -> Eventual<Result<Arc<Identity>, Rejection>> {
        Eventual::Now(Ok(Arc::clone(&self.0)))
    }
}

/// Returns its result later, after one turn of the runtime.
struct Late<T>(T);

impl<A: Authenticator> Authenticator for Late<A> {
    fn schemes(&self) -> Vec<Arc<dyn tower_warden::scheme::Scheme>> {
        vec![Arc::new(tower_warden::scheme::Bearer::default())]
    }

    fn accepts(&self, credential: &Credential<'_>) -> bool {
        self.0.accepts(credential)
    }

    fn authenticate(&self, presented: &Presented<'_>) -> Eventual<Result<Arc<Identity>, Rejection>> {
        late(self.0.authenticate(presented))
    }
}

impl<L: RevocationList> RevocationList for Late<L> {
    fn is_revoked(&self, identity: &Identity) -> Eventual<Result<bool, Unavailable>> {
        late(self.0.is_revoked(identity))
    }
}

fn late<T: Send + 'static>(answer: Eventual<T>) -> Eventual<T> {
    Eventual::later(async move {
        tokio::task::yield_now().await;
        answer.wait().await
    })
}

/// A list with a configured result, which counts its queries.
#[derive(Clone, Default)]
struct Configured {
    queries: Arc<AtomicUsize>,
    answer: Arc<Mutex<Outcome>>,
}

#[derive(Clone, Copy, Default)]
enum Outcome {
    Down,
    #[default]
    Valid,
    Panic,
    Revoked,
}

impl Configured {
    fn set(&self, answer: Outcome) {
        *self.answer.lock().unwrap() = answer;
    }

    fn queries(&self) -> usize {
        self.queries.load(Ordering::Relaxed)
    }
}

impl RevocationList for Configured {
    fn is_revoked(&self, _: &Identity) -> Eventual<Result<bool, Unavailable>> {
        self.queries.fetch_add(1, Ordering::Relaxed);
        let answer = *self.answer.lock().unwrap();
        Eventual::Now(match answer {
            Outcome::Down => Err(Unavailable::new("the test list")),
            Outcome::Valid => Ok(false),
            Outcome::Panic => panic!("the list panics"),
            Outcome::Revoked => Ok(true),
        })
    }
}

/// Alice's token, with every property that a list can use.
fn token() -> Identity {
    let mut identity = Identity::new("alice", AuthMethod::Jwt);
    identity.issuer = Some(ISSUER.into());
    identity.client_id = Some("agent".into());
    identity.token_id = Some("token-1".into());
    identity.session_id = Some("session-1".into());
    identity.issued_at = Some(START);
    identity.expires_at = Some(START + seconds(3600));
    identity
}

fn changed(change: impl FnOnce(&mut Identity)) -> Identity {
    let mut identity = token();
    change(&mut identity);
    identity
}

fn list() -> MemoryRevocationList {
    MemoryRevocationList::default().environment(&Environment::default().with_clock(ManualClock::at(START)))
}

fn names(list: &MemoryRevocationList, identity: &Identity) -> bool {
    list.is_revoked(identity).wait().now_or_never().unwrap().unwrap()
}

fn service(authenticator: impl Authenticator, list: impl RevocationList) -> App {
    app(&AuthLayer::new(authenticator)
        .environment(&Environment::default().with_clock(ManualClock::at(START)))
        .revocations(list))
}

async fn present(app: &App) -> Answer {
    send(app.clone(), bearer("token")).await
}

fn end() -> UnixTime {
    START + seconds(3600)
}

#[tokio::test]
async fn a_revoked_token_that_is_cached_is_refused_on_the_next_request() {
    // (58)
    let list = list();
    let app = service(Cached(Arc::new(token())), list.clone());
    present(&app).await.assert_subject("alice");
    list.revoke(Revocation::token(ISSUER, "token-2"), end()).unwrap();
    present(&app).await.assert_subject("alice");
    list.revoke(Revocation::token(ISSUER, "token-1"), end()).unwrap();
    for _ in 0..2 {
        present(&app).await.assert_invalid("revoked");
    }
}

#[tokio::test]
async fn a_revoked_jwt_that_was_verified_before_is_refused_on_the_next_request() {
    // (58), with a real token and the cache of verified ones.
    let revocations: [fn(&str) -> Revocation; 4] = [
        |issuer| Revocation::token(issuer, "token-1"),
        |issuer| Revocation::session(issuer, "session-1"),
        |issuer| Revocation::subject(issuer, "alice", START),
        |issuer| Revocation::client(issuer, "app-1", START),
    ];
    for revocation in revocations {
        let (stack, list) = (tokens::Stack::new(), list());
        let jwt = Jwt::new(tokens::rules(&stack.issuer), stack.issuer.clone());
        let app = app(&AuthLayer::new(jwt)
            .environment(&Environment::default().with_clock(stack.clock.clone()))
            .revocations(list.clone()));
        let token = stack.token().claim("jti", "token-1").claim("sid", "session-1").sign();
        stack.clock.advance(seconds(1));
        let other = stack.token().claim("jti", "token-2").claim("sid", "session-2").sign();
        for _ in 0..2 {
            send(app.clone(), bearer(&token)).await.assert_subject("alice");
        }
        assert_eq!(stack.issuer.fetches(), 1, "it was verified once");
        list.revoke(revocation(stack.issuer.name()), end()).unwrap();
        send(app.clone(), bearer(&token)).await.assert_invalid("revoked");
        send(app, bearer(&other)).await.assert_subject("alice");
    }
}

#[tokio::test]
async fn a_revoked_api_key_that_is_cached_is_refused_on_the_next_request() {
    // (58)
    let list = list();
    let stack = Stack::with(|keys| keys, |layer| layer.revocations(list.clone()));
    let (record, key) = stack.alice().await;
    stack.bearer(key.expose()).await.assert_subject("alice");
    list.revoke(Revocation::key(record.id.as_str()), end()).unwrap();
    stack.bearer(key.expose()).await.assert_invalid("revoked");
    stack.send(request().header("x-api-key", key.expose())).await.assert_invalid("revoked");
    assert_eq!(stack.store.finds(), 1);
    let (_, other) = stack.alice().await;
    stack.bearer(other.expose()).await.assert_subject("alice");
}

#[tokio::test]
async fn a_refused_use_of_a_revoked_key_is_not_recorded() {
    let list = list();
    let stack = Stack::with(|keys| keys, |layer| layer.revocations(list.clone()));
    let (record, key) = stack.alice().await;
    list.revoke(Revocation::key(record.id.as_str()), end()).unwrap();
    stack.bearer(key.expose()).await.assert_invalid("revoked");
    stack.keys.flush().await.unwrap();
    assert!(stack.store.touches.lock().unwrap().is_empty());
}

#[test]
fn a_revoked_token_or_session_is_that_of_one_issuer() {
    for revocation in [Revocation::token(ISSUER, "token-1"), Revocation::session(ISSUER, "session-1")] {
        let list = list();
        list.revoke(revocation, end()).unwrap();
        assert!(names(&list, &token()));
        // Independently of the time of issue.
        assert!(names(&list, &changed(|token| token.issued_at = Some(end() + seconds(1)))));
        assert!(names(&list, &changed(|token| token.issued_at = None)));
        for other in [
            changed(|token| token.issuer = Some("https://auth.example.com/".into())),
            changed(|token| token.issuer = None),
            changed(|token| (token.token_id, token.session_id) = (Some("Token-1".into()), Some("session-1 ".into()))),
            // The id of a session is not the id of a token, and vice versa.
            changed(|token| (token.token_id, token.session_id) = (Some("session-1".into()), Some("token-1".into()))),
            changed(|token| {
                (token.token_id, token.session_id) = (None, None);
                token.key_id = Some("token-1".into());
            }),
        ] {
            assert!(!names(&list, &other), "{other:?}");
        }
    }
}

#[test]
fn a_token_without_an_id_is_not_revoked_by_id() {
    // (59): the verifier of the issuer requires the id.
    let without_id = changed(|token| (token.token_id, token.session_id) = (None, None));
    for revocation in [Revocation::token(ISSUER, ""), Revocation::session(ISSUER, ""), Revocation::key("")] {
        assert!(RevocationName::all_of(&without_id).all(|name| name != *revocation.name()));
        let list = list();
        assert_eq!(list.revoke(revocation, end()).unwrap_err().kind(), RevocationErrorKind::NoName);
        assert!(!names(&list, &without_id));
    }
}

#[test]
fn all_credentials_of_a_subject_or_client_up_to_a_second_are_revoked() {
    for revocation in [Revocation::subject(ISSUER, "alice", START), Revocation::client(ISSUER, "agent", START)] {
        let list = list();
        list.revoke(revocation, end()).unwrap();
        assert!(names(&list, &changed(|token| token.issued_at = Some(UnixTime::default()))));
        assert!(names(&list, &token()), "issued in that very second");
        assert!(names(&list, &changed(|token| token.issued_at = None)), "who knows when");
        assert!(!names(&list, &changed(|token| token.issued_at = Some(START + seconds(1)))));
        assert!(!names(&list, &changed(|token| token.issuer = Some("https://other.example.com".into()))));
        // The id of a client is not a subject.
        let swapped = changed(|token| (token.subject, token.client_id) = ("agent".into(), Some("alice".into())));
        assert!(!names(&list, &swapped));
    }
}

#[test]
fn revoking_again_extends_a_revocation_to_the_longer_time_and_the_later_second() {
    let clock = ManualClock::at(START);
    let list = MemoryRevocationList::default().environment(&Environment::default().with_clock(clock.clone()));
    let of = |second| Revocation::subject(ISSUER, "alice", START + seconds(second));
    list.revoke(of(10), START + seconds(1000)).unwrap();
    list.revoke(of(5), START + seconds(5000)).unwrap();
    list.revoke(of(7), START + seconds(3000)).unwrap();
    assert_eq!(list.len(), 1);
    clock.set(START + seconds(5599));
    list.revoke(Revocation::token(ISSUER, "x"), end() + seconds(9999)).unwrap();
    assert!(names(&list, &changed(|token| token.issued_at = Some(START + seconds(10)))));
    assert!(!names(&list, &changed(|token| token.issued_at = Some(START + seconds(11)))));
}

#[test]
fn a_revocation_applies_until_its_tokens_have_expired_by_any_clock_and_is_purged_then() {
    let clock = ManualClock::at(START);
    let list = MemoryRevocationList::default().environment(&Environment::default().with_clock(clock.clone()));
    list.revoke(Revocation::token(ISSUER, "token-1"), START + seconds(60)).unwrap();
    list.revoke(Revocation::token(ISSUER, "token-2"), START + seconds(90)).unwrap();
    let touch = || list.revoke(Revocation::token(ISSUER, "other"), START + seconds(9999)).unwrap();
    // Five minutes of skew, and five more for requests that are decided late.
    clock.set(START + seconds(60 + 599));
    touch();
    assert!(names(&list, &token()));
    assert_eq!(list.len(), 3);
    clock.advance(seconds(1));
    touch();
    assert!(!names(&list, &token()));
    assert!(names(&list, &changed(|token| token.token_id = Some("token-2".into()))));
    assert_eq!(list.len(), 2);
}

#[test]
fn a_revoked_credential_is_refused_if_the_clock_was_ahead_when_its_revocation_was_removed() {
    let clock = ManualClock::at(START);
    let list = MemoryRevocationList::default().environment(&Environment::default().with_clock(clock.clone()));
    list.revoke(Revocation::token(ISSUER, "token-1"), START + seconds(60)).unwrap();
    clock.advance(seconds(10_000));
    list.revoke(Revocation::token(ISSUER, "other"), START + seconds(20_000)).unwrap();
    assert_eq!(list.len(), 1);
    clock.set(START);
    assert!(names(&list, &changed(|token| token.expires_at = Some(START + seconds(60)))));
    assert!(!names(&list, &changed(|token| token.expires_at = Some(START + seconds(61)))));
}

#[test]
fn a_credential_is_refused_if_the_clock_was_ahead_when_its_revocation_arrived() {
    let clock = ManualClock::at(START + seconds(10_000));
    let list = MemoryRevocationList::default().environment(&Environment::default().with_clock(clock.clone()));
    let refused = list.revoke(Revocation::token(ISSUER, "token-1"), START + seconds(60)).map_err(|error| error.kind());
    assert_eq!(refused, Err(RevocationErrorKind::Expired));
    assert!(list.is_empty());
    clock.set(START);
    assert!(names(&list, &changed(|token| token.expires_at = Some(START + seconds(60)))));
    assert!(!names(&list, &changed(|token| token.expires_at = Some(START + seconds(61)))));
}

#[test]
fn a_revocation_that_does_not_fit_is_an_error_and_changes_nothing() {
    let clock = ManualClock::at(START);
    let list = MemoryRevocationList::new(NonZeroUsize::new(2).unwrap())
        .environment(&Environment::default().with_clock(clock.clone()));
    let revoke = |id: &str, until| list.revoke(Revocation::token(ISSUER, id), until).map_err(|error| error.kind());
    revoke("token-1", START + seconds(10)).unwrap();
    revoke("token-2", START + seconds(20)).unwrap();
    assert_eq!(revoke("token-3", end()), Err(RevocationErrorKind::Full));
    assert!(!names(&list, &changed(|token| token.token_id = Some("token-3".into()))));
    assert!(names(&list, &token()));
    // Extending a stored revocation needs no room, and an expired one makes room.
    revoke("token-2", START + seconds(30)).unwrap();
    clock.set(START + seconds(10 + 600));
    revoke("token-3", end()).unwrap();
    assert_eq!(list.len(), 2);
    assert!(!names(&list, &token()));
}

#[test]
fn an_expired_revocation_or_a_name_that_is_too_long_is_an_error() {
    let list = list();
    let ended = list.revoke(Revocation::token(ISSUER, "token-1"), START + seconds(0)).map(|()| list.len());
    assert_eq!(ended.unwrap(), 1, "within the ten minutes");
    let revoke = |revocation, until| list.revoke(revocation, until).unwrap_err();
    let long = "x".repeat(1025 - ISSUER.len());
    for (error, kind, text) in [
        (
            revoke(Revocation::key("k"), UnixTime::from_secs(START.as_secs() - 600)),
            RevocationErrorKind::Expired,
            "the revoked credentials have expired already",
        ),
        (
            revoke(Revocation::token(ISSUER, &*long), end()),
            RevocationErrorKind::TooLong,
            "the issuer and the id of the revocation have more than 1024 bytes",
        ),
    ] {
        assert_eq!((error.kind(), &*error.to_string()), (kind, text));
    }
    list.revoke(Revocation::token(ISSUER, &long[1..]), end()).unwrap();
    list.revoke(Revocation::key("forever"), UnixTime::from_secs(u64::MAX)).unwrap();
    assert_eq!(list.len(), 3);
}

#[test]
fn clones_share_the_list() {
    let (one, other) = (list(), list());
    let clone = one.clone();
    one.revoke(Revocation::token(ISSUER, "token-1"), end()).unwrap();
    assert!(names(&clone, &token()) && !names(&other, &token()));
    assert_eq!(format!("{clone:?}"), "MemoryRevocationList { revocations: 1, .. }");
}

#[tokio::test]
async fn a_list_that_is_down_is_503_and_lets_nobody_in() {
    // (60)
    let list = Configured::default();
    list.set(Outcome::Down);
    let token = || Cached(Arc::new(token()));
    for app in [
        service(token(), list.clone()),
        service(token(), Late(list.clone())),
        service(Late(token()), list.clone()),
        service(Late(token()), Late(list.clone())),
    ] {
        present(&app).await.assert_unavailable("revocations_unavailable");
    }
    let stack = Stack::with(|keys| keys, |layer| layer.revocations(list.clone()));
    let (_, key) = stack.alice().await;
    stack.bearer(key.expose()).await.assert_unavailable("revocations_unavailable");
    // Nothing of it is cached.
    list.set(Outcome::Valid);
    stack.bearer(key.expose()).await.assert_subject("alice");
}

#[tokio::test]
async fn a_list_that_panics_is_500_and_lets_nobody_in() {
    let list = Configured::default();
    list.set(Outcome::Panic);
    for app in [service(Cached(Arc::new(token())), list.clone()), service(Late(Cached(Arc::new(token()))), list)] {
        let answer = present(&app).await;
        assert_eq!((answer.status.as_u16(), answer.reason), (500, Some("panicked")));
    }
}

#[tokio::test]
async fn the_list_and_the_authenticator_may_return_later() {
    let list = Configured::default();
    let token = || Cached(Arc::new(token()));
    let shared: Arc<dyn RevocationList> = Arc::new(Late(list.clone()));
    for app in [
        service(token(), list.clone()),
        service(token(), shared),
        service(Late(token()), list.clone()),
        service(Late(token()), Late(list.clone())),
    ] {
        list.set(Outcome::Valid);
        present(&app).await.assert_subject("alice");
        list.set(Outcome::Revoked);
        present(&app).await.assert_invalid("revoked");
    }
    assert_eq!(list.queries(), 8, "on every request");
}

#[tokio::test]
async fn a_request_that_waits_for_the_list_may_be_dropped() {
    struct Never(Arc<Notify>);
    impl RevocationList for Never {
        fn is_revoked(&self, _: &Identity) -> Eventual<Result<bool, Unavailable>> {
            let notify = Arc::clone(&self.0);
            Eventual::later(async move {
                notify.notified().await;
                Ok(false)
            })
        }
    }
    let notify = Arc::new(Notify::new());
    let app = service(Cached(Arc::new(token())), Never(Arc::clone(&notify)));
    assert!(present(&app).now_or_never().is_none());
    notify.notify_one();
    present(&app).await.assert_subject("alice");
}

#[tokio::test]
async fn the_list_is_queried_last() {
    let list = Configured::default();
    list.set(Outcome::Down);
    let expired = changed(|token| token.expires_at = Some(START));
    present(&service(Cached(Arc::new(expired)), list.clone())).await.assert_invalid("expired");
    let fenced = changed(|token| token.networks = vec!["10.0.0.0/8".parse().unwrap()]);
    let fenced = service(Cached(Arc::new(fenced)), list.clone());
    let from = |peer: &str| send(fenced.clone(), bearer("token").extension(Peer::new(peer.parse().unwrap())));
    from("192.0.2.1:1").await.assert_invalid("network_forbidden");
    let bound = changed(|token| token.confirmation = Some(Confirmation::certificate(Digest::of(b"alice's"))));
    present(&service(Cached(Arc::new(bound)), list.clone())).await.assert_invalid("certificate_missing");
    assert_eq!(list.queries(), 0);
    from("10.0.0.1:1").await.assert_unavailable("revocations_unavailable");
    assert_eq!(list.queries(), 1);
}

#[tokio::test]
async fn an_optional_layer_queries_the_list_for_requests_with_a_credential_only() {
    let list = Configured::default();
    list.set(Outcome::Revoked);
    let layer = AuthLayer::new(Cached(Arc::new(token())))
        .environment(&Environment::default().with_clock(ManualClock::at(START)))
        .optional();
    let service = layer.revocations(list.clone()).layer(tower::service_fn(answer));
    send(service.clone(), request()).await.assert_subject("nobody");
    assert_eq!(list.queries(), 0);
    send(service, bearer("token")).await.assert_invalid("revoked");
}

#[tokio::test]
async fn the_response_to_a_revoked_credential_is_that_of_any_invalid_one() {
    let list = list();
    let stack = Stack::with(|keys| keys, |layer| layer.revocations(list.clone()));
    let (record, key) = stack.mint(NewKey::new("alice")).await;
    list.revoke(Revocation::key(record.id.as_str()), end()).unwrap();
    let revoked = stack.bearer(key.expose()).await;
    let unknown = stack.bearer(crate::support::unknown_key().expose()).await;
    assert_eq!(revoked.seen(), unknown.seen());
}

#[test]
fn threads_revoke_and_query_concurrently() {
    let list = list();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let list = &list;
            scope.spawn(move || {
                for number in 0..250 {
                    let id = format!("{thread}-{number}");
                    list.revoke(Revocation::token(ISSUER, &*id), end()).unwrap();
                    assert!(names(list, &changed(|token| token.token_id = Some((*id).into()))));
                    assert!(!names(list, &token()));
                }
            });
        }
    });
    assert_eq!(list.len(), 1000);
}

#[test]
fn names_of_an_identity_are_encoded_unambiguously_and_nothing_else_is_decoded() {
    let mut identity = token();
    identity.key_id = Some("key_1".into());
    let names: Vec<_> = RevocationName::all_of(&identity).collect();
    for name in &names {
        let encoded = name.to_bytes();
        assert_eq!(RevocationName::from_bytes(&encoded).as_ref(), Some(name));
        assert_eq!(names.iter().filter(|other| other.to_bytes() == encoded).count(), 1);
    }
    // The boundary between issuer and id is part of the encoding.
    let [one, other] = [Revocation::token("a", "bc"), Revocation::token("ab", "c")];
    assert_ne!(one.name().to_bytes(), other.name().to_bytes());
    for odd in
        [&b""[..], b"t", b"t\0\0\0", b"t\0\0\0\x05abc", b"x\0\0\0\x01abc", b"t\0\0\0\x01\xffbc", b"t\0\0\0\x01a\xff"]
    {
        assert_eq!(RevocationName::from_bytes(odd), None, "{odd:?}");
    }
}
