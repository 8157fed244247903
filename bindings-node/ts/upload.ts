// Bodies that are handed over part by part.
import type { ApiAnswer } from './generated/types.js'
import { NATIVE, type Handle } from './handle.js'
import type { NativeUpload } from './native.js'
import { inside, room, wait } from './room.js'

/** A body that comes in parts: a stream of Node or of the web, a generator, a list, or a `Blob` (`openAsBlob` makes one of a file). */
export type UploadBody = AsyncIterable<Uint8Array> | Iterable<Uint8Array> | ReadableStream<Uint8Array> | Blob

/** Hands a body over, no faster than it is taken. @internal */
export async function handOver(upload: NativeUpload, parts: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> {
  let whole = false
  try {
    for await (const part of parts) {
      if (!ArrayBuffer.isView(part) && typeof part !== 'string') throw new TypeError('the parts of a body are bytes')
      if (!(await wait<boolean>({}, (id) => (upload.push(id, part), undefined)))) return
    }
    whole = true
  } finally {
    upload.end(whole)
  }
}

/** The parts of a body, and how many bytes they are where it says so. @internal */
export function partsOf(body: UploadBody): [AsyncIterable<Uint8Array> | Iterable<Uint8Array>, number | undefined] {
  if (body instanceof Blob) return [body.stream() as unknown as AsyncIterable<Uint8Array>, body.size]
  const comes = typeof body === 'object' && body !== null && (Symbol.asyncIterator in body || Symbol.iterator in body)
  // Their parts would be letters and numbers.
  if (!comes || body instanceof Uint8Array) throw new TypeError('a body comes in parts; `request` takes one that is there already')
  return [body as AsyncIterable<Uint8Array> | Iterable<Uint8Array>, undefined]
}

/** Begins the call and hands its body over. What the body itself throws is what comes out, and ends the call. @internal */
export async function send(
  handle: Handle,
  options: object,
  parts: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  signal: AbortSignal | undefined,
): Promise<ApiAnswer> {
  signal?.throwIfAborted()
  const upload = room.upload()
  const ends = new AbortController()
  const abort = (): void => ends.abort(signal?.reason)
  signal?.addEventListener('abort', abort, { once: true })
  const answer = wait<ApiAnswer>({ signal: ends.signal }, (id) => handle[NATIVE].upload(room, id, options, upload, inside.getStore() ?? 0))
  const broken = new Promise<never>((_, reject) => {
    handOver(upload, parts).catch(reject)
  })
  try {
    return await Promise.race([answer, broken])
  } finally {
    signal?.removeEventListener('abort', abort)
    ends.abort()
    // Also of a call that did not begin, whose body nobody reads.
    upload.end(false)
  }
}
