//! Bodies of requests that may be sent twice.

use http_body::Body;

/// A policy that makes the body of a second request from that of the first one, before the first one is sent.
///
/// A body that was sent cannot be read again, so a request whose body this policy does not copy is sent once. Closures
/// `Fn(&B) -> Option<B>` implement it as well.
///
/// # Examples
///
/// ```
/// use bytes::Bytes;
/// use http_body_util::Full;
/// use tower_warden_client::replay::{Replay, ReplayCloned, ReplayNever};
///
/// let body = Full::new(Bytes::from_static(b"{}"));
/// assert!(ReplayCloned.replay(&body).is_some());
/// assert!(Replay::<Full<Bytes>>::replay(&ReplayNever, &body).is_none());
///
/// // Texts of up to 1024 bytes only.
/// let short = |body: &String| (body.len() <= 1024).then(|| body.clone());
/// assert!(short.replay(&"a".repeat(2_000)).is_none());
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not copy bodies of the type `{B}`",
    note = "the default copies bodies that implement `Clone`; others need `ReplayEmpty` or `ReplayNever`"
)]
pub trait Replay<B>: Send + Sync + 'static {
    /// Copies a body that was not sent yet; `None` if the request is sent once.
    fn replay(&self, body: &B) -> Option<B>;
}

/// Copies bodies that implement `Clone`, such as `Full` and `Empty`. A clone has to be independent of the original.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a policy without settings")]
pub struct ReplayCloned;

/// Copies bodies without contents only, as those of most GET requests.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a policy without settings")]
pub struct ReplayEmpty;

/// Copies no body: each request is sent once.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a policy without settings")]
pub struct ReplayNever;

impl<B: Clone> Replay<B> for ReplayCloned {
    fn replay(&self, body: &B) -> Option<B> {
        Some(body.clone())
    }
}

impl<B: Body + Default> Replay<B> for ReplayEmpty {
    fn replay(&self, body: &B) -> Option<B> {
        body.is_end_stream().then(B::default)
    }
}

impl<B> Replay<B> for ReplayNever {
    fn replay(&self, _body: &B) -> Option<B> {
        None
    }
}

impl<B, F: Fn(&B) -> Option<B> + Send + Sync + 'static> Replay<B> for F {
    fn replay(&self, body: &B) -> Option<B> {
        self(body)
    }
}
