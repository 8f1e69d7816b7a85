//! The reasons of this module.

use crate::reason::reasons;

reasons! {
    /// A layer or an extractor needs the caller, and `AuthLayer` is missing, or inside of it.
    ///
    /// Look at: the order of the layers and routes: `AuthLayer` must be outside of whatever needs the caller. The last
    /// `Router::layer` is the outermost one, and covers only the routes added before it; the first layer of a
    /// `ServiceBuilder` is the outermost one.
    AUTH_LAYER_MISSING = "auth_layer_missing";
    /// The credential is bound to another client certificate than the one of the request.
    ///
    /// Look at: whether the client renewed its certificate after the token was issued (`x5t#S256` in `cnf`) or the key
    /// was minted (`confirmation` in its record); if it did not, somebody else uses the credential.
    CERTIFICATE_MISMATCH = "certificate_mismatch";
    /// The credential is bound to a client certificate, and the request has none.
    ///
    /// Look at: whether the client connects with its certificate, and whether the layer has `CertificateProof`; behind
    /// a proxy, the header and the proxies configured for `ForwardedCertificateLayer`.
    CERTIFICATE_MISSING = "certificate_missing";
    /// The request carries no credential.
    ///
    /// Look at: the client; if it does send one, look for a proxy that removes the header, another name for the API key
    /// header (`X-API-Key` by default), and CORS preflights that reach the layer.
    CREDENTIAL_MISSING = "credential_missing";
    /// The credential has expired.
    ///
    /// Look at: `exp` of the token, the end of the certificate's validity, or `expires_at` and `replaced` in the key's
    /// record; for a fresh credential, the clocks of the issuer and of this server.
    EXPIRED = "expired";
    /// The proof was made with another key than the one the credential is bound to.
    ///
    /// Look at: whether the client made a new key after the token was issued (`jkt` in `cnf`); if it did not, somebody
    /// else uses the token.
    KEY_MISMATCH = "key_mismatch";
    /// The credential was sent under the scheme `DPoP`, and is not bound to a key.
    ///
    /// Look at: the issuer's setting for DPoP-bound tokens (`jkt` in the token's `cnf`), or `confirmation` in the key's
    /// record; a client with an unbound token must send it as `Bearer`.
    KEY_NOT_BOUND = "key_not_bound";
    /// The credential is bound to a key, and the request does not prove that the sender holds it.
    ///
    /// Look at: the scheme that the client uses: a bound token needs `DPoP` and a proof, not `Bearer`; and whether the
    /// layer has `AuthLayer::dpop`.
    KEY_PROOF_MISSING = "key_proof_missing";
    /// The client's address is outside the networks that the credential is limited to.
    ///
    /// Look at: `networks` in the key's record, and the trusted proxies: if a proxy is not configured as trusted, the
    /// address is that of the proxy.
    NETWORK_FORBIDDEN = "network_forbidden";
    /// The API key is not in the store, or the issuer's key set has no key for the token.
    ///
    /// Look at: for API keys, whether the client uses a key of another environment, whether the record was deleted, and
    /// the peppers; for JWTs, `kid` in the token's header against the issuer's key set, and `accept_missing_kid` for
    /// tokens without `kid`.
    KEY_UNKNOWN = "key_unknown";
    /// A layer accepts only credentials that are bound to their sender, and this one is not bound in the required way.
    ///
    /// Look at: the `SenderConstraint` of the layer or route, and the issuer's setting for certificate-bound or
    /// DPoP-bound tokens; for API keys, `confirmation` in the key's record.
    NOT_SENDER_CONSTRAINED = "not_sender_constrained";
    /// The client's address is unknown, and a credential with networks, a policy by networks, a rate limit or a
    /// `ForwardedCertificateLayer` needs it.
    ///
    /// Look at: for 500, how the server is started: axum needs `into_make_service_with_connect_info::<SocketAddr>()`, tonic
    /// and servers on Unix sockets a `PeerLayer`, other servers must insert `Peer`. For 401 and 403, what the trusted proxy
    /// writes into `X-Forwarded-For` or `Forwarded`, and whether it is configured in a `ClientAddressLayer`.
    PEER_UNKNOWN = "peer_unknown";
    /// The proof of a custom method was made with another key than the one the credential is bound to.
    ///
    /// Look at: the member of the token's `cnf`, and the custom proof that verifies it.
    PROOF_MISMATCH = "proof_mismatch";
    /// The credential is bound by a method that the request does not prove.
    ///
    /// Look at: the members of the token's `cnf`, and the proofs that the `AuthLayer` was configured with: a member that no
    /// proof verifies can be ignored with `Issuer::ignore_confirmation`.
    PROOF_MISSING = "proof_missing";
    /// The credential belongs to another tenant than the one that is required.
    ///
    /// Look at: `tenant` in the key's record or the tenant claim of the token, against the tenant that `ApiKeysBuilder` was
    /// configured with, the tenant in a request to the key routes, the `AllowedTenants` of the route, or the tenant of the
    /// subject that the caller acts for.
    TENANT_MISMATCH = "tenant_mismatch";
}
