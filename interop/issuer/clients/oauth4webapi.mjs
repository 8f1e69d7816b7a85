// npm `oauth4webapi`: each request and each response is a function, so the checks are close to what is sent.
import { calculateJwkThumbprint, exportJWK } from "jose";
import * as oauth from "oauth4webapi";
import {
  billing, callback, check, claims, control, exchange, fetchAs, interactive, issuer, jwks, mtls, orders, refused, register,
  status, subject, thumbprint, visit,
} from "./support.mjs";

const name = "oauth4webapi";
const http = { [oauth.allowInsecureRequests]: true };
const discovery = await oauth.discoveryRequest(new URL(issuer), { algorithm: "oauth2", ...http });
const server = await oauth.processDiscoveryResponse(new URL(issuer), discovery);
check(`${name}: discovers the issuer`, server.issuer, issuer);

/** A registered client, with the functions of the library for its method of authentication. */
async function using(options, authentication = (secret) => oauth.ClientSecretBasic(secret)) {
  const { client_id, client_secret } = await register(options);
  const client = { client_id };
  const auth = authentication(client_secret);
  return {
    client_id,
    credentials: async (parameters = {}, options = {}, as = server) => {
      const response = await oauth.clientCredentialsGrantRequest(as, client, auth, parameters, { ...http, ...options });
      return oauth.processClientCredentialsResponse(as, client, response);
    },
    generic: async (grant, parameters = {}) => {
      const response = await oauth.genericTokenEndpointRequest(server, client, auth, grant, parameters, http);
      return oauth.processGenericTokenEndpointResponse(server, client, response);
    },
    introspect: async (token) => {
      const response = await oauth.introspectionRequest(server, client, auth, token, http);
      return oauth.processIntrospectionResponse(server, client, response);
    },
    refresh: async (token, options = {}) => {
      const response = await oauth.refreshTokenGrantRequest(server, client, auth, token, { ...http, ...options });
      return oauth.processRefreshTokenResponse(server, client, response);
    },
    revoke: async (token) => {
      const response = await oauth.revocationRequest(server, client, auth, token, http);
      return oauth.processRevocationResponse(response);
    },
    token: async (subject, options = {}) => {
      return (await control("refresh-tokens", { client_id, subject, ...options })).refresh_token;
    },
  };
}

async function secrets() {
  const both = { token_endpoint_auth_methods: ["client_secret_basic", "client_secret_post"] };
  for (const [method, authentication] of [
    ["client_secret_basic", oauth.ClientSecretBasic],
    ["client_secret_post", oauth.ClientSecretPost],
  ]) {
    const client = await using(both, authentication);
    const { access_token, expires_in, token_type } = await client.credentials();
    check(`${name}: ${method}`, [expires_in, token_type], [900, "bearer"]);
    const { client_id, sub, tenant } = await claims(access_token);
    check(`${name}: the token is a JWT of the client`, [client_id, sub, tenant], [client.client_id, client.client_id, "acme"]);
    check(`${name}: the API accepts it`, await status(access_token), 200);
    const guess = await using(both, (secret) => authentication(`${secret.slice(0, -1)}!`));
    await refused(`${name}: ${method} with a wrong secret`, guess.credentials(), 401, "invalid_client");
  }
  const post = await using(undefined, oauth.ClientSecretPost);
  await refused(`${name}: a method that the client does not have`, post.credentials(), 401, "invalid_client");
  const client_id = "agent 7: 50% + ~";
  const encoded = await using({ client_id });
  check(`${name}: an id that is encoded`, (await claims((await encoded.credentials()).access_token)).sub, client_id);
}

