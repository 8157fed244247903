// What works in every runtime that loads Node addons: a whole life, plugins in JavaScript, errors, aborting, events, the HTTP API.
import { Secret, Smalt, SmaltError } from 'smalt'
const smalt = await Smalt.sandbox({ connectors: [{ slug: 'sandbox-key', verify: async (context) => ({ id: context.accountId, label: 'from a plugin' }) }] })
const account = smalt.account('customer-42')
await account.ensure()
const connection = await account.connect('sandbox-oauth')
const key = await account.connectKey('sandbox-key', { key: 'sandbox-key-good', workspace: 'main' })
const { accessToken } = await account.credential('sandbox-oauth')
const answer = await account.fetch('sandbox-oauth', 'echo')
const refused = await smalt.account('nobody').get().catch((error) => error)
const aborted = await account.get({ signal: AbortSignal.abort(new Error('no')) }).catch((error) => error.message)
const receipt = await account.disconnect('sandbox-oauth', { wait: 10_000 })
const events = []
for await (const event of smalt.events({ keepAlive: true })) { events.push(event.type); if (event.type === 'revocation.finished') break }
const api = await smalt.fetch(new Request('http://localhost/smalt/v1/capabilities'))
console.log(JSON.stringify({ status: connection.status, label: key.identity.label, secret: accessToken instanceof Secret, ok: answer.ok, refused: refused instanceof SmaltError && refused.code, aborted, revocation: receipt.revocation, events: events.length > 3, api: api.status }))
await smalt.close()
