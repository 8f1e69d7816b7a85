//! Refresh tokens in files.
#![cfg(unix)]

use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use futures_util::future::join_all;
use tower_warden::{Eventual, UnixTime};
use tower_warden_client::{
    Refresh, RefreshToken, Token, TokenError, TokenErrorKind, TokenRequest,
    grant::RefreshGrant,
    store::{FileTokenStore, TokenStore},
};

use crate::support::token;

#[tokio::test]
async fn a_file_is_replaced_as_a_whole_and_only_its_owner_can_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("refresh-token");
    let store = FileTokenStore::new(&path);
    for text in ["rt-1", "rt-2"] {
        let refresh = RefreshToken::new(text).expires_at(UnixTime::from_secs(1_800_000_000));
        store.save(Some(&refresh)).wait().await.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let loaded = store.load().wait().await.unwrap().unwrap();
        assert_eq!((loaded.expose(), loaded.expiry()), (text, refresh.expiry()));
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
    store.save(None).wait().await.unwrap();
    store.save(None).wait().await.unwrap();
    assert!(store.load().wait().await.unwrap().is_none());
}

/// (208)
#[tokio::test]
async fn a_file_that_others_can_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("refresh-token");
    fs::write(&path, r#"{"refresh_token":"rt-secret"}"#).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let error = FileTokenStore::new(&path).load().wait().await.unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::Store);
    assert!(!format!("{error:?}").contains("rt-secret"));
}

/// (208)
#[tokio::test]
async fn an_expiry_that_is_malformed_is_not_treated_as_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("refresh-token");
    for expiry in ["null", "-1", r#""soon""#, "[]", "1e300"] {
        fs::write(&path, format!(r#"{{"refresh_token":"rt-secret","expires_at":{expiry}}}"#)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let error = FileTokenStore::new(&path).load().wait().await.expect_err(expiry);
        assert_eq!(error.kind(), TokenErrorKind::Store);
        assert!(!format!("{error:?}").contains("rt-secret"));
    }
}

/// (208)
#[tokio::test]
async fn a_symbolic_link_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (path, link) = (folder.path().join("other"), folder.path().join("refresh-token"));
    FileTokenStore::new(&path).save(Some(&RefreshToken::new("rt"))).wait().await.unwrap();
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert_eq!(FileTokenStore::new(&link).load().wait().await.unwrap_err().kind(), TokenErrorKind::Store);
}

/// (208)
#[tokio::test]
async fn a_pipe_is_refused_without_waiting_for_its_writer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("refresh-token");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    assert_eq!(FileTokenStore::new(&path).load().wait().await.unwrap_err().kind(), TokenErrorKind::Store);
}

/// (208)
#[tokio::test]
async fn a_file_that_is_too_long_is_malformed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("refresh-token");
    let store = FileTokenStore::new(&path);
    store.save(Some(&RefreshToken::new("rt"))).wait().await.unwrap();
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{text}{}", " ".repeat(1 << 20))).unwrap();
    // Only the beginning is read, which is followed by spaces.
    assert_eq!(store.load().wait().await.unwrap().unwrap().expose(), "rt");
    fs::write(&path, format!("{}{text}", " ".repeat(1 << 20))).unwrap();
    assert_eq!(store.load().wait().await.unwrap_err().kind(), TokenErrorKind::Store);
}

#[tokio::test]
async fn a_folder_that_does_not_exist_is_an_error() {
    let store = FileTokenStore::new("/nonexistent/refresh-token");
    assert_eq!(store.lock().wait().await.unwrap_err().kind(), TokenErrorKind::Store);
    assert_eq!(store.save(Some(&RefreshToken::new("rt"))).wait().await.unwrap_err().kind(), TokenErrorKind::Store);
}

/// A server that rotates refresh tokens, and fails if one is used twice.
#[derive(Clone)]
struct Rotating(std::sync::Arc<std::sync::atomic::AtomicU32>);

impl Refresh for Rotating {
    fn refresh(&self, refresh: &RefreshToken, _request: &TokenRequest<'_>) -> Eventual<Result<Token, TokenError>> {
        let used = self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let is_expected = refresh.expose() == format!("rt-{used}");
        Eventual::later(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert!(is_expected, "a refresh token was used twice");
            Ok(Token::bearer("at")?.with_refresh_token(RefreshToken::new(&format!("rt-{}", used + 1))))
        })
    }
}

/// (207)
#[tokio::test]
async fn two_processes_with_one_file_use_each_refresh_token_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("refresh-token");
    let server = Rotating(std::sync::Arc::default());
    FileTokenStore::new(&path).save(Some(&RefreshToken::new("rt-0"))).wait().await.unwrap();
    // The lock is one of the open file, so two stores exclude each other as two processes do.
    let process = || RefreshGrant::new(server.clone(), FileTokenStore::new(&path));
    let (one, other) = (process(), process());
    let one = join_all((0..5).map(|_| token(&one)));
    let other = join_all((0..5).map(|_| token(&other)));
    let (one, other) = tokio::join!(one, other);
    assert!(one.iter().chain(&other).all(Result::is_ok));
    let last = FileTokenStore::new(&path).load().wait().await.unwrap().unwrap();
    assert_eq!(last.expose(), "rt-10");
}