async function assertions() {
  for (const alg of ["ES256", "Ed25519", "PS256", "RS256"]) {
    const { privateKey, publicKey } = await oauth.generateKeyPair(alg, { extractable: true });
    const options = { jwks: await jwks(publicKey, alg), token_endpoint_auth_methods: ["private_key_jwt"] };
    const client = await using(options, () => oauth.PrivateKeyJwt(privateKey));
    check(`${name}: private_key_jwt with ${alg}`, await status((await client.credentials()).access_token), 200);
  }
  const { privateKey, publicKey } = await oauth.generateKeyPair("ES256", { extractable: true });
  const options = { jwks: await jwks(publicKey), token_endpoint_auth_methods: ["private_key_jwt"] };
  const changed = (change) => {
    const modify = { [oauth.modifyAssertion]: (_header, payload) => Object.assign(payload, change(payload)) };
    return using(options, () => oauth.PrivateKeyJwt(privateKey, modify));
  };
  const replayed = await changed(() => ({ jti: "once" }));
  check(`${name}: an assertion`, typeof (await replayed.credentials()).access_token, "string");
  await refused(`${name}: a replayed assertion`, replayed.credentials(), 401, "invalid_client");
  for (const [what, change] of [
    ["for the token endpoint", () => ({ aud: server.token_endpoint })],
    ["for two audiences", () => ({ aud: [issuer, server.token_endpoint] })],
    ["that has expired", ({ iat }) => ({ exp: iat - 300, iat: iat - 360, nbf: iat - 360 })],
    ["for a day", ({ iat }) => ({ exp: iat + 86_400 })],
    ["without jti", () => ({ jti: undefined })],
    ["of another issuer", () => ({ iss: "other" })],
  ]) {
    await refused(`${name}: an assertion ${what}`, (await changed(change)).credentials(), 401, "invalid_client");
  }
  const other = await oauth.generateKeyPair("ES256");
  const forged = await using(options, () => oauth.PrivateKeyJwt(other.privateKey));
  await refused(`${name}: an assertion of another key`, forged.credentials(), 401, "invalid_client");
}

async function scopesAndResources() {
  const client = await using({ resources: [orders, billing] });
  const granted = async (scope) => (await client.credentials({ scope })).scope;
  check(`${name}: fewer scopes`, await granted("orders:read"), "orders:read");
  check(`${name}: a scope that is not allowed is left out`, await granted("orders:read admin"), "orders:read");
  await refused(`${name}: no scope that is allowed`, granted("admin"), 400, "invalid_scope");
  const { access_token } = await client.credentials({ resource: billing });
  check(`${name}: another resource`, (await claims(access_token, billing)).aud, billing);
  check(`${name}: the API refuses a token for another resource`, await status(access_token), 401);
  const disallowed = client.credentials({ resource: "https://payments.example.com" });
  await refused(`${name}: a resource that is not allowed`, disallowed, 400, "invalid_target");
  const two = new URLSearchParams([["resource", orders], ["resource", billing]]);
  await refused(`${name}: two resources`, client.credentials(two), 400, "invalid_target");
  await refused(`${name}: an unknown grant`, client.generic("password"), 400, "unsupported_grant_type");
  const unauthorized = client.generic("refresh_token", { refresh_token: "rt_" });
  await refused(`${name}: a grant that the client may not use`, unauthorized, 400, "unauthorized_client");
}

async function keyBound() {
  const client = await using({ binding: "key" });
  await refused(`${name}: a bound client without a proof`, client.credentials(), 400, "invalid_dpop_proof");
  const keys = await oauth.generateKeyPair("ES256", { extractable: true });
  const DPoP = oauth.DPoP({}, keys);
  const first = await client.credentials({}, { DPoP }).catch((error) => error);
  check(`${name}: the issuer requires a nonce`, oauth.isDPoPNonceError(first), true);
  const { access_token, token_type } = await client.credentials({}, { DPoP });
  check(`${name}: a token of type DPoP`, token_type, "dpop");
  const { cnf } = await claims(access_token);
  check(`${name}: bound to the key`, cnf.jkt, await calculateJwkThumbprint(await exportJWK(keys.publicKey)));
  check(`${name}: the API refuses it as a bearer token`, await status(access_token), 401);
  const call = (handle) =>
    oauth.protectedResourceRequest(access_token, "GET", new URL(orders), undefined, undefined, { DPoP: handle, ...http });
  check(`${name}: the API accepts it with a proof`, (await call(oauth.DPoP({}, keys))).status, 200);
  const stolen = oauth.DPoP({}, await oauth.generateKeyPair("ES256"));
  const failure = await call(stolen).catch((error) => error);
  check(`${name}: the API refuses a proof of another key`, failure.status, 401);
}

