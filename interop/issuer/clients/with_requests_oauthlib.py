"""PyPI `requests-oauthlib`, on `oauthlib`."""

import requests
from oauthlib.oauth2 import BackendApplicationClient, LegacyApplicationClient
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session
from support import (
    AUTHORITY,
    BILLING,
    CALLBACK,
    INTERACTIVE,
    MTLS,
    ORDERS,
    certificate,
    check,
    control,
    metadata,
    refused,
    register,
    status,
    visit,
)

NAME = "requests-oauthlib"
SERVER = metadata()
TOKEN = SERVER["token_endpoint"]


def using(method="client_secret_basic", **registration):
    """The session and the secret of a registered client."""
    registered = register(NAME, token_endpoint_auth_methods=[method], **registration)
    client = BackendApplicationClient(registered["client_id"])
    return OAuth2Session(client=client), registered["client_secret"]


def secrets():
    session, secret = using()
    token = session.fetch_token(TOKEN, client_secret=secret)
    check(f"{NAME}: client_secret_basic", (token["expires_in"], token["token_type"]), (900, "Bearer"))
    check(f"{NAME}: the session calls the API", session.get(ORDERS).json()["subject"], session.client_id)
    wrong = lambda: session.fetch_token(TOKEN, client_secret="guess")
    refused(f"{NAME}: client_secret_basic with a wrong secret", wrong, "invalid_client")

    session, secret = using("client_secret_post", resources=[ORDERS, BILLING])
    fetch = lambda secret, **parameters: session.fetch_token(
        TOKEN, client_secret=secret, include_client_id=True, **parameters
    )
    check(f"{NAME}: client_secret_post", fetch(secret, scope="orders:read")["scope"], ["orders:read"])
    refused(f"{NAME}: client_secret_post with a wrong secret", lambda: fetch("guess"), "invalid_client")
    refused(f"{NAME}: no scope that is allowed", lambda: fetch(secret, scope="admin"), "invalid_scope")
    check(f"{NAME}: a token for another resource", status(fetch(secret, resource=BILLING)["access_token"]), 401)
    disallowed = lambda: fetch(secret, resource="https://payments.example.com")
    refused(f"{NAME}: a resource that is not allowed", disallowed, "invalid_target")


def certificate_bound():
    session, secret = using(binding="certificate")
    own = {"cert": certificate("client"), "verify": AUTHORITY}
    session.fetch_token(f"{MTLS}/oauth/token", client_secret=secret, **own)
    check(f"{NAME}: the API accepts a token that is bound", session.get(f"{MTLS}/orders", **own).json()["bound"], True)
    session.close()
    stolen = session.get(f"{MTLS}/orders", verify=AUTHORITY)
    check(f"{NAME}: the API refuses it without the certificate", stolen.status_code, 401)


def refresh_tokens():
    registered = register(NAME, grant_types=["refresh_token"])
    client_id, auth = registered["client_id"], HTTPBasicAuth(registered["client_id"], registered["client_secret"])
    first = lambda: control("refresh-tokens", client_id=client_id, subject="alice")["refresh_token"]
    session = OAuth2Session(client=LegacyApplicationClient(client_id))
    zero = first()
    one = session.refresh_token(TOKEN, zero, auth=auth)
    check(f"{NAME}: a refresh token", session.get(ORDERS).json()["subject"], "alice")
    two = session.refresh_token(TOKEN, one["refresh_token"], auth=auth)
    check(f"{NAME}: is rotated", two["refresh_token"] in (zero, one["refresh_token"]), False)
    reuse = lambda token: lambda: session.refresh_token(TOKEN, token, auth=auth)
    refused(f"{NAME}: a used refresh token", reuse(zero), "invalid_grant")
    refused(f"{NAME}: its successors are revoked", reuse(two["refresh_token"]), "invalid_grant")
    check(f"{NAME}: and their access tokens", status(two["access_token"]), 401)

    # The session refreshes by itself.
    saved = []
    session = OAuth2Session(
        client_id,
        token={"access_token": "old", "expires_in": -1, "refresh_token": first(), "token_type": "Bearer"},
        auto_refresh_url=TOKEN,
        token_updater=saved.append,
    )
    response = session.get(ORDERS, client_id=client_id, client_secret=registered["client_secret"])
    check(f"{NAME}: the session refreshes an expired token", response.json()["subject"], "alice")
    check(f"{NAME}: and saves it", [token["token_type"] for token in saved], ["Bearer"])


def authorization_code():
    client_id = register(NAME, **INTERACTIVE)["client_id"]
    session = OAuth2Session(client_id, redirect_uri=CALLBACK, pkce="S256")
    url, _ = session.authorization_url(SERVER["authorization_endpoint"])
    location = visit(url)
    redeem = lambda: session.fetch_token(TOKEN, authorization_response=location, include_client_id=True)
    redeem()
    check(f"{NAME}: an authorization code with PKCE", session.get(ORDERS).json()["subject"], "alice")
    refused(f"{NAME}: a used code", redeem, "invalid_grant")


def revocation():
    session, secret = using()
    token = session.fetch_token(TOKEN, client_secret=secret)["access_token"]
    auth = HTTPBasicAuth(session.client_id, secret)
    client = BackendApplicationClient(session.client_id)
    revoke = lambda token: client.prepare_token_revocation_request(SERVER["revocation_endpoint"], token)

    def send(prepared, auth):
        url, headers, body = prepared
        return requests.post(url, headers=headers, data=body, auth=auth, timeout=10)

    guess = send(revoke(token), HTTPBasicAuth(session.client_id, "guess"))
    check(f"{NAME}: revocation with a wrong secret", (guess.status_code, guess.json()["error"]), (401, "invalid_client"))
    check(f"{NAME}: the token is still valid", status(token), 200)
    check(f"{NAME}: revokes it", send(revoke(token), auth).status_code, 200)
    check(f"{NAME}: the API refuses a revoked token", status(token), 401)


for part in (secrets, certificate_bound, refresh_tokens, authorization_code, revocation):
    part()
