//! What a credential is bound to, against what a request proves.

use std::sync::Arc;

use tower_warden::{
    AuthMethod, Authenticator, ConfigErrorKind, Credential, Digest, Environment, Eventual, Identity, Presented, Reason,
    Rejection,
    api_key::NewKey,
    caller::{Confirmation, ConfirmationMethod, Possession},
    layer::AuthLayer,
};

use crate::support::{START, Stack, app, bearer, seconds, send};

const THUMBPRINT: &str = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0";
const OTHER: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";

/// Lets everybody in as alice, bound to something.
struct Bound(Confirmation, Asked);

/// When the verdict is there.
#[derive(Clone, Copy)]
enum Asked {
    Later,
    Now,
}

impl Authenticator for Bound {
    fn schemes(&self) -> Vec<Arc<dyn tower_warden::scheme::Scheme>> {
        vec![Arc::new(tower_warden::scheme::Bearer::default())]
    }

    fn accepts(&self, _: &Credential<'_>) -> bool {
        true
    }

    fn authenticate(&self, _: &Presented<'_>) -> Eventual<Result<Arc<Identity>, Rejection>> {
        let mut identity = Identity::new("alice", AuthMethod::Custom("test"));
        identity.confirmation = Some(self.0.clone());
        let verdict = Ok(Arc::new(identity));
        match self.1 {
            Asked::Later => Eventual::later(async { verdict }),
            Asked::Now => Eventual::Now(verdict),
        }
    }
}

fn digest(thumbprint: &str) -> Digest {
    Digest::from_base64url(thumbprint).unwrap()
}

/// (101)
#[tokio::test]
async fn a_bound_credential_without_a_proof_is_refused_now_and_later() {
    for (confirmation, reason) in [
        (Confirmation::certificate(digest(THUMBPRINT)), "certificate_missing"),
        (Confirmation::key(digest(THUMBPRINT)), "key_proof_missing"),
    ] {
        for asked in [Asked::Now, Asked::Later] {
            let layer = AuthLayer::new(Bound(confirmation.clone(), asked));
            send(app(&layer), bearer("token")).await.assert_invalid(reason);
            send(app(&layer.optional()), bearer("token")).await.assert_invalid(reason);
        }
    }
}

/// (57)
#[tokio::test]
async fn an_expired_credential_is_refused_as_expired_whatever_it_is_bound_to() {
    struct Expired;
    impl Authenticator for Expired {
        fn schemes(&self) -> Vec<Arc<dyn tower_warden::scheme::Scheme>> {
            vec![Arc::new(tower_warden::scheme::Bearer::default())]
        }

        fn accepts(&self, _: &Credential<'_>) -> bool {
            true
        }

        fn authenticate(&self, presented: &Presented<'_>) -> Eventual<Result<Arc<Identity>, Rejection>> {
            let mut identity = Identity::new("alice", AuthMethod::Custom("test"));
            identity.confirmation = Some(Confirmation::key(digest(OTHER)));
            identity.expires_at = Some(presented.now);
            Eventual::Now(Ok(Arc::new(identity)))
        }
    }
    let clock = tower_warden::ManualClock::at(START + seconds(1));
    send(app(&AuthLayer::new(Expired).environment(&Environment::default().with_clock(clock))), bearer("token"))
        .await
        .assert_invalid("expired");
}

/// (109)
#[test]
fn all_that_is_named_must_be_proved() {
    let both = Confirmation::parse([("x5t#S256", Some(THUMBPRINT)), ("jkt", Some(OTHER))], &[]).unwrap();
    let proof = |certificate: Option<&str>, key: Option<&str>| {
        let methods = [(ConfirmationMethod::CERTIFICATE, certificate), (ConfirmationMethod::KEY, key)];
        let proved = methods
            .into_iter()
            .filter_map(|(method, thumbprint)| Some(Possession { method, thumbprint: digest(thumbprint?) }));
        proved.collect::<Vec<_>>()
    };
    assert_eq!(both.check(&proof(Some(THUMBPRINT), Some(OTHER))), Ok(()));
    assert_eq!(both.check(&proof(Some(THUMBPRINT), None)), Err(Reason::KEY_PROOF_MISSING));
    assert_eq!(both.check(&proof(Some(THUMBPRINT), Some(THUMBPRINT))), Err(Reason::KEY_MISMATCH));
    assert_eq!(both.check(&proof(None, Some(OTHER))), Err(Reason::CERTIFICATE_MISSING));
    assert_eq!(both.check(&proof(Some(OTHER), Some(OTHER))), Err(Reason::CERTIFICATE_MISMATCH));
    assert_eq!(both.check(&[]), Err(Reason::CERTIFICATE_MISSING));

    // More than is asked for does no harm.
    let one = Confirmation::certificate(digest(THUMBPRINT));
    assert_eq!(one.check(&proof(Some(THUMBPRINT), Some(OTHER))), Ok(()));
}

