// npm `openid-client`: discovery, then one call for each grant; it repeats requests that need a nonce.
import * as client from "openid-client";
import {
  any, assertion, bearer, billing, callback, check, claims, control, exchange, fetchAs, interactive, issuer, jwks, mtls, orders, refused, register,
  status, subject, thumbprint, visit,
} from "./support.mjs";

const name = "openid-client";
const options = { algorithm: "oauth2", execute: [client.allowInsecureRequests] };

/** The configuration of a registered client, with its method of authentication. */
async function using(registration, authentication = client.ClientSecretBasic) {
  const { client_id, client_secret } = await register(registration);
  return client.discovery(new URL(issuer), client_id, undefined, authentication(client_secret), options);
}

const id = (config) => config.clientMetadata().client_id;
const firstToken = async (config, subject) =>
  (await control("refresh-tokens", { client_id: id(config), subject })).refresh_token;

async function authentication() {
  for (const [method, auth] of [
    ["client_secret_basic", client.ClientSecretBasic],
    ["client_secret_post", client.ClientSecretPost],
  ]) {
    const registration = { token_endpoint_auth_methods: [method] };
    const config = await using(registration, auth);
    check(`${name}: discovers the issuer`, config.serverMetadata().issuer, issuer);
    const tokens = await client.clientCredentialsGrant(config, { scope: "orders:read" });
    check(`${name}: ${method}`, [tokens.expires_in, tokens.scope], [900, "orders:read"]);
    check(`${name}: the token is a JWT of the client`, (await claims(tokens.access_token)).client_id, id(config));
    const guess = await using(registration, () => auth("guess"));
    await refused(`${name}: ${method} with a wrong secret`, client.clientCredentialsGrant(guess), 401, "invalid_client");
  }
  const { privateKey, publicKey } = await client.randomDPoPKeyPair("ES256", { extractable: true });
  const registration = { jwks: await jwks(publicKey), token_endpoint_auth_methods: ["private_key_jwt"] };
  const config = await using(registration, () => client.PrivateKeyJwt(privateKey));
  check(`${name}: private_key_jwt`, await status((await client.clientCredentialsGrant(config)).access_token), 200);
  const modify = { [client.modifyAssertion]: (_header, payload) => Object.assign(payload, { jti: "once" }) };
  const replayed = await using(registration, () => client.PrivateKeyJwt(privateKey, modify));
  check(`${name}: an assertion`, typeof (await client.clientCredentialsGrant(replayed)).access_token, "string");
  await refused(`${name}: a replayed assertion`, client.clientCredentialsGrant(replayed), 401, "invalid_client");
  const none = await using(undefined, () => client.None());
  await refused(`${name}: no authentication`, client.clientCredentialsGrant(none), 401, "invalid_client");
}

async function clientCredentials() {
  const config = await using({ resources: [orders, billing] });
  const { access_token } = await client.clientCredentialsGrant(config, { resource: billing });
  check(`${name}: another resource`, (await claims(access_token, billing)).aud, billing);
  const request = (parameters) => client.clientCredentialsGrant(config, parameters);
  await refused(`${name}: a resource that is not allowed`, request({ resource: "urn:other" }), 400, "invalid_target");
  await refused(`${name}: a scope that is not allowed`, request({ scope: "admin" }), 400, "invalid_scope");
  const unknown = client.genericGrantRequest(config, "urn:example:unknown", {});
  await refused(`${name}: an unknown grant`, unknown, 400, "unsupported_grant_type");
  const unauthorized = client.refreshTokenGrant(config, "rt_guess");
  await refused(`${name}: a grant that the client may not use`, unauthorized, 400, "unauthorized_client");
}

