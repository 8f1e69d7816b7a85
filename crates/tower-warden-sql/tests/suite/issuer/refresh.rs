//! Refresh tokens on two nodes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tower_warden::{Eventual, Unavailable, UnixTime};
use tower_warden_issuer::{
    MemoryClientStore, RefreshFamily, RefreshStore, RefreshTokenRequest, Rotation, RotationOutcome,
};
use tower_warden_sql::{SqlIssuerStore, SqlRefreshStore};

use super::{
    on_both_databases,
    support::{NOW, Node, Reply, Shared, client, first, refresh, send, two_nodes},
};

on_both_databases! {
    a_family_is_found_as_it_was_begun_and_rotated,
    reuse_on_the_other_node_revokes_the_family,
    reuse_of_the_first_token_is_noticed_after_many_rotations,
    of_100_concurrent_uses_on_two_nodes_one_succeeds,
    all_of_100_concurrent_uses_within_the_grace_period_get_the_same_successor,
    a_token_of_another_client_is_refused_and_stays_valid,
    a_node_that_ends_after_the_rotation_loses_no_token,
    reuse_after_a_node_has_ended_revokes_the_family_when_the_grace_period_is_over,
    a_revoked_family_is_not_rotated,
    expired_families_are_removed_and_others_are_kept,
    a_family_that_is_used_is_kept,
    a_malformed_family_is_503,
    a_rotation_is_made_when_its_future_is_dropped,
}

fn without_grace() -> Shared {
    Shared { grace: Duration::ZERO, ..Shared::new() }
}

async fn a_family_is_found_as_it_was_begun_and_rotated(url: &str) {
    let shared = Shared::new();
    let [here, there] = two_nodes(url, &shared).await;
    let reply = here.refresh(&here.first().await).await;
    reply.assert_issued();
    // The issuer rotates with what the store has found: the subject, scopes and resource of the token show it.
    let again = there.refresh(&reply.successor()).await;
    for reply in [reply, again] {
        let claims = claims(&reply);
        assert_eq!((&claims["sub"], &claims["scope"]), (&"alice".into(), &"orders:read".into()));
        assert_eq!(claims["aud"], super::support::ORDERS);
    }
}

async fn reuse_on_the_other_node_revokes_the_family(url: &str) {
    let shared = without_grace();
    let [here, there] = two_nodes(url, &shared).await;
    let token = here.first().await;
    let next = here.refresh(&token).await.successor();
    there.refresh(&token).await.assert_error(400, "invalid_grant");
    here.refresh(&next).await.assert_error(400, "invalid_grant");
}

async fn reuse_of_the_first_token_is_noticed_after_many_rotations(url: &str) {
    let shared = Shared::new();
    let [here, there] = two_nodes(url, &shared).await;
    let token = here.first().await;
    let mut next = token.clone();
    for _ in 0..10 {
        next = here.refresh(&next).await.successor();
        next = there.refresh(&next).await.successor();
    }
    here.refresh(&token).await.assert_error(400, "invalid_grant");
    there.refresh(&next).await.assert_error(400, "invalid_grant");
}

/// The responses to concurrent uses of one token on two nodes.
async fn concurrent(nodes: &[Node; 2], uses: usize) -> Vec<Reply> {
    let token = nodes[0].first().await;
    let uses = (0..uses).map(|index| {
        let (node, token) = (nodes[index % 2].clone(), token.clone());
        tokio::spawn(async move { node.refresh(&token).await })
    });
    let uses: Vec<_> = uses.collect();
    let mut replies = Vec::new();
    for task in uses {
        replies.push(task.await.unwrap());
    }
    replies
}

async fn of_100_concurrent_uses_on_two_nodes_one_succeeds(url: &str) {
    let connect = || async { SqlIssuerStore::connect(url).await.unwrap() };
    assert_one_concurrent_use_succeeds([connect().await, connect().await], 100).await;
}

pub(crate) async fn assert_one_concurrent_use_succeeds(stores: [SqlIssuerStore; 2], uses: usize) {
    stores[0].clients().insert(&client("agent")).await.unwrap();
    let shared = without_grace();
    let replies = concurrent(&stores.map(|store| shared.node_of(store)), uses).await;
    let (issued, refused): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.status == 200);
    assert_eq!((issued.len(), refused.len()), (1, uses - 1));
    refused.iter().for_each(|reply| reply.assert_error(400, "invalid_grant"));
}

