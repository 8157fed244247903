import { ApiResponse, fromInit, toRequest, toResponse } from './api.js'
import type { ApiResponsePage, FetchInit, RequestOptions, RequestPageOptions, UploadOptions } from './api.js'
import { discreet } from './discreet.js'
import { AccountMethods, type CreateSessionOptions } from './generated/account.js'
import type { ApiAnswer, ApiPage, Credential, LinkedAccount, UpsertedAccount } from './generated/types.js'
import { asOptions, call, NATIVE, perform, type CallOptions } from './handle.js'
import type { NativeEngine } from './native.js'
import { inside, room, toError } from './room.js'
import { Session } from './session.js'
import { partsOf, send, type UploadBody } from './upload.js'

/** Options of `credential`. */
export interface CredentialOptions extends CallOptions {
  /** The connection; absent: the default one. */
  readonly connection?: string | undefined
}

/** The organisation's authority over one linked account. */
export class Account extends AccountMethods {
  /** The organisation's own id for the customer. */
  readonly accountId: string

  /** @internal */
  constructor(native: NativeEngine, id: string) {
    super(native)
    this.accountId = id
  }

  /** The organisation's own id for the customer. */
  get id(): string {
    return this.accountId
  }

  /** Reads the linked account. */
  get(options: CallOptions = {}): Promise<LinkedAccount> {
    return call(this, 'get_account', { account: this.accountId }, options)
  }

  /** Deletes the linked account and everything of it; grants are revoked. */
  delete(options: CallOptions = {}): Promise<void> {
    return perform(this, 'delete_account', { account: this.accountId }, options)
  }

  /** Makes the linked account where it is missing; changes nothing where it exists. */
  async ensure(options: CallOptions = {}): Promise<LinkedAccount> {
    return (await call<UpsertedAccount>(this, 'upsert_account', { id: this.accountId }, options)).account
  }

  /** A session of this account: a token for its user's browser or phone, and what can be done with it. */
  async session(options: CreateSessionOptions = {}): Promise<Session> {
    return new Session(this[NATIVE], await this.createSession(options))
  }

  /**
   * A credential that is valid now, renewed if needed. Answers from memory where it can, without waiting; the object is frozen and may
   * be the one that was answered before.
   */
  credential(application: string, options: CredentialOptions = {}): Promise<Credential> {
    // Inside a plugin a call must be able to be refused as `reentrant`.
    if (typeof application === 'string' && typeof this.accountId === 'string' && options?.signal?.aborted !== true && inside.getStore() === undefined) {
      const connection = options?.connection
      if (connection === undefined || typeof connection === 'string') {
        const native = this[NATIVE]
        const { ready } = native
        const known = ready?.get(this.accountId, application, connection)
        if (known !== undefined) return known
        const found = ready && native.tryCredential(room, this.accountId, application, connection)
        if (found?.length === 1) return Promise.reject(toError(found[0]))
        if (ready !== undefined && found !== undefined) {
          const [credential, number] = found
          return ready.keep(this.accountId, application, connection, { answer: Promise.resolve(credential), number })
        }
      }
    }
    return call(this, 'credential', { account: this.accountId, application }, options)
  }

  /** Sends an authenticated call; the application's answer is returned whatever its status. */
  async request(application: string, method: string, path: string, options: RequestOptions = {}): Promise<ApiResponse> {
    const request = { ...toRequest(options), account: this.accountId, application, method, path }
    return new ApiResponse(await call<ApiAnswer>(this, 'request', request, { signal: options.signal }))
  }

  /**
   * Sends an authenticated call whose body comes in parts, no faster than they are sent. The application's answer comes whole, up to 8 MiB, and is
   * returned whatever its status. When the token died meanwhile it is renewed, and the call rejects with `upload_not_repeated`: what was sent is
   * gone, so send the body again.
   */
  async upload(application: string, method: string, path: string, body: UploadBody, options: UploadOptions = {}): Promise<ApiResponse> {
    const { contentType, length, signal, ...rest } = asOptions(options)
    const [parts, size] = partsOf(body)
    const request = { ...toRequest(rest), account: this.accountId, application, method, path }
    const given = { request, contentType: contentType ?? ((body instanceof Blob && body.type) || undefined), length: length ?? size }
    return new ApiResponse(await send(this, given, parts, signal))
  }

  /** Sends an authenticated call for one page of a provider's list. */
  async requestPage(application: string, method: string, path: string, options: RequestPageOptions = {}): Promise<ApiResponsePage> {
    const request = { ...toRequest(options), account: this.accountId, application, method, path }
    const page = await call<ApiPage>(this, 'request_page', request, { signal: options.signal })
    return discreet('ApiPage', { answer: new ApiResponse(page.answer), items: page.items as readonly unknown[], next: page.next ?? null })
  }

  /** The pages of a provider's list, one after the other. */
  async *pages(application: string, method: string, path: string, options: RequestPageOptions = {}): AsyncGenerator<ApiResponsePage, void, void> {
    let { cursor } = asOptions(options)
    do {
      const page: ApiResponsePage = await this.requestPage(application, method, path, { ...options, cursor })
      yield page
      cursor = page.next ?? undefined
    } while (cursor !== undefined)
  }

  /** The items of a provider's list, page after page. */
  async *items<T = unknown>(application: string, method: string, path: string, options: RequestPageOptions = {}): AsyncGenerator<T, void, void> {
    for await (const page of this.pages(application, method, path, options)) yield* page.items as readonly T[]
  }

  /**
   * `fetch` with the application's authentication: a path below its base URL, or a full URL on its host. Redirects are not followed,
   * and the body comes whole, up to `maxBody`.
   */
  async fetch(application: string, path: string | URL, init: FetchInit = {}): Promise<Response> {
    const [method, options] = await fromInit(init)
    const request = { ...toRequest(options), account: this.accountId, application, method, path: String(path) }
    return toResponse(await call<ApiAnswer>(this, 'request', request, { signal: options.signal }))
  }
}
