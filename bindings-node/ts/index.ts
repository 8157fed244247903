// What the package `smalt` is.
export { Account, type CredentialOptions } from './account.js'
export { ApiResponse } from './api.js'
export type { ApiCallOptions, ApiResponsePage, FetchInit, Pairs, RequestOptions, RequestPageOptions, UploadOptions } from './api.js'
export { SmaltError, type Retry } from './error.js'
export type { EventsOptions, EventsPageOptions } from './events.js'
export { Flow } from './flow.js'
export * from './generated/errors.js'
export type * from './generated/types.js'
export type { AppManifest, Project } from './generated/documents.js'
export type * as documents from './generated/documents.js'
export type * from './generated/options.js'
export type { CallOptions } from './handle.js'
export type { HandlerOptions, NodeHandler } from './http.js'
export { Rejected } from './plugins.js'
export type {
  Connector,
  ConnectorContext,
  KeyProvider,
  OptionsRequest,
  Presenter,
  PresentRequest,
  RevokeRequest,
  RuleRequest,
  WorkflowRun,
  WorkflowRunner,
} from './plugins.js'
export { Secret } from './secret.js'
export { Session } from './session.js'
export { Smalt, type BoxedPresenter, type RemoteOptions, type SmaltOptions } from './smalt.js'
export type { Json } from './values.js'
export type { ConnectOptions } from './verbs.js'
export { verifyWebhook, verifyWebhookCompatible, type VerifiedWebhook, type VerifyWebhookOptions } from './webhooks.js'
