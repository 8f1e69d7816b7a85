use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use serde_json::{Value, json};
use tower_warden::{fetch::HttpClient, scope::Scopes};
use tower_warden_client::{Origin, challenge::ReceivedChallenge};
use tower_warden_interop::{BoxError, fetched, get};

/// The requirements of a server, found by its challenge (RFC 9728) and the metadata of its authorization server (RFC 8414).
#[derive(Clone, Debug)]
pub(crate) struct Discovery {
    pub(crate) http: HttpClient,
    url: String,
    version: String,
}

/// The server and its authorization server.
#[derive(Debug)]
pub(crate) struct Discovered {
    pub(crate) authorization_server: Value,
    pub(crate) issuer: String,
    pub(crate) resource: String,
    /// The scopes that a token needs first.
    pub(crate) scopes: Scopes,
}

impl Discovery {
    pub(crate) fn new(http: HttpClient, url: &str, version: &str) -> Self {
        Self { http, url: url.to_owned(), version: version.to_owned() }
    }

    pub(crate) async fn discover(&self) -> Result<Discovered, BoxError> {
        let challenges = self.challenges().await?;
        let parameter = |name| challenges.iter().find_map(|challenge| challenge.parameter(name));
        let metadata = self.resource_metadata(parameter("resource_metadata")).await?;
        let resource = metadata["resource"].as_str().ok_or("the metadata states no resource")?.to_owned();
        // RFC 9728 §3.3: the metadata is that of this server.
        let is_ours = self.url.strip_prefix(resource.trim_end_matches('/')).is_some_and(is_below);
        if !is_ours {
            return Err(format!("the metadata is that of {resource}").into());
        }
        let issuer = metadata["authorization_servers"][0].as_str().ok_or("no authorization server")?.to_owned();
        let authorization_server = self.authorization_server(&issuer).await?;
        let scopes = match challenges.iter().find_map(ReceivedChallenge::scopes) {
            Some(scopes) => scopes,
            None => listed(&metadata["scopes_supported"])?,
        };
        Ok(Discovered { authorization_server, issuer, resource, scopes })
    }

    /// The challenges for a request without a token.
    async fn challenges(&self) -> Result<Vec<ReceivedChallenge>, BoxError> {
        let message = json!({ "jsonrpc": "2.0", "id": 0, "method": "tools/list", "params": {} });
        let request = Request::post(&self.url)
            .header("accept", "application/json, text/event-stream")
            .header("content-type", "application/json")
            .header("mcp-method", "tools/list")
            .header("mcp-protocol-version", &self.version)
            .body(message.to_string().into())?;
        let response = fetched(&self.http, request).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Err(format!("{} without a token", response.status()).into());
        }
        Ok(ReceivedChallenge::all(response.headers()))
    }

    /// RFC 9728 §5.1 and §3.1: where the challenge says, or at the well-known URLs of the path and of the host.
    async fn resource_metadata(&self, stated: Option<&str>) -> Result<Value, BoxError> {
        let uri: Uri = self.url.parse()?;
        let origin = origin_of(&uri)?;
        if let Some(stated) = stated {
            if !Origin::parse(&origin)?.contains(&stated.parse()?) {
                return Err("the metadata is at another origin".into());
            }
            return self.found(&[stated.to_owned()]).await;
        }
        let well_known = format!("{origin}/.well-known/oauth-protected-resource");
        self.found(&[format!("{well_known}{}", uri.path()), well_known]).await
    }

    /// RFC 8414 §3.1, and OpenID Connect Discovery §4 with and without it.
    async fn authorization_server(&self, issuer: &str) -> Result<Value, BoxError> {
        let uri: Uri = issuer.parse()?;
        let (origin, path) = (origin_of(&uri)?, uri.path().trim_end_matches('/'));
        let metadata = self
            .found(&[
                format!("{origin}/.well-known/oauth-authorization-server{path}"),
                format!("{origin}/.well-known/openid-configuration{path}"),
                format!("{origin}{path}/.well-known/openid-configuration"),
            ])
            .await?;
        // RFC 8414 §3.3.
        if metadata["issuer"] != issuer { Err("the metadata is that of another issuer".into()) } else { Ok(metadata) }
    }

    /// The first of these documents that exists.
    async fn found(&self, urls: &[String]) -> Result<Value, BoxError> {
        for url in urls {
            let response = fetched(&self.http, get(url)?).await?;
            if response.status() == StatusCode::OK {
                return Ok(serde_json::from_slice::<Value>(response.body() as &Bytes)?);
            }
        }
        Err(format!("no metadata at {}", urls.join(", ")).into())
    }
}

/// The scopes of a JSON array, or none.
fn listed(array: &Value) -> Result<Scopes, BoxError> {
    let names: Vec<_> = array.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    Ok(Scopes::parse(&names.join(" "))?)
}

fn is_below(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('/')
}

fn origin_of(uri: &Uri) -> Result<String, BoxError> {
    let (scheme, authority) = (uri.scheme_str(), uri.authority());
    let (scheme, authority) = scheme.zip(authority).ok_or("a relative URL")?;
    Ok(format!("{scheme}://{authority}"))
}
