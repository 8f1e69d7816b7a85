//! Requests of this crate to other servers: for key sets, metadata, introspection, decisions and directories of agents.
//!
//! [`HttpClient`] is the default; its [builder](HttpClient::builder) has options for private networks and private certificate
//! authorities. Where a proxy or a client certificate is needed, pass a custom [`reqwest::Client`], which implements [`Fetch`],
//! or any other implementation.
//!
//! # Examples
//!
//! A custom implementation, which serves a fixed response to tests:
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use tower_warden::{Eventual, Unavailable, fetch::Fetch};
//!
//! struct FixedResponse(&'static str);
//!
//! impl Fetch for FixedResponse {
//!     fn fetch(&self, request: Request<Bytes>, max_bytes: usize) -> Eventual<Result<Response<Bytes>, Unavailable>> {
//!         let is_found = request.uri().path() == "/jwks.json" && self.0.len() <= max_bytes;
//!         Eventual::Now(if is_found { Ok(Response::new(self.0.into())) } else { Err(Unavailable::new("the test")) })
//!     }
//! }
//!
//! let fetch = FixedResponse(r#"{"keys":[]}"#);
//! let request = |url: &str| Request::get(url).body(Bytes::new());
//! let Eventual::Now(complete) = fetch.fetch(request("https://auth.example/jwks.json")?, 256) else { unreachable!() };
//! let Eventual::Now(too_long) = fetch.fetch(request("https://auth.example/jwks.json")?, 4) else { unreachable!() };
//! assert!(complete.is_ok());
//! assert!(too_long.is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::{error::Error, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, Uri};

#[cfg(feature = "jwks")]
pub(crate) use self::address::{ALLOW, ForbiddenAddress, is_local};
pub(crate) use self::plain::PlainHttp;
pub use self::{builder::HttpClientBuilder, client::HttpClient};
use crate::{
    Eventual,
    error::{ConfigError, Unavailable},
};

mod address;
mod builder;
mod client;
mod plain;

/// The maximum length of a response of an authorization server, in bytes.
#[cfg(feature = "jwks")]
pub(crate) const MAX_BODY_BYTES: usize = 256 * 1024;

/// Sends requests to authorization servers. See the [module docs](self) for an implementation.
///
/// Requests and responses may contain secrets: an implementation logs neither, and puts no part of them into its errors.
/// Time-outs are applied by the caller, which drops the future when the time is up.
///
/// URLs of plain `http` are those of the hosts `localhost`, `127.0.0.1` and `[::1]`, and those of networks that an option of the
/// component declares. To which addresses a name resolves is not checked by the caller: an implementation connects to this machine
/// only for `localhost`, as [`HttpClient`] does, and to declared networks only for any other URL of plain `http`.
pub trait Fetch: Send + Sync + 'static {
    /// Sends the request and reads the whole response, whatever its status.
    ///
    /// A response whose body is longer than `max_bytes` is a failure. Redirects are returned, not followed.
    ///
    /// # Errors
    ///
    /// If there is no response, or its body is too long.
    fn fetch(&self, request: Request<Bytes>, max_bytes: usize) -> Eventual<Result<Response<Bytes>, Unavailable>>;

    /// Checks, when a component is built, that requests to this URL can be sent. By default, all can.
    ///
    /// # Errors
    ///
    /// If each request would be refused.
    fn check(&self, uri: &Uri) -> Result<(), ConfigError> {
        let _ = uri;
        Ok(())
    }
}

impl<F: Fetch + ?Sized> Fetch for Arc<F> {
    fn fetch(&self, request: Request<Bytes>, max_bytes: usize) -> Eventual<Result<Response<Bytes>, Unavailable>> {
        (**self).fetch(request, max_bytes)
    }

    fn check(&self, uri: &Uri) -> Result<(), ConfigError> {
        (**self).check(uri)
    }
}

/// Sends a request, and fails if the response is not complete within the time-out or is longer than the maximum.
#[cfg_attr(not(feature = "jwks"), expect(dead_code, reason = "introspection has its own limits"))]
pub(crate) async fn fetch_within(
    timeout: Duration,
    fetch: &dyn Fetch,
    request: Request<Bytes>,
    max_bytes: usize,
) -> Result<Response<Bytes>, Unavailable> {
    let response = tokio::time::timeout(timeout, fetch.fetch(request, max_bytes).wait()).await;
    let response = response.map_err(|_| failed("no response in time"))??;
    // A custom implementation may ignore the limit.
    if response.body().len() > max_bytes { Err(failed("the response is too long")) } else { Ok(response) }
}

fn failed(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Unavailable {
    Unavailable::new("an authorization server").because(cause)
}
