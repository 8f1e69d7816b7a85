use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tower_warden::{ConfigError, Digest, UnixTime, api_key::KeyDigest, certificate::CertificateName, scope::Scopes};

use super::{Client, ClientAuthentication, ClientKeys, ClientSecrets, GrantType, TokenBinding, secrets::Replaced};

/// A client as stores and configurations have it, in JSON for example. Secrets are digests.
///
/// # Compatibility
///
/// A record of a newer version of this crate may have a member, a method of authentication or a grant that this version does
/// not have. It is refused as a whole, because what is unknown may be a restriction. What a later version adds is optional, so
/// it reads the records of this one.
///
/// # Examples
///
/// ```
/// use tower_warden::api_key::KeyDigest;
/// use tower_warden_issuer::{Client, ClientAuthentication, ClientRecord, ClientSecrets};
///
/// let secrets = ClientSecrets::new(KeyDigest::sha256("a secret that a generator has made"));
/// let client = Client::new("agent-7", "https://orders.example.com")?
///     .authentication(ClientAuthentication::SecretBasic(secrets))
///     .scopes("orders:read")?;
/// let json = serde_json::to_string(&ClientRecord::try_from(&client)?)?;
///
/// let record: ClientRecord = serde_json::from_str(&json)?;
/// assert_eq!(Client::try_from(record)?.id(), "agent-7");
///
/// let unknown = json.replace("client_secret_basic", "none");
/// assert!(serde_json::from_str::<ClientRecord>(&unknown).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ClientRecord {
    id: Box<str>,
    authentication: Vec<MethodRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    binding: Option<TokenBinding>,
    grants: Vec<GrantType>,
    /// `true` for a client that has no credential.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    public: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    redirect_uris: Vec<Box<str>>,
    /// The first is the default.
    resources: Vec<Box<str>>,
    scopes: Scopes,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    served: Vec<Box<str>>,
}

/// A method of authentication, by the name that RFC 7591 §2 has for it.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case", tag = "method")]
enum MethodRecord {
    AgentSecret { secrets: SecretsRecord },
    ClientSecretBasic { secrets: SecretsRecord },
    ClientSecretPost { secrets: SecretsRecord },
    PrivateKeyJwt { keys: Vec<Value> },
    SelfSignedTlsClientAuth { thumbprints: Vec<Box<str>> },
    TlsClientAuth { name: CertificateName },
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SecretsRecord {
    current: KeyDigest,
    /// The newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    replaced: Vec<ReplacedRecord>,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ReplacedRecord {
    digest: KeyDigest,
    until: UnixTime,
}

impl ClientRecord {
    /// The id of the client.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// Fails if the keys of the client are those of a custom source.
impl TryFrom<&Client> for ClientRecord {
    type Error = ConfigError;

    fn try_from(client: &Client) -> Result<Self, ConfigError> {
        // Without `..`: a field that is added has to be in the record.
        let Client { authentication, binding, code, grants, id, resources, scopes, served } = client;
        Ok(Self {
            id: id.clone(),
            authentication: authentication.iter().map(MethodRecord::try_from).collect::<Result<_, _>>()?,
            binding: *binding,
            grants: grants.clone(),
            public: code.is_public(),
            redirect_uris: code.redirect_uris().map(Into::into).collect(),
            resources: resources.clone(),
            scopes: scopes.clone(),
            served: served.clone(),
        })
    }
}

/// Fails if the record is not one of a valid client.
impl TryFrom<ClientRecord> for Client {
    type Error = ConfigError;

