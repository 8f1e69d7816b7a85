use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Deserializer};

use self::{members::Members, tree::Tree};
pub(super) use self::{
    members::Problem,
    service::{Auth, Kind, Login, OAuth, ServiceConfig},
};
use super::CredentialsError;

mod members;
mod service;
mod tree;

/// The services of each environment of an application, such as development, staging and production, and the kind of
/// credential that each one needs there.
///
/// It is deserialized from any format that describes itself, such as TOML, JSON or YAML: the name of an environment,
/// the name of a service, and the members of the service. Names of secrets are those of the
/// [`SecretSource`](crate::secret::SecretSource) of the environment. Values of secrets are refused, as far as they can
/// be recognized: by the name of the member (`api_key`, `client_secret`), or by their form (`sk_…`, PEM). All
/// environments are checked, whichever one is used later. An error names the path of the member, and never contains a
/// value.
///
/// ```toml
/// [development.billing]
/// kind = "api_key"
/// origin = "http://127.0.0.1:8080"
/// key_name = "BILLING_API_KEY"
/// field = "x-api-key"
///
/// [staging.billing]
/// kind = "client_credentials"
/// origin = "https://billing.staging.example.com"
/// token_url = "https://auth.staging.example.com/token"
/// client_id = "agent"
/// secret_name = "billing-client-secret"
/// scopes = ["billing:read", "billing:write"]
///
/// [production.billing]
/// kind = "mtls"
/// origin = "https://billing.example.com"
/// token_url = "https://auth.example.com/token"
/// client_id = "agent"
/// scopes = ["billing:read", "billing:write"]
/// ```
///
/// The members in addition to `kind` and `origin`, by `kind`:
///
/// - `api_key`: `key_name`; `scopes`; instead of `Authorization: Bearer`, `field`, the header field of the key, or `scheme`,
///   its scheme, such as `ApiKey`; `created`, `rotate_after_days`.
/// - `client_credentials`: `token_url`, `client_id`; `auth`, which is `basic` (default) or `post` with `secret_name`,
///   `private_key_jwt` with `private_key_name`, `issuer` and `algorithm` (`ES256` by default), or `none`; `scopes`,
///   `audience`, `resource`, `dpop`; `created`, `rotate_after_days`.
/// - `mtls`: `token_url`, `client_id`; `scopes`, `audience`, `resource`, `dpop`. The certificate is that of an [HTTP
///   client](super::CredentialsBuilder::http_for).
/// - `refresh`: `store`, the file of the refresh token, and the members of `client_credentials` without `scopes`,
///   `audience` and `resource`; `dpop` not with the `auth` `none`, because the refresh token of such a client is bound to
///   the key, and each process makes a new one.
/// - `json_login`: `login_url`; `fields` and `secret_names`, maps of texts and of names of secrets by the members of
///   the login; `token_member`, `expires_in_member`, of its responses; `refresh_url`; `refresh_member`, of the requests
///   there, and `refresh_token_member`, of the responses, both `refresh_token` by default; `store`; `created`,
///   `rotate_after_days`.
/// - `token_file`: `path`.
///
/// `created` is a day, such as `"2026-11-01"`: with `rotate_after_days`, a warning is logged three days before the
/// secrets of the service have to be replaced.
///
/// # Examples
///
/// ```
/// use tower_warden_client::credentials::CredentialsConfig;
///
/// let config: CredentialsConfig = serde_json::from_str(
///     r#"{ "staging": { "billing": {
///         "kind": "api_key", "origin": "https://billing.example.com", "key_name": "BILLING_API_KEY"
///     } } }"#,
/// )?;
/// config.check()?;
/// assert!(config.environments().eq(["staging"]));
///
/// // A value in place of a name is refused, and not printed.
/// let config: CredentialsConfig = serde_json::from_str(
///     r#"{ "staging": { "billing": {
///         "kind": "api_key", "origin": "https://billing.example.com", "api_key": "0123456789abcdef"
///     } } }"#,
/// )?;
/// let message = config.check().unwrap_err().to_string();
/// assert!(message.contains("`staging.billing.api_key`"), "{message}");
/// assert!(!message.contains("0123456789abcdef"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct CredentialsConfig(Tree);

/// The services of an environment.
pub(super) type Services = BTreeMap<Box<str>, ServiceConfig>;

impl CredentialsConfig {
    /// Checks all environments.
    ///
    /// # Errors
    ///
    /// If one of them is not as described above. The error names the path of the first such member.
    pub fn check(&self) -> Result<(), CredentialsError> {
        self.parse()?;
        Ok(())
    }

    /// The names of the environments, in alphabetical order.
    pub fn environments(&self) -> impl Iterator<Item = &str> {
        let names = match &self.0 {
            Tree::Map(environments) => Some(environments.keys().map(String::as_str)),
            _ => None,
        };
        names.into_iter().flatten()
    }

    pub(super) fn parse(&self) -> Result<BTreeMap<Box<str>, Services>, Problem> {
        let mut environments = BTreeMap::new();
        for (environment, tree, path) in Members::of(self.0.clone(), String::new())?.into_entries() {
            check_name(&environment, &path)?;
            let mut services = BTreeMap::new();
            for (service, tree, path) in Members::of(tree, path)?.into_entries() {
                check_name(&service, &path)?;
                services.insert(service.into(), ServiceConfig::parse(tree, path)?);
            }
            environments.insert(environment.into(), services);
        }
        Ok(environments)
    }
}

/// Accepts any text of the format. [`check`](Self::check), and [`Credentials::builder`](super::Credentials::builder),
/// refuse what is not a configuration: errors of a format may quote the text.
impl<'de> Deserialize<'de> for CredentialsConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Tree::deserialize(deserializer).map(Self)
    }
}

/// The names of the environments.
impl fmt::Debug for CredentialsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialsConfig ")?;
        f.debug_list().entries(self.environments()).finish()
    }
}

fn check_name(name: &str, path: &str) -> Result<(), Problem> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if (1..=64).contains(&name.len()) && name.bytes().all(is_allowed) {
        return Ok(());
    }
    Err(Problem::new(path, "a name has 1 to 64 letters, digits, '-' and '_'"))
}
