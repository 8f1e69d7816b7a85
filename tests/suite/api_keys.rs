use std::sync::Arc;

use http::Request;
use tower_warden::{
    Environment, Principal,
    api_key::{
        ApiKeys, KeyDigest, KeyErrorKind, KeyFormat, KeyId, KeyStore, MemoryKeyStore, NewKey, Pepper, export, import,
    },
    layer::AuthLayer,
    scope::{Scope, Scopes},
};

use crate::support::{Mode, START, Stack, TestStore, app, assert_kind, imported, request, seconds, send, unknown_key};

const LEGACY: &str = "legacy-0c8a!opaque~secret";

#[tokio::test]
async fn a_valid_key_becomes_a_principal_with_everything_in_its_record() {
    use std::sync::Mutex;

    use tower::{Layer, ServiceExt, service_fn};

    let stack = Stack::new();
    let key = NewKey::new("agent-7").tenant("acme").name("nightly").tier("pro").metadata("team", "blue");
    let key = key.scopes(Scopes::parse("a:read b:write").unwrap()).expires_in(seconds(3600));
    let (record, secret) = stack.mint(key).await;

    let seen = Arc::new(Mutex::new(None::<Principal>));
    let inner = {
        let seen = Arc::clone(&seen);
        service_fn(move |request: Request<String>| {
            *seen.lock().unwrap() = request.extensions().get().cloned();
            async { Ok::<_, std::convert::Infallible>(http::Response::new(bytes::Bytes::new())) }
        })
    };
    let service = AuthLayer::new(stack.keys.clone())
        .environment(&Environment::default().with_clock(stack.clock.clone()))
        .layer(inner);
    let request = Request::builder().header("x-api-key", secret.expose()).body(String::new()).unwrap();
    assert_eq!(service.oneshot(request).await.unwrap().status(), 200);

    let caller = seen.lock().unwrap().take().unwrap();
    assert_eq!(caller.subject(), "agent-7");
    assert_eq!(caller.tenant(), Some("acme"));
    assert_eq!(caller.tier(), Some("pro"));
    assert_eq!(caller.key_id(), Some(record.id.as_str()));
    assert_eq!(caller.method().as_str(), "api_key");
    assert_eq!(caller.scopes().to_string(), "a:read b:write");
    assert_eq!(caller.issued_at(), Some(START));
    assert_eq!(caller.expires_at(), Some(START + seconds(3600)));
    assert_eq!(caller.metadata_value("team"), Some("blue"));
    assert!(caller.metadata().any(|entry| entry == ("team", "blue")));
    assert!(caller.actors().is_empty());
}

#[tokio::test]
async fn every_invalid_key_gets_the_same_response() {
    // (1) to (7)
    let stack = Stack::new();
    let (revoked, revoked_key) = stack.alice().await;
    stack.keys.revoke(&revoked.id).await.unwrap();
    let (_, expired_key) = stack.mint(NewKey::new("bob").expires_in(seconds(1))).await;
    let (_, blocked_key) = stack.mint(NewKey::new("eve").networks(["10.0.0.0/8".parse().unwrap()])).await;
    stack.clock.advance(seconds(1));
    let mut mistyped = expired_key.expose().to_owned();
    mistyped.replace_range(12..13, if &mistyped[12..13] == "x" { "y" } else { "x" });
    let wrong_prefix = KeyFormat::new("sk_test").unwrap().generate().unwrap();
    let unknown = unknown_key();
    let cases = [
        (unknown.expose(), "key_unknown"),
        (revoked_key.expose(), "key_revoked"),
        (expired_key.expose(), "expired"),
        (blocked_key.expose(), "network_forbidden"),
        (&mistyped, "key_checksum"),
        (wrong_prefix.expose(), "credential_not_accepted"),
        ("sk_agent_short", "key_length"),
    ];
    let mut answers = Vec::new();
    for (key, reason) in cases {
        let peer = tower_warden::request::Peer::new("192.0.2.1:4711".parse().unwrap());
        let answer = stack.send(request().extension(peer).header("x-api-key", key)).await;
        answer.assert_invalid(reason);
        answers.push(answer);
    }
    assert!(answers.windows(2).all(|pair| pair[0].seen() == pair[1].seen()), "{answers:#?}");
}