async fn all_of_100_concurrent_uses_within_the_grace_period_get_the_same_successor(url: &str) {
    let shared = Shared::new();
    let nodes = two_nodes(url, &shared).await;
    let mut successors: Vec<_> = concurrent(&nodes, 100).await.iter().map(Reply::successor).collect();
    assert_eq!(successors.len(), 100);
    successors.dedup();
    assert_eq!(successors.len(), 1);
    nodes[1].refresh(&successors[0]).await.assert_issued();
}

async fn a_token_of_another_client_is_refused_and_stays_valid(url: &str) {
    let shared = Shared::new();
    let [here, there] = two_nodes(url, &shared).await;
    here.store.clients().insert(&client("other")).await.unwrap();
    let token = here.first().await;
    let form = format!("grant_type=refresh_token&client_id=other&client_secret=s3cret&refresh_token={token}");
    send(&there.issuer, &form).await.assert_error(400, "invalid_grant");
    here.refresh(&token).await.assert_issued();
}

/// A store whose process ends after it has rotated a token.
struct Ending(SqlRefreshStore, AtomicBool);

impl RefreshStore for Ending {
    fn begin(&self, family: RefreshFamily, now: UnixTime) -> Eventual<Result<(), Unavailable>> {
        self.0.begin(family, now)
    }

    fn find(&self, family_id: &str) -> Eventual<Result<Option<RefreshFamily>, Unavailable>> {
        self.0.find(family_id)
    }

    fn revoke(&self, family_id: &str) -> Eventual<Result<(), Unavailable>> {
        self.0.revoke(family_id)
    }

    fn rotate(&self, rotation: Rotation) -> Eventual<Result<RotationOutcome, Unavailable>> {
        let rotated = self.0.rotate(rotation);
        let has_ended = self.1.swap(true, Ordering::Relaxed);
        Eventual::later(async move {
            let outcome = rotated.wait().await;
            if has_ended { outcome } else { Err(Unavailable::new("the process, which has ended,")) }
        })
    }
}

/// A token whose successor never reached the client, and the other node.
async fn lost_response(url: &str, shared: &Shared) -> (Node, String) {
    let [here, there] = two_nodes(url, shared).await;
    let ending = Arc::new(Ending(here.store.refresh_tokens(), AtomicBool::new(false)));
    let issuer = shared.issuer(here.store.clients(), ending);
    let token = first(&issuer).await;
    refresh(&issuer, &token).await.assert_error(503, "temporarily_unavailable");
    (there, token)
}

async fn a_node_that_ends_after_the_rotation_loses_no_token(url: &str) {
    let shared = Shared::new();
    let (there, token) = lost_response(url, &shared).await;
    let next = there.refresh(&token).await.successor();
    assert_eq!(there.refresh(&token).await.successor(), next);
    there.refresh(&next).await.assert_issued();
}

async fn reuse_after_a_node_has_ended_revokes_the_family_when_the_grace_period_is_over(url: &str) {
    let shared = Shared::new();
    let (there, token) = lost_response(url, &shared).await;
    shared.clock.advance(Duration::from_secs(9));
    let next = there.refresh(&token).await.successor();
    shared.clock.advance(Duration::from_secs(1));
    there.refresh(&token).await.assert_error(400, "invalid_grant");
    there.refresh(&next).await.assert_error(400, "invalid_grant");
}

async fn a_revoked_family_is_not_rotated(url: &str) {
    let shared = Shared::new();
    let [here, there] = two_nodes(url, &shared).await;
    let token = here.first().await;
    let reply = here.refresh(&token).await;
    let id = claims(&reply)["sid"].as_str().unwrap().to_owned();
    there.store.refresh_tokens().revoke(&id).wait().await.unwrap();
    here.refresh(&reply.successor()).await.assert_error(400, "invalid_grant");
    there.store.refresh_tokens().revoke("unknown").wait().await.unwrap();
}

async fn expired_families_are_removed_and_others_are_kept(url: &str) {
    let shared = Shared::new();
    let [here, there] = two_nodes(url, &shared).await;
    for _ in 0..150 {
        here.first().await;
    }
    // They expire after one hour; the clocks of nodes may differ by five minutes.
    let end = NOW + Duration::from_secs(3600 + 300);
    let store = there.store.refresh_tokens();
    assert_eq!(store.remove_expired(end).await.unwrap(), 0);
    shared.clock.set(end + Duration::from_secs(1));
    let kept = here.first().await;
    assert_eq!(store.remove_expired(end + Duration::from_secs(1)).await.unwrap(), 50, "the new one has removed 100");
    here.refresh(&kept).await.assert_issued();
}

