// @ts-check
// The ten lines of the README, offline: `node ten-lines.mjs` where `smalt` is installed.
import { Smalt } from 'smalt'

// README: from here
const smalt = await Smalt.sandbox() // yours: Smalt.embedded({ path: 'smalt.db', project: 'smalt.toml' })
const account = smalt.account('customer-42') // a handle, no I/O
await account.ensure()
const connection = await account.connect('sandbox-oauth') // the user consents; nobody else can finish the flow
const config = await account.config('sandbox-oauth') // found or made: settings and workflow switches
const credential = await account.credential('sandbox-oauth') // valid now, refreshed at most once by anyone
const answer = await account.request('sandbox-oauth', 'GET', 'items') // an authenticated call
const receipt = await account.disconnect('sandbox-oauth') // secrets and settings gone, the grant revoked
console.log(connection.identity, config.version, credential.expiresAt, answer.status)
console.log(receipt.revocation)
// README: to here
await smalt.close()