#[tokio::test]
async fn scopes_of_a_new_key_are_given_in_any_obvious_form() {
    const READ: Scope = Scope::from_static("a:read");
    let stack = Stack::new();
    let keys = [
        NewKey::new("alice").scopes([READ, Scope::from_static("b:write")]),
        NewKey::new("alice").scopes(["b:write", "a:read"]),
        NewKey::new("alice").scopes("a:read b:write"),
        NewKey::new("alice").scopes(String::from("b:write a:read a:read")),
        NewKey::new("alice").scopes(vec![String::from("a:read"), String::from("b:write")]),
        NewKey::new("alice").scopes(Scopes::parse("a:read b:write").unwrap()),
    ];
    for key in keys {
        assert_eq!(stack.mint(key).await.0.scopes.to_string(), "a:read b:write");
    }
    assert_eq!(stack.mint(NewKey::new("alice").scopes(READ)).await.0.scopes.to_string(), "a:read");
    assert!(stack.mint(NewKey::new("alice").scopes("")).await.0.scopes.is_empty());
}

#[tokio::test]
async fn a_key_with_a_malformed_scope_is_not_minted() {
    let stack = Stack::new();
    let keys = [
        NewKey::new("alice").scopes("a:read b\"c"),
        NewKey::new("alice").scopes(["a:read", "b c"]),
        NewKey::new("alice").scopes([""]),
    ];
    for key in keys {
        assert_kind(stack.keys.mint(key).await, KeyErrorKind::Invalid);
    }
    let page = stack.keys.list(&tower_warden::api_key::KeyQuery::default()).await.unwrap();
    assert!(page.keys.is_empty());
}

#[tokio::test]
async fn a_wrong_checksum_or_prefix_needs_no_lookup_and_no_cache_entry() {
    // (6), (7)
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    let key = key.expose();
    for last in ["0", "1"].into_iter().filter(|last| !key.ends_with(*last)) {
        let mistyped = format!("{}{last}", &key[..key.len() - 1]);
        stack.bearer(&mistyped).await.assert_invalid("key_checksum");
    }
    let other = KeyFormat::new("sk_live").unwrap().generate().unwrap();
    stack.send(request().header("x-api-key", other.expose())).await.assert_invalid("credential_not_accepted");
    stack.bearer(other.expose()).await.assert_invalid("credential_not_accepted");
    stack.bearer(&key.replace("sk_agent_", "sk_agent_-")).await.assert_invalid("key_length");
    assert_eq!(stack.store.finds(), 0);
}

#[tokio::test]
async fn a_change_of_any_digit_is_found_by_the_checksum() {
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    let key = key.expose();
    for place in "sk_agent_".len()..key.len() {
        for digit in ["0", "Q", "z"].into_iter().filter(|digit| key[place..=place] != **digit) {
            let mut altered = key.to_owned();
            altered.replace_range(place..=place, digit);
            stack.bearer(&altered).await.assert_invalid("key_checksum");
        }
    }
    assert_eq!(stack.store.finds(), 0);
}

#[tokio::test]
async fn a_key_is_not_trimmed_and_is_case_sensitive() {
    // (14)
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    for wrong in [format!(" {}", key.expose()), format!("{} ", key.expose()), key.expose().to_uppercase()] {
        let answer = stack.send(request().header("x-api-key", wrong)).await;
        assert_eq!(answer.status, 401, "{answer:?}");
        assert!(answer.header("www-authenticate").unwrap().contains("invalid_token"));
    }
    assert_eq!(stack.store.finds(), 0);
}

