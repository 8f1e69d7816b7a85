use axum_core::extract::FromRequestParts;
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::{
    caller,
    reason::Reason,
    refusal::{Rejection, RejectionKind},
};

/// Extracts the verified claims of the caller's token, deserialized into a custom type.
///
/// Responds with 403 if the claims do not fit the type, or if the caller has no claims, because it authenticated with an API
/// key for example.
///
/// # Examples
///
/// ```
/// use axum::{Router, body::Body, http::Request, routing::get};
/// use serde::Deserialize;
/// use tower::ServiceExt;
/// use tower_warden::{jwt::{Claims, Issuer, Jwt}, layer::AuthLayer, testing::TestIssuer};
///
/// #[derive(Deserialize)]
/// struct Employee {
///     department: String,
/// }
///
/// async fn department(Claims(employee): Claims<Employee>) -> String {
///     employee.department
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let issuer = TestIssuer::new("https://issuer.test");
/// let jwt = Jwt::new(Issuer::new(issuer.name(), "https://api.test")?, issuer.clone());
/// let app = Router::new().route("/", get(department)).layer(AuthLayer::new(jwt));
/// let call = |token: String| {
///     let request = Request::get("/").header("authorization", format!("Bearer {token}"));
///     app.clone().oneshot(request.body(Body::empty()).expect("a request"))
/// };
///
/// let token = issuer.token("alice").audience("https://api.test");
/// assert_eq!(call(token.clone().claim("department", "sales").sign()).await?.status(), 200);
/// assert_eq!(call(token.claim("department", 7).sign()).await?.status(), 403);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "handlers destructure it in their parameters")]
pub struct Claims<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Claims<T> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let principal = caller::of(&parts.extensions)?;
        // The client can read its own token, and learns nothing from the code.
        let refused = |reason| {
            let refused = Rejection::new(RejectionKind::Forbidden, reason);
            let refused = refused
                .with_code("claims_not_accepted", "The claims of the credential are not those of the operation.");
            refused.of_caller(principal)
        };
        let claims = principal.claims().ok_or_else(|| refused(Reason::CLAIMS_MISSING))?;
        serde_json::from_str(claims).map(Self).map_err(|error| refused(Reason::CLAIMS_MISMATCH).with_explanation(error))
    }
}
