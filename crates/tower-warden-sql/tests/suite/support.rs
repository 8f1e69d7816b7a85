//! A stack to send requests to, and records to store.

use std::{convert::Infallible, ops::ControlFlow};

use bytes::Bytes;
use http::{Request, Response, StatusCode, request::Builder};
use http_body_util::{BodyExt, Full};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tower::{Layer, ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_warden::{
    Digest, Principal, Rejection, UnixTime,
    api_key::{KeyChange, KeyDigest, KeyError, KeyErrorKind, KeyId, KeyRecord, KeyStore, KeyWatcher, Replacement},
    caller::Confirmation,
    layer::AuthLayer,
    scope::Scopes,
};

/// A service that responds with the subject of the caller.
pub type App = BoxCloneSyncService<Request<Full<Bytes>>, Response<Full<Bytes>>, Infallible>;

pub fn app(layer: &AuthLayer) -> App {
    BoxCloneSyncService::new(layer.layer(service_fn(async |request: Request<Full<Bytes>>| {
        let subject = request.extensions().get::<Principal>().map_or("nobody", Principal::subject);
        Ok(Response::new(Full::from(subject.to_owned())))
    })))
}

pub fn bearer(key: &str) -> Builder {
    Request::builder().uri("/").header("authorization", format!("Bearer {key}"))
}

pub async fn send(app: App, request: Builder) -> Answer {
    let response = app.oneshot(request.body(Full::default()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let header = |name| parts.headers.get(name).map(|value: &http::HeaderValue| value.to_str().unwrap().to_owned());
    Answer {
        status: parts.status,
        retry_after: header("retry-after"),
        challenge: header("www-authenticate"),
        body: String::from_utf8(body.to_vec()).unwrap(),
        reason: parts.extensions.get::<Rejection>().map(|rejection| rejection.reason().as_str()),
    }
}

/// A response that was read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub retry_after: Option<String>,
    pub challenge: Option<String>,
    pub body: String,
    pub reason: Option<&'static str>,
}

impl Answer {
    /// Refused because a dependency is unavailable.
    #[track_caller]
    pub fn assert_unavailable(&self, reason: &str) {
        assert_eq!((self.status.as_u16(), self.reason), (503, Some(reason)), "{self:?}");
        assert_eq!(self.retry_after.as_deref(), Some("5"));
        assert_eq!(self.challenge, None);
    }

    #[track_caller]
    pub fn assert_subject(&self, subject: &str) {
        assert_eq!((self.status.as_u16(), &*self.body), (200, subject), "{self:?}");
    }
}

/// A record with its required fields only.
pub fn record(name: &str) -> KeyRecord {
    KeyRecord::new(id(name), KeyDigest::sha256(name), "agent-7", at(1_000))
}

/// A record whose fields are all set.
pub fn full(name: &str) -> KeyRecord {
    let mut record = KeyRecord::new(id(name), KeyDigest::sha256(name), "Größe \u{1F511} 'o''\"; --", at(1_000));
    record.tenant = Some("Ā\u{308} \\ %_".into());
    record.name = "nightly\n\treconciliation".into();
    record.scopes = Scopes::parse("billing:read billing:write *").unwrap();
    record.tier = Some(String::new());
    record.confirmation = Some(Confirmation::certificate(Digest::of(name.as_bytes())));
    record.networks = ["10.0.0.0/8", "2001:db8::/32", "192.0.2.7"].map(|text| text.parse().unwrap()).into();
    record.expires_at = Some(at(5_000));
    record.revoked_at = Some(at(4_000));
    record.last_used_at = Some(at(3_000));
    record.replaced = Some(Replacement::new(id("another"), at(2_000)));
    record.metadata =
        [("team", "Zürich"), ("", "\0"), ("json", "{\"a\": [1]}")].map(|(k, v)| (k.into(), v.into())).into();
    record
}

pub fn id(text: &str) -> KeyId {
    KeyId::parse(text).unwrap()
}

pub const fn at(seconds: u64) -> UnixTime {
    UnixTime::from_secs(seconds)
}

pub fn kind<T>(result: Result<T, KeyError>) -> KeyErrorKind {
    result.err().expect("an error").kind()
}

/// Collects the changes that a store reports.
pub fn watch(store: &dyn KeyStore) -> UnboundedReceiver<KeyChange> {
    let (sender, receiver) = unbounded_channel();
    store.watch(KeyWatcher::new(move |change| match sender.send(change.clone()) {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    }));
    receiver
}
