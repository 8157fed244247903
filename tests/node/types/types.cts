// The same in a CommonJS project, which reads the package under its `require` condition: compiled with `tsc --strict`, never run.
import smalt = require('smalt')
import testing = require('smalt/testing')
import type { Account, Connection } from 'smalt'
import type { Smalt as OfModules } from 'smalt' with { 'resolution-mode': 'import' }

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
function is<T extends true>(..._: T[]): void {}

async function calls(account: Account, signal: AbortSignal): Promise<void> {
  const opened = await smalt.Smalt.sandbox({ clock: testing.fixedClock(0), signal })
  is<Equal<typeof opened, smalt.Smalt>>()
  is<Equal<typeof opened, OfModules>>()
  const connection = await account.connect('slack', { signal })
  is<Equal<typeof connection, Connection>>()
  is<Equal<typeof connection.createdAt, Date>>()
  const { accessToken } = await account.credential('slack')
  is<Equal<NonNullable<typeof accessToken>, smalt.Secret>>()
  // @ts-expect-error a secret is no string
  const text: string = accessToken
  void text
  // @ts-expect-error the name is camelCase
  await account.startConnect('slack', { return_to: 'x' })
  const sandbox: testing.Sandbox = await testing.Sandbox.start()
  sandbox.stop()
}

function errors(error: unknown): smalt.ErrorCode {
  if (error instanceof smalt.NotFoundError) is<Equal<typeof error.kind, 'not_found'>>()
  if (smalt.isSmaltError(error) && error.kind === 'flow') is<Equal<typeof error, smalt.FlowError>>()
  if (!(error instanceof smalt.SmaltError)) throw error
  return error.code
}

export = { calls, errors }
