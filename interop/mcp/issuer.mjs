// An authorization server for `run`: oidc-provider with resource indicators, JWT access tokens (RFC 9068), DPoP and dynamic
// registration. It signs every browser in as alice, and grants what is requested. Prints `issuer <url>`.
import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import Provider from "oidc-provider";

const scope = "mcp:tools admin";
const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const server = createServer();
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clientDefaults: { id_token_signed_response_alg: "ES256", token_endpoint_auth_method: "none" },
  cookies: { keys: ["interop"] },
  // Clients register with the scope of the first challenge. A server that held them to it would refuse to step up.
  extraClientMetadata: { properties: ["any_scope"], validator: (_context, _name, _value, metadata) => delete metadata.scope },
  features: {
    devInteractions: { enabled: false },
    dPoP: { enabled: true },
    registration: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_context, audience) => ({
        accessTokenFormat: "jwt",
        accessTokenTTL: 300,
        audience,
        jwt: { sign: { alg: "ES256" } },
        scope,
      }),
      useGrantedResource: () => true,
    },
  },
  findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
  jwks: { keys: [{ ...privateKey.export({ format: "jwk" }), alg: "ES256", kid: "interop", use: "sig" }] },
  scopes: scope.split(" "),
});

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

const serve = provider.callback();
server.on("request", (request, response) => {
  if (!request.url.startsWith("/interaction/")) return serve(request, response);
  interact(request, response).catch((error) => response.writeHead(500).end(String(error)));
});
console.log(`issuer ${issuer}`);
