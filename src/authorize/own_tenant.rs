use std::{borrow::Cow, fmt, iter, sync::Arc};

use http::{HeaderName, header, uri::Authority};

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
/// several, is refused, and so is a caller without a tenant, unless it is an [operator](Self::operators). A caller that
/// [acts for](Principal::acting_for) a subject is of the tenant of both.
///
/// # Deployment caveat
///
/// What the policy reads must be what the handler, and each service behind it, uses. It does not read `X-Forwarded-Host` and
/// `Forwarded`: a proxy that names the host of the client there, and its own in `Host`, needs [`by`](Self::by), and must
/// replace what clients send in that field. Handlers that read the tenant from the caller, with the extractor
/// [`Tenant`](crate::axum::Tenant), depend on none of this.
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
    ///
    /// The path is that of [`Head::original_uri`], so the prefix of axum's `nest` counts. A path that may name another tenant
    /// once it is decoded and normalised names none: one with a segment `.` or `..` or a backslash, also encoded, or with an
    /// empty segment or an encoded slash before the tenant.
    pub fn in_path_segment(index: usize) -> Self {
        Self::by(move |head| {
            let path = head.original_uri().path();
            let mut segments = path.split('/').skip(1);
            let is_plain = !is_ambiguous(path) && segments.by_ref().take(index).all(is_single);
            segments.next().filter(|_| is_plain).map(Cow::Borrowed)
        })
    }

    /// The tenant is the value of a header field, such as `X-Tenant-ID`, which the request has once.
    pub fn in_header(name: HeaderName) -> Self {
        Self::by(move |head| only(head, &name).map(Cow::Borrowed))
    }

    /// The tenant is the first label of the host, before this domain: that of `acme.api.example.com` and the domain
    /// `api.example.com` is `acme`. Hosts are in lower case.
    ///
    /// The host is that of the request target and that of the field `Host`, which the request has once at most: if both are
    /// present, they must agree. A host with user information, or with anything but a port, names no tenant.
    pub fn in_host(domain: &str) -> Self {
        let suffix = format!(".{}", domain.to_ascii_lowercase());
        Self::by(move |head| {
            let host = host(head)?;
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
    /// A caller with a tenant is never an operator, because its issuer or key restricts it. If the caller
    /// [acts for](Principal::acting_for) a subject, the closure is called for both, and both must be operators.
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
            let mut credentials = iter::once(principal).chain(principal.acting_for());
            let are_operators =
                self.is_operator.as_ref().is_some_and(|is_operator| credentials.all(|one| is_operator(one)));
            return if are_operators { Eventual::Now(Ok(())) } else { self.refuse(Reason::CALLER_WITHOUT_TENANT) };
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

/// The host in lower case; `None` if there is none, or if the target and the field `Host` do not agree.
fn host(head: &Head<'_>) -> Option<String> {
    let target = head.original_uri().authority().map(|authority| Some(authority.clone()));
    let mut fields = head.headers.get_all(header::HOST).iter().map(|field| Authority::try_from(field.as_bytes()).ok());
    let field = fields.next();
    if fields.next().is_some() {
        return None;
    }
    // RFC 9112 §3.2.2 prefers the target; but a proxy or handler may read the other one.
    let mut hosts = target.into_iter().chain(field).map(|authority| plain_host(&authority?));
    let first = hosts.next()??;
    hosts.all(|host| host.as_ref() == Some(&first)).then_some(first)
}

/// The host of an authority that has nothing but a host and a port.
fn plain_host(authority: &Authority) -> Option<String> {
    // With user information, the host is not at the beginning.
    let port = authority.as_str().strip_prefix(authority.host())?;
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    let is_plain = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
    is_plain.then(|| authority.host().to_ascii_lowercase())
}

/// Returns whether a segment is one segment of every server: not empty, without its parameters too, and not several.
fn is_single(segment: &str) -> bool {
    !segment.is_empty() && !segment.starts_with(';') && !segment.to_ascii_lowercase().contains("%2f")
}

/// Returns whether a server that decodes and normalises the path may remove segments of it.
fn is_ambiguous(path: &str) -> bool {
    if !path.contains(['.', '%', '\\']) {
        return false;
    }
    let decoded = path.to_ascii_lowercase().replace("%2e", ".").replace("%2f", "/").replace("%5c", "\\");
    // Some servers ignore what follows a semicolon in a segment.
    let is_dots = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
    decoded.contains('\\') || decoded.split('/').any(is_dots)
}
