-- environment: 0 = test, 1 = production (one byte less than a word, in every row and index).
-- Times are milliseconds since 1970. `sealed` and `wrapped` hold what the vault made; no other column holds a secret.
-- Wide rows stand in rowid tables behind a narrow unique index; narrow rows live in their key's tree.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE data_keys (
    org           TEXT NOT NULL,
    key_id        TEXT NOT NULL,
    master_key_id TEXT NOT NULL,
    wrapped       BLOB NOT NULL,
    created_at    INTEGER NOT NULL,
    PRIMARY KEY (org, key_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE signing_keys (
    org         TEXT NOT NULL,
    environment INTEGER NOT NULL,
    kid         TEXT NOT NULL,
    sealed      BLOB NOT NULL,
    created_at  INTEGER NOT NULL,
    retired_at  INTEGER,
    PRIMARY KEY (org, environment, kid)
) STRICT, WITHOUT ROWID;

CREATE TABLE accounts (
    org             TEXT NOT NULL,
    environment     INTEGER NOT NULL,
    id              TEXT NOT NULL,
    record_id       TEXT NOT NULL,
    name            TEXT,
    properties_json TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    PRIMARY KEY (org, environment, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX accounts_by_age ON accounts (org, environment, created_at, id);

-- What belongs to an account ends with it, and cannot be made for one that is gone.
CREATE TABLE sessions (
    org         TEXT NOT NULL,
    environment INTEGER NOT NULL,
    id          TEXT NOT NULL,
    account_id  TEXT NOT NULL,
    kid         TEXT NOT NULL,
    issued_at   INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    revoked_at  INTEGER,
    PRIMARY KEY (org, environment, id),
    FOREIGN KEY (org, environment, account_id) REFERENCES accounts (org, environment, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_account ON sessions (org, environment, account_id, expires_at);
CREATE INDEX sessions_by_end ON sessions (expires_at);

CREATE TABLE flows (
    org           TEXT NOT NULL,
    environment   INTEGER NOT NULL,
    id            TEXT NOT NULL,
    account_id    TEXT NOT NULL,
    application   TEXT NOT NULL,
    client_key    TEXT NOT NULL,
    status        TEXT NOT NULL,
    state_hash    TEXT NOT NULL,
    state_used    INTEGER NOT NULL,
    cookie_hash   TEXT NOT NULL,
    claim_hash    TEXT,
    redirect_uri  TEXT NOT NULL,
    return_to     TEXT,
    sealed        BLOB NOT NULL,
    options_json  TEXT NOT NULL,
    connection_id TEXT,
    error_code    TEXT,
    error_reason  TEXT,
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL,
    changed_at    INTEGER NOT NULL,
    PRIMARY KEY (org, environment, id),
    FOREIGN KEY (org, environment, account_id) REFERENCES accounts (org, environment, id) ON DELETE CASCADE
) STRICT;
CREATE UNIQUE INDEX flows_by_state ON flows (org, environment, state_hash);
CREATE UNIQUE INDEX flows_by_claim ON flows (org, environment, claim_hash) WHERE claim_hash IS NOT NULL;
CREATE INDEX flows_by_account ON flows (org, environment, account_id);
CREATE INDEX flows_by_status ON flows (status, changed_at);
CREATE INDEX flows_by_age ON flows (created_at);

CREATE TABLE connections (
    org             TEXT NOT NULL,
    environment     INTEGER NOT NULL,
    id              TEXT NOT NULL,
    account_id      TEXT NOT NULL,
    application     TEXT NOT NULL,
    client_key      TEXT NOT NULL,
    auth_type       TEXT NOT NULL,
    status          TEXT NOT NULL,
    is_default      INTEGER NOT NULL,
    identity_id     TEXT,
    identity_label  TEXT,
    grant_key       TEXT,
    scopes_json     TEXT NOT NULL,
    properties_json TEXT NOT NULL,
    sealed          BLOB NOT NULL,
    secret_version  INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    connected_at    INTEGER NOT NULL,
    expires_at      INTEGER,
    refreshed_at    INTEGER NOT NULL,
    last_error_json TEXT,
    refresh_print   TEXT,
    presented       TEXT,
    lease_owner     TEXT,
    lease_boot      TEXT,
    lease_until     INTEGER,
    cooldown_until  INTEGER,
    row_version     INTEGER NOT NULL,
    PRIMARY KEY (org, environment, id),
    FOREIGN KEY (org, environment, account_id) REFERENCES accounts (org, environment, id) ON DELETE CASCADE
) STRICT;
CREATE INDEX connections_by_account ON connections (org, environment, account_id, application);
CREATE INDEX connections_by_grant ON connections (org, environment, grant_key) WHERE grant_key IS NOT NULL;

CREATE TABLE configs (
    org         TEXT NOT NULL,
    environment INTEGER NOT NULL,
    account_id  TEXT NOT NULL,
    application TEXT NOT NULL,
    config_id   TEXT NOT NULL,
    id          TEXT NOT NULL,
    version     INTEGER NOT NULL,
    sealed      BLOB NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    PRIMARY KEY (org, environment, account_id, application, config_id),
    FOREIGN KEY (org, environment, account_id) REFERENCES accounts (org, environment, id) ON DELETE CASCADE
) STRICT;

-- Receipts and revocations outlive the account: a grant must still be ended after its customer is gone.
CREATE TABLE receipts (
    org         TEXT NOT NULL,
    environment INTEGER NOT NULL,
    id          TEXT NOT NULL,
    account_id  TEXT NOT NULL,
    application TEXT NOT NULL,
    body_json   TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    finished_at INTEGER,
    PRIMARY KEY (org, environment, id)
) STRICT;

CREATE TABLE revocations (
    org            TEXT NOT NULL,
    environment    INTEGER NOT NULL,
    id             TEXT NOT NULL,
    receipt_id     TEXT NOT NULL,
    account_id     TEXT NOT NULL,
    application    TEXT NOT NULL,
    client_key     TEXT NOT NULL,
    connection_id  TEXT NOT NULL,
    grant_key      TEXT,
    status         TEXT NOT NULL,
    sealed         BLOB NOT NULL,
    secret_version INTEGER NOT NULL,
    attempts       INTEGER NOT NULL,
    next_at        INTEGER NOT NULL,
    lease_owner    TEXT,
    lease_boot     TEXT,
    lease_until    INTEGER,
    created_at     INTEGER NOT NULL,
    PRIMARY KEY (org, environment, id)
) STRICT;
CREATE INDEX revocations_due ON revocations (org, environment, next_at) WHERE status = 'queued';

-- AUTOINCREMENT: a number is never given twice, also after the newest rows were deleted.
CREATE TABLE events (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    org         TEXT NOT NULL,
    environment INTEGER NOT NULL,
    id          TEXT NOT NULL,
    event_type  TEXT NOT NULL,
    account_id  TEXT,
    application TEXT,
    data_json   TEXT NOT NULL,
    at          INTEGER NOT NULL
) STRICT;
CREATE INDEX events_by_tenant ON events (org, environment);

CREATE TABLE audit (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,
    org           TEXT NOT NULL,
    environment   INTEGER NOT NULL,
    action        TEXT NOT NULL,
    actor         TEXT NOT NULL,
    account_id    TEXT,
    application   TEXT,
    connection_id TEXT,
    count         INTEGER NOT NULL,
    detail_json   TEXT NOT NULL,
    at            INTEGER NOT NULL
) STRICT;
CREATE INDEX audit_by_tenant ON audit (org, environment);
