//! Secrets in memory and in the environment.

use std::sync::Arc;

use tower_warden_client::secret::{
    ChangeSender, Changes, EnvironmentSecrets, Secret, SecretErrorKind, SecretSource, Versioned,
};

use crate::server::{NOW, seconds};

const KEY: &str = "sk_live_0123456789abcdef";

#[test]
fn a_secret_is_not_printed() {
    let versioned = Versioned::new(Secret::new(KEY), 1).rotated(Secret::new("sk_live_fedcba9876543210"), 2, NOW);
    let source = EnvironmentSecrets::of([("BILLING_API_KEY", KEY)]);
    let printed =
        format!("{:?} {:#?} {versioned:?} {:?} {source:?}", Secret::new(KEY), Secret::new(KEY), versioned.current());
    assert!(!printed.contains("sk_live"), "{printed}");
    assert_eq!(format!("{:?}", Secret::new(KEY)), "Secret(..)");
}

#[test]
fn secrets_are_compared_by_their_text() {
    assert_eq!(Secret::new(KEY), Secret::new(KEY).duplicate());
    assert_ne!(Secret::new(KEY), Secret::new("sk_live_0123456789abcdeg"));
    assert_ne!(Secret::new(KEY), Secret::new(""));
}

#[test]
fn two_values_are_valid_during_a_rotation() {
    let texts = |versioned: &Versioned<Secret>, now| {
        versioned.valid(now).map(|secret| secret.expose().to_owned()).collect::<Vec<_>>()
    };
    let first = Versioned::new(Secret::new("first"), 1);
    assert_eq!(texts(&first, NOW), ["first"]);
    let second = first.rotated(Secret::new("second"), 2, NOW);
    assert_eq!(texts(&second, NOW - seconds(1)), ["second", "first"]);
    assert_eq!(texts(&second, NOW), ["second"]);
    let third = second.rotated(Secret::new("third"), 3, NOW);
    assert_eq!(texts(&third, NOW - seconds(1)), ["third", "second"]);
}

#[tokio::test]
async fn an_error_names_the_variable_and_not_the_value() {
    let source = EnvironmentSecrets::of([("EMPTY_KEY", "")]);
    for (name, message) in
        [("EMPTY_KEY", "EMPTY_KEY: the variable is empty"), ("NO_KEY", "NO_KEY: the variable is not set")]
    {
        let error = source.get(name).wait().await.unwrap_err();
        assert_eq!((error.kind(), error.name(), error.to_string().as_str()), (SecretErrorKind::Missing, name, message));
    }
}

#[tokio::test]
async fn variables_of_the_process_are_read() {
    let source = EnvironmentSecrets::new();
    assert_eq!(source.get("CARGO_PKG_NAME").wait().await.unwrap().current().expose(), "tower-warden-client");
    assert!(source.get("TOWER_WARDEN_CLIENT_NO_SUCH_KEY").wait().await.is_err());
    assert!(source.get("A=B").wait().await.is_err());
}

#[tokio::test]
async fn a_variable_of_the_process_is_read_once() {
    let source = EnvironmentSecrets::new();
    let first = source.get("CARGO_PKG_NAME").wait().await.unwrap();
    let second = source.clone().get("CARGO_PKG_NAME").wait().await.unwrap();
    assert!(Arc::ptr_eq(first.current(), second.current()));
}

#[tokio::test]
async fn a_source_is_used_as_an_object() {
    let source: Arc<dyn SecretSource> = Arc::new(EnvironmentSecrets::of([("BILLING_API_KEY", KEY)]));
    assert!(Arc::clone(&source).get("BILLING_API_KEY").wait().await.is_ok());
    assert_eq!(source.changes().changed().await, None);
}

#[tokio::test]
async fn changes_in_quick_succession_are_one_notification() {
    let sender = ChangeSender::default();
    let mut changes = sender.subscribe();
    sender.send();
    sender.send();
    assert_eq!(changes.changed().await, Some(2));
    drop(sender);
    assert_eq!(changes.changed().await, None);
    assert_eq!(Changes::never().changed().await, None);
}
