//! Rules of single records.

use super::{answered, assert_refused, at, find, get, id, insert, list, record};
use crate::{
    api_key::{KeyDigest, KeyErrorKind, KeyQuery, KeyRecord, KeyStore, Replacement},
    caller::Confirmation,
    digest::Digest,
    scope::Scopes,
};

pub(super) async fn empty_store_holds_no_keys(store: &dyn KeyStore) {
    let rule = "an empty store holds no keys";
    assert!(get(store, &id("key")).await.is_none(), "{rule}: one is returned by its id");
    assert!(find(store, &KeyDigest::sha256("key")).await.is_none(), "{rule}: one is returned by its digest");
    assert!(list(store, &KeyQuery::default()).await.is_empty(), "{rule}: one is listed");
}

pub(super) async fn record_round_trips_byte_for_byte(store: &dyn KeyStore) {
    let expected = [record("plain"), full("full"), empty_texts("empty"), largest("largest")];
    insert(store, expected.clone()).await;
    let rule = "a record round-trips byte for byte";
    for record in &expected {
        assert_eq!(get(store, &record.id).await.as_ref(), Some(record), "{rule}: by id");
        assert_eq!(find(store, &record.digest).await.as_ref(), Some(record), "{rule}: by digest");
    }
    for listed in answered(store.list(&KeyQuery::default()).wait().await).keys {
        let record = expected.iter().find(|record| record.id == listed.id);
        assert_eq!(Some(&*listed), record, "{rule}: in a list");
    }
}

pub(super) async fn key_is_found_by_its_exact_digest(store: &dyn KeyStore) {
    let hex = Digest::of(b"key").to_hex();
    let digests = [
        KeyDigest::sha256("key"),
        KeyDigest::sha256("Key"),
        peppered("2026-11", &hex),
        peppered("2026-1", &hex),
        peppered("2026-11", &Digest::of(b"other").to_hex()),
    ];
    for (number, digest) in digests.iter().enumerate() {
        let before = find(store, digest).await;
        assert!(before.is_none(), "a key is found by its exact digest: {digest} found another key");
        let added = KeyRecord { digest: digest.clone(), ..record(&format!("key-{number}")) };
        insert(store, [added]).await;
    }
    for (number, digest) in digests.iter().enumerate() {
        let found = find(store, digest).await.map(|record| record.id);
        assert_eq!(found, Some(id(&format!("key-{number}"))), "a key is found by its exact digest: {digest}");
    }
}

pub(super) async fn ids_are_compared_byte_for_byte(store: &dyn KeyStore) {
    let ids = ["key", "KEY", "Key", "ke_", "ke-", "ke.", "k", "keyy", "0", "00"];
    for name in ids {
        assert!(get(store, &id(name)).await.is_none(), "ids are compared byte for byte: {name} returned another key");
        insert(store, [record(name)]).await;
    }
    for name in ids {
        assert_eq!(get(store, &id(name)).await, Some(record(name)), "ids are compared byte for byte: {name}");
    }
}

pub(super) async fn second_record_with_an_id_is_a_conflict(store: &dyn KeyStore) {
    let rule = "a second record with an id is a conflict and changes nothing";
    let (first, second) = (full("key"), KeyRecord { digest: KeyDigest::sha256("other"), ..record("key") });
    insert(store, [first.clone()]).await;
    assert_refused(&store.insert(second.clone()).wait().await, KeyErrorKind::Conflict, rule);
    assert_eq!(get(store, &first.id).await.as_ref(), Some(&first), "{rule}");
    assert_eq!(find(store, &first.digest).await.as_ref(), Some(&first), "{rule}");
    assert_eq!(find(store, &second.digest).await, None, "{rule}");
}

pub(super) async fn second_record_with_a_digest_is_a_conflict(store: &dyn KeyStore) {
    let rule = "a second record with a digest is a conflict and changes nothing";
    let (first, second) = (full("key"), KeyRecord { digest: full("key").digest, ..record("other") });
    insert(store, [first.clone()]).await;
    assert_refused(&store.insert(second.clone()).wait().await, KeyErrorKind::Conflict, rule);
    assert_eq!(find(store, &first.digest).await.as_ref(), Some(&first), "{rule}");
    assert_eq!(get(store, &second.id).await, None, "{rule}");
    assert_eq!(list(store, &KeyQuery::default()).await, [first.id], "{rule}");
}

/// A record with every field set, and with texts that need care in most languages.
pub(super) fn full(name: &str) -> KeyRecord {
    let methods = [("x5t#S256", Digest::of(b"certificate").to_base64url()), ("jkt", Digest::of(b"key").to_base64url())];
    let methods = methods.iter().map(|(member, thumbprint)| (*member, Some(thumbprint.as_str())));
    let networks = ["10.0.0.0/8", "2001:db8::/32", "192.0.2.7", "0.0.0.0/0"];
    let metadata = [("team", "Z\u{fc}rich"), ("", "empty name"), ("json", "{\"a\": [1, 'b']}"), ("blank", " \t\r\n")];
    KeyRecord {
        digest: peppered("2026-11", &Digest::of(name.as_bytes()).to_hex()),
        owner: "Gr\u{f6}\u{df}e \u{1f511} 'o''\"; -- \\".into(),
        // A letter in both of its normal forms, so that either form alone is another text.
        tenant: Some("\u{c4}A\u{308} \\ %_ \u{202e}abc\u{202c} ".into()),
        name: "nightly\n\treconciliation\r\n".into(),
        scopes: Scopes::parse("billing:read billing:write *").expect("these are scopes"),
        tier: Some("pro+".into()),
        networks: networks.iter().map(|text| text.parse().expect("these are networks")).collect(),
        confirmation: Some(Confirmation::parse(methods, &[]).expect("these are thumbprints")),
        expires_at: Some(at(253_402_300_799)),
        revoked_at: Some(at(4_294_967_296)),
        last_used_at: Some(at(3_000)),
        replaced: Some(Replacement::new(id("another"), at(2_147_483_648))),
        metadata: metadata.map(|(name, value)| (name.into(), value.into())).into(),
        ..record(name)
    }
}

/// A record whose optional texts are empty, which is not the same as absent, and whose times are the epoch.
fn empty_texts(name: &str) -> KeyRecord {
    KeyRecord {
        tenant: Some(String::new()),
        tier: Some(String::new()),
        created_at: at(0),
        expires_at: Some(at(0)),
        revoked_at: Some(at(0)),
        last_used_at: Some(at(0)),
        replaced: Some(Replacement::new(id("another"), at(0))),
        ..record(name)
    }
}

/// A record as large as one can be minted.
fn largest(name: &str) -> KeyRecord {
    let text = "\u{1f511}".repeat(64);
    let scopes: Vec<_> = (0..128).map(|number| format!("scope:{number:026}")).collect();
    KeyRecord {
        owner: text.clone(),
        tenant: Some(text.clone()),
        name: text.clone(),
        tier: Some(text),
        scopes: Scopes::parse(&scopes.join(" ")).expect("these are scopes"),
        networks: (0..64).map(|number| format!("2001:db8:{number}::/48").parse().expect("a network")).collect(),
        metadata: (0..64).map(|number| (format!("name {number:02}"), "\u{df}".repeat(28))).collect(),
        ..record(name)
    }
}

fn peppered(pepper: &str, hex: &str) -> KeyDigest {
    format!("hmac-sha256:{pepper}:{hex}").parse().expect("this is a digest under a pepper")
}
