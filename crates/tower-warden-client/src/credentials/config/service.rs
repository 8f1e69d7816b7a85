use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use http::HeaderName;
use tower_warden::{UnixTime, jwt::Algorithm, scope::Scopes};

use super::{
    members::{Members, Problem, is_value, secret_name},
    tree::Tree,
};
use crate::{Origin, origin::secure_uri, rotating_key::KeyPlace};

/// The configuration of one service.
#[derive(Clone, Debug)]
pub(in crate::credentials) struct ServiceConfig {
    pub(in crate::credentials) kind: Kind,
    pub(in crate::credentials) origin: Origin,
    /// The day on which its secrets were created, and the period after which they have to be replaced.
    pub(in crate::credentials) rotation: Option<(UnixTime, Duration)>,
    pub(in crate::credentials) scopes: Scopes,
}

#[derive(Clone, Debug)]
pub(in crate::credentials) enum Kind {
    ApiKey { name: Box<str>, place: KeyPlace },
    ClientCredentials(OAuth),
    JsonLogin(Login),
    Refresh { oauth: OAuth, store: PathBuf },
    TokenFile { path: PathBuf },
}

/// A client of an authorization server.
#[derive(Clone, Debug)]
pub(in crate::credentials) struct OAuth {
    pub(in crate::credentials) audience: Option<String>,
    pub(in crate::credentials) auth: Auth,
    pub(in crate::credentials) client_id: String,
    pub(in crate::credentials) has_dpop: bool,
    pub(in crate::credentials) resource: Option<String>,
    pub(in crate::credentials) url: String,
}

#[derive(Clone, Debug)]
pub(in crate::credentials) enum Auth {
    Basic(Box<str>),
    Mtls,
    None,
    Post(Box<str>),
    PrivateKeyJwt { algorithm: Algorithm, issuer: String, name: Box<str> },
}

#[derive(Clone, Debug)]
pub(in crate::credentials) struct Login {
    pub(in crate::credentials) expires_in_member: Option<String>,
    pub(in crate::credentials) fields: BTreeMap<String, String>,
    pub(in crate::credentials) refresh: Option<(String, String)>,
    pub(in crate::credentials) refresh_token_member: Option<String>,
    pub(in crate::credentials) secrets: BTreeMap<String, Box<str>>,
    pub(in crate::credentials) store: Option<PathBuf>,
    pub(in crate::credentials) token_member: Option<String>,
    pub(in crate::credentials) url: String,
}

impl ServiceConfig {
    pub(super) fn parse(tree: Tree, path: String) -> Result<Self, Problem> {
        let mut members = Members::of(tree, path)?;
        let kind = members.required("kind")?;
        let kinds = "api_key, client_credentials, json_login, mtls, refresh or token_file";
        let known = KINDS.iter().find(|(name, _)| *name == kind);
        let (kind, names) = known.ok_or_else(|| members.problem("kind", kinds))?;
        members.check_names(&[COMMON, names])?;
        let origin = members.parsed("origin", ORIGIN, Origin::parse)?;
        let origin = origin.ok_or_else(|| members.problem("origin", "missing"))?;
        let scopes = members.words("scopes")?.unwrap_or_default();
        let scopes = Scopes::parse(&scopes).map_err(|_| members.problem("scopes", "scopes, separated by spaces"))?;
        let rotation = rotation(&mut members)?;
        let kind = match *kind {
            "api_key" => Kind::ApiKey { name: members.secret_name("key_name")?, place: place(&mut members)? },
            "client_credentials" => Kind::ClientCredentials(OAuth::parse(&mut members, None)?),
            "json_login" => Kind::JsonLogin(Login::parse(&mut members)?),
            "mtls" => Kind::ClientCredentials(OAuth::parse(&mut members, Some(Auth::Mtls))?),
            "refresh" => {
                let (store, oauth) = (members.required("store")?.into(), OAuth::parse(&mut members, None)?);
                // RFC 9449 §5: the stored token would be bound to a key that the next process does not have.
                if oauth.has_dpop && matches!(oauth.auth, Auth::None) {
                    return Err(members.problem("dpop", "not a member of a `refresh` whose `auth` is none"));
                }
                Kind::Refresh { oauth, store }
            }
            _ => Kind::TokenFile { path: members.required("path")?.into() },
        };
        Ok(Self { kind, origin, rotation, scopes })
    }
}

/// The place of an API key.
fn place(members: &mut Members) -> Result<KeyPlace, Problem> {
    let field: Option<HeaderName> = members.parsed("field", "the name of a header field", str::parse)?;
    let scheme = members.parsed("scheme", "the name of a scheme, such as ApiKey", KeyPlace::scheme)?;
    match (field, scheme) {
        (None, scheme) => Ok(scheme.unwrap_or(KeyPlace::Bearer)),
        (Some(field), None) => Ok(KeyPlace::Field(field)),
        (Some(_), Some(_)) => Err(members.problem("scheme", "not a member beside `field`")),
    }
}

fn rotation(members: &mut Members) -> Result<Option<(UnixTime, Duration)>, Problem> {
    match (members.day("created")?, members.number("rotate_after_days")?) {
        (None, None) => Ok(None),
        (Some(created), Some(days)) => Ok(Some((created, Duration::from_secs(days.saturating_mul(24 * 3600))))),
        (None, Some(_)) => Err(members.problem("created", "missing, because `rotate_after_days` is present")),
        (Some(_), None) => Err(members.problem("rotate_after_days", "missing, because `created` is present")),
    }
}

