use std::{
    collections::BTreeMap,
    num::{NonZeroU16, NonZeroU64},
    sync::Arc,
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{
        Path, Query, State,
        rejection::{JsonRejection, PathRejection, QueryRejection},
    },
    response::Response,
    routing::{delete, get, post},
};
use bytes::Bytes;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::{
    ApiKeys, KeyError, KeyErrorKind, KeyId, KeyQuery, KeyRecord, KeySecret, NewKey,
    route_error::{Failure, private},
};
use crate::reason::Reason;
use crate::{
    axum::Scoped, caller::Confirmation, caller::ConfirmationMethod, caller::Principal, request::Network, scope::Scopes,
};

crate::scopes! {
    /// Mint, list, rotate and revoke keys.
    pub KeysAdmin = "keys:admin";
}

/// Routes to manage keys, for callers who hold [`KeysAdmin`]; to be nested inside of an
/// [`AuthLayer`](crate::layer::AuthLayer).
///
/// | request | answer |
/// |---|---|
/// | `POST /` with `name`, `owner`, `scopes`, and perhaps `tenant`, `tier`, `expires_in` (seconds), `networks`, `confirmation` (`x5t#S256`, `jkt`), `metadata` | 201, the record and, once, its `secret` |
/// | `GET /?owner=&tenant=&limit=&after=` | 200, `keys` and the `next` page's `after` |
/// | `POST /{id}/rotate` with `grace` (seconds, 0 if left out) | 201, the new record and its `secret` |
/// | `DELETE /{id}` | 204 |
///
/// A caller without a tenant manages all keys, with any scope. One who has a tenant manages the keys of that tenant and
/// sees no others. It neither mints a key with a scope that it does not hold itself nor rotates one that has, and what
/// it mints has its own tier and ends no later than itself. Owner, networks and metadata are its word: an owner is
/// somebody within a tenant only.
///
/// Of a rotation the secret is nowhere but in the answer: give a grace, for the answer may be lost.
///
/// ```
/// use axum::{Router, body::Body, http::Request};
/// use tower::ServiceExt;
/// use tower_warden::{
///     api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey, key_routes},
/// ///     layer::AuthLayer,
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
pub fn key_routes<S>(keys: ApiKeys) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    Router::new()
        .route("/", get(list).post(mint))
        .route("/{id}/rotate", post(rotate))
        .route("/{id}", delete(revoke))
        .with_state(keys)
}

/// What `POST /` takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mint {
    name: String,
    owner: String,
    scopes: Scopes,
    tenant: Option<String>,
    tier: Option<String>,
    expires_in: Option<NonZeroU64>,
    #[serde(default)]
    networks: Vec<Network>,
    confirmation: Option<Confirmation>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

/// What `POST /{id}/rotate` takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rotate {
    #[serde(default)]
    grace: u64,
}

/// What `GET /` takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    after: Option<String>,
    limit: Option<NonZeroU16>,
    owner: Option<String>,
    tenant: Option<String>,
}

/// A record and, once, its secret.
#[derive(Serialize)]
struct Minted<'a> {
    #[serde(flatten)]
    key: &'a KeyRecord,
    secret: &'a str,
}

async fn mint(
    State(keys): State<ApiKeys>,
    caller: Scoped<KeysAdmin>,
    body: Result<Json<Mint>, JsonRejection>,
) -> Result<Response, Failure> {
    let Json(asked) = body?;
    let tenant = confined(&caller, asked.tenant)?;
    granted(&caller, &asked.scopes)?;
    let tier = graded(&caller, asked.tier)?;
    let mut key = NewKey::new(asked.owner).name(asked.name).scopes(asked.scopes).networks(asked.networks);
    if let Some(confirmation) = asked.confirmation {
        key = key.confirmation(provable(confirmation)?);
    }
    if let Some(tenant) = tenant {
        key = key.tenant(tenant);
    }
    if let Some(tier) = tier {
        key = key.tier(tier);
    }
    if let (Some(_), Some(end)) = (caller.tenant(), caller.expires_at()) {
        key = key.not_after(end);
    }
    if let Some(lifetime) = asked.expires_in {
        key = key.expires_in(Duration::from_secs(lifetime.get()));
    }
    for (name, value) in asked.metadata {
        key = key.metadata(name, value);
    }
    let (record, secret) = keys.mint(key).await?;
    Ok(minted(&record, &secret))
}

