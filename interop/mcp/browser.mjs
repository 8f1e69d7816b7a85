// A browser without a window: follows redirects with cookies, until it would be sent to the callback of a client.
export const callback = "http://127.0.0.1:9/callback";

/** The parameters that the authorization server sends to the callback. */
export async function authorize(url) {
  const cookies = new Map();
  for (let steps = 0; steps < 12; steps += 1) {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const response = await fetch(url, { headers: { cookie }, redirect: "manual" });
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      if (value) cookies.set(name, value);
      else cookies.delete(name);
    }
    const location = response.headers.get("location");
    if (!location) throw new Error(`${url}: ${response.status} ${await response.text()}`);
    url = new URL(location, url);
    if (!url.href.startsWith(callback)) continue;
    if (!url.searchParams.has("code")) throw new Error(`no code: ${url.searchParams}`);
    return url.searchParams;
  }
  throw new Error("the authorization server redirects without an end");
}

/** What a client with a store in memory implements: the provider of both generations of the SDK. */
export class Provider {
  authorizations = [];
  redirectUrl = callback;
  clientMetadata = {
    application_type: "native",
    client_name: "interop",
    grant_types: ["authorization_code"],
    redirect_uris: [callback],
    response_types: ["code"],
    token_endpoint_auth_method: "none",
  };
  clientInformation = () => this.client;
  codeVerifier = () => this.verifier;
  discoveryState = () => this.discovery;
  redirectToAuthorization = (url) => void this.authorizations.push(url);
  saveClientInformation = (client) => void (this.client = client);
  saveDiscoveryState = (discovery) => void (this.discovery = discovery);
  saveCodeVerifier = (verifier) => void (this.verifier = verifier);
  saveTokens = (tokens) => void (this.stored = tokens);
  tokens = () => this.stored;

  /** The scopes that the last authorization requested. */
  get requested() {
    return this.authorizations.at(-1).searchParams.get("scope").split(" ").sort().join(" ");
  }
}

/** Runs `operation`; if it has to be authorized, visits the authorization server, and runs it once more. */
export async function authorized(provider, finish, operation) {
  const before = provider.authorizations.length;
  try {
    return await operation();
  } catch (error) {
    if (provider.authorizations.length === before) throw error;
    await finish(await authorize(provider.authorizations.at(-1)));
    return operation();
  }
}

export function check(what, got, expected) {
  if (JSON.stringify(got) !== JSON.stringify(expected)) {
    throw new Error(`${what}: expected ${JSON.stringify(expected)}, got ${JSON.stringify(got)}`);
  }
  console.log(`ok ${what}`);
}

/** The error that `operation` fails with. */
export async function failure(operation) {
  try {
    await operation();
  } catch (error) {
    return error;
  }
  throw new Error("a call that must be refused has succeeded");
}
