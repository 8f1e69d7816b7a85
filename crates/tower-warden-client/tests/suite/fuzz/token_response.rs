//! The response of a hostile authorization server: a token is one that the response contains, and no error quotes it.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use serde_json::Value;
use tower_warden::{Eventual, Unavailable, UnixTime, fetch::Fetch};
use tower_warden_client::{ClientAuth, TokenEndpoint, TokenRequest, TokenSource, grant::ClientCredentials};

/// A server that responds with this body to all requests.
struct Server(u16, Arc<[u8]>);

impl Fetch for Server {
    fn fetch(&self, _: Request<Bytes>, _: usize) -> Eventual<Result<Response<Bytes>, Unavailable>> {
        let body = Bytes::copy_from_slice(&self.1);
        Eventual::Now(Ok(Response::builder().status(self.0).body(body).expect("a response")))
    }
}

/// The first byte selects the status, and the others are the body. Returns whether there is a token.
pub fn run(input: &[u8]) -> bool {
    let Some((first, body)) = input.split_first() else { return false };
    let status = [200, 400, 401, 503][usize::from(first % 4)];
    let auth = ClientAuth::basic("client", "cl1ent-s3cret");
    let endpoint = TokenEndpoint::new("https://auth.example/token", auth, Server(status, body.into())).expect("a URL");
    let request = TokenRequest::new(UnixTime::from_secs(1_800_000_000));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let obtaining = async { ClientCredentials::new(endpoint).token(&request).wait().await };
    let result = runtime.block_on(async { obtaining.now_or_never() }).expect("the server responds at once");
    let json = serde_json::from_slice::<Value>(body).ok();
    let text = json.as_ref().and_then(|json| json["access_token"].as_str()).unwrap_or_default();
    match &result {
        Ok(token) => {
            assert_eq!((status, token.expose()), (200, text));
            assert!(token.expose().bytes().all(|byte| byte.is_ascii_graphic()));
        }
        Err(error) => assert!(!error.to_string().contains("cl1ent-s3cret")),
    }
    if text.len() > 8 {
        let printed = format!("{result:?}");
        assert!(!printed.contains(text), "{printed}");
    }
    result.is_ok()
}
