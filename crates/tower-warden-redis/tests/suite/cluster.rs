//! A cluster of three masters: nodes follow the slot that a key is in.

use std::{sync::Arc, time::Instant};

use redis::{ProtocolVersion, cluster::ClusterClientBuilder};
use tower_warden::{
    api_key::MemoryKeyStore,
    revocation::{Revocation, RevocationList},
};
use tower_warden_redis::{RedisClient, RedisConnection, RedisProblem, RedisRevocationList};

use crate::{
    acl::documented,
    nodes::{Node, all_is_shared},
    revocations::later,
    server::{Redis, free_port},
    support::{ISSUER, seconds, token, until, until_some},
};

/// Three masters, and a replica of the one that holds the revocations.
struct Cluster {
    servers: [Redis; 4],
}

/// The number of slots.
const SLOTS: u16 = 16_384;

impl Cluster {
    async fn start() -> Self {
        let start = async || {
            let bus = free_port().to_string();
            Redis::start_with(&["--cluster-enabled", "yes", "--cluster-node-timeout", "1500", "--cluster-port", &bus])
                .await
        };
        let (one, two, three, four) = tokio::join!(start(), start(), start(), start());
        let cluster = Self { servers: [one, two, three, four] };
        let [first, ..] = &cluster.servers;
        for (index, server) in cluster.servers[..3].iter().enumerate() {
            let index = u16::try_from(index).unwrap();
            let (from, to) = (index * SLOTS / 3, (index + 1) * SLOTS / 3 - 1);
            server.command(&format!("CLUSTER ADDSLOTSRANGE {from} {to}")).await.unwrap();
        }
        for server in &cluster.servers[1..] {
            let bus = first.option("--cluster-port");
            server.command(&format!("CLUSTER MEET 127.0.0.1 {} {bus}", first.port)).await.unwrap();
        }
        until(async || cluster.knows(4).await && cluster.is_ok(4).await, "all nodes know each other").await;
        let owner = cluster.owner().await;
        let id = cluster.servers[owner].text("CLUSTER MYID").await;
        cluster.servers[3].command(&format!("CLUSTER REPLICATE {id}")).await.unwrap();
        until(async || cluster.is_ok(4).await, "the cluster is up").await;
        let replicates = async || cluster.servers[3].text("INFO replication").await.contains("master_link_status:up");
        until(replicates, "the replica replicates").await;
        cluster
    }

    async fn knows(&self, nodes: usize) -> bool {
        for server in &self.servers {
            if !server.text("CLUSTER INFO").await.contains(&format!("cluster_known_nodes:{nodes}")) {
                return false;
            }
        }
        true
    }

    /// Returns whether this many nodes report that the cluster is up.
    async fn is_ok(&self, nodes: usize) -> bool {
        let mut up = 0;
        for server in &self.servers {
            up += usize::from(server.text("CLUSTER INFO").await.contains("cluster_state:ok"));
        }
        up >= nodes
    }

    /// The index of the server that holds the revocations.
    async fn owner(&self) -> usize {
        let owner = async || {
            for (index, server) in self.servers.iter().enumerate() {
                let has_the_slot = server.command("EXISTS tower-warden:{revoked:1}:names").await.is_ok();
                if has_the_slot && self.is_master(index).await {
                    return Some(index);
                }
            }
            None
        };
        until_some(owner, "a server holds the slot").await
    }

    async fn is_master(&self, index: usize) -> bool {
        self.servers[index].text("INFO replication").await.contains("role:master")
    }

    fn client(&self) -> RedisClient {
        let addresses = self.servers.iter().map(|server| format!("redis://127.0.0.1:{}/", server.port));
        ClusterClientBuilder::new(addresses).use_protocol(ProtocolVersion::RESP3).build().unwrap().into()
    }
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn nodes_follow_the_slot_when_its_master_is_replaced_by_hand_and_when_it_dies() {
    let cluster = Cluster::start().await;
    let keys = Arc::<MemoryKeyStore>::default();
    let (one, other) = (Node::start(cluster.client(), &keys).await, Node::start(cluster.client(), &keys).await);
    all_is_shared(&one, &other, "before").await;

    let old = cluster.owner().await;
    let mut asked: Option<Instant> = None;
    let is_replaced = async || {
        // The replica gives up after five seconds without the votes of the others.
        if asked.is_none_or(|asked| asked.elapsed() > seconds(6)) {
            asked = Some(Instant::now());
            // Refused if it is the master by now.
            let _ = cluster.servers[3].command("CLUSTER FAILOVER").await;
        }
        cluster.is_master(3).await && !cluster.is_master(old).await
    };
    until(is_replaced, "the replica is the master").await;
    all_is_shared(&one, &other, "switched").await;

    let replicates = async || cluster.servers[old].text("INFO replication").await.contains("master_link_status:up");
    until(replicates, "the old master replicates").await;
    cluster.servers[3].kill();
    until(async || cluster.is_master(old).await && cluster.is_ok(3).await, "the replica is the master").await;
    all_is_shared(&one, &other, "dead").await;
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn the_documented_rights_are_enough_in_a_cluster() {
    let cluster = Cluster::start().await;
    let rights = documented().replace("billing:tower", "test:tower") + " +cluster|slots +readonly";
    for server in &cluster.servers {
        server.command(&rights).await.unwrap();
    }
    let addresses = cluster.servers.iter().map(|server| format!("redis://billing:word@127.0.0.1:{}/", server.port));
    let client = ClusterClientBuilder::new(addresses).use_protocol(ProtocolVersion::RESP3).build().unwrap();
    let keys = Arc::<MemoryKeyStore>::default();
    let (one, other) = (Node::start(client.clone().into(), &keys).await, Node::start(client.into(), &keys).await);
    all_is_shared(&one, &other, "with few rights").await;
    assert_eq!(one.connection.problem(), None);
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn clients_that_cannot_listen_in_a_cluster_say_what_is_needed_and_admit_only_what_a_query_allows() {
    let cluster = Cluster::start().await;
    // A client of one node.
    let single = RedisConnection::connect(cluster.servers[0].client(), "test".parse().unwrap()).await;
    let probe = RedisRevocationList::listen(single.clone(), cluster.servers[0].client()).await;
    assert!(!probe.is_complete());
    // One of the three holds the slot of the probe; the others report the cluster.
    let mut problems = Vec::new();
    for server in &cluster.servers[..3] {
        problems.push(RedisConnection::connect(server.client(), "test".parse().unwrap()).await.problem());
    }
    assert_eq!(problems.iter().filter(|problem| **problem == Some(RedisProblem::Cluster)).count(), 2, "{problems:?}");

    // A cluster client without RESP3.
    let addresses = cluster.servers.iter().map(|server| format!("redis://127.0.0.1:{}/", server.port));
    let client = ClusterClientBuilder::new(addresses).build().unwrap();
    let connection = RedisConnection::connect(client.clone(), "test".parse().unwrap()).await.timeout(seconds(10));
    let list = RedisRevocationList::listen(connection.clone(), client).await;
    assert_eq!(connection.problem(), Some(RedisProblem::Resp3Needed));
    list.revoke(Revocation::token(ISSUER, "1"), later()).await.unwrap();
    let other = RedisRevocationList::listen(connection.clone(), cluster.client()).await;
    until(async || other.is_complete(), "the copy is complete").await;
    assert!(!list.is_complete());
    for node in [&list, &other] {
        assert!(node.is_revoked(&token("1")).wait().await.unwrap());
        assert!(!node.is_revoked(&token("2")).wait().await.unwrap());
    }
}
