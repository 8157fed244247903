// @ts-check
// Your own tests, offline: an engine in memory, applications in a sandbox, and a user who consents.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Smalt } from 'smalt'
import { fixedClock } from 'smalt/testing'

/** @type {Smalt} */
let smalt
const clock = fixedClock(Date.now())

beforeEach(async () => {
  smalt = await Smalt.sandbox({ clock, publicUrl: 'https://app.example' })
})
afterEach(() => smalt.close())

test('a customer connects and disconnects', async () => {
  const account = smalt.account('customer-42')
  await account.ensure()
  const connection = await account.connect('sandbox-oauth')
  expect(connection.status).toBe('active')
  expect((await account.credential('sandbox-oauth')).accessToken).toBeTruthy()
  await account.disconnect('sandbox-oauth')
  await expect(account.credential('sandbox-oauth')).rejects.toMatchObject({ code: 'not_connected' })
})

test('a flow ends when its time is over', async () => {
  const account = smalt.account('customer-42')
  await account.ensure()
  const { flowId } = await account.startConnect('sandbox-oauth')
  clock.advance(11 * 60 * 1000)
  expect((await account.flow(flowId).get()).status).toBe('expired')
})