async function certificates() {
  const self_signed = await thumbprint("self");
  for (const [method, port, who, registration] of [
    ["tls_client_auth", mtls, "client", { tls_client_auth_san_dns: "client.example" }],
    ["self_signed_tls_client_auth", any, "self", { self_signed }],
  ]) {
    const { client_id } = await register({ ...registration, token_endpoint_auth_methods: [method] });
    const by = (name, url = port) => {
      const server = { issuer, token_endpoint: `${url}/oauth/token` };
      const config = new client.Configuration(server, client_id, undefined, client.TlsClientAuth());
      config[client.customFetch] = fetchAs(name);
      return client.clientCredentialsGrant(config);
    };
    check(`${name}: ${method}`, (await claims((await by(who)).access_token)).sub, client_id);
    await refused(`${name}: ${method} with another certificate`, by("other"), 401, "invalid_client");
    await refused(`${name}: ${method} without a certificate`, by(), 401, "invalid_client");
    // On this port, nobody has verified by whom the certificate was issued. Both have the same name.
    const unverified = by(who === "self" ? "client" : "self", any);
    await refused(`${name}: ${method} with a certificate of the same name`, unverified, 401, "invalid_client");
  }
}

async function apiKeys() {
  const { key } = await control("api-keys", { owner: "agent-7", scope: "orders:read" });
  const config = (id, secret) => client.discovery(new URL(issuer), id, undefined, client.ClientSecretBasic(secret), options);
  const owner = await config("agent-7", key);
  const tokens = await client.clientCredentialsGrant(owner);
  const { scope, sub } = await claims(tokens.access_token);
  check(`${name}: an API key as secret`, [sub, scope, await status(tokens.access_token)], ["agent-7", "orders:read", 200]);
  const more = client.clientCredentialsGrant(owner, { scope: "orders:write" });
  await refused(`${name}: a scope that the key lacks`, more, 400, "invalid_scope");
  const other = client.clientCredentialsGrant(await config("agent-8", key));
  await refused(`${name}: the key of another owner`, other, 401, "invalid_client");
}

async function jwtBearer() {
  const config = await using({ grant_types: [bearer] });
  const request = (token) => client.genericGrantRequest(config, bearer, { assertion: token, scope: "orders:read" });
  const once = await assertion();
  const tokens = await request(once);
  const { client_id, sub } = await claims(tokens.access_token);
  check(`${name}: JWT bearer`, [client_id, sub, tokens.scope], [id(config), "workload:batch", "orders:read"]);
  await refused(`${name}: a replayed assertion for a grant`, request(once), 400, "invalid_grant");
  const aud = config.serverMetadata().token_endpoint;
  const endpoint = request(await assertion({ aud }));
  await refused(`${name}: one for the token endpoint`, endpoint, 400, "invalid_grant");
}

/** A client that registers itself, RFC 7591. */
async function registration() {
  const metadata = { grant_types: ["authorization_code"], redirect_uris: [callback], token_endpoint_auth_method: "none" };
  const config = await client.dynamicClientRegistration(new URL(issuer), metadata, client.None(), options);
  const verifier = client.randomPKCECodeVerifier();
  const code_challenge = await client.calculatePKCECodeChallenge(verifier);
  const parameters = { code_challenge, code_challenge_method: "S256", redirect_uri: callback };
  const location = await visit(client.buildAuthorizationUrl(config, parameters));
  const tokens = await client.authorizationCodeGrant(config, location, { pkceCodeVerifier: verifier });
  check(`${name}: a client that has registered itself`, (await claims(tokens.access_token)).client_id, id(config));
  const unsafe = { ...metadata, redirect_uris: ["http://attacker.example.com/"] };
  const refusal = client.dynamicClientRegistration(new URL(issuer), unsafe, client.None(), options);
  await refused(`${name}: an insecure redirect URI`, refusal, 400, "invalid_redirect_uri");
}

async function keyBound() {
  const config = await using({ binding: "key" });
  const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair());
  const { access_token, token_type } = await client.clientCredentialsGrant(config, {}, { DPoP });
  check(`${name}: a token of type DPoP, after a nonce`, token_type, "dpop");
  const call = (handle) =>
    client.fetchProtectedResource(config, access_token, new URL(orders), "GET", undefined, undefined, { DPoP: handle });
  check(`${name}: the API accepts it with a proof`, (await (await call(DPoP)).json()).bound, true);
  check(`${name}: the API refuses it as a bearer token`, await status(access_token), 401);
  const stolen = await call(client.getDPoPHandle(config, await client.randomDPoPKeyPair())).catch((error) => error);
  check(`${name}: the API refuses a proof of another key`, stolen.status, 401);
  await refused(`${name}: a bound client without a proof`, client.clientCredentialsGrant(config), 400, "invalid_dpop_proof");
}

