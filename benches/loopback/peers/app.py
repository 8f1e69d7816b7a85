"""FastAPI on uvicorn: a dictionary of hashed keys, and PyJWT. Usage: app.py <folder of the credentials>.

Prints `listening <url>`.
"""

import hashlib
import json
import socket
import sys
from pathlib import Path

import jwt
import uvicorn
from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import PlainTextResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

folder = Path(sys.argv[1])


def digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


issuer, audience = ((folder / name).read_text().strip() for name in ("issuer", "audience"))
callers = {
    digest(key): {"subject": f"agent-{index}", "scopes": {"billing:read"}}
    for index, key in enumerate((folder / "keys").read_text().split())
}
callers[digest((folder / "key-unscoped").read_text().strip())] = {"subject": "unscoped", "scopes": set()}
signing_keys = {jwk["kid"]: jwt.PyJWK(jwk) for jwk in json.loads((folder / "jwks").read_text())["keys"]}
bearer = HTTPBearer(auto_error=False)
required = {"require": ["exp", "iss", "aud", "sub"]}
app = FastAPI(openapi_url=None, default_response_class=PlainTextResponse)


def refuse(status: int, error: str) -> HTTPException:
    return HTTPException(status, headers={"WWW-Authenticate": f'Bearer error="{error}"'})


async def key_caller(credential: HTTPAuthorizationCredentials | None = Depends(bearer)) -> dict:
    if credential is None:
        raise HTTPException(401, headers={"WWW-Authenticate": "Bearer"})
    caller = callers.get(digest(credential.credentials))
    if caller is None:
        raise refuse(401, "invalid_token")
    if "billing:read" not in caller["scopes"]:
        raise refuse(403, "insufficient_scope")
    return caller


async def token_caller(credential: HTTPAuthorizationCredentials | None = Depends(bearer)) -> dict:
    if credential is None:
        raise HTTPException(401, headers={"WWW-Authenticate": "Bearer"})
    token = credential.credentials
    try:
        key = signing_keys[jwt.get_unverified_header(token)["kid"]]
        claims = jwt.decode(token, key, algorithms=["RS256"], audience=audience, issuer=issuer, options=required)
    except (KeyError, jwt.PyJWTError) as error:
        raise refuse(401, "invalid_token") from error
    if "billing:read" not in claims.get("scope", "").split():
        raise refuse(403, "insufficient_scope")
    return claims


@app.get("/bare")
async def bare() -> str:
    return "ok"


@app.get("/key")
async def key(_: dict = Depends(key_caller)) -> str:
    return "ok"


@app.get("/jwt")
async def token(_: dict = Depends(token_caller)) -> str:
    return "ok"


if __name__ == "__main__":
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    print(f"listening http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(app, loop="uvloop", http="httptools", access_log=False, log_level="warning")
    uvicorn.Server(config).run(sockets=[listener])
