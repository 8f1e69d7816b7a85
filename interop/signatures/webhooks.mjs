// Webhooks that these libraries sign are verified by the server at URL, and those that it signs by these libraries.
import assert from 'node:assert/strict'
import { sign, verify } from '@octokit/webhooks-methods'
import { Webhook } from 'standardwebhooks'
import Stripe from 'stripe'

const { URL: url, SECRET: secret } = process.env
const { webhooks } = new Stripe('sk_test_of_nobody')
const standard = new Webhook(secret)
const now = () => Math.floor(Date.now() / 1000)

// Each makes the fields of a request, and throws or returns false if a request is not authentic.
const libraries = {
  github: {
    sign: async (body) => ({ 'x-hub-signature-256': await sign(secret, body), 'x-github-delivery': 'b7a5' }),
    verify: (body, fields) => verify(secret, body, fields['x-hub-signature-256']),
  },
  standard: {
    sign: async (body, time = now(), id = `msg_${body.length}`) => ({
      'webhook-id': id,
      'webhook-timestamp': String(time),
      'webhook-signature': standard.sign(id, new Date(time * 1000), body),
    }),
    verify: async (body, fields) => Boolean(standard.verify(body, fields)),
  },
  stripe: {
    sign: async (payload, timestamp = now()) => ({
      'stripe-signature': webhooks.generateTestHeaderString({ payload, secret, timestamp }),
    }),
    verify: async (body, fields) => Boolean(webhooks.constructEvent(body, fields['stripe-signature'], secret)),
  },
}

const post = (path, body, headers = {}) => fetch(url + path, { method: 'POST', body, headers })
let checks = 0
const check = (name, actual, expected) => {
  assert.equal(actual, expected, name)
  console.log(`ok ${name}`)
  checks += 1
}

for (const [name, library] of Object.entries(libraries)) {
  // Bytes that a parser of JSON would not write back: spaces, an escape, the order, and letters beyond ASCII.
  for (const body of ['{ "b": 1,\n "a": "\\u00e9 é 🦀", "id": "evt_1", "object": "event" }', `{"text":"${'x'.repeat(100_000)}"}`]) {
    const size = `${name}, ${body.length} characters`
    const fields = await library.sign(body)
    const another = await post(`/verify/${name}`, `${body} `, fields)
    check(`${size}: another body is refused`, another.status, 401)
    const accepted = await post(`/verify/${name}`, body, fields)
    check(`${size}: signed by the library`, accepted.status, 200)
    check(`${size}: the handler has the same bytes`, await accepted.text(), body)
    check(`${size}: a replay is refused`, (await post(`/verify/${name}`, body, fields)).status, 401)
    const unsigned = await post(`/verify/${name}`, body)
    check(`${size}: without fields it is refused`, unsigned.status, 401)

    const made = await (await post(`/sign/${name}`, body)).json()
    check(`${size}: verified by the library`, await library.verify(body, made), true)
    const isRefused = await library.verify(`${body} `, made).then((valid) => !valid, () => true)
    check(`${size}: another body is refused by the library`, isRefused, true)
  }
  if (name !== 'github') {
    for (const time of [now() - 400, now() + 400]) {
      const response = await post(`/verify/${name}`, '{}', await library.sign('{}', time))
      check(`${name}: ${time - now() < 0 ? 'an old' : 'a future'} timestamp is refused`, response.status, 401)
    }
  }
}
assert.equal(checks, 46, 'all checks have run')
console.log(`${checks} checks of webhooks`)
