//! Rules of key stores.

use std::{num::NonZeroU16, sync::Arc};

use futures_util::future::BoxFuture;

use super::{answered, at_once};
use crate::{
    api_key::{KeyDigest, KeyError, KeyErrorKind, KeyId, KeyQuery, KeyRecord, KeyStore},
    time::UnixTime,
};

mod append;
mod concurrent;
mod listing;
mod purge;
mod records;
mod reports;
mod revocation;
mod rotation;
mod touch;
mod update;

/// Checks the rules of [`KeyStore`], but for the reports of changes; `make` returns a new and empty store.
///
/// One rule adds a thousand records. See the [module docs](super) for an example.
///
/// # Panics
///
/// At the first rule that is violated.
pub async fn key_store<S: KeyStore>(make: impl AsyncFn() -> S) {
    let fresh = async || {
        let store: Arc<dyn KeyStore> = Arc::new(make().await);
        store
    };

    records::empty_store_holds_no_keys(&fresh().await).await;
    records::record_round_trips_byte_for_byte(&fresh().await).await;
    records::key_is_found_by_its_exact_digest(&fresh().await).await;
    records::ids_are_compared_byte_for_byte(&fresh().await).await;
    records::second_record_with_an_id_is_a_conflict(&fresh().await).await;
    records::second_record_with_a_digest_is_a_conflict(&fresh().await).await;

    revocation::revocation_keeps_its_first_time(&fresh().await).await;
    revocation::revocation_changes_nothing_else(&fresh().await).await;
    revocation::revocation_of_an_unknown_key_is_not_found(&fresh().await).await;

    rotation::rotation_adds_the_successor_and_marks_the_key(&fresh().await).await;
    rotation::rotation_of_an_unknown_key_is_not_found(&fresh().await).await;
    rotation::rotation_of_an_inactive_key_is_refused(&fresh().await).await;
    rotation::rotation_with_a_conflict_changes_nothing(&fresh().await).await;

    listing::records_are_listed_in_the_order_of_their_ids(&fresh().await).await;
    listing::pages_hold_each_key_once(&fresh().await).await;
    listing::page_begins_behind_any_id(&fresh().await).await;
    listing::owner_and_tenant_are_compared_byte_for_byte(&fresh().await).await;
    listing::filtered_pages_are_full(&fresh().await).await;
    listing::pages_are_complete_while_other_keys_change(&fresh().await).await;

    touch::latest_use_is_kept(&fresh().await).await;
    touch::use_of_an_unknown_key_is_ignored(&fresh().await).await;
    touch::use_changes_nothing_else(&fresh().await).await;

    concurrent::one_of_a_hundred_concurrent_rotations_succeeds(&fresh().await).await;
    concurrent::one_of_a_hundred_concurrent_insertions_succeeds(&fresh().await).await;
    concurrent::concurrent_changes_of_a_key_are_all_kept(&fresh().await).await;

    revocation::unrevoked_keys_are_listed(&fresh().await).await;

    // Last, because it adds a thousand records.
    listing::page_holds_a_hundred_records_by_default_and_a_thousand_at_most(&fresh().await).await;
}

/// Checks the rules of [`KeyStore::watch`], for stores that report changes; `make` returns a new and empty store.
///
/// A report may take up to ten seconds, by tokio's timer. [`Missed`](crate::api_key::KeyChange::Missed) is ignored: it
/// does not replace the report of a change.
///
/// # Panics
///
/// At the first rule that is violated.
pub async fn key_store_changes<S: KeyStore>(make: impl AsyncFn() -> S) {
    let fresh = async || {
        let store: Arc<dyn KeyStore> = Arc::new(make().await);
        store
    };

    reports::insertion_is_reported_as_added(&fresh().await).await;
    reports::revocation_is_reported_with_the_id(&fresh().await).await;
    reports::rotation_is_reported_with_the_id(&fresh().await).await;
    reports::every_watcher_hears_of_every_change(&fresh().await).await;
    reports::change_can_be_read_when_it_is_reported(&fresh().await).await;
}

