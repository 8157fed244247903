// Made from core's schema by scripts/generate.mjs. Do not edit.
import type { ErrorRecord, SmaltError } from '../error.js'
import * as errors from './errors.js'

const CLASSES: Readonly<Record<string, new (record: ErrorRecord, cause?: unknown) => SmaltError>> = {
  invalid: errors.InvalidError,
  unauthenticated: errors.UnauthenticatedError,
  forbidden: errors.ForbiddenError,
  not_found: errors.NotFoundError,
  conflict: errors.ConflictError,
  flow: errors.FlowError,
  timeout: errors.TimeoutError,
  reauth: errors.ReauthError,
  provider: errors.ProviderError,
  configuration: errors.ConfigurationError,
  unavailable: errors.UnavailableError,
  plugin: errors.PluginError,
  unsupported: errors.UnsupportedError,
  cancelled: errors.CancelledError,
  internal: errors.InternalError,
}

/** The class of a kind of error. The addon knows no other kind than these; what it could not name would be a fault in Smalt itself. */
export function classOf(kind: string): new (record: ErrorRecord, cause?: unknown) => SmaltError {
  return CLASSES[kind] ?? errors.InternalError
}
