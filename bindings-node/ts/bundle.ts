// The whole package, which is built into one file: Node takes as long to find and open a file as to read all that stands in ours. The
// entries hand on what is here, so that a process has the classes once.
import { METHOD_OF } from './generated/methods.js'
import { call, NATIVE } from './handle.js'
import { addon } from './native.js'
import { room, wait } from './room.js'

/** @internal */
export * as index from './index.js'
/** @internal */
export * as testing from './testing.js'
/** For the package's own tests and benches. @internal */
export const inner = { METHOD_OF, NATIVE, addon, call, room, wait }
