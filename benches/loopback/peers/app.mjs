// Express: a map of hashed keys, and express-oauth2-jwt-bearer. Usage: app.mjs <folder of the credentials> <URL of the key set>.
// Prints `listening <url>`.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import express from "express";
import { auth, requiredScopes } from "express-oauth2-jwt-bearer";

const [folder, jwksUri] = process.argv.slice(2);
const text = (name) => readFileSync(`${folder}/${name}`, "utf8").trim();
const digest = (key) => createHash("sha256").update(key).digest("base64");

const callers = new Map(
  text("keys").split("\n").map((key, index) => [digest(key), { subject: `agent-${index}`, scopes: new Set(["billing:read"]) }]),
);
callers.set(digest(text("key-unscoped")), { subject: "unscoped", scopes: new Set() });

const refuse = (response, status, error) =>
  response.status(status).set("WWW-Authenticate", error ? `Bearer error="${error}"` : "Bearer").type("text").send("");

const keyCaller = (request, response, next) => {
  const [, key] = /^Bearer ([^ ]+)$/i.exec(request.get("authorization") ?? "") ?? [];
  if (key === undefined) return refuse(response, 401);
  const caller = callers.get(digest(key));
  if (caller === undefined) return refuse(response, 401, "invalid_token");
  if (!caller.scopes.has("billing:read")) return refuse(response, 403, "insufficient_scope");
  request.caller = caller;
  next();
};
const tokenCaller = [
  auth({ audience: text("audience"), issuer: text("issuer"), jwksUri, tokenSigningAlg: "RS256" }),
  requiredScopes("billing:read"),
];
const ok = (_request, response) => response.type("text").send("ok");

const app = express();
app.get("/bare", ok);
app.get("/key", keyCaller, ok);
app.get("/jwt", tokenCaller, ok);
app.use((error, _request, response, _next) => response.status(error.status ?? 500).set(error.headers ?? {}).end());
const server = app.listen(0, "127.0.0.1", () => console.log(`listening http://127.0.0.1:${server.address().port}`));
