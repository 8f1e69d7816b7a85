"""PyPI `mcp`, the official SDK: its providers for client credentials, and for a person that signs in.

Usage: with_mcp.py <url of the MCP server>
"""

import asyncio
import logging
import sys
from urllib.parse import parse_qs, urlsplit

import httpx2
import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.auth.extensions.client_credentials import (
    ClientCredentialsOAuthProvider,
    PrivateKeyJWTOAuthProvider,
    SignedJWTParameters,
)
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata
from support import CALLBACK, INTERACTIVE, ISSUER, check, register, visit

NAME = "mcp of PyPI"
URL = sys.argv[1]
logging.disable(logging.ERROR)


class Storage:
    """Tokens and the registration of the client, in memory."""

    client = tokens = None

    async def get_client_info(self):
        return self.client

    async def get_tokens(self):
        return self.tokens

    async def set_client_info(self, client):
        pass

    async def set_tokens(self, tokens):
        self.tokens = tokens


class Browser:
    """Goes to the authorization endpoint, and back to the callback."""

    async def redirect(self, url):
        self.parameters = {name: values[0] for name, values in parse_qs(urlsplit(visit(url)).query).items()}

    async def callback(self):
        return AuthorizationCodeResult(**{name: self.parameters.get(name) for name in ("code", "state", "iss")})


def key():
    """A private key in PEM, and its public JWK."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return pem, jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"alg": "ES256"}


async def call(auth):
    async with httpx2.AsyncClient(auth=auth, timeout=30) as http:
        async with Client(streamable_http_client(URL, http_client=http)) as client:
            result = await client.call_tool("echo", {"text": "hello"})
            return result.content[0].text


async def refused(what, auth, error):
    try:
        got = await call(auth)
    except Exception as failure:
        got = flattened(failure)
    check(f"{NAME}: {what}", error in got, True)


def flattened(failure):
    """The texts of an exception, and of those that it groups."""
    nested = getattr(failure, "exceptions", ())
    return " ".join([str(failure), *map(flattened, nested)])


async def sign_in(registration):
    metadata = {
        "grant_types": INTERACTIVE["grant_types"],
        "redirect_uris": [CALLBACK],
        "token_endpoint_auth_method": "none",
    }
    browser, storage = Browser(), Storage()
    client_id = register("mcp", **registration, **INTERACTIVE)["client_id"]
    storage.client = OAuthClientInformationFull(client_id=client_id, issuer=ISSUER, **metadata)
    auth = OAuthClientProvider(URL, OAuthClientMetadata(**metadata), storage, browser.redirect, browser.callback)
    check(f"{NAME}: an authorization code: calls a tool", await call(auth), "hello")
    subject = jwt.decode(storage.tokens.access_token, options={"verify_signature": False})["sub"]
    check(f"{NAME}: an authorization code: the token is alice's", subject, "alice")


async def main():
    registration = {"resources": [URL], "scope": "mcp:tools"}
    for method in ("client_secret_basic", "client_secret_post"):
        client = register("mcp", token_endpoint_auth_methods=[method], **registration)

        def provider(client, secret=None):
            secret = secret or client["client_secret"]
            return ClientCredentialsOAuthProvider(
                URL, Storage(), client["client_id"], secret, method, scope="mcp:tools", issuer=ISSUER
            )

        check(f"{NAME}: {method}: calls a tool", await call(provider(client)), "hello")
        await refused(f"{method}: a wrong secret", provider(client, "guess"), "invalid_client")
    elsewhere = register("mcp", token_endpoint_auth_methods=[method], scope="mcp:tools")
    await refused("a client that may not use the server", provider(elsewhere), "invalid_target")
    scopeless = register("mcp", token_endpoint_auth_methods=[method], resources=[URL], scope="other")
    await refused("a client without the scope", provider(scopeless), "invalid_scope")

    await sign_in(registration)

    pem, public = key()
    keys = {"jwks": {"keys": [public]}, "token_endpoint_auth_methods": ["private_key_jwt"]}
    signer = register("mcp", **registration, **keys)["client_id"]

    def signed(pem, **claims):
        signing = SignedJWTParameters(
            issuer=signer, subject=signer, signing_key=pem, signing_algorithm="ES256", additional_claims=claims
        )
        assertion = signing.create_assertion_provider()
        return PrivateKeyJWTOAuthProvider(URL, Storage(), signer, assertion, scope="mcp:tools", issuer=ISSUER)

    check(f"{NAME}: private_key_jwt: calls a tool", await call(signed(pem, jti="once")), "hello")
    await refused("a replayed assertion", signed(pem, jti="once"), "invalid_client")
    await refused("an assertion of another key", signed(key()[0]), "invalid_client")


asyncio.run(main())
