// The official client of TypeScript, version 1: sessions (2025-11-25). Usage: sdk_v1.mjs <url> <api key>
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { Provider, authorized, check, failure } from "./browser.mjs";

const [url, key] = process.argv.slice(2);
const name = "@modelcontextprotocol/sdk";
const text = (result) => result.content[0].text;

// From the 401 to a token: metadata of the resource, metadata of the issuer, registration, code with PKCE.
const provider = new Provider();
let client, transport;
const connect = async () => {
  transport = new StreamableHTTPClientTransport(new URL(url), { authProvider: provider });
  client = new Client({ name: "interop", version: "1" });
  await client.connect(transport);
};
const finish = (parameters) => transport.finishAuth(parameters.get("code"));
await authorized(provider, finish, connect);
check(`${name}: requests the scope of the challenge`, provider.requested, "mcp:tools");
check(`${name}: has a session`, typeof transport.sessionId, "string");
const { tools } = await client.listTools();
check(`${name}: lists tools`, tools.map((tool) => tool.name).sort(), ["delete_user", "echo", "reset"]);
const echo = { name: "echo", arguments: { text: "hello" } };
check(`${name}: calls a tool`, text(await client.callTool(echo)), "hello");

// From the 403 to a token with more scopes, and the same session.
const session = transport.sessionId;
const reset = () => client.callTool({ name: "reset", arguments: {} });
check(`${name}: steps up`, text(await authorized(provider, finish, reset)), "reset by alice");
check(`${name}: requests all scopes of the tool`, provider.requested, "admin mcp:tools");
check(`${name}: keeps the session`, transport.sessionId, session);
check(`${name}: still calls other tools`, text(await client.callTool(echo)), "hello");

// The session is one of alice, and unknown to the owner of the API key.
const headers = { accept: "text/event-stream", authorization: `Bearer ${key}`, "mcp-session-id": session };
for (const method of ["GET", "DELETE"]) {
  check(`the session is unknown to another caller: ${method}`, (await fetch(url, { headers, method })).status, 404);
}
check(`${name}: calls a tool in its session`, text(await client.callTool(echo)), "hello");

const deletion = () => client.callTool({ name: "delete_user", arguments: { user: "bob" } });
check(`${name}: is refused a tool that requires a bound token`, (await failure(deletion)).name, "Error");
await transport.terminateSession();
await client.close();

// An API key instead of a token.
const requestInit = { headers: { authorization: `Bearer ${key}` } };
transport = new StreamableHTTPClientTransport(new URL(url), { requestInit });
client = new Client({ name: "interop", version: "1" });
await client.connect(transport);
check(`${name}: calls a tool with an API key`, text(await client.callTool(echo)), "hello");
check(`${name}: is refused a tool that the API key lacks a scope for`, (await failure(reset)).code, 403);
await client.close();
