//! Three servers and three sentinels: nodes follow the master.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use redis::{
    RedisConnectionInfo,
    sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType},
};
use tempfile::TempDir;
use tower_warden::api_key::MemoryKeyStore;
use tower_warden_redis::{RedisClient, RedisConnection};

use crate::{
    acl::documented,
    nodes::{Node, all_is_shared},
    server::{Redis, connect, free_port, program},
    support::until,
};

/// A master, two replicas, and three sentinels.
struct Deployment {
    servers: [Redis; 3],
    sentinels: Vec<u16>,
    processes: Vec<Child>,
    _directory: TempDir,
}

impl Deployment {
    async fn start() -> Self {
        let options = ["--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0"];
        let (one, two, three) =
            tokio::join!(Redis::start_with(&options), Redis::start_with(&options), Redis::start_with(&options));
        for replica in [&two, &three] {
            replica.command(&format!("REPLICAOF 127.0.0.1 {}", one.port)).await.unwrap();
        }
        let directory = tempfile::tempdir().unwrap();
        let sentinels: Vec<_> = (0..3).map(|_| free_port()).collect();
        let processes = sentinels.iter().map(|port| sentinel(directory.path(), *port, one.port)).collect();
        let deployment = Self { servers: [one, two, three], sentinels, processes, _directory: directory };
        until(async || deployment.is_known().await, "the sentinels know all").await;
        deployment
    }

    /// Each sentinel knows the other sentinels, and both replicas, which replicate.
    async fn is_known(&self) -> bool {
        for port in &self.sentinels {
            let Ok(mut connection) = connect(*port).await else { return false };
            let text: String =
                redis::cmd("INFO").arg("sentinel").query_async(&mut connection).await.unwrap_or_default();
            if !text.contains("status=ok") || !text.contains("slaves=2,sentinels=3") {
                return false;
            }
        }
        for replica in self.replicas_of(self.master().await) {
            if !replica.text("INFO replication").await.contains("master_link_status:up") {
                return false;
            }
        }
        true
    }

    fn replicas_of(&self, master: usize) -> impl Iterator<Item = &Redis> {
        self.servers.iter().enumerate().filter(move |(index, _)| *index != master).map(|(_, server)| server)
    }

    fn client(&self) -> RedisClient {
        self.client_with(None)
    }

    fn client_with(&self, servers: Option<SentinelNodeConnectionInfo>) -> RedisClient {
        client_of(&self.sentinels, servers)
    }

    /// The index of the server that the sentinels report.
    async fn master(&self) -> usize {
        let mut command = redis::cmd("SENTINEL");
        command.arg("get-master-addr-by-name").arg("mymaster");
        let mut connection = connect(self.sentinels[0]).await.unwrap();
        let (_, port): (String, u16) = command.query_async(&mut connection).await.unwrap();
        self.servers.iter().position(|server| server.port == port).unwrap()
    }

    /// A master that is slow for a second is not replaced.
    async fn never_fail_over(&self) {
        for port in &self.sentinels {
            let mut command = redis::cmd("SENTINEL");
            command.arg("SET").arg("mymaster").arg("down-after-milliseconds").arg(600_000);
            command.query_async::<()>(&mut connect(*port).await.unwrap()).await.unwrap();
        }
    }

