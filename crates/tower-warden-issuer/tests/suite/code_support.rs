//! An issuer on this machine, whose authorization requests are granted at once.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use tower_warden::{
    Authenticator, Clock, Credential, Environment, Head, ManualClock, Presented,
    api_key::KeyDigest,
    jwt::{Algorithm, Issuer, Jwt},
    request::Peer,
    revocation::{MemoryRevocationList, RevocationList},
};
use tower_warden_issuer::{
    AutoConsent, Client, ClientAuthentication, ClientSecrets, GrantType, MemoryClientStore, MemoryRefreshStore,
    RefreshTokens, SigningKeys, TokenIssuer, TokenIssuerBuilder,
};

use crate::support::{NOW, ORDERS, Reply, client, form_request, send};

pub(crate) const LOCAL: &str = "http://127.0.0.1:3001";
pub(crate) const CALLBACK: &str = "http://127.0.0.1:5000/callback";
/// RFC 7636 appendix B.
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// Changes of the parameters of a request: set, or removed.
pub(crate) type Changes<'a> = &'a [(&'a str, Option<&'a str>)];

pub(crate) struct CodeFlow {
    pub(crate) clients: MemoryClientStore,
    pub(crate) clock: ManualClock,
    pub(crate) issuer: TokenIssuer,
    pub(crate) list: MemoryRevocationList,
}

impl CodeFlow {
    pub(crate) fn new() -> Self {
        Self::with(AutoConsent::new("alice").unwrap(), |builder| builder)
    }

    /// The client `desktop` is public, and `web` has a secret.
    pub(crate) fn with(consent: AutoConsent, configure: impl FnOnce(TokenIssuerBuilder) -> TokenIssuerBuilder) -> Self {
        let (clients, clock) = (MemoryClientStore::default(), ManualClock::at(NOW));
        let environment = Environment::default().with_clock(clock.clone());
        let list = MemoryRevocationList::default().environment(&environment);
        clients.insert(interactive(client("desktop")).public());
        let secret = ClientAuthentication::SecretPost(ClientSecrets::new(KeyDigest::sha256("s3cret")));
        clients.insert(interactive(client("web")).authentication(secret));
        let keys = SigningKeys::generate(Algorithm::ES256).unwrap();
        let refresh = RefreshTokens::new(MemoryRefreshStore::default(), list.clone());
        let builder = TokenIssuer::builder(LOCAL, clients.clone(), keys).unwrap().environment(&environment);
        let issuer = configure(builder.refresh_tokens(refresh).auto_consent(consent)).build().unwrap();
        Self { clients, clock, issuer, list }
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Reply {
        send(&self.issuer, request).await
    }

    /// Sends a request for tokens from this machine.
    pub(crate) async fn send_form(&self, mut request: Request<Full<Bytes>>) -> Reply {
        request.extensions_mut().insert(peer("127.0.0.1"));
        request.headers_mut().insert(header::HOST, "127.0.0.1:3001".parse().unwrap());
        self.send(request).await
    }

    /// The response to an authorization request of `desktop`.
    pub(crate) async fn authorize(&self, changes: Changes<'_>) -> Reply {
        self.send(authorization(&query(changes))).await
    }

    /// The code that an authorization request yields.
    pub(crate) async fn code(&self, changes: Changes<'_>) -> String {
        let parameters = redirected(&self.authorize(changes).await, CALLBACK);
        parameters.get("code").unwrap_or_else(|| panic!("{parameters:?}")).clone()
    }

    /// The response to the request of `desktop` for a token.
    pub(crate) async fn redeem(&self, code: &str, changes: Changes<'_>) -> Reply {
        self.send_form(form_request(&redemption(code, changes))).await
    }

    pub(crate) async fn post(&self, path: &str, form: &str) -> Reply {
        let mut request = form_request(form);
        *request.uri_mut() = path.parse().unwrap();
        self.send_form(request).await
    }

    /// Returns whether an API that queries the list refuses the token, which is valid otherwise.
    pub(crate) async fn is_revoked(&self, token: &str) -> bool {
        let jwt = Jwt::new(Issuer::new(LOCAL, ORDERS).unwrap().strict(), self.issuer.keys());
        let verified = {
            let request = Request::new(());
            jwt.authenticate(&Presented::new(Credential::access_token(token), Head::from(&request), self.clock.now()))
        };
        self.list.is_revoked(&verified.wait().await.unwrap()).wait().await.unwrap()
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

pub(crate) fn interactive(client: Client) -> Client {
    client.grants([GrantType::AuthorizationCode, GrantType::RefreshToken]).redirect_uri(CALLBACK).unwrap()
}

/// The query of an authorization request of `desktop`.
pub(crate) fn query(changes: Changes<'_>) -> String {
    let parameters = [
        ("response_type", "code"),
        ("client_id", "desktop"),
        ("redirect_uri", CALLBACK),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("scope", "orders:read"),
        ("state", "s 1&2"),
    ];
    encoded(&parameters, changes)
}

pub(crate) fn redemption(code: &str, changes: Changes<'_>) -> String {
    let parameters = [
        ("grant_type", "authorization_code"),
        ("client_id", "desktop"),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
        ("code", code),
    ];
    encoded(&parameters, changes)
}

fn encoded(parameters: &[(&str, &str)], changes: Changes<'_>) -> String {
    let mut all: BTreeMap<_, _> = parameters.iter().copied().collect();
    for (name, value) in changes {
        match value {
            Some(value) => drop(all.insert(name, value)),
            None => drop(all.remove(name)),
        }
    }
    let escape = |value: &str| value.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    all.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect::<Vec<_>>().join("&")
}

/// A request of a browser on this machine.
pub(crate) fn authorization(query: &str) -> Request<Full<Bytes>> {
    let request = Request::get(format!("/oauth/authorize?{query}")).header(header::HOST, "127.0.0.1:3001");
    request.extension(peer("127.0.0.1")).body(Full::default()).unwrap()
}

pub(crate) fn peer(address: &str) -> Peer {
    Peer::new(SocketAddr::new(address.parse().unwrap(), 49_152))
}

/// The parameters of a redirect to this URI.
#[track_caller]
pub(crate) fn redirected(reply: &Reply, uri: &str) -> BTreeMap<String, String> {
    assert_eq!(reply.status, 302, "{}", reply.body);
    let location = reply.headers["location"].to_str().unwrap();
    let query = location.strip_prefix(uri).unwrap_or_else(|| panic!("{location}"));
    let decode = |text: &str| {
        let mut parts = text.split('%');
        let mut bytes = parts.next().unwrap().as_bytes().to_vec();
        for part in parts {
            bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
            bytes.extend_from_slice(&part.as_bytes()[2..]);
        }
        String::from_utf8(bytes).unwrap()
    };
    let pairs = query[1..].split('&').map(|pair| pair.split_once('=').unwrap());
    let parameters: BTreeMap<_, _> = pairs.clone().map(|(name, value)| (name.to_owned(), decode(value))).collect();
    assert_eq!(pairs.count(), parameters.len(), "a parameter is repeated: {location}");
    parameters
}
