// Made from core's schema by scripts/generate.mjs. Do not edit.
import { SmaltError } from '../error.js'

/** The stable name of what went wrong; docs/errors.md lists them. */
export type ErrorCode =
  /** An argument is missing or has the wrong shape. Correct the argument that the reason names. */
  | 'invalid_request'
  /** An id is empty, too long, or holds a character that no URL path or header can carry. Use 1 to 256 printable ASCII characters without `/`, `?`, `#` and without leading or trailing spaces. */
  | 'invalid_id'
  /** The application's input fields are missing, unknown or malformed. Correct the fields listed under `fields` in the context. */
  | 'invalid_inputs'
  /** A config value has a shape that its field's type cannot hold. Correct the values at the paths that the context names. */
  | 'invalid_config'
  /** The page cursor was not made by this store for this list. Start again without a cursor. */
  | 'invalid_cursor'
  /** The application refused the credentials; nothing was saved. Ask the user to check what they entered. */
  | 'credentials_rejected'
  /** The return URL is not on the project's list. Add its exact origin to `org.return_to` in the project file. */
  | 'return_to_not_allowed'
  /** The redirect URI is neither the project's own, nor on its list, nor a loopback address. Add it to `org.redirect_uris` in the project file, or leave it out. */
  | 'redirect_not_allowed'
  /** The application does not offer this way to authorise. Use one of the auth types that the application lists. */
  | 'wrong_auth_type'
  /** The imported credential lacks a value that the auth type needs. Pass the values that the reason names. */
  | 'credential_missing'
  /** The session token is malformed, foreign, expired or revoked. Make a new session with `account.session()`. */
  | 'invalid_token'
  /** The API key is malformed, unknown, revoked, or of the other environment. Make one with `smalt keys api create`. */
  | 'invalid_api_key'
  /** A delivery is not signed with one of the given secrets, or was sent too long ago. Answer it with 401 and do nothing else; check the secret, the clock, and that the body is verified as it came. */
  | 'webhook_unverified'
  /** The caller's scope does not cover this operation or this linked account. Call it with the organisation's authority, from a backend. */
  | 'forbidden'
  /** No linked account has this id in this environment. Make it with `accounts.upsert(id)`, or check the id for a typo. */
  | 'linked_account_not_found'
  /** No enabled application has this slug. Enable it in the project file, or check the slug with `smalt apps list`. */
  | 'application_not_found'
  /** The linked account has no such connection. List the connections, or connect the application first. */
  | 'connection_not_found'
  /** No connect flow has this id for this linked account. Start a new flow with `start_connect`. */
  | 'flow_not_found'
  /** The linked account has no config with this id for the application. Call `config`, which finds or makes it. */
  | 'config_not_found'
  /** The application offers no published workflow with this id. Check the id, or publish the workflow in the project file. */
  | 'workflow_not_found'
  /** The application or workflow has no field with this id. Check the id against `config(...)`. */
  | 'field_not_found'
  /** No disconnect receipt has this id. Use the id that `disconnect` answered. */
  | 'receipt_not_found'
  /** The link to the hosted page is unknown, used or late, or its session has ended. Make a new one with `portal_url`. */
  | 'portal_link_invalid'
  /** No API key has this id in this environment. List the keys with `smalt keys api list`. */
  | 'api_key_not_found'
  /** The linked account has no credentials for the organisation's own application, or no value of this name. Set them with `put_own_credentials`, or with `your_app` when the account is made. */
  | 'own_credentials_not_found'
  /** The linked account has no execution with this id, or it is no longer kept. List the executions. */
  | 'execution_not_found'
  /** No webhook has this id in this environment. List the webhooks with `list_webhooks`. */
  | 'webhook_not_found'
  /** No delivery has this id, or it is no longer kept. List the deliveries of the webhook. */
  | 'delivery_not_found'
  /** A linked account with this id exists already in this environment. Use `accounts.upsert`, or another id. */
  | 'linked_account_exists'
  /** The config changed since the version that the update states. Read the config again, merge, and retry with its version. */
  | 'config_conflict'
  /** The linked account has no working connection for the application. Connect the application first. */
  | 'not_connected'
  /** The workflow is switched off in this config. Enable it with `update_config`. */
  | 'workflow_disabled'
  /** Other connections share the provider's grant and would die with it. Pass `siblings` to say what should happen to them. */
  | 'shared_grant'
  /** The callback's state is missing, unknown or was never issued here. Start a new flow with `start_connect`. */
  | 'invalid_state'
  /** The callback's state was used before. Look at `flow(id)` for the first outcome, or start a new flow. */
  | 'state_replayed'
  /** The connect flow's time is over. Start a new flow with `start_connect`. */
  | 'flow_expired'
  /** The connect flow was cancelled. Start a new flow with `start_connect`. */
  | 'flow_cancelled'
  /** The flow was begun for another linked account. Finish it as the user who began it, or start a new flow. */
  | 'flow_account_mismatch'
  /** The callback came in on the path of another application or client. Start a new flow; check the redirect URI registered at the provider. */
  | 'flow_context_mismatch'
  /** The callback came from another browser than the one that began the flow. Pass the cookie that `start_connect` gave, from the same browser; or start a new flow. */
  | 'browser_mismatch'
  /** The claim is unknown, used, late, or of another linked account. Start a new flow with `start_connect`. */
  | 'claim_invalid'
  /** The callback's `iss` is not the issuer that the application states (RFC 9207). Start a new flow; if it happens again, somebody may be mixing up providers. */
  | 'issuer_mismatch'
  /** The user did not consent. Offer the connect button again. */
  | 'user_denied'
  /** The user closed the authorize page. Offer the connect button again. */
  | 'user_cancelled'
  /** The authorize page could not be opened: something blocked its window. Open it from the user's own click, or use `start_connect` and redirect the user. */
  | 'window_blocked'
  /** The user was not done with the authorize page in the time that the call allows; the flow was cancelled. Offer the connect button again, or allow more time. */
  | 'connect_timeout'
  /** The provider ended the authorisation with an error. See the provider's error code in the context. */
  | 'authorize_failed'
  /** The provider refused to exchange the code. See the provider's error code in the context, and start a new flow. */
  | 'exchange_failed'
  /** The user granted fewer scopes than the application requires. Ask the user to connect again and to leave the listed scopes on. */
  | 'scope_missing'
  /** Nothing is registered that can open the authorize page. Use `start_connect` and redirect the user, or pass a presenter. */
  | 'presenter_required'
  /** The call's time was over while an effect was under way; it goes on. Read the flow, connection or receipt to see its end. */
  | 'outcome_unknown'
  /** The grant is dead: refused, revoked or interrupted while it was renewed. Ask the user to connect the application again. */
  | 'reauth_required'
  /** The provider refuses the grant for now, as it does while a user is switched off there; it is kept. Have the user let in again at the provider: the connection then comes back by itself. */
  | 'grant_suspended'
  /** The provider could not renew the token now; the grant is kept. Try again after `retry_after`. */
  | 'refresh_failed'
  /** The provider refused the token while an upload was sent; the token was renewed since. Send the upload again from its beginning. */
  | 'upload_not_repeated'
  /** The provider refuses the organisation's own client, not the user's grant. Check client id and secret of the application in the project file. */
  | 'client_rejected'
  /** No connection to the provider could be made. Try again later; `smalt doctor` checks reachability. */
  | 'provider_unreachable'
  /** The provider did not answer in time. Try again later. */
  | 'provider_timeout'
  /** The provider answered with a failure. Try again later; see the status in the context. */
  | 'provider_error'
  /** The provider limits the rate of calls. Try again after `retry_after`. */
  | 'provider_limited'
  /** The provider's answer could not be understood. Try again; if it stays, check the application's manifest. */
  | 'malformed_answer'
  /** The provider's answer is larger than the limit. Ask for less, or raise the limit of the call. */
  | 'answer_too_large'
  /** The address is private, loopback or reserved, or the scheme is not https. Use a public https address, or add the host to `network.allow` in the project file. */
  | 'address_refused'
  /** A value would have led the request to another host. Enter the bare name that the field asks for, without dots, slashes or a scheme. */
  | 'host_mismatch'
  /** The project file is missing or has a mistake. Correct it at the file, line and key that the reason names; `smalt doctor` checks it. */
  | 'project_invalid'
  /** An application's manifest has a mistake. Run `smalt apps lint`, which names file, line, key and the cure. */
  | 'manifest_invalid'
  /** The project names no OAuth client for the application in this environment. Add that table to the project file, with the `id` and `secret` of your OAuth client; `smalt doctor` prints its redirect URI. */
  | 'client_missing'
  /** The provider registers no client for the organisation. See the provider's error code in the context; name a client of your own in the project file if it stays so. */
  | 'registration_refused'
  /** An environment variable or file that holds a secret is not there. Set it; the context names it. */
  | 'secret_missing'
  /** The sandbox applications do not exist in the production environment. Use the test environment. */
  | 'sandbox_refused'
  /** No master key was given. Set SMALT_KEY or SMALT_KEY_FILE, e.g. `SMALT_KEY_FILE=smalt.key`; `smalt init` makes a key where there is none yet. */
  | 'key_missing'
  /** The master key has the wrong form, is a known sample, or its file can be read by others. Make one with `smalt keys create`; `chmod 600` its file. */
  | 'key_invalid'
  /** The master key does not open this store; nothing was changed. Use the key that the store was made with. */
  | 'key_wrong'
  /** A value was sealed under a data key that was replaced meanwhile; nothing was written. Try again. */
  | 'key_rotated'
  /** Another process held the store's write lock for too long. Try again. */
  | 'store_busy'
  /** The store cannot be read or written now. Check disk space and permissions of the database file; writes resume by themselves. */
  | 'store_unavailable'
  /** The file is not a Smalt store; it was not touched. Name another file, or leave it out to make a new one. */
  | 'store_foreign'
  /** A newer version of Smalt wrote this store and does not let this version open it. Upgrade Smalt. */
  | 'store_newer'
  /** A row of the store is damaged; the context names it, others are served. Restore the row from a backup, or connect the application again. */
  | 'store_corrupt'
  /** No connection to the server could be made; nothing was sent. Check its address, and that it runs; try again later. */
  | 'server_unreachable'
  /** The server did not answer in time; the call changes nothing. Try again, or give the call more time. */
  | 'server_timeout'
  /** The server, or what stands before it, failed. Try again later; its log knows the request id. */
  | 'server_error'
  /** What came is no whole answer of such a server. Check that the address is that of the API, and what stands before it. */
  | 'server_answer'
  /** The server's answer is larger than the client's limit. Ask for less, or raise the limit. */
  | 'server_answer_too_large'
  /** The server limits the rate of calls. Try again after `retry_after`; `[server.rates]` of its project file sets the limits. */
  | 'rate_limited'
  /** The server has as much under way as it may have, or is about to end. Try again after `retry_after`. */
  | 'overloaded'
  /** A plugin raised an error. See the plugin's own message and trace. */
  | 'plugin_failed'
  /** A plugin did not answer in its time. Make it faster, or raise its deadline. */
  | 'plugin_timeout'
  /** A plugin panicked. See the plugin's own message and trace. */
  | 'plugin_panicked'
  /** A plugin answered something that its seam does not allow. Correct the plugin; the reason says what was expected. */
  | 'plugin_answer'
  /** A plugin called back into the operation that is waiting for it. Use the context that the plugin was given. */
  | 'reentrant'
  /** This backend or set-up cannot do that. See the capabilities; register what is missing. */
  | 'unsupported'
  /** The caller cancelled the call. Nothing; call again if it was not meant. */
  | 'cancelled'
  /** The engine was closed. Open a new one. */
  | 'closed'
  /** A fault in Smalt itself. Please report it with the request id. */
  | 'internal'

