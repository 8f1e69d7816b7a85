// Verifies a token of `bench`, so that both servers do the same work. Usage: verify.mjs <issuer> <jwks> <algorithm> <token>
import { createRemoteJWKSet, jwtVerify } from "jose";

const [issuer, jwks, algorithm, token] = process.argv.slice(2);
const rules = { algorithms: [algorithm], audience: "https://api.example.com", issuer, subject: "load", typ: "at+jwt" };
const { payload } = await jwtVerify(token, createRemoteJWKSet(new URL(jwks)), rules);
const names = Object.keys(payload).sort().join(" ");
if (names !== "aud client_id exp iat iss jti scope sub tenant") throw new Error(`other claims: ${names}`);
if (payload.exp - payload.iat !== 900 || payload.scope !== "orders:read") throw new Error(JSON.stringify(payload));
