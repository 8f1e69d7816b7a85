//! Rules of revocation lists.

use futures_util::future::join_all;

use super::{
    answered,
    revocation_entry::{LAST_SECOND, RevocationEntry, RevokedBy, entry, name_by},
};
use crate::{
    caller::{AuthMethod, Identity},
    revocation::RevocationList,
    time::UnixTime,
};

/// Checks the rules of [`RevocationList`].
///
/// `make` returns a new and empty list, and `revoke` adds an entry to it that does not expire for an hour or longer.
/// `supported` are the kinds of names that the list can revoke: [`RevokedBy::ALL`], unless it is made for fewer.
///
/// # Panics
///
/// At the first rule that is violated, and if nothing is supported.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_warden::{
///     Clock, SystemClock,
///     revocation::MemoryRevocationList,
///     testing::conformance::{RevocationEntry, RevokedBy, revocation_list},
/// };
///
/// # #[tokio::main] async fn main() {
/// revocation_list(
///     &RevokedBy::ALL,
///     async || MemoryRevocationList::default(),
///     async |list: &MemoryRevocationList, entry: RevocationEntry<'_>| {
///         let until = SystemClock::default().now() + Duration::from_secs(3600);
///         list.revoke(entry.revocation(), until).expect("the list has room");
///     },
/// )
/// .await;
/// # }
/// ```
pub async fn revocation_list<L: RevocationList>(
    supported: &[RevokedBy],
    make: impl AsyncFn() -> L,
    revoke: impl AsyncFn(&L, RevocationEntry<'_>),
) {
    assert!(!supported.is_empty(), "a revocation list supports a kind of name");
    for by in supported.iter().copied() {
        credential_is_revoked_once_its_name_is(by, &make().await, &revoke).await;
        other_credentials_stay_valid(by, &make().await, &revoke).await;
        credential_without_the_name_stays_valid(by, &make().await, &revoke).await;
        names_of_other_kinds_are_independent(by, &make().await, &revoke).await;
        names_are_compared_byte_for_byte(by, &make, &revoke).await;
        one_revoked_name_of_several_revokes(by, &make().await, &revoke).await;
        if by.has_issued_until() {
            credentials_are_revoked_up_to_a_second(by, &make().await, &revoke).await;
            later_revocation_never_narrows_an_earlier_one(by, &make().await, &revoke).await;
        } else {
            credentials_are_revoked_whenever_they_were_issued(by, &make().await, &revoke).await;
        }
        concurrent_revocations_are_all_kept(by, &make().await, &revoke).await;
    }
}

async fn credential_is_revoked_once_its_name_is<L: RevocationList>(
    by: RevokedBy,
    list: &L,
    revoke: &impl AsyncFn(&L, RevocationEntry<'_>),
) {
    let identity = named(by, ISSUER, "name");
    assert!(!is_revoked(list, &identity).await, "an empty list revokes nothing");
    revoke(list, entry(by, ISSUER, "name")).await;
    assert!(is_revoked(list, &identity).await, "a credential is revoked as soon as its name is: {by:?}");
    revoke(list, entry(by, ISSUER, "name")).await;
    assert!(is_revoked(list, &identity).await, "a credential that is revoked again stays revoked: {by:?}");
}

async fn other_credentials_stay_valid<L: RevocationList>(
    by: RevokedBy,
    list: &L,
    revoke: &impl AsyncFn(&L, RevocationEntry<'_>),
) {
    revoke(list, entry(by, ISSUER, "name")).await;
    let other = named(by, ISSUER, "other");
    assert!(!is_revoked(list, &other).await, "another name is not revoked: {by:?}");
    if by.has_issuer() {
        let other = named(by, "https://other.example.com", "name");
        assert!(!is_revoked(list, &other).await, "the same name of another issuer is not revoked: {by:?}");
    }
}

async fn names_of_other_kinds_are_independent<L: RevocationList>(
    by: RevokedBy,
    list: &L,
    revoke: &impl AsyncFn(&L, RevocationEntry<'_>),
) {
    revoke(list, entry(by, ISSUER, "name")).await;
    for kind in RevokedBy::ALL.into_iter().filter(|kind| *kind != by) {
        let other = named(kind, ISSUER, "name");
        assert!(!is_revoked(list, &other).await, "the same name of another kind is not revoked: {kind:?} for {by:?}");
    }
}

async fn names_are_compared_byte_for_byte<L: RevocationList>(
    by: RevokedBy,
    make: &impl AsyncFn() -> L,
    revoke: &impl AsyncFn(&L, RevocationEntry<'_>),
) {
    // The last two are one text in two normal forms.
    let names = ["name", "Name", "name ", "nam", "name%", "n_me", "n:ame", "\u{e9}", "e\u{301}"];
    for revoked in names {
        let list = make().await;
        revoke(&list, entry(by, ISSUER, revoked)).await;
        for name in names {
            let found = is_revoked(&list, &named(by, ISSUER, name)).await;
            let rule = "names are compared byte for byte";
            assert_eq!(found, name == revoked, "{rule}: {by:?} {name:?} while {revoked:?} is revoked");
        }
    }
    if by.has_issuer() {
        let list = make().await;
        revoke(&list, entry(by, "https://a", "b:c")).await;
        for (issuer, name) in [("https://a:b", "c"), ("https://ab", ":c"), ("https://", "ab:c"), ("HTTPS://a", "b:c")] {
            let found = is_revoked(&list, &named(by, issuer, name)).await;
            assert!(!found, "issuers are compared byte for byte, apart from names: {by:?} {issuer:?} {name:?}");
        }
    }
}

async fn one_revoked_name_of_several_revokes<L: RevocationList>(
    by: RevokedBy,
    list: &L,
    revoke: &impl AsyncFn(&L, RevocationEntry<'_>),
) {
    let mut identity = named(by, ISSUER, "name");
    for other in RevokedBy::ALL.into_iter().filter(|other| *other != by) {
        name_by(&mut identity, other, "other");
    }
    assert!(!is_revoked(list, &identity).await, "an empty list revokes nothing");
    revoke(list, entry(by, ISSUER, "name")).await;
    assert!(is_revoked(list, &identity).await, "one revoked name of several revokes a credential: {by:?}");
}

async fn credential_without_the_name_stays_valid<L: RevocationList>(
    by: RevokedBy,
    list: &L,
    revoke: &impl AsyncFn(&L, RevocationEntry<'_>),
) {
    revoke(list, entry(by, ISSUER, "name")).await;
    let mut unnamed = Identity::new("somebody", AuthMethod::Jwt);
    assert!(!is_revoked(list, &unnamed).await, "a credential without names is not revoked: {by:?}");
    unnamed.issuer = Some(ISSUER.into());
    assert!(!is_revoked(list, &unnamed).await, "a credential without the name is not revoked: {by:?}");
    if by.has_issuer() {
        let mut anonymous = named(by, ISSUER, "name");
        anonymous.issuer = None;
        assert!(!is_revoked(list, &anonymous).await, "a credential without an issuer is not revoked: {by:?}");
    }
}

async fn credentials_are_revoked_up_to_a_second<L: RevocationList>(
    by: RevokedBy,
    list: &L,
    revoke: &impl AsyncFn(&L, RevocationEntry<'_>),
) {
    revoke(list, entry(by, ISSUER, "name")).await;
    let last = LAST_SECOND.as_secs();
    for (issued_at, expected) in [(0, true), (last - 1, true), (last, true), (last + 1, false), (last + 60, false)] {
        let identity = issued(named(by, ISSUER, "name"), Some(issued_at));
        let rule = "what was issued up to the second is revoked, that second included, and nothing later";
        assert_eq!(is_revoked(list, &identity).await, expected, "{rule}: {by:?}, {issued_at} for {last}");
    }
    let undated = issued(named(by, ISSUER, "name"), None);
    assert!(is_revoked(list, &undated).await, "a credential without a time of issue is treated as old: {by:?}");
}

async fn later_revocation_never_narrows_an_earlier_one<L: RevocationList>(
    by: RevokedBy,
    list: &L,
    revoke: &impl AsyncFn(&L, RevocationEntry<'_>),
) {
    let last = LAST_SECOND.as_secs();
    for until in [last, last - 100, last + 100, last + 50] {
        revoke(list, RevocationEntry { issued_until: Some(UnixTime::from_secs(until)), ..entry(by, ISSUER, "name") })
            .await;
        let identity = issued(named(by, ISSUER, "name"), Some(last));
        assert!(is_revoked(list, &identity).await, "a later revocation never narrows an earlier one: {by:?}");
    }
    let newest = issued(named(by, ISSUER, "name"), Some(last + 100));
    assert!(is_revoked(list, &newest).await, "of several revocations of a name, the latest second applies: {by:?}");
    let newer = issued(named(by, ISSUER, "name"), Some(last + 101));
    assert!(!is_revoked(list, &newer).await, "of several revocations of a name, the latest second applies: {by:?}");
}

async fn credentials_are_revoked_whenever_they_were_issued<L: RevocationList>(
    by: RevokedBy,
    list: &L,
    revoke: &impl AsyncFn(&L, RevocationEntry<'_>),
) {
    revoke(list, entry(by, ISSUER, "name")).await;
    for issued_at in [None, Some(0), Some(LAST_SECOND.as_secs() + 1_000_000_000)] {
        let identity = issued(named(by, ISSUER, "name"), issued_at);
        assert!(is_revoked(list, &identity).await, "{by:?} revokes whenever a credential was issued: {issued_at:?}");
    }
}

async fn concurrent_revocations_are_all_kept<L: RevocationList>(
    by: RevokedBy,
    list: &L,
    revoke: &impl AsyncFn(&L, RevocationEntry<'_>),
) {
    let names: Vec<_> = (0..100).map(|number| format!("name {number}")).collect();
    join_all(names.iter().map(|name| revoke(list, entry(by, ISSUER, name)))).await;
    for name in &names {
        assert!(is_revoked(list, &named(by, ISSUER, name)).await, "concurrent revocations are all kept: {by:?} {name}");
    }
}

async fn is_revoked(list: &dyn RevocationList, identity: &Identity) -> bool {
    answered(list.is_revoked(identity).wait().await)
}

/// A credential that has this name and no other one.
fn named(by: RevokedBy, issuer: &str, name: &str) -> Identity {
    let mut identity = Identity::new("somebody", AuthMethod::Jwt);
    identity.issued_at = Some(UnixTime::from_secs(LAST_SECOND.as_secs() - 60));
    identity.issuer = Some(issuer.into());
    name_by(&mut identity, by, name);
    identity
}

fn issued(mut identity: Identity, at: Option<u64>) -> Identity {
    identity.issued_at = at.map(UnixTime::from_secs);
    identity
}

const ISSUER: &str = "https://issuer.example.com";