/** The sort of trouble; there is one class for each. */
export type ErrorKind = 'invalid' | 'unauthenticated' | 'forbidden' | 'not_found' | 'conflict' | 'flow' | 'timeout' | 'reauth' | 'provider' | 'configuration' | 'unavailable' | 'plugin' | 'unsupported' | 'cancelled' | 'internal'

/**
 * An argument is wrong.
 * Codes: `invalid_request`, `invalid_id`, `invalid_inputs`, `invalid_config`, `invalid_cursor`, `credentials_rejected`, `return_to_not_allowed`, `redirect_not_allowed`, `wrong_auth_type`, `credential_missing`, `address_refused`, `host_mismatch`.
 */
export class InvalidError extends SmaltError {
  declare readonly kind: 'invalid'
  declare readonly code: 'invalid_request' | 'invalid_id' | 'invalid_inputs' | 'invalid_config' | 'invalid_cursor' | 'credentials_rejected' | 'return_to_not_allowed' | 'redirect_not_allowed' | 'wrong_auth_type' | 'credential_missing' | 'address_refused' | 'host_mismatch'
}

/**
 * There is no valid session token or key.
 * Codes: `invalid_token`, `invalid_api_key`, `webhook_unverified`.
 */
export class UnauthenticatedError extends SmaltError {
  declare readonly kind: 'unauthenticated'
  declare readonly code: 'invalid_token' | 'invalid_api_key' | 'webhook_unverified'
}

