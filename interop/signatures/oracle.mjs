// Signs and verifies messages with the packages http-message-signatures and web-bot-auth of npm.
// Usage: oracle.mjs sign FOLDER | verify FOLDER
import { constants, createHash, createPublicKey, generateKeyPairSync, sign as signWith } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import signatures from 'http-message-signatures'
import { signatureHeaders } from 'web-bot-auth'
import { signerFromJWK } from 'web-bot-auth/crypto'

const { createSigner, createVerifier, httpbis } = signatures
const [command, folder] = process.argv.slice(2)

const pairs = {
  'ecdsa-p256-sha256': () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  'ecdsa-p384-sha384': () => generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  ed25519: () => generateKeyPairSync('ed25519'),
  'rsa-pss-sha512': () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  'rsa-v1_5-sha256': () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
}
const names = { 'rsa-pss-sha512': 'PS512', 'rsa-v1_5-sha256': 'RS256' }

const body = '{"amount": 12}'
const digest = `sha-512=:${createHash('sha512').update(body).digest('base64')}:`
const requests = [
  { method: 'GET', url: 'https://api.test/orders?item=7', fields: ['@method', '@target-uri'], headers: {} },
  {
    method: 'POST',
    url: 'https://api.test/orders?item=7&name=a%20b',
    fields: ['@method', '@authority', '@scheme', '@path', '@query', '@query-param;name="name"', 'content-digest;key="sha-512"', 'x-list'],
    headers: { 'content-digest': digest, 'x-list': ['a', 'b'] },
    body,
  },
]

async function sign() {
  const rows = []
  for (const algorithm of [...Object.keys(pairs), 'hmac-sha256']) {
    const pair = pairs[algorithm]?.()
    const secret = Buffer.alloc(40, 7)
    const jwk = pair
      ? { ...pair.publicKey.export({ format: 'jwk' }), ...(names[algorithm] && { alg: names[algorithm] }) }
      : { kty: 'oct', alg: 'HS256', k: secret.toString('base64url') }
    for (const [index, request] of requests.entries()) {
      const created = new Date()
      const config = {
        key: signer(pair?.privateKey ?? secret, algorithm),
        fields: request.fields,
        params: ['created', 'keyid', 'alg', 'nonce'],
        paramValues: { created, nonce: `${algorithm}-${index}` },
      }
      const { headers } = await httpbis.signMessage(config, { method: request.method, url: request.url, headers: request.headers })
      const { method, url } = request
      rows.push({ algorithm, jwk, created: Math.floor(created / 1000), method, url, headers, body: request.body ?? '' })
    }
  }
  writeFileSync(join(folder, 'node.json'), JSON.stringify(rows, null, 1))
  await agents(rows.length)
}

// RFC 9421 §3.3.1: a salt of 64 bytes. That of the package is as long as the key allows.
function signer(key, algorithm) {
  if (algorithm !== 'rsa-pss-sha512') return createSigner(key, algorithm, 'k1')
  const options = { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 64 }
  return { id: 'k1', alg: algorithm, sign: async (data) => signWith('sha512', data, options) }
}

// The earlier form of `Signature-Agent`, a string.
async function agents(count) {
  const key = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' })
  const { d: _, ...jwk } = key
  const created = new Date()
  const headers = { 'signature-agent': '"https://agent.test"' }
  const request = new Request('https://api.test/page', { headers })
  const signed = await signatureHeaders(request, await signerFromJWK(key), { created, expires: new Date(+created + 300_000) })
  const directory = 'https://agent.test/.well-known/http-message-signatures-directory'
  const [all, seconds] = [{ ...headers, ...signed }, Math.floor(created / 1000)]
  const row = { jwk, directory, created: seconds, method: 'GET', url: request.url, headers: all, body: '' }
  writeFileSync(join(folder, 'node_agents.json'), JSON.stringify([row], null, 1))
  console.log(`ok: ${count + 1} messages are signed by Node`)
}

async function verify() {
  const rows = JSON.parse(readFileSync(join(folder, 'rust.json')))
  let verified = 0
  for (const row of rows) {
    // Which the package does not support.
    if (/@request-target|;sf|;bs/.test(JSON.stringify([row.headers, row.response ?? {}]))) continue
    const key = row.jwk.kty === 'oct' ? Buffer.from(row.jwk.k, 'base64url') : createPublicKey({ key: row.jwk, format: 'jwk' })
    const verifyKey = createVerifier(key, row.algorithm)
    const config = { keyLookup: async () => ({ id: 'k1', algs: [row.algorithm], verify: verifyKey }), maxAge: 86_400 }
    const request = { method: row.method, url: row.url, headers: row.headers }
    const verdict = row.status
      ? await httpbis.verifyMessage(config, { status: row.status, headers: row.response }, request)
      : await httpbis.verifyMessage(config, request)
    if (verdict !== true) throw new Error(`not verified: ${JSON.stringify(row)}`)
    verified += 1
  }
  if (verified !== 12) throw new Error(`${verified} messages were verified`)
  console.log(`ok: ${verified} messages of tower-warden are verified by Node`)
}

await { sign, verify }[command]()
