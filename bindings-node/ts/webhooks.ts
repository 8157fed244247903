// Receiving webhooks of Smalt.
import type { ErrorRecord } from './error.js'
import { room, toError } from './room.js'
import type { Secret } from './secret.js'

/** A delivery that was checked. */
export interface VerifiedWebhook {
  /** Its id: remember it for as long as the tolerance, to pass over what comes twice. */
  readonly id: string
  /** When it was sent. */
  readonly sentAt: Date
}

/** Options of `verifyWebhook`. */
export interface VerifyWebhookOptions {
  /** How far from now it may have been sent, in milliseconds; default 5 minutes. */
  readonly tolerance?: number | undefined
  /** The time, for tests. */
  readonly now?: Date | undefined
}

type Secrets = Secret | string | readonly (Secret | string)[]

function checked(delivery: object): unknown {
  const verified = room.verifyWebhook(delivery)
  if (Array.isArray(verified)) throw toError(verified[0] as ErrorRecord)
  return verified
}

const several = (secrets: Secrets): readonly (Secret | string)[] => (Array.isArray(secrets) ? secrets : [secrets as Secret | string])

/**
 * Checks that a webhook's body came from whoever has one of these secrets, and lately. Call it with the bytes as they came, before
 * anything parses them. Throws `webhook_unverified`.
 */
export function verifyWebhook(
  headers: Headers | Readonly<Record<string, string | readonly string[] | undefined>>,
  body: Uint8Array | string,
  secrets: Secrets,
  options: VerifyWebhookOptions = {},
): VerifiedWebhook {
  if (typeof headers !== 'object' || headers === null) throw new TypeError('headers are an object')
  const entries = headers instanceof Headers ? [...headers] : Object.entries(headers).flatMap(([name, value]) => [value ?? []].flat().map((one) => [name, one] as const))
  const { tolerance = 300_000, now } = options
  return checked({ headers: entries, body, secrets: several(secrets), tolerance, now: now?.getTime() }) as VerifiedWebhook
}

/**
 * Checks the signature that receivers of the hosted service know (`x-cobalt-signature`), at whatever time it was sent. While a secret is
 * replaced, it is made with the old one: give both.
 */
export function verifyWebhookCompatible(signature: string, body: Uint8Array | string, secrets: Secrets): void {
  checked({ headers: [], body, secrets: several(secrets), tolerance: 0, compatible: signature })
}