/**
 * The caller is known, but may not do that.
 * Codes: `forbidden`.
 */
export class ForbiddenError extends SmaltError {
  declare readonly kind: 'forbidden'
  declare readonly code: 'forbidden'
}

/**
 * The thing does not exist.
 * Codes: `linked_account_not_found`, `application_not_found`, `connection_not_found`, `flow_not_found`, `config_not_found`, `workflow_not_found`, `field_not_found`, `receipt_not_found`, `portal_link_invalid`, `api_key_not_found`, `own_credentials_not_found`, `execution_not_found`, `webhook_not_found`, `delivery_not_found`.
 */
export class NotFoundError extends SmaltError {
  declare readonly kind: 'not_found'
  declare readonly code: 'linked_account_not_found' | 'application_not_found' | 'connection_not_found' | 'flow_not_found' | 'config_not_found' | 'workflow_not_found' | 'field_not_found' | 'receipt_not_found' | 'portal_link_invalid' | 'api_key_not_found' | 'own_credentials_not_found' | 'execution_not_found' | 'webhook_not_found' | 'delivery_not_found'
}

/**
 * The thing's state stands against it.
 * Codes: `linked_account_exists`, `config_conflict`, `not_connected`, `workflow_disabled`, `shared_grant`.
 */
export class ConflictError extends SmaltError {
  declare readonly kind: 'conflict'
  declare readonly code: 'linked_account_exists' | 'config_conflict' | 'not_connected' | 'workflow_disabled' | 'shared_grant'
}

