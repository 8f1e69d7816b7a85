//! Signing keys in a store, on several nodes.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, Once,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tower_warden::{Environment, Eventual, ManualClock, Unavailable, jwt::Algorithm};
use tower_warden_issuer::{
    EncryptedKeys, EncryptionKey, EncryptionKeys, SigningKey, SigningKeyStore, SigningKeys, SigningKeysError,
};

use crate::{
    key_rotation::{kids, signer},
    support::{CLIENT_CREDENTIALS, ISSUER, NOW, ORDERS, Setup, header_of},
};

/// A store in memory, which can be down, and altered.
#[derive(Clone, Default)]
pub(crate) struct Store {
    is_down: Arc<AtomicBool>,
    pub(crate) stored: Arc<Mutex<HashMap<String, EncryptedKeys>>>,
}

impl Store {
    pub(crate) fn get(&self, issuer: &str) -> EncryptedKeys {
        self.stored.lock().unwrap()[issuer].clone()
    }

    pub(crate) fn set(&self, issuer: &str, keys: EncryptedKeys) {
        self.stored.lock().unwrap().insert(issuer.to_owned(), keys);
    }

    fn check(&self) -> Result<(), Unavailable> {
        if self.is_down.load(Ordering::Relaxed) { Err(Unavailable::new("the store")) } else { Ok(()) }
    }

    fn down(&self) {
        self.is_down.store(true, Ordering::Relaxed);
    }

    fn up(&self) {
        self.is_down.store(false, Ordering::Relaxed);
    }
}

impl SigningKeyStore for Store {
    fn load(&self, issuer: &str) -> Eventual<Result<Option<EncryptedKeys>, Unavailable>> {
        let (store, issuer) = (self.clone(), issuer.to_owned());
        Eventual::later(async move {
            tokio::task::yield_now().await;
            store.check()?;
            Ok(store.stored.lock().unwrap().get(&issuer).cloned())
        })
    }

    fn replace(&self, issuer: &str, keys: EncryptedKeys) -> Eventual<Result<bool, Unavailable>> {
        let (store, issuer) = (self.clone(), issuer.to_owned());
        Eventual::later(async move {
            tokio::task::yield_now().await;
            store.check()?;
            let mut stored = store.stored.lock().unwrap();
            let is_next = stored.get(&issuer).map_or(0, |stored| stored.version) + 1 == keys.version;
            if is_next {
                stored.insert(issuer, keys);
            }
            Ok(is_next)
        })
    }
}

pub(crate) fn encryption_key(id: &str, byte: u8) -> EncryptionKey {
    use base64::{Engine, prelude::BASE64_STANDARD};
    EncryptionKey::parse(id, &BASE64_STANDARD.encode([byte; 32])).unwrap()
}

pub(crate) fn one_key() -> EncryptionKeys {
    EncryptionKeys::new(encryption_key("one", 1))
}

pub(crate) async fn load_with(
    store: &Store,
    issuer: &str,
    encryption: EncryptionKeys,
) -> Result<SigningKeys, SigningKeysError> {
    let environment = Environment::default().with_clock(ManualClock::at(NOW));
    SigningKeys::stored(issuer, store.clone(), encryption).environment(&environment).load().await
}

pub(crate) async fn load(store: &Store) -> Result<SigningKeys, SigningKeysError> {
    load_with(store, ISSUER, one_key()).await
}

/// Nodes with one clock, which replace their key each day.
pub(crate) struct Nodes {
    clock: ManualClock,
    pub(crate) here: Setup,
    pub(crate) store: Store,
    there: Setup,
}

