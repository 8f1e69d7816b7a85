"""PyPI `authlib`, with the session of requests, and `joserfc`, by which it verifies tokens."""

import time

import requests
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oauth2.rfc7523.assertion import sign_jwt_bearer_assertion
from joserfc import jwk, jwt
from support import (
    AUTHORITY,
    BILLING,
    CALLBACK,
    FOLDER,
    INTERACTIVE,
    ISSUER,
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

NAME = "authlib"
SERVER = metadata()
TOKEN, REVOKE, INTROSPECT = (SERVER[f"{each}_endpoint"] for each in ("token", "revocation", "introspection"))


def using(method="client_secret_basic", secret=None, **registration):
    """The session of a registered client."""
    registered = register(NAME, token_endpoint_auth_methods=[method], **registration)
    session = OAuth2Session(
        registered["client_id"], secret or registered["client_secret"], token_endpoint_auth_method=method
    )
    session.metadata["token_endpoint"] = TOKEN
    session.revocation_endpoint_auth_method = method
    return session


def credentials(session, **parameters):
    return session.fetch_token(TOKEN, grant_type="client_credentials", **parameters)


def first_token(session, subject):
    return control("refresh-tokens", client_id=session.client_id, subject=subject)["refresh_token"]


def claims(token, audience=ORDERS):
    """Verifies an access token by the rules of RFC 9068, and returns its claims."""
    keys = jwk.KeySet.import_key_set(requests.get(SERVER["jwks_uri"], timeout=10).json())
    verified = jwt.decode(token, keys, algorithms=["ES256"])
    assert verified.header["typ"] == "at+jwt", verified.header
    rules = {"aud": audience, "iss": ISSUER}
    required = {name: {"essential": True, "value": value} for name, value in rules.items()}
    jwt.JWTClaimsRegistry(exp={"essential": True}, **required).validate(verified.claims)
    return verified.claims


def secrets():
    for method in ("client_secret_basic", "client_secret_post"):
        session = using(method)
        token = credentials(session, scope="orders:read")
        check(f"{NAME}: {method}", (token["expires_in"], token["scope"]), (900, "orders:read"))
        check(f"{NAME}: the token is a JWT of the client", claims(token["access_token"])["client_id"], session.client_id)
        check(f"{NAME}: the session calls the API", session.get(ORDERS).json()["subject"], session.client_id)
        guess = using(method, "guess")
        refused(f"{NAME}: {method} with a wrong secret", lambda: credentials(guess), "invalid_client")
    refused(f"{NAME}: no scope that is allowed", lambda: credentials(session, scope="admin"), "invalid_scope")
    refused(f"{NAME}: a resource that is not allowed", lambda: credentials(session, resource=BILLING), "invalid_target")
    token = credentials(using(resources=[ORDERS, BILLING]), resource=BILLING)
    check(f"{NAME}: another resource", claims(token["access_token"], BILLING)["aud"], BILLING)


def assertions():
    def session(key, audience=ISSUER, alg="ES256", **extra):
        registration = {"jwks": {"keys": [public.as_dict(private=False) | {"alg": alg}]}}
        session = using("private_key_jwt", key, **registration)
        # By default, its assertions are for the token endpoint, and for an hour.
        extra = {"exp": int(time.time()) + 60} | extra
        session.register_client_auth_method(PrivateKeyJWT(audience, claims=extra, alg=alg))
        return session

    public = jwk.RSAKey.generate_key(2048)
    token = credentials(session(public, alg="RS256"))
    check(f"{NAME}: private_key_jwt with RS256", status(token["access_token"]), 200)
    public = key = jwk.ECKey.generate_key("P-256")
    token = credentials(session(key))
    check(f"{NAME}: private_key_jwt with ES256", status(token["access_token"]), 200)
    replayed = session(key, jti="once")
    check(f"{NAME}: an assertion", status(credentials(replayed)["access_token"]), 200)
    refused(f"{NAME}: a replayed assertion", lambda: credentials(replayed), "invalid_client")
    default = session(key, None)
    refused(f"{NAME}: an assertion for the token endpoint", lambda: credentials(default), "invalid_client")
    hour = session(key, exp=int(time.time()) + 3600)
    refused(f"{NAME}: an assertion for an hour", lambda: credentials(hour), "invalid_client")
    forged = session(jwk.ECKey.generate_key("P-256"))
    refused(f"{NAME}: an assertion of another key", lambda: credentials(forged), "invalid_client")


def certificate_bound():
    session = using(binding="certificate")
    session.verify, session.cert = AUTHORITY, certificate("client")
    token = session.fetch_token(f"{MTLS}/oauth/token", grant_type="client_credentials")
    check(f"{NAME}: bound to a certificate", list(claims(token["access_token"])["cnf"]), ["x5t#S256"])
    check(f"{NAME}: the API accepts it with the certificate", session.get(f"{MTLS}/orders").json()["bound"], True)
    session.cert = certificate("other")
    session.session.close()
    check(f"{NAME}: the API refuses it with another", session.get(f"{MTLS}/orders").status_code, 401)


def refresh_tokens():
    session = using(grant_types=["refresh_token"])
    zero = first_token(session, "alice")
    one = session.refresh_token(TOKEN, zero)
    check(f"{NAME}: a refresh token", claims(one["access_token"])["sub"], "alice")
    two = session.refresh_token(TOKEN, one["refresh_token"], scope="orders:read")
    check(f"{NAME}: is rotated", (two["scope"], two["refresh_token"] != one["refresh_token"]), ("orders:read", True))

    def refresh(session, token, **parameters):
        return lambda: session.refresh_token(TOKEN, token, **parameters)

    refused(f"{NAME}: more scopes at a refresh", refresh(session, two["refresh_token"], scope="admin"), "invalid_scope")
    other = using(grant_types=["refresh_token"])
    refused(f"{NAME}: the token of another client", refresh(other, two["refresh_token"]), "invalid_grant")
    refused(f"{NAME}: a used refresh token", refresh(session, zero), "invalid_grant")
    refused(f"{NAME}: its successors are revoked", refresh(session, two["refresh_token"]), "invalid_grant")
    check(f"{NAME}: and their access tokens", status(two["access_token"]), 401)

    # The session refreshes by itself.
    saved = []
    session.update_token = lambda token, refresh_token: saved.append((token["refresh_token"], refresh_token))
    zero = first_token(session, "alice")
    session.token = {"access_token": "old", "expires_at": 1, "refresh_token": zero, "token_type": "Bearer"}
    check(f"{NAME}: the session refreshes an expired token", session.get(ORDERS).json()["subject"], "alice")
    check(f"{NAME}: and saves the new refresh token", [old for _, old in saved], [zero])


def authorization_code():
    client_id = register(NAME, **INTERACTIVE)["client_id"]
    session = OAuth2Session(
        client_id, redirect_uri=CALLBACK, code_challenge_method="S256", token_endpoint_auth_method="none"
    )
    verifier = generate_token(48)
    url, state = session.create_authorization_url(SERVER["authorization_endpoint"], code_verifier=verifier)
    location = visit(url)
    redeem = lambda: session.fetch_token(TOKEN, authorization_response=location, code_verifier=verifier, state=state)
    token = redeem()
    check(f"{NAME}: an authorization code with PKCE", claims(token["access_token"])["sub"], "alice")
    check(f"{NAME}: the session calls the API as alice", session.get(ORDERS).json()["subject"], "alice")
    refused(f"{NAME}: a used code", redeem, "invalid_grant")
    check(f"{NAME}: revokes the token of its first use", status(token["access_token"]), 401)


def jwt_bearer():
    grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
    session = using(grant_types=[grant])
    with open(f"{FOLDER}/workload.key") as file:
        key = jwk.ECKey.import_key(file.read())

    def redeem(audience, **claims):
        claims = {"exp": int(time.time()) + 60} | claims
        assertion = sign_jwt_bearer_assertion(
            key, "https://workloads.example.com", audience, "batch", claims=claims, alg="ES256"
        )
        return session.fetch_token(TOKEN, grant_type=grant, assertion=assertion)

    token = redeem(ISSUER, jti="authlib")
    check(f"{NAME}: JWT bearer", claims(token["access_token"])["sub"], "workload:batch")
    refused(f"{NAME}: a replayed assertion for a grant", lambda: redeem(ISSUER, jti="authlib"), "invalid_grant")
    refused(f"{NAME}: one for the token endpoint", lambda: redeem(TOKEN), "invalid_grant")


def client_certificate():
    registration = {"token_endpoint_auth_methods": ["tls_client_auth"], "tls_client_auth_san_dns": "client.example"}
    client_id = register(NAME, **registration)["client_id"]

    def fetch(name):
        session = OAuth2Session(client_id, token_endpoint_auth_method="none")
        session.verify, session.cert = AUTHORITY, certificate(name)
        return session.fetch_token(f"{MTLS}/oauth/token", grant_type="client_credentials")

    check(f"{NAME}: tls_client_auth", claims(fetch("client")["access_token"])["sub"], client_id)
    refused(f"{NAME}: tls_client_auth with another certificate", lambda: fetch("other"), "invalid_client")


def token_exchange():
    grant = "urn:ietf:params:oauth:grant-type:token-exchange"
    subject = credentials(using())["access_token"]
    registration = {"grant_types": [grant], "resources": [BILLING]}
    api, other = using(serves=ORDERS, **registration), using(**registration)
    kind = "urn:ietf:params:oauth:token-type:access_token"

    def exchange(session, **parameters):
        return session.fetch_token(TOKEN, grant_type=grant, subject_token=subject, subject_token_type=kind, **parameters)

    token = exchange(api, resource=BILLING)
    check(f"{NAME}: token exchange", claims(token["access_token"], BILLING)["act"], {"sub": api.client_id})
    refused(f"{NAME}: another resource by an exchange", lambda: exchange(api, resource=ORDERS), "invalid_target")
    refused(f"{NAME}: a token that was not meant for the client", lambda: exchange(other), "invalid_request")


def revocation_and_introspection():
    session, other = using(grant_types=["client_credentials", "refresh_token"]), using()
    token = credentials(session)["access_token"]
    introspected = session.introspect_token(INTROSPECT, token).json()
    check(f"{NAME}: introspects its token", (introspected["active"], introspected["aud"]), (True, ORDERS))
    check(f"{NAME}: to others it is not active", other.introspect_token(INTROSPECT, token).json(), {"active": False})
    response = other.revoke_token(REVOKE, token)
    check(f"{NAME}: others cannot revoke it", (response.status_code, response.json()["error"]), (400, "unauthorized_client"))
    check(f"{NAME}: it is still valid", status(token), 200)
    check(f"{NAME}: revokes it", session.revoke_token(REVOKE, token, "access_token").status_code, 200)
    check(f"{NAME}: the API refuses a revoked token", status(token), 401)
    check(f"{NAME}: a revoked token is not active", session.introspect_token(INTROSPECT, token).json(), {"active": False})
    refresh = first_token(session, "alice")
    check(f"{NAME}: revokes a refresh token", session.revoke_token(REVOKE, refresh, "refresh_token").status_code, 200)
    refused(f"{NAME}: a revoked refresh token", lambda: session.refresh_token(TOKEN, refresh), "invalid_grant")


for part in (secrets, assertions, certificate_bound, client_certificate, refresh_tokens, authorization_code, jwt_bearer, token_exchange, revocation_and_introspection):
    part()
