// The HTTP API and its pages in the user's own process.
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { NativeApi, NativeBody } from './native.js'
import { room, wait } from './room.js'
import { handOver } from './upload.js'

/** Options of `nodeHandler` and `fetch`. Limits stand in the project, under `[server]`. */
export interface HandlerOptions {
  /** What stands before the API's own paths, where the framework does not strip it, e.g. `/smalt`. */
  readonly prefix?: string | undefined
  /** Where the API is reached from outside, prefix included; default the project's `org.public_url`. */
  readonly publicUrl?: string | undefined
}

/** A handler for `http.createServer`, Express (`app.use`) and Connect. */
export type NodeHandler = (request: IncomingMessage, response: ServerResponse, next?: (error?: unknown) => void) => void

interface Answered {
  readonly status: number
  readonly headers: readonly Pair[]
  readonly body: Buffer | null
  /** What is long, or has no end, comes bit by bit. */
  readonly rest?: NativeBody
}

type Pair = readonly [string, string]

interface Asked {
  readonly method: string
  readonly target: string
  readonly headers: readonly Pair[]
  readonly peer: string | undefined
}

function stripped(target: string, prefix: string | undefined): string | undefined {
  if (prefix === undefined || prefix === '/' || prefix === '') return target
  const start = prefix.endsWith('/') ? prefix.slice(0, -1) : prefix
  if (!target.startsWith(start)) return undefined
  const rest = target.slice(start.length)
  if (rest === '' || rest.startsWith('?')) return `/${rest}`
  return rest.startsWith('/') ? rest : undefined
}

async function ask(api: NativeApi, asked: Asked, body: AsyncIterable<Uint8Array> | undefined, signal: AbortSignal): Promise<Answered> {
  const upload = body && room.upload()
  const answered = wait<Answered>({ signal }, (id) => api.answer(room, id, asked, upload))
  try {
    // Where the client went away, the API is told that the body was cut off.
    if (upload && body) handOver(upload, body).catch(() => {})
    return await answered
  } catch (error) {
    // Nobody reads the body of what was not asked.
    upload?.end(false)
    throw error
  }
}

function next(rest: NativeBody, signal: AbortSignal): Promise<Buffer | undefined> {
  return wait<Buffer | undefined>({ signal }, (id) => (rest.next(id), undefined))
}

/** What a body parser before us made of the body. */
function parsed(request: IncomingMessage & { body?: unknown }): Uint8Array | undefined {
  const { body } = request
  if (body === undefined || body === null || !request.readableEnded) return undefined
  if (body instanceof Uint8Array) return body
  if (typeof body === 'string') return Buffer.from(body)
  const form = request.headers['content-type']?.startsWith('application/x-www-form-urlencoded') === true
  return Buffer.from(form ? new URLSearchParams(body as Record<string, string>).toString() : JSON.stringify(body))
}

async function* single(part: Uint8Array): AsyncGenerator<Uint8Array, void, void> {
  yield part
}

function bodyOf(request: IncomingMessage): AsyncIterable<Uint8Array> | undefined {
  const whole = parsed(request)
  if (whole !== undefined) return single(whole)
  const { 'content-length': length, 'transfer-encoding': coding } = request.headers
  if (request.readableEnded || (coding === undefined && (length === undefined || length === '0'))) return undefined
  // The connection goes on where the API does not read to the end: it is still to be answered.
  return request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>
}

async function handle(api: NativeApi, options: HandlerOptions, request: IncomingMessage, response: ServerResponse): Promise<boolean> {
  const target = stripped(request.url ?? '/', options.prefix)
  if (target === undefined) return false
  const abort = new AbortController()
  const { signal } = abort
  response.once('close', () => abort.abort())
  const headers: Pair[] = []
  for (let at = 0; at + 1 < request.rawHeaders.length; at += 2) {
    headers.push([request.rawHeaders[at] as string, request.rawHeaders[at + 1] as string])
  }
  const asked = { method: request.method ?? 'GET', target, headers, peer: request.socket.remoteAddress }
  const { status, headers: own, body, rest } = await ask(api, asked, bodyOf(request), signal)
  const flat = own.filter(([name]) => name !== 'transfer-encoding' && (name !== 'content-length' || body === null)).flat()
  if (body !== null) flat.push('content-length', String(body.length))
  // An answer before the body was read leaves nothing to go on with.
  if (!request.complete) flat.push('connection', 'close')
  response.writeHead(status, flat)
  if (body !== null || rest === undefined || request.method === 'HEAD') {
    rest?.stop()
    response.end(request.method === 'HEAD' ? undefined : body)
    return true
  }
  response.flushHeaders()
  try {
    for (let part = await next(rest, signal); part !== undefined; part = await next(rest, signal)) {
      if (!response.write(part)) await once(response, 'drain', { signal })
    }
    response.end()
  } finally {
    rest.stop()
  }
  return true
}

/** @internal */
export function nodeHandler(api: NativeApi, options: HandlerOptions): NodeHandler {
  return (request, response, next) => {
    handle(api, options, request, response).then(
      (done) => {
        if (done) return
        if (next) next()
        else response.writeHead(404).end()
      },
      (error: unknown) => {
        // The client has gone: there is nobody to tell.
        if (response.destroyed || response.writableEnded) return
        if (response.headersSent) response.destroy()
        else if (next) next(error)
        else response.writeHead(500).end()
      },
    )
  }
}

/** @internal */
export async function answerFetch(api: NativeApi, options: HandlerOptions, request: Request): Promise<Response> {
  const url = new URL(request.url)
  const target = stripped(`${url.pathname}${url.search}`, options.prefix)
  if (target === undefined) return new Response(null, { status: 404 })
  // Whoever takes a Response packs it for the client. Next.js would pack it again, and name one packing only.
  const given = [...request.headers].filter(([name]) => name !== 'accept-encoding')
  const asked = { method: request.method, target, headers: given, peer: undefined }
  const incoming = (request.body ?? undefined) as unknown as AsyncIterable<Uint8Array> | undefined
  const { status, headers: own, body, rest } = await ask(api, asked, incoming, request.signal)
  const headers = new Headers()
  for (const [name, value] of own) if (name !== 'content-length') headers.append(name, value)
  if (rest === undefined) {
    const empty = request.method === 'HEAD' || [101, 204, 205, 304].includes(status)
    return new Response(empty ? null : new Uint8Array(body ?? []), { status, headers })
  }
  if (request.method === 'HEAD') {
    rest.stop()
    return new Response(null, { status, headers })
  }
  const left = new AbortController()
  // Also the part that is awaited just then is awaited no more.
  const leave = (reason: unknown): void => {
    request.signal.removeEventListener('abort', gone)
    left.abort(reason)
    rest.stop()
  }
  const gone = (): void => leave(request.signal.reason)
  if (request.signal.aborted) gone()
  else request.signal.addEventListener('abort', gone, { once: true })
  const stream = new ReadableStream<Uint8Array>({
    async pull(controller) {
      let part: Buffer | undefined
      try {
        part = await next(rest, left.signal)
      } catch (error) {
        leave(error)
        throw error
      }
      if (part !== undefined) return controller.enqueue(new Uint8Array(part))
      request.signal.removeEventListener('abort', gone)
      controller.close()
    },
    cancel: leave,
  })
  return new Response(stream, { status, headers })
}
