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
    rights::{KeysAdmin, Operators, Rights},
};
use crate::{
    api_key::{ApiKeys, KeyError, KeyErrorKind, KeyId, KeyQuery, KeyRecord, KeySecret},
    axum::Scoped,
};

/// The state that the handlers share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) keys: ApiKeys,
    pub(super) operators: Operators,
}

type Caller = Scoped<KeysAdmin>;

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
    caller: Caller,
    body: Body<Mint>,
) -> Result<Response, Failure> {
    let (rights, Json(new)) = (Rights::of(&caller, &shared.operators)?, body?);
    let key = new.into_key(&rights)?;
    let (record, secret) = shared.keys.mint(key).await?;
    rights.log("mint", &record.id);
    Ok(created(&record, &secret))
}

pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
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
    caller: Caller,
    id: Target,
    body: Body<Rotate>,
) -> Result<Response, Failure> {
    let (rights, Json(Rotate { grace })) = (Rights::of(&caller, &shared.operators)?, body?);
    let id = parse_id(id)?;
    let check =
        |record: &KeyRecord| if rights.manages(record) { rights.check_record(record) } else { Err(unknown().into()) };
    let (new, secret) = shared.keys.rotate_checked(&id, Duration::from_secs(grace), rights.not_after(), check).await?;
    rights.log("rotate", format_args!("{} {}", id, new.id));
    Ok(created(&new, &secret))
}

pub(super) async fn update(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    id: Target,
    body: Body<Patch>,
) -> Result<Response, Failure> {
    let (rights, Json(patch)) = (Rights::of(&caller, &shared.operators)?, body?);
    let id = parse_id(id)?;
    let derive = |old: &KeyRecord| if rights.manages(old) { patch.update(&rights, old) } else { Err(unknown().into()) };
    let record = shared.keys.update_checked(&id, derive).await?;
    rights.log("update", &id);
    Ok(private(StatusCode::OK, Json(&*record)))
}

pub(super) async fn purge(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    id: Target,
    body: Body<Purge>,
) -> Result<Response, Failure> {
    let (rights, Json(Purge {})) = (Rights::of(&caller, &shared.operators)?, body?);
    let id = parse_id(id)?;
    rights.key(&shared.keys, &id).await?;
    shared.keys.purge(&id).await?;
    rights.log("purge", &id);
    Ok(private(StatusCode::NO_CONTENT, ()))
}

pub(super) async fn revoke_all(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
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
    let revoked = shared.keys.revoke_all(&query).await;
    // Owner and tenant are names only if keys have them: anything else may be a secret that was pasted.
    match &revoked {
        Ok(0) => {}
        Ok(count) => {
            let (owner, tenant) = (shown(query.owner.as_deref()), shown(query.tenant.as_deref()));
            rights.log("revoke_all", format_args!("{count} of owner {owner}, tenant {tenant}"));
        }
        // Some may be revoked.
        Err(_) => rights.log("revoke_all", "an unknown number"),
    }
    let revoked = revoked?;
    Ok(private(StatusCode::OK, Json(Revoked { revoked })))
}

pub(super) async fn revoke(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    id: Target,
) -> Result<Response, Failure> {
    let (rights, id) = (Rights::of(&caller, &shared.operators)?, parse_id(id)?);
    rights.key(&shared.keys, &id).await?;
    shared.keys.revoke(&id).await?;
    rights.log("revoke", &id);
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
