use std::sync::Arc;

use axum::{
    Router,
    routing::{get, patch, post},
};

use super::{
    handlers::{self, Shared},
    rights::Operators,
};
use crate::{api_key::ApiKeys, caller::Principal};

/// Creates routes to manage keys, with the defaults of [`KeyRoutes`].
pub fn key_routes<S>(keys: ApiKeys) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    KeyRoutes::new(keys).into_router()
}

/// Routes to manage keys, for callers that hold [`KeysAdmin`](super::KeysAdmin); to be nested inside of an
/// [`AuthLayer`](crate::layer::AuthLayer).
///
/// | request | response |
/// |---|---|
/// | `POST /` with `name`, `owner`, `scopes`, and optionally `tenant`, `tier`, `expires_in` (seconds), `networks`, `confirmation` (`x5t#S256`, `jkt`), `metadata` | 201, the record and its `secret` |
/// | `GET /?owner=&tenant=&limit=&after=` | 200, `keys` and `next`, the `after` of the next page |
/// | `PATCH /{id}` with any of `name`, `scopes`, `tier`, `expires_at` (seconds since 1970), `networks`, `metadata` | 200, the changed record |
/// | `POST /{id}/rotate` with `grace` (seconds, 0 by default) | 201, the new record and its `secret` |
/// | `DELETE /{id}` | 204, the key is revoked |
/// | `DELETE /?owner=&tenant=`, at least one of them | 200, the number of keys that were `revoked` |
/// | `POST /{id}/purge` with `{}`, for a key that is revoked or expired | 204, the record is deleted |
///
/// `PATCH` keeps the members that are absent; `null` removes the tier or the expiry. A revoked key cannot be changed, nor
/// can owner, tenant and confirmation. The rights of the caller are checked for the record that is changed: if the key is
/// changed in between, they are checked again, and a key that is being changed again and again results in 409.
///
/// The body of a request is a JSON object with the media type `application/json`; others are refused with 415. A form of
/// another site cannot send that type, so a browser with a client certificate cannot be made to manage keys.
///
/// The secret of a new key is only in the response, which may be lost: rotate with a grace period.
///
/// Each change is logged at the level `info` with its caller. Its `outcome` is `unknown` if the request was cancelled or the
/// store did not answer: the change may have been made.
///
/// # Tenants
///
/// A caller with a tenant manages the keys of that tenant, and keys of other tenants look to it as if they did not exist.
/// A key that it mints, rotates or changes has no more rights than its own credential, and no fewer restrictions:
///
/// - The scopes are a part of its own, and the tier is its own.
/// - The key expires no later than its own credential. A key that expires later already keeps its expiry when it is changed,
///   and does not expire later than that; if the change adds a scope or loosens the networks, it expires with the caller's
///   own credential.
/// - If its own credential is bound to a certificate or key, so is the new key, by a `confirmation` in the request.
/// - If its own credential is restricted to networks, the new key is restricted to these or to parts of them.
///
/// - Inside of a [`RoleLayer`](crate::layer::RoleLayer), scopes that the directory grants to the owner of a key are scopes of
///   the key: they are a part of its own, unless it is itself a key of this owner. A directory that is used for other routes
///   only is not queried, and must not grant scopes to an owner by a name that administrators of a tenant can choose.
///
/// Other requests are refused with 403. Apart from that, it chooses owner, networks and metadata freely, so an owner is
/// unique only within a tenant.
///
/// # Operators
///
/// A caller without a tenant that is an operator manages all keys, with any rights. API keys without a tenant are
/// operators; other callers without a tenant are refused with 403, because a token may lack a tenant only because its
/// issuer has no rule for tenants. [`operators`](Self::operators) declares who is an operator.
///
/// # Examples
///
/// ```
/// use axum::{Router, body::Body, http::Request};
/// use tower::ServiceExt;
/// use tower_warden::{
///     api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey, key_routes},
///     layer::AuthLayer,
///     scope::Scopes,
/// };
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk")?);
/// let (_, admin) = keys.mint(NewKey::new("root").scopes(Scopes::parse("keys:admin")?)).await?;
/// let (_, agent) = keys.mint(NewKey::new("agent")).await?;
/// let app: Router = Router::new().nest("/v1/keys", key_routes(keys.clone())).layer(AuthLayer::new(keys));
///
/// let list = |key: &str| {
///     let request = Request::get("/v1/keys").header("x-api-key", key).body(Body::empty());
///     app.clone().oneshot(request.expect("a request"))
/// };
/// assert_eq!(list(admin.expose()).await?.status(), 200);
/// assert_eq!(list(agent.expose()).await?.status(), 403);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct KeyRoutes {
    keys: ApiKeys,
    operators: Operators,
}

impl KeyRoutes {
    /// Creates routes to manage these keys.
    pub fn new(keys: ApiKeys) -> Self {
        Self { keys, operators: Operators::default() }
    }

    /// Declares which callers without a tenant are operators, who manage the keys of all tenants: by default, API keys.
    ///
    /// Called for the caller, and for the subject that it acts for; both must be operators. A caller with a tenant is
    /// never an operator.
    ///
    /// # Examples
    ///
    /// Staff of a service without tenants, with tokens of its issuer:
    ///
    /// ```
    /// # use tower_warden::api_key::{ApiKeys, KeyFormat, KeyRoutes, MemoryKeyStore};
    /// # let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk")?);
    /// let routes = KeyRoutes::new(keys).operators(|caller| caller.issuer() == Some("https://login.example.com"));
    /// let app: axum::Router = axum::Router::new().nest("/v1/keys", routes.into_router());
    /// # Ok::<(), tower_warden::ConfigError>(())
    /// ```
    pub fn operators(mut self, is_operator: impl Fn(&Principal) -> bool + Send + Sync + 'static) -> Self {
        self.operators = Operators::new(is_operator);
        self
    }

    /// Builds the routes.
    pub fn into_router<S>(self) -> Router<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        let Self { keys, operators } = self;
        Router::new()
            .route("/", get(handlers::list).post(handlers::mint).delete(handlers::revoke_all))
            .route("/{id}", patch(handlers::update).delete(handlers::revoke))
            .route("/{id}/purge", post(handlers::purge))
            .route("/{id}/rotate", post(handlers::rotate))
            .with_state(Arc::new(Shared { keys, operators }))
    }
}
