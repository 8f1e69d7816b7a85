// An authorization server for `run`: oidc-provider with dynamic registration, JWT and opaque access tokens for any
// resource, refresh tokens that are rotated, DPoP with required nonces, mutual TLS, introspection and revocation. It signs
// every browser in as alice, and grants what is requested. Token exchange and JWT bearer are grants of this file, because
// oidc-provider has none. Usage: issuer.mjs <folder with server.pem, server.key and ca.pem>
// Prints `issuer <url>` and `mtls <url of the same server behind TLS>`.
import { X509Certificate, generateKeyPairSync, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { createLocalJWKSet, jwtVerify } from "jose";
import Provider, { errors } from "oidc-provider";

const folder = process.argv[2];
const scope = "orders:read orders:write";
const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const [key, publicJwk] = [privateKey, publicKey].map((each) => {
  return { ...each.export({ format: "jwk" }), alg: "ES256", kid: "interop", use: "sig" };
});

const server = createServer();
const tlsServer = createTlsServer({
  ca: readFileSync(`${folder}/ca.pem`),
  cert: readFileSync(`${folder}/server.pem`),
  key: readFileSync(`${folder}/server.key`),
  rejectUnauthorized: false,
  requestCert: true,
});
for (const each of [server, tlsServer]) await new Promise((ready) => each.listen(0, "127.0.0.1", ready));
const issuer = `http://127.0.0.1:${server.address().port}`;

const certificate = (context) => {
  const peer = context.socket.getPeerCertificate?.();
  return peer?.raw && new X509Certificate(peer.raw);
};
const resourceServer = (resource) => ({
  accessTokenFormat: resource.endsWith("/opaque") ? "opaque" : "jwt",
  accessTokenTTL: 300,
  audience: resource,
  jwt: { sign: { alg: "ES256" } },
  scope,
});

const provider = new Provider(issuer, {
  clientAuthMethods: [
    "client_secret_basic",
    "client_secret_post",
    "none",
    "private_key_jwt",
    "self_signed_tls_client_auth",
    "tls_client_auth",
  ],
  clientDefaults: { id_token_signed_response_alg: "ES256" },
  cookies: { keys: ["interop"] },
  extraTokenClaims: (context) => context.state.claims,
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => true },
    introspection: { allowedPolicy: () => true, enabled: true },
    mTLS: {
      certificateAuthorized: (context) => context.socket.authorized,
      certificateBoundAccessTokens: true,
      certificateSubjectMatches: (context, property, expected) =>
        property === "tls_client_auth_san_dns" && certificate(context).subjectAltName === `DNS:${expected}`,
      enabled: true,
      getCertificate: certificate,
      selfSignedTlsClientAuth: true,
      tlsClientAuth: true,
    },
    registration: {
      enabled: true,
      // Clients choose their ids, and have a secret with characters that are encoded in a form.
      idFactory: (context) => context.oidc.body.client_name,
      secretFactory: () => `s:e%c+r/e=t &?"${randomBytes(24).toString("base64url")}`,
    },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_context, resource) => resourceServer(resource),
      useGrantedResource: () => true,
    },
    revocation: { enabled: true },
  },
  findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
  issueRefreshToken: (_context, client) => client.grantTypeAllowed("refresh_token"),
  jwks: { keys: [key] },
  rotateRefreshToken: true,
  scopes: scope.split(" "),
});

/** Verifies a JWT, or refuses the request. */
async function verified(jwt, keys, options) {
  try {
    return (await jwtVerify(jwt, createLocalJWKSet(keys), options)).payload;
  } catch (cause) {
    throw new errors.InvalidGrant("not a valid JWT", undefined, { cause });
  }
}

/** Issues an access token for a user, with additional claims. */
async function issue(context, accountId, claims) {
  const { client, params } = context.oidc;
  context.state.claims = claims;
  const token = new provider.AccessToken({ accountId, client, gty: "custom", scope: params.scope });
  token.resourceServer = new provider.ResourceServer(params.resource, resourceServer(params.resource));
  const access_token = await token.save();
  context.body = { access_token, expires_in: token.expiration, scope: token.scope, token_type: token.tokenType };
}

