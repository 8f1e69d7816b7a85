//! Reasons of refusals by the verification of proofs.

use crate::reason::reasons;

reasons! {
    /// The proof is signed with an algorithm that is not allowed.
    ///
    /// Look at: `alg` in the proof's header against `Dpop::algorithms` (ES256, ES384, EdDSA, PS256 and RS256 by
    /// default).
    DPOP_ALGORITHM = "dpop_algorithm";
    /// The proof was made for another access token (`ath`).
    ///
    /// Look at: whether the client makes a new proof after it refreshes its token, and how it computes `ath`: the
    /// SHA-256 of the token as it is sent, in base64url without padding.
    DPOP_ATH = "dpop_ath";
    /// The proof lacks a required claim.
    ///
    /// Look at: the client's proofs: `jti`, `htm`, `htu`, `iat` and `ath` are required.
    DPOP_CLAIM_MISSING = "dpop_claim_missing";
    /// A claim of the proof has the wrong JSON type.
    ///
    /// Look at: the client's proofs: `iat`, `exp` and `nbf` are numbers, the other claims strings.
    DPOP_CLAIM_TYPE = "dpop_claim_type";
    /// The proof's payload is not an accepted JSON object.
    ///
    /// Look at: the client's DPoP library. A payload with a member name twice is refused as well.
    DPOP_CLAIMS_SYNTAX = "dpop_claims_syntax";
    /// The proof's header requires an extension (`crit`, `b64`); none is supported.
    ///
    /// Look at: the client's DPoP library; proofs do not use these.
    DPOP_CRITICAL = "dpop_critical";
    /// The proof has expired by its own `exp`.
    ///
    /// Look at: the clocks of the client and of this server, and clients that use a proof again; `exp` is optional in
    /// proofs.
    DPOP_EXPIRED = "dpop_expired";
    /// The proof's header is not an accepted JSON object.
    ///
    /// Look at: what the client sends in the `DPoP` header. A header with a member name twice is refused as well.
    DPOP_HEADER_SYNTAX = "dpop_header_syntax";
    /// The proof was made for another HTTP method (`htm`).
    ///
    /// Look at: the client, and proxies that change the method; the comparison is case-sensitive.
    DPOP_HTM = "dpop_htm";
    /// The proof was made for another URL (`htu`).
    ///
    /// Look at: the public URLs given to `Dpop::new` and `Dpop::public_url`: scheme, host, port and path prefix; then
    /// `Dpop::path_rewrite` if a proxy changes paths, and `htu` in the client's proof.
    DPOP_HTU = "dpop_htu";
    /// The proof was made too far in the future (`iat`).
    ///
    /// Look at: the clocks of the client and of this server, and `Dpop::window` (30 seconds ahead by default, one
    /// hour with nonces).
    DPOP_IN_FUTURE = "dpop_in_future";
    /// The proof's id (`jti`) is empty or longer than 1024 bytes.
    ///
    /// Look at: the client's DPoP library.
    DPOP_JTI = "dpop_jti";
    /// The proof's header has no usable public key (`jwk`).
    ///
    /// Look at: the client's `jwk`: a public key of kind EC, OKP or RSA without private members, whose `alg`, if
    /// present, is that of the header, `use` is `sig`, and `key_ops` contains `verify`.
    DPOP_KEY = "dpop_key";
    /// The proof has no nonce, and one is required.
    ///
    /// Look at: whether the client repeats the request with the nonce of the response's `DPoP-Nonce`; the first refusal
    /// of a client is normal. In browsers, CORS must expose `DPoP-Nonce` and `WWW-Authenticate`.
    DPOP_NONCE_MISSING = "dpop_nonce_missing";
    /// The nonce of the proof is too old, or was not issued by this server.
    ///
    /// Look at: whether it persists: one refusal is normal when the nonce changes. If it does, all nodes need the same
    /// secret (`Nonces::shared`) and the same period.
    DPOP_NONCE_STALE = "dpop_nonce_stale";
    /// The proof is not valid yet by its own `nbf`.
    ///
    /// Look at: the clocks of the client and of this server; `nbf` is optional in proofs.
    DPOP_NOT_YET_VALID = "dpop_not_yet_valid";
    /// The `DPoP` header contains characters that are not ASCII.
    ///
    /// Look at: what the client sends in the `DPoP` header.
    DPOP_PROOF_CHARACTERS = "dpop_proof_characters";
    /// The token was sent under the scheme `DPoP`, and the request has no `DPoP` header.
    ///
    /// Look at: the client, and proxies that remove the header; in browsers, CORS must allow it.
    DPOP_PROOF_MISSING = "dpop_proof_missing";
    /// The proof is longer than 8 KiB.
    ///
    /// Look at: the client's DPoP library; a certificate chain in the proof's header is a possible cause.
    DPOP_PROOF_TOO_LONG = "dpop_proof_too_long";
    /// The proof was used before.
    ///
    /// Look at: clients and proxies that repeat a request with the same proof, and requests that pass two layers with
    /// the same `Dpop`; otherwise somebody else replays the proof.
    DPOP_REPLAY = "dpop_replay";
    /// The replay guard has no room for another proof.
    ///
    /// Look at: the rate of all requests with proofs against the one declared with `MemoryReplayGuard::for_rates` (1 000 a
    /// second by default), and `Dpop::window`: a proof is kept for as long as it is valid.
    DPOP_REPLAY_FULL = "dpop_replay_full";
    /// The replay guard has no room for another proof of this key.
    ///
    /// Look at: the client's request rate against the one declared with `MemoryReplayGuard::for_rates` or
    /// `RedisReplayGuard::per_key` (10 a second by default), and `Dpop::window`.
    DPOP_REPLAY_KEY_FULL = "dpop_replay_key_full";
    /// The replay guard could not be queried.
    ///
    /// Look at: the warning in the log, which names the cause; then the Redis server that holds the proofs, and the
    /// network to it.
    DPOP_REPLAY_UNAVAILABLE = "dpop_replay_unavailable";
    /// The proof's signature is wrong.
    ///
    /// Look at: the client's DPoP library: the proof must be signed with the private key of its `jwk`, and ECDSA
    /// signatures are raw (RFC 7518 §3.4), not DER.
    DPOP_SIGNATURE = "dpop_signature";
    /// The proof is not a compact JWS.
    ///
    /// Look at: what the client sends in the `DPoP` header: three segments in base64url without padding.
    DPOP_SYNTAX = "dpop_syntax";
    /// The proof was made too long ago (`iat`).
    ///
    /// Look at: clients that use a proof again, the clocks of the client and of this server, and `Dpop::window` (300
    /// seconds by default, one hour with nonces).
    DPOP_TOO_OLD = "dpop_too_old";
    /// The `DPoP` header does not contain a proof: its `typ` is not `dpop+jwt`.
    ///
    /// Look at: what the client sends in the `DPoP` header; some clients repeat the access token there.
    DPOP_TYPE = "dpop_type";
    /// The request has more than one `DPoP` header.
    ///
    /// Look at: the client, and proxies that add or repeat headers.
    SEVERAL_DPOP_PROOFS = "several_dpop_proofs";
}
