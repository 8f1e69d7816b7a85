use std::{borrow::Cow, fmt, sync::Arc};

use http::{HeaderName, header};

use super::policy::Policy;
use crate::{
    Eventual,
    caller::Principal,
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    request::Head,
};

/// Requires that the tenant that a request names is that of the caller: [`Principal::tenant`].
///
/// Tenants are compared byte for byte: a path is not decoded, so an encoded name is refused. A request that names no tenant, or
/// several, is refused, and so is a caller without a tenant, unless it is an [operator](Self::operators).
///
/// # Examples
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower::{ServiceBuilder, ServiceExt};
/// use tower_warden::{
///     api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey},
///     authorize::OwnTenant,
///     layer::{AuthLayer, AuthorizeLayer},
/// };
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent")?);
/// let (_, key) = keys.mint(NewKey::new("alice").tenant("acme")).await?;
/// let service = ServiceBuilder::new()
///     .layer(AuthLayer::new(keys))
///     // `/tenants/{tenant}/…`
///     .layer(AuthorizeLayer::new(OwnTenant::in_path_segment(1).not_found()))
///     .service_fn(async |_: Request<()>| Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::default())));
/// let call = |path: &str| {
///     let request = Request::get(path).header("x-api-key", key.expose());
///     service.clone().oneshot(request.body(()).expect("a request"))
/// };
///
/// assert_eq!(call("/tenants/acme/invoices").await?.status(), 200);
/// assert_eq!(call("/tenants/umbrella/invoices").await?.status(), 404);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct OwnTenant {
    is_operator: Option<Arc<dyn Fn(&Principal) -> bool + Send + Sync>>,
    named: Arc<dyn for<'a> Fn(&Head<'a>) -> Option<Cow<'a, str>> + Send + Sync>,
    refusal: Refusal,
}

/// The status of refusals.
#[derive(Clone, Copy, Debug)]
enum Refusal {
    Forbidden,
    NotFound,
}

impl OwnTenant {
    /// The tenant is what the closure returns; `None` if the request names none.
    pub fn by(named: impl for<'a> Fn(&Head<'a>) -> Option<Cow<'a, str>> + Send + Sync + 'static) -> Self {
        Self { is_operator: None, named: Arc::new(named), refusal: Refusal::Forbidden }
    }

    /// The tenant is a segment of the path, counted from zero: that of `/tenants/{tenant}/invoices` is 1.
    pub fn in_path_segment(index: usize) -> Self {
        Self::by(move |head| head.uri.path().split('/').skip(1).nth(index).map(Cow::Borrowed))
    }

    /// The tenant is the value of a header field, such as `X-Tenant-ID`, which the request has once.
    pub fn in_header(name: HeaderName) -> Self {
        Self::by(move |head| only(head, &name).map(Cow::Borrowed))
    }

    /// The tenant is the first label of the host, before this domain: that of `acme.api.example.com` and the domain
    /// `api.example.com` is `acme`. Hosts are in lower case.
    pub fn in_host(domain: &str) -> Self {
        let suffix = format!(".{}", domain.to_ascii_lowercase());
        Self::by(move |head| {
            let host = head.uri.host().or_else(|| only(head, &header::HOST).map(without_port))?.to_ascii_lowercase();
            let tenant = host.strip_suffix(&suffix)?;
            (!tenant.contains('.')).then(|| Cow::Owned(tenant.to_owned()))
        })
    }

    /// Refuses with 404 instead of 403, so that callers do not learn which tenants exist. The reason is in the audit event.
    pub const fn not_found(mut self) -> Self {
        self.refusal = Refusal::NotFound;
        self
    }

    /// Declares the callers without a tenant that act for all tenants: they are admitted whatever the request names.
    ///
    /// A caller with a tenant is never an operator, because its issuer or key restricts it.
    pub fn operators(mut self, is_operator: impl Fn(&Principal) -> bool + Send + Sync + 'static) -> Self {
        self.is_operator = Some(Arc::new(is_operator));
        self
    }

    fn refuse(&self, reason: Reason) -> Eventual<Result<(), Rejection>> {
        let rejection = Rejection::new(RejectionKind::Forbidden, reason);
        Eventual::Now(Err(match self.refusal {
            Refusal::Forbidden => rejection,
            Refusal::NotFound => rejection.hidden(),
        }))
    }
}

impl Policy for OwnTenant {
    fn decide(&self, principal: &Principal, head: &Head<'_>) -> Eventual<Result<(), Rejection>> {
        let Some(own) = principal.tenant() else {
            let is_operator = self.is_operator.as_ref().is_some_and(|is_operator| is_operator(principal));
            return if is_operator { Eventual::Now(Ok(())) } else { self.refuse(Reason::CALLER_WITHOUT_TENANT) };
        };
        match (self.named)(head).filter(|named| !named.is_empty()) {
            Some(named) if *named == *own => Eventual::Now(Ok(())),
            Some(_) => self.refuse(Reason::TENANT_FORBIDDEN),
            None => self.refuse(Reason::TENANT_NOT_NAMED),
        }
    }
}

impl fmt::Debug for OwnTenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnTenant").field("refusal", &self.refusal).finish_non_exhaustive()
    }
}

/// The value of a field that a request has once.
fn only<'a>(head: &Head<'a>, name: &HeaderName) -> Option<&'a str> {
    let mut values = head.headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())?.to_str().ok()
}

fn without_port(host: &str) -> &str {
    host.rsplit_once(':').map_or(host, |(host, _)| host)
}
