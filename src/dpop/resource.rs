//! One declaration for the metadata of a resource and the verification of proofs.

use super::{public_url::PublicUrl, scheme, verifier::Dpop};
use crate::{
    error::{ConfigError, ConfigErrorKind},
    jwt::Algorithm,
    metadata::ProtectedResourceMetadata,
};

impl Dpop {
    /// A verifier of proofs for the resource that this metadata describes, so that one declaration says everything:
    ///
    /// 1. The public URL is the resource identifier without its query, also if it is one of
    ///    [plain `http`](ProtectedResourceMetadata::danger_plain_http).
    /// 2. The algorithms are those of the metadata, if it names some. Otherwise [`metadata`](Self::metadata) names those of
    ///    the verifier.
    /// 3. [`AuthLayer::dpop`](crate::layer::AuthLayer::dpop) sets the challenge of the layer to that of the metadata. If the
    ///    metadata requires tokens that are bound to a key, the layer refuses others.
    ///
    /// # Errors
    ///
    /// If the metadata names an algorithm that is not supported.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_warden::{
    ///     dpop::{Dpop, PathRewrite},
    ///     jwt::{Issuer, Jwt},
    ///     layer::AuthLayer,
    ///     metadata::metadata_routes,
    ///     scope::Scopes,
    ///     testing::TestIssuer,
    /// };
    ///
    /// let issuer = TestIssuer::new("https://auth.example.com");
    /// let jwt = Jwt::new(Issuer::new(issuer.name(), "https://api.example.com/mcp")?, issuer);
    /// let declared = jwt.protected_resource()?.scopes(Scopes::parse("files:read")?)?.dpop_bound_access_tokens_required();
    ///
    /// // No proxy changes the paths of requests.
    /// let dpop = Dpop::for_resource(declared)?.path_rewrite(PathRewrite::Unchanged)?;
    /// let metadata = dpop.metadata().expect("the verifier is of a resource");
    /// assert!(metadata.to_json().contains(r#""dpop_signing_alg_values_supported":["ES256","#));
    ///
    /// let routes: axum::Router = metadata_routes(&metadata);
    /// let layer = AuthLayer::new(jwt).dpop(dpop);
    /// # Ok::<(), tower_warden::ConfigError>(())
    /// ```
    pub fn for_resource(metadata: ProtectedResourceMetadata) -> Result<Self, ConfigError> {
        let resource = metadata.resource();
        // Plain http has been accepted by `ProtectedResourceMetadata::danger_plain_http`.
        let dpop = Self::of(PublicUrl::parse_http(resource.split_once('?').map_or(resource, |(url, _)| url))?);
        let mut algorithms: Vec<Algorithm> = Vec::new();
        for name in metadata.dpop_algorithms() {
            let message =
                "an algorithm of the metadata is not supported: ES256, ES384, EdDSA, PS256 and RS256 are, among others";
            let refused = || ConfigError::new(ConfigErrorKind::Dpop, message).value(name);
            let algorithm = Algorithm::from_name(name).ok_or_else(refused)?;
            // Two names of one algorithm.
            if !algorithms.contains(&algorithm) {
                algorithms.push(algorithm);
            }
        }
        let dpop = if algorithms.is_empty() { dpop } else { dpop.algorithms(algorithms)? };
        Ok(dpop.with_resource(metadata))
    }

    /// The metadata of the resource that the verifier is [of](Self::for_resource), with the algorithms of the verifier.
    #[must_use]
    pub fn metadata(&self) -> Option<ProtectedResourceMetadata> {
        let metadata = self.resource()?.clone();
        let names = scheme::names(self.allowed_algorithms());
        Some(metadata.dpop_signing_algorithms(names).expect("the algorithms of a verifier are not symmetric"))
    }

    /// Returns whether the resource requires tokens that are bound to a key.
    pub(super) fn is_required(&self) -> bool {
        self.resource().is_some_and(ProtectedResourceMetadata::requires_dpop)
    }
}