impl Nodes {
    pub(crate) async fn start() -> Self {
        let (clock, store) = (ManualClock::at(NOW), Store::default());
        let node = async || {
            let keys = load(&store).await.unwrap().rotate_every(Duration::from_secs(DAY)).unwrap();
            Setup::with_clock(clock.clone(), keys, |builder| builder)
        };
        let (here, there) = (node().await, node().await);
        Self { clock, here, store, there }
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

#[tokio::test]
async fn nodes_that_start_at_the_same_time_have_one_key() {
    let store = Store::default();
    let (one, two, three) = tokio::join!(load(&store), load(&store), load(&store));
    let mut signers = Vec::new();
    for keys in [one, two, three] {
        signers.push(signer(&Setup::with_keys(keys.unwrap(), |builder| builder)).await);
    }
    signers.dedup();
    assert_eq!(signers.len(), 1);
}

#[tokio::test]
async fn a_key_of_each_algorithm_is_the_same_after_a_restart() {
    for algorithm in [Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256] {
        let store = Store::default();
        let environment = Environment::default().with_clock(ManualClock::at(NOW));
        let start = || {
            let keys = SigningKeys::stored(ISSUER, store.clone(), one_key()).algorithm(algorithm);
            keys.environment(&environment).load()
        };
        let (before, after) = (start().await.unwrap(), start().await.unwrap());
        let before = Setup::with_keys(before, |builder| builder);
        let after = Setup::with_keys(after, |builder| builder);
        assert_eq!(kids(&before).await, kids(&after).await);
        let token = before.post(CLIENT_CREDENTIALS).await;
        assert_eq!(header_of(token.token())["alg"], algorithm.as_str());
        assert!(after.verify(token.token(), ORDERS).await.is_ok());
    }
    let hmac = SigningKeys::stored(ISSUER, Store::default(), one_key()).algorithm(Algorithm::HS256).load().await;
    assert!(matches!(hmac, Err(SigningKeysError::Configuration(_))));
}

#[tokio::test]
async fn one_node_creates_the_next_key_and_the_other_one_loads_it_before_it_signs() {
    let nodes = Nodes::start().await;
    let first = signer(&nodes.here).await;
    nodes.advance(DAY - 600);
    let published = kids(&nodes.here).await;
    assert_eq!(published.len(), 2);
    nodes.advance(30);
    assert_eq!(kids(&nodes.there).await, published);
    nodes.advance(569);
    assert_eq!((signer(&nodes.here).await, signer(&nodes.there).await), (first.clone(), first.clone()));
    let last = nodes.there.post(CLIENT_CREDENTIALS).await;
    nodes.advance(1);
    assert_eq!(signer(&nodes.there).await, published[1]);
    assert_eq!(signer(&nodes.here).await, published[1]);

    // The old one is kept until its tokens have expired.
    nodes.advance(899);
    assert!(nodes.here.verify(last.token(), ORDERS).await.is_ok());
    nodes.advance(2100 - 899);
    assert_eq!((kids(&nodes.here).await, kids(&nodes.there).await), (published[1..].to_vec(), published[1..].to_vec()));
}

#[tokio::test]
async fn nodes_that_rotate_at_the_same_time_publish_one_key() {
    let nodes = Nodes::start().await;
    nodes.advance(DAY - 600);
    let (here, there) = tokio::join!(kids(&nodes.here), kids(&nodes.there));
    assert_eq!(here, there);
    assert_eq!(here.len(), 2);
}

#[tokio::test]
async fn an_idle_node_does_not_sign_with_a_key_that_was_replaced() {
    let nodes = Nodes::start().await;
    kids(&nodes.there).await;
    nodes.advance(DAY - 600);
    let published = kids(&nodes.here).await;
    nodes.advance(3 * 3600);
    assert_eq!(signer(&nodes.there).await, published[1]);
    assert_eq!(kids(&nodes.there).await, published[1..]);
}

#[tokio::test]
async fn a_key_on_demand_is_published_on_all_nodes() {
    let nodes = Nodes::start().await;
    let next = SigningKey::generate(Algorithm::EdDSA).unwrap();
    let signs_from = nodes.here.issuer.rotate_keys(next.clone()).await.unwrap();
    assert_eq!(signs_from, NOW + Duration::from_secs(600));
    nodes.advance(30);
    assert_eq!(kids(&nodes.there).await[1], next.kid());
    nodes.advance(570);
    assert_eq!(signer(&nodes.there).await, next.kid());
}

#[tokio::test]
async fn tokens_of_a_key_that_another_node_has_withdrawn_are_refused() {
    let nodes = Nodes::start().await;
    let token = nodes.there.post(CLIENT_CREDENTIALS).await;
    let disclosed = header_of(token.token())["kid"].as_str().unwrap().to_owned();
    nodes.here.issuer.rotate_keys(SigningKey::generate(Algorithm::ES256).unwrap()).await.unwrap();
    nodes.here.issuer.withdraw_key(&disclosed).await.unwrap();
    assert!(nodes.here.verify(token.token(), ORDERS).await.is_err());
    nodes.advance(30);
    assert_ne!(signer(&nodes.there).await, disclosed);
    assert!(nodes.there.verify(token.token(), ORDERS).await.is_err());
}

#[tokio::test]
async fn changes_of_two_nodes_at_the_same_time_are_both_made() {
    let nodes = Nodes::start().await;
    let keys = [Algorithm::ES256, Algorithm::EdDSA].map(|algorithm| SigningKey::generate(algorithm).unwrap());
    let first = signer(&nodes.here).await;
    nodes.here.issuer.rotate_keys(keys[0].clone()).await.unwrap();
    nodes.advance(600);
    // One withdraws the old key, while the other one publishes the next.
    let (withdrawn, published) =
        tokio::join!(nodes.here.issuer.withdraw_key(&first), nodes.there.issuer.rotate_keys(keys[1].clone()));
    withdrawn.unwrap();
    published.unwrap();
    nodes.advance(30);
    for node in [&nodes.here, &nodes.there] {
        assert_eq!(kids(node).await, [keys[0].kid(), keys[1].kid()]);
    }
}

#[tokio::test]
async fn the_current_key_signs_while_the_store_is_down_at_a_rotation() {
    let nodes = Nodes::start().await;
    nodes.advance(DAY - 1200);
    let first = signer(&nodes.here).await;
    nodes.store.down();
    nodes.advance(600);
    assert_eq!(kids(&nodes.here).await, [first.as_str()]);
    nodes.advance(3600);
    assert_eq!(signer(&nodes.here).await, first);
    let refused = nodes.here.issuer.rotate_keys(SigningKey::generate(Algorithm::ES256).unwrap()).await;
    assert!(matches!(refused, Err(SigningKeysError::Unavailable(_))));

    nodes.store.up();
    nodes.advance(10);
    // No use waits for a check after one that has failed.
    let mut published = kids(&nodes.here).await;
    while published.len() < 2 {
        tokio::task::yield_now().await;
        published = kids(&nodes.here).await;
    }
    assert_eq!((published.len(), signer(&nodes.here).await), (2, first));
    nodes.advance(600);
    assert_eq!(signer(&nodes.here).await, published[1]);
}

#[tokio::test]
async fn an_outage_of_the_store_is_logged_once_and_without_secrets() {
    let nodes = Nodes::start().await;
    // Callsites cache for all threads whether any is interested, so that one without a subscriber would silence them.
    static ALL: Once = Once::new();
    ALL.call_once(|| {
        let nowhere = tracing_subscriber::fmt().with_writer(std::io::sink).finish();
        tracing::subscriber::set_global_default(nowhere).expect("the only one");
    });
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer({
        let log = log.clone();
        move || log.clone()
    });
    let _guard = tracing::subscriber::set_default(subscriber.with_ansi(false).finish());
    nodes.store.down();
    for _ in 0..10 {
        nodes.advance(60);
        signer(&nodes.here).await;
    }
    let lines = |text: &str| log.0.lock().unwrap().lines().filter(|line| line.contains(text)).count();
    assert_eq!((lines("ERROR"), lines("are checked and rotated again")), (1, 0), "{:?}", log.0.lock().unwrap());
    nodes.store.up();
    nodes.advance(60);
    signer(&nodes.here).await;
    for _ in 0..10_000 {
        if lines("are checked") > 0 {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!((lines("ERROR"), lines("are checked and rotated again")), (1, 1));
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().push_str(std::str::from_utf8(bytes).unwrap());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn without_a_usable_key_the_response_is_503() {
    let nodes = Nodes::start().await;
    let token = nodes.here.post(CLIENT_CREDENTIALS).await;
    nodes.store.down();
    nodes.advance(DAY);
    nodes.here.post(CLIENT_CREDENTIALS).await.assert_error(503, "temporarily_unavailable");
    let refused = nodes.here.verify(token.token(), ORDERS).await.unwrap_err();
    assert_eq!(refused.kind(), tower_warden::RejectionKind::Unavailable);
    nodes.store.up();
    nodes.advance(10);
    nodes.here.post(CLIENT_CREDENTIALS).await.token();
}

#[tokio::test]
async fn a_node_does_not_start_while_the_store_is_down() {
    let store = Store::default();
    store.down();
    assert!(matches!(load(&store).await, Err(SigningKeysError::Unavailable(_))));
}

const DAY: u64 = 24 * 3600;