async fn list(
    State(keys): State<ApiKeys>,
    caller: Scoped<KeysAdmin>,
    query: Result<Query<List>, QueryRejection>,
) -> Result<Response, Failure> {
    #[derive(Serialize)]
    struct Page<'a> {
        keys: Vec<&'a KeyRecord>,
        next: Option<KeyId>,
    }
    let Query(asked) = query?;
    let after = asked.after.map(|after| KeyId::parse(&after)).transpose();
    let query = KeyQuery {
        after: after.map_err(|_| KeyError::new(KeyErrorKind::Invalid))?,
        limit: asked.limit,
        owner: asked.owner,
        tenant: confined(&caller, asked.tenant)?,
    };
    let page = keys.list(&query).await?;
    let records = page.keys.iter().map(|key| &**key).collect();
    Ok(private(StatusCode::OK, Json(Page { keys: records, next: page.next })))
}

async fn rotate(
    State(keys): State<ApiKeys>,
    caller: Scoped<KeysAdmin>,
    id: Result<Path<String>, PathRejection>,
    body: Bytes,
) -> Result<Response, Failure> {
    // Whatever its media type is said to be: a grace that is passed over would end the old key at once.
    let grace = if body.is_empty() { 0 } else { Json::<Rotate>::from_bytes(&body)?.grace };
    let id = named(id)?;
    granted(&caller, &managed(&keys, &caller, &id).await?.scopes)?;
    let (record, secret) = keys.rotate(&id, Duration::from_secs(grace)).await?;
    Ok(minted(&record, &secret))
}

async fn revoke(
    State(keys): State<ApiKeys>,
    caller: Scoped<KeysAdmin>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Failure> {
    let id = named(id)?;
    if caller.tenant().is_some() {
        managed(&keys, &caller, &id).await?;
    }
    keys.revoke(&id).await?;
    Ok(private(StatusCode::NO_CONTENT, ()))
}

/// The tenant whose keys are asked for: the caller's own, for a caller who has one.
fn confined(caller: &Principal, asked: Option<String>) -> Result<Option<String>, Failure> {
    match (caller.tenant(), asked) {
        (Some(own), Some(tenant)) if own != tenant => Err(Failure::forbidden(caller, Reason::TENANT_MISMATCH)),
        (own, asked) => Ok(asked.or_else(|| own.map(Into::into))),
    }
}

/// Refuses a caller who has a tenant and would grant what it does not hold.
fn granted(caller: &Principal, scopes: &Scopes) -> Result<(), Failure> {
    if caller.tenant().is_none() || scopes.iter().all(|scope| caller.holds(scope)) {
        Ok(())
    } else {
        Err(Failure::forbidden(caller, Reason::SCOPE_NOT_HELD))
    }
}

/// The tier of a key to be minted: for a caller who has a tenant, its own.
fn graded(caller: &Principal, asked: Option<String>) -> Result<Option<String>, Failure> {
    match (caller.tenant(), caller.tier(), asked) {
        (None, _, asked) => Ok(asked),
        (Some(_), own, asked) if asked.is_none() || asked.as_deref() == own => Ok(own.map(Into::into)),
        (Some(_), ..) => Err(Failure::forbidden(caller, Reason::TIER_NOT_HELD)),
    }
}

/// Refuses a key that no proof of this crate could be made for.
fn provable(confirmation: Confirmation) -> Result<Confirmation, Failure> {
    let known = [ConfirmationMethod::CERTIFICATE, ConfirmationMethod::KEY];
    if confirmation.iter().all(|bound| known.contains(&bound.method)) {
        Ok(confirmation)
    } else {
        let text = "a key is bound to a certificate, `x5t#S256`, or to a key, `jkt`";
        Err(Failure::Request(StatusCode::UNPROCESSABLE_ENTITY, text.to_owned()))
    }
}

fn named(id: Result<Path<String>, PathRejection>) -> Result<KeyId, KeyError> {
    let id = id.ok().and_then(|Path(id)| KeyId::parse(&id).ok());
    id.ok_or_else(|| KeyError::new(KeyErrorKind::NotFound))
}

/// A key that the caller manages; another tenant's key looks as if there were none.
async fn managed(keys: &ApiKeys, caller: &Principal, id: &KeyId) -> Result<Arc<KeyRecord>, KeyError> {
    let record = keys.get(id).await?;
    let is_managed = |record: &Arc<KeyRecord>| caller.tenant().is_none() || record.tenant.as_deref() == caller.tenant();
    record.filter(is_managed).ok_or_else(|| KeyError::new(KeyErrorKind::NotFound))
}

fn minted(key: &KeyRecord, secret: &KeySecret) -> Response {
    private(StatusCode::CREATED, Json(Minted { key, secret: secret.expose() }))
}
