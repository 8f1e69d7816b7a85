use std::{
    collections::BTreeMap,
    iter,
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
use crate::{
    axum::Scoped,
    caller::{Confirmation, ConfirmationMethod, Principal},
    reason::Reason,
    request::Network,
    scope::Scopes,
    time::UnixTime,
};

crate::scopes! {
    /// Permission to mint, list, rotate and revoke keys.
    pub KeysAdmin = "keys:admin";
}

/// Creates routes to manage keys, for callers that hold [`KeysAdmin`]; to be nested inside of an
/// [`AuthLayer`](crate::layer::AuthLayer).
///
/// | request | response |
/// |---|---|
/// | `POST /` with `name`, `owner`, `scopes`, and optionally `tenant`, `tier`, `expires_in` (seconds), `networks`, `confirmation` (`x5t#S256`, `jkt`), `metadata` | 201, the record and its `secret` |
/// | `GET /?owner=&tenant=&limit=&after=` | 200, `keys` and `next`, the `after` of the next page |
/// | `POST /{id}/rotate` with `grace` (seconds, 0 by default) | 201, the new record and its `secret` |
/// | `DELETE /{id}` | 204 |
///
/// A caller without a tenant manages all keys, with any scopes. A caller with a tenant manages the keys of that tenant, and
/// keys of other tenants look to it as if they did not exist. It cannot mint a key with a scope that it does not hold, nor
/// rotate a key that has such a scope; a key that it mints has its tier and expires no later than itself. It chooses owner,
/// networks and metadata freely, so an owner is unique only within a tenant.
///
/// The secret of a new key is only in the response, which may be lost: rotate with a grace period.
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

/// The body of `POST /`.
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

/// The body of `POST /{id}/rotate`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rotate {
    #[serde(default)]
    grace: u64,
}

/// The query of `GET /`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    after: Option<String>,
    limit: Option<NonZeroU16>,
    owner: Option<String>,
    tenant: Option<String>,
}

/// The response for a minted key: the record and the secret.
#[derive(Serialize)]
struct Minted<'a> {
    #[serde(flatten)]
    key: &'a KeyRecord,
    secret: &'a str,
}

/// The earlier expiry of the caller's credential and of that of the subject that it acts for.
fn expires_at(caller: &Principal) -> Option<UnixTime> {
    iter::once(caller).chain(caller.acting_for()).filter_map(Principal::expires_at).min()
}

async fn mint(
    State(keys): State<ApiKeys>,
    caller: Scoped<KeysAdmin>,
    body: Result<Json<Mint>, JsonRejection>,
) -> Result<Response, Failure> {
    let Json(new) = body?;
    let tenant = allowed_tenant(&caller, new.tenant)?;
    check_scopes(&caller, &new.scopes)?;
    let tier = allowed_tier(&caller, new.tier)?;
    let mut key = NewKey::new(new.owner).name(new.name).scopes(new.scopes).networks(new.networks);
    if let Some(confirmation) = new.confirmation {
        key = key.confirmation(provable(confirmation)?);
    }
    if let Some(tenant) = tenant {
        key = key.tenant(tenant);
    }
    if let Some(tier) = tier {
        key = key.tier(tier);
    }
    if let (Some(_), Some(end)) = (caller.tenant(), expires_at(&caller)) {
        key = key.not_after(end);
    }
    if let Some(lifetime) = new.expires_in {
        key = key.expires_in(Duration::from_secs(lifetime.get()));
    }
    for (name, value) in new.metadata {
        key = key.metadata(name, value);
    }
    let (record, secret) = keys.mint(key).await?;
    Ok(created(&record, &secret))
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
    let Query(List { after, limit, owner, tenant }) = query?;
    let after = after.map(|after| KeyId::parse(&after)).transpose();
    let after = after.map_err(|error| KeyError::new(KeyErrorKind::Invalid).because(error))?;
    let query = KeyQuery { after, limit, owner, tenant: allowed_tenant(&caller, tenant)? };
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
    // Parsed whatever its media type: a grace period that is ignored would make the old key expire at once.
    let grace = if body.is_empty() { 0 } else { Json::<Rotate>::from_bytes(&body)?.grace };
    let id = parse_id(id)?;
    check_scopes(&caller, &managed_key(&keys, &caller, &id).await?.scopes)?;
    let (record, secret) = keys.rotate(&id, Duration::from_secs(grace)).await?;
    Ok(created(&record, &secret))
}

