use std::fmt;

use super::{policy::Policy, verdict::Verdict};
use crate::{Eventual, caller::Principal, refusal::Rejection, request::Head};

/// A policy that is an async closure: made by [`policy_fn`].
#[derive(Clone, Copy)]
pub struct PolicyFn<F>(F);

/// Makes a policy of a closure that returns a future of a [`Verdict`].
///
/// The closure reads what it needs of the principal and the head, and the future owns it. If what it queries does not
/// respond, it returns [`RejectionKind::Unavailable`](crate::RejectionKind::Unavailable), and not `false`. It sets a
/// time-out itself.
///
/// # Examples
///
/// ```
/// use std::{convert::Infallible, time::Duration};
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower::{ServiceBuilder, ServiceExt};
/// use tower_warden::{
///     Reason, Rejection, RejectionKind,
///     api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey},
///     authorize::policy_fn,
///     layer::{AuthLayer, AuthorizeLayer},
/// };
///
/// /// Queries another service.
/// async fn has_paid(subject: &str) -> std::io::Result<bool> {
///     Ok(subject == "alice")
/// }
///
/// const BILLING_UNAVAILABLE: Reason = Reason::custom("billing_unavailable");
///
/// let paid = policy_fn(|caller, _| {
///     let subject = caller.subject().to_owned();
///     async move {
///         let unavailable = || Rejection::new(RejectionKind::Unavailable, BILLING_UNAVAILABLE);
///         let answer = tokio::time::timeout(Duration::from_secs(1), has_paid(&subject)).await;
///         match answer.map_err(|_| unavailable())?.map_err(|_| unavailable())? {
///             true => Ok(()),
///             false => Err(Rejection::new(RejectionKind::Forbidden, Reason::POLICY)),
///         }
///     }
/// });
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent")?);
/// let (_, alice) = keys.mint(NewKey::new("alice")).await?;
/// let (_, bob) = keys.mint(NewKey::new("bob")).await?;
/// let service = ServiceBuilder::new()
///     .layer(AuthLayer::new(keys))
///     .layer(AuthorizeLayer::new(paid))
///     .service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())));
/// let request = |key: &str| Request::builder().header("x-api-key", key).body(());
///
/// assert_eq!(service.clone().oneshot(request(alice.expose())?).await?.status(), 200);
/// assert_eq!(service.oneshot(request(bob.expose())?).await?.status(), 403);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub const fn policy_fn<F, D>(decide: F) -> PolicyFn<F>
where
    F: Fn(&Principal, &Head<'_>) -> D + Send + Sync + 'static,
    D: Future<Output: Verdict> + Send + 'static,
{
    PolicyFn(decide)
}

impl<F, D, V> Policy for PolicyFn<F>
where
    F: Fn(&Principal, &Head<'_>) -> D + Send + Sync + 'static,
    D: Future<Output = V> + Send + 'static,
    V: Verdict,
{
    fn decide(&self, principal: &Principal, head: &Head<'_>) -> Eventual<Result<(), Rejection>> {
        let verdict = (self.0)(principal, head);
        // What the closure queries.
        Eventual::later(async move { verdict.await.into_result() })
    }
}

impl<F> fmt::Debug for PolicyFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyFn").finish_non_exhaustive()
    }
}
