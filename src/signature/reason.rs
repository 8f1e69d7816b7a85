//! Reasons of refusals by the verification of signatures.

use crate::reason::reasons;

reasons! {
    /// The signature covers no member of `Signature-Agent` with the URL of a directory.
    ///
    /// Look at: the field, a dictionary whose member is a string with an `https` URL without parameters, and the
    /// component `"signature-agent";key="…"`.
    SIGNATURE_AGENT = "signature_agent";
    /// The key of the signature has an algorithm that is not allowed, or `alg` names another one.
    ///
    /// Look at: the algorithm of the key in the key source against `SignaturePolicy::algorithms`, and the parameter
    /// `alg`, which clients may leave out.
    SIGNATURE_ALGORITHM = "signature_algorithm";
    /// The signature covers a component twice, or one that is unknown or not supported, such as a trailer field.
    ///
    /// Look at: the components in `Signature-Input`; names of fields are in lower case.
    SIGNATURE_COMPONENT = "signature_component";
    /// The request does not have a component that the signature covers.
    ///
    /// Look at: proxies that remove header fields; a covered field that holds other characters than ASCII needs
    /// `bs`, and one with `sf` a type, see `SignaturePolicy::structured_field`.
    SIGNATURE_COMPONENT_ABSENT = "signature_component_absent";
    /// The content of the request is not the one that `Content-Digest` describes, or has trailer fields.
    ///
    /// Look at: layers and proxies that change the body, such as by decompression, and how the client computes the
    /// digest: over the bytes that are sent.
    SIGNATURE_CONTENT_CHANGED = "signature_content_changed";
    /// The request has content, and its signature covers no `content-digest` by SHA-256 or SHA-512.
    ///
    /// Look at: the client, which has to send `Content-Digest` (RFC 9530) and to cover it.
    SIGNATURE_CONTENT_NOT_COVERED = "signature_content_not_covered";
    /// The layer that compares content with its digest is missing.
    ///
    /// Look at: the stack: a `BodyCheckLayer` with a `ContentDigestCheck` belongs outside of the `AuthLayer`.
    SIGNATURE_CONTENT_UNCHECKED = "signature_content_unchecked";
    /// The signature has no parameter `created`.
    ///
    /// Look at: the client; without a time, a signature can be replayed later.
    SIGNATURE_CREATED_MISSING = "signature_created_missing";
    /// The signature has expired by its own `expires`.
    ///
    /// Look at: the clocks of the client and of this server, and clients that send a request again with the same
    /// signature.
    SIGNATURE_EXPIRED = "signature_expired";
    /// The signature has no parameter `expires`, and one is required.
    ///
    /// Look at: the client; agents of Web Bot Auth send it.
    SIGNATURE_EXPIRES_MISSING = "signature_expires_missing";
    /// The signature was made too far in the future (`created`), or has no `created` and expires too late.
    ///
    /// Look at: the clocks of the client and of this server, and `SignaturePolicy::skew` (60 seconds by default); without
    /// `created`, `expires` against `SignaturePolicy::max_age`.
    SIGNATURE_IN_FUTURE = "signature_in_future";
    /// The directory of the agent states that the key has expired (`exp`).
    ///
    /// Look at: the directory of the agent, which has to sign with another key; the clock of this server, and
    /// `SignaturePolicy::skew`.
    SIGNATURE_KEY_EXPIRED = "signature_key_expired";
    /// The signature has no parameter `keyid`.
    ///
    /// Look at: the client; the key is looked up by its id.
    SIGNATURE_KEY_MISSING = "signature_key_missing";
    /// The directory of the agent states that the key is not valid yet (`nbf`).
    ///
    /// Look at: the directory of the agent, which has to publish a key before it signs with it; the clock of this server, and
    /// `SignaturePolicy::skew`.
    SIGNATURE_KEY_NOT_YET_VALID = "signature_key_not_yet_valid";
    /// The key of the signature is unknown, or has left its set.
    ///
    /// Look at: `keyid` against the ids in the key source; after a rotation, whether the source has the new key.
    SIGNATURE_KEY_UNKNOWN = "signature_key_unknown";
    /// The key of the signature could not be looked up.
    ///
    /// Look at: the warning in the log, which names the cause; then the source of keys, and the network to it.
    SIGNATURE_KEYS_UNAVAILABLE = "signature_keys_unavailable";
    /// `Signature-Input` and `Signature` do not have the same labels, or one of the two is absent.
    ///
    /// Look at: the client, and proxies that remove or merge one of the two header fields.
    SIGNATURE_LABELS = "signature_labels";
    /// The signature has no parameter `nonce`, and one is required.
    ///
    /// Look at: the client, and `SignaturePolicy::require_nonce`.
    SIGNATURE_NONCE_MISSING = "signature_nonce_missing";
    /// The signature does not cover a required component.
    ///
    /// Look at: the components in `Signature-Input` against `Accept-Signature` in the response, which names those
    /// that are required: of `authorization`, the field of the subject's credential, and with content `content-type` and
    /// `content-encoding`, those that the request has. A proxy that adds one of them to signed requests causes this as well.
    SIGNATURE_NOT_COVERED = "signature_not_covered";
    /// A parameter of the signature has the wrong type or is too long, or `expires` is before `created`.
    ///
    /// Look at: the client: `created` and `expires` are integers; `alg`, `keyid`, `nonce` and `tag` are strings of
    /// up to 256 bytes.
    SIGNATURE_PARAMETER = "signature_parameter";
    /// The signature was used before.
    ///
    /// Look at: clients and proxies that repeat a request with the same signature, and clients that send equal
    /// requests in one second without a `nonce`; otherwise somebody else replays the request.
    SIGNATURE_REPLAY = "signature_replay";
    /// The replay guard has no room for another signature.
    ///
    /// Look at: the rate of all signed requests against the guard of `SignaturePolicy::replay_guard` (400 000 signatures
    /// by default), and `SignaturePolicy::max_age`: a signature is kept for as long as it is valid.
    SIGNATURE_REPLAY_FULL = "signature_replay_full";
    /// The replay guard has no room for another signature of this key.
    ///
    /// Look at: the client's request rate against the guard of `SignaturePolicy::replay_guard` (20 000 signatures of a
    /// key by default, 10 a second by `RedisReplayGuard::per_key`), and `SignaturePolicy::max_age`.
    SIGNATURE_REPLAY_KEY_FULL = "signature_replay_key_full";
    /// The replay guard could not be queried.
    ///
    /// Look at: the warning in the log, which names the cause; then the server that holds the used signatures, and
    /// the network to it.
    SIGNATURE_REPLAY_UNAVAILABLE = "signature_replay_unavailable";
    /// `Signature-Input` or `Signature` is not a dictionary of the required form.
    ///
    /// Look at: what the client sends in the two header fields. A label that occurs twice is refused as well.
    SIGNATURE_SYNTAX = "signature_syntax";
    /// No signature of the request has the expected `tag`.
    ///
    /// Look at: the `tag` that clients use against `SignaturePolicy::tag`; without one there, signatures with a tag
    /// are made for something else.
    SIGNATURE_TAG = "signature_tag";
    /// `Signature-Input` or `Signature` is longer than 16 KiB, a signature covers more than 32 components, more than three
    /// signatures meet the policy or would without the content, or what they cover is longer than 128 KiB.
    ///
    /// Look at: what the client sends. Fields that are covered with `sf` or `key` count four times, and the query once more if
    /// a parameter of it is covered.
    SIGNATURE_TOO_LONG = "signature_too_long";
    /// The signature was made too long ago (`created`).
    ///
    /// Look at: clients that send a request again with the same signature, the clocks of the client and of this
    /// server, and `SignaturePolicy::max_age` (300 seconds by default).
    SIGNATURE_TOO_OLD = "signature_too_old";
    /// The signature does not verify with the key.
    ///
    /// Look at: what a proxy changes between the client and this server: path, query, and the covered fields; the
    /// origin given to `SignaturePolicy::new` and `SignaturePolicy::removed_prefix`; then the client's signature
    /// base.
    SIGNATURE_WRONG = "signature_wrong";
}