async function certificateBound() {
  const { client_id, client_secret } = await register({ binding: "certificate" });
  // The configuration of a client that uses the port with TLS.
  const server = { issuer, jwks_uri: `${mtls}/oauth/jwks`, token_endpoint: `${mtls}/oauth/token` };
  const config = new client.Configuration(server, client_id, undefined, client.ClientSecretBasic(client_secret));
  config[client.customFetch] = fetchAs("client");
  const { access_token } = await client.clientCredentialsGrant(config);
  const { cnf } = await claims(access_token);
  check(`${name}: bound to the certificate`, cnf["x5t#S256"], await thumbprint("client"));
  const call = () => client.fetchProtectedResource(config, access_token, new URL(`${mtls}/orders`), "GET");
  check(`${name}: the API accepts it with the certificate`, (await call()).status, 200);
  config[client.customFetch] = fetchAs("other");
  check(`${name}: the API refuses it with another`, (await call().catch((error) => error)).status, 401);
  config[client.customFetch] = fetchAs();
  await refused(`${name}: no certificate`, client.clientCredentialsGrant(config), 400, "invalid_request");
}

async function refreshTokens() {
  const config = await using({ grant_types: ["refresh_token"] });
  const refresh = (token, ...rest) => client.refreshTokenGrant(config, token, ...rest);
  const zero = await firstToken(config, "alice");
  const one = await refresh(zero);
  check(`${name}: a refresh token`, (await claims(one.access_token)).sub, "alice");
  const two = await refresh(one.refresh_token, { scope: "orders:read" });
  check(`${name}: is rotated`, [two.scope, [zero, one.refresh_token].includes(two.refresh_token)], ["orders:read", false]);
  await refused(`${name}: more scopes at a refresh`, refresh(two.refresh_token, { scope: "admin" }), 400, "invalid_scope");
  const other = await using({ grant_types: ["refresh_token"] });
  const stolen = client.refreshTokenGrant(other, two.refresh_token);
  await refused(`${name}: the token of another client`, stolen, 400, "invalid_grant");
  check(`${name}: the API accepts the access token`, await status(two.access_token), 200);
  await refused(`${name}: a used refresh token`, refresh(zero), 400, "invalid_grant");
  await refused(`${name}: its successors are revoked`, refresh(two.refresh_token), 400, "invalid_grant");
  check(`${name}: and their access tokens`, await status(two.access_token), 401);

  // A family that is not bound: each access token may be.
  const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair());
  const bound = await refresh(await firstToken(config, "alice"), undefined, { DPoP });
  check(`${name}: an access token that is bound at a refresh`, typeof (await claims(bound.access_token)).cnf.jkt, "string");
}