    fn try_from(record: ClientRecord) -> Result<Self, ConfigError> {
        let ClientRecord { id, authentication, binding, grants, public, redirect_uris, resources, scopes, served } =
            record;
        let mut resources = resources.iter();
        let first = resources.next().ok_or_else(|| ConfigError::custom("a client has a resource").value(&id))?;
        let client = resources.try_fold(Self::new(&id, first)?, |client, resource| client.resource(resource))?;
        let client = if public { client.public() } else { client };
        let client = redirect_uris.iter().try_fold(client, |client, uri| client.redirect_uri(uri))?;
        // RFC 8705 §2.1.2: a client has one expected name. Which of two is meant is unknown.
        let is_name = |method: &&MethodRecord| matches!(method, MethodRecord::TlsClientAuth { .. });
        if authentication.iter().filter(is_name).count() > 1 {
            return Err(ConfigError::custom("a client has one name in its certificates").value(&id));
        }
        let client = served.iter().try_fold(client, |client, resource| client.serve(resource))?;
        let authentication = authentication.into_iter().map(ClientAuthentication::try_from);
        Ok(Self { authentication: authentication.collect::<Result<_, _>>()?, binding, grants, scopes, ..client })
    }
}

impl TryFrom<&ClientAuthentication> for MethodRecord {
    type Error = ConfigError;

    fn try_from(method: &ClientAuthentication) -> Result<Self, ConfigError> {
        Ok(match method {
            ClientAuthentication::AgentSecret(secrets) => Self::AgentSecret { secrets: secrets.into() },
            ClientAuthentication::PrivateKeyJwt(keys) => {
                let jwks = keys.jwks.as_deref();
                let message = "the keys of a client that is stored are a JWK set: `ClientKeys::from_jwk_set`";
                Self::PrivateKeyJwt { keys: jwks.ok_or_else(|| ConfigError::custom(message))?.to_vec() }
            }
            ClientAuthentication::SecretBasic(secrets) => Self::ClientSecretBasic { secrets: secrets.into() },
            ClientAuthentication::SecretPost(secrets) => Self::ClientSecretPost { secrets: secrets.into() },
            ClientAuthentication::SelfSignedTls(thumbprints) => {
                let texts = thumbprints.iter().map(|thumbprint| thumbprint.to_base64url().into());
                Self::SelfSignedTlsClientAuth { thumbprints: texts.collect() }
            }
            ClientAuthentication::Tls(name) => Self::TlsClientAuth { name: name.clone() },
        })
    }
}

impl TryFrom<MethodRecord> for ClientAuthentication {
    type Error = ConfigError;

    fn try_from(method: MethodRecord) -> Result<Self, ConfigError> {
        Ok(match method {
            MethodRecord::AgentSecret { secrets } => Self::AgentSecret(secrets.into()),
            MethodRecord::ClientSecretBasic { secrets } => Self::SecretBasic(secrets.into()),
            MethodRecord::ClientSecretPost { secrets } => Self::SecretPost(secrets.into()),
            MethodRecord::PrivateKeyJwt { keys } => Self::PrivateKeyJwt(ClientKeys::from_jwks(&keys)?),
            MethodRecord::SelfSignedTlsClientAuth { thumbprints } => {
                let digests = thumbprints.iter().map(|text| Digest::from_base64url(text)).collect::<Option<_>>();
                let message = "the thumbprint of a certificate is 43 characters of canonical base64url";
                Self::SelfSignedTls(digests.ok_or_else(|| ConfigError::custom(message))?)
            }
            MethodRecord::TlsClientAuth { name } => Self::Tls(name),
        })
    }
}

impl From<&ClientSecrets> for SecretsRecord {
    fn from(secrets: &ClientSecrets) -> Self {
        let replaced = secrets.replaced.iter();
        Self {
            current: secrets.current.clone(),
            replaced: replaced.map(|old| ReplacedRecord { digest: old.digest.clone(), until: old.until }).collect(),
        }
    }
}

impl From<SecretsRecord> for ClientSecrets {
    fn from(SecretsRecord { current, replaced }: SecretsRecord) -> Self {
        let replaced = replaced.into_iter().map(|ReplacedRecord { digest, until }| Replaced { digest, until });
        Self { current, replaced: replaced.collect() }
    }
}

impl Serialize for GrantType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for GrantType {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let grant = Self::ALL.into_iter().find(|grant| grant.as_str() == name);
        grant.ok_or_else(|| serde::de::Error::custom("the grant is not one of this version"))
    }
}

impl fmt::Debug for ClientRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientRecord").field("id", &self.id).finish_non_exhaustive()
    }
}
