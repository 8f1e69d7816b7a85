use std::{fmt, pin::Pin};

/// A value that is available now, or a future of it.
///
/// Methods of this crate's traits return it instead of being `async`: a cache hit is returned without an allocation and
/// without a clone of the inner service, and only I/O needs a boxed future.
///
/// # Examples
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
#[expect(clippy::exhaustive_enums, reason = "a value is available or not")]
pub enum Eventual<T> {
    /// The value; nothing is allocated or awaited.
    Now(T),
    /// A boxed future of the value, for I/O.
    Later(Pin<Box<dyn Future<Output = T> + Send>>),
}

impl<T: Send + 'static> Eventual<T> {
    /// Boxes a future.
    #[must_use]
    pub fn later(future: impl Future<Output = T> + Send + 'static) -> Self {
        Self::Later(Box::pin(future))
    }

    /// Calls `f` with the value: immediately if it is available, or when the future completes.
    #[must_use]
    pub fn and_then<U: Send + 'static>(self, f: impl FnOnce(T) -> Eventual<U> + Send + 'static) -> Eventual<U> {
        match self {
            Self::Now(value) => f(value),
            Self::Later(future) => Eventual::later(async move { f(future.await).wait().await }),
        }
    }

    /// Maps the value: immediately if it is available, or when the future completes.
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
