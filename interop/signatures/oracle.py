"""Signs and verifies messages with the package http-message-signatures of PyPI.

Usage: oracle.py sign FOLDER | verify FOLDER
"""

import base64
import datetime
import hashlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from http_message_signatures import HTTPMessageSigner, HTTPMessageVerifier, algorithms
from http_message_signatures.resolvers import MappingKeyResolver

ALGORITHMS = {
    "ecdsa-p256-sha256": algorithms.ECDSA_P256_SHA256,
    "ecdsa-p384-sha384": algorithms.ECDSA_P384_SHA384,
    "ed25519": algorithms.ED25519,
    "hmac-sha256": algorithms.HMAC_SHA256,
    "rsa-pss-sha512": algorithms.RSA_PSS_SHA512,
    "rsa-v1_5-sha256": algorithms.RSA_V1_5_SHA256,
}

REQUESTS = [
    ("GET", "https://api.test/orders?item=7&name=a+b%2fc~", {}, None, ["@method", "@target-uri"]),
    (
        "GET",
        "https://api.test/orders?item=7&name=a+b%2fc~%28%29",
        {"Example-Dict": "a=1,   b=2;x=1,  c=(a  b)", "Priority": "u=1,  i", "X-Text": " a  b "},
        None,
        [
            "@method",
            "@authority",
            "@scheme",
            "@path",
            "@query",
            "@request-target",
            '"@query-param";name="item"',
            '"@query-param";name="name"',
            '"example-dict";key="c"',
            '"priority";sf',
            '"x-text";bs',
            "x-text",
        ],
    ),
    ("POST", "https://api.test", {"Content-Type": "application/json"}, '{"amount": 12}', ["@method", "@target-uri", "content-type"]),
]


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value, length=None):
    return encode(value.to_bytes(length or (value.bit_length() + 7) // 8, "big"))


def generate(algorithm):
    """A key, and its public part as a JWK."""
    if algorithm == "hmac-sha256":
        key = bytes(range(40))
        return key, {"kty": "oct", "alg": "HS256", "k": encode(key)}
    if algorithm == "ed25519":
        key = ed25519.Ed25519PrivateKey.generate()
        return key, {"kty": "OKP", "crv": "Ed25519", "x": encode(key.public_key().public_bytes_raw())}
    if algorithm.startswith("ecdsa"):
        curve, name, length = (ec.SECP256R1(), "P-256", 32) if "256-" in algorithm else (ec.SECP384R1(), "P-384", 48)
        key = ec.generate_private_key(curve)
        public = key.public_key().public_numbers()
        return key, {"kty": "EC", "crv": name, "x": number(public.x, length), "y": number(public.y, length)}
    key = rsa.generate_private_key(65537, 2048)
    public = key.public_key().public_numbers()
    name = "PS512" if "pss" in algorithm else "RS256"
    return key, {"kty": "RSA", "alg": name, "n": number(public.n), "e": number(public.e)}


def public_key(jwk):
    def decode(name):
        return base64.urlsafe_b64decode(jwk[name] + "==")

    def integer(name):
        return int.from_bytes(decode(name), "big")

    match jwk["kty"]:
        case "oct":
            return decode("k")
        case "OKP":
            return ed25519.Ed25519PublicKey.from_public_bytes(decode("x"))
        case "EC":
            curve = ec.SECP256R1() if jwk["crv"] == "P-256" else ec.SECP384R1()
            return ec.EllipticCurvePublicNumbers(integer("x"), integer("y"), curve).public_key()
        case "RSA":
            return rsa.RSAPublicNumbers(integer("e"), integer("n")).public_key()


def resolver(key_id, *, public=None, private=None):
    public_keys = {} if public is None else {key_id: public}
    return MappingKeyResolver(public_keys=public_keys, private_keys={} if private is None else {key_id: private})


def sign(folder):
    messages = []
    for name, algorithm in ALGORITHMS.items():
        key, jwk = generate(name)
        signer = HTTPMessageSigner(signature_algorithm=algorithm, key_resolver=resolver("k1", private=key))
        for index, (method, url, headers, body, components) in enumerate(REQUESTS):
            message = SimpleNamespace(method=method, url=url, headers=dict(headers))
            now = datetime.datetime.now(datetime.timezone.utc)
            content = None if body is None else body.encode()
            signer.sign(
                message,
                key_id="k1",
                created=now,
                expires=now + datetime.timedelta(minutes=5) if index == 1 else None,
                nonce=f"{name}-{index}",
                include_alg=index != 2,
                covered_component_ids=components,
                body=content,
            )
            messages.append(
                {
                    "algorithm": name,
                    "jwk": jwk,
                    "created": int(now.timestamp()),
                    "method": method,
                    "url": url,
                    "headers": message.headers,
                    "body": body or "",
                }
            )
    (folder / "python.json").write_text(json.dumps(messages, indent=1))
    (folder / "python_agents.json").write_text(json.dumps([agent()], indent=1))
    print(f"ok: {len(messages) + 1} messages are signed by Python")


def agent():
    """A request of Web Bot Auth, with the dictionary `Signature-Agent`."""
    key, jwk = generate("ed25519")
    required = json.dumps(jwk, sort_keys=True, separators=(",", ":")).encode()
    key_id = encode(hashlib.sha256(required).digest())
    signer = HTTPMessageSigner(signature_algorithm=algorithms.ED25519, key_resolver=resolver(key_id, private=key))
    headers = {"Signature-Agent": 'other="https://other.test/jwks", sig1="https://agent.test/jwks.json"'}
    message = SimpleNamespace(method="GET", url="https://api.test/page", headers=headers)
    now = datetime.datetime.now(datetime.timezone.utc)
    signer.sign(
        message,
        key_id=key_id,
        created=now,
        expires=now + datetime.timedelta(minutes=5),
        label="sig1",
        tag="web-bot-auth",
        covered_component_ids=["@authority", '"signature-agent";key="sig1"'],
    )
    return {
        "jwk": jwk,
        "directory": "https://agent.test/jwks.json",
        "created": int(now.timestamp()),
        "method": "GET",
        "url": message.url,
        "headers": message.headers,
        "body": "",
    }


def verify(folder):
    messages = json.loads((folder / "rust.json").read_text())
    for row in messages:
        request = SimpleNamespace(method=row["method"], url=row["url"], headers=dict(row["headers"]))
        message = request
        if "status" in row:
            message = SimpleNamespace(status_code=row["status"], headers=dict(row["response"]), request=request)
        key_resolver = resolver("k1", public=public_key(row["jwk"]))
        verifier = HTTPMessageVerifier(signature_algorithm=ALGORITHMS[row["algorithm"]], key_resolver=key_resolver)
        body = row["body"].encode() or None
        results = verifier.verify(message, max_age=datetime.timedelta(days=1), body=body)
        assert len(results) == 1, row
        if body is not None:
            try:
                verifier.verify(message, max_age=datetime.timedelta(days=1), body=body + b" ")
            except Exception:
                continue
            raise AssertionError("another body verifies")
    assert len(messages) == 3 * len(ALGORITHMS), len(messages)
    print(f"ok: {len(messages)} messages of tower-warden are verified by Python")


{"sign": sign, "verify": verify}[sys.argv[1]](Path(sys.argv[2]))