/**
 * A connect flow ended without a connection.
 * Codes: `invalid_state`, `state_replayed`, `flow_expired`, `flow_cancelled`, `flow_account_mismatch`, `flow_context_mismatch`, `browser_mismatch`, `claim_invalid`, `issuer_mismatch`, `user_denied`, `user_cancelled`, `window_blocked`, `authorize_failed`, `exchange_failed`, `scope_missing`, `presenter_required`.
 */
export class FlowError extends SmaltError {
  declare readonly kind: 'flow'
  declare readonly code: 'invalid_state' | 'state_replayed' | 'flow_expired' | 'flow_cancelled' | 'flow_account_mismatch' | 'flow_context_mismatch' | 'browser_mismatch' | 'claim_invalid' | 'issuer_mismatch' | 'user_denied' | 'user_cancelled' | 'window_blocked' | 'authorize_failed' | 'exchange_failed' | 'scope_missing' | 'presenter_required'

  /** What a presenter throws: The user closed the authorize page. */
  static userCancelled(): FlowError {
    return new FlowError({
      code: 'user_cancelled',
      kind: 'flow',
      reason: 'The user closed the authorize page. Offer the connect button again.',
      retry: 'after_reauth',
      httpStatus: 409,
      retryAfter: null,
      requestId: null,
      context: {},
      trace: null,
    })
  }

  /** What a presenter throws: The authorize page could not be opened: something blocked its window. */
  static windowBlocked(): FlowError {
    return new FlowError({
      code: 'window_blocked',
      kind: 'flow',
      reason: 'The authorize page could not be opened: something blocked its window. Open it from the user\'s own click, or use `start_connect` and redirect the user.',
      retry: 'after_reauth',
      httpStatus: 409,
      retryAfter: null,
      requestId: null,
      context: {},
      trace: null,
    })
  }
}

/**
 * Time ran out.
 * Codes: `connect_timeout`, `outcome_unknown`, `provider_timeout`, `server_timeout`.
 */
