use super::{claims::Claims, expected_claim::ExpectedClaim};
use crate::{
    Eventual,
    authorize::Policy,
    caller::Principal,
    json::Object,
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    request::Head,
};

/// A policy that requires a value of a claim of the caller's token, also of an introspected one.
///
/// The place is the name of a claim, or a JSON pointer ([RFC 6901](https://www.rfc-editor.org/rfc/rfc6901)) if it
/// begins with a slash: `/groups/0` is the first item of a list. A caller without claims, such as one with an API key, is
/// refused. What all tokens of an issuer must have is required with [`Issuer::require_claim`](super::Issuer::require_claim)
/// instead.
///
/// The claims are those of the caller, also if it [acts for](Principal::acting_for) a subject. Claims of a custom authenticator
/// that are not a JSON object refuse the request with [`POLICY_FAILED`](Reason::POLICY_FAILED), also within [`Policy::not`].
///
/// # Examples
///
/// ```
/// use std::convert::Infallible;
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower::{ServiceBuilder, ServiceExt};
/// use tower_warden::{
///     Policy,
///     jwt::{ExpectedClaim, Issuer, Jwt, RequiredClaim},
///     layer::{AuthLayer, AuthorizeLayer},
///     testing::TestIssuer,
/// };
///
/// let issuer = TestIssuer::new("https://auth.example.com");
/// let jwt = Jwt::new(Issuer::new(issuer.name(), "https://api.example.com")?, issuer.clone());
/// let staff = RequiredClaim::new("/org/role", ExpectedClaim::one_of(["owner", "admin"]))
///     .and(RequiredClaim::new("amr", ExpectedClaim::containing("mfa")));
/// let service = ServiceBuilder::new()
///     .layer(AuthLayer::new(jwt))
///     .layer(AuthorizeLayer::new(staff))
///     .service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())));
/// let call = |role: &str| {
///     let token = issuer.token("alice").audience("https://api.example.com");
///     let token = token.claim("org", serde_json::json!({ "role": role })).claim("amr", ["pwd", "mfa"]).sign();
///     let request = Request::builder().header("authorization", format!("Bearer {token}"));
///     service.clone().oneshot(request.body(()).expect("a request"))
/// };
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// assert_eq!(call("admin").await?.status(), 200);
/// assert_eq!(call("guest").await?.status(), 403);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct RequiredClaim {
    place: Box<str>,
    expected: ExpectedClaim,
}

impl RequiredClaim {
    /// The claim at this place has an accepted value.
    #[must_use]
    pub fn new(place: impl Into<Box<str>>, expected: impl Into<ExpectedClaim>) -> Self {
        Self { place: place.into(), expected: expected.into() }
    }
}

impl Policy for RequiredClaim {
    fn decide(&self, principal: &Principal, _: &Head<'_>) -> Eventual<Result<(), Rejection>> {
        let members = match parsed(principal) {
            Ok(members) => members,
            Err(rejection) => return Eventual::Now(Err(rejection)),
        };
        if Claims::new(&members).at(&self.place).is_ok_and(|value| self.expected.is_met(value)) {
            return Eventual::Now(Ok(()));
        }
        let refused = Rejection::new(RejectionKind::Forbidden, Reason::CLAIM_FORBIDDEN);
        let explanation = format_args!("{}: expected {}", self.place, self.expected);
        Eventual::Now(Err(refused.with_explanation(explanation)))
    }
}

/// The claims of a credential; none if it has no claims.
pub(super) fn parsed(principal: &Principal) -> Result<Object<'_>, Rejection> {
    let Some(claims) = principal.claims() else { return Ok(Object::default()) };
    Object::parse(claims.as_bytes()).map_err(|_| {
        let refused = Rejection::new(RejectionKind::Forbidden, Reason::POLICY_FAILED);
        refused.with_explanation("the claims of the caller are not a JSON object, or have a name twice")
    })
}