#[tokio::test]
async fn a_stolen_digest_is_not_a_key() {
    // (16)
    let stack = Stack::with(|keys| keys.accept_format(KeyFormat::opaque("").unwrap()), |layer| layer);
    stack.store.insert(imported("old", LEGACY)).wait().await.unwrap();
    stack.send(request().header("x-api-key", LEGACY)).await.assert_subject("imported");
    let digest = tower_warden::Digest::of(LEGACY.as_bytes()).to_hex();
    stack.send(request().header("x-api-key", &digest)).await.assert_invalid("key_unknown");
    stack.send(request().header("x-api-key", format!("sha256:{digest}"))).await.assert_invalid("key_unknown");
}

#[tokio::test]
async fn an_expired_key_is_refused_on_a_cache_hit() {
    // (3)
    let stack = Stack::new();
    let (_, key) = stack.mint(NewKey::new("alice").expires_in(seconds(10))).await;
    stack.bearer(key.expose()).await.assert_subject("alice");
    stack.clock.advance(seconds(9));
    stack.bearer(key.expose()).await.assert_subject("alice");
    stack.clock.advance(seconds(1));
    stack.bearer(key.expose()).await.assert_invalid("expired");
    assert_eq!(stack.store.finds(), 1, "the last two were cache hits");
}

#[tokio::test]
async fn a_key_of_another_tenant_is_refused() {
    // (18)
    let stack = Stack::with(|keys| keys.tenant("acme"), |layer| layer);
    let (_, own) = stack.alice().await;
    stack.bearer(own.expose()).await.assert_subject("alice");

    let other = ApiKeys::new(Arc::clone(&stack.store), KeyFormat::new("sk_agent").unwrap());
    for key in [NewKey::new("mallory").tenant("evil"), NewKey::new("mallory")] {
        let (record, key) = other.mint(key).await.unwrap();
        stack.bearer(key.expose()).await.assert_invalid("tenant_mismatch");
        assert_kind(stack.keys.revoke(&record.id).await, KeyErrorKind::NotFound);
        assert_kind(stack.keys.rotate(&record.id, seconds(0)).await, KeyErrorKind::NotFound);
    }
    assert_kind(stack.keys.mint(NewKey::new("mallory").tenant("evil")).await, KeyErrorKind::Invalid);
    assert_eq!(stack.keys.list(&Default::default()).await.unwrap().keys.len(), 1);
}

#[tokio::test]
async fn a_store_that_returns_another_key_admits_no_request() {
    let stack = Stack::new();
    stack.alice().await;
    stack.store.set(Mode::Wrong);
    stack.bearer(unknown_key().expose()).await.assert_invalid("key_unknown");
}

#[tokio::test]
async fn a_replaced_key_is_accepted_until_the_second_its_grace_period_ends() {
    // (20)
    let stack = Stack::new();
    let (old, old_key) = stack.alice().await;
    let (new, new_key) = stack.keys.rotate(&old.id, seconds(60)).await.unwrap();
    assert_eq!((&new.owner, &new.scopes, &new.tenant), (&old.owner, &old.scopes, &old.tenant));
    stack.bearer(new_key.expose()).await.assert_subject("alice");
    stack.bearer(old_key.expose()).await.assert_subject("alice");
    stack.clock.advance(seconds(59));
    stack.bearer(old_key.expose()).await.assert_subject("alice");
    stack.clock.advance(seconds(1));
    stack.bearer(old_key.expose()).await.assert_invalid("expired");
    stack.bearer(new_key.expose()).await.assert_subject("alice");
}

#[tokio::test]
async fn a_rotation_without_grace_expires_a_cached_key_at_once() {
    let stack = Stack::new();
    let (old, key) = stack.alice().await;
    stack.bearer(key.expose()).await.assert_subject("alice");
    stack.keys.rotate(&old.id, seconds(0)).await.unwrap();
    stack.bearer(key.expose()).await.assert_invalid("expired");
}

