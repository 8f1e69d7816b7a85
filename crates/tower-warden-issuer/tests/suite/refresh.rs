//! Refresh tokens: rotation, reuse, lifetimes.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tower_warden::{
    Environment, Eventual, Identity, ManualClock, Unavailable, UnixTime,
    jwt::Algorithm,
    revocation::{MemoryRevocationList, Revocation, RevocationList},
    scope::Scopes,
};
use tower_warden_issuer::{
    ClaimsError, ClaimsRequest, ExtraClaims, GrantType, IssueError, MemoryRefreshStore, RefreshFamily, RefreshStore,
    RefreshTokenRequest, RefreshTokens, Revoker, Rotation, RotationOutcome, SigningKeys,
};

use crate::support::{BILLING, NOW, ORDERS, Reply, Setup, basic_request, claims};

struct Refresh {
    list: MemoryRevocationList,
    setup: Setup,
}

impl Refresh {
    fn new() -> Self {
        Self::with(|refresh| refresh)
    }

    fn with(configure: impl FnOnce(RefreshTokens) -> RefreshTokens) -> Self {
        Self::with_store(MemoryRefreshStore::default(), configure)
    }

    fn with_store(store: impl RefreshStore, configure: impl FnOnce(RefreshTokens) -> RefreshTokens) -> Self {
        let (clock, list) = (ManualClock::at(NOW), MemoryRevocationList::default());
        let list = list.environment(&Environment::default().with_clock(clock.clone()));
        let refresh = configure(RefreshTokens::new(store, list.clone()));
        let keys = SigningKeys::generate(Algorithm::ES256).unwrap();
        let setup = Setup::with_clock(clock, keys, |builder| builder.refresh_tokens(refresh));
        for id in ["post", "basic"] {
            let client = (*setup.clients.remove(id).unwrap()).clone();
            setup.clients.insert(client.grants([GrantType::ClientCredentials, GrantType::RefreshToken]));
        }
        Self { list, setup }
    }

    /// The first refresh token of `alice` for the client `post`.
    async fn first(&self) -> String {
        let token = self.setup.issuer.issue_refresh_token(&RefreshTokenRequest::new("post", "alice")).await.unwrap();
        token.expose().to_owned()
    }

    async fn refresh(&self, token: &str) -> Reply {
        self.setup.post(&format!("grant_type=refresh_token&refresh_token={token}")).await
    }

    async fn is_revoked(&self, reply: &Reply) -> bool {
        let identity: Arc<Identity> = self.setup.verify(reply.token(), ORDERS).await.unwrap();
        self.list.is_revoked(&identity).wait().await.unwrap()
    }
}

