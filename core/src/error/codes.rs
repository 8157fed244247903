//! The one table of error codes. The docs page `docs/errors.md` and every binding are checked against it.

use super::{Kind, Retry};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $kind:ident, $retry:ident, $status:literal, $meaning:literal, $next:literal;)*) => {
        /// Every stable error code. The string form (`as_str`) never changes once released.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code { $(#[doc = $meaning] $name,)* }

        impl Code {
            /// All codes, in the table's order.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// The row of the table.
            pub const fn row(self) -> Row {
                match self { $(Code::$name => Row {
                    code: $code, kind: Kind::$kind, retry: Retry::$retry, http_status: $status,
                    meaning: $meaning, next: $next,
                },)* }
            }

            /// Whether any operation may end with it, whatever it does: who asks, what it asks with, where it is asked. Such codes need not
            /// stand among an operation's own errors.
            pub fn is_general(self) -> bool {
                matches!(self, Code::InvalidRequest | Code::InvalidId)
                    || matches!(
                        self.row().kind,
                        Kind::Unauthenticated
                            | Kind::Forbidden
                            | Kind::Configuration
                            | Kind::Unavailable
                            | Kind::Plugin
                            | Kind::Unsupported
                            | Kind::Cancelled
                            | Kind::Internal
                    )
            }
        }
    };
}

/// One row of the error table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The stable string.
    pub code: &'static str,
    /// What sort of trouble it is; the variant of [`crate::Error`].
    pub kind: Kind,
    /// Whether trying again can help.
    pub retry: Retry,
    /// The status an HTTP server answers with.
    pub http_status: u16,
    /// What happened, in a sentence.
    pub meaning: &'static str,
    /// What to do next.
    pub next: &'static str,
}

