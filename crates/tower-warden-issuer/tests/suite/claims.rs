//! The claims of the application.

use tower_warden::{Eventual, Unavailable};
use tower_warden_issuer::{ClaimsError, ClaimsRequest, ClaimsSource, ExtraClaims, GrantType};

use crate::support::{CLIENT_CREDENTIALS, ORDERS, Setup, claims};

#[tokio::test]
async fn claims_are_added_to_the_token() {
    let setup = Setup::with(|builder| {
        builder.claims(|request: &ClaimsRequest<'_>| {
            assert_eq!((request.client_id, request.subject, request.resource), ("post", "post", ORDERS));
            assert_eq!((request.grant, request.scopes.len()), (GrantType::ClientCredentials, 1));
            let claims = ExtraClaims::default().with("tenant", "acme").and_then(|claims| claims.with("tier", "gold"));
            claims.map_err(|_| ClaimsError::Refused)
        })
    });
    let reply = setup.post(&format!("{CLIENT_CREDENTIALS}&scope=orders:read")).await;
    let claims = claims(reply.token());
    assert_eq!((&claims["tenant"], &claims["tier"]), (&"acme".into(), &"gold".into()));
}

#[tokio::test]
async fn a_suspended_client_gets_no_token() {
    let setup = Setup::with(|builder| builder.claims(|_: &ClaimsRequest<'_>| Err(ClaimsError::Refused)));
    setup.post(CLIENT_CREDENTIALS).await.assert_error(400, "unauthorized_client");
}

#[tokio::test]
async fn nothing_is_issued_while_the_claims_are_unavailable() {
    struct Down;
    impl ClaimsSource for Down {
        fn claims(&self, _: &ClaimsRequest<'_>) -> Eventual<Result<ExtraClaims, ClaimsError>> {
            Eventual::later(async { Err(Unavailable::new("the directory").into()) })
        }
    }
    let setup = Setup::with(|builder| builder.claims(Down));
    setup.post(CLIENT_CREDENTIALS).await.assert_error(503, "temporarily_unavailable");
}

#[test]
fn claims_of_the_issuer_cannot_be_replaced() {
    for name in ["", "iss", "sub", "aud", "exp", "client_id", "azp", "scope", "scp", "cnf", "act", "sid", "jti"] {
        assert!(ExtraClaims::default().with(name, "x").is_err(), "{name}");
    }
}
