use std::{
    convert::Infallible,
    net::TcpListener,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::runtime;

/// An issuer on a free port of 127.0.0.1, which has its metadata and its key set. It runs in a thread until the process ends.
pub struct Issuer {
    server: String,
    state: Arc<Mutex<State>>,
}

struct State {
    fetches: usize,
    jwks: Vec<Value>,
    key_set_path: &'static str,
}

impl Issuer {
    /// Starts an issuer with these JWKs.
    pub fn start(jwks: Vec<Value>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the system has free ports");
        let server = format!("http://{}", listener.local_addr().expect("a listener has an address"));
        let state = Arc::new(Mutex::new(State { fetches: 0, jwks, key_set_path: "/realms/test/jwks" }));
        let (name, shared) = (server.clone(), Arc::clone(&state));
        thread::spawn(move || serve(listener, &name, &shared));
        Self { server, state }
    }

    /// The URL of its server, of which the name is `/realms/test`.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// `iss` of its tokens, and the URL of its metadata without the well-known part.
    pub fn name(&self) -> String {
        format!("{}/realms/test", self.server)
    }

    /// The URL of its metadata for OpenID Connect.
    pub fn configuration_uri(&self) -> String {
        format!("{}/.well-known/openid-configuration", self.name())
    }

    /// The URL of its key set.
    pub fn key_set_uri(&self) -> String {
        format!("{}{}", self.server, self.state().key_set_path)
    }

    /// Replaces its keys.
    pub fn publish(&self, jwks: Vec<Value>) {
        self.state().jwks = jwks;
    }

    /// Moves the key set to another URL, which its metadata has from now on. The old one responds with 404.
    pub fn move_key_set(&self) {
        self.state().key_set_path = "/realms/test/moved";
    }

    /// The requests for its metadata and its key set.
    pub fn fetches(&self) -> usize {
        self.state().fetches
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves until the process ends, with a runtime of its own, so that the measurements do not share one with it.
fn serve(listener: TcpListener, server: &str, state: &Arc<Mutex<State>>) {
    let runtime = runtime::Builder::new_current_thread().enable_io().build().expect("the system has threads");
    runtime.block_on(async {
        listener.set_nonblocking(true).expect("a listener can be polled");
        let listener = tokio::net::TcpListener::from_std(listener).expect("the runtime has I/O");
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let (server, state) = (server.to_owned(), Arc::clone(state));
            let service = service_fn(move |request: Request<Incoming>| {
                let response = respond(&server, &mut lock(&state), request.uri().path());
                async { Ok::<_, Infallible>(response) }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
}

fn respond(server: &str, state: &mut State, path: &str) -> Response<Full<Bytes>> {
    state.fetches += 1;
    let document = match path {
        "/realms/test/.well-known/openid-configuration"
        | "/realms/test/.well-known/oauth-authorization-server"
        | "/.well-known/oauth-authorization-server/realms/test" => json!({
            "issuer": format!("{server}/realms/test"),
            "jwks_uri": format!("{server}{}", state.key_set_path),
            "authorization_endpoint": format!("{server}/realms/test/authorize"),
            "token_endpoint": format!("{server}/realms/test/token"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256", "EdDSA"],
        }),
        path if path == state.key_set_path => json!({ "keys": state.jwks }),
        _ => Value::Null,
    };
    let status = if document.is_null() { StatusCode::NOT_FOUND } else { StatusCode::OK };
    let response = Response::builder().status(status).header("content-type", "application/json");
    let response = response.header("cache-control", "max-age=300");
    response.body(Full::from(document.to_string())).expect("the fields are valid")
}
