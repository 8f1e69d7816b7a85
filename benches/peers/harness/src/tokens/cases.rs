use std::fmt;

use http::{Request, Response};
use serde_json::{Value, json};
use tower::Service;

use super::{
    AUDIENCE, bearer, first_admitted,
    issuer::Issuer,
    keys::Keys,
    send,
    token::{Token, now},
};
use crate::{
    Lines,
    Want::{self, Admitted, Refused},
};

const TABLE: &str = "tokens";

/// Prints the verdicts on all cases.
pub(super) async fn print<B, R, S>(lines: &Lines, keys: &Keys, make: &impl AsyncFn(&Issuer) -> Result<S, String>)
where
    B: Default,
    S: Service<Request<B>, Response = Response<R>, Error: fmt::Debug> + Clone,
{
    let issuer = Issuer::start(keys.jwks());
    let service = make(&issuer).await;
    if let Ok(service) = &service {
        // Its verdict is that of the first case.
        let _ = first_admitted(service, &bearer(&Token::new(&issuer.name()).sign(&keys.rs256))).await;
    }
    for (case, want, authorization) in cases(&issuer, keys) {
        let got = match &service {
            Ok(service) => send(service, authorization.as_deref()).await,
            Err(error) => Err(error.clone()),
        };
        lines.verdict(TABLE, case, want, got);
    }
}

/// The cases: a name, what is wanted, and the field `Authorization`.
fn cases(issuer: &Issuer, keys: &Keys) -> Vec<(&'static str, Want, Option<String>)> {
    let token = || Token::new(&issuer.name());
    let (rsa, now) = (&keys.rs256, now());
    let rs256 = |token: Token| Some(bearer(&token.sign(rsa)));
    let signed = |algorithm, kid| Some(bearer(&token().sign_as(algorithm, kid, rsa)));
    let with = |name, value: Value| rs256(token().claim(name, value));
    let id_token = token().header("typ", "JWT").claim("nonce", "n-0S6_WzA2Mj").without("scope").without("client_id");
    let critical = token().header("crit", json!(["urn:example:unknown"])).header("urn:example:unknown", true);
    let thumbprint = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0";
    vec![
        ("RS256, `typ` at+jwt", Admitted, rs256(token())),
        ("RS256, `typ` JWT", Admitted, rs256(token().header("typ", "JWT"))),
        ("ES256", Admitted, Some(bearer(&token().sign(&keys.es256)))),
        ("EdDSA", Admitted, Some(bearer(&token().sign(&keys.eddsa)))),
        ("PS256 with the key of a JWK for RS256", Refused, signed("PS256", Some("rsa1"))),
        ("`aud` with two members", Admitted, with("aud", json!(["https://other.example.com", AUDIENCE]))),
        ("the scheme `bearer`", Admitted, Some(format!("bearer {}", token().sign(rsa)))),
        ("no `aud`", Refused, rs256(token().without("aud"))),
        ("another `aud`", Refused, with("aud", json!("https://other.example.com"))),
        ("no `iss`", Refused, rs256(token().without("iss"))),
        ("another `iss`", Refused, with("iss", json!("https://other.example.com"))),
        ("no `exp`", Refused, rs256(token().without("exp"))),
        ("expired 30 seconds ago", Refused, with("exp", json!(now - 30))),
        ("expired 10 minutes ago", Refused, with("exp", json!(now - 600))),
        ("`nbf` in one hour", Refused, with("nbf", json!(now + 3_600))),
        ("`nbf` in one hour, as a string", Refused, with("nbf", json!((now + 3_600).to_string()))),
        ("bound to a certificate, without one", Refused, with("cnf", json!({ "x5t#S256": thumbprint }))),
        ("bound to a DPoP key, without a proof", Refused, with("cnf", json!({ "jkt": thumbprint }))),
        ("`typ` logout+jwt", Refused, rs256(token().header("typ", "logout+jwt"))),
        ("an ID token: `nonce`, no scope", Refused, rs256(id_token)),
        ("unknown `crit`", Refused, rs256(critical)),
        ("HS256 with the public RSA key as secret", Refused, signed("HS256", Some("rsa1"))),
        ("`alg` none", Refused, signed("none", Some("rsa1"))),
        ("signed with another key, same `kid`", Refused, Some(bearer(&token().sign(&keys.forger)))),
        ("unknown `kid`, signed with a known key", Refused, signed("RS256", Some("unknown"))),
        ("no `kid`", Refused, signed("RS256", None)),
        ("`abc`", Refused, Some(bearer("abc"))),
        ("the scheme `Basic`", Refused, Some("Basic YWxpY2U6c2VjcmV0".to_owned())),
        ("no `Authorization`", Refused, None),
        ("64 KiB of letters", Refused, Some(bearer(&"A".repeat(65_536)))),
    ]
}
