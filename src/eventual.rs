//! A value that is here already, or comes later.

use std::{fmt, pin::Pin};

/// A value that is here already, or comes later.
///
/// Traits of this crate return it where others would be `async`: a cache hit is decided on the spot, with no
/// allocation and no clone of the inner service, and only real I/O pays for a boxed future.
///
/// ```
/// use tower_warden::Eventual;
///
/// let length = Eventual::Now("warden").map(str::len);
/// assert!(matches!(length, Eventual::Now(6)));
///
/// let slow = Eventual::later(async { "warden" }).map(str::len);
/// assert!(matches!(slow, Eventual::Later(_)));
/// ```
#[expect(clippy::exhaustive_enums, reason = "there is no third time")]
pub enum Eventual<T> {
    /// The value; nothing was allocated and nothing will be awaited.
    Now(T),
    /// A future of the value, boxed because only slow paths build one.
    Later(Pin<Box<dyn Future<Output = T> + Send>>),
}

impl<T: Send + 'static> Eventual<T> {
    /// Boxes a future.
    #[must_use]
    pub fn later(future: impl Future<Output = T> + Send + 'static) -> Self {
        Self::Later(Box::pin(future))
    }

    /// Continues with `f`, at once if the value is here.
    #[must_use]
    pub fn and_then<U: Send + 'static>(self, f: impl FnOnce(T) -> Eventual<U> + Send + 'static) -> Eventual<U> {
        match self {
            Self::Now(value) => f(value),
            Self::Later(future) => Eventual::later(async move { f(future.await).wait().await }),
        }
    }

    /// Maps the value, at once if it is here.
    #[must_use]
    pub fn map<U: Send + 'static>(self, f: impl FnOnce(T) -> U + Send + 'static) -> Eventual<U> {
        match self {
            Self::Now(value) => Eventual::Now(f(value)),
            Self::Later(future) => Eventual::later(async move { f(future.await) }),
        }
    }

    /// Awaits the value.
    pub async fn wait(self) -> T {
        match self {
            Self::Now(value) => value,
            Self::Later(future) => future.await,
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Eventual<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(value) => f.debug_tuple("Now").field(value).finish(),
            Self::Later(_) => f.write_str("Later(..)"),
        }
    }
}
