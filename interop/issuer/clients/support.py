"""What the scripts for Python have in common: checks, and the routes by which they register clients."""

import itertools
import os

import requests

FOLDER = os.environ["FOLDER"]
ISSUER = os.environ["ISSUER"]
MTLS = os.environ["MTLS"]
AUTHORITY = f"{FOLDER}/ca.pem"
# The API of the server, and the resource of tokens for it.
ORDERS = f"{ISSUER}/orders"
# Nothing listens there: the scripts read the URL of the redirect.
CALLBACK = "http://127.0.0.1:9/callback"
BILLING = "https://billing.example.com/api"

# A client that a person uses, without a credential.
INTERACTIVE = {
    "grant_types": ["authorization_code", "refresh_token"],
    "redirect_uris": [CALLBACK],
    "token_endpoint_auth_methods": [],
}

_numbers = itertools.count(1)


def check(what, got, expected):
    assert got == expected, f"{what}: expected {expected!r}, got {got!r}"
    print(f"ok {what}")


def refused(what, call, error):
    """Checks that a call fails with an error of RFC 6749 §5.2, which the libraries report as an exception."""
    try:
        got = call()
    except Exception as failure:  # Each library has its own.
        got = getattr(failure, "error", failure)
    check(what, got, error)


def control(path, **body):
    """Calls a route of the server that an application would be."""
    response = requests.post(f"{ISSUER}/control/{path}", json=body, timeout=10)
    assert response.ok, f"{path}: {response.status_code} {response.text}"
    return response.json() if response.content else None


def register(library, **options):
    """Registers a client for client credentials with a secret, unless the options say otherwise."""
    client = {
        "client_id": f"{library}-{next(_numbers)}",
        "grant_types": ["client_credentials"],
        "token_endpoint_auth_methods": ["client_secret_basic"],
    }
    return control("clients", **(client | options))


def metadata():
    """The metadata of the issuer."""
    response = requests.get(f"{ISSUER}/.well-known/oauth-authorization-server", timeout=10)
    assert response.json()["issuer"] == ISSUER, response.text
    return response.json()


def status(token):
    """The status of the API for a token."""
    return requests.get(ORDERS, headers={"authorization": f"Bearer {token}"}, timeout=10).status_code


def visit(url):
    """What a browser does at the authorization endpoint: the URL that it is sent to."""
    return requests.get(url, allow_redirects=False, timeout=10).headers["location"]


def certificate(name):
    return (f"{FOLDER}/{name}.pem", f"{FOLDER}/{name}.key")
