//! Requests with the client of the crate.

use std::error::Error;

use bytes::Bytes;
use http::{Request, Response, header};
use serde_json::Value;
use tower_warden::fetch::{Fetch, HttpClient};

/// Any error, whose text is for the terminal.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// A request without a body.
///
/// # Errors
///
/// If the URL is malformed.
pub fn get(url: &str) -> Result<Request<Bytes>, BoxError> {
    Ok(Request::get(url).header(header::ACCEPT, "application/json").body(Bytes::new())?)
}

/// A `POST` request with JSON.
///
/// # Errors
///
/// If the URL is malformed.
pub fn json_request(url: &str, json: &Value) -> Result<Request<Bytes>, BoxError> {
    Ok(Request::post(url).header(header::CONTENT_TYPE, "application/json").body(json.to_string().into())?)
}

/// Sends a request, and returns the response whatever its status.
///
/// # Errors
///
/// If there is no response.
pub async fn fetched(http: &HttpClient, request: Request<Bytes>) -> Result<Response<Bytes>, BoxError> {
    Ok(http.fetch(request, MAX_BYTES).wait().await?)
}

/// Sends a request, and returns the JSON of a successful response.
///
/// # Errors
///
/// If there is no response, or if it is not a successful one with JSON.
pub async fn fetched_json(http: &HttpClient, request: Request<Bytes>) -> Result<Value, BoxError> {
    let url = request.uri().clone();
    let response = fetched(http, request).await?;
    if !response.status().is_success() {
        let body = String::from_utf8_lossy(response.body());
        return Err(format!("{url} responds with {}: {body}", response.status()).into());
    }
    Ok(serde_json::from_slice(response.body())?)
}

const MAX_BYTES: usize = 256 * 1024;