#[tokio::test]
async fn grace_does_not_outlast_the_expiry_of_either_key() {
    let stack = Stack::new();
    let (old, old_key) = stack.mint(NewKey::new("alice").expires_in(seconds(30))).await;
    let (new, new_key) = stack.keys.rotate(&old.id, seconds(600)).await.unwrap();
    assert_eq!(new.expires_at, old.expires_at);
    stack.clock.advance(seconds(30));
    stack.bearer(old_key.expose()).await.assert_invalid("expired");
    stack.bearer(new_key.expose()).await.assert_invalid("expired");
}

#[tokio::test]
async fn an_inactive_key_is_not_rotated() {
    let stack = Stack::new();
    let (revoked, _) = stack.alice().await;
    stack.keys.revoke(&revoked.id).await.unwrap();
    assert_kind(stack.keys.rotate(&revoked.id, seconds(1)).await, KeyErrorKind::Inactive);
    let (replaced, _) = stack.alice().await;
    stack.keys.rotate(&replaced.id, seconds(100)).await.unwrap();
    assert_kind(stack.keys.rotate(&replaced.id, seconds(100)).await, KeyErrorKind::Inactive);
    let (expired, _) = stack.mint(NewKey::new("bob").expires_in(seconds(1))).await;
    stack.clock.advance(seconds(1));
    assert_kind(stack.keys.rotate(&expired.id, seconds(1)).await, KeyErrorKind::Inactive);
}

#[tokio::test]
async fn peppers_rotate() {
    let pepper = |id: &str| Pepper::new(id, format!("{id:>32}").as_bytes()).unwrap();
    let store = Arc::new(MemoryKeyStore::default());
    let keys = |peppers: &[&str]| {
        let builder = ApiKeys::builder(Arc::clone(&store), KeyFormat::new("sk").unwrap());
        peppers.iter().fold(builder, |builder, id| builder.pepper(pepper(id))).build()
    };
    let status = async |keys: ApiKeys, key: &str| {
        let app = app(&AuthLayer::new(keys));
        send(app, crate::support::bearer(key)).await.status.as_u16()
    };
    let (plain, plain_key) = keys(&[]).mint(NewKey::new("alice")).await.unwrap();
    let (old, old_key) = keys(&["2025"]).mint(NewKey::new("alice")).await.unwrap();
    let (new, new_key) = keys(&["2026", "2025"]).mint(NewKey::new("alice")).await.unwrap();
    assert!(plain.digest.to_string().starts_with("sha256:"));
    assert!(old.digest.to_string().starts_with("hmac-sha256:2025:"));
    assert!(new.digest.to_string().starts_with("hmac-sha256:2026:"));

    assert_eq!(status(keys(&["2026", "2025"]), old_key.expose()).await, 200);
    assert_eq!(status(keys(&["2026", "2025"]), new_key.expose()).await, 200);
    assert_eq!(status(keys(&["2026"]), old_key.expose()).await, 401, "its pepper is not configured");
    assert_eq!(status(keys(&["2026"]), plain_key.expose()).await, 401, "plain digests are refused");
    assert_eq!(status(keys(&[]), new_key.expose()).await, 401);
    let lax = ApiKeys::builder(Arc::clone(&store), KeyFormat::new("sk").unwrap());
    let lax = lax.pepper(pepper("2026")).danger_accept_unpeppered().build();
    assert_eq!(status(lax, plain_key.expose()).await, 200);
}

#[test]
fn a_weak_pepper_is_refused_at_start() {
    assert!(Pepper::new("2026", &[7; 31]).is_err());
    assert!(Pepper::new("20:26", &[7; 32]).is_err());
    assert!(Pepper::new("2026", &[7; 32]).is_ok());
}

