-- Credentials of linked accounts for the organisation's own application, and runs of workflows.

CREATE TABLE own_credentials (
    org            TEXT NOT NULL,
    environment    INTEGER NOT NULL,
    account_id     TEXT NOT NULL,
    sealed         BLOB NOT NULL,
    secret_version INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    PRIMARY KEY (org, environment, account_id),
    FOREIGN KEY (org, environment, account_id) REFERENCES accounts (org, environment, id) ON DELETE CASCADE
) STRICT;

CREATE TRIGGER own_credentials_made_closed AFTER INSERT ON own_credentials
WHEN EXISTS (SELECT 1 FROM closed_keys WHERE org = NEW.org AND head = substr(NEW.sealed, 1, 9))
BEGIN SELECT RAISE(ABORT, 'closed key'); END;
CREATE TRIGGER own_credentials_kept_closed AFTER UPDATE OF sealed ON own_credentials
WHEN NEW.sealed IS NOT OLD.sealed AND EXISTS (SELECT 1 FROM closed_keys WHERE org = NEW.org AND head = substr(NEW.sealed, 1, 9))
BEGIN SELECT RAISE(ABORT, 'closed key'); END;
CREATE TRIGGER data_keys_of_own_credentials BEFORE DELETE ON data_keys
WHEN EXISTS (SELECT 1 FROM own_credentials WHERE org = OLD.org AND hex(substr(sealed, 2, 8)) = upper(OLD.key_id))
BEGIN SELECT RAISE(ABORT, 'closed key'); END;

CREATE TABLE executions (
    org         TEXT NOT NULL,
    environment INTEGER NOT NULL,
    id          TEXT NOT NULL,
    account_id  TEXT NOT NULL,
    application TEXT NOT NULL,
    config_id   TEXT NOT NULL,
    workflow    TEXT NOT NULL,
    waited      INTEGER NOT NULL,
    status      TEXT NOT NULL,
    error_code  TEXT,
    created_at  INTEGER NOT NULL,
    ended_at    INTEGER,
    PRIMARY KEY (org, environment, id),
    FOREIGN KEY (org, environment, account_id) REFERENCES accounts (org, environment, id) ON DELETE CASCADE
) STRICT;
CREATE INDEX executions_by_account ON executions (org, environment, account_id, created_at, id);
CREATE INDEX executions_running ON executions (created_at) WHERE status = 'running';
CREATE INDEX executions_by_age ON executions (created_at) WHERE status <> 'running';
