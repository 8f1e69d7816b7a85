//! Nodes that listen at a server that is cut off, or that is no longer the master.

use std::time::Duration;

use tower_warden::revocation::{Revocation, RevocationList};
use tower_warden_redis::RedisRevocationList;

use crate::{
    revocations::later,
    server::Redis,
    support::{ISSUER, connection, seconds, token, until},
};

/// Waits until a node does not admit the token, and checks that it does not change its mind.
async fn refuses(node: &RedisRevocationList, id: &str) {
    let admits = async || node.is_revoked(&token(id)).wait().await.is_ok_and(|is_revoked| !is_revoked);
    until(async || !admits().await, "the token is refused").await;
    for _ in 0..50 {
        assert!(!admits().await, "the token is admitted again");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_node_whose_master_became_a_replica_that_is_cut_off_refuses_what_the_new_master_may_have_revoked() {
    let (old, new) = (Redis::start().await, Redis::start().await);
    new.command(&format!("REPLICAOF 127.0.0.1 {}", old.port)).await.unwrap();
    let short = Duration::from_millis(500);
    let node = RedisRevocationList::listen(connection(&old, short).await, old.client()).await;
    until(async || node.is_complete(), "the copy is complete").await;
    // The roles are switched by hand, and nothing listens at the address that the old master replicates from.
    new.command("REPLICAOF NO ONE").await.unwrap();
    old.command("REPLICAOF 127.0.0.1 1").await.unwrap();
    let other = RedisRevocationList::listen(connection(&new, seconds(10)).await, new.client()).await;
    other.revoke(Revocation::token(ISSUER, "1"), later()).await.unwrap();
    refuses(&node, "1").await;
    assert!(!node.is_complete());
    // No other token is admitted either: the node cannot know.
    assert!(node.is_revoked(&token("2")).wait().await.is_err());
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_node_that_listens_elsewhere_than_where_writes_go_queries_the_server_that_accepts_writes() {
    let (cut_off, master) = (Redis::start().await, Redis::start().await);
    // Both accept connections; the subscription stays open and receives nothing.
    let node = RedisRevocationList::listen(connection(&master, seconds(10)).await, cut_off.client()).await;
    let other = RedisRevocationList::listen(connection(&master, seconds(10)).await, master.client()).await;
    assert!(!node.is_complete());
    other.revoke(Revocation::token(ISSUER, "1"), later()).await.unwrap();
    assert!(node.is_revoked(&token("1")).wait().await.unwrap());
    assert!(!node.is_revoked(&token("2")).wait().await.unwrap());
    assert!(!node.is_complete());
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_node_on_the_replica_of_the_master_is_not_complete_although_messages_arrive_there() {
    let (master, replica) = (Redis::start().await, Redis::start().await);
    replica.command(&format!("REPLICAOF 127.0.0.1 {}", master.port)).await.unwrap();
    until(async || replica.text("INFO replication").await.contains("master_link_status:up"), "it replicates").await;
    let node = RedisRevocationList::listen(connection(&master, seconds(10)).await, replica.client()).await;
    assert!(!node.is_complete());
    node.revoke(Revocation::token(ISSUER, "1"), later()).await.unwrap();
    assert!(node.is_revoked(&token("1")).wait().await.unwrap());
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_master_that_lacks_its_replicas_is_trusted_no_longer_if_it_is_configured_to_need_one() {
    let options = ["--min-replicas-to-write", "1", "--min-replicas-max-lag", "1", "--repl-ping-replica-period", "1"];
    let (master, replica) = (Redis::start_with(&options).await, Redis::start().await);
    replica.command(&format!("REPLICAOF 127.0.0.1 {}", master.port)).await.unwrap();
    until(async || master.text("INFO replication").await.contains("min_slaves_good_slaves:1"), "a replica").await;
    let node = RedisRevocationList::listen(connection(&master, seconds(10)).await, master.client()).await;
    until(async || node.is_complete(), "the copy is complete").await;
    replica.pause();
    until(async || !node.is_complete(), "the copy is incomplete").await;
    until(async || node.is_revoked(&token("1")).wait().await.is_err(), "tokens are refused").await;
    replica.resume();
    until(async || node.is_complete(), "the copy is complete again").await;
    assert!(!node.is_revoked(&token("1")).wait().await.unwrap());
}
