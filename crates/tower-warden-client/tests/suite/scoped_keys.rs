//! One key for each service.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tower_warden::{Eventual, UnixTime, scope::Scopes};
use tower_warden_client::{
    scoped_keys::{KeyDeclaration, ScopedKeys, ScopedKeysBuilder},
    secret::{
        ChangeSender, Changes, EnvironmentSecrets, Secret, SecretError, SecretErrorKind, SecretSource, Versioned,
    },
};

use crate::server::{Log, NOW, environment, seconds};

const DAY: Duration = Duration::from_secs(24 * 3600);
const KEY: &str = "sk_live_0123456789abcdef";

/// A secret that a test rotates. All names lead to it.
#[derive(Clone)]
struct Rotating(Arc<(Mutex<Versioned<Secret>>, ChangeSender)>);

impl Rotating {
    fn new() -> Self {
        Self(Arc::new((Versioned::new(Secret::new(KEY), 1).into(), ChangeSender::default())))
    }

    fn rotate(&self, text: &str) {
        let mut value = self.0.0.lock().unwrap();
        *value = Versioned::new(Secret::new(text), value.version() + 1);
        self.0.1.send();
    }
}

impl SecretSource for Rotating {
    fn get(&self, _: &str) -> Eventual<Result<Versioned<Secret>, SecretError>> {
        Eventual::Now(Ok(self.0.0.lock().unwrap().clone()))
    }

    fn changes(&self) -> Changes {
        self.0.1.subscribe()
    }
}

fn billing() -> KeyDeclaration {
    KeyDeclaration::new("billing", "BILLING_API_KEY").rotation(NOW, 90 * DAY)
}

fn of(value: &str) -> ScopedKeysBuilder {
    ScopedKeys::builder(EnvironmentSecrets::of([("BILLING_API_KEY", value)])).key(billing())
}

/// The error of a value, which does not contain it.
async fn refused(value: &str) -> SecretError {
    let error = of(value).load().await.unwrap_err();
    let printed = format!("{error} {error:?}");
    assert!(printed.contains("BILLING_API_KEY") && !printed.contains(value), "{printed}");
    error
}

#[tokio::test]
async fn one_key_per_service() {
    let source = EnvironmentSecrets::of([("BILLING_API_KEY", KEY), ("REPORTS_API_KEY", "sk_live_fedcba9876543210")]);
    let scopes = Scopes::parse("billing:read billing:write").unwrap();
    let keys = ScopedKeys::builder(source)
        .key(billing().scopes(scopes.clone()))
        .key(KeyDeclaration::new("reports", "REPORTS_API_KEY"))
        .load()
        .await
        .unwrap();
    let key = keys.get("billing").unwrap();
    assert_eq!((key.service(), key.variable(), key.secret().expose()), ("billing", "BILLING_API_KEY", KEY));
    assert_eq!((key.scopes(), key.created(), key.rotation_due()), (&scopes, Some(NOW), Some(NOW + 90 * DAY)));
    assert_eq!(keys.get("reports").unwrap().rotation_due(), None);
    assert!(keys.get("admin").is_none());
}

/// (210)
#[tokio::test]
async fn a_key_of_two_services_is_refused() {
    let source = EnvironmentSecrets::of([("BILLING_API_KEY", KEY), ("REPORTS_API_KEY", KEY)]);
    let keys = ScopedKeys::builder(source).key(billing());
    let error = keys.key(KeyDeclaration::new("reports", "REPORTS_API_KEY")).load().await.unwrap_err();
    assert_eq!((error.kind(), error.name()), (SecretErrorKind::Duplicate, "REPORTS_API_KEY"));
    assert!(!error.to_string().contains(KEY));
}

#[tokio::test]
async fn a_service_that_is_declared_twice_is_refused() {
    let error = of(KEY).key(billing()).load().await.unwrap_err();
    assert_eq!((error.kind(), error.name()), (SecretErrorKind::Duplicate, "billing"));
}

/// (210)
#[tokio::test]
async fn a_value_with_spaces_is_refused_by_the_name_of_its_variable() {
    for value in ["sk live 0123456789abcdef", " sk_live_0123456789abcdef", "sk_live_0123456789abcdef\n"] {
        assert_eq!(refused(value).await.kind(), SecretErrorKind::Format);
    }
}

/// (210)
#[tokio::test]
async fn a_value_that_is_not_printable_is_refused_by_the_name_of_its_variable() {
    for value in ["sk_live_0123456789\u{7}abcdef", "sk_live_0123456789abcdef\u{200b}", "schl\u{fc}ssel_0123456789"] {
        assert_eq!(refused(value).await.kind(), SecretErrorKind::Format);
    }
}

/// (210)
#[tokio::test]
async fn a_value_of_the_wrong_length_is_refused_by_the_name_of_its_variable() {
    for value in ["changeme".to_owned(), "a".repeat(15), "a".repeat(513)] {
        assert_eq!(refused(&value).await.kind(), SecretErrorKind::Format);
    }
    assert!(of(&"a".repeat(16)).load().await.is_ok());
    assert!(of(&"a".repeat(512)).load().await.is_ok());
    let source = EnvironmentSecrets::of([("BILLING_API_KEY", KEY)]);
    assert!(ScopedKeys::builder(source).key(billing().length(40..=40)).load().await.is_err());
}

#[tokio::test]
async fn a_missing_key_is_refused_by_the_name_of_its_variable() {
    let error = ScopedKeys::builder(EnvironmentSecrets::of::<&str, &str>([])).key(billing()).load().await.unwrap_err();
    assert_eq!((error.kind(), error.name()), (SecretErrorKind::Missing, "BILLING_API_KEY"));
}

