use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::{Service, ServiceExt, util::BoxCloneSyncService};
use tower_warden_interop::BoxError;

use crate::check::{Outcome, same};

/// A client of the API: a client of hyper-util below a layer of the crate.
#[derive(Clone)]
pub(crate) struct ApiClient {
    service: BoxCloneSyncService<Request<Body>, (StatusCode, String), BoxError>,
    url: String,
}

type Body = Full<Bytes>;

impl ApiClient {
    pub(crate) fn new<S, R>(service: S, url: &str) -> Self
    where
        S: Service<Request<Body>, Response = Response<R>, Error = BoxError> + Clone + Send + Sync + 'static,
        S::Future: Send,
        R: http_body::Body<Data = Bytes> + Send + 'static,
        R::Error: Into<BoxError>,
    {
        let service = service.and_then(async |response: Response<R>| {
            let status = response.status();
            let body = response.into_body().collect().await.map_err(Into::into)?.to_bytes();
            Ok((status, String::from_utf8_lossy(&body).into_owned()))
        });
        Self { service: BoxCloneSyncService::new(service), url: url.to_owned() }
    }

    /// Requests a path, and returns the status and the body.
    pub(crate) async fn get(&self, path: &str) -> Result<(StatusCode, String), BoxError> {
        let request = Request::get(format!("{}{path}", self.url)).body(Body::default())?;
        self.service.clone().oneshot(request).await
    }

    /// Requests a path, and fails if the response is not that of a caller with this name.
    pub(crate) async fn expect(&self, path: &str, subject: &str) -> Outcome {
        same("the response", self.get(path).await?, (StatusCode::OK, subject.to_owned()))
    }

    /// Requests a path, and fails if the response has another status.
    pub(crate) async fn expect_status(&self, path: &str, status: StatusCode) -> Outcome {
        same("the status", self.get(path).await?.0, status)
    }
}
