// A proxy on loopback that adds a token to each request, for clients that cannot send one. It stands for the server: `Host`
// and `Origin` of the proxy become those of the server. Prints `proxy <url>`. Usage: inject.mjs <url> [<token>]
import { createServer, request } from "node:http";

const upstream = new URL(process.argv[2]);
const token = process.argv[3];

const server = createServer((incoming, outgoing) => {
  const own = `127.0.0.1:${server.address().port}`;
  const headers = incoming.rawHeaders.map((text, index) => {
    const name = index % 2 === 1 ? incoming.rawHeaders[index - 1].toLowerCase() : "";
    return name === "host" || name === "origin" ? text.replace(own, upstream.host) : text;
  });
  if (token) headers.push("Authorization", `Bearer ${token}`);
  const options = { headers, host: upstream.hostname, method: incoming.method, path: incoming.url, port: upstream.port };
  const forwarded = request(options, (response) => {
    outgoing.writeHead(response.statusCode, response.rawHeaders).flushHeaders();
    response.pipe(outgoing);
  });
  forwarded.on("error", () => outgoing.destroy());
  outgoing.on("close", () => forwarded.destroy());
  incoming.pipe(forwarded);
});
server.listen(0, "127.0.0.1", () => console.log(`proxy http://127.0.0.1:${server.address().port}${upstream.pathname}`));
