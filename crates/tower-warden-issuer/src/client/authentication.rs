use std::fmt;

use tower_warden::{Digest, certificate::CertificateName, jwt::KeySource};

use super::{ClientKeys, ClientSecrets};

/// A method of authentication at the token endpoint, with what verifies it.
#[derive(Clone)]
#[non_exhaustive]
pub enum ClientAuthentication {
    /// A secret in JSON at the [endpoints for agents](crate::TokenIssuerBuilder::agent_api). The client refreshes its tokens
    /// there without it.
    AgentSecret(ClientSecrets),
    /// `private_key_jwt`: an assertion that is signed with one of these keys
    /// ([RFC 7523 §2.2](https://www.rfc-editor.org/rfc/rfc7523#section-2.2)).
    PrivateKeyJwt(ClientKeys),
    /// `client_secret_basic`: a secret in the field `Authorization`
    /// ([RFC 6749 §2.3.1](https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1)).
    SecretBasic(ClientSecrets),
    /// `client_secret_post`: a secret in the form.
    SecretPost(ClientSecrets),
    /// `self_signed_tls_client_auth`: one of these client certificates, by its SHA-256 thumbprint
    /// ([RFC 8705 §2.2](https://www.rfc-editor.org/rfc/rfc8705#section-2.2)). Its chain is not verified.
    SelfSignedTls(Vec<Digest>),
    /// `tls_client_auth`: a client certificate of a trusted authority that has this name
    /// ([RFC 8705 §2.1](https://www.rfc-editor.org/rfc/rfc8705#section-2.1)).
    Tls(CertificateName),
}

impl ClientAuthentication {
    /// `private_key_jwt` with these keys, such as [`StaticKeys`](tower_warden::jwt::StaticKeys). A client that is stored has
    /// [`ClientKeys::from_jwk_set`] instead.
    pub fn private_key_jwt(keys: impl KeySource) -> Self {
        Self::PrivateKeyJwt(ClientKeys::from_source(keys))
    }
}

impl fmt::Debug for ClientAuthentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AgentSecret(_) => "AgentSecret(..)",
            Self::PrivateKeyJwt(_) => "PrivateKeyJwt(..)",
            Self::SecretBasic(_) => "SecretBasic(..)",
            Self::SecretPost(_) => "SecretPost(..)",
            Self::SelfSignedTls(_) => "SelfSignedTls(..)",
            Self::Tls(_) => "Tls(..)",
        })
    }
}
