// The official SDKs of MCP for TypeScript, both generations: their providers for client credentials.
// Usage: mcp_sdk.mjs <url of the MCP server>
import { generateKeyPairSync } from "node:crypto";
import * as next from "@modelcontextprotocol/client";
import * as extensions from "@modelcontextprotocol/sdk/client/auth-extensions.js";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { Provider, authorized } from "../browser.mjs";
import { check, claims, interactive, issuer, jwks, register } from "./support.mjs";

const url = process.argv[2];
const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const pem = privateKey.export({ format: "pem", type: "pkcs8" });
const sdks = [
  ["@modelcontextprotocol/sdk", { ...extensions, Client, StreamableHTTPClientTransport }],
  ["@modelcontextprotocol/client", next],
];

for (const [name, sdk] of sdks) {
  const connect = async (authProvider) => {
    const client = new sdk.Client({ name: "interop", version: "1" });
    await client.connect(new sdk.StreamableHTTPClientTransport(new URL(url), { authProvider }));
    return client;
  };
  const credentials = (clientId, clientSecret, options = {}) =>
    new sdk.ClientCredentialsProvider({ clientId, clientSecret, expectedIssuer: issuer, ...options });
  const assertion = (clientId, options = {}) =>
    new sdk.PrivateKeyJwtProvider({ algorithm: "ES256", clientId, expectedIssuer: issuer, privateKey: pem, ...options });
  const works = async (what, provider, subject) => {
    const client = await connect(provider);
    const { content } = await client.callTool({ arguments: { text: "hello" }, name: "echo" });
    check(`${name}: ${what}: calls a tool`, content[0].text, "hello");
    const { aud, scope, sub } = await claims(provider.tokens().access_token, url);
    check(`${name}: ${what}: the token is for the server`, [aud, scope, sub], [url, "mcp:tools", subject]);
    await client.close();
  };
  const fails = async (what, provider, expected) => {
    const failure = await connect(provider).then(
      () => undefined,
      (error) => error,
    );
    check(`${name}: ${what}`, failure?.code ?? failure?.errorCode ?? failure?.message, expected);
  };

  const registration = { resources: [url], scope: "mcp:tools" };
  const { client_id, client_secret } = await register(registration);
  await works("client_secret_basic", credentials(client_id, client_secret), client_id);
  await fails("a wrong secret", credentials(client_id, "guess"), "invalid_client");
  const elsewhere = await register({ scope: "mcp:tools" });
  const other = credentials(elsewhere.client_id, elsewhere.client_secret);
  await fails("a client that may not use the server", other, "invalid_target");
  const scopeless = await register({ ...registration, scope: "other" });
  const without = credentials(scopeless.client_id, scopeless.client_secret, { scope: "mcp:tools" });
  await fails("a client without the scope", without, "invalid_scope");

  // A person signs in: a registered client, and the code that the browser comes back with.
  const person = new Provider();
  person.client = { client_id: (await register({ ...registration, ...interactive })).client_id, issuer };
  let client, transport;
  const signIn = async () => {
    transport = new sdk.StreamableHTTPClientTransport(new URL(url), { authProvider: person });
    client = new sdk.Client({ name: "interop", version: "1" });
    await client.connect(transport);
  };
  const finish = (parameters) => transport.finishAuth(sdk === next ? parameters : parameters.get("code"));
  await authorized(person, finish, signIn);
  const echoed = await client.callTool({ arguments: { text: "hello" }, name: "echo" });
  check(`${name}: an authorization code: calls a tool`, echoed.content[0].text, "hello");
  const { aud, sub } = await claims(person.stored.access_token, url);
  check(`${name}: an authorization code: the token is for the server`, [aud, sub], [url, "alice"]);
  await client.close();

  if (sdk.DpopSession) {
    const bound = credentials(client_id, client_secret);
    const dpop = await sdk.DpopSession.create();
    bound.dpop = () => dpop;
    await works("DPoP", bound, client_id);
    check(`${name}: DPoP: the type of the token`, bound.tokens().token_type, "DPoP");
  }

  const keys = { jwks: await jwks(publicKey), token_endpoint_auth_methods: ["private_key_jwt"] };
  const signer = await register({ ...registration, ...keys });
  await works("private_key_jwt", assertion(signer.client_id), signer.client_id);
  const thief = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "pem", type: "pkcs8" });
  await fails("an assertion of another key", assertion(signer.client_id, { privateKey: thief }), "invalid_client");
}