impl OAuth {
    fn parse(members: &mut Members, auth: Option<Auth>) -> Result<Self, Problem> {
        let url = url(members, "token_url")?.ok_or_else(|| members.problem("token_url", "missing"))?;
        let auth = match auth {
            Some(auth) => auth,
            None => Auth::parse(members)?,
        };
        Ok(Self {
            audience: members.optional("audience")?,
            auth,
            client_id: members.required("client_id")?,
            has_dpop: members.flag("dpop")?,
            resource: members.optional("resource")?,
            url,
        })
    }
}

impl Auth {
    fn parse(members: &mut Members) -> Result<Self, Problem> {
        let method = members.optional("auth")?;
        let auth = match method.as_deref() {
            None | Some("basic") => Self::Basic(members.secret_name("secret_name")?),
            Some("none") => Self::None,
            Some("post") => Self::Post(members.secret_name("secret_name")?),
            Some("private_key_jwt") => {
                let algorithm = members.parsed("algorithm", "ES256, ES384, EdDSA, RS256 or PS256", algorithm)?;
                Self::PrivateKeyJwt {
                    algorithm: algorithm.unwrap_or(Algorithm::ES256),
                    issuer: members.required("issuer")?,
                    name: members.secret_name("private_key_name")?,
                }
            }
            Some(_) => return Err(members.problem("auth", "basic, none, post or private_key_jwt")),
        };
        // What the method does not use was not meant for it.
        for name in ["algorithm", "issuer", "private_key_name", "secret_name"] {
            if members.optional(name)?.is_some() {
                return Err(members.problem(name, "not a member of this method of `auth`"));
            }
        }
        Ok(auth)
    }
}

impl Login {
    fn parse(members: &mut Members) -> Result<Self, Problem> {
        let url_of = |members: &mut Members, name| url(members, name);
        let login = url_of(members, "login_url")?.ok_or_else(|| members.problem("login_url", "missing"))?;
        let fields = members.texts("fields")?;
        if let Some(name) = fields.keys().find(|name| is_value(name)) {
            let message = "a secret member of a login is one of `secret_names`, by the name of the secret";
            return Err(members.problem(&format!("fields.{name}"), message));
        }
        let mut secrets = BTreeMap::new();
        for (name, secret) in members.texts("secret_names")? {
            let secret = secret_name(&secret);
            let secret = secret.map_err(|expected| members.problem(&format!("secret_names.{name}"), expected))?;
            secrets.insert(name, secret);
        }
        let member = members.optional("refresh_member")?;
        let refresh = match (url_of(members, "refresh_url")?, member) {
            (Some(url), member) => Some((url, member.unwrap_or_else(|| "refresh_token".to_owned()))),
            (None, None) => None,
            (None, Some(_)) => {
                return Err(members.problem("refresh_url", "missing, because `refresh_member` is present"));
            }
        };
        let store = members.optional("store")?.map(PathBuf::from);
        let refresh_token_member = members.optional("refresh_token_member")?;
        for (name, is_present) in [("store", store.is_some()), ("refresh_token_member", refresh_token_member.is_some())]
        {
            if is_present && refresh.is_none() {
                return Err(members.problem("refresh_url", format_args!("missing, because `{name}` is present")));
            }
        }
        Ok(Self {
            expires_in_member: members.optional("expires_in_member")?,
            fields,
            refresh,
            refresh_token_member,
            secrets,
            store,
            token_member: members.optional("token_member")?,
            url: login,
        })
    }
}

fn url(members: &mut Members, name: &str) -> Result<Option<String>, Problem> {
    members.parsed(name, URL, |text| secure_uri(text).map(|_| text.to_owned()))
}

fn algorithm(name: &str) -> Result<Algorithm, ()> {
    let known = [
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::EdDSA,
        Algorithm::PS256,
        Algorithm::PS384,
        Algorithm::PS512,
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::RS512,
    ];
    known.into_iter().find(|algorithm| algorithm.as_str() == name).ok_or(())
}

const COMMON: &[&str] = &["kind", "origin"];

const CREATED: &str = "created";
const ROTATE: &str = "rotate_after_days";

/// The kinds, each with its own members.
const KINDS: &[(&str, &[&str])] = &[
    ("api_key", &[CREATED, ROTATE, "field", "key_name", "scheme", "scopes"]),
    (
        "client_credentials",
        &[
            CREATED,
            ROTATE,
            "algorithm",
            "audience",
            "auth",
            "client_id",
            "dpop",
            "issuer",
            "private_key_name",
            "resource",
            "scopes",
            "secret_name",
            "token_url",
        ],
    ),
    (
        "json_login",
        &[
            CREATED,
            ROTATE,
            "expires_in_member",
            "fields",
            "login_url",
            "refresh_member",
            "refresh_token_member",
            "refresh_url",
            "secret_names",
            "store",
            "token_member",
        ],
    ),
    ("mtls", &["audience", "client_id", "dpop", "resource", "scopes", "token_url"]),
    (
        "refresh",
        &[
            CREATED,
            ROTATE,
            "algorithm",
            "auth",
            "client_id",
            "dpop",
            "issuer",
            "private_key_name",
            "secret_name",
            "store",
            "token_url",
        ],
    ),
    ("token_file", &["path"]),
];

const ORIGIN: &str = "an https origin, or an http origin of a loopback host";
const URL: &str = "an https URL, or an http URL of a loopback host, without a user name";
