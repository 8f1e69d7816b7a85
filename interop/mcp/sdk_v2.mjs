// The official client of TypeScript, version 2: the protocol of 2026-07-28, sessions of 2025-11-25, and DPoP.
// Usage: sdk_v2.mjs <url> <api key>
import { Client, DpopSession, StreamableHTTPClientTransport, UnauthorizedError } from "@modelcontextprotocol/client";
import { Provider, authorized, check, failure } from "./browser.mjs";

const [url, key] = process.argv.slice(2);
const text = (result) => result.content[0].text;
const echo = { name: "echo", arguments: { text: "hello" } };
const deletion = { name: "delete_user", arguments: { user: "bob" } };

for (const version of ["2026-07-28", "2025-11-25"]) {
  const name = `@modelcontextprotocol/client, ${version}`;
  const mode = version === "2026-07-28" ? { pin: version } : "legacy";
  let client, transport;
  const connect = async (options) => {
    transport = new StreamableHTTPClientTransport(new URL(url), options);
    client = new Client({ name: "interop", version: "1" }, { versionNegotiation: { mode } });
    await client.connect(transport);
  };
  const finish = (parameters) => transport.finishAuth(parameters);

  const provider = new Provider();
  await authorized(provider, finish, () => connect({ authProvider: provider }));
  check(`${name}: requests the scope of the challenge`, provider.requested, "mcp:tools");
  check(`${name}: negotiates the version`, client.getNegotiatedProtocolVersion(), version);
  check(`${name}: has a session, or none`, transport.sessionId === undefined, version === "2026-07-28");
  const { tools } = await client.listTools();
  check(`${name}: lists tools`, tools.map((tool) => tool.name).sort(), ["delete_user", "echo", "reset"]);
  check(`${name}: calls a tool`, text(await client.callTool(echo)), "hello");
  const reset = () => client.callTool({ name: "reset", arguments: {} });
  check(`${name}: steps up`, text(await authorized(provider, finish, reset)), "reset by alice");
  check(`${name}: requests the union of the scopes`, provider.requested, "admin mcp:tools");
  check(`${name}: still calls other tools`, text(await client.callTool(echo)), "hello");
  const refused = await failure(() => client.callTool(deletion));
  check(`${name}: is refused a tool that requires a bound token`, refused instanceof UnauthorizedError, true);
  await client.close();

  // A token that is bound to a key of the client.
  const bound = new Provider();
  const dpop = await DpopSession.create();
  bound.dpop = () => dpop;
  await authorized(bound, finish, () => connect({ authProvider: bound }));
  check(`${name}: has a token of type DPoP`, bound.stored.token_type, "DPoP");
  check(`${name}: calls a tool with DPoP`, text(await client.callTool(echo)), "hello");
  const done = await authorized(bound, finish, () => client.callTool(deletion));
  check(`${name}: steps up with DPoP`, text(done), "bob deleted by alice");
  await client.close();
  const authorization = `Bearer ${bound.stored.access_token}`;
  const stolen = await failure(() => connect({ requestInit: { headers: { authorization } } }));
  check(`${name}: is refused the same token as a bearer token`, stolen.status, 401);

  await connect({ requestInit: { headers: { authorization: `Bearer ${key}` } } });
  check(`${name}: calls a tool with an API key`, text(await client.callTool(echo)), "hello");
  check(`${name}: is refused a tool that the API key lacks a scope for`, (await failure(reset)).requiredScope, "admin mcp:tools");
  await client.close();
}
