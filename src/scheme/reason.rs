//! The reasons of this module.

use crate::reason::reasons;

reasons! {
    /// The credential contains a control character or a byte that is not ASCII.
    ///
    /// Look at: how the client builds the header; a line break or a typographic character copied together with the key
    /// is the usual cause.
    CREDENTIAL_CHARACTERS = "credential_characters";
    /// A credential header is present, and contains no credential.
    ///
    /// Look at: the client's configuration; the variable that should hold its key or token is usually empty.
    CREDENTIAL_EMPTY = "credential_empty";
    /// The query string seems to carry a credential, and no header does; query strings are ignored.
    ///
    /// Look at: the client, which must send the credential in a header. Replace the credential: URLs end up in access
    /// logs.
    CREDENTIAL_IN_QUERY = "credential_in_query";
    /// The value of a credential header contains a comma, like a list of several credentials.
    ///
    /// Look at: a proxy that joins header lines with commas, and clients that put two schemes into one `Authorization`
    /// header.
    CREDENTIAL_LIST = "credential_list";
    /// The credential is not well-formed for its scheme.
    ///
    /// Look at: how the client writes the header: `Bearer` and `DPoP` take one token (RFC 6750 §2.1), `ApiKey` one key
    /// without spaces. Quotes around the token and a repeated scheme name are the usual mistakes.
    CREDENTIAL_SYNTAX = "credential_syntax";
    /// The value of the credential header is longer than 16 KiB.
    ///
    /// Look at: the size of the issuer's tokens; long lists of groups or roles in the claims are the usual cause.
    CREDENTIAL_TOO_LONG = "credential_too_long";
    /// The request carries more than one credential.
    ///
    /// Look at: the client and the proxies in front of the server: only one of `Authorization`, the API key header and
    /// the other configured locations may be present, and only once.
    SEVERAL_CREDENTIALS = "several_credentials";
    /// The `Authorization` header has a scheme that the layer does not support.
    ///
    /// Look at: the scheme that the client sends; `Basic` comes from browsers and from URLs with a password, and `DPoP`
    /// needs `AuthLayer::dpop`.
    UNSUPPORTED_SCHEME = "unsupported_scheme";
}
