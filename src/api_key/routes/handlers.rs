//! The handlers of the routes.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{
        Path, Query, State,
        rejection::{JsonRejection, PathRejection, QueryRejection},
    },
    response::Response,
};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::{
    body::{List, Mint, Minted, Patch, Purge, Rotate, Select},
    error::{Failure, private},
    rights::{Admin, Operators, Rights},
};
use crate::api_key::{ApiKeys, KeyError, KeyErrorKind, KeyId, KeyQuery, KeyRecord, KeySecret};

/// The state that the handlers share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) keys: ApiKeys,
    pub(super) operators: Operators,
}

/// The body of a change. It must be `application/json`, which a form of another site cannot send: a client certificate or
/// a cookie authenticates such a request as well.
type Body<T> = Result<Json<T>, JsonRejection>;

/// The key in the path.
type Target = Result<Path<Id>, PathRejection>;

/// The parameter of the path, read by its name: a path under which the routes are nested may have parameters too.
#[derive(Deserialize)]
pub(super) struct Id {
    id: String,
}

pub(super) async fn mint(
    State(shared): State<Arc<Shared>>,
    caller: Admin,
    body: Body<Mint>,
) -> Result<Response, Failure> {
    let (rights, Json(new)) = (Rights::of(&caller, &shared.operators)?, body?);
    let key = new.into_key(&rights).await?;
    let change = rights.begin("mint", "a new key");
    let (record, secret) = change.settle(shared.keys.mint(key).await, |(record, _)| Some(record.id.to_string()))?;
    Ok(created(&record, &secret))
}

pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Admin,
    query: Result<Query<List>, QueryRejection>,
) -> Result<Response, Failure> {
    #[derive(Serialize)]
    struct Page<'a> {
        keys: Vec<&'a KeyRecord>,
        next: Option<KeyId>,
    }
    let (rights, Query(List { after, limit, owner, tenant })) = (Rights::of(&caller, &shared.operators)?, query?);
    let after = after.map(|after| KeyId::parse(&after)).transpose();
    let after = after.map_err(|error| KeyError::new(KeyErrorKind::Invalid).because(error))?;
    let tenant = rights.tenant(tenant)?;
    let page = shared.keys.list(&KeyQuery { after, limit, owner, tenant }).await?;
    let records = page.keys.iter().map(|key| &**key).collect();
    Ok(private(StatusCode::OK, Json(Page { keys: records, next: page.next })))
}

pub(super) async fn rotate(
    State(shared): State<Arc<Shared>>,
    caller: Admin,
    id: Target,
    body: Body<Rotate>,
) -> Result<Response, Failure> {
    let (rights, Json(Rotate { grace })) = (Rights::of(&caller, &shared.operators)?, body?);
    let id = parse_id(id)?;
    rights.check_owner_of(&shared.keys, &id).await?;
    let check =
        |record: &KeyRecord| if rights.manages(record) { rights.check_record(record) } else { Err(unknown().into()) };
    let change = rights.begin("rotate", &id);
    let rotated = shared.keys.rotate_checked(&id, Duration::from_secs(grace), rights.not_after(), check).await;
    let (new, secret) = change.settle(rotated, |(new, _)| Some(format!("{id} {}", new.id)))?;
    Ok(created(&new, &secret))
}

pub(super) async fn update(
    State(shared): State<Arc<Shared>>,
    caller: Admin,
    id: Target,
    body: Body<Patch>,
) -> Result<Response, Failure> {
    let (rights, Json(patch)) = (Rights::of(&caller, &shared.operators)?, body?);
    let id = parse_id(id)?;
    rights.check_owner_of(&shared.keys, &id).await?;
    let derive = |old: &KeyRecord| if rights.manages(old) { patch.update(&rights, old) } else { Err(unknown().into()) };
    let change = rights.begin("update", &id);
    let record = change.settle(shared.keys.update_checked(&id, derive).await, |_| Some(id.to_string()))?;
    Ok(private(StatusCode::OK, Json(&*record)))
}

pub(super) async fn purge(
    State(shared): State<Arc<Shared>>,
    caller: Admin,
    id: Target,
    body: Body<Purge>,
) -> Result<Response, Failure> {
    let (rights, Json(Purge {})) = (Rights::of(&caller, &shared.operators)?, body?);
    let id = parse_id(id)?;
    rights.key(&shared.keys, &id).await?;
    let change = rights.begin("purge", &id);
    change.settle(shared.keys.purge(&id).await, |()| Some(id.to_string()))?;
    Ok(private(StatusCode::NO_CONTENT, ()))
}

pub(super) async fn revoke_all(
    State(shared): State<Arc<Shared>>,
    caller: Admin,
    query: Result<Query<Select>, QueryRejection>,
) -> Result<Response, Failure> {
    #[derive(Serialize)]
    struct Revoked {
        revoked: u64,
    }
    let (rights, Query(Select { owner, tenant })) = (Rights::of(&caller, &shared.operators)?, query?);
    if owner.is_none() && tenant.is_none() {
        let text = "the keys to be revoked are selected by `owner`, `tenant` or both";
        return Err(Failure::Request(StatusCode::BAD_REQUEST, text));
    }
    let mut query = KeyQuery::default();
    (query.owner, query.tenant) = (owner, rights.tenant(tenant)?);
    let change = rights.begin("revoke_all", "an unknown number");
    // Some may be revoked after any error: the change is dropped then.
    let revoked = shared.keys.revoke_all(&query).await?;
    // Owner and tenant are names only if keys have them: anything else may be a secret that was pasted.
    let keys = |count: &u64| {
        let (owner, tenant) = (shown(query.owner.as_deref()), shown(query.tenant.as_deref()));
        (*count > 0).then(|| format!("{count} of owner {owner}, tenant {tenant}"))
    };
    let revoked = change.settle(Ok::<_, Failure>(revoked), keys)?;
    Ok(private(StatusCode::OK, Json(Revoked { revoked })))
}

pub(super) async fn revoke(State(shared): State<Arc<Shared>>, caller: Admin, id: Target) -> Result<Response, Failure> {
    let (rights, id) = (Rights::of(&caller, &shared.operators)?, parse_id(id)?);
    rights.key(&shared.keys, &id).await?;
    let change = rights.begin("revoke", &id);
    change.settle(shared.keys.revoke(&id).await, |()| Some(id.to_string()))?;
    Ok(private(StatusCode::NO_CONTENT, ()))
}

/// An owner or tenant for the log: escaped, and no longer than that of a key may be.
fn shown(text: Option<&str>) -> String {
    text.map_or_else(|| "any".to_owned(), |text| format!("{:?}", text.chars().take(256).collect::<String>()))
}

fn parse_id(target: Target) -> Result<KeyId, KeyError> {
    let id = target.ok().and_then(|Path(Id { id })| KeyId::parse(&id).ok());
    id.ok_or_else(unknown)
}

fn unknown() -> KeyError {
    KeyError::new(KeyErrorKind::NotFound)
}

fn created(key: &KeyRecord, secret: &KeySecret) -> Response {
    private(StatusCode::CREATED, Json(Minted { key, secret: secret.expose() }))
}