#[tokio::test]
async fn keys_of_another_system_are_imported_as_json_lines() {
    let stack = Stack::with(|keys| keys.accept_format(KeyFormat::opaque("legacy-").unwrap()), |layer| layer);
    let digest = tower_warden::Digest::of(LEGACY.as_bytes()).to_hex();
    let line = format!(
        r#"{{"id":"old-1","digest":"{digest}","owner":"carol","scopes":["billing:read"],"created_at":1700000000}}"#
    );
    stack.send(request().header("x-api-key", LEGACY)).await.assert_invalid("key_unknown");
    let lines = format!("{line}\n\n{line}\n");
    let imported = import(&stack.store, &mut lines.as_bytes()).await.unwrap();
    assert_eq!((imported.added, imported.skipped), (1, 1));

    stack.clock.advance(seconds(5));
    stack.send(request().header("x-api-key", LEGACY)).await.assert_subject("carol");
    let as_bearer = stack.bearer("legacy-abc").await;
    as_bearer.assert_invalid("key_unknown");

    let mut out = Vec::new();
    assert_eq!(export(&stack.store, &mut out).await.unwrap(), 1);
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains(&digest) && !out.contains(LEGACY), "{out}");
    let again = MemoryKeyStore::default();
    assert_eq!(import(&again, &mut out.as_bytes()).await.unwrap().added, 1);
}