/// Checks the rules of [`KeyStore::append`], [`update`](KeyStore::update) and [`purge`](KeyStore::purge), for stores that
/// implement them; `make` returns a new and empty store.
///
/// # Panics
///
/// At the first rule that is violated.
pub async fn key_store_management<S: KeyStore>(make: impl AsyncFn() -> S) {
    let fresh = async || {
        let store: Arc<dyn KeyStore> = Arc::new(make().await);
        store
    };

    append::appended_records_are_in_the_order_of_their_addition(&fresh().await).await;
    append::appended_record_with_a_custom_id_keeps_it(&fresh().await).await;
    append::appended_successor_replaces_the_key_under_the_returned_id(&fresh().await).await;
    append::appended_record_with_a_known_digest_is_a_conflict(&fresh().await).await;
    append::no_appended_record_is_missed_by_a_client_that_continues_a_list(&fresh().await).await;

    update::update_changes_the_named_fields_only(&fresh().await).await;
    update::update_of_an_unknown_or_revoked_key_is_refused(&fresh().await).await;
    update::concurrent_updates_of_a_key_are_all_kept(&fresh().await).await;
    update::update_that_was_checked_before_another_one_is_a_conflict(&fresh().await).await;
    update::one_of_concurrent_checked_updates_succeeds(&fresh().await).await;
    append::appended_successor_of_a_changed_key_is_a_conflict(&fresh().await).await;

    purge::inactive_key_is_deleted(&fresh().await).await;
    purge::active_or_unknown_key_is_not_deleted(&fresh().await).await;
}

/// Checks the rules of [`KeyStore::watch`] for the changes of [`key_store_management`]; see [`key_store_changes`].
///
/// # Panics
///
/// At the first rule that is violated.
pub async fn key_store_management_changes<S: KeyStore>(make: impl AsyncFn() -> S) {
    let fresh = async || {
        let store: Arc<dyn KeyStore> = Arc::new(make().await);
        store
    };

    reports::appended_record_is_reported(&fresh().await).await;
    reports::update_and_purge_are_reported_with_the_id(&fresh().await).await;
}

/// Adds records, which must succeed.
///
/// Boxed, so that the future of a suite is `Send`: it would hold the closures of the iterator otherwise.
fn insert(store: &dyn KeyStore, records: impl IntoIterator<Item = KeyRecord>) -> BoxFuture<'_, ()> {
    let records: Vec<_> = records.into_iter().collect();
    Box::pin(async move {
        for record in records {
            let id = record.id.clone();
            let inserted = store.insert(record).wait().await;
            assert!(inserted.is_ok(), "a record with a new id and a new digest is added: {id}: {inserted:?}");
        }
    })
}

async fn get(store: &dyn KeyStore, id: &KeyId) -> Option<KeyRecord> {
    answered(store.get(id).wait().await).map(Arc::unwrap_or_clone)
}

async fn find(store: &dyn KeyStore, digest: &KeyDigest) -> Option<KeyRecord> {
    answered(store.find(digest).wait().await).map(Arc::unwrap_or_clone)
}

/// All ids of a query, page by page.
async fn list(store: &dyn KeyStore, query: &KeyQuery) -> Vec<KeyId> {
    let (mut query, mut listed) = (query.clone(), Vec::new());
    loop {
        let page = answered(store.list(&query).wait().await);
        listed.extend(page.keys.iter().map(|record| record.id.clone()));
        let Some(next) = page.next else { return listed };
        let goes_on = query.after.as_ref().is_none_or(|after| *after < next);
        assert!(goes_on, "each page begins behind the one before: {next} after {:?}", query.after);
        query = query.after(next);
    }
}

/// Asserts that a change was refused for this reason.
fn assert_refused(change: &Result<(), KeyError>, kind: KeyErrorKind, rule: &str) {
    let refused = change.as_ref().err().map(KeyError::kind);
    assert!(refused == Some(kind), "{rule}: expected {kind:?}, got {change:?}");
}

/// A record with nothing but what is required.
fn record(name: &str) -> KeyRecord {
    KeyRecord::new(id(name), KeyDigest::sha256(name), "owner", at(1_000))
}

fn id(name: &str) -> KeyId {
    KeyId::parse(name).expect("the names of this suite are ids")
}

const fn at(seconds: u64) -> UnixTime {
    UnixTime::from_secs(seconds)
}

fn pages_of(size: u16) -> KeyQuery {
    KeyQuery::default().limit(NonZeroU16::new(size).expect("the pages of this suite hold a record"))
}