#[tokio::test]
async fn rotation_warning_3_days_ahead() {
    let (log, _guard) = Log::listen();
    let (environment, clock) = environment();
    let keys = of(KEY).environment(&environment).load().await.unwrap();

    clock.set(NOW + 87 * DAY - seconds(1));
    keys.warn_of_rotations();
    assert!(keys.needs_rotation().is_empty());
    assert_eq!(log.count("rotated"), 0);

    clock.advance(seconds(1));
    keys.warn_of_rotations();
    keys.warn_of_rotations();
    assert_eq!(keys.needs_rotation()[0].variable(), "BILLING_API_KEY");
    assert_eq!(log.count("a key has to be rotated soon"), 1);
    assert!(log.text().contains("WARN") && log.text().contains("BILLING_API_KEY"));

    clock.set(NOW + 90 * DAY);
    keys.warn_of_rotations();
    assert_eq!(log.count("the rotation of a key is overdue"), 1);
    assert!(!log.text().contains(KEY));
}

#[tokio::test]
async fn the_time_of_the_warning_is_configured_and_a_key_that_is_due_at_start_is_reported() {
    let (log, _guard) = Log::listen();
    let (environment, clock) = environment();
    clock.set(NOW + 80 * DAY);
    let keys = of(KEY).environment(&environment).warn_before(10 * DAY).load().await.unwrap();
    assert_eq!(keys.needs_rotation().len(), 1);
    assert_eq!(log.count("a key has to be rotated soon"), 1);
    assert!(of(KEY).environment(&environment).load().await.unwrap().needs_rotation().is_empty());
}

#[tokio::test]
async fn a_rotated_key_begins_a_new_period() {
    let (environment, clock) = environment();
    let source = Rotating::new();
    let keys = ScopedKeys::builder(source.clone()).key(billing()).environment(&environment).load().await.unwrap();
    clock.set(NOW + 89 * DAY);
    keys.refresh().await.unwrap();
    assert_eq!(keys.needs_rotation().len(), 1);

    source.rotate("sk_live_fedcba9876543210");
    let before = keys.get("billing").unwrap();
    keys.refresh().await.unwrap();
    let after = keys.get("billing").unwrap();
    assert_eq!((before.secret().expose(), after.secret().expose()), (KEY, "sk_live_fedcba9876543210"));
    assert_eq!(after.created(), Some(NOW + 89 * DAY));
    assert!(keys.needs_rotation().is_empty());
}

#[tokio::test]
async fn a_rotated_key_that_is_malformed_leaves_the_one_before_in_use() {
    let source = Rotating::new();
    let keys = ScopedKeys::builder(source.clone()).key(billing()).load().await.unwrap();
    source.rotate("sk live");
    let error = keys.refresh().await.unwrap_err();
    assert_eq!((error.kind(), error.name()), (SecretErrorKind::Format, "BILLING_API_KEY"));
    assert_eq!(keys.get("billing").unwrap().secret().expose(), KEY);
}

#[tokio::test(start_paused = true)]
async fn keys_are_refreshed_in_the_background() {
    let (log, _guard) = Log::listen();
    let (environment, clock) = environment();
    let source = Rotating::new();
    let keys = ScopedKeys::builder(source.clone()).key(billing()).environment(&environment).load().await.unwrap();
    let keys = keys.refresh_in_background();

    tokio::time::sleep(seconds(1)).await;
    source.rotate("sk_live_fedcba9876543210");
    tokio::time::sleep(seconds(1)).await;
    assert_eq!(keys.get("billing").unwrap().version(), 2);

    source.rotate("sk live of the future");
    tokio::time::sleep(seconds(2 * 3600)).await;
    assert_eq!((keys.get("billing").unwrap().version(), log.count("ERROR")), (2, 1));

    clock.set(NOW + 89 * DAY);
    tokio::time::sleep(seconds(2 * 3600)).await;
    assert_eq!(log.count("a key has to be rotated soon"), 1);
    assert!(!log.text().contains("sk_live") && !log.text().contains("sk live"), "{}", log.text());

    drop(keys);
    tokio::task::yield_now().await;
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
}

#[tokio::test]
async fn keys_are_never_logged_or_printed() {
    let (log, _guard) = Log::listen();
    let source = Rotating::new();
    let builder = ScopedKeys::builder(source.clone()).key(billing());
    let builder_printed = format!("{builder:?}");
    let keys = builder.load().await.unwrap();
    let key = keys.get("billing").unwrap();
    let printed =
        format!("{builder_printed} {keys:?} {keys:#?} {key:?} {:?} {:?}", key.secret(), keys.needs_rotation());
    assert!(printed.contains("BILLING_API_KEY"));
    source.rotate("sk_live_fedcba9876543210");
    keys.refresh().await.unwrap();
    assert!(!printed.contains("sk_live") && !log.text().contains("sk_live"), "{printed} {}", log.text());
}

#[tokio::test]
async fn a_key_without_rotation_never_needs_one() {
    let (environment, clock) = environment();
    clock.set(UnixTime::from_secs(u64::MAX));
    let source = EnvironmentSecrets::of([("BILLING_API_KEY", KEY)]);
    let declaration = KeyDeclaration::new("billing", "BILLING_API_KEY");
    let keys = ScopedKeys::builder(source).key(declaration).environment(&environment).load().await.unwrap();
    assert!(keys.needs_rotation().is_empty());
}