#[tokio::test]
async fn an_invalid_line_is_reported_by_number_and_not_quoted() {
    let store = MemoryKeyStore::default();
    let digest = tower_warden::Digest::of(b"x").to_hex();
    let valid = format!(r#"{{"id":"a","digest":"{digest}","owner":"o","created_at":1}}"#);
    for invalid in [
        "{",
        r#"{"id":"b","digest":"secret","owner":"o","created_at":1}"#,
        r#"{"id":"b","digest":"sha256:00","owner":"o","created_at":1}"#,
        r#"{"id":"b/../c","owner":"o","created_at":1}"#,
        &valid.replace(r#""owner":"o""#, r#""owner":"o","scopes":["a\"b"]"#).replace(r#""id":"a""#, r#""id":"b""#),
        // An unknown member may be a restriction.
        &valid
            .replace(r#""owner":"o""#, r#""owner":"o","allowed_networks":["10.0.0.0/8"]"#)
            .replace(r#""id":"a""#, r#""id":"b""#),
        &valid.replace(r#""owner":"o""#, r#""owner":"""#).replace(r#""id":"a""#, r#""id":"b""#),
        &valid.replace(r#""owner":"o""#, r#""owner":"o","scopes":"*""#).replace(r#""id":"a""#, r#""id":"b""#),
    ] {
        let error = import(&store, &mut format!("{valid}\n{invalid}\n").as_bytes()).await.unwrap_err();
        assert_eq!(error.kind(), KeyErrorKind::Invalid);
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(
            matches!(
                &*cause,
                "line 2: a key record is a JSON object with `id`, `digest`, `owner` and `created_at`"
                    | "line 2: the owner of a key is not empty"
            ),
            "{cause}"
        );
    }
}

#[tokio::test]
async fn an_opaque_key_of_any_visible_ascii_is_looked_up() {
    let stack = Stack::with(|keys| keys.accept_format(KeyFormat::opaque("").unwrap()), |layer| layer);
    let visible: String = (0x21..=0x7E_u8).map(char::from).filter(|c| *c != ',').collect();
    stack.store.insert(imported("odd", &visible)).wait().await.unwrap();
    stack.send(request().header("x-api-key", &visible)).await.assert_subject("imported");
    stack.send(request().header("authorization", format!("ApiKey {visible}"))).await.assert_subject("imported");
    stack.send(request().header("x-api-key", "with a space")).await.assert_invalid("key_characters");
}

#[tokio::test]
async fn a_key_is_checked_by_the_format_with_the_longest_prefix() {
    // A key with a wrong checksum is not looked up as if it were an opaque one, in whatever order formats are declared.
    let (short, long) = (KeyFormat::opaque("sk_").unwrap(), KeyFormat::new("sk_agent").unwrap());
    for [first, second] in [[long.clone(), short.clone()], [short, long]] {
        let store = Arc::new(TestStore::default());
        let keys = ApiKeys::builder(Arc::clone(&store), first).accept_format(second).build();
        let app = app(&AuthLayer::new(keys));
        send(app.clone(), request().header("x-api-key", "sk_agent_made-up")).await.assert_invalid("key_length");
        assert_eq!(store.finds(), 0);
        send(app, request().header("x-api-key", "sk_other")).await.assert_invalid("key_unknown");
    }
}

#[tokio::test]
async fn keys_are_listed_by_owner_and_tenant_page_by_page() {
    let stack = Stack::new();
    for index in 0..5 {
        stack.mint(NewKey::new("alice").tenant("acme").name(format!("{index}"))).await;
        stack.mint(NewKey::new("bob")).await;
        stack.clock.advance(seconds(1));
    }
    let query = tower_warden::api_key::KeyQuery::default().limit(2.try_into().unwrap()).owner("alice");
    let mut names = Vec::new();
    let mut after = None;
    loop {
        let mut query = query.clone();
        query.after = after;
        let page = stack.keys.list(&query).await.unwrap();
        assert!(page.keys.len() <= 2);
        names.extend(page.keys.iter().map(|key| key.name.clone()));
        let Some(next) = page.next else { break };
        after = Some(next);
    }
    assert_eq!(names, ["0", "1", "2", "3", "4"], "in the order in which they were minted");
    let acme = tower_warden::api_key::KeyQuery::default().tenant("acme");
    assert_eq!(stack.keys.list(&acme).await.unwrap().keys.len(), 5);
}

#[tokio::test]
async fn minted_keys_have_their_format_and_are_all_different() {
    let stack = Stack::new();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..200 {
        let (_, key) = stack.alice().await;
        assert!(KeyFormat::new("sk_agent").unwrap().check(key.expose()).is_ok());
        assert_eq!(KeyFormat::new("sk_live").unwrap().check(key.expose()), Err(tower_warden::Reason::KEY_PREFIX));
        assert!(seen.insert(key.expose().to_owned()));
    }
}

#[test]
fn prefixes_are_parsed() {
    for good in ["sk", "sk_agent", "sk-agent-", "sk_live_"] {
        assert!(KeyFormat::new(good).is_ok(), "{good}");
    }
    let long = "a".repeat(33);
    for bad in ["", "sk agent", "sk.agent", "ключ", "sk,agent", &long] {
        assert!(KeyFormat::new(bad).is_err(), "{bad}");
    }
    assert_eq!(KeyFormat::new("sk-agent-").unwrap().prefix(), "sk-agent-");
    assert_eq!(KeyFormat::new("sk_agent").unwrap().prefix(), "sk_agent_");
    assert!(KeyFormat::opaque("a,b").is_err());
    assert!(KeyFormat::opaque("legacy-").unwrap().generate().is_err());
}

#[test]
fn errors_quote_the_refused_value_unless_it_may_be_a_secret() {
    let error = KeyFormat::new("sk agent").unwrap_err();
    assert_eq!(error.refused_value(), Some("sk agent"));
    assert_eq!(KeyFormat::opaque("a,b").unwrap_err().refused_value(), Some("a,b"));
    assert!("key 1".parse::<KeyId>().is_err());
    assert_eq!(Pepper::new("20:26", &[7; 32]).unwrap_err().refused_value(), Some("20:26"));
    assert_eq!(Pepper::new("2026", &[7; 31]).unwrap_err().refused_value(), None);
    assert_eq!("sk_live_secret".parse::<KeyDigest>().unwrap_err().refused_value(), None);
}
