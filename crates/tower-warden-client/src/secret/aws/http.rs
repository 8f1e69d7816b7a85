use std::{fmt, sync::Arc};

use aws_smithy_runtime_api::client::{
    http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tower_warden::fetch::Fetch;

/// A [`Fetch`], such as [`HttpClient`](tower_warden::fetch::HttpClient), as the HTTP client of the AWS SDK, so that it
/// needs no other one.
///
/// See [`AwsSecrets`](super::AwsSecrets) for an example.
#[derive(Clone)]
pub struct AwsHttpClient(Arc<dyn Fetch>);

impl AwsHttpClient {
    /// Sends the requests of the SDK with `fetch`.
    #[must_use]
    pub fn new(fetch: impl Fetch) -> Self {
        Self(Arc::new(fetch))
    }
}

impl HttpClient for AwsHttpClient {
    /// The time limits of the SDK are not those of the connector: its operations have their own.
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for AwsHttpClient {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let fetch = Arc::clone(&self.0);
        HttpConnectorFuture::new(async move {
            let (head, body) =
                request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?.into_parts();
            let body = body.bytes().map(Bytes::copy_from_slice);
            let body = body.ok_or_else(|| ConnectorError::user("a body that is a stream is not supported".into()))?;
            let response = fetch.fetch(Request::from_parts(head, body), MAX_BYTES).wait().await;
            let response = response.map_err(|error| ConnectorError::io(error.into()))?;
            // As a stream, because the SDK prints other bodies into its log lines of the level TRACE.
            HttpResponse::try_from(response.map(|body| SdkBody::from_body_1_x(Full::new(body))))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

impl fmt::Debug for AwsHttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsHttpClient").finish_non_exhaustive()
    }
}

/// The maximum length of a response. A secret has 64 KiB at most.
const MAX_BYTES: usize = 1 << 20;
