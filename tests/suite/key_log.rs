//! What the key routes log for audit.

use std::sync::{Arc, Mutex};

use axum::{Router, body::Body};
use http::{Request, header::CONTENT_TYPE};
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_warden::{
    Eventual, Unavailable, UnixTime,
    api_key::{
        ApiKeys, KeyAddition, KeyError, KeyErrorKind, KeyFormat, KeyId, KeyRecord, KeyStore, KeyUpdate, MemoryKeyStore,
        NewKey, key_routes,
    },
    layer::AuthLayer,
};

use crate::{forwarding::forward_to_inner, secrets::listen, support::Answer};

/// What a change does.
#[derive(Clone, Copy, Default)]
enum Mode {
    #[default]
    Answer,
    Fail,
    Hang,
    Unsupported,
}

/// A store whose changes do as they are told.
#[derive(Clone, Default)]
struct Store {
    inner: Arc<MemoryKeyStore>,
    mode: Arc<Mutex<Mode>>,
}

impl Store {
    fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    fn change<T: Send + 'static>(
        &self,
        make: impl FnOnce(&MemoryKeyStore) -> Eventual<Result<T, KeyError>>,
    ) -> Eventual<Result<T, KeyError>> {
        match *self.mode.lock().unwrap() {
            Mode::Answer => make(&self.inner),
            Mode::Fail => Eventual::Now(Err(Unavailable::new("the store").into())),
            Mode::Hang => Eventual::later(std::future::pending()),
            Mode::Unsupported => {
                Eventual::Now(Err(KeyError::new(KeyErrorKind::Configuration).because("keys are read only")))
            }
        }
    }
}

impl KeyStore for Store {
    forward_to_inner!(find get insert rotate list touch watch);

    fn append(&self, addition: KeyAddition) -> Eventual<Result<KeyId, KeyError>> {
        self.change(|inner| inner.append(addition))
    }

    fn purge(&self, id: &KeyId, at: UnixTime) -> Eventual<Result<(), KeyError>> {
        self.change(|inner| inner.purge(id, at))
    }

    fn revoke(&self, id: &KeyId, at: UnixTime) -> Eventual<Result<(), KeyError>> {
        self.change(|inner| inner.revoke(id, at))
    }

    fn update(&self, id: &KeyId, update: &KeyUpdate) -> Eventual<Result<(), KeyError>> {
        self.change(|inner| inner.update(id, update))
    }
}

struct Api {
    app: Router,
    boss: String,
    keys: ApiKeys,
    store: Store,
}

impl Api {
    async fn new() -> Self {
        let store = Store::default();
        let keys = ApiKeys::new(store.clone(), KeyFormat::new("sk_agent").unwrap());
        let (_, boss) = keys.mint(NewKey::new("boss").tenant("acme").scopes("keys:admin")).await.unwrap();
        let app = Router::new().nest("/keys", key_routes(keys.clone())).layer(AuthLayer::new(keys.clone()));
        Self { app, boss: boss.expose().to_owned(), keys, store }
    }

    async fn mint(&self, owner: &str) -> KeyRecord {
        self.keys.mint(NewKey::new(owner).tenant("acme")).await.unwrap().0
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> Answer {
        let request = Request::builder().method(method).uri(format!("/keys{path}")).header("x-api-key", &self.boss);
        let request = request.header(CONTENT_TYPE, "application/json").body(Body::from(body.to_string())).unwrap();
        Answer::read(self.app.clone().oneshot(request).await.unwrap()).await
    }
}

/// A log without the escape sequences of its colours.
fn plain(log: &str) -> String {
    let mut parts = log.split('\u{1b}');
    let first = parts.next().unwrap_or_default();
    parts.fold(first.to_owned(), |text, part| text + part.split_once('m').map_or("", |(_, rest)| rest))
}

#[tokio::test]
async fn a_change_that_is_cancelled_or_fails_in_the_store_is_logged_with_its_caller() {
    let api = Api::new().await;
    let (agent, revoked) = (api.mint("agent").await, api.mint("other").await);
    api.keys.revoke(&revoked.id).await.unwrap();
    let path = format!("/{}", agent.id);
    let changes = [
        ("mint", "POST", String::new(), json!({"name": "", "owner": "pasted", "scopes": []})),
        ("rotate", "POST", format!("{path}/rotate"), json!({})),
        ("update", "PATCH", path.clone(), json!({"name": "new"})),
        ("purge", "POST", format!("/{}/purge", revoked.id), json!({})),
        ("revoke", "DELETE", path, json!({})),
        ("revoke_all", "DELETE", "?owner=agent".into(), json!({})),
    ];
    let count = |log: &str, change: &str| {
        let is_meant = |line: &&str| line.contains(&format!("change={change} outcome=unknown"));
        log.lines().filter(is_meant).filter(|line| line.contains("caller=boss") && line.contains("tenant=acme")).count()
    };
    for (change, method, path, body) in changes {
        let (log, _guard) = listen();
        api.store.set(Mode::Hang);
        let mut call = Box::pin(api.call(method, &path, body.clone()));
        for _ in 0..10 {
            assert!(futures_util::poll!(&mut call).is_pending(), "{change}");
            tokio::task::yield_now().await;
        }
        assert_eq!(count(&plain(&log.text()), change), 0, "{change}: it is pending");
        drop(call);
        assert_eq!(count(&plain(&log.text()), change), 1, "{change}: {}", plain(&log.text()));
        api.store.set(Mode::Fail);
        assert_eq!(api.call(method, &path, body).await.status, 503, "{change}");
        assert_eq!(count(&plain(&log.text()), change), 2, "{change}: {}", plain(&log.text()));
        assert!(!plain(&log.text()).contains("keys=pasted"), "{}", plain(&log.text()));
    }
}

#[tokio::test]
async fn a_change_that_is_refused_is_not_logged() {
    let (log, _guard) = listen();
    let api = Api::new().await;
    let path = format!("/{}", api.mint("agent").await.id);
    assert_eq!(api.call("DELETE", &path, json!({})).await.status, 204);
    assert_eq!(api.call("PATCH", &path, json!({"name": "new"})).await.status, 409);
    assert_eq!(api.call("POST", &format!("{path}/rotate"), json!({})).await.status, 409);
    assert_eq!(api.call("POST", "", json!({"name": "", "owner": "", "scopes": []})).await.status, 400);
    assert_eq!(api.call("DELETE", "?owner=agent", json!({})).await.status, 200, "none is left");
    assert_eq!(plain(&log.text()).matches("outcome=").count(), 1, "{}", plain(&log.text()));
    assert!(plain(&log.text()).contains("change=revoke outcome=done"), "{}", plain(&log.text()));
}

#[tokio::test]
async fn a_change_that_the_store_does_not_support_is_500_with_its_cause_in_the_log() {
    let (log, _guard) = listen();
    let api = Api::new().await;
    let path = format!("/{}", api.mint("agent").await.id);
    api.store.set(Mode::Unsupported);
    let answer = api.call("PATCH", &path, json!({"name": "new"})).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (500, &json!("server_error")));
    assert!(
        plain(&log.text()).contains("the key store is misconfigured: keys are read only"),
        "{}",
        plain(&log.text())
    );
    assert!(!answer.body.contains("read only"), "{answer:?}");
}
