use std::{convert::Infallible, env, fmt, future, future::Ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Service, ServiceExt, util::ServiceFn};

/// The parts of a program that its argument selects.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stage {
    Both,
    Times,
    Verdicts,
}

impl Stage {
    /// Reads the argument of the program.
    ///
    /// # Panics
    ///
    /// If there is another argument.
    pub fn from_args() -> Self {
        match env::args().nth(1).as_deref() {
            None => Self::Both,
            Some("times") => Self::Times,
            Some("verdicts") => Self::Verdicts,
            Some(other) => panic!("`{other}` is neither `times` nor `verdicts`"),
        }
    }

    pub fn has_times(self) -> bool {
        self != Self::Verdicts
    }

    pub fn has_verdicts(self) -> bool {
        self != Self::Times
    }
}

/// The service inside of all layers: it responds with 200 and two bytes at once.
pub fn handler<B>() -> ServiceFn<fn(Request<B>) -> Ready<Result<Response<Full<Bytes>>, Infallible>>> {
    tower::service_fn(|_| future::ready(Ok(Response::new(Full::from("ok")))))
}

/// The status of a response. A service that fails has none.
///
/// # Errors
///
/// If the service fails, with its error.
pub async fn send<B, R, S>(service: &S, request: Request<B>) -> Result<u16, String>
where
    S: Service<Request<B>, Response = Response<R>, Error: fmt::Debug> + Clone,
{
    match service.clone().oneshot(request).await {
        Ok(response) => Ok(response.status().as_u16()),
        Err(error) => Err(format!("the service failed: {error:?}")),
    }
}