export class TimeoutError extends SmaltError {
  declare readonly kind: 'timeout'
  declare readonly code: 'connect_timeout' | 'outcome_unknown' | 'provider_timeout' | 'server_timeout'
}

/**
 * The user must authorise again.
 * Codes: `reauth_required`, `grant_suspended`.
 */
export class ReauthError extends SmaltError {
  declare readonly kind: 'reauth'
  declare readonly code: 'reauth_required' | 'grant_suspended'
}

/**
 * The application's server failed.
 * Codes: `refresh_failed`, `upload_not_repeated`, `provider_unreachable`, `provider_error`, `provider_limited`, `malformed_answer`, `answer_too_large`.
 */
export class ProviderError extends SmaltError {
  declare readonly kind: 'provider'
  declare readonly code: 'refresh_failed' | 'upload_not_repeated' | 'provider_unreachable' | 'provider_error' | 'provider_limited' | 'malformed_answer' | 'answer_too_large'
}

/**
 * The organisation's own settings are wrong.
 * Codes: `client_rejected`, `project_invalid`, `manifest_invalid`, `client_missing`, `registration_refused`, `secret_missing`, `sandbox_refused`, `key_missing`, `key_invalid`, `key_wrong`, `store_foreign`, `store_newer`.
 */
export class ConfigurationError extends SmaltError {
  declare readonly kind: 'configuration'
  declare readonly code: 'client_rejected' | 'project_invalid' | 'manifest_invalid' | 'client_missing' | 'registration_refused' | 'secret_missing' | 'sandbox_refused' | 'key_missing' | 'key_invalid' | 'key_wrong' | 'store_foreign' | 'store_newer'
}

/**
 * Something that Smalt needs is not available now.
 * Codes: `key_rotated`, `store_busy`, `store_unavailable`, `store_corrupt`, `server_unreachable`, `server_error`, `server_answer`, `server_answer_too_large`, `rate_limited`, `overloaded`, `closed`.
 */
export class UnavailableError extends SmaltError {
  declare readonly kind: 'unavailable'
  declare readonly code: 'key_rotated' | 'store_busy' | 'store_unavailable' | 'store_corrupt' | 'server_unreachable' | 'server_error' | 'server_answer' | 'server_answer_too_large' | 'rate_limited' | 'overloaded' | 'closed'
}

/**
 * A plugin failed; its own error is the `cause`.
 * Codes: `plugin_failed`, `plugin_timeout`, `plugin_panicked`, `plugin_answer`, `reentrant`.
 */
export class PluginError extends SmaltError {
  declare readonly kind: 'plugin'
  declare readonly code: 'plugin_failed' | 'plugin_timeout' | 'plugin_panicked' | 'plugin_answer' | 'reentrant'
}

/**
 * This backend or set-up cannot do that.
 * Codes: `unsupported`.
 */
export class UnsupportedError extends SmaltError {
  declare readonly kind: 'unsupported'
  declare readonly code: 'unsupported'
}

/**
 * The call was cancelled elsewhere than by its own signal.
 * Codes: `cancelled`.
 */
export class CancelledError extends SmaltError {
  declare readonly kind: 'cancelled'
  declare readonly code: 'cancelled'
}

/**
 * A fault in Smalt itself.
 * Codes: `internal`.
 */
export class InternalError extends SmaltError {
  declare readonly kind: 'internal'
  declare readonly code: 'internal'
}

/**
 * Any error of Smalt. `switch (error.kind)` tells its class, and so does a `code`: each is of one kind. There are no others: what a newer
 * server says in a code that this version does not know arrives as what its status means, e.g. `server_error`.
 */
export type AnySmaltError =
  | InvalidError
  | UnauthenticatedError
  | ForbiddenError
  | NotFoundError
  | ConflictError
  | FlowError
  | TimeoutError
  | ReauthError
  | ProviderError
  | ConfigurationError
  | UnavailableError
  | PluginError
  | UnsupportedError
  | CancelledError
  | InternalError

/** Whether Smalt failed, and nothing else: an error that was caught is then one of the classes. */
export function isSmaltError(error: unknown): error is AnySmaltError {
  return error instanceof SmaltError
}
