use std::{
    collections::HashMap,
    fs,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tower_warden::{Eventual, UnixTime, jwt::Algorithm, scope::Scopes};
use tower_warden_client::{
    ClientAuth, DpopKey, PrivateKey, Token, TokenEndpoint, TokenError, TokenErrorKind, TokenRequest, TokenSource,
    grant::{ClientCredentials, JwtBearer, StaticKey, TokenExchange, TokenFile, TokenType},
};
use tower_warden_interop::{BoxError, CodeFlow, Registration, fetched_json, json_request};

use crate::discovery::{Discovered, Discovery};

/// Tokens by the grant that the credentials of the client are for. Each one begins with a discovery, because the server may have
/// changed its authorization server.
#[derive(Clone)]
pub(crate) struct Tokens {
    context: Arc<Value>,
    discovery: Discovery,
    /// The folder in which the platform of a workload leaves its token.
    folder: Arc<TempDir>,
    /// The key of this process.
    key: DpopKey,
    /// Registered clients, by issuer.
    registered: Arc<Mutex<HashMap<String, Value>>>,
}

impl Tokens {
    pub(crate) fn new(discovery: Discovery, context: Value) -> Result<Self, BoxError> {
        let (folder, key) = (Arc::new(tempfile::tempdir()?), DpopKey::generate()?);
        Ok(Self { context: Arc::new(context), discovery, folder, key, registered: Arc::default() })
    }

    fn credential(&self, name: &str) -> Option<&str> {
        self.context[name].as_str()
    }

    async fn obtain(&self, scopes: &Scopes, now: UnixTime) -> Result<Token, TokenError> {
        let failed = |error: BoxError| TokenError::new(TokenErrorKind::Refused, "no grant").because(error);
        let discovered = self.discovery.discover().await.map_err(failed)?;
        let source = self.source(&discovered).await.map_err(failed)?;
        source.token(&TokenRequest::new(now).with_scopes(scopes)).wait().await
    }

    async fn source(&self, found: &Discovered) -> Result<Arc<dyn TokenSource>, BoxError> {
        let (resource, scopes) = (&*found.resource, found.scopes.clone());
        if let Some(pem) = self.credential("private_key_pem") {
            let key = PrivateKey::from_pem(Algorithm::ES256, pem.as_bytes())?;
            let auth = ClientAuth::private_key_jwt(self.required("client_id")?, key, &found.issuer);
            return Ok(Arc::new(ClientCredentials::new(self.endpoint(found, auth)?).scopes(scopes).resource(resource)));
        }
        if let Some(jwt) = self.credential("valid_jwt") {
            let file = self.folder.path().join("token");
            fs::write(&file, jwt)?;
            let endpoint = self.endpoint(found, ClientAuth::none(self.required("client_id")?))?;
            return Ok(Arc::new(JwtBearer::new(endpoint, TokenFile::new(file)).scopes(scopes).resource(resource)));
        }
        if let Some(id_token) = self.credential("idp_id_token") {
            let auth = ClientAuth::none(self.required("idp_client_id")?);
            let login = TokenEndpoint::new(self.required("idp_token_endpoint")?, auth, self.discovery.http.clone())?;
            let assertion = TokenExchange::new(login, StaticKey::bearer(id_token)?, TokenType::ID_TOKEN)
                .requested_type(TokenType::ID_JAG)
                .audience(&found.issuer)
                .resource(resource);
            let endpoint = self.endpoint(found, self.basic()?)?;
            return Ok(Arc::new(JwtBearer::new(endpoint, assertion).scopes(scopes).resource(resource)));
        }
        if lists(&found.authorization_server["grant_types_supported"], "client_credentials") {
            let endpoint = self.endpoint(found, self.basic()?)?;
            return Ok(Arc::new(ClientCredentials::new(endpoint).scopes(scopes).resource(resource)));
        }
        self.login(found).await
    }

    /// The login of a user, whom the servers of the suite sign in themselves.
    async fn login(&self, found: &Discovered) -> Result<Arc<dyn TokenSource>, BoxError> {
        let server = &found.authorization_server;
        if !lists(&server["code_challenge_methods_supported"], "S256") {
            return Err("the authorization server does not support PKCE".into());
        }
        let client = self.client(found).await?;
        let id = client["client_id"].as_str().ok_or("no client id")?;
        let secret = client["client_secret"].as_str();
        let methods = &server["token_endpoint_auth_methods_supported"];
        let auth = match secret {
            Some(secret) if lists(methods, "client_secret_basic") => ClientAuth::basic(id, secret),
            Some(secret) if lists(methods, "client_secret_post") => ClientAuth::post(id, secret),
            _ => ClientAuth::none(id),
        };
        let mut scopes = found.scopes.clone();
        if !scopes.is_empty() && lists(&server["scopes_supported"], "offline_access") {
            scopes = Scopes::parse(&format!("{scopes} offline_access"))?;
        }
        let registration = Registration {
            authorization: server["authorization_endpoint"].as_str().ok_or("no authorization endpoint")?.into(),
            client_id: id.into(),
            endpoint: self.endpoint(found, auth)?,
            issuer: found.issuer.clone(),
            states_issuer: server["authorization_response_iss_parameter_supported"] == true,
            redirect: REDIRECT.into(),
            resource: found.resource.clone(),
            scopes,
        };
        Ok(Arc::new(CodeFlow::new(self.discovery.http.clone(), registration)))
    }

    /// The credentials of the context, a document about the client, or a registration (RFC 7591).
    async fn client(&self, found: &Discovered) -> Result<Value, BoxError> {
        if self.credential("client_id").is_some() {
            return Ok((*self.context).clone());
        }
        let server = &found.authorization_server;
        if server["client_id_metadata_document_supported"] == true {
            return Ok(json!({ "client_id": CLIENT_DOCUMENT }));
        }
        let known = self.registered.lock().unwrap_or_else(PoisonError::into_inner).get(&found.issuer).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let url = server["registration_endpoint"].as_str().ok_or("the server registers no clients")?;
        let metadata = json!({
            "application_type": "native", "client_name": "tower-warden",
            "grant_types": ["authorization_code", "refresh_token"], "redirect_uris": [REDIRECT],
            "response_types": ["code"],
        });
        let client = fetched_json(&self.discovery.http, json_request(url, &metadata)?).await?;
        let mut registered = self.registered.lock().unwrap_or_else(PoisonError::into_inner);
        registered.insert(found.issuer.clone(), client.clone());
        Ok(client)
    }

    /// The token endpoint, with proofs of possession if the server supports them.
    fn endpoint(&self, found: &Discovered, auth: ClientAuth) -> Result<TokenEndpoint, BoxError> {
        let server = &found.authorization_server;
        let url = server["token_endpoint"].as_str().ok_or("no token endpoint")?;
        let endpoint = TokenEndpoint::new(url, auth, self.discovery.http.clone())?;
        let is_bound = lists(&server["dpop_signing_alg_values_supported"], "ES256");
        Ok(if is_bound { endpoint.dpop(self.key.clone()) } else { endpoint })
    }

    fn basic(&self) -> Result<ClientAuth, BoxError> {
        Ok(ClientAuth::basic(self.required("client_id")?, self.required("client_secret")?))
    }

    fn required(&self, name: &str) -> Result<&str, BoxError> {
        self.credential(name).ok_or_else(|| format!("the context has no {name}").into())
    }
}

impl TokenSource for Tokens {
    fn token(&self, request: &TokenRequest<'_>) -> Eventual<Result<Token, TokenError>> {
        let (this, scopes, now) = (self.clone(), request.scopes.clone(), request.now());
        // Requests to the server and to its authorization server.
        Eventual::later(async move { this.obtain(&scopes, now).await })
    }
}

/// Returns whether a JSON array has this text.
fn lists(array: &Value, text: &str) -> bool {
    array.as_array().is_some_and(|values| values.iter().any(|value| value == text))
}

/// The document that the suite expects the client to have.
const CLIENT_DOCUMENT: &str = "https://conformance-test.local/client-metadata.json";
/// Nothing listens there.
const REDIRECT: &str = "http://127.0.0.1:1/callback";
