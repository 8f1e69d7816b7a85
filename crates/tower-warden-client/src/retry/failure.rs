use std::{error::Error, io};

use http::StatusCode;
use tower::timeout;

/// The class of an error of the connection, for which a request may be sent again.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ConnectionFailure {
    /// The connection could not be made.
    Connect,
    /// The connection was lost. The server may have processed the request.
    Lost,
    /// There was no response in time. The server may still be processing the request.
    Timeout,
}

impl ConnectionFailure {
    /// Searches an error and its sources for an [`io::Error`], or an elapsed time-out of tokio, of the `TimeoutLayer` of tower,
    /// or with the feature `reqwest` of reqwest; `None` if there is none that could pass by itself.
    #[must_use]
    pub fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut source = Some(error);
        while let Some(error) = source {
            if is_elapsed(error) {
                return Some(Self::Timeout);
            }
            if let Some(error) = error.downcast_ref::<io::Error>() {
                // The error inside of a custom one is not its source.
                let inner = error.get_ref().and_then(|inner| Self::of(inner));
                return inner.or_else(|| Self::of_kind(error.kind()));
            }
            source = error.source();
        }
        None
    }

    const fn of_kind(kind: io::ErrorKind) -> Option<Self> {
        match kind {
            io::ErrorKind::ConnectionRefused
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NotConnected => Some(Self::Connect),
            io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::UnexpectedEof => Some(Self::Lost),
            io::ErrorKind::TimedOut => Some(Self::Timeout),
            _ => None,
        }
    }
}

fn is_elapsed(error: &(dyn Error + 'static)) -> bool {
    error.is::<tokio::time::error::Elapsed>() || error.is::<timeout::error::Elapsed>() || is_elapsed_in_reqwest(error)
}

/// The time-out of reqwest is a private type.
#[cfg(feature = "reqwest")]
fn is_elapsed_in_reqwest(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref().is_some_and(reqwest::Error::is_timeout)
}

#[cfg(not(feature = "reqwest"))]
fn is_elapsed_in_reqwest(_: &(dyn Error + 'static)) -> bool {
    false
}

/// Classifies the errors of the inner service.
///
/// [`BySource`] is the default. A closure is another one, for errors that have no `std::error::Error`:
///
/// ```
/// use tower::BoxError;
/// use tower_warden_client::retry::{ConnectionFailure, RetryLayer};
///
/// let layer = RetryLayer::new().classify_errors(|error: &BoxError| ConnectionFailure::of(error.as_ref()));
/// ```
pub trait ClassifyError<E>: Send + Sync + 'static {
    /// Returns the class of an error; `None` if the request is not sent again after it.
    fn classify(&self, error: &E) -> Option<ConnectionFailure>;
}

impl<E, F: Fn(&E) -> Option<ConnectionFailure> + Send + Sync + 'static> ClassifyError<E> for F {
    fn classify(&self, error: &E) -> Option<ConnectionFailure> {
        self(error)
    }
}

/// Classifies an error by its sources, see [`ConnectionFailure::of`].
///
/// An error of hyper without an `io::Error` among its sources, such as a message that is incomplete, needs a closure.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct BySource;

impl<E: Error + 'static> ClassifyError<E> for BySource {
    fn classify(&self, error: &E) -> Option<ConnectionFailure> {
        ConnectionFailure::of(error)
    }
}

/// The reason why a request was sent again.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum RetryCause {
    /// An error of the connection.
    Connection(ConnectionFailure),
    /// The status of a response: 429, 500, 502, 503 or 504. Over gRPC, 429 stands for `RESOURCE_EXHAUSTED` with `Retry-After`,
    /// and 503 for `UNAVAILABLE`.
    Status(StatusCode),
}

impl RetryCause {
    /// Returns whether a status is the cause of a retry. 401 and 403 never are: the same credential is refused again.
    pub(super) const fn of_status(status: StatusCode) -> Option<Self> {
        match status {
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::INTERNAL_SERVER_ERROR
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Some(Self::Status(status)),
            _ => None,
        }
    }

    /// Returns whether the server states when to try again, in `Retry-After`.
    pub(super) const fn has_retry_after(self) -> bool {
        matches!(self, Self::Status(StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE))
    }

    /// Returns whether the server may still be working on the request, so that it is given more time.
    pub(super) const fn is_timeout(self) -> bool {
        matches!(self, Self::Connection(ConnectionFailure::Timeout) | Self::Status(StatusCode::GATEWAY_TIMEOUT))
    }
}
