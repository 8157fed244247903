// Authenticated calls to applications: what they take and answer.
import { discreet } from './discreet.js'
import type { ApiAnswer, NameValue, Pagination } from './generated/types.js'
import { asOptions, type CallOptions } from './handle.js'

/** Query parameters or headers: an object, or pairs where order and repetition count. */
export type Pairs = Readonly<Record<string, string>> | readonly NameValue[] | URLSearchParams | Headers

/** What every call of an application's API takes beside its method and path. */
export interface ApiCallOptions extends CallOptions {
  /** The connection; absent: the default one. */
  readonly connection?: string | undefined
  /** Query parameters, beside those of the path. */
  readonly query?: Pairs | undefined
  /** More headers. */
  readonly headers?: Pairs | undefined
}

/** Options of `request`. */
export interface RequestOptions extends ApiCallOptions {
  /** The body, as JSON. */
  readonly json?: unknown
  /** The body as it is; with its content type in `contentType`. */
  readonly body?: Uint8Array | string | undefined
  /** The media type of `body`; default `text/plain;charset=UTF-8` for a string, else `application/octet-stream`. */
  readonly contentType?: string | undefined
  /** How long at most, in milliseconds; default 30,000. */
  readonly timeout?: number | undefined
  /** The answer's largest size in bytes; default 8 MiB. */
  readonly maxBody?: number | undefined
}

/** Options of `upload`. */
export interface UploadOptions extends ApiCallOptions {
  /** The body's media type; default that of a `Blob`, else `application/octet-stream`. */
  readonly contentType?: string | undefined
  /** How many bytes the body has, where that is known; default the size of a `Blob`. An upload that turns out to have more or fewer is cut. */
  readonly length?: number | undefined
  /** How long either side may be silent, in milliseconds; default 30,000. */
  readonly timeout?: number | undefined
  /** The most bytes that are sent, and that are answered; default 1 GiB, and 8 MiB of the answer. */
  readonly maxBody?: number | undefined
}

/** Options of `requestPage`. */
export interface RequestPageOptions extends RequestOptions {
  /** Where the last page ended. */
  readonly cursor?: string | undefined
  /** How this list comes in pages; default as the application's manifest says. */
  readonly pagination?: Pagination | undefined
}

function pairs(given: Pairs | undefined): readonly NameValue[] | undefined {
  if (given === undefined || Array.isArray(given)) return given as readonly NameValue[] | undefined
  // JavaScript would take a text apart letter by letter.
  if (typeof given !== 'object' || given === null) throw new TypeError('query parameters and headers are an object or a list')
  const entries = given instanceof URLSearchParams || given instanceof Headers ? [...given] : Object.entries(given)
  return entries.map(([name, value]) => ({ name, value }))
}

/** The request as core takes it. @internal */
export function toRequest(options: RequestOptions): object {
  const { json, body, contentType, query, headers, ...rest } = asOptions(options)
  let whole: { contentType: string; content: Uint8Array | string } | undefined
  if (json !== undefined) {
    if (body !== undefined) throw new TypeError('a request has either `json` or `body`')
    whole = { contentType: contentType ?? 'application/json', content: JSON.stringify(json) }
  } else if (body !== undefined) {
    const usual = typeof body === 'string' ? 'text/plain;charset=UTF-8' : 'application/octet-stream'
    whole = { contentType: contentType ?? usual, content: body }
  }
  return { ...rest, body: whole, query: pairs(query), headers: pairs(headers) }
}

/** What an application answered, whatever its status. */
export class ApiResponse implements ApiAnswer {
  /** The status, e.g. 200. */
  readonly status: number
  /** The headers, in the order in which they came. */
  readonly headers: readonly NameValue[]
  /** The body's bytes. */
  readonly body: Buffer

  /** @internal */
  constructor(answer: ApiAnswer) {
    this.status = answer.status
    this.headers = answer.headers
    this.body = answer.body
    discreet('ApiAnswer', this)
  }

  /** Whether the status is 200 to 299. */
  get ok(): boolean {
    return this.status >= 200 && this.status < 300
  }

  /** The first header of this name, however it is spelt. */
  header(name: string): string | undefined {
    const wanted = name.toLowerCase()
    return this.headers.find((header) => header.name.toLowerCase() === wanted)?.value
  }

  /** The body as text. */
  text(): string {
    return this.body.toString('utf8')
  }

  /** The body as JSON. */
  json<T = unknown>(): T {
    return JSON.parse(this.text()) as T
  }
}

/** One page of a provider's list. */
export interface ApiResponsePage {
  /** The whole answer. */
  readonly answer: ApiResponse
  /** The page's items. */
  readonly items: readonly unknown[]
  /** Pass it as `cursor` for the next page; absent on the last one. */
  readonly next?: string | null
}

/** What `account.fetch` takes: a `RequestInit` without the parts that make no sense for a backend. */
export interface FetchInit {
  readonly method?: string | undefined
  readonly headers?: RequestInit['headers'] | undefined
  readonly body?: RequestInit['body'] | undefined
  readonly signal?: AbortSignal | null | undefined
  /** The connection; absent: the default one. */
  readonly connection?: string | undefined
  /** How long at most, in milliseconds; default 30,000. */
  readonly timeout?: number | undefined
  /** The answer's largest size in bytes; default 8 MiB. */
  readonly maxBody?: number | undefined
}

/** The method and options of a `fetch`. The body is read whole. @internal */
export async function fromInit(init: FetchInit): Promise<[string, RequestOptions]> {
  const { method, headers, body, signal, connection, timeout, maxBody } = asOptions(init)
  const given = new Headers(headers)
  let content: Uint8Array | undefined
  let type: string | undefined
  if (body !== undefined && body !== null) {
    // A `Request` knows the content type of each kind of body.
    const request = new Request('http://localhost', { method: 'POST', body, duplex: 'half' } as RequestInit)
    content = new Uint8Array(await request.arrayBuffer())
    type = given.get('content-type') ?? request.headers.get('content-type') ?? undefined
  }
  given.delete('content-type')
  return [
    (method ?? 'GET').toUpperCase(),
    { headers: given, body: content, contentType: type, signal: signal ?? undefined, connection, timeout, maxBody },
  ]
}

/** The answer as a `Response`. @internal */
export function toResponse(answer: ApiAnswer): Response {
  const headers = new Headers()
  for (const { name, value } of answer.headers) {
    // The body comes as it was meant: decoded, and in one piece.
    if (!['content-encoding', 'content-length', 'transfer-encoding'].includes(name.toLowerCase())) headers.append(name, value)
  }
  const empty = [101, 204, 205, 304].includes(answer.status)
  return new Response(empty ? null : new Uint8Array(answer.body), { status: answer.status, headers })
}
