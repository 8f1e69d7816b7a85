use std::sync::Arc;

use http::HeaderValue;

use crate::{
    Eventual,
    api_key::{ApiKeys, KeyAddition, KeyFormat, KeyRecord, KeySecret, KeyStore, MemoryKeyStore, NewKey},
    auth::AuthLayer,
    environment::Environment,
};

/// API keys of fake callers, in memory, to test handlers with callers of any tenant, tier and scopes.
///
/// # Examples
///
/// ```
/// use axum::{Router, body::Body, http::Request, routing::get};
/// use tower::ServiceExt;
/// use tower_warden::{api_key::NewKey, axum::Scoped, scope::scopes, testing::TestKeys};
///
/// scopes! {
///     /// Read balances.
///     pub BillingRead = "billing:read";
/// }
///
/// /// The routes of the application, without its layers.
/// fn routes() -> Router {
///     Router::new().route("/balance", get(async |caller: Scoped<BillingRead>| caller.subject().to_owned()))
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let callers = TestKeys::default();
/// let app = routes().layer(callers.layer());
/// let call = |caller: NewKey| {
///     let request = Request::get("/balance").header("authorization", callers.authorization(caller));
///     app.clone().oneshot(request.body(Body::empty()).expect("a request"))
/// };
/// let alice = NewKey::new("alice").tenant("acme").scopes([BillingRead::SCOPE]);
/// assert_eq!(call(alice).await?.status(), 200);
/// assert_eq!(call(NewKey::new("bob")).await?.status(), 403);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct TestKeys {
    environment: Environment,
    keys: ApiKeys,
    store: Arc<MemoryKeyStore>,
}

impl TestKeys {
    /// Sets the clock of the keys and of the layer.
    #[must_use]
    pub fn environment(self, environment: &Environment) -> Self {
        Self::on(self.store, environment.clone())
    }

    fn on(store: Arc<MemoryKeyStore>, environment: Environment) -> Self {
        let format = KeyFormat::new("test").expect("this is a prefix");
        let keys = ApiKeys::builder(Arc::clone(&store), format).environment(&environment).build();
        Self { environment, keys, store }
    }

    /// The keys, for example to revoke one, or for [`key_routes`](crate::api_key::key_routes).
    #[must_use]
    pub const fn keys(&self) -> &ApiKeys {
        &self.keys
    }

    /// Creates a layer that admits the callers. Proofs, other authenticators and policies can be added to it.
    #[must_use]
    pub fn layer(&self) -> AuthLayer {
        AuthLayer::new(self.keys.clone()).environment(&self.environment)
    }

    /// Mints a key.
    ///
    /// # Panics
    ///
    /// If the key is not valid, for example because a scope is malformed.
    #[must_use]
    pub fn mint(&self, key: NewKey) -> (KeyRecord, KeySecret) {
        let (mut record, secret) = self.keys.draft_now(key).expect("the key of a fake caller is valid");
        let Eventual::Now(added) = self.store.append(KeyAddition::new(record.clone())) else {
            unreachable!("a store in memory answers at once")
        };
        record.id = added.expect("the key was generated just now");
        (record, secret)
    }

    /// Mints a key, and returns the value of the `Authorization` field of its requests.
    ///
    /// # Panics
    ///
    /// If the key is not valid, for example because a scope is malformed.
    #[must_use]
    pub fn authorization(&self, key: NewKey) -> HeaderValue {
        let value = HeaderValue::try_from(format!("Bearer {}", self.mint(key).1.expose()));
        let mut value = value.expect("a key is visible ASCII");
        value.set_sensitive(true);
        value
    }
}

impl Default for TestKeys {
    fn default() -> Self {
        Self::on(Arc::default(), Environment::default())
    }
}