async fn a_family_that_is_used_is_kept(url: &str) {
    let shared = Shared::new();
    let [here, there] = two_nodes(url, &shared).await;
    let token = here.first().await;
    shared.clock.advance(Duration::from_secs(3599));
    let next = here.refresh(&token).await.successor();
    shared.clock.advance(Duration::from_secs(3599));
    let now = NOW + Duration::from_secs(7198);
    assert_eq!(there.store.refresh_tokens().remove_expired(now).await.unwrap(), 0);
    there.refresh(&next).await.assert_issued();
}

async fn a_malformed_family_is_503(url: &str) {
    let changes = [
        "record = '{}'",
        "record = replace(record, 'orders:read', 'evil\"scope')",
        "record = replace(record, '{', '{\"restriction\":1,')",
        "generation = 7",
        "id = 'moved'",
    ];
    for change in changes {
        let shared = Shared::new();
        let node = shared.node(url).await;
        let _ = node.store.clients().insert(&client("agent")).await;
        let token = node.first().await;
        super::support::execute(url, &format!("UPDATE tower_warden_refresh_families SET {change}")).await;
        match change {
            "id = 'moved'" => {
                node.refresh(&token).await.assert_error(400, "invalid_grant");
                let moved = node.store.refresh_tokens().find("moved").wait().await.unwrap_err();
                let shown = format!("{moved} {moved:?}");
                assert!(!shown.contains("alice"), "{shown}");
            }
            _ => node.refresh(&token).await.assert_error(503, "temporarily_unavailable"),
        }
        super::support::execute(url, "DELETE FROM tower_warden_refresh_families").await;
    }
}

async fn a_rotation_is_made_when_its_future_is_dropped(url: &str) {
    let shared = Shared::new();
    let [here, there] = two_nodes(url, &shared).await;
    let token = here.first().await;
    let (node, used) = (here.clone(), token.clone());
    for _ in 0..20 {
        let request = node.refresh(&used);
        // Dropped at some point of its work, if it is not done before.
        let _ = tokio::time::timeout(Duration::from_micros(300), request).await;
    }
    there.refresh(&token).await.assert_issued();
}

#[tokio::test]
#[cfg(feature = "sqlite")]
async fn nothing_is_issued_while_the_refresh_store_is_down() {
    let pool = sqlx::SqlitePool::connect("sqlite::memory:").await.unwrap();
    let store = SqlIssuerStore::sqlite(pool.clone()).await.unwrap();
    let (shared, clients) = (Shared::new(), MemoryClientStore::default());
    clients.insert(client("agent"));
    let issuer = shared.issuer(clients, store.refresh_tokens());
    let token = first(&issuer).await;
    pool.close().await;
    refresh(&issuer, &token).await.assert_error(503, "temporarily_unavailable");
    let request = RefreshTokenRequest::new("agent", "alice");
    assert!(issuer.issue_refresh_token(&request).await.is_err());
}

#[tokio::test]
#[cfg(feature = "postgres")]
#[ignore = "needs a Postgres server; ./scripts/test runs it"]
async fn nothing_is_issued_while_the_server_is_down_and_the_token_is_valid_after_it() {
    let server = crate::server::Server::start();
    let shared = Shared::new();
    let [here, there] = two_nodes(&server.database().await, &shared).await;
    let clients = MemoryClientStore::default();
    clients.insert(client("agent"));
    let with_clients = shared.issuer(clients, here.store.refresh_tokens());
    let token = here.first().await;
    server.kill();
    for issuer in [&here.issuer, &with_clients] {
        refresh(issuer, &token).await.assert_error(503, "temporarily_unavailable");
    }
    super::support::credentials(&here.issuer, "s3cret").await.assert_error(503, "temporarily_unavailable");
    super::support::credentials(&with_clients, "s3cret").await.assert_issued();
    server.restart();
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while there.refresh(&token).await.status == 503 {
        assert!(std::time::Instant::now() < deadline, "the server responds again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    there.refresh(&token).await.assert_issued();
}

/// The claims of the access token of a response, which is not verified.
fn claims(reply: &Reply) -> serde_json::Value {
    let token = reply.body["access_token"].as_str().unwrap();
    super::support::claims(token)
}