codes! {
    // What the caller sent.
    InvalidRequest = "invalid_request", Invalid, Never, 400, "An argument is missing or has the wrong shape.", "Correct the argument that the reason names.";
    InvalidId = "invalid_id", Invalid, Never, 400, "An id is empty, too long, or holds a character that no URL path or header can carry.", "Use 1 to 256 printable ASCII characters without `/`, `?`, `#` and without leading or trailing spaces.";
    InvalidInputs = "invalid_inputs", Invalid, Never, 400, "The application's input fields are missing, unknown or malformed.", "Correct the fields listed under `fields` in the context.";
    InvalidConfig = "invalid_config", Invalid, Never, 400, "A config value has a shape that its field's type cannot hold.", "Correct the values at the paths that the context names.";
    InvalidCursor = "invalid_cursor", Invalid, Never, 400, "The page cursor was not made by this store for this list.", "Start again without a cursor.";
    CredentialsRejected = "credentials_rejected", Invalid, AfterReauth, 400, "The application refused the credentials; nothing was saved.", "Ask the user to check what they entered.";
    ReturnToNotAllowed = "return_to_not_allowed", Invalid, Never, 400, "The return URL is not on the project's list.", "Add its exact origin to `org.return_to` in the project file.";
    RedirectNotAllowed = "redirect_not_allowed", Invalid, Never, 400, "The redirect URI is neither the project's own, nor on its list, nor a loopback address.", "Add it to `org.redirect_uris` in the project file, or leave it out.";
    WrongAuthType = "wrong_auth_type", Invalid, Never, 400, "The application does not offer this way to authorise.", "Use one of the auth types that the application lists.";
    CredentialMissing = "credential_missing", Invalid, Never, 400, "The imported credential lacks a value that the auth type needs.", "Pass the values that the reason names.";

    // Who is asking.
    InvalidToken = "invalid_token", Unauthenticated, Never, 401, "The session token is malformed, foreign, expired or revoked.", "Make a new session with `account.session()`.";
    InvalidApiKey = "invalid_api_key", Unauthenticated, Never, 401, "The API key is malformed, unknown, revoked, or of the other environment.", "Make one with `smalt keys api create`.";
    WebhookUnverified = "webhook_unverified", Unauthenticated, Never, 401, "A delivery is not signed with one of the given secrets, or was sent too long ago.", "Answer it with 401 and do nothing else; check the secret, the clock, and that the body is verified as it came.";
    Forbidden = "forbidden", Forbidden, Never, 403, "The caller's scope does not cover this operation or this linked account.", "Call it with the organisation's authority, from a backend.";

    // What is not there.
    LinkedAccountNotFound = "linked_account_not_found", NotFound, Never, 404, "No linked account has this id in this environment.", "Make it with `accounts.upsert(id)`, or check the id for a typo.";
    ApplicationNotFound = "application_not_found", NotFound, Never, 404, "No enabled application has this slug.", "Enable it in the project file, or check the slug with `smalt apps list`.";
    ConnectionNotFound = "connection_not_found", NotFound, Never, 404, "The linked account has no such connection.", "List the connections, or connect the application first.";
    FlowNotFound = "flow_not_found", NotFound, Never, 404, "No connect flow has this id for this linked account.", "Start a new flow with `start_connect`.";
    ConfigNotFound = "config_not_found", NotFound, Never, 404, "The linked account has no config with this id for the application.", "Call `config`, which finds or makes it.";
    WorkflowNotFound = "workflow_not_found", NotFound, Never, 404, "The application offers no published workflow with this id.", "Check the id, or publish the workflow in the project file.";
    FieldNotFound = "field_not_found", NotFound, Never, 404, "The application or workflow has no field with this id.", "Check the id against `config(...)`.";
    ReceiptNotFound = "receipt_not_found", NotFound, Never, 404, "No disconnect receipt has this id.", "Use the id that `disconnect` answered.";

    PortalLinkInvalid = "portal_link_invalid", NotFound, Never, 404, "The link to the hosted page is unknown, used or late, or its session has ended.", "Make a new one with `portal_url`.";
    ApiKeyNotFound = "api_key_not_found", NotFound, Never, 404, "No API key has this id in this environment.", "List the keys with `smalt keys api list`.";

    OwnCredentialsNotFound = "own_credentials_not_found", NotFound, Never, 404, "The linked account has no credentials for the organisation's own application, or no value of this name.", "Set them with `put_own_credentials`, or with `your_app` when the account is made.";
    ExecutionNotFound = "execution_not_found", NotFound, Never, 404, "The linked account has no execution with this id, or it is no longer kept.", "List the executions.";
    WebhookNotFound = "webhook_not_found", NotFound, Never, 404, "No webhook has this id in this environment.", "List the webhooks with `list_webhooks`.";
    DeliveryNotFound = "delivery_not_found", NotFound, Never, 404, "No delivery has this id, or it is no longer kept.", "List the deliveries of the webhook.";

    // What stands against it.
    LinkedAccountExists = "linked_account_exists", Conflict, Never, 409, "A linked account with this id exists already in this environment.", "Use `accounts.upsert`, or another id.";
    ConfigConflict = "config_conflict", Conflict, Never, 409, "The config changed since the version that the update states.", "Read the config again, merge, and retry with its version.";
    NotConnected = "not_connected", Conflict, AfterReauth, 409, "The linked account has no working connection for the application.", "Connect the application first.";
    WorkflowDisabled = "workflow_disabled", Conflict, Never, 409, "The workflow is switched off in this config.", "Enable it with `update_config`.";
    SharedGrant = "shared_grant", Conflict, Never, 409, "Other connections share the provider's grant and would die with it.", "Pass `siblings` to say what should happen to them.";

    // The connect flow.
    InvalidState = "invalid_state", Flow, AfterReauth, 400, "The callback's state is missing, unknown or was never issued here.", "Start a new flow with `start_connect`.";
    StateReplayed = "state_replayed", Flow, AfterReauth, 400, "The callback's state was used before.", "Look at `flow(id)` for the first outcome, or start a new flow.";
    FlowExpired = "flow_expired", Flow, AfterReauth, 410, "The connect flow's time is over.", "Start a new flow with `start_connect`.";
    FlowCancelled = "flow_cancelled", Flow, AfterReauth, 409, "The connect flow was cancelled.", "Start a new flow with `start_connect`.";
    FlowAccountMismatch = "flow_account_mismatch", Flow, AfterReauth, 403, "The flow was begun for another linked account.", "Finish it as the user who began it, or start a new flow.";
    FlowContextMismatch = "flow_context_mismatch", Flow, AfterReauth, 400, "The callback came in on the path of another application or client.", "Start a new flow; check the redirect URI registered at the provider.";
    BrowserMismatch = "browser_mismatch", Flow, AfterReauth, 403, "The callback came from another browser than the one that began the flow.", "Pass the cookie that `start_connect` gave, from the same browser; or start a new flow.";
    ClaimInvalid = "claim_invalid", Flow, AfterReauth, 403, "The claim is unknown, used, late, or of another linked account.", "Start a new flow with `start_connect`.";
    IssuerMismatch = "issuer_mismatch", Flow, AfterReauth, 400, "The callback's `iss` is not the issuer that the application states (RFC 9207).", "Start a new flow; if it happens again, somebody may be mixing up providers.";
    UserDenied = "user_denied", Flow, AfterReauth, 403, "The user did not consent.", "Offer the connect button again.";
    UserCancelled = "user_cancelled", Flow, AfterReauth, 409, "The user closed the authorize page.", "Offer the connect button again.";
    WindowBlocked = "window_blocked", Flow, AfterReauth, 409, "The authorize page could not be opened: something blocked its window.", "Open it from the user's own click, or use `start_connect` and redirect the user.";
    ConnectTimeout = "connect_timeout", Timeout, AfterReauth, 408, "The user was not done with the authorize page in the time that the call allows; the flow was cancelled.", "Offer the connect button again, or allow more time.";
    AuthorizeFailed = "authorize_failed", Flow, AfterReauth, 400, "The provider ended the authorisation with an error.", "See the provider's error code in the context.";
    ExchangeFailed = "exchange_failed", Flow, AfterReauth, 502, "The provider refused to exchange the code.", "See the provider's error code in the context, and start a new flow.";
    ScopeMissing = "scope_missing", Flow, AfterReauth, 403, "The user granted fewer scopes than the application requires.", "Ask the user to connect again and to leave the listed scopes on.";
    PresenterRequired = "presenter_required", Flow, Never, 400, "Nothing is registered that can open the authorize page.", "Use `start_connect` and redirect the user, or pass a presenter.";
    OutcomeUnknown = "outcome_unknown", Timeout, Later, 504, "The call's time was over while an effect was under way; it goes on.", "Read the flow, connection or receipt to see its end.";

    // Credentials in use.
    ReauthRequired = "reauth_required", Reauth, AfterReauth, 424, "The grant is dead: refused, revoked or interrupted while it was renewed.", "Ask the user to connect the application again.";
    GrantSuspended = "grant_suspended", Reauth, Later, 424, "The provider refuses the grant for now, as it does while a user is switched off there; it is kept.", "Have the user let in again at the provider: the connection then comes back by itself.";
    RefreshFailed = "refresh_failed", Provider, Later, 503, "The provider could not renew the token now; the grant is kept.", "Try again after `retry_after`.";
    UploadNotRepeated = "upload_not_repeated", Provider, Later, 503, "The provider refused the token while an upload was sent; the token was renewed since.", "Send the upload again from its beginning.";
    ClientRejected = "client_rejected", Configuration, Never, 502, "The provider refuses the organisation's own client, not the user's grant.", "Check client id and secret of the application in the project file.";

    // The other side.
    ProviderUnreachable = "provider_unreachable", Provider, Later, 502, "No connection to the provider could be made.", "Try again later; `smalt doctor` checks reachability.";
    ProviderTimeout = "provider_timeout", Timeout, Later, 504, "The provider did not answer in time.", "Try again later.";
    ProviderError = "provider_error", Provider, Later, 502, "The provider answered with a failure.", "Try again later; see the status in the context.";
    ProviderLimited = "provider_limited", Provider, Later, 429, "The provider limits the rate of calls.", "Try again after `retry_after`.";
    MalformedAnswer = "malformed_answer", Provider, Later, 502, "The provider's answer could not be understood.", "Try again; if it stays, check the application's manifest.";
    AnswerTooLarge = "answer_too_large", Provider, Never, 502, "The provider's answer is larger than the limit.", "Ask for less, or raise the limit of the call.";

    // Where requests may go.
    AddressRefused = "address_refused", Invalid, Never, 400, "The address is private, loopback or reserved, or the scheme is not https.", "Use a public https address, or add the host to `network.allow` in the project file.";
    HostMismatch = "host_mismatch", Invalid, Never, 400, "A value would have led the request to another host.", "Enter the bare name that the field asks for, without dots, slashes or a scheme.";

    // Settings of the organisation.
    ProjectInvalid = "project_invalid", Configuration, Never, 500, "The project file is missing or has a mistake.", "Correct it at the file, line and key that the reason names; `smalt doctor` checks it.";
    ManifestInvalid = "manifest_invalid", Configuration, Never, 500, "An application's manifest has a mistake.", "Run `smalt apps lint`, which names file, line, key and the cure.";
    ClientMissing = "client_missing", Configuration, Never, 500, "The project names no OAuth client for the application in this environment.", "Add that table to the project file, with the `id` and `secret` of your OAuth client; `smalt doctor` prints its redirect URI.";
    RegistrationRefused = "registration_refused", Configuration, Later, 502, "The provider registers no client for the organisation.", "See the provider's error code in the context; name a client of your own in the project file if it stays so.";
    SecretMissing = "secret_missing", Configuration, Never, 500, "An environment variable or file that holds a secret is not there.", "Set it; the context names it.";
    SandboxRefused = "sandbox_refused", Configuration, Never, 400, "The sandbox applications do not exist in the production environment.", "Use the test environment.";
    KeyMissing = "key_missing", Configuration, Never, 500, "No master key was given.", "Set SMALT_KEY or SMALT_KEY_FILE, e.g. `SMALT_KEY_FILE=smalt.key`; `smalt init` makes a key where there is none yet.";
    KeyInvalid = "key_invalid", Configuration, Never, 500, "The master key has the wrong form, is a known sample, or its file can be read by others.", "Make one with `smalt keys create`; `chmod 600` its file.";
    KeyWrong = "key_wrong", Configuration, Never, 500, "The master key does not open this store; nothing was changed.", "Use the key that the store was made with.";

    KeyRotated = "key_rotated", Unavailable, Later, 503, "A value was sealed under a data key that was replaced meanwhile; nothing was written.", "Try again.";

    // The store.
    StoreBusy = "store_busy", Unavailable, Later, 503, "Another process held the store's write lock for too long.", "Try again.";
    StoreUnavailable = "store_unavailable", Unavailable, Later, 503, "The store cannot be read or written now.", "Check disk space and permissions of the database file; writes resume by themselves.";
    StoreForeign = "store_foreign", Configuration, Never, 500, "The file is not a Smalt store; it was not touched.", "Name another file, or leave it out to make a new one.";
    StoreNewer = "store_newer", Configuration, Never, 500, "A newer version of Smalt wrote this store and does not let this version open it.", "Upgrade Smalt.";
    StoreCorrupt = "store_corrupt", Unavailable, Never, 500, "A row of the store is damaged; the context names it, others are served.", "Restore the row from a backup, or connect the application again.";

    // A server that does the work.
    ServerUnreachable = "server_unreachable", Unavailable, Later, 503, "No connection to the server could be made; nothing was sent.", "Check its address, and that it runs; try again later.";
    ServerTimeout = "server_timeout", Timeout, Later, 504, "The server did not answer in time; the call changes nothing.", "Try again, or give the call more time.";
    ServerError = "server_error", Unavailable, Later, 502, "The server, or what stands before it, failed.", "Try again later; its log knows the request id.";
    ServerAnswer = "server_answer", Unavailable, Later, 502, "What came is no whole answer of such a server.", "Check that the address is that of the API, and what stands before it.";
    ServerAnswerTooLarge = "server_answer_too_large", Unavailable, Never, 502, "The server's answer is larger than the client's limit.", "Ask for less, or raise the limit.";
    RateLimited = "rate_limited", Unavailable, Later, 429, "The server limits the rate of calls.", "Try again after `retry_after`; `[server.rates]` of its project file sets the limits.";
    Overloaded = "overloaded", Unavailable, Later, 503, "The server has as much under way as it may have, or is about to end.", "Try again after `retry_after`.";

    // Plugins.
    PluginFailed = "plugin_failed", Plugin, Later, 502, "A plugin raised an error.", "See the plugin's own message and trace.";
    PluginTimeout = "plugin_timeout", Plugin, Later, 504, "A plugin did not answer in its time.", "Make it faster, or raise its deadline.";
    PluginPanicked = "plugin_panicked", Plugin, Later, 502, "A plugin panicked.", "See the plugin's own message and trace.";
    PluginAnswer = "plugin_answer", Plugin, Never, 502, "A plugin answered something that its seam does not allow.", "Correct the plugin; the reason says what was expected.";
    Reentrant = "reentrant", Plugin, Never, 409, "A plugin called back into the operation that is waiting for it.", "Use the context that the plugin was given.";

    // The rest.
    Unsupported = "unsupported", Unsupported, Never, 501, "This backend or set-up cannot do that.", "See the capabilities; register what is missing.";
    Cancelled = "cancelled", Cancelled, Later, 499, "The caller cancelled the call.", "Nothing; call again if it was not meant.";
    Closed = "closed", Unavailable, Never, 503, "The engine was closed.", "Open a new one.";
    Internal = "internal", Internal, Later, 500, "A fault in Smalt itself.", "Please report it with the request id.";
}

impl Code {
    /// The ends that a presenter says itself: every language has a constructor of each.
    pub const PRESENTERS: [Code; 2] = [Code::UserCancelled, Code::WindowBlocked];

    /// The stable string form, e.g. `linked_account_not_found`.
    pub const fn as_str(self) -> &'static str {
        self.row().code
    }

    /// The code with this string form.
    pub fn parse(code: &str) -> Option<Code> {
        Self::ALL.iter().copied().find(|c| c.as_str() == code)
    }
}
