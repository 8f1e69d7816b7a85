//! Reasons of refusals by the verification of payload signatures.

use crate::{
    reason::{Reason, reasons},
    replay::ReplayReasons,
};

reasons! {
    /// A header field of the signature occurs more than once.
    ///
    /// Look at: the sender, and proxies that add or repeat header fields.
    PAYLOAD_FIELD_REPEATED = "payload_field_repeated";
    /// The request lacks the id that the signature covers.
    ///
    /// Look at: whether the sender uses the configured `PayloadScheme`, and proxies that remove header fields.
    PAYLOAD_ID_MISSING = "payload_id_missing";
    /// The request's id is empty, longer than 256 bytes, or has a character that is not allowed.
    ///
    /// Look at: the sender: an id is visible ASCII, without the character that follows it in the signed bytes, such as the '.'
    /// of Standard Webhooks.
    PAYLOAD_ID_SYNTAX = "payload_id_syntax";
    /// The timestamp of the signature is too far in the future.
    ///
    /// Look at: the clocks of the sender and of this server, the tolerance (60 seconds ahead by default), and the unit: a
    /// timestamp in milliseconds that is read as seconds is in the future.
    PAYLOAD_IN_FUTURE = "payload_in_future";
    /// The key that the credential is bound to is not known.
    ///
    /// Look at: `payload-key` in the record's confirmation, against the list of keys (`PayloadKeyMap`) or the name and the master
    /// secrets (`DerivedSecrets`).
    PAYLOAD_KEY_UNKNOWN = "payload_key_unknown";
    /// The keys that credentials are bound to are not available.
    ///
    /// Look at: the warning in the log, which names the cause, and the `PayloadKeys` of the application.
    PAYLOAD_KEYS_UNAVAILABLE = "payload_keys_unavailable";
    /// The body of the request was not read before its signature was to be verified.
    ///
    /// Look at: the layers of the application: that of `PayloadProof::body_layer` is outside of `AuthLayer`. In axum, the last
    /// `.layer` call adds the outermost one.
    PAYLOAD_NOT_READ = "payload_not_read";
    /// The signed request was received before.
    ///
    /// Look at: senders and proxies that repeat a request, and requests that pass two layers with one replay guard; otherwise
    /// somebody else replays it. With `ReplayId::Message`, a sender's own retry is refused as well.
    PAYLOAD_REPLAY = "payload_replay";
    /// The replay guard has no room for another signed request.
    ///
    /// Look at: the rate of all signed requests against the one declared with `MemoryReplayGuard::for_rates` (1 000 a second by
    /// default), and the tolerance or replay window: a request is recorded for that long.
    PAYLOAD_REPLAY_FULL = "payload_replay_full";
    /// The replay guard has no room for another signed request of this sender.
    ///
    /// Look at: the sender's rate against the one declared with `MemoryReplayGuard::for_rates` or `RedisReplayGuard::per_key`,
    /// and the tolerance or replay window.
    PAYLOAD_REPLAY_KEY_FULL = "payload_replay_key_full";
    /// The replay guard could not be queried.
    ///
    /// Look at: the warning in the log, which names the cause; then the Redis server that holds the records, and the network to
    /// it.
    PAYLOAD_REPLAY_UNAVAILABLE = "payload_replay_unavailable";
    /// The request has no signature.
    ///
    /// Look at: whether the sender signs its requests, whether it uses the configured `PayloadScheme`, and proxies that remove
    /// header fields.
    PAYLOAD_SIGNATURE_MISSING = "payload_signature_missing";
    /// The field of the signature is malformed.
    ///
    /// Look at: the sender, and the encoding of the configured `PayloadScheme`: hexadecimal digits, or base64 with padding.
    PAYLOAD_SIGNATURE_SYNTAX = "payload_signature_syntax";
    /// The field of the signature is longer than 4096 bytes, or has more than 8 signatures.
    ///
    /// Look at: the sender; while a secret is rotated, two signatures are usual.
    PAYLOAD_SIGNATURE_TOO_LONG = "payload_signature_too_long";
    /// The request has signatures of unsupported versions only.
    ///
    /// Look at: the prefix of the signature against that of the configured `PayloadScheme`, such as `sha256=`, `v0=` or `v1`.
    PAYLOAD_SIGNATURE_VERSION = "payload_signature_version";
    /// No signature of the request is valid with one of the keys.
    ///
    /// Look at: the secret, and its form (`PayloadKey`); whether a proxy or a layer outside changes the body, such as one that
    /// decompresses or parses it; otherwise somebody else has sent or changed the request.
    PAYLOAD_SIGNATURE_WRONG = "payload_signature_wrong";
    /// The timestamp of the signature is too far in the past.
    ///
    /// Look at: the clocks of the sender and of this server, queues between them, the tolerance (300 seconds by default), and
    /// the unit of the timestamp; otherwise somebody else has recorded the request.
    PAYLOAD_STALE = "payload_stale";
    /// The request lacks the timestamp that the signature covers.
    ///
    /// Look at: whether the sender uses the configured `PayloadScheme`, and proxies that remove header fields.
    PAYLOAD_TIMESTAMP_MISSING = "payload_timestamp_missing";
    /// The timestamp of the signature is not a decimal number.
    ///
    /// Look at: the sender: a timestamp is the number of seconds or milliseconds since the Unix epoch.
    PAYLOAD_TIMESTAMP_SYNTAX = "payload_timestamp_syntax";
}

/// The reasons of requests that are not recorded as new.
pub(in crate::signature) static REPLAY_REASONS: ReplayReasons = ReplayReasons {
    replayed: Reason::PAYLOAD_REPLAY,
    key_full: Reason::PAYLOAD_REPLAY_KEY_FULL,
    full: Reason::PAYLOAD_REPLAY_FULL,
    unavailable: Reason::PAYLOAD_REPLAY_UNAVAILABLE,
};
