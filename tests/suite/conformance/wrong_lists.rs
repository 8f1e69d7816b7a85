//! Revocation lists with one fault each.

use std::sync::Mutex;

use tower_warden::{
    Eventual, Identity, Unavailable, UnixTime,
    revocation::RevocationList,
    testing::conformance::{
        RevocationEntry,
        RevokedBy::{self, Client, Key, Session, Subject, Token},
        revocation_list,
    },
};

use super::assert_violated;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    ChecksOneName,
    IgnoresCase,
    IgnoresIds,
    IgnoresIssuers,
    IgnoresKinds,
    JoinsIssuerAndName,
    LeavesOutTheLastSecond,
    LosesConcurrentRevocations,
    MatchesWhatIsMissing,
    None,
    ReplacesEarlierRevocations,
    RevokesAll,
    RevokesNothing,
    TreatsUndatedAsNew,
    WantsATimeOfIssue,
}

#[derive(Clone)]
struct Entry {
    by: RevokedBy,
    issuer: String,
    id: String,
    issued_until: Option<UnixTime>,
}

struct List {
    fault: Fault,
    entries: Mutex<Vec<Entry>>,
}

impl List {
    async fn revoke(&self, entry: RevocationEntry<'_>) {
        let entry = Entry {
            by: entry.by,
            issuer: entry.issuer.to_owned(),
            id: entry.id.to_owned(),
            issued_until: entry.issued_until,
        };
        let mut entries = self.entries.lock().unwrap().clone();
        match self.fault {
            Fault::LosesConcurrentRevocations => tokio::task::yield_now().await,
            Fault::ReplacesEarlierRevocations => entries.clear(),
            _ => entries.clone_from(&self.entries.lock().unwrap()),
        }
        entries.push(entry);
        *self.entries.lock().unwrap() = entries;
    }

    fn matches(&self, entry: &Entry, identity: &Identity) -> bool {
        let names = [
            (Client, identity.client_id.as_deref()),
            (Key, identity.key_id.as_deref()),
            (Session, identity.session_id.as_deref()),
            (Token, identity.token_id.as_deref()),
            (Subject, Some(&*identity.subject)),
        ];
        let is_name = |(by, name): &(RevokedBy, Option<&str>)| {
            let is_kind = *by == entry.by || self.fault == Fault::IgnoresKinds;
            let is_missed = name.is_none() && self.fault == Fault::MatchesWhatIsMissing;
            is_kind && (is_missed || name.is_some_and(|name| self.is_named(entry, *by, name, identity)))
        };
        let mut present = names.iter().filter(|(_, name)| name.is_some());
        let is_named = match self.fault {
            Fault::ChecksOneName => present.next().is_some_and(is_name),
            _ => names.iter().any(is_name),
        };
        is_named && self.is_in_time(entry, identity)
    }

    fn is_named(&self, entry: &Entry, by: RevokedBy, name: &str, identity: &Identity) -> bool {
        let issuer = identity.issuer.as_deref();
        if self.fault == Fault::JoinsIssuerAndName && by != Key {
            return issuer.is_some_and(|issuer| format!("{issuer}{name}") == format!("{}{}", entry.issuer, entry.id));
        }
        let is_issuer = by == Key || issuer == Some(&*entry.issuer) || self.fault == Fault::IgnoresIssuers;
        let is_id = match self.fault {
            Fault::IgnoresCase => name.eq_ignore_ascii_case(&entry.id),
            Fault::IgnoresIds => true,
            _ => name == entry.id,
        };
        is_issuer && is_id
    }

    fn is_in_time(&self, entry: &Entry, identity: &Identity) -> bool {
        match (entry.issued_until, identity.issued_at) {
            (Some(until), Some(at)) if self.fault == Fault::LeavesOutTheLastSecond => at < until,
            (Some(until), Some(at)) => at <= until,
            (Some(_), None) => self.fault != Fault::TreatsUndatedAsNew,
            (None, at) => self.fault != Fault::WantsATimeOfIssue || at.is_some(),
        }
    }
}

impl RevocationList for List {
    fn is_revoked(&self, identity: &Identity) -> Eventual<Result<bool, Unavailable>> {
        let entries = self.entries.lock().unwrap();
        Eventual::Now(Ok(match self.fault {
            Fault::RevokesAll => true,
            Fault::RevokesNothing => false,
            _ => entries.iter().any(|entry| self.matches(entry, identity)),
        }))
    }
}

async fn check(fault: Fault, supported: &[RevokedBy]) {
    let make = async || List { fault, entries: Mutex::default() };
    revocation_list(supported, make, async |list: &List, entry: RevocationEntry<'_>| list.revoke(entry).await).await;
}

#[tokio::test]
async fn naive_list_without_a_fault_passes() {
    check(Fault::None, &RevokedBy::ALL).await;
}

#[tokio::test]
async fn fault_that_concerns_no_supported_name_is_not_found() {
    check(Fault::TreatsUndatedAsNew, &[Token, Key]).await;
    assert_violated("nothing", check(Fault::None, &[]), "a revocation list supports a kind of name").await;
}

#[tokio::test]
async fn each_wrong_list_violates_its_rule() {
    let faults = [
        (Fault::RevokesAll, Client, "an empty list revokes nothing"),
        (Fault::RevokesNothing, Token, "a credential is revoked as soon as its name is"),
        (Fault::IgnoresIds, Session, "another name is not revoked"),
        (Fault::IgnoresIssuers, Subject, "the same name of another issuer is not revoked"),
        (Fault::MatchesWhatIsMissing, Client, "a credential without names is not revoked"),
        (Fault::MatchesWhatIsMissing, Key, "a credential without names is not revoked"),
        (Fault::IgnoresKinds, Client, "the same name of another kind is not revoked"),
        (Fault::IgnoresKinds, Token, "the same name of another kind is not revoked"),
        (Fault::IgnoresCase, Key, "names are compared byte for byte"),
        (Fault::IgnoresCase, Subject, "names are compared byte for byte"),
        (Fault::JoinsIssuerAndName, Session, "issuers are compared byte for byte, apart from names"),
        (Fault::ChecksOneName, Subject, "one revoked name of several revokes a credential"),
        (Fault::ChecksOneName, Token, "one revoked name of several revokes a credential"),
        (Fault::LeavesOutTheLastSecond, Client, "what was issued up to the second is revoked, that second included"),
        (Fault::LeavesOutTheLastSecond, Subject, "what was issued up to the second is revoked, that second included"),
        (Fault::TreatsUndatedAsNew, Subject, "a credential without a time of issue is treated as old"),
        (Fault::ReplacesEarlierRevocations, Client, "a later revocation never narrows an earlier one"),
        (Fault::WantsATimeOfIssue, Key, "revokes whenever a credential was issued"),
        (Fault::WantsATimeOfIssue, Session, "revokes whenever a credential was issued"),
        (Fault::WantsATimeOfIssue, Token, "revokes whenever a credential was issued"),
        (Fault::LosesConcurrentRevocations, Token, "concurrent revocations are all kept"),
    ];
    for (fault, by, rule) in faults {
        assert_violated((fault, by), check(fault, &[by]), rule).await;
    }
}