    async fn fail_over_by_hand(&self) {
        let attempt = async || {
            let mut command = redis::cmd("SENTINEL");
            command.arg("FAILOVER").arg("mymaster");
            let mut connection = connect(self.sentinels[0]).await.unwrap();
            command.query_async::<String>(&mut connection).await.is_ok()
        };
        until(attempt, "the failover is accepted").await;
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        for process in &mut self.processes {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }
}

fn client_of(sentinels: &[u16], servers: Option<SentinelNodeConnectionInfo>) -> RedisClient {
    let addresses = sentinels.iter().map(|port| format!("redis://127.0.0.1:{port}/")).collect();
    // Without the feature `tls`, the name is a string of its own.
    let name = String::from("mymaster");
    SentinelClient::build(addresses, name, servers, SentinelServerType::Master).unwrap().into()
}

fn sentinel(directory: &Path, port: u16, master: u16) -> Child {
    let file = directory.join(format!("{port}.conf"));
    let configuration = format!(
        "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor mymaster 127.0.0.1 {master} 2\n\
         sentinel down-after-milliseconds mymaster 1000\nsentinel failover-timeout mymaster 4000\n",
        directory.display()
    );
    std::fs::write(&file, configuration).unwrap();
    let mut command = Command::new(program());
    command.arg(file).arg("--sentinel").stdin(Stdio::null()).stdout(Stdio::null());
    command.spawn().expect("the server is installed")
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn nodes_follow_the_master_when_roles_are_switched_by_hand_when_it_hangs_and_when_it_dies() {
    let deployment = Deployment::start().await;
    let keys = Arc::<MemoryKeyStore>::default();
    let (one, other) = (Node::start(deployment.client(), &keys).await, Node::start(deployment.client(), &keys).await);
    all_is_shared(&one, &other, "before").await;
    for event in ["switched", "hung", "dead"] {
        let master = deployment.master().await;
        // The old master stays alive in the first case, and its connections stay open in the second.
        match event {
            "switched" => deployment.fail_over_by_hand().await,
            "hung" => deployment.servers[master].pause(),
            _ => deployment.servers[master].kill(),
        }
        until(async || deployment.master().await != master, "another master").await;
        if event == "switched" {
            // The old one replies as a master until the sentinels make it a replica.
            let old = &deployment.servers[master];
            let has_no_subscriber = async || match old.command("PUBSUB CHANNELS test:*").await {
                Ok(reply) => redis::from_redis_value::<Vec<String>>(reply).unwrap().is_empty(),
                Err(_) => false,
            };
            until(has_no_subscriber, "the nodes have left the old master").await;
        }
        all_is_shared(&one, &other, event).await;
        match event {
            "hung" => deployment.servers[master].resume(),
            "dead" => deployment.servers[master].launch().await,
            _ => {}
        }
        until(async || deployment.is_known().await, "the old master is a replica").await;
        all_is_shared(&one, &other, &format!("{event} and back")).await;
    }
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn the_documented_rights_are_enough_with_sentinels() {
    let deployment = Deployment::start().await;
    let rights = documented().replace("billing:tower", "test:tower") + " +role";
    for server in &deployment.servers {
        server.command(&rights).await.unwrap();
    }
    let user = RedisConnectionInfo::default().set_username("billing").set_password("word");
    let client = deployment.client_with(Some(SentinelNodeConnectionInfo::default().set_redis_connection_info(user)));
    let keys = Arc::<MemoryKeyStore>::default();
    let (one, other) = (Node::start(client.clone(), &keys).await, Node::start(client, &keys).await);
    all_is_shared(&one, &other, "with few rights").await;
    assert_eq!(one.connection.problem(), None);
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_query_of_a_sentinel_connects_to_the_master_once() {
    let deployment = Deployment::start().await;
    deployment.never_fail_over().await;
    // The `redis` crate queries all sentinels that it knows at once, and each query connects to the master. A connection
    // selects its database, which those of the sentinels do not.
    let servers =
        SentinelNodeConnectionInfo::default().set_redis_connection_info(RedisConnectionInfo::default().set_db(1));
    let client = client_of(&deployment.sentinels[..1], Some(servers));
    let connection = RedisConnection::connect(client, "test".parse().unwrap()).await;
    until(async || connection.problem().is_none(), "the connection is up").await;
    let mut master = deployment.servers[deployment.master().await].connection().await;
    let mut connections = async || {
        let text: String = redis::cmd("INFO").arg("commandstats").query_async(&mut master).await.unwrap();
        let calls = text.lines().find_map(|line| line.strip_prefix("cmdstat_select:calls=")).unwrap();
        let digits: String = calls.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u64>().unwrap()
    };
    let (before, begun) = (connections().await, Instant::now());
    let mut made = 0;
    until(
        async || {
            made = connections().await - before;
            made >= 6
        },
        "six connections",
    )
    .await;
    // One query each second, and not two connections for each: a slow machine makes fewer.
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(4), "{made} connections in {took:?}");
}
