"""The official client of Python, in both generations of the protocol. Usage: sdk_python.py <url> <api key>"""

import asyncio
import logging
import sys
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp import Client, MCPError
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata

CALLBACK = "http://127.0.0.1:9/callback"
logging.disable(logging.ERROR)


class Storage:
    """Tokens and the registration of the client, in memory."""

    client = tokens = None

    async def get_client_info(self):
        return self.client

    async def get_tokens(self):
        return self.tokens

    async def set_client_info(self, client):
        self.client = client

    async def set_tokens(self, tokens):
        self.tokens = tokens


class Browser:
    """Follows redirects with cookies, until it would be sent to the callback of the client."""

    def __init__(self):
        self.requested = []

    async def redirect(self, url):
        self.requested.append(" ".join(sorted(parse_qs(urlsplit(url).query)["scope"][0].split())))
        async with httpx2.AsyncClient() as http:
            while not url.startswith(CALLBACK):
                response = await http.get(url)
                assert "location" in response.headers, f"{url}: {response.status_code} {response.text}"
                url = str(httpx2.URL(url).join(response.headers["location"]))
        self.parameters = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert "code" in self.parameters, self.parameters

    async def callback(self):
        known = {name: self.parameters.get(name) for name in ("code", "state", "iss")}
        return AuthorizationCodeResult(**known)


def check(what, got, expected):
    assert got == expected, f"{what}: expected {expected!r}, got {got!r}"
    print(f"ok {what}")


async def refused(call):
    try:
        result = await call
    except MCPError:
        return True
    return bool(result.is_error)


def text(result):
    return result.content[0].text


async def with_oauth(url, mode, name):
    browser = Browser()
    metadata = OAuthClientMetadata(
        client_name="interop",
        grant_types=["authorization_code"],
        redirect_uris=[CALLBACK],
        token_endpoint_auth_method="none",
    )
    auth = OAuthClientProvider(url, metadata, Storage(), browser.redirect, browser.callback)
    async with httpx2.AsyncClient(auth=auth, timeout=30) as http:
        async with Client(streamable_http_client(url, http_client=http), mode=mode) as client:
            check(f"{name}: requests the scope of the challenge", browser.requested, ["mcp:tools"])
            tools = await client.list_tools()
            check(f"{name}: lists tools", sorted(tool.name for tool in tools.tools), ["delete_user", "echo", "reset"])
            check(f"{name}: calls a tool", text(await client.call_tool("echo", {"text": "hello"})), "hello")
            check(f"{name}: steps up", text(await client.call_tool("reset", {})), "reset by alice")
            check(f"{name}: requests the union of the scopes", browser.requested[1:], ["admin mcp:tools"])
            check(f"{name}: still calls other tools", text(await client.call_tool("echo", {"text": "hello"})), "hello")
            deletion = client.call_tool("delete_user", {"user": "bob"})
            check(f"{name}: is refused a tool that requires a bound token", await refused(deletion), True)


async def with_key(url, key, mode, name):
    async with httpx2.AsyncClient(headers={"authorization": f"Bearer {key}"}, timeout=30) as http:
        async with Client(streamable_http_client(url, http_client=http), mode=mode) as client:
            echo = client.call_tool("echo", {"text": "hello"})
            check(f"{name}: calls a tool with an API key", text(await echo), "hello")
            reset = client.call_tool("reset", {})
            check(f"{name}: is refused a tool that the API key lacks a scope for", await refused(reset), True)


async def main():
    url, key = sys.argv[1:]
    for mode, version in (("auto", "2026-07-28"), ("legacy", "2025-11-25")):
        name = f"mcp of PyPI, {version}"
        await with_oauth(url, mode, name)
        await with_key(url, key, mode, name)


asyncio.run(main())
