// oidc-provider with one client, for `bench`: JWT access tokens for one resource. Usage: provider.mjs <algorithm> <secret>
// Prints `issuer <url>`.
import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import Provider from "oidc-provider";

const [alg, client_secret] = process.argv.slice(2);
const scope = "orders:read orders:write";
const { privateKey } =
  alg === "RS256" ? generateKeyPairSync("rsa", { modulusLength: 2048 }) : generateKeyPairSync("ec", { namedCurve: "P-256" });
const server = createServer();
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: "load",
      client_secret,
      grant_types: ["client_credentials"],
      id_token_signed_response_alg: alg,
      redirect_uris: [],
      response_types: [],
      scope,
      token_endpoint_auth_method: "client_secret_basic",
    },
  ],
  cookies: { keys: ["load"] },
  extraTokenClaims: () => ({ tenant: "acme" }),
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_context, audience) => ({
        accessTokenFormat: "jwt",
        accessTokenTTL: 900,
        audience,
        jwt: { sign: { alg } },
        scope,
      }),
    },
  },
  jwks: { keys: [{ ...privateKey.export({ format: "jwk" }), alg, kid: "load", use: "sig" }] },
  scopes: scope.split(" "),
  ttl: { ClientCredentials: 900 },
});
server.on("request", provider.callback());
console.log(`issuer ${issuer}`);
