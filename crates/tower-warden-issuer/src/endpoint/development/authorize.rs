//! The authorization endpoint, RFC 6749 §4.1.1.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header, request::Parts};
use tower_warden::{Digest, caller::Confirmation};

use super::{
    Development,
    access::check_navigation,
    codes::CodeGrant,
    consent::{ConsentRequest, is_subject},
    redirect::with_parameters,
};
use crate::{
    Client, GrantType,
    endpoint::{error::OAuthError, form::Form, target},
    issuer::Inner,
    refresh::random,
    signing::encode,
};

/// Redirects to the client, with a code or an error; responds itself while it is unknown whether the client wants that.
pub(super) async fn respond<B: From<Bytes>>(issuer: &Inner, development: &Development, head: &Parts) -> Response<B> {
    match redirection(issuer, development, head).await {
        Ok(location) => redirect(&location),
        Err(error) => error.into_response(),
    }
}

/// The URL of the response: RFC 6749 §4.1.2, with the issuer (RFC 9207 §2).
async fn redirection(issuer: &Inner, development: &Development, head: &Parts) -> Result<String, OAuthError> {
    check_navigation(&head.headers)?;
    let malformed = |_| OAuthError::invalid_request("The query is malformed, or repeats a parameter.");
    let query = Form::parse(head.uri.query().unwrap_or_default().as_bytes()).map_err(malformed)?;
    let id = query.get("client_id").ok_or(OAuthError::invalid_request("The parameter client_id is missing."))?;
    let client = issuer.clients.find(id).wait().await?;
    // RFC 6749 §4.1.2.1: nothing is sent to a redirect URI before it is known to be the client's.
    let client = client.ok_or(OAuthError::invalid_request("The client is unknown."))?;
    let uri = query.get("redirect_uri").ok_or(OAuthError::invalid_request("The parameter redirect_uri is missing."))?;
    if !client.code.accepts(uri) {
        return Err(OAuthError::invalid_request("The redirect URI is not one of the client."));
    }
    let granted = code(issuer, development, &client, uri, &query).await;
    let response = match &granted {
        Ok(code) => vec![("code", &**code)],
        Err(error) => vec![("error", error.code), ("error_description", error.description)],
    };
    let state = query.get("state").map(|state| ("state", state));
    Ok(with_parameters(uri, response.into_iter().chain(state).chain([("iss", &*issuer.name)])))
}

/// Issues a code for a request of this client.
async fn code(
    issuer: &Inner,
    development: &Development,
    client: &Client,
    redirect_uri: &str,
    query: &Form,
) -> Result<String, OAuthError> {
    let challenge = challenge(query)?;
    if !client.may_use(GrantType::AuthorizationCode) {
        return Err(OAuthError::unauthorized_client());
    }
    let confirmation = query.get("dpop_jkt").map(|key| {
        let key =
            Digest::from_base64url(key).ok_or(OAuthError::invalid_request("The parameter dpop_jkt is malformed."));
        key.map(Confirmation::key)
    });
    let confirmation = confirmation.transpose()?;
    let scopes = target::scopes(query, client.allowed_scopes())?;
    let resource = target::resource(query, client)?;
    let request = ConsentRequest { client_id: client.id(), redirect_uri, resource, scopes: &scopes };
    let subject = (development.consent.subject)(&request).filter(|subject| is_subject(subject));
    let subject = subject.ok_or(denied())?;
    if *subject != *client.id() && issuer.is_client(&subject).await? {
        return Err(denied());
    }
    let now = issuer.clock.now();
    let code = encode(&random::<32>()?);
    let grant = CodeGrant {
        challenge,
        client_id: client.id().into(),
        confirmation,
        expires_at: now + development.consent.code_lifetime,
        redirect_uri: redirect_uri.into(),
        resource: resource.into(),
        scopes,
        subject,
    };
    development.codes.insert(Digest::of(code.as_bytes()), grant, now)?;
    Ok(code)
}

/// The challenge, if the request is one for a code that is bound to it.
fn challenge(query: &Form) -> Result<Digest, OAuthError> {
    let refused = |code, description| Err(OAuthError { code, ..OAuthError::invalid_request(description) });
    // RFC 9101 §10.5: a server that ignored a request object would ignore the parameters in it.
    for (name, code) in [("request", "request_not_supported"), ("request_uri", "request_uri_not_supported")] {
        if query.get(name).is_some() {
            return refused(code, "Parameters are in the query, not in a request object.");
        }
    }
    match query.get("response_type") {
        Some("code") => {}
        Some(_) => return refused("unsupported_response_type", "The response type is not code."),
        None => return Err(OAuthError::invalid_request("The parameter response_type is missing.")),
    }
    if query.get("response_mode").is_some_and(|mode| mode != "query") {
        return Err(OAuthError::invalid_request("The response mode is not query."));
    }
    // RFC 7636 §4.3: without this parameter, the method is `plain`.
    if query.get("code_challenge_method") != Some("S256") {
        return Err(OAuthError::invalid_request("The parameter code_challenge_method is not S256."));
    }
    let challenge = query.get("code_challenge").and_then(Digest::from_base64url);
    challenge.ok_or(OAuthError::invalid_request("The parameter code_challenge is missing or malformed."))
}

const fn denied() -> OAuthError {
    OAuthError {
        code: "access_denied",
        description: "The application denies the request.",
        retry_after: None,
        status: StatusCode::FORBIDDEN,
    }
}

fn redirect<B: From<Bytes>>(location: &str) -> Response<B> {
    let fields: [(HeaderName, HeaderValue); 3] = [
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::LOCATION, location.parse().expect("a URL is visible ASCII")),
        // RFC 9700 §4.2.4: the code is not sent on from the page of the client.
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    let mut response = Response::new(B::from(Bytes::new()));
    *response.status_mut() = StatusCode::FOUND;
    response.headers_mut().extend(fields);
    response
}
