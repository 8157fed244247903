import type { ErrorCode, ErrorKind } from './generated/errors.js'

/** An error of core. @internal */
export interface ErrorRecord {
  readonly code: string
  readonly kind: string
  readonly reason: string
  readonly retry: Retry
  readonly retryAfter: number | null
  readonly httpStatus: number | null
  readonly requestId: string | null
  readonly context: Readonly<Record<string, string>>
  readonly trace: string | null
}

/** Whether trying again can help: never, later (see `retryAfter`), or after the user has authorised again. */
export type Retry = 'never' | 'later' | 'after_reauth'

/**
 * What every call of Smalt fails with; there is a class per kind below it. The message says what happened and what to do next; no
 * secret and no provider's body stands in it.
 */
export class SmaltError extends Error {
  /** The stable name of what went wrong: `not_connected`, `reauth_required`, … */
  readonly code: ErrorCode
  /** The sort of trouble. */
  readonly kind: ErrorKind
  /** Whether trying again can help. */
  readonly retry: Retry
  /** Milliseconds to wait before trying again, if known. */
  readonly retryAfter: number | undefined
  /** The status that a server answered or should answer with. */
  readonly httpStatus: number | undefined
  /** The id of the request at the server, if there was one. */
  readonly requestId: string | undefined
  /** Named facts: `field`, `application`, `provider_error`, … */
  readonly context: Readonly<Record<string, string>>

  /** @internal */
  constructor(record: ErrorRecord, cause?: unknown) {
    super(record.reason, cause === undefined ? undefined : { cause })
    this.code = record.code as ErrorCode
    this.kind = record.kind as ErrorKind
    this.retry = record.retry
    this.retryAfter = record.retryAfter ?? undefined
    this.httpStatus = record.httpStatus ?? undefined
    this.requestId = record.requestId ?? undefined
    this.context = record.context
  }

  /** What it is as data, without stack and cause. */
  toJSON(): object {
    const { code, kind, message, retry, retryAfter, httpStatus, requestId, context } = this
    return { code, kind, message, retry, retryAfter, httpStatus, requestId, context }
  }
}

// Not an own property of each error, so that it is not printed twice.
Object.defineProperty(SmaltError.prototype, 'name', {
  get(this: Error) {
    return this.constructor.name
  },
  configurable: true,
})
