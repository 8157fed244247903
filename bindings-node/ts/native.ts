// Finds the addon: beside this file, or in the package of the platform.
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { ErrorRecord } from './error.js'
import type { Credential } from './generated/types.js'
import type { ReadyCredentials } from './ready.js'
import type { Secret } from './secret.js'

type Refused = ErrorRecord | undefined

/** @internal */
export interface NativeEngine {
  /** What was in memory; the package's own. Absent where a session asks, which is given no credentials. */
  ready?: ReadyCredentials | undefined
  /** By which its operations are asked for, once it was looked up; the package's own. */
  known?: number | undefined
  number(): number
  session(token: Secret | string): NativeEngine
  actingAs(actor: string): NativeEngine
  tryCredential(
    room: Room,
    account: string,
    application: string,
    connection: string | undefined,
  ): readonly [ErrorRecord] | readonly [Credential, number] | undefined
  connect(room: Room, id: number, options: unknown, within: number): Refused
  upload(room: Room, id: number, options: unknown, body: NativeUpload, within: number): Refused
  capabilities(room: Room): unknown
  close(id: number): void
  http(options: unknown): NativeApi
}

/** @internal */
export interface NativeApi {
  answer(room: Room, id: number, request: unknown, upload: NativeUpload | undefined): Refused
}

/** @internal */
export interface NativeUpload {
  push(id: number, part: Uint8Array): void
  end(whole: boolean): void
}

/** @internal */
export interface NativeBody {
  next(id: number): void
  stop(): void
}

/** A clock that moves only when told to. */
export interface FixedClock {
  /** Moves it by so many milliseconds; negative ones move it back. */
  advance(millis: number): void
  /** Milliseconds since 1970. */
  now(): number
}

/** @internal */
export interface NativeSandbox {
  origin(): string | null
  stop(): void
}

/** @internal */
export interface Room {
  take(): unknown[]
  forgetCredentials(): void
  cancel(id: number): void
  forget(engine: number): void
  embedded(id: number, options: unknown, plugins: unknown, clock: FixedClock | undefined): Refused
  remote(engine: number, options: unknown, plugins: unknown): NativeEngine | readonly [ErrorRecord]
  verifyWebhook(delivery: unknown): unknown
  upload(): NativeUpload
  sandbox(id: number): void
  visit(id: number, url: string): void
  makeKey(): Secret | ErrorRecord
  answer(call: number, value: unknown): void
  reject(call: number, reason: string): void
  fail(call: number, message: string, trace: string | undefined): void
  panicked(call: number, message: string): void
  passOn(call: number, error: { code: string; reason: string; context: Readonly<Record<string, string>> }): void
  contextRequest(id: number, call: number, request: unknown): Refused
}

interface Addon {
  command(args: readonly string[]): number
  NativeEngine: unknown
  Sandbox: unknown
  panicNext(): boolean
  /** Whether it was begun; else its end, an error, is on its way. */
  call(engine: number, id: number, name: string, request: unknown, within: number): boolean
  readyCounts(number: number): boolean
  readyIsGone(number: number): boolean
  readyDrop(number: number): void
  Room: new (wake: () => void, secret: typeof Secret) => Room
  FixedClock: new (millis: number) => FixedClock
}

/** Which C library Node was built for, as the packages are named. The file is read first: the report takes twenty times as long. */
function libc(): string {
  if (process.platform !== 'linux') return ''
  try {
    const ldd = readFileSync('/usr/bin/ldd', 'latin1')
    if (ldd.includes('musl')) return '-musl'
    if (ldd.includes('GNU C Library') || ldd.includes('GLIBC')) return '-gnu'
  } catch {
    // Images for one program have none.
  }
  const { report } = process as { report?: { excludeNetwork?: boolean | undefined; getReport(): object } }
  if (report === undefined) return '-gnu'
  const before = report.excludeNetwork
  report.excludeNetwork = true
  const { header } = report.getReport() as { header?: { glibcVersionRuntime?: string } }
  report.excludeNetwork = before
  return header?.glibcVersionRuntime ? '-gnu' : '-musl'
}

/** The platforms that packages are built for. */
const TARGETS = ['darwin-arm64', 'darwin-x64', 'linux-arm64-gnu', 'linux-arm64-musl', 'linux-x64-gnu', 'linux-x64-musl', 'win32-x64']

function load(): Addon {
  const target = `${process.platform}-${process.arch}${libc()}`
  const require = createRequire(__filename)
  const own = process.env.SMALT_ADDON
  const tried: string[] = []
  const candidates = own ? [own] : [join(__dirname, `smalt.${target}.node`), `@smalt-dev/node-${target}`]
  for (const candidate of candidates) {
    try {
      return require(candidate) as Addon
    } catch (error) {
      const why = error instanceof Error ? error.message.split('\n')[0] : String(error)
      const missing = candidate.startsWith('/') && !existsSync(candidate)
      tried.push(`  ${candidate}: ${missing ? 'there is no such file' : why}`)
    }
  }
  const cure = own
    ? 'SMALT_ADDON names no addon for this Node: correct it, or leave it out.'
    : TARGETS.includes(target)
      ? `Install again with optional dependencies (npm install --include=optional), on the machine or image that it runs on; a lock file from another platform may lack @smalt-dev/node-${target}. A bundler must leave \`smalt\` external.`
      : `There is no build for ${target}; there are builds for ${TARGETS.join(', ')}. Run \`smalt serve\` on one of those instead.`
  throw new Error(`Smalt's native addon for ${target} could not be loaded. Tried:\n${tried.join('\n')}\n${cure}`)
}

/** @internal */
export const addon: Addon = load()