async function authorizationCode() {
  const config = await using(interactive, () => client.None());
  const verifier = client.randomPKCECodeVerifier();
  const code_challenge = await client.calculatePKCECodeChallenge(verifier);
  const pkce = { code_challenge, code_challenge_method: "S256" };
  const authorize = (parameters) =>
    visit(client.buildAuthorizationUrl(config, { redirect_uri: callback, state: "state", ...pkce, ...parameters }));
  const checks = { expectedState: "state", pkceCodeVerifier: verifier };
  const location = await authorize({ resource: orders, scope: "orders:read" });
  const tokens = await client.authorizationCodeGrant(config, location, checks);
  const { client_id, scope, sub } = await claims(tokens.access_token);
  check(`${name}: an authorization code with PKCE`, [client_id, scope, sub], [id(config), "orders:read", "alice"]);
  const next = await client.refreshTokenGrant(config, tokens.refresh_token);
  check(`${name}: and its refresh token`, await status(next.access_token), 200);
  const again = client.authorizationCodeGrant(config, location, checks);
  await refused(`${name}: a used code`, again, 400, "invalid_grant");
  check(`${name}: revokes the tokens of its first use`, await status(next.access_token), 401);
  const wrong = { ...checks, pkceCodeVerifier: client.randomPKCECodeVerifier() };
  const guess = client.authorizationCodeGrant(config, await authorize(), wrong);
  await refused(`${name}: another verifier`, guess, 400, "invalid_grant");
  const plain = await authorize({ code_challenge: verifier, code_challenge_method: "plain" });
  check(`${name}: PKCE without S256`, plain.searchParams.get("error"), "invalid_request");
  const elsewhere = await authorize({ redirect_uri: "https://attacker.example.com/" });
  check(`${name}: another redirect URI`, elsewhere.href, "about:blank?status=400");
  const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair());
  const bound = await client.authorizationCodeGrant(config, await authorize(), checks, undefined, { DPoP });
  check(`${name}: a code for a token of type DPoP`, bound.token_type, "dpop");
  const unbound = client.refreshTokenGrant(config, bound.refresh_token);
  await refused(`${name}: whose refresh token needs the same key`, unbound, 400, "invalid_grant");
}

async function tokenExchange() {
  const agent = await using({ grant_types: ["refresh_token"] });
  const { access_token } = await client.refreshTokenGrant(agent, await firstToken(agent, "alice"));
  // The API that receives the token calls another one, on behalf of alice.
  const registration = { grant_types: [exchange], resources: [billing], scope: "orders:read admin" };
  const api = await using({ ...registration, serves: orders });
  const request = (config, parameters) =>
    client.genericGrantRequest(config, exchange, subject(access_token, parameters));
  const tokens = await request(api, { resource: billing });
  const { act, scope, sub } = await claims(tokens.access_token, billing);
  check(`${name}: token exchange`, [sub, act, scope], ["alice", { sub: id(api) }, "orders:read"]);
  check(`${name}: its type`, tokens.issued_token_type, "urn:ietf:params:oauth:token-type:access_token");
  await refused(`${name}: more scopes by an exchange`, request(api, { scope: "admin" }), 400, "invalid_scope");
  await refused(`${name}: another resource by an exchange`, request(api, { resource: orders }), 400, "invalid_target");
  const other = await using(registration);
  await refused(`${name}: a token that was not meant for the client`, request(other), 400, "invalid_request");
  const revoker = client.tokenRevocation(agent, access_token);
  check(`${name}: the client revokes its token`, await revoker, undefined);
  await refused(`${name}: a revoked token`, request(api), 400, "invalid_request");
}

async function revocationAndIntrospection() {
  const config = await using({ grant_types: ["client_credentials", "refresh_token"] });
  const other = await using();
  const { access_token } = await client.clientCredentialsGrant(config);
  const introspected = await client.tokenIntrospection(config, access_token);
  check(`${name}: introspects its token`, [introspected.active, introspected.aud], [true, orders]);
  check(`${name}: to others it is not active`, await client.tokenIntrospection(other, access_token), { active: false });
  const revoked = client.tokenRevocation(other, access_token);
  await refused(`${name}: others cannot revoke it`, revoked, 400, "unauthorized_client");
  await client.tokenRevocation(config, access_token, { token_type_hint: "refresh_token" });
  check(`${name}: the API refuses a revoked token`, await status(access_token), 401);
  check(`${name}: a revoked token is not active`, await client.tokenIntrospection(config, access_token), { active: false });
  const token = await firstToken(config, "alice");
  await client.tokenRevocation(config, token);
  await refused(`${name}: a revoked refresh token`, client.refreshTokenGrant(config, token), 400, "invalid_grant");
}

for (const part of [
  authentication, certificates, clientCredentials, apiKeys, jwtBearer, registration, keyBound, certificateBound, refreshTokens, authorizationCode, tokenExchange,
  revocationAndIntrospection,
]) {
  await part();
}
