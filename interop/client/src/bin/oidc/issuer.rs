//! The process of oidc-provider.

use std::{collections::BTreeMap, path::Path, process::Stdio};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};
use tower_warden::fetch::{Fetch, HttpClient};
use tower_warden_client::{ClientAuth, TokenEndpoint};
use tower_warden_interop::{BoxError, CodeFlow, Registration, fetched, fetched_json, get, json_request};

use crate::check::scopes;

/// The issuer, which ends with this value.
pub(crate) struct Issuer {
    _process: Child,
    http: HttpClient,
    pub(crate) mtls_url: String,
    pub(crate) url: String,
}

/// A registered client.
pub(crate) struct RegisteredClient {
    pub(crate) id: String,
    pub(crate) secret: String,
}

/// The numbers of token requests since the start: all of them, and by grant type and error.
#[derive(Debug)]
pub(crate) struct Counts(BTreeMap<String, u64>);

impl Issuer {
    pub(crate) async fn start(command: &[String], folder: &Path, http: HttpClient) -> Result<Self, BoxError> {
        let (program, arguments) = command.split_first().ok_or("the command of the issuer is missing")?;
        let mut process =
            Command::new(program).args(arguments).arg(folder).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let mut lines = BufReader::new(process.stdout.take().ok_or("no output")?).lines();
        let url = line(&mut lines, "issuer ").await?;
        let mtls_url = line(&mut lines, "mtls ").await?;
        // A process whose output nobody reads ends with its next line.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { _process: process, http, mtls_url, url })
    }

    /// Registers a client that requests tokens for itself (RFC 7591).
    pub(crate) async fn register(&self, name: &str, metadata: Value) -> Result<RegisteredClient, BoxError> {
        let mut client = json!({
            "client_name": name, "grant_types": ["client_credentials"], "redirect_uris": [], "response_types": [],
        });
        for (member, value) in metadata.as_object().into_iter().flatten() {
            client[member] = value.clone();
        }
        let registered = fetched_json(&self.http, json_request(&format!("{}/reg", self.url), &client)?).await?;
        let text = |member: &str| registered[member].as_str().unwrap_or_default().to_owned();
        Ok(RegisteredClient { id: text("client_id"), secret: text("client_secret") })
    }

    /// Registers a client that users sign in to.
    pub(crate) async fn register_for_users(&self, name: &str, method: &str) -> Result<RegisteredClient, BoxError> {
        let metadata = json!({
            "application_type": "native", "grant_types": ["authorization_code", "refresh_token"],
            "redirect_uris": [REDIRECT], "response_types": ["code"], "token_endpoint_auth_method": method,
        });
        self.register(name, metadata).await
    }

    pub(crate) fn endpoint(&self, auth: ClientAuth) -> Result<TokenEndpoint, BoxError> {
        Ok(TokenEndpoint::new(&format!("{}/token", self.url), auth, self.http.clone())?)
    }

    /// The endpoint behind TLS, which asks for a certificate.
    pub(crate) fn mtls_endpoint(&self, auth: ClientAuth, fetch: impl Fetch) -> Result<TokenEndpoint, BoxError> {
        Ok(TokenEndpoint::new(&format!("{}/token", self.mtls_url), auth, fetch)?)
    }

    /// The login of a user.
    pub(crate) fn login(&self, client_id: &str, endpoint: TokenEndpoint, resource: &str) -> Result<CodeFlow, BoxError> {
        let registration = Registration {
            authorization: format!("{}/auth", self.url),
            client_id: client_id.into(),
            endpoint,
            issuer: self.url.clone(),
            states_issuer: true,
            redirect: REDIRECT.into(),
            resource: resource.into(),
            scopes: scopes("orders:read")?,
        };
        Ok(CodeFlow::new(self.http.clone(), registration))
    }

    /// Revokes a token (RFC 7009) of a client that authenticates in the body.
    pub(crate) async fn revoke(&self, client: &RegisteredClient, token: &str) -> Result<(), BoxError> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("client_id", &client.id).append_pair("client_secret", &client.secret);
        form.append_pair("token", token);
        let request = http::Request::post(format!("{}/token/revocation", self.url))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.finish().into())?;
        let response = fetched(&self.http, request).await?;
        if response.status().is_success() { Ok(()) } else { Err("the token was not revoked".into()) }
    }

    /// Lets token requests wait until [`release`](Self::release).
    pub(crate) async fn hold(&self) -> Result<(), BoxError> {
        fetched_json(&self.http, get(&format!("{}/hold", self.url))?).await.map(drop)
    }

    pub(crate) async fn release(&self) -> Result<(), BoxError> {
        fetched_json(&self.http, get(&format!("{}/release", self.url))?).await.map(drop)
    }

    pub(crate) async fn counts(&self) -> Result<Counts, BoxError> {
        let json = fetched_json(&self.http, get(&format!("{}/counts", self.url))?).await?;
        let counts = json.as_object().into_iter().flatten();
        Ok(Counts(counts.map(|(name, count)| (name.clone(), count.as_u64().unwrap_or_default())).collect()))
    }

    /// The token requests since an earlier time, such as `1 client_credentials, 1 requests`.
    pub(crate) async fn since(&self, earlier: &Counts) -> Result<String, BoxError> {
        let now = self.counts().await?;
        let before = |name: &String| earlier.0.get(name).copied().unwrap_or_default();
        let changes = now.0.iter().map(|(name, count)| (count - before(name), name)).filter(|(count, _)| *count > 0);
        Ok(changes.map(|(count, name)| format!("{count} {name}")).collect::<Vec<_>>().join(", "))
    }
}

/// Reads the rest of the next line, which begins like this.
async fn line(lines: &mut Lines<BufReader<ChildStdout>>, beginning: &str) -> Result<String, BoxError> {
    let line = lines.next_line().await?.ok_or("the issuer has not started")?;
    line.strip_prefix(beginning).map(str::to_owned).ok_or_else(|| format!("the issuer prints: {line}").into())
}

const REDIRECT: &str = "http://127.0.0.1/callback";
