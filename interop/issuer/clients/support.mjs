// What the scripts for Node have in common: checks, and the routes by which they register clients.
import { readFileSync } from "node:fs";
import { SignJWT, createRemoteJWKSet, exportJWK, importPKCS8, jwtVerify } from "jose";
import { Agent, fetch as undiciFetch } from "undici";

const { ANY, FOLDER, ISSUER, MTLS } = process.env;
export const issuer = ISSUER;
/** The port for certificates of the authority, and that for any certificate. */
export const mtls = MTLS;
export const any = ANY;
/** The API of the server, and the resource of tokens for it. */
export const orders = `${issuer}/orders`;
/** Another resource. */
export const billing = "https://billing.example.com/api";

export function check(what, got, expected) {
  if (JSON.stringify(got) !== JSON.stringify(expected)) {
    throw new Error(`${what}: expected ${JSON.stringify(expected)}, got ${JSON.stringify(got)}`);
  }
  console.log(`ok ${what}`);
}

/** Checks that `operation` fails with a response: its status, and its error of RFC 6749 §5.2. */
export async function refused(what, operation, status, error) {
  const failure = await operation.then(
    () => undefined,
    (reason) => reason,
  );
  // The libraries report a response with a challenge without its body.
  const reported = failure?.error ?? (await failure?.response?.json())?.error;
  if (reported === undefined) throw new Error(`${what}: ${failure?.stack ?? "it has succeeded"}`);
  check(what, [failure.status, reported], [status, error]);
}

/** Calls a route of the server that an application would be. */
export async function control(path, body = {}) {
  const headers = { "content-type": "application/json" };
  const response = await fetch(`${issuer}/control/${path}`, { body: JSON.stringify(body), headers, method: "POST" });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return response.status === 204 ? undefined : response.json();
}

let clients = 0;
/** Registers a client for client credentials with a secret, unless `options` say otherwise. */
export function register(options = {}) {
  clients += 1;
  return control("clients", {
    client_id: `${process.argv[1].replace(/.*\/|\.mjs/g, "")}-${clients}`,
    grant_types: ["client_credentials"],
    token_endpoint_auth_methods: ["client_secret_basic"],
    ...options,
  });
}

/** The grant of RFC 8693, and its parameters for the access token of another client. */
export const exchange = "urn:ietf:params:oauth:grant-type:token-exchange";
export const subject = (subject_token, parameters) => ({
  subject_token,
  subject_token_type: "urn:ietf:params:oauth:token-type:access_token",
  ...parameters,
});

/** Nothing listens there: the scripts read the URL of the redirect. */
export const callback = "http://127.0.0.1:9/callback";
/** A client that a person uses, without a credential. */
export const interactive = {
  grant_types: ["authorization_code", "refresh_token"],
  redirect_uris: [callback],
  token_endpoint_auth_methods: [],
};

/** What a browser does at the authorization endpoint: the URL that it is sent to. */
export async function visit(url) {
  const response = await fetch(url, { redirect: "manual" });
  return new URL(response.headers.get("location") ?? `about:blank?status=${response.status}`);
}

export const bearer = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/** An assertion of the issuer that the server trusts, about the workload `batch`. */
export async function assertion(claims = {}) {
  const key = await importPKCS8(readFileSync(`${FOLDER}/workload.key`, "utf8"), "ES256");
  const payload = { jti: crypto.randomUUID(), ...claims };
  const jwt = new SignJWT(payload).setProtectedHeader({ alg: "ES256", typ: "JWT" }).setIssuedAt().setExpirationTime("1m");
  return jwt.setIssuer("https://workloads.example.com").setSubject("batch").setAudience(claims.aud ?? issuer).sign(key);
}

/** A key set with one public key. A key without `alg` would be one for the algorithm of its type. */
export const jwks = async (key, alg = "ES256") => ({ keys: [{ ...(await exportJWK(key)), alg }] });

/** The status of the API for a token. */
export async function status(token) {
  return (await fetch(orders, { headers: { authorization: `Bearer ${token}` } })).status;
}

const published = createRemoteJWKSet(new URL(`${issuer}/oauth/jwks`));
/** Verifies an access token by the rules of RFC 9068, and returns its claims. */
export async function claims(token, audience = orders) {
  const required = { algorithms: ["ES256"], audience, issuer, requiredClaims: ["client_id", "exp", "iat", "jti", "sub"] };
  return (await jwtVerify(token, published, { ...required, typ: "at+jwt" })).payload;
}

/** A `fetch` whose connections have the certificate of `name`, or none. */
export function fetchAs(name) {
  const read = (file) => readFileSync(`${FOLDER}/${file}`);
  const certificate = name && { cert: read(`${name}.pem`), key: read(`${name}.key`) };
  const dispatcher = new Agent({ connect: { ca: read("ca.pem"), ...certificate } });
  return (url, options) => undiciFetch(url, { ...options, dispatcher });
}

/** `x5t#S256` of the certificate of `name`. */
export async function thumbprint(name) {
  const { X509Certificate } = await import("node:crypto");
  const { raw } = new X509Certificate(readFileSync(`${FOLDER}/${name}.pem`));
  return Buffer.from(await crypto.subtle.digest("SHA-256", raw)).toString("base64url");
}