async function certificateBound() {
  const client = await using({ binding: "certificate" });
  const secure = { ...server, token_endpoint: `${mtls}/oauth/token` };
  const by = (who) => client.credentials({}, { [oauth.customFetch]: fetchAs(who) }, secure);
  const { access_token } = await by("client");
  const { cnf } = await claims(access_token);
  check(`${name}: bound to the certificate`, cnf["x5t#S256"], await thumbprint("client"));
  await refused(`${name}: a bound client without a certificate`, by(undefined), 400, "invalid_request");
  for (const [who, expected] of [["client", 200], ["other", 401], [undefined, 401]]) {
    const response = await fetchAs(who)(`${mtls}/orders`, { headers: { authorization: `Bearer ${access_token}` } });
    check(`${name}: the API with ${who ? `the certificate ${who}` : "no certificate"}`, response.status, expected);
  }
}

async function refreshTokens() {
  const client = await using({ grant_types: ["refresh_token"] });
  const zero = await client.token("alice");
  const one = await client.refresh(zero);
  const { sid, sub } = await claims(one.access_token);
  check(`${name}: a refresh token`, [sub, typeof sid, one.scope], ["alice", "string", "orders:read orders:write"]);
  check(`${name}: a lost response is repeated`, (await client.refresh(zero)).refresh_token, one.refresh_token);
  const narrow = { additionalParameters: { scope: "orders:read" } };
  const two = await client.refresh(one.refresh_token, narrow);
  check(`${name}: fewer scopes at a refresh`, [two.scope, two.refresh_token === one.refresh_token], ["orders:read", false]);
  const more = client.refresh(two.refresh_token, { additionalParameters: { scope: "admin" } });
  await refused(`${name}: more scopes at a refresh`, more, 400, "invalid_scope");
  const other = await using({ grant_types: ["refresh_token"] });
  await refused(`${name}: the token of another client`, other.refresh(two.refresh_token), 400, "invalid_grant");
  check(`${name}: the API accepts the token`, await status(two.access_token), 200);
  await refused(`${name}: a used refresh token`, client.refresh(zero), 400, "invalid_grant");
  await refused(`${name}: its successors are revoked`, client.refresh(two.refresh_token), 400, "invalid_grant");
  check(`${name}: and their access tokens`, await status(two.access_token), 401);

  const bob = await client.refresh(await client.token("bob"));
  await control("suspensions", { subject: "bob" });
  await refused(`${name}: a suspended account`, client.refresh(bob.refresh_token), 400, "invalid_grant");
  await refused(`${name}: not a refresh token`, client.refresh("rt_guess"), 400, "invalid_grant");

  const keys = await oauth.generateKeyPair("ES256", { extractable: true });
  const DPoP = oauth.DPoP({}, keys);
  const bound = await client.token("alice", { jkt: await calculateJwkThumbprint(await exportJWK(keys.publicKey)) });
  await refused(`${name}: a bound refresh token without a proof`, client.refresh(bound), 400, "invalid_grant");
  const first = await client.refresh(bound, { DPoP }).catch((error) => error);
  check(`${name}: a proof for a refresh needs a nonce`, oauth.isDPoPNonceError(first), true);
  check(`${name}: a bound refresh token`, (await client.refresh(bound, { DPoP })).token_type, "dpop");
  await refused(`${name}: a bound refresh token is not repeated`, client.refresh(bound, { DPoP }), 400, "invalid_grant");
}

async function authorizationCode() {
  const client = await register(interactive);
  const verifier = oauth.generateRandomCodeVerifier();
  const parameters = {
    client_id: client.client_id,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    redirect_uri: callback,
    response_type: "code",
    state: "state",
  };
  const location = await visit(`${server.authorization_endpoint}?${new URLSearchParams(parameters)}`);
  // It checks the issuer in the response, RFC 9207.
  const response = oauth.validateAuthResponse(server, client, location, "state");
  const redeem = async (uri = callback) => {
    const auth = oauth.None();
    const tokens = await oauth.authorizationCodeGrantRequest(server, client, auth, response, uri, verifier, http);
    return oauth.processAuthorizationCodeResponse(server, client, tokens);
  };
  await refused(`${name}: a code for another redirect URI`, redeem("http://127.0.0.1:10/callback"), 400, "invalid_grant");
  const { access_token } = await redeem();
  check(`${name}: an authorization code with PKCE`, (await claims(access_token)).sub, "alice");
  await refused(`${name}: a used code`, redeem(), 400, "invalid_grant");
  check(`${name}: revokes the token of its first use`, await status(access_token), 401);
}