// RFC 8693, for access tokens of this server.
const exchange = async (context) => {
  const { params } = context.oidc;
  const accessTokens = "urn:ietf:params:oauth:token-type:access_token";
  if (params.subject_token_type !== accessTokens || params.actor_token_type !== accessTokens) {
    throw new errors.InvalidRequest("subject and actor are access tokens");
  }
  const keys = { keys: [publicJwk] };
  const subject = await verified(params.subject_token, keys, { issuer, typ: "at+jwt" });
  const actor = await verified(params.actor_token, keys, { issuer, typ: "at+jwt" });
  if (params.scope.split(" ").some((each) => !subject.scope.split(" ").includes(each))) {
    throw new errors.InvalidScope("the subject does not have these scopes", params.scope);
  }
  await issue(context, subject.sub, { act: { sub: actor.sub } });
  context.body.issued_token_type = accessTokens;
};
const parameters = ["resource", "scope"];
provider.registerGrantType("urn:ietf:params:oauth:grant-type:token-exchange", exchange, [
  "actor_token",
  "actor_token_type",
  "subject_token",
  "subject_token_type",
  ...parameters,
]);

// RFC 7523, for assertions that are signed with a key of the client.
const bearer = async (context) => {
  const { client, params } = context.oidc;
  const options = { audience: issuer, issuer: client.clientId, requiredClaims: ["exp", "sub"] };
  const { sub } = await verified(params.assertion, client.jwks, options);
  await issue(context, sub, {});
};
provider.registerGrantType("urn:ietf:params:oauth:grant-type:jwt-bearer", bearer, ["assertion", ...parameters]);

// The token requests, and their outcomes by grant type and error.
const counts = { requests: 0 };
const count = (context, error) => {
  const outcome = [context.oidc.params?.grant_type, error?.error].filter(Boolean).join(" ");
  counts[outcome] = (counts[outcome] ?? 0) + 1;
};
provider.on("grant.success", count);
provider.on("grant.error", count);
provider.on("server_error", (_context, error) => console.error(error));

/** Signs in as alice, or consents to everything. */
async function interact(request, response) {
  const { grantId, params, prompt, session } = await provider.interactionDetails(request, response);
  if (prompt.name === "login") {
    return provider.interactionFinished(request, response, { login: { accountId: "alice" } });
  }
  const granted = grantId && (await provider.Grant.find(grantId));
  const grant = granted || new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  if (prompt.details.missingOIDCScope) grant.addOIDCScope(prompt.details.missingOIDCScope.join(" "));
  for (const [resource, scopes] of Object.entries(prompt.details.missingResourceScopes ?? {})) {
    grant.addResourceScope(resource, scopes.join(" "));
  }
  const consent = { grantId: await grant.save() };
  return provider.interactionFinished(request, response, { consent }, { mergeWithLastSubmission: true });
}

// Token requests wait from `/hold` to `/release`.
let held = Promise.resolve();
let release = () => {};
const controls = {
  "/counts": () => JSON.stringify(counts),
  "/hold": () => {
    held = new Promise((resolve) => (release = resolve));
    return "{}";
  },
  "/release": () => {
    release();
    return "{}";
  },
};

const serve = provider.callback();
const respond = async (request, response) => {
  if (controls[request.url]) return response.end(controls[request.url]());
  if (request.url === "/token") {
    counts.requests += 1;
    await held;
  }
  if (!request.url.startsWith("/interaction/")) return serve(request, response);
  interact(request, response).catch((error) => response.writeHead(500).end(String(error)));
};
for (const each of [server, tlsServer]) each.on("request", respond);
console.log(`issuer ${issuer}`);
console.log(`mtls https://localhost:${tlsServer.address().port}`);