fn refresh_token(reply: &Reply) -> String {
    reply.token();
    reply.body["refresh_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_refresh_yields_an_access_token_of_the_subject_and_a_new_refresh_token() {
    let refresh = Refresh::new();
    let first = refresh.first().await;
    let reply = refresh.refresh(&first).await;
    let claims = claims(reply.token());
    assert_eq!((&claims["sub"], &claims["client_id"]), (&"alice".into(), &"post".into()));
    assert_eq!((&claims["aud"], &claims["scope"]), (&ORDERS.into(), &"orders:read orders:write".into()));
    assert!(claims["sid"].as_str().is_some_and(|id| id.len() == 22));
    let second = refresh_token(&reply);
    assert_ne!(first, second);
    let third = refresh.refresh(&second).await;
    assert_eq!(crate::support::claims(third.token())["sid"], claims["sid"], "the same family");
}

#[tokio::test]
async fn client_credentials_yield_no_refresh_token() {
    let reply = Refresh::new().setup.post("grant_type=client_credentials").await;
    assert!(reply.body.get("refresh_token").is_none() && claims(reply.token()).get("sid").is_none());
}

#[tokio::test]
async fn reuse_after_the_grace_period_revokes_the_family_and_its_access_tokens() {
    let refresh = Refresh::new();
    let first = refresh.first().await;
    let second = refresh.refresh(&first).await;
    assert!(!refresh.is_revoked(&second).await);
    refresh.setup.advance(10);
    refresh.refresh(&first).await.assert_error(400, "invalid_grant");
    assert!(refresh.is_revoked(&second).await);
    refresh.refresh(&refresh_token(&second)).await.assert_error(400, "invalid_grant");
}

#[tokio::test]
async fn reuse_of_an_older_token_within_the_grace_period_revokes_the_family() {
    let refresh = Refresh::new();
    let first = refresh.first().await;
    let second = refresh.refresh(&first).await;
    let third = refresh.refresh(&refresh_token(&second)).await;
    refresh.refresh(&first).await.assert_error(400, "invalid_grant");
    refresh.refresh(&refresh_token(&third)).await.assert_error(400, "invalid_grant");
}

#[tokio::test]
async fn reuse_does_not_affect_other_families_of_the_subject() {
    let refresh = Refresh::with(|refresh| refresh.grace(Duration::ZERO).unwrap());
    let (one, other) = (refresh.first().await, refresh.first().await);
    refresh.refresh(&one).await.token();
    refresh.refresh(&one).await.assert_error(400, "invalid_grant");
    refresh.refresh(&other).await.token();
}

#[tokio::test]
async fn a_lost_response_is_repeated_with_the_same_successor() {
    let refresh = Refresh::new();
    let first = refresh.first().await;
    let lost = refresh_token(&refresh.refresh(&first).await);
    refresh.setup.advance(9);
    let repeated = refresh.refresh(&first).await;
    assert_eq!(refresh_token(&repeated), lost);
    refresh.refresh(&lost).await.token();
}

#[tokio::test]
async fn without_a_grace_period_the_first_reuse_revokes_the_family() {
    let refresh = Refresh::with(|refresh| refresh.grace(Duration::ZERO).unwrap());
    let first = refresh.first().await;
    let second = refresh.refresh(&first).await;
    refresh.refresh(&first).await.assert_error(400, "invalid_grant");
    assert!(refresh.is_revoked(&second).await);
}

/// The responses to 100 concurrent uses of one token.
async fn concurrent(refresh: Refresh) -> Vec<Reply> {
    let first = refresh.first().await;
    let refresh = Arc::new(refresh);
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let (refresh, first) = (Arc::clone(&refresh), first.clone());
            tokio::spawn(async move { refresh.refresh(&first).await })
        })
        .collect();
    let mut replies = Vec::new();
    for task in tasks {
        replies.push(task.await.unwrap());
    }
    replies
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn all_concurrent_uses_get_the_same_successor() {
    let replies = concurrent(Refresh::new()).await;
    let mut successors: Vec<_> = replies.iter().map(refresh_token).collect();
    successors.dedup();
    assert_eq!((replies.len(), successors.len()), (100, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_concurrent_uses_without_a_grace_period_at_most_one_succeeds() {
    let replies = concurrent(Refresh::with(|refresh| refresh.grace(Duration::ZERO).unwrap())).await;
    let admitted = replies.iter().filter(|reply| reply.status == 200).count();
    assert_eq!(admitted, 1);
    replies.iter().filter(|reply| reply.status != 200).for_each(|reply| reply.assert_error(400, "invalid_grant"));
}

#[tokio::test]
async fn a_token_of_another_client_is_refused_and_stays_valid() {
    let refresh = Refresh::new();
    let first = refresh.first().await;
    let form = format!("grant_type=refresh_token&refresh_token={first}");
    refresh.setup.send(basic_request("basic:s3cret", &form)).await.assert_error(400, "invalid_grant");
    refresh.refresh(&first).await.token();
}

#[tokio::test]
async fn unknown_and_malformed_tokens_are_refused() {
    let refresh = Refresh::new();
    let first = refresh.first().await;
    let unknown = format!("rt_{}", "A".repeat(118));
    assert_eq!(unknown.len(), first.len());
    for token in [&*unknown, "rt_", "guess", &first[3..], &format!("{first}A")] {
        refresh.refresh(token).await.assert_error(400, "invalid_grant");
    }
    refresh.setup.post("grant_type=refresh_token").await.assert_error(400, "invalid_request");
}

#[tokio::test]
async fn a_client_without_the_grant_is_refused() {
    let refresh = Refresh::new();
    let first = refresh.first().await;
    let client = (*refresh.setup.clients.remove("post").unwrap()).clone();
    refresh.setup.clients.insert(client.grants([GrantType::ClientCredentials]));
    refresh.refresh(&first).await.assert_error(400, "unauthorized_client");
}

#[tokio::test]
async fn an_issuer_without_refresh_tokens_does_not_support_the_grant() {
    let setup = Setup::new();
    setup.post("grant_type=refresh_token&refresh_token=rt_a").await.assert_error(400, "unsupported_grant_type");
    let refused = setup.issuer.issue_refresh_token(&RefreshTokenRequest::new("post", "alice")).await;
    assert!(matches!(refused, Err(IssueError::Disabled)));
}

#[tokio::test]
async fn the_metadata_states_the_grant() {
    let metadata: serde_json::Value = serde_json::from_str(&Refresh::new().setup.issuer.metadata()).unwrap();
    assert_eq!(metadata["grant_types_supported"], serde_json::json!(["client_credentials", "refresh_token"]));
}

#[tokio::test]
async fn a_family_expires_however_often_it_is_used() {
    let refresh = Refresh::with(|refresh| refresh.absolute_lifetime(Duration::from_secs(7200)).unwrap());
    let mut token = refresh.first().await;
    for _ in 0..3 {
        refresh.setup.advance(2399);
        token = refresh_token(&refresh.refresh(&token).await);
    }
    refresh.setup.advance(3);
    refresh.refresh(&token).await.assert_error(400, "invalid_grant");
}

#[tokio::test]
async fn a_family_that_is_not_used_expires() {
    let refresh = Refresh::with(|refresh| refresh.idle_lifetime(Duration::from_secs(3600)).unwrap());
    let (one, other) = (refresh.first().await, refresh.first().await);
    refresh.setup.advance(3599);
    refresh.refresh(&one).await.token();
    refresh.setup.advance(1);
    refresh.refresh(&other).await.assert_error(400, "invalid_grant");
}

#[tokio::test]
async fn an_access_token_may_have_fewer_scopes_and_the_family_keeps_them() {
    let refresh = Refresh::new();
    let first = refresh.first().await;
    let narrow = refresh.refresh(&format!("{first}&scope=orders:read")).await;
    assert_eq!(
        (&narrow.body["scope"], &claims(narrow.token())["scope"]),
        (&"orders:read".into(), &"orders:read".into())
    );
    let whole = refresh.refresh(&refresh_token(&narrow)).await;
    assert_eq!(whole.body["scope"], "orders:read orders:write");
}

#[tokio::test]
async fn scopes_do_not_grow() {
    let refresh = Refresh::new();
    let request = RefreshTokenRequest::new("post", "alice").scopes(Scopes::parse("orders:read").unwrap());
    let first = refresh.setup.issuer.issue_refresh_token(&request).await.unwrap().expose().to_owned();
    refresh.refresh(&format!("{first}&scope=orders:read+orders:write")).await.assert_error(400, "invalid_scope");
    refresh.refresh(&first).await.token();
}

#[tokio::test]
async fn a_scope_that_the_client_has_lost_is_left_out() {
    let refresh = Refresh::new();
    let first = refresh.first().await;
    let client = (*refresh.setup.clients.remove("post").unwrap()).clone();
    refresh.setup.clients.insert(client.scopes("orders:read").unwrap());
    assert_eq!(refresh.refresh(&first).await.body["scope"], "orders:read");
}

#[tokio::test]
async fn another_resource_than_the_granted_one_is_refused() {
    let refresh = Refresh::new();
    let first = refresh.first().await;
    refresh.refresh(&format!("{first}&resource={BILLING}")).await.assert_error(400, "invalid_target");
    refresh.refresh(&format!("{first}&resource={ORDERS}")).await.token();
}

#[tokio::test]
async fn no_refresh_token_is_issued_that_the_client_may_not_have() {
    let refresh = Refresh::new();
    let request = || RefreshTokenRequest::new("post", "alice");
    for refused in [
        RefreshTokenRequest::new("nobody", "alice"),
        RefreshTokenRequest::new("signer", "alice"),
        RefreshTokenRequest::new("post", ""),
        // The id of another client.
        RefreshTokenRequest::new("post", "basic"),
        request().resource("https://other.example.com"),
        request().scopes(Scopes::parse("billing:write").unwrap()),
    ] {
        let outcome = refresh.setup.issuer.issue_refresh_token(&refused).await;
        assert!(matches!(outcome, Err(IssueError::Refused)), "{refused:?}");
    }
    let own = refresh.setup.issuer.issue_refresh_token(&RefreshTokenRequest::new("post", "post")).await;
    assert!(own.is_ok(), "about the client itself");
}

#[tokio::test]
async fn a_suspended_subject_gets_no_more_tokens_and_keeps_the_family() {
    let suspended = Arc::new(AtomicBool::new(false));
    let read = Arc::clone(&suspended);
    let refresh = RefreshTokens::new(MemoryRefreshStore::default(), MemoryRevocationList::default());
    let setup = Setup::with(|builder| {
        builder.refresh_tokens(refresh).claims(move |request: &ClaimsRequest<'_>| {
            assert_eq!((request.subject, request.grant), ("alice", GrantType::RefreshToken));
            if read.load(Ordering::Relaxed) { Err(ClaimsError::Refused) } else { Ok(ExtraClaims::default()) }
        })
    });
    let client = (*setup.clients.remove("post").unwrap()).clone();
    setup.clients.insert(client.grants([GrantType::RefreshToken]));
    let token = setup.issuer.issue_refresh_token(&RefreshTokenRequest::new("post", "alice")).await.unwrap();
    let form = format!("grant_type=refresh_token&refresh_token={}", token.expose());
    suspended.store(true, Ordering::Relaxed);
    setup.post(&form).await.assert_error(400, "invalid_grant");
    suspended.store(false, Ordering::Relaxed);
    setup.post(&form).await.token();
}

/// A store that stops to answer before one of its operations, or after it: the process ends in between.
#[derive(Default)]
struct Failing {
    before_rotation: AtomicBool,
    after_rotation: AtomicBool,
    store: MemoryRefreshStore,
}

impl RefreshStore for Failing {
    fn begin(&self, family: RefreshFamily, now: UnixTime) -> Eventual<Result<(), Unavailable>> {
        self.store.begin(family, now)
    }

    fn find(&self, family_id: &str) -> Eventual<Result<Option<RefreshFamily>, Unavailable>> {
        self.store.find(family_id)
    }

    fn revoke(&self, family_id: &str) -> Eventual<Result<(), Unavailable>> {
        self.store.revoke(family_id)
    }

    fn rotate(&self, rotation: Rotation) -> Eventual<Result<RotationOutcome, Unavailable>> {
        if self.before_rotation.swap(false, Ordering::Relaxed) {
            return Eventual::Now(Err(Unavailable::new("the store")));
        }
        let outcome = self.store.rotate(rotation);
        if self.after_rotation.swap(false, Ordering::Relaxed) {
            return Eventual::Now(Err(Unavailable::new("the store")));
        }
        outcome
    }
}

#[tokio::test]
async fn a_failure_before_or_after_the_rotation_loses_no_token() {
    let store = Arc::new(Failing::default());
    let refresh = Refresh::with_store(Arc::clone(&store), |refresh| refresh);
    let first = refresh.first().await;
    store.before_rotation.store(true, Ordering::Relaxed);
    refresh.refresh(&first).await.assert_error(503, "temporarily_unavailable");
    store.after_rotation.store(true, Ordering::Relaxed);
    refresh.refresh(&first).await.assert_error(503, "temporarily_unavailable");
    let second = refresh_token(&refresh.refresh(&first).await);
    refresh.refresh(&second).await.token();
}

#[tokio::test]
async fn reuse_is_503_while_access_tokens_cannot_be_revoked() {
    struct Down(AtomicBool, MemoryRevocationList);
    impl RevocationList for Down {
        fn is_revoked(&self, identity: &Identity) -> Eventual<Result<bool, Unavailable>> {
            self.1.is_revoked(identity)
        }
    }
    impl Revoker for Down {
        fn revoke(&self, revocation: Revocation, until: UnixTime) -> Eventual<Result<(), Unavailable>> {
            if self.0.load(Ordering::Relaxed) {
                return Eventual::Now(Err(Unavailable::new("the list")));
            }
            Revoker::revoke(&self.1, revocation, until)
        }
    }
    let (clock, list) = (ManualClock::at(NOW), MemoryRevocationList::default());
    let list = list.environment(&Environment::default().with_clock(clock.clone()));
    let down = Arc::new(Down(AtomicBool::new(true), list.clone()));
    let settings = RefreshTokens::new(MemoryRefreshStore::default(), Arc::clone(&down)).grace(Duration::ZERO).unwrap();
    let keys = SigningKeys::generate(Algorithm::ES256).unwrap();
    let setup = Setup::with_clock(clock, keys, |builder| builder.refresh_tokens(settings));
    let client = (*setup.clients.remove("post").unwrap()).clone();
    setup.clients.insert(client.grants([GrantType::RefreshToken]));
    let refresh = Refresh { list, setup };

    let first = refresh.first().await;
    let second = refresh.refresh(&first).await;
    refresh.refresh(&first).await.assert_error(503, "temporarily_unavailable");
    down.0.store(false, Ordering::Relaxed);
    refresh.refresh(&refresh_token(&second)).await.assert_error(400, "invalid_grant");
    assert!(refresh.is_revoked(&second).await, "the next request has revoked them");
}

#[tokio::test]
async fn nothing_is_issued_while_the_store_is_full_and_expired_families_make_room() {
    let store = MemoryRefreshStore::new(NonZeroUsize::new(2).unwrap());
    let refresh = Refresh::with_store(store, |refresh| refresh.idle_lifetime(Duration::from_secs(3600)).unwrap());
    let (first, _) = (refresh.first().await, refresh.first().await);
    let request = RefreshTokenRequest::new("post", "alice");
    assert!(matches!(refresh.setup.issuer.issue_refresh_token(&request).await, Err(IssueError::Unavailable(_))));
    refresh.setup.advance(1800);
    let second = refresh_token(&refresh.refresh(&first).await);
    refresh.setup.advance(1800);
    refresh.first().await;
    refresh.refresh(&second).await.token();
}