async function tokenExchange() {
  const client = await using({ grant_types: ["client_credentials", exchange], resources: [orders, billing] });
  const { access_token } = await client.credentials();
  const narrow = { resource: billing, scope: "orders:read" };
  const narrowed = await client.generic(exchange, subject(access_token, narrow));
  const { act, aud, scope } = await claims(narrowed.access_token, billing);
  check(`${name}: exchanges its token for a narrower one`, [act, aud, scope], [undefined, billing, "orders:read"]);
  const back = client.generic(exchange, subject(narrowed.access_token, { scope: "orders:write" }));
  await refused(`${name}: which has no more scopes`, back, 400, "invalid_scope");
  const forged = `${access_token.slice(0, -8)}AAAAAAAA`;
  await refused(`${name}: a forged token`, client.generic(exchange, subject(forged)), 400, "invalid_request");
}

async function revocationAndIntrospection() {
  const client = await using({ grant_types: ["client_credentials", "refresh_token"] });
  const [other, api] = [await using(), await using({ serves: orders })];
  const { access_token } = await client.credentials({ scope: "orders:read" });
  const { active, client_id, scope, token_type } = await client.introspect(access_token);
  check(`${name}: introspects its token`, [active, client_id, scope, token_type], [true, client.client_id, "orders:read", "Bearer"]);
  check(`${name}: the server of the resource introspects it`, (await api.introspect(access_token)).aud, orders);
  check(`${name}: to others it is not active`, await other.introspect(access_token), { active: false });
  await refused(`${name}: others cannot revoke it`, other.revoke(access_token), 400, "unauthorized_client");
  check(`${name}: it is still valid`, await status(access_token), 200);
  await client.revoke(access_token);
  check(`${name}: the API refuses a revoked token`, await status(access_token), 401);
  check(`${name}: a revoked token is not active`, await api.introspect(access_token), { active: false });
  check(`${name}: an unknown token is as good as revoked`, await client.revoke("guess"), undefined);

  const alice = await client.refresh(await client.token("alice"));
  check(`${name}: introspects a refresh token`, (await client.introspect(alice.refresh_token)).sub, "alice");
  await client.revoke(alice.refresh_token);
  await refused(`${name}: a revoked refresh token`, client.refresh(alice.refresh_token), 400, "invalid_grant");
  check(`${name}: revokes its access tokens`, await status(alice.access_token), 401);
  const guess = await using(undefined, () => oauth.ClientSecretBasic("guess"));
  await refused(`${name}: introspection with a wrong secret`, guess.introspect(access_token), 401, "invalid_client");
  await refused(`${name}: revocation with a wrong secret`, guess.revoke(access_token), 401, "invalid_client");
}

/** The library also verifies access tokens, as the API of an application does. */
async function verification() {
  const client = await using();
  const { access_token } = await client.credentials();
  const request = (token) => new Request(orders, { headers: { authorization: `Bearer ${token}` } });
  const verify = (token, audience) => oauth.validateJwtAccessToken(server, request(token), audience, http);
  check(`${name}: verifies an access token`, (await verify(access_token, orders)).client_id, client.client_id);
  const failure = await verify(access_token, billing).catch((error) => error);
  check(`${name}: refuses it for another audience`, failure.code, oauth.JWT_CLAIM_COMPARISON);

  const keys = async () => (await (await fetch(server.jwks_uri)).json()).keys;
  const before = await keys();
  await control("keys");
  check(`${name}: the next key is published`, (await keys()).length, before.length + 1);
  const after = await client.credentials();
  check(`${name}: the key before it still signs`, (await verify(after.access_token, orders)).iss, issuer);
}

for (const part of [
  secrets, assertions, scopesAndResources, keyBound, certificateBound, refreshTokens, authorizationCode, tokenExchange,
  revocationAndIntrospection, verification,
]) {
  await part();
}