/// (108)
#[test]
fn a_confirmation_that_cannot_be_checked_is_refused() {
    let long = format!("{THUMBPRINT}A");
    let padded = format!("{THUMBPRINT}=");
    // The last character has two bits that belong to no byte.
    let not_canonical = format!("{}1", &THUMBPRINT[..42]);
    let standard = THUMBPRINT.replace('J', "+");
    for members in [
        vec![],
        vec![("kid", Some("7"))],
        vec![("x5t#S256", Some(THUMBPRINT)), ("kid", Some("7"))],
        vec![("jkt", None)],
        vec![("jkt", Some(""))],
        vec![("jkt", Some(&THUMBPRINT[..42]))],
        vec![("jkt", Some("A4DtL2JmUMhAsvJj5tKyn64Sqzmu"))],
        vec![("jkt", Some(&long))],
        vec![("jkt", Some(&padded))],
        vec![("jkt", Some(&not_canonical))],
        vec![("jkt", Some(&standard))],
        vec![("jkt", Some(THUMBPRINT)), ("jkt", Some(THUMBPRINT))],
        vec![("jkt", Some(THUMBPRINT)), ("x5t#S256", None)],
    ] {
        let refused = Confirmation::parse(members.clone(), &[]).map_err(|error| error.kind());
        assert_eq!(refused, Err(ConfigErrorKind::Confirmation), "{members:?}");
    }
}

#[test]
fn declared_members_are_passed_over_but_bind_to_nothing() {
    let ignored = [Box::from("kid")];
    let read = Confirmation::parse([("kid", None), ("jkt", Some(THUMBPRINT))], &ignored).unwrap();
    assert_eq!(read, Confirmation::key(digest(THUMBPRINT)));
    assert_eq!((read.certificate_thumbprint(), read.key_thumbprint()), (None, Some(&digest(THUMBPRINT))));
    assert!(Confirmation::parse([("kid", Some("7"))], &ignored).is_err());
    // Without a thumbprint that can be checked, nothing is confirmed.
    assert!(Confirmation::parse([("jkt", None)], &[Box::from("jkt")]).is_err());
}

#[test]
fn a_certificate_and_a_key_are_checked_though_their_members_are_declared_as_ignored() {
    let ignored = [Box::from("jkt"), Box::from("x5t#S256")];
    let read = Confirmation::parse([("jkt", Some(THUMBPRINT)), ("x5t#S256", Some(OTHER))], &ignored).unwrap();
    assert_eq!(read.key_thumbprint(), Some(&digest(THUMBPRINT)));
    assert_eq!(read.certificate_thumbprint(), Some(&digest(OTHER)));
}

#[test]
fn confirmations_are_equal_whatever_the_order_of_their_members() {
    let read = |members: [(&str, Option<&str>); 2]| Confirmation::parse(members, &[]).unwrap();
    let (key, certificate) = (("jkt", Some(THUMBPRINT)), ("x5t#S256", Some(OTHER)));
    assert_eq!(read([key, certificate]), read([certificate, key]));
    assert_ne!(read([key, certificate]), read([key, ("x5t#S256", Some(THUMBPRINT))]));
    assert_ne!(read([key, certificate]), Confirmation::key(digest(THUMBPRINT)));
}

/// (108)
#[tokio::test]
async fn a_member_that_no_proof_verifies_is_refused() {
    // Names are compared byte by byte: `JKT` is not `jkt`.
    for member in ["kid", "JKT", "x5t#S512"] {
        let confirmation = Confirmation::parse([(member, Some(THUMBPRINT))], &[]).unwrap();
        send(app(&AuthLayer::new(Bound(confirmation.clone(), Asked::Now))), bearer("token"))
            .await
            .assert_invalid("proof_missing");
        let proved = [ConfirmationMethod::KEY, ConfirmationMethod::CERTIFICATE]
            .map(|method| Possession { method, thumbprint: digest(THUMBPRINT) });
        assert_eq!(confirmation.check(&proved), Err(Reason::PROOF_MISSING));
    }
}

#[test]
fn of_two_proofs_of_one_method_both_must_be_right() {
    let bound = Confirmation::key(digest(THUMBPRINT));
    let proof = |thumbprint| Possession { method: ConfirmationMethod::KEY, thumbprint: digest(thumbprint) };
    assert_eq!(bound.check(&[proof(THUMBPRINT), proof(THUMBPRINT)]), Ok(()));
    assert_eq!(bound.check(&[proof(THUMBPRINT), proof(OTHER)]), Err(Reason::KEY_MISMATCH));
    assert_eq!(bound.check(&[proof(OTHER), proof(THUMBPRINT)]), Err(Reason::KEY_MISMATCH));
}

/// (108)
#[tokio::test]
async fn a_stored_key_that_is_bound_by_an_unknown_method_is_refused() {
    let stack = Stack::new();
    let evil = Confirmation::parse([("evil", Some(THUMBPRINT))], &[]).unwrap();
    let (_, secret) = stack.mint(NewKey::new("alice").confirmation(evil)).await;
    stack.bearer(secret.expose()).await.assert_invalid("proof_missing");
}

#[test]
fn a_confirmation_has_a_bounded_number_of_members_with_bounded_names() {
    let names: Vec<_> = (0..9).map(|number| format!("m{number}")).collect();
    let parse = |names: &[String]| Confirmation::parse(names.iter().map(|name| (&**name, Some(THUMBPRINT))), &[]);
    assert!(parse(&names[..8]).is_ok());
    assert!(parse(&names).is_err());
    assert!(parse(&["m".repeat(64)]).is_ok());
    assert!(parse(&["m".repeat(65)]).is_err());

    let json = |count: usize| format!("{{{}}}", vec![format!("\"x\":\"{THUMBPRINT}\""); count].join(","));
    let many: Vec<_> = (0..100_000).map(|number| format!("\"m{number}\":\"{THUMBPRINT}\"")).collect();
    assert!(serde_json::from_str::<Confirmation>(&format!("{{{}}}", many.join(","))).is_err());
    assert!(serde_json::from_str::<Confirmation>(&json(2)).is_err());
    assert!(serde_json::from_str::<Confirmation>(&json(1)).is_ok());
}