async fn revoke(
    State(keys): State<ApiKeys>,
    caller: Scoped<KeysAdmin>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Failure> {
    let id = parse_id(id)?;
    if caller.tenant().is_some() {
        managed_key(&keys, &caller, &id).await?;
    }
    keys.revoke(&id).await?;
    Ok(private(StatusCode::NO_CONTENT, ()))
}

/// Returns the tenant of the keys to be managed: that of the caller, if the caller has one.
fn allowed_tenant(caller: &Principal, requested: Option<String>) -> Result<Option<String>, Failure> {
    match (caller.tenant(), requested) {
        (Some(own), Some(tenant)) if own != tenant => Err(Failure::forbidden(caller, Reason::TENANT_MISMATCH)),
        (own, requested) => Ok(requested.or_else(|| own.map(Into::into))),
    }
}

/// Refuses a caller with a tenant that does not hold all scopes of the key.
fn check_scopes(caller: &Principal, scopes: &Scopes) -> Result<(), Failure> {
    if caller.tenant().is_none() || scopes.iter().all(|scope| caller.holds(scope)) {
        Ok(())
    } else {
        Err(Failure::forbidden(caller, Reason::SCOPE_NOT_HELD))
    }
}

/// Returns the tier of a key to be minted: that of the credential that names the tenant, if there is one.
fn allowed_tier(caller: &Principal, requested: Option<String>) -> Result<Option<String>, Failure> {
    match (caller.tenant(), caller.member_of_tenant().tier(), requested) {
        (None, _, requested) => Ok(requested),
        (Some(_), own, requested) if requested.is_none() || requested.as_deref() == own => Ok(own.map(Into::into)),
        (Some(_), ..) => Err(Failure::forbidden(caller, Reason::TIER_NOT_HELD)),
    }
}

/// Refuses a key that is bound by a method for which this crate has no proof.
fn provable(confirmation: Confirmation) -> Result<Confirmation, Failure> {
    let known = [ConfirmationMethod::CERTIFICATE, ConfirmationMethod::KEY];
    if confirmation.iter().all(|bound| known.contains(&bound.method)) {
        Ok(confirmation)
    } else {
        let text = "a key is bound to a certificate with `x5t#S256` or to a key with `jkt`";
        Err(Failure::Request(StatusCode::UNPROCESSABLE_ENTITY, text.to_owned()))
    }
}

fn parse_id(id: Result<Path<String>, PathRejection>) -> Result<KeyId, KeyError> {
    let id = id.ok().and_then(|Path(id)| KeyId::parse(&id).ok());
    id.ok_or_else(|| KeyError::new(KeyErrorKind::NotFound))
}

/// Returns the record of a key that the caller manages. A key of another tenant is `NotFound`, as if it did not exist.
async fn managed_key(keys: &ApiKeys, caller: &Principal, id: &KeyId) -> Result<Arc<KeyRecord>, KeyError> {
    let record = keys.get(id).await?;
    let is_managed = |record: &Arc<KeyRecord>| caller.tenant().is_none() || record.tenant.as_deref() == caller.tenant();
    record.filter(is_managed).ok_or_else(|| KeyError::new(KeyErrorKind::NotFound))
}

fn created(key: &KeyRecord, secret: &KeySecret) -> Response {
    private(StatusCode::CREATED, Json(Minted { key, secret: secret.expose() }))
}
