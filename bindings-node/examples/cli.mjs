// @ts-check
// A command that connects and calls: `node cli.mjs`. It ends by itself: nothing that is open keeps it alive.
import { parseArgs } from 'node:util'
import { Smalt, SmaltError } from 'smalt'

const { values } = parseArgs({
  options: { account: { type: 'string', default: 'customer-42' }, application: { type: 'string', default: 'sandbox-oauth' } },
})

const smalt = await Smalt.sandbox()
try {
  const account = smalt.account(values.account)
  await account.ensure()
  const connection = await account.connect(values.application, { signal: AbortSignal.timeout(60_000) })
  console.log(`connected ${connection.application} as ${connection.identity?.label}`)
  const answer = await account.fetch(values.application, 'channels')
  const { items } = /** @type {{ items: unknown[] }} */ (await answer.json())
  console.log(`${items.length} channels`)
  const receipt = await account.disconnect(values.application, { wait: 10_000 })
  console.log(`disconnected: ${receipt.revocation}`)
} catch (error) {
  if (!(error instanceof SmaltError)) throw error
  console.error(`${error.code}: ${error.message}`)
  process.exitCode = 1
} finally {
  await smalt.close()
}
