//! The machines that documents of clients are fetched from, and the requests that cause it.

use http::header;
use tower_warden::{
    Environment, ManualClock, fetch::HttpClient, jwt::Algorithm, revocation::MemoryRevocationList, testing::TestIssuer,
};
use tower_warden_issuer::{
    AutoConsent, ClientDocuments, GrantType, JwtBearer, MemoryClientStore, SigningKeys, Subjects, TokenIssuer,
};

use crate::{
    client_documents::{Server, URL, assert_unknown, authorize, document, flow, profile, response},
    code_support::{CALLBACK, CodeFlow, LOCAL, authorization, interactive, peer, query, redirected},
    support::{NOW, client, form_request, send},
};

#[tokio::test]
async fn a_suspended_client_is_not_found_again_by_its_url() {
    let server = Server::new();
    server.respond(URL, response(&document()));
    let flow = flow(&server);
    flow.clients.insert(interactive(client(URL)).public().suspended());
    assert_unknown(&authorize(&flow, URL).await);
    flow.redeem("code", &[("client_id", Some(URL))]).await.assert_error(401, "invalid_client");
    assert_eq!(server.fetches(), 0);
}

// (266)
#[tokio::test]
async fn documents_of_this_machine_are_for_issuers_on_this_machine_only() {
    let server = Server::new();
    let urls = ["http://127.0.0.1:4000/client.json", "http://localhost/client.json", "https://[::1]/client.json"];
    for url in urls {
        let mut document = document();
        document["client_id"] = url.into();
        server.respond(url, response(&document));
        redirected(&authorize(&flow(&server), url).await, CALLBACK);
    }
    let documents = ClientDocuments::new(profile(), server.clone());
    let consent = AutoConsent::new("alice").unwrap().danger_beyond_loopback().client_documents(documents);
    let keys = SigningKeys::generate(Algorithm::ES256).unwrap();
    let before = server.fetches();
    // Also one whose name is loopback, if it accepts requests from elsewhere.
    for name in ["https://auth.example.com", "http://localhost:3001"] {
        let issuer = TokenIssuer::builder(name, MemoryClientStore::default(), keys.clone()).unwrap();
        let issuer = issuer.revocations(MemoryRevocationList::default()).auto_consent(consent.clone());
        let issuer = issuer.build().unwrap();
        for url in urls.iter().chain(&OTHER_FORMS) {
            assert_unknown(&send(&issuer, authorization(&query(&[("client_id", Some(url))]))).await);
        }
    }
    assert_eq!(server.fetches(), before);
}

/// This machine, in forms that a client may change into the usual ones, or resolve.
const OTHER_FORMS: [&str; 9] = [
    "https://LOCALHOST:8443/client.json",
    "https://localhost.:8443/client.json",
    "https://app.localhost/client.json",
    "https://[0:0:0:0:0:0:0:1]/client.json",
    "https://[::ffff:127.0.0.1]/client.json",
    "https://[::]/client.json",
    "https://127.0.0.2/client.json",
    "https://127.1/client.json",
    "https://0.0.0.0/client.json",
];

// (266)
#[tokio::test]
async fn the_built_in_client_fetches_from_this_machine_and_from_no_private_network() {
    use axum::{Json, Router, response::Redirect, routing::get};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let mut own = document();
    own["client_id"] = format!("{base}/client.json").into();
    let mut moved = own.clone();
    moved["client_id"] = format!("{base}/moved.json").into();
    let app = Router::new()
        .route("/client.json", get(async move || Json(own)))
        .route("/target.json", get(async move || Json(moved)))
        .route("/moved.json", get(async || Redirect::temporary("/target.json")));
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });

    let documents = ClientDocuments::new(profile(), HttpClient::new().unwrap());
    let flow = CodeFlow::with(AutoConsent::new("alice").unwrap().client_documents(documents), |builder| builder);
    redirected(&authorize(&flow, &format!("{base}/client.json")).await, CALLBACK);
    assert_unknown(&authorize(&flow, &format!("{base}/moved.json")).await);
    assert_unknown(&authorize(&flow, &format!("{base}/absent.json")).await);
    for id in
        ["https://10.0.0.1/client.json", "https://169.254.169.254/latest/client.json", "https://[fe80::1]/client.json"]
    {
        assert_unknown(&authorize(&flow, id).await);
    }
}

// (266)
#[tokio::test]
async fn no_request_from_another_machine_causes_a_fetch() {
    let server = Server::new();
    let flow = flow(&server);
    for path in ["/oauth/token", "/oauth/revoke", "/oauth/introspect"] {
        let mut request = form_request(&format!("client_id={URL}&grant_type=authorization_code&code=a"));
        *request.uri_mut() = path.parse().unwrap();
        request.headers_mut().insert(header::HOST, "127.0.0.1:3001".parse().unwrap());
        request.extensions_mut().insert(peer("192.168.0.7"));
        flow.send(request).await.assert_error(403, "access_denied");
    }
    assert_eq!(server.fetches(), 0);
    authorize(&flow, URL).await.assert_error(503, "temporarily_unavailable");
    assert_eq!(server.fetches(), 1);
}

#[tokio::test]
async fn the_subject_of_an_assertion_is_not_fetched() {
    let server = Server::new();
    let workloads = "https://workloads.example.com";
    let environment = Environment::default().with_clock(ManualClock::at(NOW));
    let trusted = TestIssuer::new(workloads).environment(&environment);
    let grants = JwtBearer::default().trust(workloads, trusted.clone(), Subjects::unchanged()).unwrap();
    let documents = ClientDocuments::new(profile(), server.clone());
    let consent = AutoConsent::new("alice").unwrap().client_documents(documents);
    let flow = CodeFlow::with(consent, |builder| builder.jwt_bearer(grants));
    let web = (*flow.clients.remove("web").unwrap()).clone();
    flow.clients.insert(web.grants([GrantType::JwtBearer]));
    let assertion = trusted.token("https://id.example/alice").header("typ", "JWT").audience(LOCAL).sign();
    let grant = GrantType::JwtBearer.as_str();
    let form = format!("grant_type={grant}&client_id=web&client_secret=s3cret&assertion={assertion}");
    flow.post("/oauth/token", &form).await.token();
    assert_eq!(server.fetches(), 0);
}
